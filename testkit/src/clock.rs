//! Virtual time: an [`Instant`] that moves only when it is told to.
//!
//! It does not run timers; whoever drives a simulation asks everybody for the next deadline and advances to it.

use std::time::{Duration, Instant};

/// What drift is told in.
const MILLION: u128 = 1_000_000;

/// A clock that stands still until it is advanced.
///
/// The base is the real time of construction, because an [`Instant`] cannot be made from nothing; only differences
/// mean anything, and those are the same in every run.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    elapsed: Duration,
}

impl Clock {
    /// A clock at its start.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            elapsed: Duration::ZERO,
        }
    }

    /// Moves on by `duration`.
    pub fn advance(&mut self, duration: Duration) {
        self.elapsed += duration;
    }

    /// Moves on to `at`; a time that has passed changes nothing.
    pub fn advance_to(&mut self, at: Instant) {
        self.elapsed = self.elapsed.max(at.saturating_duration_since(self.start));
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.start + self.elapsed
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// How somebody's clock goes: as everybody's, quicker, slower, or not at all for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Since then, on everybody's clock and on its own.
    since: Option<(Instant, Instant)>,
    millionth: i32,
}

impl Pace {
    /// What its clock shows at `at` of everybody's.
    #[must_use]
    pub fn local(&self, at: Instant) -> Instant {
        let Some((since, own)) = self.since else { return at };
        let nanos = at.saturating_duration_since(since).as_nanos() * self.factor() / MILLION;
        own + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When, on everybody's clock, its own shows `own` or a little more.
    #[must_use]
    pub fn everybody(&self, own: Instant) -> Instant {
        let Some((since, begin)) = self.since else { return own };
        let nanos = (own.saturating_duration_since(begin).as_nanos() * MILLION).div_ceil(self.factor());
        since + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Too quick by so many millionth from `now` on, as everybody sees it.
    #[must_use]
    pub fn changed(&self, now: Instant, millionth: i32) -> Self {
        Self {
            since: Some((now, self.local(now))),
            millionth,
        }
    }

    /// It stands still for so long, and goes on as before.
    #[must_use]
    pub fn stopped(&self, now: Instant, duration: Duration) -> Self {
        Self {
            since: Some((now + duration, self.local(now))),
            ..*self
        }
    }

    fn factor(&self) -> u128 {
        MILLION.saturating_add_signed(self.millionth.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_its_own_drifts_and_stands() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for millionth in [-200, 0, 150] {
            let pace = Pace::default().changed(at(10), millionth);
            assert_eq!(pace.local(at(10)), at(10));
            for seconds in [11, 100, 3600] {
                let own = pace.local(at(seconds));
                let gained = own.duration_since(start).as_secs_f64() - seconds as f64;
                assert!((gained - f64::from(millionth) * 1e-6 * (seconds - 10) as f64).abs() < 1e-6);
                assert!(pace.local(pace.everybody(own)) >= own, "a deadline is reached");
            }
        }
        let pace = Pace::default().stopped(at(10), Duration::from_secs(60));
        assert_eq!([pace.local(at(40)), pace.local(at(71))], [at(10), at(11)]);
        assert_eq!(pace.everybody(at(11)), at(71));
    }

    #[test]
    fn moves_forward_only() {
        let mut clock = Clock::new();
        let start = clock.now();
        clock.advance(Duration::from_millis(5));
        clock.advance_to(start + Duration::from_millis(3));
        assert_eq!(clock.now(), start + Duration::from_millis(5));
        clock.advance_to(start + Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(1));
    }
}
