//! Announcements and tones: sound that is there as a whole before it is heard.

use std::f32::consts::TAU;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::mix::{RATE, amplitude};

/// How long a tone takes to come and to go: short, and without a click.
const EDGE: Duration = Duration::from_millis(10);
/// Longest tone that is made.
const MAX_TONE: Duration = Duration::from_secs(60);

/// Samples of one channel at 48 kHz, shared: a clone costs one reference count.
#[derive(Clone)]
pub struct Sound(Arc<[f32]>);

impl Sound {
    /// Takes samples of one channel at 48 kHz, full scale at ±1. Samples that are no numbers become silence.
    #[must_use]
    pub fn new(mut pcm: Vec<f32>) -> Self {
        for sample in &mut pcm {
            if !sample.is_finite() {
                *sample = 0.0;
            }
        }
        Self(pcm.into())
    }

    /// A sine of `hertz` with its peaks at `dbfs`, at most a minute long.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by a minute of samples"
    )]
    pub fn tone(hertz: f32, duration: Duration, dbfs: f32) -> Self {
        let rate = RATE as f32;
        let samples = (duration.min(MAX_TONE).as_secs_f32() * rate) as usize;
        let edge = EDGE.as_secs_f32() * rate;
        let sample = |at: usize| {
            let envelope = (at.min(samples - at) as f32 / edge).min(1.0);
            let phase = (f64::from(hertz) / f64::from(RATE) * at as f64).fract() as f32;
            amplitude(dbfs) * envelope * (TAU * phase).sin()
        };
        Self::new((0..samples).map(sample).collect())
    }

    /// Silence, to put between tones.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by a minute of samples"
    )]
    pub fn silence(duration: Duration) -> Self {
        Self(vec![0.0; (duration.min(MAX_TONE).as_secs_f32() * RATE as f32) as usize].into())
    }

    /// This sound, then another one.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self([&self.0[..], &next.0[..]].concat().into())
    }

    /// How long it is.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.0.len() as f64 / f64::from(RATE))
    }
}

impl fmt::Debug for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sound({:?})", self.duration())
    }
}

/// A sound that is being played.
#[derive(Debug, Clone)]
pub struct Playing {
    sound: Sound,
    at: usize,
}

impl Playing {
    /// From its beginning.
    #[must_use]
    pub const fn new(sound: Sound) -> Self {
        Self { sound, at: 0 }
    }

    /// The next samples, silence behind the end; false when nothing is left after them.
    pub fn read(&mut self, out: &mut [f32]) -> bool {
        let rest = &self.sound.0[self.at..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        out[count..].fill(0.0);
        self.at += count;
        self.at < self.sound.0.len()
    }
}
