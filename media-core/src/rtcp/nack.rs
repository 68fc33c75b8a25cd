//! Generic NACK (RFC 4585 §6.2.1): packets that are missed.
//!
//! ```text
//! | first lost (PID, 16 bits) | bit i: PID + i + 1 is lost too (BLP, 16 bits) |   × n
//! ```

use crate::packet::Ssrc;
use crate::rtcp::RTPFB;
use crate::rtcp::frame::{Frame, ParseError, Writer};

/// Feedback format.
pub(super) const FMT: u8 = 1;

/// A NACK as received.
#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    /// Who misses the packets.
    pub sender: Ssrc,
    /// The stream that they belong to.
    pub media: Ssrc,
    pairs: &'a [u8],
}

impl<'a> Nack<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let (sender, media) = (cursor.ssrc()?, cursor.ssrc()?);
        // At least one pair (RFC 4585 §6.2.1).
        match cursor.rest.len() {
            0..4 => Err(ParseError::Truncated),
            _ => Ok(Self {
                sender,
                media,
                pairs: cursor.rest,
            }),
        }
    }

    /// The sequence numbers, in the order of the wire: at most 17 for each four bytes, so fewer than 6400 in a
    /// datagram of 1500. Nothing keeps a peer from naming the same number many times.
    pub fn lost(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.pairs.as_chunks().0.iter().flat_map(|&[pid0, pid1, blp0, blp1]| {
            let (pid, blp) = (u16::from_be_bytes([pid0, pid1]), u16::from_be_bytes([blp0, blp1]));
            let more = (0..16)
                .filter(move |bit| blp >> bit & 1 != 0)
                .map(move |bit: u16| pid.wrapping_add(bit + 1));
            std::iter::once(pid).chain(more)
        })
    }
}

/// Writes a NACK at the start of `buf`: its length, and how many of the `lost` numbers it took before `buf` was full.
///
/// `lost` rises (it may wrap); then the pairs are as few as can be. `None` when nothing is lost or not one fits.
#[must_use]
pub fn write(buf: &mut [u8], sender: Ssrc, media: Ssrc, lost: impl Iterator<Item = u16>) -> Option<(usize, usize)> {
    let mut writer = Writer::feedback(buf, RTPFB, FMT, sender, media)?;
    let mut lost = lost.peekable();
    let mut taken = 0;
    while let Some(pid) = lost.next() {
        let (mut blp, mut in_pair) = (0_u16, 1);
        while let Some(bit) = lost.next_if(|seq| (1..=16).contains(&seq.wrapping_sub(pid))) {
            blp |= 1 << (bit.wrapping_sub(pid) - 1);
            in_pair += 1;
        }
        if writer.u32(u32::from(pid) << 16 | u32::from(blp)).is_none() {
            break;
        }
        taken += in_pair;
    }
    (taken > 0).then_some(())?;
    Some((writer.finish()?, taken))
}
