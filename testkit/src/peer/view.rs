//! What a viewer makes of the packets of one incoming stream: frames, whether they can be decoded, and whether the
//! stream looks like one that no router has touched.
//!
//! Knows packets by their [`Body`], so a byte that was changed, a packet of the wrong layer or one out of its place is
//! seen. It keeps every frame for the final [`Viewer::faults`]; not for runs of hours.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::body::Body;
use super::vp8::Vp8;

/// Pictures that are waited for: a picture that is this far behind can not be decoded any more.
const MAX_PENDING: usize = 256;
/// How far the media clock of consecutive frames may differ from their capture: one step of the RTP clock on each side
/// of a switch of encodings, and what a sender report is rounded by. In microseconds.
const CLOCK_TOLERANCE: i64 = 2_000;

/// A complete picture, or one packet of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// What it is.
    pub body: Body,
    /// Its VP8 numbers; `None` for sound.
    pub vp8: Option<Vp8>,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Extended sequence number of its first packet.
    pub seq: u64,
    /// Extended picture id, or sequence number for sound.
    pub order: u64,
    /// When it could be decoded.
    pub at: Instant,
}

/// Watches one stream.
#[derive(Debug)]
pub struct Viewer {
    clock_rate: u32,
    pending: BTreeMap<u64, Partial>,
    decoded: HashSet<(u8, u32)>,
    picture_id: Option<u64>,
    /// Pictures that came, but after a keyframe behind them had been decoded: skipped by the viewer's own choice.
    given_up: HashSet<u64>,
    /// The last keyframe that was decoded.
    floor: u64,
    shown: Vec<Shown>,
    /// How long each picture took to be whole, from its first packet on.
    whole: Vec<Duration>,
    /// Pictures of which a packet has come.
    begun: usize,
    /// When each frame of sound was there for the first time, in a packet of its own or in another.
    heard: BTreeMap<u32, Instant>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Partial {
    begun: Instant,
    body: Body,
    vp8: Vp8,
    timestamp: u32,
    seq: u64,
    have: HashSet<u16>,
    marker: bool,
}

impl Viewer {
    /// Watches a stream with this media clock.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            pending: BTreeMap::new(),
            decoded: HashSet::new(),
            picture_id: None,
            given_up: HashSet::new(),
            floor: 0,
            shown: Vec::new(),
            whole: Vec::new(),
            begun: 0,
            heard: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// A packet of sound has come, for the first time.
    pub fn on_sound(&mut self, now: Instant, seq: u64, timestamp: u32, body: Body) {
        self.on_redundancy(now, body);
        self.shown.push(Shown {
            body,
            vp8: None,
            timestamp,
            seq,
            order: seq,
            at: now,
        });
    }

    /// A frame of sound has come inside a packet of another.
    pub fn on_redundancy(&mut self, now: Instant, body: Body) {
        self.heard.entry(body.frame).or_insert(now);
    }

    /// Of so many frames of sound, one each `every`, so many were not there when who plays them `delay` after the network
    /// would have needed them: `(missed, of all)`.
    #[must_use]
    pub fn concealed(&self, every: Duration, delay: Duration) -> (usize, usize) {
        let Some(((&first, &start), (&last, _))) = self.heard.first_key_value().zip(self.heard.last_key_value()) else {
            return (0, 0);
        };
        let due = |frame: u32| start + every * (frame - first) + delay;
        let missed = (first..=last).filter(|frame| self.heard.get(frame).is_none_or(|at| *at > due(*frame)));
        (missed.count(), (last - first + 1) as usize)
    }

    /// A packet of a picture has come, for the first time.
    pub fn on_picture(&mut self, now: Instant, seq: u64, timestamp: u32, marker: bool, (vp8, body): (Vp8, Body)) {
        let order = self.extend(vp8.picture_id);
        if order < self.floor {
            self.given_up.insert(order);
            return;
        }
        let first = seq.wrapping_sub(u64::from(body.index));
        let begun = &mut self.begun;
        let partial = self.pending.entry(order).or_insert_with(|| {
            *begun += 1;
            Partial {
                begun: now,
                body,
                vp8,
                timestamp,
                seq: first,
                have: HashSet::new(),
                marker: false,
            }
        });
        let same = (partial.body.encoding, partial.body.frame) == (body.encoding, body.frame);
        if !same || partial.timestamp != timestamp || partial.vp8.tl0_pic_idx != vp8.tl0_pic_idx {
            self.faults.push(Fault::MixedPicture { order });
            return;
        }
        if partial.seq != first {
            self.faults.push(Fault::PacketOutOfPlace {
                order,
                index: body.index,
            });
        }
        if marker != (body.index + 1 == body.count) {
            self.faults.push(Fault::Marker { order });
        }
        partial.vp8.keyframe |= vp8.keyframe;
        partial.marker |= marker;
        if partial.have.insert(body.index) && partial.have.len() == usize::from(body.count) {
            self.whole.push(now.saturating_duration_since(partial.begun));
        }
        self.decode(now);
    }

    /// All that could be decoded, in the order of that.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// How many pictures were whole within `delay` after their first packet had come, and of how many a packet came.
    #[must_use]
    pub fn whole_within(&self, delay: Duration) -> (usize, usize) {
        let whole = self.whole.iter().filter(|took| **took <= delay).count();
        (whole, self.begun)
    }

    /// Whether pictures come and none can be decoded: a browser would ask for a keyframe.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.pending.len() > 8
    }

    /// The longest time from one picture to the next.
    #[must_use]
    pub fn longest_freeze(&self) -> Duration {
        self.shown
            .windows(2)
            .map(|pair| pair[1].at.saturating_duration_since(pair[0].at))
            .max()
            .unwrap_or_default()
    }

    /// All in which the stream differs from one that comes straight from a camera or microphone, of a stream that was
    /// wholly received: see [`Fault`].
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = self.faults.clone();
        let mut shown: Vec<&Shown> = self.shown.iter().collect();
        shown.sort_by_key(|shown| shown.order);
        for pair in shown.windows(2) {
            self.compare(pair[0], pair[1], &mut faults);
        }
        faults
    }

    fn compare(&self, before: &Shown, after: &Shown, faults: &mut Vec<Fault>) {
        let order = after.order;
        let missing = before.order + 1..after.order;
        let skipped = missing.clone().any(|order| !self.given_up.contains(&order));
        if skipped {
            faults.push(Fault::Skipped {
                order,
                count: after.order - before.order - 1,
            });
        }
        if after.seq <= before.seq {
            faults.push(Fault::PacketOutOfPlace { order, index: 0 });
        }
        #[expect(clippy::cast_possible_wrap, reason = "modular distance, RFC 1982")]
        let units = i64::from(after.timestamp.wrapping_sub(before.timestamp) as i32);
        if units <= 0 {
            faults.push(Fault::TimestampBack { order, units });
        }
        let media = units * 1_000_000 / i64::from(self.clock_rate);
        let capture =
            i64::try_from(after.body.captured).unwrap_or(0) - i64::try_from(before.body.captured).unwrap_or(0);
        if (media - capture).abs() > CLOCK_TOLERANCE {
            faults.push(Fault::ClockJump { order, media, capture });
        }
        if let (Some(before), Some(after)) = (before.vp8, after.vp8) {
            let base = u8::from(after.tid == 0);
            if after.tl0_pic_idx != before.tl0_pic_idx.wrapping_add(base) && missing.is_empty() {
                faults.push(Fault::BaseLayerIndex {
                    order,
                    before: before.tl0_pic_idx,
                    after: after.tl0_pic_idx,
                });
            }
        }
    }

    fn extend(&mut self, picture_id: u16) -> u64 {
        let highest = self.picture_id.unwrap_or_else(|| 0x8000 + u64::from(picture_id));
        let ahead = u64::from(picture_id).wrapping_sub(highest) & 0x7fff;
        let extended = if ahead < 0x4000 {
            highest + ahead
        } else {
            highest + ahead - 0x8000
        };
        self.picture_id = Some(highest.max(extended));
        extended
    }

    /// Decodes what is complete and whose reference is there, until nothing more can be.
    fn decode(&mut self, now: Instant) {
        while let Some((&order, _)) = self.pending.iter().find(|(_, partial)| {
            let complete = partial.have.len() == usize::from(partial.body.count) && partial.marker;
            let reference = (partial.body.encoding, partial.body.reference);
            complete && (partial.vp8.keyframe || self.decoded.contains(&reference))
        }) {
            let Some(Partial {
                body,
                vp8,
                timestamp,
                seq,
                ..
            }) = self.pending.remove(&order)
            else {
                return;
            };
            self.decoded.insert((body.encoding, body.frame));
            self.shown.push(Shown {
                body,
                vp8: Some(vp8),
                timestamp,
                seq,
                order,
                at: now,
            });
            if vp8.keyframe {
                // Whatever came before it and was not whole is of no use any more.
                let still_useful = self.pending.split_off(&order);
                self.given_up.extend(self.pending.keys());
                self.pending = still_useful;
                self.floor = order;
            }
        }
        while self.pending.len() > MAX_PENDING {
            self.pending.pop_first();
        }
    }
}

/// In what a stream differs from one that comes straight from a camera. `order` is the extended picture id, or the
/// sequence number of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Packets of different pictures have the same picture id, or those of one picture do not agree.
    MixedPicture {
        /// Which picture.
        order: u64,
    },
    /// The sequence number of a packet does not fit its place in the picture, or the order of pictures.
    PacketOutOfPlace {
        /// Which picture.
        order: u64,
        /// Which packet of it.
        index: u16,
    },
    /// The marker is missing on the last packet of a picture, or stands on another.
    Marker {
        /// Which picture.
        order: u64,
    },
    /// Pictures are missing, by their ids.
    Skipped {
        /// The picture behind the gap.
        order: u64,
        /// How many are missing.
        count: u64,
    },
    /// The timestamp did not move forward.
    TimestampBack {
        /// Which picture.
        order: u64,
        /// How far it moved.
        units: i64,
    },
    /// The media clock did not move like the time of capture.
    ClockJump {
        /// Which picture.
        order: u64,
        /// Microseconds by timestamps.
        media: i64,
        /// Microseconds by capture.
        capture: i64,
    },
    /// `TL0PICIDX` does not count the base layer.
    BaseLayerIndex {
        /// Which picture.
        order: u64,
        /// Of the picture before.
        before: u8,
        /// Of this one.
        after: u8,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
