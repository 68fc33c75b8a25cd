//! Receiver report (RFC 3550 §6.4.2): how sources were received, by somebody who does not send.

use crate::packet::Ssrc;
use crate::rtcp::frame::{Frame, ParseError, Writer};
use crate::rtcp::report::{self, ReportBlock};

/// Packet type.
pub(super) const PT: u8 = 201;

/// A receiver report as received.
#[derive(Debug, Clone, Copy)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub sender: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        Ok(Self {
            sender: cursor.ssrc()?,
            blocks: cursor.bytes(usize::from(frame.count) * report::LEN)?,
        })
    }

    /// What was received: at most [`MAX_COUNT`](super::MAX_COUNT) blocks.
    #[must_use]
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + use<'a> {
        report::blocks(self.blocks)
    }
}

/// Writes a receiver report at the start of `buf` and gives its length: 8 bytes and 24 per block. Without blocks it
/// is the empty report that starts a compound packet when there is nothing to report (RFC 3550 §6.4.2).
///
/// `None` when it does not fit, or with more than [`MAX_COUNT`](super::MAX_COUNT) blocks.
#[must_use]
pub fn write(buf: &mut [u8], sender: Ssrc, blocks: &[ReportBlock]) -> Option<usize> {
    let mut writer = Writer::new(buf, PT, blocks.len())?;
    writer.u32(sender.0)?;
    for block in blocks {
        block.write(&mut writer)?;
    }
    writer.finish()
}
