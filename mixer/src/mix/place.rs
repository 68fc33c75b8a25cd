//! One voice is added to a sum, at its place between left and right, or taken out of it again.
//!
//! Adding and taking out are the same arithmetic with another sign, so that a mix without oneself is the sum minus oneself:
//! what is left of the own voice is rounding, some 140 dB down.

use std::f32::consts::{FRAC_PI_4, SQRT_2};

use crate::mix::TICK;

/// A gain that moves evenly during one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ramp {
    /// At the end of the tick before.
    pub from: f32,
    /// At the end of this tick.
    pub to: f32,
}

impl Ramp {
    /// A gain that stays.
    #[must_use]
    pub const fn steady(gain: f32) -> Self {
        Self { from: gain, to: gain }
    }

    /// Both gains, one after the other; their product bends a little, and is taken for straight.
    #[must_use]
    pub fn then(self, other: Self) -> Self {
        Self {
            from: self.from * other.from,
            to: self.to * other.to,
        }
    }

    /// Whether nothing would be heard.
    #[must_use]
    pub fn is_silent(self) -> bool {
        self.from == 0.0 && self.to == 0.0
    }

    /// Multiplies a tick of `channels` interleaved channels.
    pub fn apply(self, pcm: &mut [f32], channels: usize) {
        if self == Self::steady(1.0) {
            return;
        }
        if self.from == self.to {
            pcm.iter_mut().for_each(|sample| *sample *= self.to);
            return;
        }
        let step = self.step();
        let mut gain = self.from;
        for frame in pcm.chunks_exact_mut(channels.max(1)) {
            gain += step;
            frame.iter_mut().for_each(|sample| *sample *= gain);
        }
    }

    fn step(self) -> f32 {
        (self.to - self.from) / TICK as f32
    }
}

/// How many channels something has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "one or two: more loudspeakers are not planned")]
pub enum Layout {
    /// One channel.
    #[default]
    Mono,
    /// Left and right, interleaved.
    Stereo,
}

impl Layout {
    /// 1 or 2.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// Samples of a tick, all channels.
    #[must_use]
    pub const fn samples(self) -> usize {
        self.channels() * TICK
    }
}

/// Where a voice stands: -1 left, 0 in the middle, 1 right. Others are brought into that range.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Position(pub f32);

impl Position {
    /// Gains of left and right: equal power, and 1 in the middle, so that the middle is as loud as a mono listener hears
    /// it.
    #[must_use]
    pub fn gains(self) -> (f32, f32) {
        let position = if self.0.is_finite() {
            self.0.clamp(-1.0, 1.0)
        } else {
            0.0
        };
        if position == 0.0 {
            return (1.0, 1.0);
        }
        let angle = (position + 1.0) * FRAC_PI_4;
        (SQRT_2 * angle.cos(), SQRT_2 * angle.sin())
    }
}

/// What one source says in one tick, all gains applied, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    /// One tick of samples.
    pub pcm: &'a [f32],
    /// Of `pcm`.
    pub layout: Layout,
    /// Gain to the left.
    pub left: Ramp,
    /// Gain to the right.
    pub right: Ramp,
}

impl<'a> Voice<'a> {
    /// A voice that goes from one place to another during this tick.
    #[must_use]
    pub fn moving(pcm: &'a [f32], layout: Layout, from: Position, to: Position) -> Self {
        let (from, to) = (from.gains(), to.gains());
        Self {
            pcm,
            layout,
            left: Ramp { from: from.0, to: to.0 },
            right: Ramp { from: from.1, to: to.1 },
        }
    }

    /// Adds the voice to a sum.
    pub fn add_to(&self, sum: &mut [f32], layout: Layout) {
        self.put(sum, layout, 1.0);
    }

    /// Takes the voice out of a sum that it was added to.
    pub fn take_from(&self, sum: &mut [f32], layout: Layout) {
        self.put(sum, layout, -1.0);
    }

    fn put(&self, sum: &mut [f32], layout: Layout, sign: f32) {
        match (self.layout, layout) {
            (Layout::Mono, Layout::Mono) => {
                for (sum, sample) in sum.iter_mut().zip(self.pcm) {
                    *sum += sign * sample;
                }
            }
            (Layout::Stereo, Layout::Mono) => {
                for (sum, frame) in sum.iter_mut().zip(self.pcm.chunks_exact(2)) {
                    *sum += sign * 0.5 * (frame[0] + frame[1]);
                }
            }
            (_, Layout::Stereo) => {
                let step = self.layout.channels();
                let (mut left, mut right) = (sign * self.left.from, sign * self.right.from);
                let (to_left, to_right) = (sign * self.left.step(), sign * self.right.step());
                for (sum, frame) in sum.chunks_exact_mut(2).zip(self.pcm.chunks_exact(step)) {
                    left += to_left;
                    right += to_right;
                    sum[0] += left * frame[0];
                    sum[1] += right * frame[step - 1];
                }
            }
        }
    }
}
