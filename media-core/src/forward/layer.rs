//! Which simulcast encoding is wanted, and which temporal and spatial layers inside it pass.

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

/// Lets spatial layers up to a target pass, for streams that carry several of them (SVC; RFC 9628 §3, AV1 RTP §5).
///
/// Layers below the target always pass, also where the target does not depend on them between keyframes: so a subscriber
/// can be taken down with the next picture, without a keyframe.
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
        }
    }

    /// The highest layer wanted. Lowering takes effect with the next picture, raising when a layer begins without
    /// reference to earlier pictures.
    pub fn set_target(&mut self, target: u8) {
        self.target = target;
    }

    /// A higher layer is wanted and is there to be had, if only it began anew.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.target > self.limit && self.top > self.limit
    }

    /// What becomes of the packet with this timestamp.
    #[inline]
    pub fn passes(&mut self, timestamp: RtpTime, info: Info) -> Passes {
        if self.newest.is_none_or(|newest| timestamp.since(newest) > 0) {
            self.newest = Some(timestamp);
            self.cut = false;
            if self.target < self.limit {
                self.change(timestamp, self.target);
            }
        }
        let whole = !self.cut && self.newest == Some(timestamp);
        if info.keyframe {
            self.top = 0;
            if whole && self.target > self.limit {
                self.change(timestamp, self.target);
            }
        }
        self.top = self.top.max(info.spatial);
        let next = info.start_of_frame && info.spatial_switch_up && info.spatial.checked_sub(1) == Some(self.limit);
        if whole && next && info.spatial <= self.target {
            self.change(timestamp, info.spatial);
        }
        let late = self.since.is_some_and(|since| timestamp.since(since) < 0);
        let limit = if late { self.before } else { self.limit };
        let kept = info.spatial <= limit;
        self.cut |= !kept && self.newest == Some(timestamp);
        Passes {
            kept,
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
