//! Numbers that do not end at byte borders (AV1 RTP specification A.4.1: `f(n)`, `ns(n)`), most significant bit first.

/// Reads bits from the front of a slice.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    /// How many bits have been read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// `f(n)` with `n` at most 16; `None` at the end.
    #[inline]
    pub(super) fn read(&mut self, n: u32) -> Option<u16> {
        debug_assert!(n <= 16, "one read gives at most 16 bits");
        let end = self.at + n as usize;
        if end > self.bytes.len() * 8 {
            return None;
        }
        let first = self.at / 8;
        let byte = |index: usize| u32::from(self.bytes.get(first + index).copied().unwrap_or(0));
        let word = byte(0) << 24 | byte(1) << 16 | byte(2) << 8;
        let value = (word << (self.at % 8)) >> 16 >> (16 - n);
        self.at = end;
        Some(value as u16)
    }

    /// `f(n)` with `n` at most 8.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "eight bits were read at most")]
    pub(super) fn read_u8(&mut self, n: u32) -> Option<u8> {
        debug_assert!(n <= 8, "a byte has 8 bits");
        self.read(n).map(|value| value as u8)
    }

    /// `f(n)` with `n` at most 32.
    pub(super) fn read_u32(&mut self, n: u32) -> Option<u32> {
        let low = n.min(16);
        let high = self.read(n - low)?;
        Some(u32::from(high) << low | u32::from(self.read(low)?))
    }

    /// `f(1)`.
    #[inline]
    pub(super) fn read_flag(&mut self) -> Option<bool> {
        self.read(1).map(|bit| bit == 1)
    }

    /// `ns(n)`: a number below `n`; small ones may take one bit less.
    pub(super) fn read_below(&mut self, n: u8) -> Option<u8> {
        let (bits, short) = non_symmetric(n)?;
        let value = self.read_u8(bits - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1 | self.read_u8(1)?) - short)
    }
}

/// Writes bits to the front of a slice.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// `f(n)` with `n` at most 32; `None` when it does not fit.
    pub(super) fn write(&mut self, value: impl Into<u32>, n: u32) -> Option<()> {
        let value = value.into();
        for index in (0..n).rev() {
            let byte = self.out.get_mut(self.at / 8)?;
            let bit = 0x80 >> (self.at % 8);
            if value >> index & 1 == 1 {
                *byte |= bit;
            } else {
                *byte &= !bit;
            }
            self.at += 1;
        }
        Some(())
    }

    /// `ns(n)`; `None` also when `value` is not below `n`.
    pub(super) fn write_below(&mut self, value: u8, n: u8) -> Option<()> {
        if value >= n {
            return None;
        }
        let (bits, short) = non_symmetric(n)?;
        if value < short {
            return self.write(value, bits - 1);
        }
        self.write(value + short, bits)
    }

    /// Fills the last byte with zeros: how many bytes there are.
    pub(super) fn finish(mut self) -> Option<usize> {
        while !self.at.is_multiple_of(8) {
            self.write(0_u8, 1)?;
        }
        Some(self.at / 8)
    }
}

/// Bits of the longer code for numbers below `n`, and how many numbers have the shorter one. `n` is at most 64 here.
fn non_symmetric(n: u8) -> Option<(u32, u8)> {
    let bits = n.checked_ilog2()? + 1;
    let all = 1_u8.checked_shl(bits)?;
    Some((bits, all.checked_sub(n)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_across_bytes_until_the_end() {
        let mut bits = BitReader::new(&[0b1010_0111, 0b1100_0000, 0xff, 0x01]);
        assert_eq!(bits.read(3), Some(0b101));
        assert_eq!(bits.read(0), Some(0));
        assert_eq!(bits.read(7), Some(0b001_1111));
        assert_eq!(bits.read(16), Some(0b0000_0011_1111_1100));
        assert_eq!(bits.read(7), None);
        assert_eq!(bits.read(6), Some(1));
        assert_eq!(bits.read_flag(), None);
        assert_eq!(
            BitReader::new(&[0x12, 0x34, 0x56, 0x78]).read_u32(32),
            Some(0x1234_5678)
        );
        assert_eq!(BitReader::new(&[0x12, 0x34, 0x56, 0x78]).read_u32(9), Some(0x24));
    }

    #[test]
    fn numbers_below_five_as_in_the_specification() {
        // ns(5): 0 to 2 take two bits, 3 and 4 three.
        let codes = [
            (0, 0b000, 2),
            (1, 0b010, 2),
            (2, 0b100, 2),
            (3, 0b110, 3),
            (4, 0b111, 3),
        ];
        for (value, code, bits) in codes {
            let byte = [code << 5];
            let mut reader = BitReader::new(&byte);
            assert_eq!(reader.read_below(5), Some(value));
            assert_eq!(reader.at, bits);
        }
    }

    #[test]
    fn every_number_below_every_bound_comes_back() {
        for n in 1..=64 {
            for value in 0..n {
                let mut buffer = [0xff; 2];
                let mut writer = BitWriter::new(&mut buffer);
                writer.write_below(value, n).unwrap();
                writer.write(0b10_u8, 2).unwrap();
                let mut reader = BitReader::new(&buffer);
                assert_eq!(reader.read_below(n), Some(value), "{value} of {n}");
                assert_eq!(reader.read(2), Some(0b10), "{value} of {n}");
            }
        }
        assert_eq!(BitReader::new(&[0]).read_below(0), None);
    }

    #[test]
    fn writes_until_it_is_full() {
        let mut buffer = [0xff; 2];
        let mut bits = BitWriter::new(&mut buffer);
        bits.write(0b1_u8, 1).unwrap();
        bits.write(0_u8, 3).unwrap();
        bits.write(0x1f_u8, 5).unwrap();
        assert_eq!(bits.write(0_u8, 8), None);
        let mut buffer = [0xff; 2];
        let mut bits = BitWriter::new(&mut buffer);
        bits.write(0x1ff_u16, 9).unwrap();
        assert_eq!(bits.finish(), Some(2));
        assert_eq!(buffer, [0xff, 0x80]);
    }
}
