//! Opus: how long a packet lasts (RFC 6716 §3.1, RFC 7587 §4.2).
//!
//! Each packet stands alone, so there is nothing to route by; the duration and the DTX mark serve mixers, recorders and
//! statistics. An end-to-end encrypting sender leaves the first byte in clear: enough for all but frame count code 3.
//! Not here: redundant audio ([`super::red`]), self-delimited framing (RFC 6716 appendix B).

/// The longest packet, in units of 48 kHz: 120 ms (RFC 6716 §3.2.5).
pub const MAX_DURATION: u32 = 5_760;

/// At or below this many bytes a packet carries no sound: the encoder says "nothing has changed" (DTX).
const DTX_LEN: usize = 2;

/// The table-of-contents byte that starts every Opus packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Toc(u8);

impl Toc {
    /// Takes the first byte of `payload`; `None` when it is empty.
    #[inline]
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        payload.first().copied().map(Self)
    }

    /// The configuration number, 0 to 31 (RFC 6716 table 2).
    #[must_use]
    pub const fn config(self) -> u8 {
        self.0 >> 3
    }

    /// Two channels.
    #[must_use]
    pub const fn is_stereo(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// The code for the number of frames: 0 one, 1 two of equal size, 2 two, 3 as the next byte says.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0 & 0x03
    }

    /// Duration of one frame, in units of 48 kHz: 120 (2.5 ms) to 2880 (60 ms).
    #[must_use]
    pub const fn frame_duration(self) -> u32 {
        match self.config() {
            // SILK: 10, 20, 40, 60 ms.
            config @ 0..=11 => match config & 3 {
                0 => 480,
                1 => 960,
                2 => 1_920,
                _ => 2_880,
            },
            // Hybrid: 10, 20 ms.
            config @ 12..=15 => 480 << (config & 1),
            // CELT: 2.5, 5, 10, 20 ms.
            config => 120 << (config & 3),
        }
    }
}

/// Duration of the whole packet, in units of 48 kHz; `None` when it is empty, cut short, or longer than
/// [`MAX_DURATION`]. No allocation.
#[must_use]
pub fn duration(payload: &[u8]) -> Option<u32> {
    let toc = Toc::parse(payload)?;
    let frames = match toc.code() {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*payload.get(1)? & 0x3f),
    };
    Some(toc.frame_duration() * frames).filter(|duration| (1..=MAX_DURATION).contains(duration))
}

/// The packet only says that silence or noise goes on. Not to be seen when the payload is encrypted.
#[inline]
#[must_use]
pub fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= DTX_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_rfc_6716_table_2() {
        // Frame sizes in tenths of a millisecond, for configurations 0 to 31.
        const SIZES: [[u32; 4]; 8] = [
            [100, 200, 400, 600],
            [100, 200, 400, 600],
            [100, 200, 400, 600],
            [100, 200, 100, 200],
            [25, 50, 100, 200],
            [25, 50, 100, 200],
            [25, 50, 100, 200],
            [25, 50, 100, 200],
        ];
        for config in 0..32_u8 {
            let one = SIZES[usize::from(config / 4)][usize::from(config % 4)] * 48 / 10;
            let toc = config << 3 | 0x04;
            assert_eq!(Toc(toc).config(), config);
            assert!(Toc(toc).is_stereo());
            assert_eq!(duration(&[toc]), Some(one), "config {config}");
            assert_eq!(
                duration(&[toc | 1]),
                Some(one * 2).filter(|sum| *sum <= MAX_DURATION),
                "config {config}"
            );
            assert_eq!(duration(&[toc | 3, 0x80 | 2]), Some(one * 2), "config {config}");
        }
    }

    #[test]
    fn what_is_not_opus() {
        assert_eq!(duration(&[]), None);
        assert_eq!(duration(&[0x03]), None);
        assert_eq!(duration(&[0x03, 0]), None, "no frames");
        assert_eq!(duration(&[0x1b, 3]), None, "three times 60 ms");
        assert_eq!(duration(&[0xe3, 48]), Some(MAX_DURATION), "48 times 2.5 ms");
    }

    #[test]
    fn chrome_sends_20_ms_and_dtx_of_one_byte() {
        assert_eq!(duration(&[0x78, 0x0b, 0xe4]), Some(960));
        assert!(is_dtx(&[0x78]));
        assert!(!is_dtx(&[0x78, 0x0b, 0xe4]));
    }
}
