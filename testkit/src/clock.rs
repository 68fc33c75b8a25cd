//! Virtual time: an [`Instant`] that moves only when it is told to.
//!
//! It does not run timers; whoever drives a simulation asks everybody for the next deadline and advances to it.

use std::time::{Duration, Instant};

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

#[cfg(test)]
mod tests {
    use super::*;

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
