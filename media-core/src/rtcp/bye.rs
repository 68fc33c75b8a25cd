//! Goodbye (RFC 3550 §6.6): sources that end.

use crate::packet::Ssrc;
use crate::rtcp::frame::{Frame, ParseError, Writer};

/// Packet type.
pub(super) const PT: u8 = 203;

/// A goodbye as received.
#[derive(Debug, Clone, Copy)]
pub struct Bye<'a> {
    /// Why, as the peer says it: UTF-8, unchecked, at most 255 bytes, mostly empty.
    pub reason: &'a [u8],
    ssrcs: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let ssrcs = cursor.bytes(usize::from(frame.count) * 4)?;
        let reason = match cursor.u8() {
            Ok(len) => cursor.bytes(usize::from(len))?,
            Err(_) => &[],
        };
        Ok(Self { reason, ssrcs })
    }

    /// The sources that end: at most [`MAX_COUNT`](super::MAX_COUNT).
    #[must_use]
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        self.ssrcs
            .as_chunks()
            .0
            .iter()
            .map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}

/// Writes a goodbye at the start of `buf` and gives its length; an empty `reason` is left out.
///
/// `None` when it does not fit, with more than [`MAX_COUNT`](super::MAX_COUNT) sources, or with a reason longer than
/// 255 bytes.
#[must_use]
pub fn write(buf: &mut [u8], ssrcs: &[Ssrc], reason: &str) -> Option<usize> {
    let mut writer = Writer::new(buf, PT, ssrcs.len())?;
    for ssrc in ssrcs {
        writer.u32(ssrc.0)?;
    }
    if !reason.is_empty() {
        writer.u8(u8::try_from(reason.len()).ok()?)?;
        writer.bytes(reason.as_bytes())?;
        writer.align()?;
    }
    writer.finish()
}
