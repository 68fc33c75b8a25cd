//! What is left out when there is too much to do, in this order: noise suppression, levelling, talkers.
//!
//! The mixer asks no clock: the caller says how long a tick took. One step is taken after three ticks in a row that needed
//! three quarters of their time, and taken back after five seconds in which none needed more than two fifths. A caller that
//! comes much too late has one more step taken, if its last tick was not short: else it is others who take the time, and
//! nobody would be helped.

use std::time::Duration;

use crate::mix::TICK_TIME;

/// Ticks in a row that must be too long.
const TOO_LONG: u32 = 3;
/// Ticks in a row that must be short: 5 s.
const SHORT: u32 = 250;
/// Steps: noise suppression, levelling, and three times half of the talkers.
const STEPS: u32 = 5;

/// How much is left out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    step: u32,
    long: u32,
    short: u32,
    /// The last tick was not short.
    busy: bool,
}

/// What is done in one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effort {
    pub(super) denoise: bool,
    pub(super) level: bool,
    /// Talkers who are heard.
    pub(super) loudest: usize,
    /// Of those who do not tell their level and are not heard, one in so many is decoded and measured in each tick.
    pub(super) measured: usize,
}

impl Load {
    /// A tick took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.busy = time >= TICK_TIME * 2 / 5;
        if time > TICK_TIME * 3 / 4 {
            self.long += 1;
            self.short = 0;
            if self.long >= TOO_LONG {
                self.more();
            }
        } else {
            self.long = 0;
            self.short = if self.busy { 0 } else { self.short + 1 };
            if self.short >= SHORT {
                self.short = 0;
                self.step = self.step.saturating_sub(1);
            }
        }
    }

    /// Ticks were left out, because the caller came much too late.
    pub(super) fn missed(&mut self) {
        if self.busy {
            self.more();
        }
    }

    /// Leaves out one thing more.
    fn more(&mut self) {
        (self.long, self.short) = (0, 0);
        self.step = (self.step + 1).min(STEPS);
    }

    pub(super) fn effort(self, loudest: usize) -> Effort {
        let halvings = self.step.saturating_sub(2);
        Effort {
            denoise: self.step < 1,
            level: self.step < 2,
            loudest: (loudest >> halvings).max(loudest.min(1)),
            measured: 1 << halvings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_and_taken_back() {
        let mut load = Load::default();
        let mut seen = vec![load.effort(8)];
        for _ in 0..30 {
            load.took(Duration::from_millis(16));
            if seen.last() != Some(&load.effort(8)) {
                seen.push(load.effort(8));
            }
        }
        let (full, all) = (seen[0], |effort: &Effort| {
            (effort.denoise, effort.level, effort.loudest, effort.measured)
        });
        assert_eq!(
            seen.iter().map(all).collect::<Vec<_>>(),
            [
                (true, true, 8, 1),
                (false, true, 8, 1),
                (false, false, 8, 1),
                (false, false, 4, 2),
                (false, false, 2, 4),
                (false, false, 1, 8)
            ]
        );
        for _ in 0..1249 {
            load.took(Duration::from_millis(5));
        }
        assert_eq!(load.step, 1);
        load.took(Duration::from_millis(5));
        assert_eq!(load.effort(8), full);
        assert_eq!(load.effort(0).loudest, 0);
    }

    #[test]
    fn a_single_long_tick_changes_nothing() {
        let mut load = Load::default();
        for tick in 0..1000 {
            load.took(Duration::from_millis(if tick % 3 == 0 { 5 } else { 19 }));
            assert_eq!(load.step, 0);
        }
    }

    #[test]
    fn who_is_late_because_of_others_leaves_nothing_out() {
        let mut load = Load::default();
        load.missed();
        load.took(Duration::from_millis(2));
        load.missed();
        assert_eq!(load.step, 0);
        load.took(Duration::from_millis(12));
        load.missed();
        assert_eq!(load.step, 1);
    }
}
