//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): which
//! packets arrived, and when. Reading is here, writing in [`write()`]; what arrival times mean is not known here.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |                       SSRC of the sender                      |
//! |                       SSRC of the media                       |
//! |     base sequence number      |         packet count          |
//! |         reference time (24, signed, 64 ms)    | feedback count|
//! |  status chunk (16 bits each) … | arrival delta (8 or 16 bits) |  per packet that arrived, 250 µs
//! ```

mod chunk;
mod write;

pub use write::{Feedback, Written, write};

use crate::packet::Ssrc;
use crate::rtcp::frame::{Cursor, Frame, ParseError};
use chunk::{Chunk, Symbol};

/// Feedback format.
pub(super) const FMT: u8 = 15;
/// One step of an arrival delta, in µs.
const TICK: i64 = 250;
/// Steps in one unit of the reference time: 64 ms.
const REFERENCE_TICKS: i64 = 256;

/// A feedback message as received. Its chunks and deltas were found to be as many as it promises.
#[derive(Debug, Clone, Copy)]
pub struct TransportCc<'a> {
    /// Who received the packets.
    pub sender: Ssrc,
    /// One of the streams that they belong to.
    pub media: Ssrc,
    /// Transport-wide sequence number of the first packet that is reported on.
    pub base_seq: u16,
    /// How many packets are reported on.
    pub packet_count: u16,
    /// Reference time in units of 64 ms; wraps at 24 bits, after twelve days.
    pub reference: i32,
    /// Number of this message, so that a lost one is noticed; wraps.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportCc<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let (sender, media) = (cursor.ssrc()?, cursor.ssrc()?);
        let (base_seq, packet_count) = (cursor.u16()?, cursor.u16()?);
        let reference = cursor.u32()?;
        let body = cursor.rest;
        let (mut left, mut deltas) = (packet_count, 0);
        while left > 0 {
            let chunk = Chunk::new(cursor.u16()?);
            let count = chunk.len().min(left);
            deltas += chunk.delta_bytes(count).ok_or(ParseError::Reserved)?;
            left -= count;
        }
        let chunks = body.get(..body.len() - cursor.rest.len()).unwrap_or_default();
        Ok(Self {
            sender,
            media,
            base_seq,
            packet_count,
            // The shift carries the sign of 24 bits down and drops the count.
            reference: reference.cast_signed() >> 8,
            feedback_count: reference.to_be_bytes()[3],
            chunks,
            deltas: cursor.bytes(deltas)?,
        })
    }

    /// Every packet that is reported on, in order: its transport-wide sequence number, and when it arrived in µs since
    /// the reference time was 0; `None` for one that did not.
    ///
    /// Costs about 5 ns each. A few bytes can report 65535 packets lost: when only arrivals matter, use
    /// [`Self::received`], whose cost is bounded by the bytes.
    pub fn packets(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let mut walk = self.walk();
        std::iter::from_fn(move || walk.step())
    }

    /// The packets that arrived, as [`Self::packets`] gives them. Each took at least one byte of the message, and runs
    /// of lost packets are stepped over.
    pub fn received(&self) -> impl Iterator<Item = (u16, i64)> + use<'a> {
        let mut walk = self.walk();
        std::iter::from_fn(move || {
            loop {
                walk.skip_lost_run();
                if let (seq, Some(at)) = walk.step()? {
                    return Some((seq, at));
                }
            }
        })
    }

    fn walk(&self) -> Walk<'a> {
        Walk {
            chunks: Cursor { rest: self.chunks },
            deltas: Cursor { rest: self.deltas },
            chunk: Chunk::EMPTY,
            index: 0,
            left: self.packet_count,
            seq: self.base_seq,
            ticks: i64::from(self.reference) * REFERENCE_TICKS,
        }
    }
}

/// Walks over chunks and deltas at the same time.
#[derive(Debug)]
struct Walk<'a> {
    chunks: Cursor<'a>,
    deltas: Cursor<'a>,
    chunk: Chunk,
    /// Next symbol of `chunk`.
    index: u16,
    /// Packets not yet given.
    left: u16,
    seq: u16,
    ticks: i64,
}

impl Walk<'_> {
    fn step(&mut self) -> Option<(u16, Option<i64>)> {
        self.fetch()?;
        let delta = match self.chunk.symbol(self.index) {
            Symbol::Lost => None,
            Symbol::Small => Some(i64::from(self.deltas.u8().ok()?)),
            Symbol::Large => Some(i64::from(self.deltas.u16().ok()?.cast_signed())),
            Symbol::Reserved => return None,
        };
        self.ticks += delta.unwrap_or(0);
        let seq = self.seq;
        self.advance(1);
        Some((seq, delta.map(|_| self.ticks * TICK)))
    }

    /// Gets the next chunk when this one is used up; `None` at the end.
    fn fetch(&mut self) -> Option<()> {
        if self.left == 0 {
            return None;
        }
        while self.index >= self.chunk.len() {
            self.chunk = Chunk::new(self.chunks.u16().ok()?);
            self.index = 0;
        }
        Some(())
    }

    fn skip_lost_run(&mut self) {
        while self.fetch().is_some() && self.chunk.is_lost_run() {
            self.advance((self.chunk.len() - self.index).min(self.left));
        }
    }

    fn advance(&mut self, count: u16) {
        self.index += count;
        self.left -= count;
        self.seq = self.seq.wrapping_add(count);
    }
}
