//! Picture loss indication (RFC 4585 §6.3.1): a keyframe is wanted.

use crate::packet::Ssrc;
use crate::rtcp::PSFB;
use crate::rtcp::frame::{Frame, ParseError, Writer};

/// Feedback format.
pub(super) const FMT: u8 = 1;

/// A PLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pli {
    /// Who wants it.
    pub sender: Ssrc,
    /// The stream that shall start anew.
    pub media: Ssrc,
}

impl Pli {
    pub(super) fn parse(frame: Frame<'_>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        Ok(Self {
            sender: cursor.ssrc()?,
            media: cursor.ssrc()?,
        })
    }
}

/// Writes a PLI at the start of `buf` and gives its length, 12 bytes; `None` when it does not fit.
#[must_use]
pub fn write(buf: &mut [u8], sender: Ssrc, media: Ssrc) -> Option<usize> {
    Writer::feedback(buf, PSFB, FMT, sender, media)?.finish()
}
