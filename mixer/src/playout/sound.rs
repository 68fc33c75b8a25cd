//! The sound of one source between the decoder and the tick, with a little of what was played already.
//!
//! Acceleration and expansion (overlap-add by one period of the voice) work at the point where the next tick begins. One
//! allocation when it is made. Not here: when to stretch, where sound comes from.

use crate::codec::MAX_SAMPLES;
use crate::pitch::{self, MAX_LAG, WINDOW};

/// What is kept of the past, per channel: enough to find a period in.
const PAST: usize = MAX_LAG + WINDOW;
/// What may wait, per channel: the longest payload behind a tick and what stretching wants to see.
const WAITING: usize = MAX_SAMPLES + 4 * 960;
/// Two pieces are blended over at most this many samples per channel: 5 ms.
const BLEND: usize = 240;
/// Below this mean square (-52 dBFS) nobody hears where it is cut.
const QUIET: f32 = 6e-6;

/// Interleaved sound: what was played, then what waits.
#[derive(Debug)]
pub(super) struct Sound {
    samples: Vec<f32>,
    /// Where the waiting sound begins, in values (not samples per channel).
    start: usize,
    end: usize,
    channels: usize,
}

impl Sound {
    pub(super) fn new(channels: usize) -> Self {
        let past = PAST * channels;
        Self {
            samples: vec![0.0; past + WAITING * channels],
            start: past,
            end: past,
            channels,
        }
    }

    /// Samples per channel that wait.
    pub(super) fn len(&self) -> usize {
        (self.end - self.start) / self.channels
    }

    /// What waits.
    pub(super) fn waiting_mut(&mut self) -> &mut [f32] {
        &mut self.samples[self.start..self.end]
    }

    /// Room for the longest payload behind what waits; then [`Self::commit`].
    pub(super) fn room(&mut self) -> &mut [f32] {
        self.settle();
        &mut self.samples[self.end..]
    }

    /// The first `samples` per channel of the room are sound now; gives them.
    pub(super) fn commit(&mut self, samples: usize) -> &mut [f32] {
        let from = self.end;
        self.end = (self.end + samples * self.channels).min(self.samples.len());
        &mut self.samples[from..self.end]
    }

    /// Appends silence.
    pub(super) fn commit_silence(&mut self, samples: usize) {
        self.settle();
        self.commit(samples).fill(0.0);
    }

    /// Takes `out.len()` values; what lacks is silence.
    pub(super) fn take(&mut self, out: &mut [f32]) {
        let len = out.len().min(self.end - self.start);
        out[..len].copy_from_slice(&self.samples[self.start..self.start + len]);
        out[len..].fill(0.0);
        self.start += len;
    }

    /// Drops what waits.
    pub(super) fn clear(&mut self) {
        self.end = self.start;
    }

    /// Takes the last `samples` per channel back, at most all that waits.
    pub(super) fn truncate_to(&mut self, samples: usize) {
        self.end = self.end.min(self.start + samples * self.channels);
    }

    /// Leaves out one period at the front. Gives its length in samples per channel; 0 when it would be heard (less alike
    /// than `alike`) or too little waits.
    pub(super) fn accelerate(&mut self, alike: f32) -> usize {
        let channels = self.channels;
        let Some(lag) = pitch::find(&self.samples[self.start..self.end], channels, MAX_LAG) else {
            return 0;
        };
        if lag.similarity < alike && lag.energy > QUIET {
            return 0;
        }
        let blend = BLEND.min(lag.samples);
        let (front, back) = self.samples[self.start..].split_at_mut(lag.samples * channels);
        for index in 0..blend * channels {
            let new = pitch::weight(index / channels, blend);
            back[index] = front[index] * (1.0 - new) + back[index] * new;
        }
        self.start += lag.samples * channels;
        lag.samples
    }

    /// Plays one period twice, at the front. Gives its length in samples per channel; 0 when it would be heard (less alike
    /// than `alike`) or too little waits.
    pub(super) fn expand(&mut self, alike: f32) -> usize {
        let channels = self.channels;
        self.settle();
        if self.end - self.start < WINDOW * channels {
            return 0;
        }
        // Backwards in time: what waits against what was just played.
        let from = self.start - MAX_LAG * channels;
        let Some((lag, similarity, energy)) = self.look_back(from) else {
            return 0;
        };
        if similarity < alike && energy > QUIET {
            return 0;
        }
        let shift = lag * channels;
        if self.end + shift > self.samples.len() {
            return 0;
        }
        self.samples.copy_within(self.start..self.end, self.start + shift);
        self.samples.copy_within(self.start - shift..self.start, self.start);
        let blend = BLEND.min(lag);
        let (new, old) = self.samples[self.start..].split_at_mut(shift);
        for index in 0..blend * channels {
            let weight = pitch::weight(index / channels, blend);
            new[index] = old[index] * (1.0 - weight) + new[index] * weight;
        }
        self.end += shift;
        lag
    }

    /// The lag by which what waits is most like what came before it.
    fn look_back(&self, from: usize) -> Option<(usize, f32, f32)> {
        // `find` compares the start of a piece with what comes later in it: let the piece end with the window that waits,
        // and look for the earlier window most like it, by reversing both.
        let channels = self.channels;
        let mut reversed = [0.0_f32; 2 * (MAX_LAG + WINDOW)];
        let piece = &self.samples[from..self.start + WINDOW * channels];
        let reversed = &mut reversed[..piece.len()];
        for (to, frame) in reversed.chunks_exact_mut(channels).zip(piece.rchunks_exact(channels)) {
            to.copy_from_slice(frame);
        }
        pitch::find(reversed, channels, MAX_LAG).map(|lag| (lag.samples, lag.similarity, lag.energy))
    }

    /// Moves all to the front when the room behind becomes short; keeps the past.
    fn settle(&mut self) {
        if self.samples.len() - self.end < (MAX_SAMPLES + MAX_LAG) * self.channels {
            let from = self.start - PAST * self.channels;
            self.samples.copy_within(from..self.end, 0);
            self.start -= from;
            self.end -= from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone; the largest step between neighbours is its amplitude times this.
    const STEP: f32 = std::f32::consts::TAU * 300.0 / 48_000.0;

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn filled(channels: usize) -> Sound {
        let mut sound = Sound::new(channels);
        for round in 0..4 {
            let len = 960 * channels;
            for (index, value) in sound.room()[..len].iter_mut().enumerate() {
                *value = ((round * 960 + index / channels) as f32 * STEP).sin();
            }
            sound.commit(960);
        }
        let mut played = vec![0.0; 1920 * channels];
        sound.take(&mut played);
        sound
    }

    fn largest_step(sound: &[f32], channels: usize) -> f32 {
        let pairs = sound.iter().zip(&sound[channels..]);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn stretching_a_tone_leaves_no_seam() {
        for channels in [1, 2] {
            for longer in [false, true] {
                let mut sound = filled(channels);
                let before = sound.len();
                let by = if longer {
                    sound.expand(0.9)
                } else {
                    sound.accelerate(0.9)
                };
                assert!(by >= 120, "{by}");
                assert_eq!(sound.len(), if longer { before + by } else { before - by });
                let mut all = vec![0.0; sound.len() * channels];
                sound.take(&mut all);
                let joined = &sound.samples[sound.start - all.len() - 960 * channels..sound.start];
                if longer {
                    assert!(largest_step(joined, channels) < STEP * 1.1, "{channels}");
                } else {
                    assert!(largest_step(&all, channels) < STEP * 1.1, "{channels}");
                }
            }
        }
    }

    #[test]
    fn noise_is_not_cut_unless_it_must_be() {
        let mut sound = Sound::new(1);
        let mut state = 1_u32;
        for value in &mut sound.room()[..1920] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0 - 0.5;
        }
        sound.commit(1920);
        assert_eq!(sound.accelerate(0.8), 0);
        assert!(sound.accelerate(-1.0) > 0);
    }

    #[test]
    fn the_room_always_holds_the_longest_payload() {
        let mut sound = Sound::new(2);
        let mut out = [0.0; 2 * 960];
        for _ in 0..100 {
            assert!(sound.room().len() >= 2 * MAX_SAMPLES);
            sound.commit(MAX_SAMPLES);
            while sound.len() >= 960 {
                sound.take(&mut out);
            }
        }
    }
}
