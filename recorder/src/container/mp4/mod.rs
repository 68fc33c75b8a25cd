//! Fragmented MP4 (ISO/IEC 14496-12 §8.8): `moof` and `mdat` of up to a second each, so that a file is cut only between or
//! inside the last.
//!
//! The boxes are written by some three hundred lines here and not by a library: the libraries for it make a fragment from a
//! list of samples with a description each, hold every place to start for ever, and have no room for what is filled at
//! the end. One of them, by other people, reads our files in the tests.
//!
//! See `layout` for what is filled at the end. Not here: encryption, text, chapters.

pub(crate) mod boxes;
pub(crate) mod layout;

use super::index::{Entry, Index};
use super::interleave::{Batch, Interleaver};
use super::outbox::Outbox;
use super::steady::Steady;
use super::{FormatError, FragmentKind, MuxerConfig, Output, Pieces};
use crate::frame::{Frame, MediaTime, TrackFormat};
use boxes::{boxed, full, put32, put64};
use layout::{Layout, NO_SYNC, Reference, SYNC};

/// `tfhd`: offsets are counted from the beginning of this `moof`.
const BASE_IS_MOOF: u32 = 0x02_0000;
/// `trun`: where the data is; and for each sample its duration, size, flags.
const DATA_OFFSET: u32 = 0x01;
pub(crate) const DURATIONS: u32 = 0x100;
const SIZES: u32 = 0x200;
const FLAGS: u32 = 0x400;

/// Makes an MP4 file. Used by way of [`super::Muxer`].
#[derive(Debug)]
pub struct Mp4 {
    layout: Layout,
    sound: Vec<Steady>,
    frames: Interleaver,
    index: Index,
    outbox: Outbox,
    tracks: Vec<Track>,
    pictures: Vec<bool>,
    reference: usize,
    sequence: u32,
    end: MediaTime,
}

#[derive(Debug, Clone, Copy)]
struct Track {
    timescale: u32,
    video: bool,
}

impl Mp4 {
    /// See [`super::Muxer::new`], which also checks the number of tracks.
    pub(super) fn new(tracks: &[TrackFormat], config: &MuxerConfig) -> Result<Self, FormatError> {
        let (layout, header) = Layout::write(tracks, config.index)?;
        let sound = tracks.iter().map(Steady::new).collect();
        let tracks: Vec<Track> = tracks
            .iter()
            .map(|track| Track {
                timescale: layout::timescale(track),
                video: matches!(track, TrackFormat::Video(_)),
            })
            .collect();
        let pictures: Vec<bool> = tracks.iter().map(|track| track.video).collect();
        let mut outbox = Outbox::default();
        outbox.other(FragmentKind::Header, header, MediaTime::ZERO);
        Ok(Self {
            layout,
            sound,
            frames: Interleaver::new(pictures.iter().copied(), config),
            index: Index::new(config.index),
            outbox,
            reference: pictures.iter().position(|video| *video).unwrap_or(0),
            tracks,
            pictures,
            sequence: 0,
            end: MediaTime::ZERO,
        })
    }

    pub(super) fn handle_frame(&mut self, track: usize, frame: Frame) {
        if let Some(sound) = self.sound.get_mut(track) {
            sound.place(frame, |frame| self.frames.push(track, frame));
        }
        while let Some(batch) = self.frames.cut() {
            self.write(batch);
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(batch) = self.frames.rest() {
            self.write(batch);
        }
    }

    pub(super) fn finish(&mut self) {
        self.flush();
        let reference = Reference {
            number: number(self.reference),
            timescale: self.tracks[self.reference].timescale,
        };
        let media_end = self.outbox.len();
        let mfra = layout::mfra(&self.index, reference);
        self.outbox.other(FragmentKind::Trailer, mfra, self.end);
        let patches = self.layout.patches(&self.index, reference, self.end, media_end);
        self.outbox.patches(patches);
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outbox.poll()
    }

    fn write(&mut self, batch: Batch) {
        self.sequence = self.sequence.wrapping_add(1);
        let independent = batch.is_independent(&self.pictures);
        let reference = batch.frames.iter().find(|placed| placed.track == self.reference);
        // Players go from one place of the index to the next, so that what stands before the first picture needs one too.
        let indexed = independent || reference.is_none() || self.index.entries().is_empty();
        let at = reference.map_or(batch.start, |placed| placed.frame.at);
        let (start, end) = (batch.start, batch.end);
        let pieces = fragment(self.sequence, &self.tracks, batch);
        let offset = self.outbox.media(pieces, start, end, independent);
        if indexed {
            self.index.push(Entry {
                at,
                offset,
                independent,
            });
        }
        self.end = self.end.max(end);
    }
}

/// The number of a track in the file.
fn number(track: usize) -> u32 {
    u32::try_from(track + 1).unwrap_or(u32::MAX)
}

/// One `moof` with its `mdat`, in which the frames of one track stand one behind the other.
fn fragment(sequence: u32, tracks: &[Track], mut batch: Batch) -> Pieces {
    // Stable: within a track the order of time stays.
    batch.frames.sort_by_key(|placed| placed.track);
    let frames = &batch.frames;
    let room = 128 + 80 * tracks.len() + 12 * frames.len() + batch.small();
    let mut pieces = Pieces::with_capacity(room, frames.len());
    let head = pieces.head();
    let mut offsets = Vec::with_capacity(tracks.len());
    let mut media = 0_u32;
    boxed(head, *b"moof", |out| {
        full(out, *b"mfhd", 0, 0, |out| put32(out, sequence));
        for run in frames.chunk_by(|one, next| one.track == next.track) {
            let index = run[0].track;
            let Track { timescale, video } = tracks[index];
            boxed(out, *b"traf", |out| {
                full(out, *b"tfhd", 0, BASE_IS_MOOF, |out| put32(out, number(index)));
                full(out, *b"tfdt", 1, 0, |out| put64(out, run[0].frame.at.units(timescale)));
                let flags = DATA_OFFSET | DURATIONS | SIZES | if video { FLAGS } else { 0 };
                full(out, *b"trun", 0, flags, |out| {
                    put32(out, u32::try_from(run.len()).unwrap_or(u32::MAX));
                    offsets.push((out.len(), media));
                    put32(out, 0);
                    for placed in run {
                        let ticks = placed
                            .until
                            .units(timescale)
                            .saturating_sub(placed.frame.at.units(timescale));
                        // A frame is no larger than `MAX_FRAME`, a fragment than that and `FRAGMENT_BYTES`.
                        let size = u32::try_from(placed.frame.data.len()).unwrap_or(u32::MAX);
                        put32(out, u32::try_from(ticks).unwrap_or(u32::MAX));
                        put32(out, size);
                        if video {
                            put32(out, if placed.frame.keyframe { SYNC } else { NO_SYNC });
                        }
                        media = media.saturating_add(size);
                    }
                });
            });
        }
    });
    let data = u32::try_from(head.len()).unwrap_or(u32::MAX) + 8;
    for (at, offset) in offsets {
        head[at..at + 4].copy_from_slice(&(data + offset).to_be_bytes());
    }
    put32(head, media + 8);
    head.extend_from_slice(b"mdat");
    for placed in batch.frames {
        pieces.push(placed.frame.data);
    }
    pieces
}

/// How much of the beginning of a file a player needs that gets the fragments elsewhere: `ftyp` and `moov`.
#[must_use]
pub fn init_len(header: &[u8]) -> usize {
    let moov = boxes::children(header).find(|(kind, ..)| kind == b"moov");
    moov.map_or(0, |(_, at, inside)| at + 8 + inside.len())
}
