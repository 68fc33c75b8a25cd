//! Sender report (RFC 3550 §6.4.1): what was sent, which wall time a timestamp means, and what was received.

use crate::packet::Ssrc;
use crate::rtcp::frame::{Frame, ParseError, Writer};
use crate::rtcp::report::{self, ReportBlock};
use crate::time::{NtpTime, RtpTime};

/// Packet type.
pub(super) const PT: u8 = 200;

/// A sender report as received.
#[derive(Debug, Clone, Copy)]
pub struct SenderReport<'a> {
    /// The sender.
    pub ssrc: Ssrc,
    /// Its wall clock when the report was made.
    pub ntp: NtpTime,
    /// The same moment on its media clock.
    pub rtp: RtpTime,
    /// Packets sent since the beginning; wraps.
    pub packets: u32,
    /// Payload bytes sent since the beginning; wraps.
    pub octets: u32,
    blocks: &'a [u8],
}

/// What a sender says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender.
    pub ssrc: Ssrc,
    /// The wall clock now.
    pub ntp: NtpTime,
    /// The same moment on the stream's media clock.
    pub rtp: RtpTime,
    /// Packets sent since the beginning; wraps.
    pub packets: u32,
    /// Payload bytes sent since the beginning; wraps.
    pub octets: u32,
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        Ok(Self {
            ssrc: cursor.ssrc()?,
            ntp: NtpTime(cursor.u64()?),
            rtp: RtpTime(cursor.u32()?),
            packets: cursor.u32()?,
            octets: cursor.u32()?,
            blocks: cursor.bytes(usize::from(frame.count) * report::LEN)?,
        })
    }

    /// What the sender says about itself.
    #[must_use]
    pub fn info(&self) -> SenderInfo {
        let Self {
            ssrc,
            ntp,
            rtp,
            packets,
            octets,
            ..
        } = *self;
        SenderInfo {
            ssrc,
            ntp,
            rtp,
            packets,
            octets,
        }
    }

    /// What it received from others: at most [`MAX_COUNT`](super::MAX_COUNT) blocks.
    #[must_use]
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = ReportBlock> + use<'a> {
        report::blocks(self.blocks)
    }
}

/// Writes a sender report at the start of `buf` and gives its length: 28 bytes and 24 per block.
///
/// `None` when it does not fit, or with more than [`MAX_COUNT`](super::MAX_COUNT) blocks.
#[must_use]
pub fn write(buf: &mut [u8], info: &SenderInfo, blocks: &[ReportBlock]) -> Option<usize> {
    let mut writer = Writer::new(buf, PT, blocks.len())?;
    writer.u32(info.ssrc.0)?;
    writer.u64(info.ntp.0)?;
    writer.u32(info.rtp.0)?;
    writer.u32(info.packets)?;
    writer.u32(info.octets)?;
    for block in blocks {
        block.write(&mut writer)?;
    }
    writer.finish()
}
