//! One source: from packets or samples to what it says in this tick, all gains applied.

use std::collections::VecDeque;
use std::time::Instant;

use althing_media_core::packet::extension::AudioLevel;
use althing_media_core::{Packet, RtpTime};

use crate::codec::CodecError;
use crate::mix::denoise::Denoise;
use crate::mix::level::Leveller;
use crate::mix::place::{Layout, Position, Ramp, Voice};
use crate::mix::{TICK, amplitude, minus_dbov};
use crate::mixer::config::{Input, SourceConfig};
use crate::mixer::load::Effort;
use crate::mixer::stats::SourceStats;
use crate::playout::{Playout, Pulled, Received};

/// Ticks that wait in the queue of a PCM source, at most: 200 ms.
const MAX_QUEUED: usize = 10;

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    feed: Feed,
    layout: Layout,
    /// Slot of the channel that it speaks into.
    pub(super) channel: usize,
    volume: f32,
    pub(super) muted: bool,
    /// To be removed after this tick, in which it fades out.
    pub(super) leaving: bool,
    denoise: Option<Denoise>,
    leveller: Option<Leveller>,
    /// At the end of the last tick.
    gain: f32,
    /// At the end of the last tick, and wanted.
    position: (Position, Position),
    /// What it says in this tick.
    pcm: Vec<f32>,
    pulled: Pulled,
    /// Whether it has been pulled in this tick.
    fresh: bool,
    /// Whether it is in the sum of this tick.
    pub(super) sounds: bool,
    minus_dbov: u8,
    /// Whether its packets tell how loud they are.
    pub(super) tells: bool,
}

#[derive(Debug)]
enum Feed {
    Rtp {
        playout: Box<Playout>,
        level_id: Option<u8>,
    },
    Pcm {
        queue: VecDeque<f32>,
        overrun: u64,
        dry: bool,
    },
}

impl Source {
    pub(super) fn new(config: &SourceConfig, channel: usize, level: Option<f32>) -> Result<Self, CodecError> {
        let (feed, layout) = match config.input {
            Input::Rtp {
                playout,
                format,
                level_id,
            } => {
                let playout = Box::new(Playout::new(playout, format.decoder()?));
                let stereo = playout.channels() == 2;
                let layout = if stereo { Layout::Stereo } else { Layout::Mono };
                (Feed::Rtp { playout, level_id }, layout)
            }
            Input::Pcm(layout) => {
                let queue = VecDeque::with_capacity(MAX_QUEUED * layout.samples());
                let (overrun, dry) = (0, true);
                (Feed::Pcm { queue, overrun, dry }, layout)
            }
        };
        Ok(Self {
            feed,
            layout,
            channel,
            volume: volume(config.gain),
            muted: false,
            leaving: false,
            denoise: config.denoise.then(|| Denoise::new(layout.channels())),
            leveller: level.filter(|_| config.level).map(Leveller::new),
            gain: 0.0,
            position: (config.position, config.position),
            pcm: vec![0.0; layout.samples()],
            pulled: Pulled::Silence,
            fresh: false,
            sounds: false,
            minus_dbov: 127,
            tells: false,
        })
    }

    /// Takes a packet; how loud it says it is.
    pub(super) fn push(&mut self, now: Instant, packet: &Packet) -> Option<u8> {
        let Feed::Rtp { playout, level_id } = &mut self.feed else {
            return None;
        };
        let view = packet.view();
        let level = level_id.and_then(|id| view.extension(id)).and_then(AudioLevel::parse);
        playout.push(
            now,
            Received {
                ssrc: view.ssrc(),
                seq: view.seq(),
                timestamp: RtpTime(view.timestamp()),
                payload_type: view.pt(),
                marker: view.marker(),
                level,
                payload: packet.payload(),
            },
        );
        self.tells = level.is_some();
        let level = level?.minus_dbov;
        self.minus_dbov = level;
        Some(level)
    }

    /// Takes whole frames of samples, as many as fit; how many samples it took.
    pub(super) fn push_pcm(&mut self, pcm: &[f32]) -> usize {
        let Feed::Pcm { queue, overrun, .. } = &mut self.feed else {
            return 0;
        };
        let room = MAX_QUEUED * self.layout.samples() - queue.len();
        let taken = room.min(pcm.len()) / self.layout.channels() * self.layout.channels();
        // Out of range is the limiter's business; what is no number is nobody's.
        queue.extend(
            pcm[..taken]
                .iter()
                .map(|sample| if sample.is_finite() { *sample } else { 0.0 }),
        );
        *overrun += (pcm.len() - taken) as u64;
        taken
    }

    pub(super) fn set_gain(&mut self, decibels: f32) {
        self.volume = volume(decibels);
    }

    pub(super) fn set_position(&mut self, position: Position) {
        self.position.1 = position;
    }

    /// Whether anything of it was heard at the end of the last tick.
    pub(super) fn is_audible(&self) -> bool {
        self.gain > 0.0
    }

    /// Lets a tick pass in which it is not heard, without decoding.
    pub(super) fn pass(&mut self, due: Instant) {
        self.sounds = false;
        if std::mem::take(&mut self.fresh) {
            return;
        }
        match &mut self.feed {
            Feed::Rtp { playout, .. } => playout.skip(due, TICK),
            Feed::Pcm { queue, dry, .. } => {
                queue.drain(..self.layout.samples().min(queue.len()));
                *dry = true;
            }
        }
    }

    /// Fetches what it says in this tick; does nothing, and gives false, the second time.
    pub(super) fn pull(&mut self, due: Instant) -> bool {
        if self.fresh {
            return false;
        }
        self.fresh = true;
        self.pulled = match &mut self.feed {
            Feed::Rtp { playout, .. } => {
                let pulled = playout.pull(due, &mut self.pcm);
                bound(&mut self.pcm);
                pulled
            }
            Feed::Pcm { queue, dry, .. } => read_queue(queue, dry, self.layout, &mut self.pcm),
        };
        true
    }

    /// How loud the pulled tick is.
    pub(super) fn measure(&mut self) -> u8 {
        self.minus_dbov = match self.pulled {
            Pulled::Sound => minus_dbov(&self.pcm),
            _ => 127,
        };
        self.minus_dbov
    }

    /// Makes the pulled tick what is added to the sum. From being heard to not being heard, and back, it fades in the
    /// course of a tick.
    pub(super) fn shape(&mut self, heard: bool, effort: Effort) {
        self.fresh = false;
        let from = self.gain;
        self.gain = if heard && !self.muted && !self.leaving {
            self.volume
        } else {
            0.0
        };
        let mut gain = Ramp { from, to: self.gain };
        self.sounds = self.pulled != Pulled::Silence && !gain.is_silent();
        if let Some(denoise) = &mut self.denoise {
            if from == 0.0 {
                denoise.restart();
            }
            // What it holds back is still to come when the source has fallen silent.
            if !gain.is_silent() {
                denoise.process(&mut self.pcm, effort.denoise);
                self.sounds = true;
            }
        }
        if let Some(leveller) = self.leveller.as_mut().filter(|_| self.sounds) {
            let measures = effort.level && self.pulled == Pulled::Sound;
            gain = gain.then(if measures {
                leveller.tick(&self.pcm, self.layout.channels())
            } else {
                leveller.held()
            });
        }
        if self.sounds {
            gain.apply(&mut self.pcm, self.layout.channels());
        }
    }

    /// What it says in this tick, and where.
    pub(super) fn voice(&self) -> Voice<'_> {
        let (from, to) = self.position;
        Voice::moving(&self.pcm, self.layout, from, to)
    }

    /// The tick is over.
    pub(super) fn arrive(&mut self) {
        self.position.0 = self.position.1;
    }

    pub(super) fn stats(&self, heard: bool) -> SourceStats {
        let (overrun, playout) = match &self.feed {
            Feed::Rtp { playout, .. } => (0, Some(playout.stats())),
            Feed::Pcm { overrun, .. } => (*overrun, None),
        };
        SourceStats {
            heard,
            minus_dbov: self.minus_dbov,
            loudness: self.leveller.as_ref().and_then(Leveller::loudness),
            level_gain: self.leveller.as_ref().map_or(0.0, Leveller::gain),
            overrun,
            playout,
        }
    }
}

/// The factor for a gain in dB; a bounded one, whatever the caller says.
fn volume(decibels: f32) -> f32 {
    if decibels.is_nan() {
        1.0
    } else {
        amplitude(decibels.min(40.0))
    }
}

/// Decoders give floats, and what they make of hostile packets is promised nowhere.
fn bound(pcm: &mut [f32]) {
    for sample in pcm {
        *sample = if sample.is_finite() {
            sample.clamp(-1.0, 1.0)
        } else {
            0.0
        };
    }
}

/// One tick of a queue. What ends in the middle fades out, and what begins again fades in.
fn read_queue(queue: &mut VecDeque<f32>, dry: &mut bool, layout: Layout, out: &mut [f32]) -> Pulled {
    let count = out.len().min(queue.len());
    out[count..].fill(0.0);
    for (to, from) in out.iter_mut().zip(queue.drain(..count)) {
        *to = from;
    }
    let ends = count < out.len();
    let (from, to) = (if *dry { 0.0 } else { 1.0 }, if ends { 0.0 } else { 1.0 });
    *dry = ends;
    if count == 0 {
        return Pulled::Silence;
    }
    if from != to || ends {
        let frames = count / layout.channels();
        for (at, frame) in out[..count].chunks_exact_mut(layout.channels()).enumerate() {
            // Both ends, when it begins and ends in one tick.
            let position = (at + 1) as f32 / (frames + 1) as f32;
            let gain = if from == 0.0 { position } else { 1.0 } * if to == 0.0 { 1.0 - position } else { 1.0 };
            frame.iter_mut().for_each(|sample| *sample *= gain);
        }
    }
    Pulled::Sound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decoded_is_bounded() {
        let mut pcm = [0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -2.0];
        bound(&mut pcm);
        assert_eq!(pcm, [0.5, 0.0, 0.0, 0.0, 1.0, -1.0]);
    }
}
