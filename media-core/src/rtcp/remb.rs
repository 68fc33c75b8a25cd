//! Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 §2).
//!
//! ```text
//! | "REMB" | number of SSRCs (8) | exponent (6) | mantissa (18) | SSRC × number |
//! ```

use crate::packet::Ssrc;
use crate::rtcp::PSFB;
use crate::rtcp::frame::{Frame, ParseError, Writer};

/// Feedback format: application layer feedback, told apart by [`NAME`].
pub(super) const FMT: u8 = 15;
const NAME: &[u8; 4] = b"REMB";
/// Bits of the mantissa.
const MANTISSA: u32 = 18;

/// A rate in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bitrate(pub u64);

/// A REMB as received.
#[derive(Debug, Clone, Copy)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender: Ssrc,
    /// What all named streams together may use; the largest value when the wire says more than 64 bits hold.
    pub bitrate: Bitrate,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let (sender, _media, _name) = (cursor.ssrc()?, cursor.ssrc()?, cursor.u32()?);
        let (count, rate) = (cursor.u8()?, cursor.bytes(3)?);
        let rate = rate.iter().fold(0, |rate, byte| rate << 8 | u32::from(*byte));
        let (exponent, mantissa) = (rate >> MANTISSA, u64::from(rate & ((1 << MANTISSA) - 1)));
        let bitrate = if mantissa.leading_zeros() >= exponent {
            mantissa << exponent
        } else {
            u64::MAX
        };
        Ok(Self {
            sender,
            bitrate: Bitrate(bitrate),
            ssrcs: cursor.bytes(usize::from(count) * 4)?,
        })
    }

    /// The streams that share the bitrate: at most 255.
    #[must_use]
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        self.ssrcs
            .as_chunks()
            .0
            .iter()
            .map(|word| Ssrc(u32::from_be_bytes(*word)))
    }
}

/// Whether application layer feedback is a REMB.
pub(super) fn is_remb(frame: Frame<'_>) -> bool {
    frame.body.get(8..12) == Some(NAME)
}

/// Writes a REMB at the start of `buf` and gives its length: 20 bytes and 4 per stream. The bitrate is rounded down to
/// 18 significant bits.
///
/// `None` when it does not fit, or with more than 255 streams.
#[must_use]
pub fn write(buf: &mut [u8], sender: Ssrc, bitrate: Bitrate, ssrcs: &[Ssrc]) -> Option<usize> {
    let count = u8::try_from(ssrcs.len()).ok()?;
    let exponent = (u64::BITS - bitrate.0.leading_zeros()).saturating_sub(MANTISSA);
    let mantissa = u32::try_from(bitrate.0 >> exponent).ok()?;
    let mut writer = Writer::feedback(buf, PSFB, FMT, sender, Ssrc(0))?;
    writer.bytes(NAME)?;
    writer.u32(u32::from(count) << 24 | exponent << MANTISSA | mantissa)?;
    for ssrc in ssrcs {
        writer.u32(ssrc.0)?;
    }
    writer.finish()
}
