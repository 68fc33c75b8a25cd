//! How loud something sounds: the measure of ITU-R BS.1770-4 as EBU R 128 uses it, tick by tick.
//!
//! Two filters imitate head and ear (BS.1770-4 annex 1, tables 1 and 2, which are for 48 kHz), then power is averaged over
//! 400 ms (momentary) or 3 s (short-term). Programme loudness with its two gates is what [`super::level`] does in its own
//! way, for a talker instead of a programme; true peaks are not measured.

use crate::mix::TICK;

/// Ticks in a momentary block: 400 ms.
const MOMENTARY: usize = 20;
/// Ticks in a short-term block: 3 s.
const SHORT_TERM: usize = 150;
/// What BS.1770 adds, so that a 997 Hz sine of full scale in one channel reads -3.01 LUFS.
const OFFSET: f64 = -0.691;

/// A filter of second order, transposed direct form II. In `f64`: its poles lie close to the unit circle.
#[derive(Debug, Clone, Copy)]
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    state: [f64; 2],
}

impl Biquad {
    /// Raises what the head reflects: a shelf of +4 dB above some 1.5 kHz.
    const HEAD: Self = Self {
        b: [1.535_124_859_586_97, -2.691_696_189_406_38, 1.198_392_810_852_85],
        a: [-1.690_659_293_182_41, 0.732_480_774_215_85],
        state: [0.0; 2],
    };
    /// Takes away what is too low to sound loud.
    const LOW: Self = Self {
        b: [1.0, -2.0, 1.0],
        a: [-1.990_047_454_833_98, 0.990_072_250_366_21],
        state: [0.0; 2],
    };

    #[inline]
    fn step(&mut self, input: f64) -> f64 {
        let output = self.b[0] * input + self.state[0];
        self.state[0] = self.b[1] * input - self.a[0] * output + self.state[1];
        self.state[1] = self.b[2] * input - self.a[1] * output;
        output
    }

    /// Numbers too small to matter would make the arithmetic slow.
    fn settle(&mut self) {
        for state in &mut self.state {
            if state.abs() < 1e-30 {
                *state = 0.0;
            }
        }
    }
}

/// Measures one sound of one or two channels.
#[derive(Debug, Clone)]
pub struct Meter {
    filters: [[Biquad; 2]; 2],
    /// Power of each of the last ticks, a ring.
    powers: [f64; SHORT_TERM],
    /// Ticks since the start.
    ticks: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            filters: [[Biquad::HEAD, Biquad::LOW]; 2],
            powers: [0.0; SHORT_TERM],
            ticks: 0,
        }
    }
}

impl Meter {
    /// Takes one tick of `channels` interleaved channels, of which the first two count. About 5 µs a channel.
    pub fn add(&mut self, pcm: &[f32], channels: usize) {
        let channels = channels.max(1);
        let mut power = 0.0;
        for (channel, filters) in self.filters.iter_mut().enumerate().take(channels) {
            let [head, low] = filters;
            let samples = pcm.iter().skip(channel).step_by(channels);
            power += samples
                .map(|sample| low.step(head.step(f64::from(*sample))).powi(2))
                .sum::<f64>();
            head.settle();
            low.settle();
        }
        self.powers[self.ticks % SHORT_TERM] = power / TICK as f64;
        self.ticks += 1;
    }

    /// Loudness of the last 400 ms in LUFS; `None` before as much was heard, and in silence.
    #[must_use]
    pub fn momentary(&self) -> Option<f32> {
        self.mean(MOMENTARY).and_then(lufs)
    }

    /// Loudness of the last 3 s in LUFS; `None` before as much was heard, and in silence.
    #[must_use]
    pub fn short_term(&self) -> Option<f32> {
        self.mean(SHORT_TERM).and_then(lufs)
    }

    /// Mean power of the last `ticks`.
    fn mean(&self, ticks: usize) -> Option<f64> {
        let first = self.ticks.checked_sub(ticks)?;
        let sum: f64 = (first..self.ticks).map(|tick| self.powers[tick % SHORT_TERM]).sum();
        Some(sum / ticks as f64)
    }
}

/// Loudness of a mean power; `None` for silence.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a figure for people: seven digits are enough"
)]
pub(super) fn lufs(power: f64) -> Option<f32> {
    (power > 1e-12).then(|| (OFFSET + 10.0 * power.log10()) as f32)
}

/// The mean power of a loudness.
pub(super) fn power(lufs: f32) -> f64 {
    10_f64.powf((f64::from(lufs) - OFFSET) / 10.0)
}
