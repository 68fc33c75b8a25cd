//! The report block that SR and RR carry (RFC 3550 §6.4.1): how one source was received.

use crate::packet::Ssrc;
use crate::rtcp::frame::Writer;

/// Bytes of a block on the wire.
pub(super) const LEN: usize = 24;
/// Largest cumulative loss that 24 bits with a sign hold.
const MAX_LOST: i32 = 0x7f_ffff;
/// Smallest one: duplicates can make it negative.
const MIN_LOST: i32 = -0x80_0000;

/// Reception of one source, as its receiver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source that is reported on.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning, less the duplicates; written as 24 bits, clamped.
    pub cumulative_lost: i32,
    /// Highest sequence number received; the upper 16 bits count the wraps.
    pub highest_seq: u32,
    /// Interarrival jitter, in units of the media clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last SR received, 0 without one.
    pub last_sr: u32,
    /// Time since that SR arrived, in 1/65536 s.
    pub delay_since_sr: u32,
}

impl ReportBlock {
    /// Reads one block; every 24 bytes are one.
    pub(super) fn read(bytes: &[u8; LEN]) -> Self {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let ssrc = Ssrc(next());
        let [fraction_lost, lost0, lost1, lost2] = next().to_be_bytes();
        Self {
            ssrc,
            fraction_lost,
            // Read into the upper three bytes, so that the shift carries the sign down.
            cumulative_lost: i32::from_be_bytes([lost0, lost1, lost2, 0]) >> 8,
            highest_seq: next(),
            jitter: next(),
            last_sr: next(),
            delay_since_sr: next(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        let [_, lost0, lost1, lost2] = self.cumulative_lost.clamp(MIN_LOST, MAX_LOST).to_be_bytes();
        writer.u32(self.ssrc.0)?;
        writer.bytes(&[self.fraction_lost, lost0, lost1, lost2])?;
        for word in [self.highest_seq, self.jitter, self.last_sr, self.delay_since_sr] {
            writer.u32(word)?;
        }
        Some(())
    }
}

/// The blocks in `bytes`, in the order of the wire.
pub(super) fn blocks(bytes: &[u8]) -> impl ExactSizeIterator<Item = ReportBlock> + use<'_> {
    bytes.as_chunks().0.iter().map(ReportBlock::read)
}
