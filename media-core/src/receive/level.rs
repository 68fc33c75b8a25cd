//! How loud a track has been, as its packets say.
//!
//! RFC 6464 (client-to-mixer audio level). Counts only; who is an active speaker is decided by who asks.

use crate::packet::extension::AudioLevel;

/// Packets at this level or above are loud, in dB below full scale: speech is, a quiet room is not.
pub const LOUD: u8 = 35;

/// What was heard since the last time that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loudness {
    /// Packets that told a level.
    pub packets: u32,
    /// Those of them that were loud, see [`LOUD`].
    pub loud: u32,
    /// Sum of the levels of the loud ones, each in dB below full scale.
    sum: u32,
}

impl Loudness {
    /// Counts a packet.
    #[inline]
    pub fn on_packet(&mut self, level: AudioLevel) {
        self.packets = self.packets.saturating_add(1);
        if level.minus_dbov <= LOUD {
            self.loud = self.loud.saturating_add(1);
            self.sum = self.sum.saturating_add(u32::from(level.minus_dbov));
        }
    }

    /// The mean of the loud packets in dB below full scale; 127 when there was none.
    #[must_use]
    pub fn minus_dbov(&self) -> u8 {
        let mean = self.sum.checked_div(self.loud).unwrap_or(127);
        u8::try_from(mean).unwrap_or(127)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loud_packets_make_the_level() {
        let mut loudness = Loudness::default();
        assert_eq!(loudness.minus_dbov(), 127);
        for minus_dbov in [10, 20, LOUD + 1, 127] {
            let voice = false;
            loudness.on_packet(AudioLevel { minus_dbov, voice });
        }
        assert_eq!((loudness.packets, loudness.loud, loudness.minus_dbov()), (4, 2, 15));
    }
}
