//! The subscriber's media time: the publisher's, shifted so that it never jumps.

use std::time::{Duration, Instant};

use crate::time::RtpTime;

/// How far the reports of a publisher may put a new encoding away from where our own clock expects it. Reports of
/// several encodings come from one clock; a larger difference is a broken sender.
const MAX_DISAGREEMENT: Duration = Duration::from_millis(500);

/// Maps media time of one source to one continuous output.
#[derive(Debug, Default)]
pub struct Timeline {
    shift: u32,
    /// Another encoding begins where reports put it, even if that has passed.
    exact: bool,
    encoding: Option<u8>,
    clock_rate: u32,
    /// The latest output time, and when it went out.
    last: Option<(RtpTime, Instant)>,
}

impl Timeline {
    /// Nothing sent yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is added to the source's time.
    #[must_use]
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// From now on truth goes before continuity: for who writes down when things were.
    pub fn set_exact(&mut self) {
        self.exact = true;
    }

    /// Whether it does.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// The encoding that the shift belongs to.
    #[must_use]
    pub fn encoding(&self) -> Option<u8> {
        self.encoding
    }

    /// The latest output time.
    #[must_use]
    pub fn last(&self) -> Option<RtpTime> {
        self.last.map(|(rtp, _)| rtp)
    }

    /// The source's clock has nothing to do with the one before.
    pub fn forget_source(&mut self) {
        self.encoding = None;
    }

    /// From here on, `timestamp` of `encoding` comes next. `clock_rate` 0 keeps the one before.
    pub fn start(&mut self, now: Instant, encoding: u8, timestamp: RtpTime, clock_rate: u32, aligned: Option<RtpTime>) {
        if clock_rate != 0 {
            self.clock_rate = clock_rate;
        }
        let same = self.encoding.replace(encoding) == Some(encoding);
        let Some((last, at)) = self.last else {
            // The first time of all: as the publisher has it.
            self.shift = 0;
            return;
        };
        let elapsed = RtpTime::units(now.saturating_duration_since(at), self.clock_rate);
        let expected = last.plus(elapsed.max(1));
        let tolerance = i64::from(RtpTime::units(MAX_DISAGREEMENT, self.clock_rate));
        let natural = timestamp.plus(self.shift);
        let out = if same && natural.since(last) > 0 {
            natural
        } else {
            aligned
                .filter(|out| i64::from(out.since(expected)).abs() <= tolerance)
                .map_or(expected, |out| {
                    // Another picture than the last, in any case: receivers tell pictures apart by their times.
                    if out.since(last) > 0 || self.exact && out != last {
                        out
                    } else {
                        last.plus(1)
                    }
                })
        };
        self.shift = out.0.wrapping_sub(timestamp.0);
    }

    /// Sees to it that `frames` older frames fit between the last output time and that of `timestamp`, which has just
    /// been started with; how far apart to put them, at most `step`. Moves the source's time on when there is no room.
    pub fn make_room(&mut self, timestamp: RtpTime, frames: u32, step: u32) -> u32 {
        let Some((last, _)) = self.last else {
            return step;
        };
        let needed = frames.saturating_add(1);
        let room = u32::try_from(timestamp.plus(self.shift).since(last)).unwrap_or(0);
        self.shift = self.shift.wrapping_add(needed.saturating_sub(room));
        (room / needed).clamp(1, step.max(1))
    }

    /// The output time of `timestamp`.
    #[inline]
    pub fn map(&mut self, now: Instant, timestamp: RtpTime) -> RtpTime {
        let out = timestamp.plus(self.shift);
        self.note(now, out);
        out
    }

    /// `out` went out, whatever it was mapped to.
    #[inline]
    pub fn note(&mut self, now: Instant, out: RtpTime) {
        if self.last.is_none_or(|(last, _)| out.since(last) > 0) {
            self.last = Some((out, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_by_the_clock_when_nothing_better_is_known() {
        let start = Instant::now();
        let mut timeline = Timeline::new();
        timeline.start(start, 0, RtpTime(5_000), 90_000, None);
        assert_eq!(timeline.map(start, RtpTime(5_000)), RtpTime(5_000));
        let later = start + Duration::from_millis(100);
        timeline.start(later, 1, RtpTime(77), 90_000, None);
        assert_eq!(timeline.map(later, RtpTime(77)), RtpTime(14_000));
        assert_eq!(timeline.map(later, RtpTime(77 + 3_000)), RtpTime(17_000));
    }

    #[test]
    fn believes_reports_within_reason() {
        let start = Instant::now();
        let later = start + Duration::from_millis(100);
        for (aligned, out) in [(13_500, 13_500), (9_000_000, 14_000), (4_000, 5_001)] {
            let mut timeline = Timeline::new();
            timeline.start(start, 0, RtpTime(5_000), 90_000, None);
            timeline.map(start, RtpTime(5_000));
            timeline.start(later, 1, RtpTime(77), 90_000, Some(RtpTime(aligned)));
            assert_eq!(timeline.map(later, RtpTime(77)), RtpTime(out), "{aligned}");
        }
    }

    #[test]
    fn exact_times_may_step_back() {
        let start = Instant::now();
        let mut timeline = Timeline::new();
        timeline.set_exact();
        timeline.start(start, 0, RtpTime(5_000), 90_000, None);
        timeline.map(start, RtpTime(5_000));
        timeline.start(start, 1, RtpTime(77), 90_000, Some(RtpTime(4_000)));
        assert_eq!(timeline.map(start, RtpTime(77)), RtpTime(4_000));
        assert_eq!(timeline.last(), Some(RtpTime(5_000)));
        timeline.start(start, 2, RtpTime(9), 90_000, Some(RtpTime(5_000)));
        assert_eq!(
            timeline.map(start, RtpTime(9)),
            RtpTime(5_001),
            "no part of the picture before"
        );
    }

    #[test]
    fn older_frames_find_room() {
        let start = Instant::now();
        for (elapsed, frames, step) in [(1000, 10, 90), (10, 9, 90), (5, 9, 45), (0, 9, 1)] {
            let mut timeline = Timeline::new();
            timeline.start(start, 0, RtpTime(5_000), 90_000, None);
            timeline.map(start, RtpTime(5_000));
            timeline.forget_source();
            let later = start + Duration::from_millis(elapsed);
            timeline.start(later, 0, RtpTime(77), 90_000, None);
            assert_eq!(timeline.make_room(RtpTime(77), frames, 90), step, "{elapsed} ms");
            let first = timeline.map(later, RtpTime(77)).0 - frames * step;
            assert!(first > 5_000, "{elapsed} ms: {first}");
        }
    }

    #[test]
    fn a_pause_keeps_the_publishers_time() {
        let start = Instant::now();
        let mut timeline = Timeline::new();
        timeline.start(start, 0, RtpTime(100), 90_000, None);
        timeline.map(start, RtpTime(100));
        timeline.start(start + Duration::from_secs(1), 0, RtpTime(100 + 90_300), 90_000, None);
        assert_eq!(timeline.map(start, RtpTime(100 + 90_300)), RtpTime(100 + 90_300));
    }
}
