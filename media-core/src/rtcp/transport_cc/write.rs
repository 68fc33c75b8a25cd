//! Writes transport-wide feedback in one pass and without memory of its own.
//!
//! Chunks stand before deltas, but how many chunks there will be is known only at the end. So chunks grow up from the
//! start of the room in the buffer and deltas grow down from its end, mirrored, and are turned round at last:
//!
//! ```text
//! | header | chunks →      free      ← deltas, mirrored |        while packets come
//! | header | chunks | deltas | pad |                             finished
//! ```

use crate::packet::Ssrc;
use crate::rtcp::RTPFB;
use crate::rtcp::frame::Writer;
use crate::rtcp::transport_cc::chunk::{Pending, Symbol};
use crate::rtcp::transport_cc::{FMT, REFERENCE_TICKS, TICK};

/// Bytes of a chunk.
const CHUNK: usize = 2;

/// What stands in front of the arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feedback {
    /// Who received the packets: we.
    pub sender: Ssrc,
    /// One of the streams that they belong to.
    pub media: Ssrc,
    /// Transport-wide sequence number of the first packet that is reported on.
    pub base_seq: u16,
    /// Number of this message; the caller adds one each time.
    pub feedback_count: u8,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the message in bytes.
    pub len: usize,
    /// Packets that it reports on, from `base_seq` on. With more to say, the next message starts at `base_seq + packets`.
    pub packets: u16,
}

/// Writes one feedback message at the start of `buf`.
///
/// `arrivals` are transport-wide sequence numbers in rising order (they may wrap) with the time of arrival in µs since
/// any epoch that stays the same; `None`, or leaving the number out, says that the packet is lost. A number that does
/// not rise is left out. Times are rounded down to 250 µs without drift.
///
/// Stops before the packet that does not fit any more: `buf` is full, 65535 packets are told, or the time to the packet
/// before it is more than 8.19 s. `None` when not one arrival was told: there is nothing to say, or `buf` has fewer
/// than 24 bytes.
///
/// About 10 ns per packet that arrived, next to nothing in a run of lost ones; no allocation.
#[must_use]
pub fn write(
    buf: &mut [u8],
    feedback: &Feedback,
    arrivals: impl Iterator<Item = (u16, Option<i64>)>,
) -> Option<Written> {
    let whole_words = buf.len() & !3;
    let mut writer = Writer::feedback(buf.get_mut(..whole_words)?, RTPFB, FMT, feedback.sender, feedback.media)?;
    writer.u16(feedback.base_seq)?;
    let fixed = writer.reserve(6)?;
    let mut builder = Builder::new(writer.space());
    for (seq, at) in arrivals {
        let skipped = seq.wrapping_sub(feedback.base_seq.wrapping_add(builder.packets));
        if skipped >= 0x8000 {
            continue;
        }
        let told = builder.lost(skipped)
            && match at {
                Some(at) => builder.received(at.div_euclid(TICK)),
                None => builder.lost(1),
            };
        if !told {
            break;
        }
    }
    let (packets, reference) = (builder.packets, builder.reference?);
    let len = builder.finish()?;
    writer.skip(len);
    let [.., r0, r1, r2] = reference.to_be_bytes();
    let [p0, p1] = packets.to_be_bytes();
    writer.patch(fixed, &[p0, p1, r0, r1, r2, feedback.feedback_count])?;
    writer.pad()?;
    Some(Written {
        len: writer.finish()?,
        packets,
    })
}

/// Chunks from one side, deltas from the other.
#[derive(Debug)]
struct Builder<'a> {
    space: &'a mut [u8],
    /// Where the next chunk goes.
    chunks: usize,
    /// Where the mirrored deltas begin.
    deltas: usize,
    pending: Pending,
    packets: u16,
    /// Of the first packet that arrived, in units of 64 ms.
    reference: Option<i64>,
    /// When the packet before arrived.
    ticks: i64,
}

impl<'a> Builder<'a> {
    fn new(space: &'a mut [u8]) -> Self {
        let deltas = space.len();
        Self {
            space,
            chunks: 0,
            deltas,
            pending: Pending::new(),
            packets: 0,
            reference: None,
            ticks: 0,
        }
    }

    /// Tells `count` lost packets, or as many of them as there is room for; whether it was all.
    fn lost(&mut self, count: u16) -> bool {
        let mut left = count.min(u16::MAX - self.packets);
        let all = left == count;
        while left > 0 {
            if self.make_room(Symbol::Lost, 0).is_none() {
                return false;
            }
            let taken = self.pending.add(Symbol::Lost, left);
            self.packets += taken;
            left -= taken;
        }
        all
    }

    /// Tells one packet that arrived; whether there was room.
    fn received(&mut self, ticks: i64) -> bool {
        self.try_received(ticks).is_some()
    }

    fn try_received(&mut self, ticks: i64) -> Option<()> {
        let packets = self.packets.checked_add(1)?;
        let reference = self.reference.unwrap_or_else(|| ticks.div_euclid(REFERENCE_TICKS));
        let before = if self.reference.is_some() {
            self.ticks
        } else {
            reference * REFERENCE_TICKS
        };
        let delta = ticks.checked_sub(before)?;
        if let Ok(delta) = u8::try_from(delta) {
            self.put_delta(Symbol::Small, &[delta])?;
        } else {
            self.put_delta(Symbol::Large, &i16::try_from(delta).ok()?.to_be_bytes())?;
        }
        (self.packets, self.reference, self.ticks) = (packets, Some(reference), ticks);
        Some(())
    }

    fn put_delta(&mut self, symbol: Symbol, delta: &[u8]) -> Option<()> {
        self.make_room(symbol, delta.len())?;
        self.pending.add(symbol, 1);
        for byte in delta {
            self.deltas -= 1;
            *self.space.get_mut(self.deltas)? = *byte;
        }
        Some(())
    }

    /// Makes sure that `symbol` can wait with the others and that a chunk for all that wait still fits with its delta.
    fn make_room(&mut self, symbol: Symbol, delta: usize) -> Option<()> {
        let full = !self.pending.can_add(symbol);
        let needed = if full { 2 * CHUNK } else { CHUNK } + delta;
        if self.chunks + needed > self.deltas {
            return None;
        }
        if full {
            let chunk = self.pending.emit();
            self.put_chunk(chunk)?;
        }
        Some(())
    }

    fn put_chunk(&mut self, chunk: u16) -> Option<()> {
        *self.space.get_mut(self.chunks..)?.first_chunk_mut()? = chunk.to_be_bytes();
        self.chunks += CHUNK;
        Some(())
    }

    /// Puts chunks and deltas together; the length of both.
    fn finish(mut self) -> Option<usize> {
        if !self.pending.is_empty() {
            self.put_chunk(self.pending.last())?;
        }
        self.space.get_mut(self.deltas..)?.reverse();
        let len = self.space.len() - self.deltas;
        self.space.copy_within(self.deltas.., self.chunks);
        Some(self.chunks + len)
    }
}
