//! Which simulcast encoding is wanted, and which temporal and spatial layers inside it pass.

use std::ops::RangeInclusive;

use crate::payload::Info;
use crate::time::RtpTime;

/// Changes of the temporal limit that are remembered, for packets that come late or out of order.
const REMEMBERED: usize = 4;
/// Pictures in a row without the shown layer after which it is taken for ended: fewer may have been lost.
const ENDED: u8 = 5;
/// Frames after which no packet from before a change comes any more.
const SETTLED: u16 = 1024;

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

    /// Whether there is more than one.
    #[must_use]
    pub fn is_simulcast(self) -> bool {
        self.0.count_ones() > 1
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
///
/// Whether a frame passes follows from its time alone, so that all its packets fare alike, however late they come.
#[derive(Debug)]
pub struct TemporalFilter {
    target: u8,
    limit: u8,
    newest: Option<RtpTime>,
    /// The last changes: the first frame with another limit, and the limit of those before; the latest last.
    changes: [Option<(RtpTime, u8)>; REMEMBERED],
    /// Frames since the last change.
    settled: u16,
}

impl TemporalFilter {
    /// Starts at a keyframe, so with all layers up to `target`.
    #[must_use]
    pub fn new(target: u8) -> Self {
        Self {
            target,
            limit: target,
            newest: None,
            changes: [None; REMEMBERED],
            settled: 0,
        }
    }

    /// The highest layer wanted. Lowering takes effect with the next frame, raising when a frame allows it.
    pub fn set_target(&mut self, target: u8) {
        self.target = target;
        if target < self.limit {
            // What has begun to pass, passes whole.
            self.change(self.newest.map(|newest| newest.plus(1)), target);
        }
    }

    /// Whether the packet with this timestamp passes; all packets of a frame get the same answer.
    #[inline]
    pub fn passes(&mut self, timestamp: RtpTime, info: Info) -> bool {
        let ahead = self.newest.map_or(1, |newest| timestamp.since(newest));
        if ahead > 0 {
            self.newest = Some(timestamp);
            self.settled = self.settled.saturating_add(1);
            if self.settled == SETTLED {
                self.changes = [None; REMEMBERED];
            }
        }
        // A keyframe may show that it is one only with a later packet; nothing of it has been left out.
        if (ahead > 0 || ahead == 0 && info.keyframe) && self.limit < self.target {
            let raised = info.raised(self.limit, self.target);
            if raised != self.limit {
                self.change(Some(timestamp), raised);
            }
        }
        let limit = if ahead > 0 {
            self.limit
        } else {
            self.limit_at(timestamp)
        };
        info.temporal <= limit
    }

    /// The highest layer that passes now.
    #[must_use]
    pub fn limit(&self) -> u8 {
        self.limit
    }

    fn limit_at(&self, timestamp: RtpTime) -> u8 {
        let later = |(since, _): &&(RtpTime, u8)| timestamp.since(*since) < 0;
        let earliest = self.changes.iter().flatten().find(later);
        earliest.map_or(self.limit, |(_, before)| *before)
    }

    fn change(&mut self, since: Option<RtpTime>, limit: u8) {
        if let Some(since) = since {
            self.changes.rotate_left(1);
            self.changes[REMEMBERED - 1] = Some((since, self.limit));
        }
        (self.limit, self.settled) = (limit, 0);
    }
}

/// Lets spatial layers up to a target pass, for streams that carry several of them (SVC; RFC 9628 §3, AV1 RTP §5).
///
/// Layers below the target pass where the target depends on them, or may do so. Where it does not, between the keyframes
/// of k-SVC, they would cost a third more and are left out; then another layer, also a lower one, begins with a keyframe.
#[derive(Debug)]
pub struct SpatialFilter {
    target: u8,
    limit: u8,
    /// The first picture with this limit, and the limit of those before it.
    since: Option<RtpTime>,
    before: u8,
    newest: Option<RtpTime>,
    /// Something of the newest picture did not pass: its upper layers cannot be had any more.
    cut: bool,
    /// The highest layer seen since the last keyframe.
    top: u8,
    /// Lower layers were left out since then.
    lean: bool,
    /// Pictures since the one that the shown layer was seen in last, while lower ones are left out.
    without: u8,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passes {
    /// It is sent.
    pub kept: bool,
    /// It is the last of its picture that is sent, though not the last that was received: it carries the marker.
    pub ends: bool,
}

impl SpatialFilter {
    /// Starts at a keyframe, so with all layers up to `target`.
    #[must_use]
    pub fn new(target: u8) -> Self {
        Self {
            target,
            limit: target,
            since: None,
            before: target,
            newest: None,
            cut: false,
            top: 0,
            lean: false,
            without: 0,
        }
    }

    /// The highest layer wanted. Lowering takes effect with the next picture, raising when a layer begins without
    /// reference to earlier pictures.
    pub fn set_target(&mut self, target: u8) {
        self.target = target;
    }

    /// Another layer is wanted that is there to be had, if only it began anew; or the present one has ended.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.target > self.limit && self.top > self.limit || self.is_too_high() || self.without >= ENDED
    }

    /// The layers of which all that they need passes now: up to the shown one, or it alone where it needs no lower ones.
    #[must_use]
    pub fn whole(&self) -> RangeInclusive<u8> {
        let lowest = if self.lean { self.limit.min(self.top) } else { 0 };
        lowest..=self.limit
    }

    /// A lower layer than the present one is wanted, and has to begin anew.
    #[must_use]
    pub fn is_too_high(&self) -> bool {
        self.lean && self.target < self.limit.min(self.top)
    }

    /// What becomes of the packet with this timestamp.
    #[inline]
    pub fn passes(&mut self, timestamp: RtpTime, info: Info) -> Passes {
        if self.newest.is_none_or(|newest| timestamp.since(newest) > 0) {
            self.newest = Some(timestamp);
            self.cut = false;
            self.without = self.without.saturating_add(u8::from(self.lean));
            if self.target < self.limit && !self.lean {
                self.change(timestamp, self.target);
            }
        }
        let newest = self.newest == Some(timestamp);
        let whole = !self.cut && newest;
        if info.keyframe && newest {
            (self.top, self.lean, self.without) = (0, false, 0);
            if whole && self.target != self.limit {
                self.change(timestamp, self.target);
            }
        }
        self.top = self.top.max(info.spatial);
        let next = info.start_of_frame && info.spatial_switch_up && info.spatial.checked_sub(1) == Some(self.limit);
        if whole && next && info.spatial <= self.target {
            self.change(timestamp, info.spatial);
        }
        let late = !newest && self.since.is_some_and(|since| timestamp.since(since) < 0);
        let limit = if late { self.before } else { self.limit };
        self.cut |= info.spatial > limit && newest;
        let shown = limit.min(self.top);
        if info.spatial == shown && newest {
            self.without = 0;
        }
        let idle = info.not_for_upper && info.spatial < shown;
        self.lean |= idle;
        Passes {
            kept: info.spatial <= limit && !idle,
            ends: info.end_of_frame && info.spatial == limit,
        }
    }

    fn change(&mut self, timestamp: RtpTime, limit: u8) {
        if self.since != Some(timestamp) {
            self.before = self.limit;
        }
        self.since = Some(timestamp);
        self.limit = limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The single packet of a layer's frame.
    fn layer(spatial: u8, anew: bool) -> Info {
        Info {
            spatial,
            spatial_switch_up: anew,
            keyframe: anew && spatial == 0,
            start_of_frame: true,
            end_of_frame: true,
            ..Info::default()
        }
    }

    /// Which of three layers of a picture pass, and which of them has the marker.
    fn picture(filter: &mut SpatialFilter, at: u32, anew: bool) -> (Vec<u8>, Option<u8>) {
        let passes = (0..3).map(|spatial| (spatial, filter.passes(RtpTime(at), layer(spatial, anew))));
        let kept: Vec<_> = passes.filter(|(_, passes)| passes.kept).collect();
        let ends = kept.iter().find(|(_, passes)| passes.ends).map(|(spatial, _)| *spatial);
        (kept.iter().map(|(spatial, _)| *spatial).collect(), ends)
    }

    #[test]
    fn spatial_layers_fall_at_once_and_rise_where_they_begin_anew() {
        let mut filter = SpatialFilter::new(2);
        assert_eq!(picture(&mut filter, 1, true), (vec![0, 1, 2], Some(2)));
        filter.set_target(0);
        assert_eq!(picture(&mut filter, 2, false), (vec![0], Some(0)));
        assert!(!filter.waits());
        filter.set_target(1);
        assert!(filter.waits());
        assert_eq!(
            picture(&mut filter, 3, false),
            (vec![0], Some(0)),
            "it refers to what was left out"
        );
        assert_eq!(picture(&mut filter, 4, true), (vec![0, 1], Some(1)));
        assert!(!filter.waits());
        filter.set_target(u8::MAX);
        assert_eq!(
            picture(&mut filter, 5, true),
            (vec![0, 1, 2], None),
            "the last has the marker already"
        );
    }

    #[test]
    fn a_late_packet_passes_as_its_picture_did() {
        let mut filter = SpatialFilter::new(2);
        picture(&mut filter, 1, true);
        filter.set_target(0);
        assert!(
            filter.passes(RtpTime(1), layer(2, false)).kept,
            "the picture has begun to pass"
        );
        picture(&mut filter, 2, false);
        assert!(filter.passes(RtpTime(1), layer(2, false)).kept);
        filter.set_target(2);
        // The middle layer has overtaken the lowest, so the picture is not whole.
        assert!(filter.passes(RtpTime(3), layer(1, true)).kept);
        assert!(filter.passes(RtpTime(3), layer(0, true)).kept);
        filter.set_target(0);
        picture(&mut filter, 4, false);
        filter.set_target(2);
        assert!(
            !filter.passes(RtpTime(5), layer(2, true)).kept,
            "there is none below it"
        );
        assert!(
            !filter.passes(RtpTime(5), layer(1, true)).kept,
            "what follows it is lost"
        );
    }

    #[test]
    fn a_layer_that_is_not_sent_is_not_waited_for() {
        let mut filter = SpatialFilter::new(0);
        filter.passes(RtpTime(1), layer(0, true));
        filter.set_target(2);
        assert!(!filter.waits());
    }

    /// As [`picture`], of k-SVC with `layers` layers: between keyframes no layer needs a lower one.
    fn lean(filter: &mut SpatialFilter, at: u32, anew: bool, layers: u8) -> Vec<u8> {
        let info = |spatial| Info {
            not_for_upper: !anew || spatial + 1 == layers,
            ..layer(spatial, anew)
        };
        let passes = |spatial: &u8| filter.passes(RtpTime(at), info(*spatial)).kept;
        (0..layers).filter(passes).collect()
    }

    #[test]
    fn what_nobody_needs_is_left_out_and_then_another_layer_begins_with_a_keyframe() {
        let mut filter = SpatialFilter::new(u8::MAX);
        assert_eq!(lean(&mut filter, 1, true, 3), [0, 1, 2]);
        assert_eq!(lean(&mut filter, 2, false, 3), [2]);
        filter.set_target(1);
        assert!(filter.waits() && filter.is_too_high());
        assert_eq!(lean(&mut filter, 3, false, 3), [2], "the lower one cannot begin here");
        assert_eq!(lean(&mut filter, 4, true, 3), [0, 1]);
        assert_eq!(lean(&mut filter, 5, false, 3), [1]);
        assert!(!filter.waits());
        assert!(!filter.passes(RtpTime(4), layer(2, true)).kept, "a late packet");
        filter.set_target(2);
        assert!(filter.waits() && !filter.is_too_high());
        assert_eq!(lean(&mut filter, 6, true, 3), [0, 1, 2]);
    }

    #[test]
    fn a_layer_that_ends_without_a_word_is_missed_soon() {
        let mut filter = SpatialFilter::new(2);
        lean(&mut filter, 1, true, 3);
        lean(&mut filter, 2, false, 3);
        for at in 3..7 {
            assert!(!filter.waits(), "a few may be lost: {at}");
            assert_eq!(lean(&mut filter, at, false, 2), []);
        }
        lean(&mut filter, 7, false, 2);
        assert!(filter.waits());
        assert_eq!(lean(&mut filter, 8, true, 2), [0, 1]);
        assert_eq!(lean(&mut filter, 9, false, 2), [1]);
        assert!(!filter.waits());
    }

    #[test]
    fn hours_after_a_change_the_newest_is_not_late() {
        let mut filter = SpatialFilter::new(2);
        picture(&mut filter, 1, true);
        filter.set_target(0);
        picture(&mut filter, 2, false);
        for step in 1..5 {
            assert_eq!(picture(&mut filter, 2 + step * 0x3000_0000, false).0, [0], "{step}");
        }
    }

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
