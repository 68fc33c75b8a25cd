//! Where the next sound of a tick comes from: a payload, a copy of it, concealment, noise, silence.
//!
//! ```text
//!          first payload is due                     last one said "pause", or its packets say so
//!   Idle ───────────────────────► Playing ──────────────────────────────────────────────────────────► Pause
//!    ▲                             │   ▲                  first payload after it is due                 │
//!    └──── nothing for 200 ms ─────┘   └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! `Skipped`, where the source is not decoded, is left by way of `Idle`. From `Idle` and `Pause` the delay can be chosen
//! freely: nobody hears how long they last.

use super::waiting::{Origin, Payload};
use super::{MAX_DELAY, Playout, Pulled, to_signed};
use crate::codec::{ComfortNoise, MAX_SAMPLES};
use crate::pitch;

/// What is made up sounds as before for so long: 60 ms.
const FADE_FROM: usize = 2_880;
/// And is silent after so long: 200 ms.
const FADE_TO: usize = 9_600;
/// A pause whose sender says nothing for so long is over: 2 s. Opus says something every 400 ms.
const PAUSE_END: usize = 96_000;
/// Sound comes in within 5 ms.
const FADE_IN: f32 = 1.0 / 240.0;
/// The old sound goes within 10 ms when a source begins anew.
const FADE_OUT: usize = 480;
/// Noise and sound go over into each other within 5 ms.
const BLEND: usize = 240;
/// What is made up at once: 10 ms, which SILK does not like to go below, and 20 ms where payloads last that long.
const PIECE: usize = 480;
const LONG_PIECE: usize = 960;

/// What a source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing came yet, or for a while.
    Idle,
    /// Sound, be it decoded or bridged.
    Playing,
    /// The sender has paused; `steady` when it said so, and its noise goes on.
    Pause {
        /// See above.
        steady: bool,
    },
    /// Not decoded, by our choice.
    Skipped,
}

/// What a source plays in its pauses, where its codec does not know.
#[derive(Debug, Default)]
pub(super) struct Noise {
    source: Option<ComfortNoise>,
    /// It is what was heard last.
    sounds: bool,
}

impl Playout {
    /// Makes at least `tick` samples of sound wait.
    pub(super) fn fill(&mut self, now: i64, tick: usize) -> Pulled {
        let mut pulled = Pulled::Silence;
        if self.sound.len() > 0 {
            pulled = self.kind();
        }
        while self.sound.len() < tick {
            match self.phase {
                Phase::Idle | Phase::Skipped => self.idle(now, tick),
                Phase::Playing => self.play(tick),
                Phase::Pause { steady } => self.pause(now, tick, steady),
            }
            if pulled != Pulled::Sound && self.phase != Phase::Idle {
                pulled = self.kind();
            }
        }
        pulled
    }

    /// Decodes the next payload if it follows what is there: whether it did.
    pub(super) fn append_next_in_order(&mut self) -> bool {
        let follows = self
            .waiting
            .first()
            .is_some_and(|payload| payload.time <= self.end && !payload.noise);
        if follows {
            self.play_first();
        }
        follows
    }

    /// Leaves `Skipped`: gives the decoder its state back.
    pub(super) fn resume(&mut self) {
        self.decoder.reset();
        for payload in std::mem::take(&mut self.lead_in) {
            if !payload.is_empty() {
                // Only the state is wanted; a payload that fails leaves the state of the one before.
                let _ = self.decoder.decode(&payload, self.sound.room());
            }
        }
        self.become_idle();
    }

    /// Another stream begins: what is there of the old one fades.
    pub(super) fn end_old_sound(&mut self) {
        if matches!(self.phase, Phase::Playing | Phase::Pause { .. }) && self.sound.len() < FADE_OUT {
            let missing = (FADE_OUT - self.sound.len()).next_multiple_of(PIECE);
            self.make_up(missing);
        }
        self.sound.truncate_to(FADE_OUT);
        let channels = self.channels();
        let len = self.sound.len();
        for (index, frame) in self.sound.waiting_mut().chunks_exact_mut(channels).enumerate() {
            let gain = 1.0 - pitch::weight(index, len);
            frame.iter_mut().for_each(|value| *value *= gain);
        }
        self.decoder.reset();
        self.restart = false;
        self.become_idle();
    }

    fn kind(&self) -> Pulled {
        match self.phase {
            Phase::Pause { .. } => Pulled::ComfortNoise,
            Phase::Idle | Phase::Playing | Phase::Skipped => Pulled::Sound,
        }
    }

    fn become_idle(&mut self) {
        self.phase = Phase::Idle;
        // What was bridged may still come, and is worth more than what stood for it.
        self.bridged = 0;
        self.made_up = 0;
        self.gain = 0.0;
        self.noise.sounds = false;
    }

    fn idle(&mut self, now: i64, tick: usize) {
        if !self.begin(now) {
            self.sound.commit_silence(tick - self.sound.len());
        }
    }

    /// Begins with the first payload, if it is due: if one that comes as late as is usual would still be in time next.
    fn begin(&mut self, now: i64) -> bool {
        let Some(base) = self.delay.base() else { return false };
        while let Some(first) = self.waiting.first() {
            let age = now - base - first.time;
            if age > MAX_DELAY {
                self.stats.late += 1;
                let seq = first.seq;
                self.count_lost(seq);
                self.waiting.take_first();
            } else if age >= self.delay.quantile() {
                self.end = first.time;
                self.bridged = 0;
                self.made_up = 0;
                self.phase = Phase::Playing;
                return true;
            } else {
                return false;
            }
        }
        false
    }

    fn play(&mut self, tick: usize) {
        let Some(first) = self.waiting.first() else {
            self.bridge(tick);
            return;
        };
        let gap = first.time - self.end;
        if gap <= 0 {
            self.play_first();
            return;
        }
        let copied = if first.noise {
            0
        } else {
            to_signed(self.decoder.redundancy(&first.bytes))
        };
        if gap <= copied {
            // Even where a part of it was made up already: sound is better, at the price of some delay.
            self.bridged = 0;
            self.play_copy_in_first(gap);
        } else if self.bridged > 0 {
            // What was made up stands for what is missing.
            let used = gap.min(self.bridged);
            self.end += used;
            self.bridged = if used == gap { 0 } else { self.bridged - used };
        } else if first.marker || self.last_seq.is_some_and(|last| first.seq == last + 1) {
            self.phase = Phase::Pause { steady: false };
        } else if self.made_up >= FADE_TO {
            self.become_idle();
        } else {
            let missing = usize::try_from(gap - copied).unwrap_or(MAX_SAMPLES);
            let made = self.make_up(missing.min((tick - self.sound.len()).next_multiple_of(LONG_PIECE)));
            self.end += to_signed(made);
        }
    }

    /// The next packet is late or lost, and nobody knows which.
    fn bridge(&mut self, tick: usize) {
        if self.made_up >= FADE_TO {
            self.become_idle();
            self.level = None;
            return;
        }
        let piece = if self.last_duration < to_signed(LONG_PIECE) {
            PIECE
        } else {
            LONG_PIECE
        };
        let made = self.make_up((tick - self.sound.len()).next_multiple_of(piece));
        self.bridged += to_signed(made);
    }

    fn pause(&mut self, now: i64, tick: usize, steady: bool) {
        while self.waiting.first().is_some_and(|first| first.end() <= self.end) {
            self.play_late();
        }
        if self.begin(now) {
            return;
        }
        let over = if steady { PAUSE_END } else { FADE_TO };
        if self.made_up >= over {
            self.become_idle();
            return;
        }
        let samples = (tick - self.sound.len()).next_multiple_of(PIECE);
        let made = if steady {
            self.make_noise(samples, over)
        } else {
            let concealed = self.stats.concealed;
            let made = self.make_up(samples);
            self.stats.concealed = concealed;
            made
        };
        self.stats.comfort_noise += made as u64;
        self.end += to_signed(made);
    }

    /// The noise of a pause that the sender has announced; goes at the end when it lasts for `over` samples.
    fn make_noise(&mut self, samples: usize, over: usize) -> usize {
        let channels = self.channels();
        let room = self.sound.room();
        let made = if self.noise.source.is_none() || !self.noise.sounds {
            self.decoder.conceal(samples, room)
        } else {
            samples.min(MAX_SAMPLES)
        };
        let sound = self.sound.commit(made);
        if let Some(source) = &mut self.noise.source {
            for (index, frame) in sound.chunks_exact_mut(channels).enumerate() {
                let mut noise = [0.0; 2];
                source.fill(&mut noise[..channels], channels);
                let new = if self.noise.sounds || index >= BLEND {
                    1.0
                } else {
                    pitch::weight(index, BLEND)
                };
                for (value, noise) in frame.iter_mut().zip(noise) {
                    let old = if new < 1.0 { *value * (1.0 - new) } else { 0.0 };
                    *value = old + noise * new;
                }
            }
            self.noise.sounds = true;
        }
        self.fade(made, self.made_up + made < over);
        self.made_up += made;
        made
    }

    /// The first payload's time was over before its turn.
    fn play_late(&mut self) {
        if let Some(payload) = self.waiting.take_first() {
            self.stats.late += 1;
            self.count_lost(payload.seq);
        }
    }

    /// Decodes the first payload, whose turn has come.
    fn play_first(&mut self) {
        let Some(payload) = self.waiting.take_first() else {
            return;
        };
        if payload.end() <= self.end {
            self.stats.late += 1;
            self.count_lost(payload.seq);
            return;
        }
        if self.bridged > 0 {
            self.stats.late += 1;
            self.bridged = 0;
        }
        self.count_turn(&payload);
        self.end = payload.end();
        self.last_duration = payload.duration;
        if payload.noise {
            self.noise.source = Some(ComfortNoise::parse(&payload.bytes));
            self.end = payload.time;
            self.made_up = 0;
            self.phase = Phase::Pause { steady: true };
            return;
        }
        match self.decoder.decode(&payload.bytes, self.sound.room()) {
            Ok(samples) => self.append(samples),
            Err(_) => {
                self.stats.refused += 1;
                self.make_up(usize::try_from(payload.duration).unwrap_or(MAX_SAMPLES));
                return;
            }
        }
        if self.decoder.is_dtx(&payload.bytes) {
            self.noise.source = None;
            self.phase = Phase::Pause { steady: true };
        }
    }

    /// Decodes the copy of what is missing that the first payload carries.
    fn play_copy_in_first(&mut self, gap: i64) {
        let Some(first) = self.waiting.first() else { return };
        match self.decoder.decode_fec(&first.bytes, self.sound.room()) {
            Ok(samples) => {
                self.stats.recovered += 1;
                self.end = first.time;
                self.append(samples);
            }
            Err(_) => {
                let made = self.make_up(usize::try_from(gap).unwrap_or(MAX_SAMPLES));
                self.end += to_signed(made);
            }
        }
    }

    fn count_turn(&mut self, payload: &Payload) {
        self.count_lost(payload.seq);
        if payload.origin == Origin::Copy {
            self.stats.lost += 1;
            self.stats.recovered += 1;
        }
    }

    /// What was decoded into the room is sound.
    fn append(&mut self, samples: usize) {
        let channels = self.channels();
        let sound = self.sound.commit(samples);
        if let Some(source) = self.noise.source.as_mut().filter(|_| self.noise.sounds) {
            for (index, frame) in sound.chunks_exact_mut(channels).take(BLEND).enumerate() {
                let mut noise = [0.0; 2];
                source.fill(&mut noise[..channels], channels);
                let new = pitch::weight(index, BLEND);
                for (value, noise) in frame.iter_mut().zip(noise) {
                    *value = *value * new + noise * (1.0 - new);
                }
            }
        }
        self.noise.sounds = false;
        self.made_up = 0;
        self.fade(samples, true);
    }

    /// Continues without a payload, fading after a while. Gives the samples that were made up.
    fn make_up(&mut self, samples: usize) -> usize {
        let samples = samples.next_multiple_of(crate::codec::GRAIN).min(MAX_SAMPLES);
        let made = self.decoder.conceal(samples, self.sound.room());
        self.sound.commit(made);
        let channels = self.channels();
        let (from, start) = (self.made_up, self.gain);
        let first = self.sound.len() - made;
        for (index, frame) in self.sound.waiting_mut()[first * channels..]
            .chunks_exact_mut(channels)
            .enumerate()
        {
            let gain = fade_at(from + index).min(start);
            frame.iter_mut().for_each(|value| *value *= gain);
            self.gain = gain;
        }
        self.made_up += made;
        self.stats.concealed += made as u64;
        made
    }

    /// Lets the last `samples` come in, or go, by [`FADE_IN`].
    fn fade(&mut self, samples: usize, up: bool) {
        if up && self.gain >= 1.0 {
            return;
        }
        let channels = self.channels();
        let first = self.sound.len().saturating_sub(samples);
        let step = if up { FADE_IN } else { -FADE_IN };
        for frame in self.sound.waiting_mut()[first * channels..].chunks_exact_mut(channels) {
            self.gain = (self.gain + step).clamp(0.0, 1.0);
            frame.iter_mut().for_each(|value| *value *= self.gain);
        }
    }
}

/// Gain of the sample that is the `made_up`th in a row without a payload.
#[expect(clippy::cast_precision_loss, reason = "both are some thousands")]
fn fade_at(made_up: usize) -> f32 {
    let left = FADE_TO.saturating_sub(made_up.max(FADE_FROM)) as f32;
    left / (FADE_TO - FADE_FROM) as f32
}
