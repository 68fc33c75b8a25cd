//! G.711: eight bits a sample at 8 kHz, by the µ-law or the A-law (ITU-T G.711; RFC 3551 §4.5.14).

use super::sampled::{Waveform, to_16_bit, to_float};

/// Added before the µ-law's logarithm (ITU-T G.711 table 2), in 14-bit steps times four.
const BIAS: i32 = 132;
/// The loudest that the µ-law has.
const CLIP: i32 = 32_635;

/// Which law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    Mu,
    A,
}

/// Either law; no state.
#[derive(Debug)]
pub(super) struct G711(pub(super) Law);

impl Waveform for G711 {
    fn rate(&self) -> u32 {
        8_000
    }

    fn samples(&self, bytes: usize) -> Option<usize> {
        (bytes > 0).then_some(bytes)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [f32]) {
        for (value, byte) in out.iter_mut().zip(payload) {
            *value = to_float(match self.0 {
                Law::Mu => mu_decode(*byte),
                Law::A => a_decode(*byte),
            });
        }
    }

    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..pcm.len())?;
        for (byte, value) in out.iter_mut().zip(pcm) {
            let sample = to_16_bit(*value);
            *byte = match self.0 {
                Law::Mu => mu_encode(sample),
                Law::A => a_encode(sample),
            };
        }
        Some(out.len())
    }

    fn reset(&mut self) {}
}

fn mu_decode(byte: u8) -> i16 {
    let bits = !byte;
    let magnitude = ((i16::from(bits & 0x0f) * 8 + 132) << (bits >> 4 & 7)) - 132;
    if bits & 0x80 != 0 { -magnitude } else { magnitude }
}

fn mu_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // 132 has its highest bit at 7: that is the first segment.
    let segment = 24_u32.saturating_sub(magnitude.leading_zeros());
    let step = magnitude >> (segment + 3) & 0x0f;
    !(sign | low_byte(segment.cast_signed() << 4 | step))
}

fn a_decode(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let step = i16::from(bits & 0x0f) << 4;
    let magnitude = match bits >> 4 & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 != 0 { magnitude } else { -magnitude }
}

fn a_encode(sample: i16) -> u8 {
    let (sign, magnitude) = if sample < 0 {
        (0, -1 - i32::from(sample))
    } else {
        (0x80, i32::from(sample))
    };
    let segment = 24_u32.saturating_sub(magnitude.leading_zeros());
    let step = magnitude >> (segment.max(1) + 3) & 0x0f;
    (sign | low_byte(segment.cast_signed() << 4 | step)) ^ 0x55
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three bits of segment and four of step"
)]
fn low_byte(bits: i32) -> u8 {
    bits as u8
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;

    #[test]
    fn decoding_and_encoding_again_gives_every_code_back() {
        for byte in 0..=255 {
            assert_eq!(a_encode(a_decode(byte)), byte, "A {byte}");
            // The µ-law has two zeroes; the negative one becomes the positive one.
            let expected = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(mu_encode(mu_decode(byte)), expected, "µ {byte}");
        }
    }

    #[test]
    fn values_of_g_711() {
        // Tables 1a and 2a: the extremes and the smallest steps, in 16 bits.
        for (byte, sample) in [(0x80, 32_124), (0x00, -32_124), (0xff, 0), (0xfe, 8), (0x7e, -8)] {
            assert_eq!(mu_decode(byte), sample, "µ {byte:x}");
        }
        for (byte, sample) in [(0xaa, 32_256), (0x2a, -32_256), (0xd5, 8), (0x55, -8), (0xd4, 24)] {
            assert_eq!(a_decode(byte), sample, "A {byte:x}");
        }
    }

    #[test]
    fn ffmpeg_decodes_every_code_to_the_same() {
        let codes: Vec<u8> = (0..=255).collect();
        for (law, name) in [(Law::Mu, "mulaw"), (Law::A, "alaw")] {
            let theirs = judge::ffmpeg(&codes, &["-f", name, "-ar", "8000", "-ac", "1"], &["-f", "s16le"]);
            let mut ours = [0.0; 256];
            G711(law).decode(&codes, &mut ours);
            let ours: Vec<u8> = ours.iter().flat_map(|value| to_16_bit(*value).to_le_bytes()).collect();
            assert_eq!(ours, theirs, "{law:?}");
        }
    }

    #[test]
    fn the_nearest_code_is_found() {
        type Pair = (fn(i16) -> u8, fn(u8) -> i16);
        let laws: [Pair; 2] = [(mu_encode, mu_decode), (a_encode, a_decode)];
        for (encode, decode) in laws {
            for sample in (-32_768..=32_767_i32).step_by(7) {
                let coded = i32::from(decode(encode(i16::try_from(sample).unwrap())));
                let error = (coded - sample).abs();
                assert!(
                    error <= sample.abs() / 30 + 8 || sample.abs() > 32_100,
                    "{sample}: {coded}"
                );
            }
        }
    }
}
