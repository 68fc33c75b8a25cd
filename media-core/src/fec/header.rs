//! The FEC header without its recovery fields: which stream, which packets (draft-ietf-payload-flexible-fec-scheme-03 §4.2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |R|F|P|X|  CC   |M| PT recovery |        length recovery        |  these eight bytes are in `parity`
//! |                          TS recovery                          |
//! |   SSRC count  |                    reserved                   |
//! |                             SSRC                              |
//! |            SN base            |k|          mask 0 to 14       |  k: the mask ends here
//! |k|                       mask 15 to 45                         |
//! |k|                       mask 46 to 76                         |
//! |                         mask 77 to 108                        |
//! ```
//!
//! Reads and writes what libwebrtc does: a mask (F 0) over one stream, no retransmission (R 0).

use crate::packet::Ssrc;

/// Bytes of the recovery fields, in front of the rest.
pub const RECOVERY: usize = 8;
/// Longest header, in bytes.
pub const MAX_HEADER: usize = 32;
/// Bits of the mask in its shortest form, and in the next.
const SHORT: u32 = 15;
const MIDDLE: u32 = 46;

/// Which packets an FEC packet protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The stream.
    pub ssrc: Ssrc,
    /// The number that the mask counts from.
    pub base: u16,
    /// Bit n: the packet `base + n` is protected, n at most 108.
    pub mask: u128,
}

impl Header {
    /// Reads the header of an FEC packet's payload, and how long it is. `None` when it is cut short, is of a kind that is not
    /// spoken here, or names no packet.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<(Self, usize)> {
        let fixed = payload.first_chunk::<18>()?;
        if fixed[0] & 0xc0 != 0 || fixed[8] != 1 {
            return None;
        }
        let ssrc = Ssrc(u32::from_be_bytes([fixed[12], fixed[13], fixed[14], fixed[15]]));
        let base = u16::from_be_bytes([fixed[16], fixed[17]]);
        let rest = payload.get(18..)?;
        let first = u16::from_be_bytes(*rest.first_chunk()?);
        let mut mask = spread(u128::from(first & 0x7fff), SHORT, 0);
        let mut len = 20;
        if first & 0x8000 == 0 {
            let second = u32::from_be_bytes(*rest.get(2..)?.first_chunk()?);
            mask |= spread(u128::from(second & 0x7fff_ffff), 31, SHORT);
            len = 24;
            if second & 0x8000_0000 == 0 {
                let third = u64::from_be_bytes(*rest.get(6..)?.first_chunk()?);
                if third >> 63 == 0 {
                    return None;
                }
                mask |= spread(u128::from(third & (u64::MAX >> 1)), 63, MIDDLE);
                len = MAX_HEADER;
            }
        }
        (mask != 0).then_some((Self { ssrc, base, mask }, len))
    }

    /// Writes the header in its shortest form, behind the recovery fields `recovery`; how long it is.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each part is masked to its bits")]
    pub fn write(&self, recovery: [u8; RECOVERY], out: &mut [u8; MAX_HEADER]) -> usize {
        out[..RECOVERY].copy_from_slice(&recovery);
        out[0] &= 0x3f;
        out[8..12].copy_from_slice(&[1, 0, 0, 0]);
        out[12..16].copy_from_slice(&self.ssrc.0.to_be_bytes());
        out[16..18].copy_from_slice(&self.base.to_be_bytes());
        let part = |len: u32, from: u32| spread(self.mask >> from, len, 0);
        let (first, second, third) = (part(SHORT, 0) as u16, part(31, SHORT) as u32, part(63, MIDDLE) as u64);
        let ends_first = second == 0 && third == 0;
        out[18..20].copy_from_slice(&(first | u16::from(ends_first) << 15).to_be_bytes());
        if ends_first {
            return 20;
        }
        out[20..24].copy_from_slice(&(second | u32::from(third == 0) << 31).to_be_bytes());
        if third == 0 {
            return 24;
        }
        out[24..].copy_from_slice(&(third | 1 << 63).to_be_bytes());
        MAX_HEADER
    }

    /// How far behind `base` each protected packet is.
    pub fn offsets(&self) -> impl Iterator<Item = u16> + use<> {
        let mut left = self.mask;
        std::iter::from_fn(move || {
            let offset = u16::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left - 1;
            Some(offset)
        })
    }
}

/// Turns `len` bits round, as the wire has the first packet in the highest bit, and moves them up to bit `at`.
fn spread(bits: u128, len: u32, at: u32) -> u128 {
    (bits << (128 - len)).reverse_bits() << at
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECOVERY_FIELDS: [u8; RECOVERY] = [0xd5, 0xe0, 0x01, 0x02, 3, 4, 5, 6];

    fn written(mask: u128) -> Vec<u8> {
        let header = Header {
            ssrc: Ssrc(0x1122_3344),
            base: 0xfffe,
            mask,
        };
        let mut out = [0xaa; MAX_HEADER];
        let len = header.write(RECOVERY_FIELDS, &mut out);
        let bytes = out[..len].to_vec();
        assert_eq!(Header::parse(&bytes), Some((header, len)));
        for cut in 0..len {
            assert_eq!(Header::parse(&bytes[..cut]), None, "{cut} of {len} bytes");
        }
        bytes
    }

    /// R and F are cleared, P (0x20), X (0x10) and CC (5) stay.
    const FIRST: [u8; 18] = [
        0x15, 0xe0, 0x01, 0x02, 3, 4, 5, 6, 1, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0xff, 0xfe,
    ];

    #[test]
    fn fifteen_bits_by_hand() {
        // Packets 0, 1 and 14: the highest bit after k, the next, and the lowest.
        let bytes = written(1 << 14 | 0b11);
        assert_eq!(bytes, [&FIRST[..], &[0xe0, 0x01]].concat());
    }

    #[test]
    fn forty_six_bits_by_hand() {
        // Packet 2; packets 15 and 45: the first and the last of the second part.
        let bytes = written(1 << 2 | 1 << 15 | 1 << 45);
        assert_eq!(bytes, [&FIRST[..], &[0x10, 0x00], &[0xc0, 0x00, 0x00, 0x01]].concat());
    }

    #[test]
    fn a_hundred_and_nine_bits_by_hand() {
        // Packets 0, 46, 77 and 108: the first of the first part, of the third, of its second word, and the last of all.
        let bytes = written(1 | 1 << 46 | 1 << 77 | 1 << 108);
        let third = [0xc0, 0, 0, 0, 0x80, 0, 0, 0x01];
        assert_eq!(bytes, [&FIRST[..], &[0x40, 0x00], &[0, 0, 0, 0], &third].concat());
    }

    #[test]
    fn what_is_not_spoken_here() {
        let good = written(0b101);
        let change = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            Header::parse(&bytes)
        };
        assert!(change(9, 7).is_some(), "reserved is not looked at");
        assert_eq!(change(0, 0x80), None, "a retransmission");
        assert_eq!(change(0, 0x40), None, "rows and columns instead of a mask");
        assert_eq!(change(8, 0), None, "no stream");
        assert_eq!(change(8, 2), None, "two streams");
        let mut empty = good.clone();
        empty[18..20].copy_from_slice(&[0x80, 0]);
        assert_eq!(Header::parse(&empty), None, "no packet");
        let mut endless = written(1 << 100);
        endless[24] &= 0x7f;
        assert_eq!(Header::parse(&endless), None, "the mask does not end");
    }
}
