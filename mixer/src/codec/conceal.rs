//! Concealment for codecs that have none: the last periods of the voice again and again, fading.
//!
//! Works on the sound at 48 kHz, whatever the codec. The idea is that of ITU-T G.711 appendix I; the joints are others:
//! no delay is spent on them.

use crate::pitch::{self, MAX_LAG, WINDOW};

/// What is remembered, per channel.
const PAST: usize = MAX_LAG + WINDOW;
/// At least so much is repeated, so that a single period does not buzz: 10 ms.
const REPEATED: usize = 480;
/// Joints are blended over so much: 5 ms.
const BLEND: usize = 240;
/// A step at the first sample of the repetition is spread over so much: 2.5 ms.
const SPREAD: usize = 120;
/// As loud as before for so long, then fading: 20 ms.
const FADE_FROM: usize = 960;
/// Silent after so long: 120 ms.
const FADE_TO: usize = 5_760;

/// What one stream sounded like, and what continues it. Allocates only when it is made.
#[derive(Debug)]
pub(super) struct Concealer {
    channels: usize,
    /// The last of what was decoded, interleaved.
    past: Vec<f32>,
    /// What is repeated, and where we are in it; nothing when nothing is concealed.
    repeated: Vec<f32>,
    at: usize,
    /// Samples that were made up in a row.
    made_up: usize,
    /// The step that is spread, one for each channel.
    step: [f32; 2],
}

impl Concealer {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            channels,
            past: vec![0.0; PAST * channels],
            repeated: Vec::with_capacity(PAST * channels),
            at: 0,
            made_up: 0,
            step: [0.0; 2],
        }
    }

    /// Sound was decoded: remembers it. If it follows something made up, blends it in, the first `delay` samples per channel
    /// being of no use.
    pub(super) fn on_decoded(&mut self, sound: &mut [f32], delay: usize) {
        let channels = self.channels;
        if !self.repeated.is_empty() {
            for (index, frame) in sound.chunks_exact_mut(channels).take(delay + BLEND).enumerate() {
                let new = if index < delay {
                    0.0
                } else {
                    pitch::weight(index - delay, BLEND)
                };
                let mut old = [0.0; 2];
                self.next(&mut old[..channels]);
                for (value, old) in frame.iter_mut().zip(old) {
                    *value = *value * new + old * (1.0 - new);
                }
            }
            self.repeated.clear();
            self.made_up = 0;
        }
        let kept = sound.len().min(self.past.len());
        self.past.copy_within(kept.., 0);
        let from = self.past.len() - kept;
        self.past[from..].copy_from_slice(&sound[sound.len() - kept..]);
    }

    /// Makes up what follows.
    pub(super) fn conceal(&mut self, out: &mut [f32]) {
        if self.repeated.is_empty() {
            self.begin();
        }
        for frame in out.chunks_exact_mut(self.channels) {
            self.next(frame);
        }
    }

    pub(super) fn reset(&mut self) {
        self.past.fill(0.0);
        self.repeated.clear();
        self.made_up = 0;
    }

    fn begin(&mut self) {
        let channels = self.channels;
        let mut reversed = [0.0_f32; 2 * PAST];
        let reversed = &mut reversed[..PAST * channels];
        for (to, frame) in reversed
            .chunks_exact_mut(channels)
            .zip(self.past.rchunks_exact(channels))
        {
            to.copy_from_slice(frame);
        }
        let lag = pitch::find(reversed, channels, MAX_LAG).map_or(REPEATED, |lag| lag.samples);
        let len = lag * REPEATED.div_ceil(lag);
        let len = if len + BLEND > PAST { lag } else { len };
        let from = (PAST - len) * channels;
        self.repeated.clear();
        self.repeated.extend_from_slice(&self.past[from..]);
        // The end goes over into what came before the beginning, so that going round has no seam.
        let blend = BLEND.min(len / 2);
        for index in 0..blend {
            let new = pitch::weight(index, blend);
            for channel in 0..channels {
                let value = &mut self.repeated[(len - blend + index) * channels + channel];
                let before = self.past[(PAST - len - blend + index) * channels + channel];
                *value = *value * (1.0 - new) + before * new;
            }
        }
        for channel in 0..channels {
            let last = self.past[(PAST - 1) * channels + channel];
            let before = self.past[(PAST - len - 1) * channels + channel];
            self.step[channel] = last - before;
        }
        self.at = 0;
        self.made_up = 0;
    }

    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    fn next(&mut self, frame: &mut [f32]) {
        let left = FADE_TO.saturating_sub(self.made_up.max(FADE_FROM));
        let gain = left as f32 / (FADE_TO - FADE_FROM) as f32;
        let spread = if self.made_up < SPREAD {
            1.0 - pitch::weight(self.made_up, SPREAD)
        } else {
            0.0
        };
        for (channel, value) in frame.iter_mut().enumerate() {
            *value = (self.repeated[self.at + channel] + self.step[channel] * spread) * gain;
        }
        self.made_up += 1;
        self.at += self.channels;
        if self.at >= self.repeated.len() {
            self.at = 0;
        }
    }
}
