//! Bits of a codec's headers, the most significant first, with the numbers of H.264 and AV1 in them.
//!
//! Reading past the end is `None`, never a panic. Emulation prevention bytes are taken out by whoever needs that.

/// Leading zeros of the longest number that is read: 32 bits.
const MAX_ZEROS: u32 = 32;

/// A place in some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `count` bits, at most 32.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value: u32, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.bit().map(|_| ()))
    }

    /// `ue(v)` of H.264 (§9.1).
    pub(super) fn unsigned(&mut self) -> Option<u32> {
        let zeros = self.zeros()?;
        let rest = self.bits(zeros)?;
        u32::try_from((1_u64 << zeros) - 1 + u64::from(rest)).ok()
    }

    /// `se(v)` of H.264 (§9.1.1).
    pub(super) fn signed(&mut self) -> Option<i64> {
        let code = i64::from(self.unsigned()?);
        Some(if code % 2 == 0 { -code / 2 } else { code / 2 + 1 })
    }

    /// `uvlc()` of AV1 (§4.10.3).
    pub(super) fn uvlc(&mut self) -> Option<u32> {
        let zeros = self.zeros()?;
        if zeros >= MAX_ZEROS {
            return Some(u32::MAX);
        }
        Some(self.bits(zeros)? + ((1 << zeros) - 1))
    }

    fn zeros(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > MAX_ZEROS {
                return None;
            }
        }
        Some(zeros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_h264_table_9_1() {
        // 1 | 010 | 011 | 00100 | 00101 and what is left over
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::new(&bytes);
        let read: Vec<_> = (0..5).map(|_| bits.unsigned().unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&bytes);
        let read: Vec<_> = (0..5).map(|_| bits.signed().unwrap()).collect();
        assert_eq!(read, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn the_end_is_none() {
        assert_eq!(Bits::new(&[0xff]).bits(9), None);
        assert_eq!(Bits::new(&[0; 20]).unsigned(), None);
        assert_eq!(Bits::new(&[0x00; 3]).unsigned(), None);
        assert_eq!(
            Bits::new(&[0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff]).unsigned(),
            None,
            "33 bits"
        );
        assert_eq!(Bits::new(&[0, 0, 0, 0, 0x80]).uvlc(), Some(u32::MAX));
    }
}
