//! One subscription: which packets of a track it gets, and under which numbers.
//!
//! RFC 7667 §3.7 (selective forwarding), RFC 7741 §4.2 (VP8 picture ids). A subscriber sees one continuous RTP stream
//! whatever happens behind it: another simulcast encoding, another temporal layer, a pause, another publisher. It does
//! not hold packets, does not write them and does not know transports.
//!
//! | file | one idea |
//! |---|---|
//! | this | decides packet by packet; an *epoch* is the time between two switches |
//! | [`layer`] | which encoding is wanted, which temporal and spatial layers inside it pass |
//! | [`renumber`] | numbers without gaps but those of real loss |
//! | [`picture`] | VP8 and VP9 picture ids across switches |
//! | [`timeline`] | timestamps across switches |
//! | [`replay`] | a late joiner is shown the last keyframe at once |

pub mod layer;
pub mod picture;
pub mod renumber;
pub mod replay;
pub mod timeline;

use std::ops::RangeInclusive;
use std::time::Instant;

pub use self::layer::LayerSet;
use self::layer::{Passes, SpatialFilter, TemporalFilter};
use self::picture::Pictures;
use self::renumber::{Mapped, Renumber};
use self::timeline::Timeline;
use crate::config::LayerTarget;
use crate::packet::{SeqNo, Ssrc};
use crate::payload::{Info, MediaKind, Patch};
use crate::receive::history::Received;
use crate::time::RtpTime;

/// Free numbers that are remembered for filling: more would be a flood.
const MAX_UNFILLED: usize = 64;

/// What a subscription needs to know of a received packet. `Copy`; made once per received packet.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Which encoding of the track.
    pub encoding: u8,
    /// Extended sequence number at the publisher.
    pub seq: SeqNo,
    /// The publisher's media time.
    pub timestamp: RtpTime,
    /// What the payload says.
    pub info: Info,
    /// No payload: padding that probed the bandwidth.
    pub empty: bool,
}

impl Meta {
    /// What was learnt of a packet when it came.
    #[must_use]
    pub fn of(encoding: u8, received: &Received) -> Self {
        let view = received.packet.view();
        Self {
            encoding,
            seq: received.seq,
            timestamp: RtpTime(view.timestamp()),
            info: received.info,
            empty: view.payload().is_empty(),
        }
    }
}

/// How a packet goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewrite {
    /// Its new sequence number.
    pub seq: SeqNo,
    /// Its new timestamp.
    pub timestamp: RtpTime,
    /// The new numbers inside the payload, if the payload has such.
    pub patch: Option<Patch>,
    /// What to add to the frame number of the dependency descriptor, if the packet has one.
    pub frame_shift: u16,
    /// It is the last packet of its picture that is sent.
    pub ends: bool,
    /// Send no payload, only padding: the number is taken but the packet is not wanted.
    pub filler: bool,
}

/// What a packet means to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Nothing.
    None,
    /// It belongs to what is being forwarded: [`Forwarder::forward`].
    Continues,
    /// A new epoch can begin with it: [`Forwarder::start`], then [`Forwarder::forward`].
    Starts,
}

#[derive(Debug)]
struct Epoch {
    encoding: u8,
    numbers: Renumber,
    pictures: Pictures,
    temporal: TemporalFilter,
    spatial: SpatialFilter,
    /// What is added to frame numbers.
    frame_shift: u16,
}

/// The rewriting state of one subscription. About 2 kB, no allocation per packet.
#[derive(Debug)]
pub struct Forwarder {
    kind: MediaKind,
    target: LayerTarget,
    paused: bool,
    /// The best layers that the subscriber's line has room for; `None` when there is room for none.
    granted: Option<LayerTarget>,
    /// Encodings that packets arrive for.
    live: LayerSet,
    epoch: Option<Box<Epoch>>,
    next_seq: u64,
    timeline: Timeline,
    last_ids: Option<Patch>,
    /// The highest frame number that was sent.
    last_frame: Option<u16>,
    /// Numbers that epochs kept free for packets that were lost and will not be sent any more.
    unfilled: Vec<u64>,
}

impl Forwarder {
    /// Nothing forwarded yet. Sequence numbers start at a number made from the SSRC, in the first half of a cycle, so
    /// that SRTP's rollover counter of the receiver cannot be off by one after early loss (RFC 3711 §3.3.1).
    #[must_use]
    pub fn new(kind: MediaKind, ssrc: Ssrc, target: LayerTarget) -> Self {
        Self {
            kind,
            target,
            paused: false,
            granted: Some(LayerTarget::BEST),
            live: LayerSet::default(),
            epoch: None,
            next_seq: 0x1_0000 + u64::from(ssrc.0 & 0x7fff),
            timeline: Timeline::new(),
            last_ids: None,
            last_frame: None,
            unfilled: Vec::new(),
        }
    }

    /// Media time is to be true rather than continuous: for who writes down when things were, and is no screen.
    pub fn set_exact(&mut self) {
        self.timeline.set_exact();
    }

    /// Whether it is to be so.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.timeline.is_exact()
    }

    /// Another track stands behind the subscription from now on: start afresh, with continuous numbers.
    pub fn reset_source(&mut self) {
        self.end_epoch();
        self.live = LayerSet::default();
        self.timeline.forget_source();
    }

    /// The stream behind `encoding` has been replaced (another SSRC): its old numbers mean nothing any more.
    pub fn reset_encoding(&mut self, encoding: u8) {
        if self.current() == Some(encoding) {
            self.end_epoch();
            self.timeline.forget_source();
        }
    }

    /// Sets the best layers wanted.
    pub fn set_target(&mut self, target: LayerTarget) {
        self.target = target;
        self.aim();
    }

    /// Has the layers inside the current encoding follow what is wanted and granted.
    fn aim(&mut self) {
        let (spatial, temporal) = (self.inner_target(), self.allowed().temporal);
        let [wished, wanted] = [self.live.best(self.target.spatial), self.wanted()];
        let Some(epoch) = &mut self.epoch else { return };
        epoch.spatial.set_target(spatial);
        // Until a smaller picture can begin a larger one than there is room for gets slower: that needs no keyframe.
        let above = |limit: Option<u8>| limit.is_some_and(|limit| limit < epoch.encoding);
        let too_much = above(wanted) && !above(wished) || spatial < self.target.spatial && epoch.spatial.is_too_high();
        epoch.temporal.set_target(if too_much { 0 } else { temporal });
    }

    /// What is wanted and granted. With several encodings its spatial layer chooses among them, with one it chooses among
    /// the layers inside it.
    fn allowed(&self) -> LayerTarget {
        self.granted.map_or(self.target, |granted| self.target.min(granted))
    }

    fn inner_target(&self) -> u8 {
        if self.live.is_simulcast() {
            u8::MAX
        } else {
            self.allowed().spatial
        }
    }

    /// Tells which encodings are being received.
    pub fn set_live(&mut self, live: LayerSet) {
        self.live = live;
        self.aim();
    }

    /// Stops or resumes. After a pause, video goes on with a keyframe.
    pub fn set_paused(&mut self, paused: bool) {
        if paused {
            self.end_epoch();
        }
        self.paused = paused;
    }

    /// Sets what the subscriber's line has room for. Less takes effect at once where that is possible: a smaller picture
    /// begins with its next keyframe. After none, video goes on as after a pause.
    pub fn set_granted(&mut self, granted: Option<LayerTarget>) {
        if granted.is_none() {
            self.end_epoch();
        }
        self.granted = granted;
        self.aim();
    }

    /// The best layers that the line has room for.
    #[must_use]
    pub fn granted(&self) -> Option<LayerTarget> {
        self.granted
    }

    /// The best layers that the subscriber has a use for.
    #[must_use]
    pub fn target(&self) -> LayerTarget {
        self.target
    }

    /// The source was interrupted: goes on as after a pause.
    pub fn interrupt(&mut self) {
        self.end_epoch();
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The encoding that is being forwarded.
    #[must_use]
    pub fn current(&self) -> Option<u8> {
        self.epoch.as_ref().map(|epoch| epoch.encoding)
    }

    /// Of `encoding`, while it is being forwarded, the spatial layers that are whole, and the highest temporal layer.
    #[must_use]
    pub fn layers(&self, encoding: u8) -> Option<(RangeInclusive<u8>, u8)> {
        let epoch = self.epoch.as_ref().filter(|epoch| epoch.encoding == encoding)?;
        Some((epoch.spatial.whole(), epoch.temporal.limit()))
    }

    /// The encoding that should be forwarded.
    #[must_use]
    pub fn wanted(&self) -> Option<u8> {
        let granted = self.granted.filter(|_| !self.paused)?;
        self.live.best(self.target.min(granted).spatial)
    }

    /// The encoding that must send a keyframe before it can be forwarded.
    #[must_use]
    pub fn waits_for(&self) -> Option<u8> {
        let misses = |epoch: &Epoch, wanted| epoch.encoding != wanted || epoch.spatial.waits();
        self.wanted().filter(|wanted| {
            let misses = self.epoch.as_ref().is_none_or(|epoch| misses(epoch, *wanted));
            self.kind == MediaKind::Video && misses
        })
    }

    /// The encoding that gave the last packets, and what was added to its media time modulo 2³².
    #[must_use]
    pub fn reference(&self) -> Option<(u8, u32)> {
        Some((self.timeline.encoding()?, self.timeline.shift()))
    }

    /// The number to add to the publisher's media time, modulo 2³², while an epoch lasts.
    #[must_use]
    pub fn timestamp_shift(&self) -> Option<u32> {
        self.epoch.is_some().then(|| self.timeline.shift())
    }

    /// What `meta` means here.
    #[must_use]
    #[inline]
    pub fn interest(&self, meta: &Meta) -> Interest {
        let current = self.current();
        if current == Some(meta.encoding) {
            return Interest::Continues;
        }
        let starts = match self.kind {
            MediaKind::Audio => !meta.empty,
            MediaKind::Video => meta.info.keyframe,
        };
        if starts && self.wanted() == Some(meta.encoding) {
            Interest::Starts
        } else {
            Interest::None
        }
    }

    /// Begins an epoch with the packet of `meta`. `aligned` is the subscriber's media time for it, if the publisher's
    /// reports relate its encodings to each other.
    pub fn start(&mut self, now: Instant, meta: &Meta, clock_rate: u32, aligned: Option<RtpTime>) {
        let same_stream = self.timeline.encoding() == Some(meta.encoding);
        self.end_epoch();
        self.timeline.start(
            now,
            meta.encoding,
            meta.timestamp,
            clock_rate,
            aligned.filter(|_| !same_stream),
        );
        self.epoch = Some(Box::new(Epoch {
            encoding: meta.encoding,
            numbers: Renumber::start(meta.seq.0, self.next_seq),
            pictures: Pictures::start(meta.info.ids, self.last_ids),
            temporal: TemporalFilter::new(self.allowed().temporal),
            spatial: SpatialFilter::new(self.inner_target()),
            frame_shift: self
                .last_frame
                .zip(meta.info.frame_number)
                .map_or(0, |(last, first)| last.wrapping_add(1).wrapping_sub(first)),
        }));
    }

    /// Something empty to send under a number that an earlier epoch kept free, or the subscriber would wait for it;
    /// take until `None`, after [`Self::start`].
    pub fn take_unfilled(&mut self) -> Option<Rewrite> {
        let seq = SeqNo(self.unfilled.pop()?);
        let timestamp = self.timeline.last().unwrap_or_default();
        Some(Rewrite {
            seq,
            timestamp,
            patch: None,
            frame_shift: 0,
            ends: false,
            filler: true,
        })
    }

    /// Makes room for `frames` older frames before `timestamp`, with which an epoch has just begun; how far apart to put
    /// their media times, at most `step`.
    pub fn make_room(&mut self, timestamp: RtpTime, frames: u32, step: u32) -> u32 {
        self.timeline.make_room(timestamp, frames, step)
    }

    /// A packet goes out at another media time than [`Self::forward`] said.
    pub fn note_time(&mut self, now: Instant, timestamp: RtpTime) {
        self.timeline.note(now, timestamp);
    }

    /// The number that the packet `source` of the current encoding went out with, if it did, and not long ago.
    #[must_use]
    pub fn sent(&self, source: SeqNo) -> Option<SeqNo> {
        self.epoch.as_ref()?.numbers.sent(source.0).map(SeqNo)
    }

    /// Decides about one packet of the current epoch; `None` when it is not to be sent.
    #[inline]
    pub fn forward(&mut self, now: Instant, meta: &Meta) -> Option<Rewrite> {
        let mut epoch = self.epoch.as_mut()?;
        let (temporal, spatial) = match self.kind {
            MediaKind::Audio => (
                true,
                Passes {
                    kept: true,
                    ends: false,
                },
            ),
            MediaKind::Video => {
                let was_too_high = epoch.spatial.is_too_high();
                let spatial = epoch.spatial.passes(meta.timestamp, meta.info);
                if was_too_high && !epoch.spatial.is_too_high() {
                    // The smaller picture has begun: it has all its motion again.
                    self.aim();
                    epoch = self.epoch.as_mut()?;
                }
                (epoch.temporal.passes(meta.timestamp, meta.info), spatial)
            }
        };
        let keep = !meta.empty && temporal && spatial.kept;
        let (seq, filler) = match epoch.numbers.map(meta.seq.0, keep) {
            Mapped::Forward(seq) => (seq, false),
            Mapped::Filler(seq) => (seq, true),
            Mapped::Dropped => {
                // Of a picture that only lacks its upper layers the number is used.
                if !temporal {
                    epoch.pictures.skip(meta.info.ids);
                }
                return None;
            }
            Mapped::Stale => return None,
            Mapped::Jump => return self.after_jump(now, meta),
        };
        let patch = if filler {
            None
        } else {
            epoch.pictures.map(meta.info.ids)
        };
        if let Some(patch) = patch {
            self.last_ids = Some(patch);
        }
        let frame_shift = epoch.frame_shift;
        if let Some(frame) = meta.info.frame_number.filter(|_| !filler) {
            let frame = frame.wrapping_add(frame_shift);
            let newer = |last: u16| frame.wrapping_sub(last) < 0x8000;
            self.last_frame = self.last_frame.filter(|last| !newer(*last)).or(Some(frame));
        }
        let timestamp = self.timeline.map(now, meta.timestamp);
        Some(Rewrite {
            seq: SeqNo(seq),
            timestamp,
            patch,
            frame_shift,
            ends: spatial.ends,
            filler,
        })
    }

    /// So much was lost that numbers start again; video has to wait for a keyframe.
    #[cold]
    fn after_jump(&mut self, now: Instant, meta: &Meta) -> Option<Rewrite> {
        self.end_epoch();
        if self.interest(meta) != Interest::Starts {
            return None;
        }
        self.start(now, meta, 0, None);
        self.forward(now, meta)
    }

    fn end_epoch(&mut self) {
        if let Some(epoch) = self.epoch.take() {
            self.next_seq = epoch.numbers.next();
            let room = MAX_UNFILLED.saturating_sub(self.unfilled.len());
            self.unfilled.extend(epoch.numbers.reserved().take(room));
            self.last_ids = epoch.pictures.last().or(self.last_ids);
        }
    }
}

#[cfg(test)]
mod tests;
