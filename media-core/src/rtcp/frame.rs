//! The header that all RTCP messages share (RFC 3550 §6.4.1), read and written.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P| count/fmt |  packet type  |  length in words, minus one |
//! |                  body … | padding, count of it                |  if P
//! ```

use crate::packet::Ssrc;

/// Most report blocks, SDES chunks or BYE sources in one message: what five bits can count.
pub const MAX_COUNT: usize = 31;
/// Bytes of the common header.
const HEADER: usize = 4;

/// Why bytes are not RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// Ends before what its length, count or own fields promise.
    Truncated,
    /// Version is not 2.
    Version,
    /// The padding count is zero or larger than the body.
    Padding,
    /// Uses a value that its specification reserves.
    Reserved,
}

/// One framed message: its body without header and padding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) count: u8,
    pub(super) packet_type: u8,
    pub(super) body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Cuts the first message off `bytes`. Padding is taken off wherever it stands: senders pad single messages in
    /// the middle of a compound packet, though RFC 3550 §6.4.1 wants it only in the last.
    pub(super) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        let Some(&[first, packet_type, words0, words1]) = bytes.first_chunk() else {
            return Err(ParseError::Truncated);
        };
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let len = HEADER + usize::from(u16::from_be_bytes([words0, words1])) * 4;
        let Some((message, rest)) = bytes.split_at_checked(len) else {
            return Err(ParseError::Truncated);
        };
        let mut body = message.get(HEADER..).unwrap_or_default();
        if first & 0x20 != 0 {
            let padding = usize::from(body.last().copied().unwrap_or(0));
            match body.len().checked_sub(padding).and_then(|len| body.get(..len)) {
                Some(unpadded) if padding > 0 => body = unpadded,
                _ => return Err(ParseError::Padding),
            }
        }
        Ok((
            Self {
                count: first & 0x1f,
                packet_type,
                body,
            },
            rest,
        ))
    }

    pub(super) fn cursor(self) -> Cursor<'a> {
        Cursor { rest: self.body }
    }
}

/// Reads big-endian fields one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(*chunk)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ParseError> {
        self.chunk().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, ParseError> {
        self.chunk().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, ParseError> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, ParseError> {
        self.chunk().map(u64::from_be_bytes)
    }

    pub(super) fn ssrc(&mut self) -> Result<Ssrc, ParseError> {
        self.u32().map(Ssrc)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ParseError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(ParseError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// Writes one message at the start of a caller's buffer. Every step gives `None` when it does not fit.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Starts a message; its length is filled in by [`Self::finish`]. `None` also when `count` needs more than five bits.
    pub(super) fn new(buf: &'a mut [u8], packet_type: u8, count: usize) -> Option<Self> {
        let count = u8::try_from(count)
            .ok()
            .filter(|count| usize::from(*count) <= MAX_COUNT)?;
        *buf.first_chunk_mut()? = [0x80 | count, packet_type, 0, 0];
        Some(Self { buf, at: HEADER })
    }

    /// Starts a feedback message (RFC 4585 §6.1).
    pub(super) fn feedback(buf: &'a mut [u8], packet_type: u8, fmt: u8, sender: Ssrc, media: Ssrc) -> Option<Self> {
        let mut writer = Self::new(buf, packet_type, usize::from(fmt))?;
        writer.u32(sender.0)?;
        writer.u32(media.0)?;
        Some(writer)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at + bytes.len();
        self.buf.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    pub(super) fn u8(&mut self, value: u8) -> Option<()> {
        self.bytes(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    /// Leaves `len` bytes to be filled by [`Self::patch`]; where they begin.
    pub(super) fn reserve(&mut self, len: usize) -> Option<usize> {
        let at = self.at;
        self.buf.get(at..at + len)?;
        self.skip(len);
        Some(at)
    }

    pub(super) fn patch(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        self.buf.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    /// All that is left of the buffer; [`Self::skip`] over what was written there.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.buf.get_mut(self.at..).unwrap_or_default()
    }

    pub(super) fn skip(&mut self, len: usize) {
        self.at += len;
    }

    /// Zeroes up to the next whole word: part of the body, not padding.
    pub(super) fn align(&mut self) -> Option<()> {
        self.bytes([0; 3].get(..self.at.next_multiple_of(4) - self.at)?)
    }

    /// Fills the last word with padding that is declared as such.
    pub(super) fn pad(&mut self) -> Option<()> {
        let padding = self.at.next_multiple_of(4) - self.at;
        if padding > 0 {
            self.align()?;
            *self.buf.get_mut(self.at - 1)? = u8::try_from(padding).ok()?;
            *self.buf.first_mut()? |= 0x20;
        }
        Some(())
    }

    /// Writes the length into the header and gives the length of the whole message in bytes.
    pub(super) fn finish(self) -> Option<usize> {
        let words = u16::try_from(self.at / 4 - 1).ok()?;
        self.buf.get_mut(2..4)?.copy_from_slice(&words.to_be_bytes());
        Some(self.at)
    }
}
