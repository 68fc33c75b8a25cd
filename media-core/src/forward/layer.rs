//! Which simulcast encoding is wanted, and which temporal layers pass.

use crate::payload::Info;
use crate::time::RtpTime;

/// Frames whose decision is remembered, for packets that come late or out of order.
const REMEMBERED: usize = 8;

/// A set of encodings, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerSet(u8);

impl LayerSet {
    /// Adds `encoding`, 0 to 7.
    pub fn insert(&mut self, encoding: u8) {
        self.0 |= 1 << (encoding & 7);
    }

    /// Whether `encoding` is in the set.
    #[must_use]
    pub fn contains(self, encoding: u8) -> bool {
        encoding < 8 && self.0 & (1 << encoding) != 0
    }

    /// The highest encoding that is not above `limit`, or else the lowest there is.
    #[must_use]
    pub fn best(self, limit: u8) -> Option<u8> {
        (0..8)
            .rev()
            .find(|layer| *layer <= limit && self.contains(*layer))
            .or_else(|| (0..8).find(|l| self.contains(*l)))
    }
}

/// Lets temporal layers up to a target pass; raises the layer only where a decoder can follow.
#[derive(Debug)]
pub struct TemporalFilter {
    target: u8,
    limit: u8,
    /// The newest frame while everything passes: that is decided without notes.
    newest: Option<RtpTime>,
    decided: [Option<(RtpTime, bool)>; REMEMBERED],
    next: usize,
}

impl TemporalFilter {
    /// Starts at a keyframe, so with all layers up to `target`.
    #[must_use]
    pub fn new(target: u8) -> Self {
        Self {
            target,
            limit: target,
            newest: None,
            decided: [None; REMEMBERED],
            next: 0,
        }
    }

    /// The highest layer wanted. Lowering takes effect with the next frame, raising when a frame allows it.
    pub fn set_target(&mut self, target: u8) {
        self.target = target;
        if self.limit == u8::MAX && target < u8::MAX {
            // What has begun to pass, passes whole.
            if let Some(newest) = self.newest.take() {
                self.note(newest, true);
            }
        }
        self.limit = self.limit.min(target);
    }

    /// Whether the packet with this timestamp passes; all packets of a frame get the same answer.
    #[inline]
    pub fn passes(&mut self, timestamp: RtpTime, info: Info) -> bool {
        if self.limit == u8::MAX {
            if self.newest.is_none_or(|newest| timestamp.since(newest) > 0) {
                self.newest = Some(timestamp);
            }
            return true;
        }
        if let Some((_, passes)) = self.decided.iter().flatten().find(|(at, _)| *at == timestamp) {
            return *passes;
        }
        self.limit = info.raised(self.limit, self.target);
        let passes = info.temporal <= self.limit;
        self.note(timestamp, passes);
        passes
    }

    fn note(&mut self, timestamp: RtpTime, passes: bool) {
        self.decided[self.next] = Some((timestamp, passes));
        self.next = (self.next + 1) % REMEMBERED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(temporal: u8, switch_up: bool) -> Info {
        Info {
            temporal,
            switch_up,
            switch_to: if switch_up { 1 << temporal } else { 0 },
            start_of_frame: true,
            ..Info::default()
        }
    }

    #[test]
    fn best_is_the_highest_below_the_limit_or_the_lowest() {
        let mut set = LayerSet::default();
        assert_eq!(set.best(u8::MAX), None);
        set.insert(1);
        set.insert(2);
        assert_eq!(
            (set.best(u8::MAX), set.best(1), set.best(0)),
            (Some(2), Some(1), Some(1))
        );
    }

    #[test]
    fn a_frame_that_has_begun_to_pass_passes_whole() {
        let mut filter = TemporalFilter::new(u8::MAX);
        assert!(filter.passes(RtpTime(5), frame(2, false)));
        filter.set_target(0);
        assert!(filter.passes(RtpTime(5), frame(2, false)), "the rest of it");
        assert!(!filter.passes(RtpTime(6), frame(2, false)));
        assert!(filter.passes(RtpTime(7), frame(0, false)));
    }

    #[test]
    fn rises_only_where_a_decoder_can_follow() {
        let mut filter = TemporalFilter::new(0);
        let passes = |filter: &mut TemporalFilter, at, info| filter.passes(RtpTime(at), info);
        assert!(passes(&mut filter, 1, frame(0, false)));
        assert!(!passes(&mut filter, 2, frame(1, true)), "not wanted");
        filter.set_target(2);
        assert!(
            !passes(&mut filter, 3, frame(2, false)),
            "would refer to what was left out"
        );
        assert!(passes(&mut filter, 4, frame(0, false)));
        assert!(passes(&mut filter, 5, frame(1, true)));
        assert!(!passes(&mut filter, 6, frame(2, false)));
        assert!(
            !passes(&mut filter, 2, frame(1, true)),
            "a late packet of a frame that was left out"
        );
        assert!(passes(&mut filter, 7, frame(2, true)));
        filter.set_target(0);
        assert!(!passes(&mut filter, 8, frame(1, true)));
        assert!(
            passes(&mut filter, 7, frame(2, true)),
            "a late packet of a frame that was sent"
        );
    }
}
