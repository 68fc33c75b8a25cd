//! Full intra request (RFC 5104 §4.3.1): a keyframe is wanted, each request with a number of its own.

use crate::packet::Ssrc;
use crate::rtcp::PSFB;
use crate::rtcp::frame::{Frame, ParseError, Writer};

/// Feedback format.
pub(super) const FMT: u8 = 4;

/// An FIR as received.
#[derive(Debug, Clone, Copy)]
pub struct Fir<'a> {
    /// Who wants keyframes.
    pub sender: Ssrc,
    entries: &'a [u8],
}

impl<'a> Fir<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let sender = cursor.ssrc()?;
        // The media source of the common feedback header is not used (RFC 5104 §4.3.1.2).
        cursor.ssrc()?;
        match cursor.rest.len() {
            0..8 => Err(ParseError::Truncated),
            _ => Ok(Self {
                sender,
                entries: cursor.rest,
            }),
        }
    }

    /// The streams that shall start anew, with the number of the request: the same number again is the same request.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Ssrc, u8)> + use<'a> {
        self.entries
            .as_chunks()
            .0
            .iter()
            .map(|&[s0, s1, s2, s3, seq_nr, _, _, _]| (Ssrc(u32::from_be_bytes([s0, s1, s2, s3])), seq_nr))
    }
}

/// Writes an FIR at the start of `buf` and gives its length: 12 bytes and 8 per stream.
///
/// `None` when it does not fit, or without `entries`.
#[must_use]
pub fn write(buf: &mut [u8], sender: Ssrc, entries: &[(Ssrc, u8)]) -> Option<usize> {
    if entries.is_empty() {
        return None;
    }
    let mut writer = Writer::feedback(buf, PSFB, FMT, sender, Ssrc(0))?;
    for (ssrc, seq_nr) in entries {
        writer.u32(ssrc.0)?;
        writer.u32(u32::from(*seq_nr) << 24)?;
    }
    writer.finish()
}
