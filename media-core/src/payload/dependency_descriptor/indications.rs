//! How a frame relates to each decode target: two bits each (A.4.2, table A.2).

use super::bits::{BitReader, BitWriter};

/// Decode targets of one structure: what the 5-bit count can say.
pub const MAX_DECODE_TARGETS: usize = 32;

/// How a frame relates to one decode target (table A.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two bits on the wire")]
pub enum Indication {
    /// `-`: not part of it.
    NotPresent = 0,
    /// `D`: part of it, and nothing else in it depends on this frame.
    Discardable = 1,
    /// `S`: part of it, and all later frames of it can be decoded once this one is.
    Switch = 2,
    /// `R`: part of it, and needed.
    Required = 3,
}

/// One [`Indication`] for each decode target, as two bit planes: bit n is decode target n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Indications {
    low: u32,
    high: u32,
}

impl Indications {
    /// Part of no decode target.
    pub const NONE: Self = Self { low: 0, high: 0 };

    /// From the symbols of table A.2, the first for decode target 0: `-DSR`. `None` for any other symbol, or more than
    /// [`MAX_DECODE_TARGETS`].
    #[must_use]
    pub fn from_symbols(symbols: &str) -> Option<Self> {
        if symbols.len() > MAX_DECODE_TARGETS {
            return None;
        }
        let mut indications = Self::default();
        for (target, symbol) in symbols.bytes().enumerate() {
            let value = b"-DSR".iter().position(|known| *known == symbol)?;
            indications.low |= u32::from(value & 1 != 0) << target;
            indications.high |= u32::from(value & 2 != 0) << target;
        }
        Some(indications)
    }

    /// For decode target `target`; one that is not there has [`Indication::NotPresent`].
    #[must_use]
    pub fn of(self, target: u8) -> Indication {
        let bit = |plane: u32| plane.checked_shr(u32::from(target)).is_some_and(|plane| plane & 1 == 1);
        match (bit(self.high), bit(self.low)) {
            (false, false) => Indication::NotPresent,
            (false, true) => Indication::Discardable,
            (true, false) => Indication::Switch,
            (true, true) => Indication::Required,
        }
    }

    /// The decode targets that the frame is part of: bit n for target n.
    #[inline]
    #[must_use]
    pub const fn present(self) -> u32 {
        self.low | self.high
    }

    /// The decode targets with [`Indication::Switch`].
    #[inline]
    #[must_use]
    pub const fn switch(self) -> u32 {
        self.high & !self.low
    }

    /// The decode targets in which other frames depend on this one: switch or required.
    #[inline]
    #[must_use]
    pub const fn needed(self) -> u32 {
        self.high
    }

    pub(super) fn read(bits: &mut BitReader<'_>, targets: u8) -> Option<Self> {
        let mut indications = Self::default();
        for target in 0..targets {
            let value = u32::from(bits.read(2)?);
            indications.low |= (value & 1) << target;
            indications.high |= (value >> 1) << target;
        }
        Some(indications)
    }

    pub(super) fn write(self, bits: &mut BitWriter<'_>, targets: u8) -> Option<()> {
        (0..targets).try_for_each(|target| bits.write(self.of(target) as u8, 2))
    }
}
