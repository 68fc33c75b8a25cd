//! G.722 at 64 kbit/s: two bands of 4 kHz, each by adaptive differences (ITU-T G.722; RFC 3551 §4.5.2).
//!
//! Names are those of the recommendation's blocks. Not here: the modes of 56 and 48 kbit/s, which RTP does not have.

use super::sampled::{Waveform, to_16_bit, to_float};

/// Half of the symmetric filter that splits and joins the bands (table 11).
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];
/// Decision levels of the lower band's quantizer (table 14).
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023, 1_121, 1_219, 1_339,
    1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
/// Values of the lower band by magnitude, six bits (table 16); the smallest two share codes with sign.
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232, -9_360,
    -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776, -2_400, -2_032,
    -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576,
    7_856, 7_192, 6_576, 6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040,
    728, 432, 136, -432, -136,
];
/// The same with four bits, by which the predictor goes (table 17).
const QM4: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584, 1_200, 0,
];
/// Values of the upper band (table 19).
const QM2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
/// How the scale of the lower band moves, by its code of four bits (tables 13, 21).
const WL: [i32; 16] = [
    -60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60,
];
/// How the scale of the upper band moves (table 22).
const WH: [i32; 4] = [798, -214, 798, -214];
/// Powers of two in thirty-seconds (table 15).
const ILB: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774, 2_834,
    2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838, 3_922, 4_008,
];

/// One direction of one stream.
#[derive(Debug)]
pub(super) struct G722 {
    low: Band,
    high: Band,
    /// The last samples before or behind the filter.
    window: [i32; 24],
}

impl G722 {
    pub(super) fn new() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
            window: [0; 24],
        }
    }

    fn decode_byte(&mut self, byte: u8) -> [i16; 2] {
        let (low, high) = (usize::from(byte & 0x3f), usize::from(byte >> 6));
        let wide = (self.low.det * QM6[low]) >> 15;
        let low_sound = (self.low.s + wide).clamp(-16_384, 16_383);
        self.low_adapt(low >> 2);
        let high_sound = (self.high.s + ((self.high.det * QM2[high]) >> 15)).clamp(-16_384, 16_383);
        self.high_adapt(high);
        let (one, other) = self.filter(low_sound + high_sound, low_sound - high_sound);
        [other, one].map(|sum| saturate(sum >> 11))
    }

    fn encode_pair(&mut self, first: i16, second: i16) -> u8 {
        let (odd, even) = self.filter(i32::from(first), i32::from(second));
        let (low_sound, high_sound) = ((even + odd) >> 14, (even - odd) >> 14);
        let low = self.quantize_low(i32::from(saturate(low_sound - self.low.s)));
        self.low_adapt(usize::from(low >> 2));
        let difference = i32::from(saturate(high_sound - self.high.s));
        let large = magnitude(difference) >= (564 * self.high.det) >> 12;
        let high: u8 = match (difference < 0, large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.high_adapt(usize::from(high));
        high << 6 | low
    }

    /// QUANTL: six bits, of which the pattern 0000xx never occurs.
    fn quantize_low(&self, difference: i32) -> u8 {
        let magnitude = magnitude(difference);
        let level = Q6
            .iter()
            .take_while(|level| magnitude >= (*level * self.low.det) >> 12)
            .count();
        let level = u8::try_from(level).unwrap_or(29);
        match (difference < 0, level) {
            (true, 0) => 63,
            (true, 1) => 62,
            (true, level) => 33 - level,
            (false, level) => 61 - level,
        }
    }

    fn low_adapt(&mut self, code: usize) {
        let difference = (self.low.det * QM4[code]) >> 15;
        self.low.scale(WL[code], 18_432, 8);
        self.low.adapt(difference);
    }

    fn high_adapt(&mut self, code: usize) {
        let difference = (self.high.det * QM2[code]) >> 15;
        self.high.scale(WH[code], 22_528, 10);
        self.high.adapt(difference);
    }

    /// Both halves of the quadrature mirror filter, two samples further on.
    fn filter(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.window.copy_within(2.., 0);
        self.window[22] = first;
        self.window[23] = second;
        let pairs = self.window.as_chunks::<2>().0;
        let one = pairs.iter().zip(QMF).map(|(pair, tap)| pair[0] * tap).sum();
        let other = pairs
            .iter()
            .zip(QMF.iter().rev())
            .map(|(pair, tap)| pair[1] * tap)
            .sum();
        (one, other)
    }
}

impl Waveform for G722 {
    fn rate(&self) -> u32 {
        16_000
    }

    fn samples(&self, bytes: usize) -> Option<usize> {
        (bytes > 0).then_some(bytes * 2)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [f32]) {
        for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(payload) {
            *pair = self.decode_byte(*byte).map(to_float);
        }
    }

    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Option<usize> {
        let (pairs, rest) = pcm.as_chunks::<2>();
        let out = out.get_mut(..pairs.len()).filter(|_| rest.is_empty())?;
        for (byte, [first, second]) in out.iter_mut().zip(pairs) {
            *byte = self.encode_pair(to_16_bit(*first), to_16_bit(*second));
        }
        Some(out.len())
    }

    fn reset(&mut self) {
        *self = Self::new();
    }
}

/// The adaptive predictor and the scale of one band.
#[derive(Debug)]
struct Band {
    /// What is predicted, and its part by the zeroes.
    s: i32,
    sz: i32,
    /// Reconstructed signal, partly reconstructed signal, differences: newest first.
    r: [i32; 2],
    p: [i32; 2],
    d: [i32; 6],
    /// Coefficients of the two poles and the six zeroes.
    a: [i32; 2],
    b: [i32; 6],
    /// Logarithm of the scale, and the scale.
    nb: i32,
    det: i32,
}

impl Band {
    fn new(det: i32) -> Self {
        Self {
            s: 0,
            sz: 0,
            r: [0; 2],
            p: [0; 2],
            d: [0; 6],
            a: [0; 2],
            b: [0; 6],
            nb: 0,
            det,
        }
    }

    /// LOGSCL and SCALEL, LOGSCH and SCALEH.
    fn scale(&mut self, move_by: i32, most: i32, octaves: i32) {
        self.nb = (((self.nb * 127) >> 7) + move_by).clamp(0, most);
        let power = ILB[usize::try_from(self.nb >> 6 & 31).unwrap_or(0)];
        let shift = octaves - (self.nb >> 11);
        self.det = if shift < 0 { power << -shift } else { power >> shift } << 2;
    }

    /// Block 4: the predictor learns from the quantized difference and predicts.
    fn adapt(&mut self, d: i32) {
        let r = sat(self.s + d);
        let p = sat(self.sz + d);
        let a2 = {
            let product = sat(self.a[0] << 2);
            let same = (p < 0) == (self.p[0] < 0);
            let product = if same { (-product).min(32_767) } else { product };
            let step = if (p < 0) == (self.p[1] < 0) { 128 } else { -128 };
            ((product >> 7) + step + ((self.a[1] * 32_512) >> 15)).clamp(-12_288, 12_288)
        };
        let a1 = {
            let step = if (p < 0) == (self.p[0] < 0) { 192 } else { -192 };
            let bound = sat(15_360 - a2);
            sat(step + ((self.a[0] * 32_640) >> 15)).clamp(-bound, bound)
        };
        let step = if d == 0 { 0 } else { 128 };
        for (b, old) in self.b.iter_mut().zip(self.d) {
            let step = if (old < 0) == (d < 0) { step } else { -step };
            *b = sat(step + ((*b * 32_640) >> 15));
        }
        self.d.rotate_right(1);
        self.d[0] = d;
        self.r = [r, self.r[0]];
        self.p = [p, self.p[0]];
        self.a = [a1, a2];
        let poles = |index: usize| (self.a[index] * sat(2 * self.r[index])) >> 15;
        let sp = sat(poles(0) + poles(1));
        self.sz = sat(self.b.iter().zip(self.d).map(|(b, d)| (*b * sat(2 * d)) >> 15).sum());
        self.s = sat(sp + self.sz);
    }
}

/// Of a difference, as the quantizers see it: no -1 without a 0.
fn magnitude(difference: i32) -> i32 {
    if difference < 0 { -(difference + 1) } else { difference }
}

fn saturate(value: i32) -> i16 {
    i16::try_from(value.clamp(-32_768, 32_767)).unwrap_or(0)
}

fn sat(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;

    /// Loud and quiet, low and high, and some noise.
    #[expect(clippy::cast_possible_truncation, reason = "a sample")]
    fn sweep() -> Vec<i16> {
        let mut state = 1_u32;
        (0..32_000_i32)
            .map(|index| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(state >> 16) / 65_536.0 - 0.5;
                let t = f64::from(index) / 16_000.0;
                let gain = 0.9 * (-1.5 * t).exp();
                let tone = (t * (200.0 + 1_500.0 * t) * std::f64::consts::TAU).sin();
                to_16_bit((gain * (0.8 * tone + 0.2 * noise)) as f32)
            })
            .collect()
    }

    #[test]
    fn ffmpeg_encodes_and_decodes_the_same_bits() {
        let samples = sweep();
        let pcm: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let theirs = judge::ffmpeg(
            &pcm,
            &["-f", "s16le", "-ar", "16000", "-ac", "1"],
            &["-c:a", "g722", "-f", "g722"],
        );
        let mut ours = vec![0; samples.len() / 2];
        let floats: Vec<f32> = samples.iter().map(|sample| to_float(*sample)).collect();
        G722::new().encode(&floats, &mut ours).unwrap();
        let same = ours
            .iter()
            .zip(&theirs)
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        assert_eq!(same, ours.len(), "the first bytes that are the same");

        let decoded = judge::ffmpeg(&ours, &["-f", "g722"], &["-f", "s16le"]);
        let mut heard = vec![0.0; ours.len() * 2];
        G722::new().decode(&ours, &mut heard);
        let heard: Vec<u8> = heard.iter().flat_map(|value| to_16_bit(*value).to_le_bytes()).collect();
        assert_eq!(heard.len(), decoded.len());
        let same = heard
            .iter()
            .zip(&decoded)
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        assert_eq!(same, heard.len(), "the first bytes that are the same");
    }
}
