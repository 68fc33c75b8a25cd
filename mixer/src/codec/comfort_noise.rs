//! Comfort noise (RFC 3389): the noise of a room from its level and a coarse spectrum, for codecs without pauses.
//!
//! Made at 8 kHz and brought to [`super::RATE`]; what a room hums above 4 kHz nobody misses. Not here: measuring a room
//! to send its noise.

/// Reflection coefficients that are used; senders have ten or twelve.
const ORDER: usize = 12;
/// Samples at 48 kHz for each of the model.
const UP: usize = 6;

/// A source of noise.
#[derive(Debug, Clone)]
pub struct ComfortNoise {
    /// Amplitude of the excitation.
    gain: f32,
    reflection: [f32; ORDER],
    state: [f32; ORDER],
    /// The last four samples of the model, and where between the middle two we are.
    points: [f32; 4],
    phase: usize,
    seed: u32,
}

impl ComfortNoise {
    /// From the payload: a level in -dBov, then reflection coefficients (RFC 3389 §3). An empty payload is silence, what
    /// is longer than expected is cut.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Self {
        let level = payload.first().map_or(127, |byte| byte & 0x7f);
        let mut reflection = [0.0; ORDER];
        for (to, byte) in reflection.iter_mut().zip(payload.iter().skip(1)) {
            *to = ((f32::from(*byte) - 127.0) / 128.0).clamp(-0.99, 0.99);
        }
        // The filter raises the energy by one over the product of (1 - k²): take that back. The level of a full-scale
        // sine is 0 dBov by the convention of G.711, so the mean square is half of it.
        let raise: f32 = reflection.iter().map(|k| 1.0 - k * k).product();
        let rms = 10_f32.powf(-f32::from(level) / 20.0) * std::f32::consts::FRAC_1_SQRT_2;
        // Uniform noise between -1 and 1 has a mean square of a third.
        let gain = if level == 127 { 0.0 } else { rms * (3.0 * raise).sqrt() };
        Self {
            gain,
            reflection,
            state: [0.0; ORDER],
            points: [0.0; 4],
            phase: UP,
            seed: 0x2545_f491,
        }
    }

    /// Fills `out` (interleaved, the same on all channels).
    pub fn fill(&mut self, out: &mut [f32], channels: usize) {
        for frame in out.chunks_exact_mut(channels.max(1)) {
            if self.phase == UP {
                self.phase = 0;
                self.points.rotate_left(1);
                self.points[3] = self.model();
            }
            frame.fill(self.between());
            self.phase += 1;
        }
    }

    /// The next sample at 8 kHz: white noise through the all-pole lattice.
    fn model(&mut self) -> f32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        #[expect(clippy::cast_precision_loss, reason = "noise")]
        let white = self.seed as f32 / 2_147_483_648.0 - 1.0;
        let mut forward = white * self.gain;
        for stage in (0..ORDER).rev() {
            forward -= self.reflection[stage] * self.state[stage];
            if stage + 1 < ORDER {
                self.state[stage + 1] = self.state[stage] + self.reflection[stage] * forward;
            }
        }
        self.state[0] = forward;
        forward
    }

    /// Between the middle points, by a cubic that has no corner at either.
    fn between(&self) -> f32 {
        let [before, from, to, after] = self.points;
        #[expect(clippy::cast_precision_loss, reason = "0 to 5")]
        let t = self.phase as f32 / UP as f32;
        let (slope_from, slope_to) = ((to - before) / 2.0, (after - from) / 2.0);
        let (t2, t3) = (t * t, t * t * t);
        (2.0 * t3 - 3.0 * t2 + 1.0) * from
            + (t3 - 2.0 * t2 + t) * slope_from
            + (3.0 * t2 - 2.0 * t3) * to
            + (t3 - t2) * slope_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(payload: &[u8]) -> f32 {
        let mut noise = ComfortNoise::parse(payload);
        let mut out = vec![0.0; 48_000];
        noise.fill(&mut out, 1);
        (out.iter().map(|value| value * value).sum::<f32>() / 48_000.0).sqrt()
    }

    #[test]
    fn the_level_is_that_of_the_payload() {
        for level in [30_u8, 50, 70] {
            for spectrum in [
                &[][..],
                &[180, 100, 140],
                &[40, 200, 127, 127, 127, 127, 127, 127, 127, 90],
            ] {
                let payload: Vec<u8> = [level].into_iter().chain(spectrum.iter().copied()).collect();
                let off = 20.0 * rms(&payload).log10() + 3.01 + f32::from(level);
                // The cubic takes a little from white noise.
                assert!((-3.0..1.0).contains(&off), "{payload:?}: {off} dB");
            }
        }
    }

    #[test]
    fn hostile_payloads_stay_finite() {
        for byte in [0, 255] {
            let mut payload = [byte; 40];
            payload[0] = 0;
            assert!(rms(&payload).is_finite() && rms(&payload) < 10.0);
        }
        assert!(rms(&[]) < 1e-6);
    }
}
