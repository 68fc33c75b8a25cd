//! Packets in order become frames of one codec; pictures begin with a keyframe, and again after every loss.
//!
//! A picture ends with the RTP marker. Whatever misses a packet is dropped, and all that may refer to it, up to the next
//! keyframe, or where the layers are known ([`super::layers`]) up to the next picture that does not: what is recorded decodes
//! without artefacts. A picture whose end does not come though no number is missing has
//! been left in the middle, by a router that goes to another encoding.

use std::time::{Duration, Instant};

use althing_media_core::payload::opus;
use althing_media_core::{Codec, Packet};
use bytes::{Bytes, BytesMut};

use super::av1::Av1;
use super::depacketize::{Depacketize, Torn};
use super::h264::H264;
use super::layers::{Layers, Seen, Verdict};
use super::reorder::Ordered;
use super::vp8::Vp8;
use super::vp9::Vp9;
use crate::frame::{AudioFormat, TrackFormat};

/// The longest frame, in bytes; what is longer is no frame but an attack.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;
/// The decoder's own settling (RFC 7845 §4.2), in samples at 48 kHz.
const OPUS_PRE_SKIP: u16 = 312;

/// A whole frame, not yet placed in time.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) timestamp: u32,
    /// When its first packet came.
    pub(super) arrival: Instant,
    pub(super) keyframe: bool,
    pub(super) duration: Option<Duration>,
    pub(super) data: Bytes,
    /// The format changes with this frame.
    pub(super) format: Option<TrackFormat>,
    /// Frames before this one are missing.
    pub(super) after_loss: bool,
}

/// A picture of which packets are still to come.
#[derive(Debug)]
struct Partial {
    timestamp: u32,
    arrival: Instant,
    torn: bool,
}

/// Puts together the frames of one SSRC.
#[derive(Debug)]
pub(super) struct Assembler {
    codec: Codec,
    /// `None` for sound.
    pictures: Option<Box<dyn Depacketize>>,
    layers: Layers,
    partial: Option<Partial>,
    buffer: BytesMut,
    /// Of this picture nothing is wanted.
    skipped: Option<u32>,
    /// When the last whole picture was taken.
    last: Option<u32>,
    /// Since then a packet came that may stand for a picture that a router could not get.
    gap: bool,
    /// Only a keyframe will do.
    waits: bool,
    after_loss: bool,
    format: Option<TrackFormat>,
}

impl Assembler {
    /// `descriptor`: the id of the dependency descriptor's extension.
    pub(super) fn new(codec: Codec, descriptor: Option<u8>) -> Self {
        let pictures: Option<Box<dyn Depacketize>> = match codec {
            Codec::Vp8 => Some(Box::new(Vp8)),
            Codec::Vp9 => Some(Box::<Vp9>::default()),
            Codec::H264 => Some(Box::<H264>::default()),
            Codec::Av1 => Some(Box::<Av1>::default()),
            _ => None,
        };
        Self {
            codec,
            waits: pictures.is_some(),
            pictures,
            layers: Layers::new(codec, descriptor),
            partial: None,
            buffer: BytesMut::new(),
            skipped: None,
            last: None,
            gap: false,
            after_loss: false,
            format: None,
        }
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    /// Whether nothing can come of any packet but those of a keyframe that has not begun.
    pub(super) fn waits_for_keyframe(&self) -> bool {
        self.waits && self.partial.as_ref().is_none_or(|partial| partial.torn)
    }

    /// What follows cannot be joined to what was.
    pub(super) fn restart(&mut self) {
        self.partial = None;
        self.buffer.clear();
        self.layers.forget();
        self.waits = self.pictures.is_some();
    }

    /// As [`Self::restart`], after something was lost.
    pub(super) fn tear(&mut self) {
        self.restart();
        self.after_loss = true;
    }

    /// Takes the next packet and gives the frame that it completes.
    pub(super) fn push(&mut self, ordered: &Ordered) -> Option<Assembled> {
        if ordered.after_loss {
            self.lose();
        }
        let view = ordered.packet.view();
        let payload = view.payload();
        if payload.is_empty() {
            // Padding belongs between pictures, with the time of the one before. Otherwise it stands for a packet that a router
            // could not get; between pictures, for a whole one.
            if self.partial.is_some() {
                self.lose();
            } else {
                self.gap |= ![self.last, self.skipped].contains(&Some(view.timestamp()));
            }
            return None;
        }
        if self.pictures.is_none() {
            return self.sound(ordered);
        }
        let timestamp = view.timestamp();
        if self
            .partial
            .as_ref()
            .is_some_and(|partial| partial.timestamp != timestamp)
        {
            self.lose();
        }
        if self.skipped.is_some_and(|skipped| skipped == timestamp) {
            return None;
        }
        let seen = self.layers.look(&view);
        if self.partial.is_none() && !self.begin(timestamp, ordered.arrival, &seen) {
            return None;
        }
        if self.layers.judge_layer(&seen) != Verdict::Follows {
            self.lose();
            self.skipped = Some(timestamp);
            return None;
        }
        self.append(ordered.arrival, payload, &seen);
        if view.marker() { self.finish() } else { None }
    }

    /// Packets are missing: the picture that they were of is, and what refers to it.
    fn lose(&mut self) {
        self.partial = None;
        self.buffer.clear();
        self.waits |= self.pictures.is_some() && !self.layers.lose();
        self.after_loss = true;
    }

    fn begin(&mut self, timestamp: u32, arrival: Instant, seen: &Seen) -> bool {
        if std::mem::take(&mut self.gap) && !self.layers.continues(seen) {
            self.lose();
        }
        if self.waits && !seen.is_keyframe() {
            return false;
        }
        match self.layers.judge(seen) {
            Verdict::Follows => {}
            Verdict::Skip => {
                self.skipped = Some(timestamp);
                return false;
            }
            Verdict::Broken => {
                self.waits = true;
                return false;
            }
        }
        self.buffer.clear();
        self.skipped = None;
        self.layers.begin();
        if let Some(pictures) = &mut self.pictures {
            pictures.begin();
        }
        let torn = false;
        self.partial = Some(Partial {
            timestamp,
            arrival,
            torn,
        });
        true
    }

    fn append(&mut self, arrival: Instant, payload: &[u8], seen: &Seen) {
        let (Some(partial), Some(pictures)) = (&mut self.partial, &mut self.pictures) else {
            return;
        };
        if partial.torn {
            return;
        }
        partial.arrival = partial.arrival.min(arrival);
        self.layers.take(seen);
        let fits = self.buffer.len() + payload.len() <= MAX_FRAME;
        if !fits || pictures.push(payload, &mut self.buffer) == Err(Torn) {
            partial.torn = true;
            self.waits = true;
            self.after_loss = true;
            self.buffer = BytesMut::new();
            // What a picture keeps of its own goes as well.
            pictures.begin();
        }
    }

    fn finish(&mut self) -> Option<Assembled> {
        let partial = self.partial.take()?;
        let pictures = self.pictures.as_mut()?;
        if partial.torn {
            return None;
        }
        let Ok(picture) = pictures.finish(&mut self.buffer) else {
            self.lose();
            return None;
        };
        if self.waits && picture.keyframe.is_none() {
            return None;
        }
        self.waits = false;
        let keyframe = picture.keyframe.is_some();
        self.layers.keep(keyframe);
        self.last = Some(partial.timestamp);
        let format = picture.keyframe.map(TrackFormat::Video);
        Some(Assembled {
            timestamp: partial.timestamp,
            arrival: partial.arrival,
            keyframe,
            duration: None,
            data: self.buffer.split().freeze(),
            format: format.and_then(|format| self.changed(format)),
            after_loss: std::mem::take(&mut self.after_loss),
        })
    }

    /// A packet of sound is a frame.
    fn sound(&mut self, ordered: &Ordered) -> Option<Assembled> {
        let data = packet_payload(&ordered.packet);
        let (duration, format) = match self.codec {
            Codec::Opus => {
                let samples = opus::duration(&data)?;
                let format = AudioFormat {
                    codec: Codec::Opus,
                    // A sender may go from one to two at any time, and a decoder makes two of one.
                    channels: 2,
                    sample_rate: 48_000,
                    pre_skip: OPUS_PRE_SKIP,
                };
                (nanos(u64::from(samples), 48_000), format)
            }
            codec => {
                let format = AudioFormat {
                    codec,
                    channels: 1,
                    sample_rate: if codec == Codec::G722 { 16_000 } else { 8_000 },
                    pre_skip: 0,
                };
                (nanos(data.len() as u64, 8_000), format)
            }
        };
        Some(Assembled {
            timestamp: ordered.packet.view().timestamp(),
            arrival: ordered.arrival,
            keyframe: true,
            duration: Some(duration),
            data,
            format: self.changed(TrackFormat::Audio(format)),
            after_loss: std::mem::take(&mut self.after_loss),
        })
    }

    fn changed(&mut self, format: TrackFormat) -> Option<TrackFormat> {
        if self.format.as_ref() == Some(&format) {
            return None;
        }
        self.format = Some(format.clone());
        Some(format)
    }

    /// Bytes of the picture that is being put together.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity() + self.pictures.as_ref().map_or(0, |pictures| pictures.held())
    }
}

/// A copy: a packet of sound is small, and must not hold the slab that it lies in until a disk has taken it.
fn packet_payload(packet: &Packet) -> Bytes {
    Bytes::copy_from_slice(packet.view().payload())
}

fn nanos(units: u64, rate: u64) -> Duration {
    Duration::from_nanos(units * 1_000_000_000 / rate)
}
