//! Ogg with one track of Opus (RFC 3533, RFC 7845): pages of up to a fragment's time.
//!
//! Positions in such a file are the sum of all that was played before, so what is missing must be put in: empty packets,
//! for which a decoder plays what it thinks was there, or silence (RFC 7845 §4.1). A clock that runs slower than the
//! sender's is followed by leaving a packet out. Both happen only when time and position are 20 ms apart.
//!
//! Every packet is copied once: the checksum has to go over it anyway. Not here: other codecs, chained and multiplexed
//! streams.

pub(crate) mod page;

use std::time::Duration;

use althing_media_core::Codec;
use althing_media_core::payload::opus;

use super::outbox::Outbox;
use super::steady::empty;
use super::{Container, FormatError, FragmentKind, MuxerConfig, Output};
use crate::frame::{AudioFormat, Frame, MediaTime, TrackFormat};
use page::{FIRST, Head, LAST, MAX_SEGMENTS};

/// Samples per second of all positions, whatever the encoder was given.
const RATE: u32 = 48_000;
/// How far time and position may be apart before something is put in or left out: 20 ms.
const TOLERANCE: u64 = 960;
/// The longest gap that is filled with packets, some 30 kB an hour: 24 hours. What is longer is a jump in position.
const LONGEST_FILL: u64 = 24 * 3600 * 48_000;
/// A packet larger than this is no Opus (RFC 7845 §6 names 61 440 for a mono or stereo stream).
const MAX_PACKET: usize = 61_440;
/// The longest empty packet, 120 ms: 48 frames of 2.5 ms without bytes.
const LONGEST_EMPTY: u64 = 5_760;
/// The shortest, 2.5 ms.
const SHORTEST_EMPTY: u64 = 120;
/// Any number: a file holds one stream.
const SERIAL: u32 = 1;

/// `OpusHead` of a track (RFC 7845 §5.1); Matroska has it as `CodecPrivate`.
pub(crate) fn opus_head(audio: &AudioFormat) -> [u8; 19] {
    let mut head = [0; 19];
    head[..8].copy_from_slice(b"OpusHead");
    head[8] = 1;
    head[9] = audio.channels.clamp(1, 2);
    head[10..12].copy_from_slice(&audio.pre_skip.to_le_bytes());
    head[12..16].copy_from_slice(&audio.sample_rate.to_le_bytes());
    head
}

/// Makes an Ogg file. Used by way of [`super::Muxer`].
#[derive(Debug)]
pub struct Ogg {
    outbox: Outbox,
    /// Length of a page, in samples.
    fragment: u64,
    /// Packets for the next page: their segments, their bytes, and how many samples they are.
    table: Vec<u8>,
    body: Vec<u8>,
    samples: u64,
    /// End of all that was given out, in samples; counts the pre-skip.
    position: u64,
    pre_skip: u64,
    sequence: u32,
    /// The last packet: held back, so that something is left for the page that ends the stream.
    held: Option<(Frame, u32)>,
}

impl Ogg {
    /// See [`super::Muxer::new`].
    pub(super) fn new(tracks: &[TrackFormat], config: &MuxerConfig) -> Result<Self, FormatError> {
        let audio = match tracks {
            [TrackFormat::Audio(audio)] => audio,
            [TrackFormat::Video(video)] => return Err(FormatError::Codec(Container::Ogg, video.codec)),
            _ => return Err(FormatError::Tracks(tracks.len())),
        };
        if audio.codec != Codec::Opus {
            return Err(FormatError::Codec(Container::Ogg, audio.codec));
        }
        let mut header = Vec::new();
        let mut page = Head {
            flags: FIRST,
            granule: 0,
            serial: SERIAL,
            sequence: 0,
            crc: 0,
            segments: 1,
        };
        let head = opus_head(audio);
        page.write(&mut header, &[19], &head);
        // RFC 7845 §5.2: vendor, and no comments.
        let mut tags = b"OpusTags".to_vec();
        let vendor = b"althing";
        tags.extend_from_slice(&[7, 0, 0, 0]);
        tags.extend_from_slice(vendor);
        tags.extend_from_slice(&[0; 4]);
        page.flags = 0;
        page.sequence = 1;
        page.write(&mut header, &[23], &tags);
        let mut outbox = Outbox::default();
        outbox.other(FragmentKind::Header, header, MediaTime::ZERO);
        Ok(Self {
            outbox,
            fragment: samples(config.fragment),
            table: Vec::with_capacity(MAX_SEGMENTS),
            body: Vec::new(),
            samples: 0,
            position: 0,
            pre_skip: u64::from(audio.pre_skip),
            sequence: 2,
            held: None,
        })
    }

    pub(super) fn handle_frame(&mut self, frame: Frame) {
        // What is no Opus has no place: a player would not find its way behind it.
        let Some(duration) = opus::duration(&frame.data).filter(|_| frame.data.len() <= MAX_PACKET) else {
            return;
        };
        if let Some((frame, duration)) = self.held.replace((frame, duration)) {
            self.place(&frame, u64::from(duration));
        }
    }

    pub(super) fn flush(&mut self) {
        self.page(0);
    }

    pub(super) fn finish(&mut self) {
        if let Some((frame, duration)) = self.held.take() {
            self.place(&frame, u64::from(duration));
        }
        if self.table.is_empty() {
            self.empty(SHORTEST_EMPTY);
        }
        self.page(LAST);
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outbox.poll()
    }

    /// Puts a packet where its time is.
    fn place(&mut self, frame: &Frame, duration: u64) {
        let due = frame.at.units(RATE);
        let here = self.position + self.samples;
        if here > due.saturating_add(TOLERANCE) {
            return;
        }
        let mut gap = due.saturating_sub(here);
        if gap >= TOLERANCE {
            if gap > LONGEST_FILL {
                self.page(0);
                self.position = self.position.saturating_add(gap - LONGEST_FILL);
                gap = LONGEST_FILL;
            }
            while gap >= SHORTEST_EMPTY {
                let len = gap.min(LONGEST_EMPTY) / SHORTEST_EMPTY * SHORTEST_EMPTY;
                self.empty(len);
                gap -= len;
            }
        }
        self.packet(&frame.data, duration);
    }

    /// An empty packet: frames of 2.5 ms, of one length, which is zero (RFC 6716 §3.2.5).
    fn empty(&mut self, samples: u64) {
        let count = u8::try_from(samples / SHORTEST_EMPTY).unwrap_or(48).min(48);
        self.packet(&empty(count), u64::from(count) * SHORTEST_EMPTY);
    }

    fn packet(&mut self, data: &[u8], duration: u64) {
        let segments = data.len() / 255 + 1;
        if self.samples >= self.fragment || self.table.len() + segments > MAX_SEGMENTS {
            self.page(0);
        }
        self.table.extend(std::iter::repeat_n(255, segments - 1));
        self.table.push(u8::try_from(data.len() % 255).unwrap_or(0));
        self.body.extend_from_slice(data);
        self.samples += duration;
    }

    /// Gives out the packets that wait as one page.
    fn page(&mut self, flags: u8) {
        if self.table.is_empty() {
            return;
        }
        let start = self.time();
        self.position = self.position.saturating_add(self.samples);
        let head = Head {
            flags,
            granule: self.position,
            serial: SERIAL,
            sequence: self.sequence,
            crc: 0,
            segments: self.table.len(),
        };
        let mut out = Vec::with_capacity(page::HEAD + self.table.len() + self.body.len());
        head.write(&mut out, &self.table, &self.body);
        self.outbox.media(out.into(), start, self.time(), true);
        self.sequence = self.sequence.wrapping_add(1);
        self.table.clear();
        self.body.clear();
        self.samples = 0;
    }

    /// The position as a time.
    fn time(&self) -> MediaTime {
        let played = u128::from(self.position.saturating_sub(self.pre_skip));
        MediaTime(u64::try_from(played * 1_000_000_000 / u128::from(RATE)).unwrap_or(u64::MAX))
    }
}

fn samples(duration: Duration) -> u64 {
    MediaTime::new(duration).units(RATE)
}
