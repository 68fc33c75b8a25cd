//! WebM and Matroska (RFC 9559): clusters of a size that is known, so that a file is cut only between or inside the last.
//!
//! The Segment's size is unknown until the file is finished, which every player accepts. Times are milliseconds, as WebM
//! demands. See `layout` for what is filled at the end. Not here: attachments, chapters, tags, subtitles.

pub(crate) mod ebml;
pub(crate) mod layout;

pub use layout::DocType;

use super::index::{Entry, Index};
use super::interleave::{Batch, Interleaver};
use super::outbox::Outbox;
use super::steady::Steady;
use super::{FormatError, FragmentKind, MuxerConfig, Output, Pieces};
use crate::frame::{Frame, MediaTime, TrackFormat};
use layout::Layout;

/// `SimpleBlock`: one frame.
pub(crate) const SIMPLE_BLOCK: u32 = 0xa3;
/// `Timestamp` of a cluster.
pub(crate) const TIMESTAMP: u32 = 0xe7;
/// Block flag: a decoder can start here.
pub(crate) const KEYFRAME: u8 = 0x80;
/// The furthest that a block may be from its cluster's timestamp, in ms: it has 16 bits for it.
const FURTHEST: u64 = 32_767;
/// Longest head of a SimpleBlock: id, size, track, time, flags.
const BLOCK_HEAD: usize = 1 + 4 + 1 + 2 + 1;
/// Of a cluster: id, size of four bytes, and a timestamp of eight.
const CLUSTER_HEAD: usize = 4 + 4 + 10;

/// Makes a WebM or Matroska file. Used by way of [`super::Muxer`].
#[derive(Debug)]
pub struct WebM {
    layout: Layout,
    sound: Vec<Steady>,
    frames: Interleaver,
    index: Index,
    outbox: Outbox,
    reference: usize,
    pictures: Vec<bool>,
    end: MediaTime,
}

impl WebM {
    /// See [`super::Muxer::new`], which also checks the number of tracks.
    pub(super) fn new(doc_type: DocType, tracks: &[TrackFormat], config: &MuxerConfig) -> Result<Self, FormatError> {
        let (layout, header) = Layout::write(doc_type, tracks, config.index)?;
        let pictures: Vec<bool> = tracks.iter().map(is_video).collect();
        let mut outbox = Outbox::default();
        outbox.other(FragmentKind::Header, header, MediaTime::ZERO);
        Ok(Self {
            layout,
            sound: tracks.iter().map(Steady::new).collect(),
            frames: Interleaver::new(pictures.iter().copied(), config),
            index: Index::new(config.index),
            outbox,
            reference: pictures.iter().position(|video| *video).unwrap_or(0),
            pictures,
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
        let track = self.reference as u64 + 1;
        let patches = self.layout.patches(&self.index, track, self.end, self.outbox.len());
        self.outbox.patches(patches);
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outbox.poll()
    }

    /// One batch is one cluster, unless a block would be too far from its beginning.
    fn write(&mut self, batch: Batch) {
        let independent = batch.is_independent(&self.pictures);
        let (start, end) = (batch.start, batch.end);
        let mut starts = None;
        let at = batch.start.units(1000);
        let mut near = batch;
        let far = near
            .frames
            .iter()
            .position(|placed| placed.frame.at.units(1000) - at > FURTHEST)
            .map(|split| near.frames.split_off(split));
        for placed in &near.frames {
            if placed.track == self.reference {
                starts = placed.frame.keyframe.then_some(placed.frame.at);
                break;
            }
        }
        let pieces = cluster(at, near);
        let offset = self.outbox.media(pieces, start, end, independent);
        if let Some(at) = starts {
            self.index.push(Entry {
                at,
                offset,
                independent: true,
            });
        }
        self.end = self.end.max(end);
        if let Some(rest) = far.and_then(|rest| Batch::new(rest, Some(end))) {
            self.write(rest);
        }
    }
}

fn is_video(track: &TrackFormat) -> bool {
    matches!(track, TrackFormat::Video(_))
}

fn cluster(at: u64, batch: Batch) -> Pieces {
    let room = CLUSTER_HEAD + batch.frames.len() * BLOCK_HEAD + batch.small();
    let mut pieces = Pieces::with_capacity(room, batch.frames.len());
    let head = pieces.head();
    ebml::id(head, layout::CLUSTER);
    let size_at = head.len();
    ebml::wide_size(head, 0, 4);
    ebml::uint(head, TIMESTAMP, at);
    for placed in batch.frames {
        let head = pieces.head();
        ebml::id(head, SIMPLE_BLOCK);
        ebml::size(head, placed.frame.data.len() as u64 + 4);
        // Both fit: tracks are fewer than 127, and the caller has seen to the times.
        head.push(0x80 | u8::try_from(placed.track + 1).unwrap_or(0x7f));
        let ahead = i16::try_from(placed.frame.at.units(1000) - at).unwrap_or(i16::MAX);
        head.extend_from_slice(&ahead.to_be_bytes());
        head.push(if placed.frame.keyframe { KEYFRAME } else { 0 });
        pieces.push(placed.frame.data);
    }
    let mut size = Vec::with_capacity(4);
    ebml::wide_size(&mut size, (pieces.len() - size_at - 4) as u64, 4);
    pieces.head()[size_at..size_at + 4].copy_from_slice(&size);
    pieces
}
