//! Sound as samples: what is done to one voice, to their sum, and to what a listener gets.
//!
//! All samples are `f32` at 48 kHz, full scale at ±1, interleaved when there are two channels; one tick is 20 ms. Nothing
//! here knows packets, codecs or listeners, and nothing allocates while it works.
//!
//! | file | one idea |
//! |---|---|
//! | [`loudness`] | how loud something sounds (ITU-R BS.1770, EBU R 128) |
//! | [`level`] | quiet and loud talkers are made equal, slowly |
//! | [`denoise`] | what is not speech is taken away |
//! | [`place`] | one voice is added to a sum, at its place between left and right, or taken out of it |
//! | [`duck`] | the floor becomes quieter while an interpreter talks |
//! | [`sound`] | announcements and tones |
//! | [`limit`] | the sum stays below full scale |

pub mod denoise;
pub mod duck;
pub mod level;
pub mod limit;
pub mod loudness;
pub mod place;
pub mod sound;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use crate::codec::RATE;

/// Samples of one channel in a tick.
pub const TICK: usize = 960;
/// How long a tick is.
pub const TICK_TIME: Duration = Duration::from_millis(20);

/// The factor that changes an amplitude by `decibels`.
#[must_use]
pub fn amplitude(decibels: f32) -> f32 {
    10_f32.powf(decibels / 20.0)
}

/// An amplitude in decibels; 0 gives negative infinity.
#[must_use]
pub fn decibels(amplitude: f32) -> f32 {
    20.0 * amplitude.log10()
}

/// Root of the mean square, in dB below full scale as RFC 6464 counts it: 0 is the loudest, 127 silence.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to 0..=127; a tick has few samples"
)]
pub fn minus_dbov(pcm: &[f32]) -> u8 {
    let energy: f32 = pcm.iter().map(|sample| sample * sample).sum();
    let mean = energy / pcm.len().max(1) as f32;
    (-10.0 * mean.max(1e-13).log10()).clamp(0.0, 127.0).round() as u8
}
