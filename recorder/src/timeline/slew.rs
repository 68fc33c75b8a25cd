//! A track's own time: goes where it should be without ever stepping back.

use std::time::{Duration, Instant};

use super::wall::since;
use crate::frame::MediaTime;

/// Frames this close to the one before are moved apart, in nanoseconds: a millisecond is the grain of Matroska.
const MIN_STEP: i64 = 1_000_000;
/// What is wrong by less is corrected by running a tenth faster or slower, in nanoseconds. Forward, more is a jump; back,
/// more is a quarter.
const SMALL: i64 = 500_000_000;
/// After so long without a frame, in nanoseconds, the next one is put where it belongs: nothing runs that could run faster.
const PAUSE: i64 = 500_000_000;
/// How far ahead of their arrival frames may be: a sender with more than a thousand frames a second would run away.
pub const MAX_AHEAD: Duration = Duration::from_secs(1);

/// The time of one track.
#[derive(Debug, Default)]
pub struct Slew {
    last: Option<i64>,
    /// The sender has gone back: what follows is put where it belongs as soon as it lies ahead.
    back: bool,
}

impl Slew {
    /// Nothing placed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The time of the next frame, which came at `arrival` and should be at `target`, nanoseconds after `origin`; `elapsed`
    /// nanoseconds of media time after the one before, `None` when that belongs to another stream.
    ///
    /// `None` when it was captured before the recording began, or frames come faster than time goes.
    pub fn place(&mut self, origin: Instant, arrival: Instant, target: i64, elapsed: Option<i64>) -> Option<MediaTime> {
        let at = match self.last {
            None if target < 0 => return None,
            None => target,
            Some(last) => {
                let due = target.saturating_sub(last);
                let back = self.back || elapsed.is_some_and(|elapsed| elapsed < 0);
                self.back = back && due < MIN_STEP;
                last.saturating_add(if back { due.max(MIN_STEP) } else { step(due, elapsed) })
            }
        };
        let most = since(origin, arrival).saturating_add(i64::try_from(MAX_AHEAD.as_nanos()).unwrap_or(i64::MAX));
        if at > most {
            return None;
        }
        self.last = Some(at);
        u64::try_from(at).ok().map(MediaTime)
    }
}

/// How far to go, when `due` would be right and `elapsed` is what went by.
fn step(due: i64, elapsed: Option<i64>) -> i64 {
    let step = match elapsed {
        Some(elapsed) if (1..PAUSE).contains(&elapsed) => match due.saturating_sub(elapsed) {
            wrong if wrong > SMALL => due,
            wrong if wrong < -SMALL => elapsed - elapsed / 4,
            wrong => elapsed + wrong.clamp(-elapsed / 10, elapsed / 10),
        },
        _ => due,
    };
    step.max(MIN_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn steps() {
        let table = [
            // due, elapsed, gone
            (20, Some(20), 20),
            (21, Some(20), 21),
            (30, Some(20), 22),
            (10, Some(20), 18),
            (-300, Some(20), 18),
            (-900, Some(20), 15),
            (700, Some(20), 700),
            (-5, None, 1),
            (900, None, 900),
            (500, Some(-20), 500),
            (0, Some(0), 1),
            (2600, Some(3000), 2600),
            (3300, Some(3000), 3300),
            (10, Some(3000), 10),
            (-300, Some(3000), 1),
        ];
        for (due, elapsed, gone) in table {
            assert_eq!(
                step(due * MS, elapsed.map(|elapsed: i64| elapsed * MS)),
                gone * MS,
                "{due} after {elapsed:?}"
            );
        }
    }

    #[test]
    fn a_million_frames_a_second_do_not_run_away() {
        let origin = Instant::now();
        let mut slew = Slew::new();
        let mut last = None;
        for n in 0..100_000_u64 {
            let arrival = origin + Duration::from_micros(n);
            let Some(at) = slew.place(origin, arrival, 0, None) else {
                continue;
            };
            assert!(last < Some(at));
            assert!(at.since_start() <= Duration::from_micros(n) + MAX_AHEAD);
            last = Some(at);
        }
        assert!(last.is_some());
    }

    /// A router goes to an encoding whose keyframe has come late.
    #[test]
    fn pictures_of_the_past_pass_quickly() {
        let origin = Instant::now();
        let mut slew = Slew::new();
        let mut place = |at: i64, elapsed: Option<i64>| {
            let arrival = origin + Duration::from_secs(2);
            let placed = slew.place(origin, arrival, at * MS, elapsed.map(|elapsed| elapsed * MS));
            placed.map_or(0, |placed| placed.0 / 1_000_000)
        };
        let times = [
            (1000, None),
            (1033, Some(33)),
            (970, Some(-63)),
            (1003, Some(33)),
            (1036, Some(33)),
            (1069, Some(33)),
        ];
        assert_eq!(
            times.map(|(at, elapsed)| place(at, elapsed)),
            [1000, 1033, 1034, 1035, 1036, 1069]
        );
    }

    #[test]
    fn what_was_captured_before_the_beginning_is_not_in_it() {
        let origin = Instant::now();
        let mut slew = Slew::new();
        assert_eq!(slew.place(origin, origin, -1, None), None);
        assert_eq!(slew.place(origin, origin, 0, None), Some(MediaTime::ZERO));
    }
}
