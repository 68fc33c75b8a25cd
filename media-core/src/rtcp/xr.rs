//! Extended reports (RFC 3611), read only: reference times (§4.4) and the answers to them (§4.5).

use crate::packet::Ssrc;
use crate::rtcp::frame::{Cursor, Frame, ParseError};
use crate::time::NtpTime;

/// Packet type.
pub(super) const PT: u8 = 207;
/// Receiver reference time report block.
const RRTR: u8 = 4;
/// DLRR report block.
const DLRR: u8 = 5;

/// An extended report as received; the framing of its blocks is checked.
#[derive(Debug, Clone, Copy)]
pub struct Xr<'a> {
    /// Who reports.
    pub sender: Ssrc,
    blocks: &'a [u8],
}

/// One block of an extended report.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Block<'a> {
    /// The receiver's wall clock, so that a sender of media can tell it the round trip time.
    ReceiverReferenceTime(NtpTime),
    /// Answers to reference times.
    Dlrr(Dlrr<'a>),
    /// Any other block.
    Other {
        /// Its type.
        block_type: u8,
    },
}

/// Answers to reference times.
#[derive(Debug, Clone, Copy)]
pub struct Dlrr<'a> {
    entries: &'a [u8],
}

/// The answer for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DlrrEntry {
    /// Who had sent the reference time.
    pub ssrc: Ssrc,
    /// The middle 32 bits of it.
    pub last_rr: u32,
    /// Time since it arrived, in 1/65536 s.
    pub delay_since_rr: u32,
}

impl<'a> Xr<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let xr = Self {
            sender: cursor.ssrc()?,
            blocks: cursor.rest,
        };
        while !cursor.rest.is_empty() {
            step(&mut cursor)?;
        }
        Ok(xr)
    }

    /// Its blocks, in the order of the wire.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut cursor = Cursor { rest: self.blocks };
        // Parsed before, so the only error is the end.
        std::iter::from_fn(move || step(&mut cursor).ok())
    }
}

impl<'a> Dlrr<'a> {
    /// The answers.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = DlrrEntry> + use<'a> {
        self.entries
            .as_chunks()
            .0
            .iter()
            .map(|&[s0, s1, s2, s3, r0, r1, r2, r3, d0, d1, d2, d3]| DlrrEntry {
                ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
                last_rr: u32::from_be_bytes([r0, r1, r2, r3]),
                delay_since_rr: u32::from_be_bytes([d0, d1, d2, d3]),
            })
    }
}

fn step<'a>(cursor: &mut Cursor<'a>) -> Result<Block<'a>, ParseError> {
    let (block_type, _specific, words) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    let body = cursor.bytes(usize::from(words) * 4)?;
    Ok(match block_type {
        RRTR => Block::ReceiverReferenceTime(NtpTime(Cursor { rest: body }.u64()?)),
        DLRR => Block::Dlrr(Dlrr { entries: body }),
        _ => Block::Other { block_type },
    })
}
