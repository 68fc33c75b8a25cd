//! All sound of a recording as one: what was recorded of each voice is decoded and added where its time is, and the sum is
//! encoded again.
//!
//! It is made of frames that a [`Recording`](althing_recorder::recording::Recording) has given out, so nobody is in it who did
//! not agree, and it lies on the clock that pictures lie on; nothing is played out or waited for as in the room's own mix.
//! Everybody is heard, each brought to the same loudness. On a thread of its own: when that is too slow, sound is missing in
//! the mix, and in the tracks' own files it is not.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use althing_media_core::Codec;
use althing_mixer::codec::{CodecError, Decoder, Encoder as _, Format, GRAIN, MAX_SAMPLES, OpusEncoder, RATE};
use althing_mixer::mix::level::{Leveller, TARGET};
use althing_mixer::mix::limit::{LOOK_AHEAD, Limiter};
use althing_mixer::mix::{TICK, TICK_TIME};
use althing_recorder::frame::{Frame, MediaTime};
use althing_recorder::recording::folder::Heard;
use bytes::Bytes;

/// How late a frame may come: holes are waited for 400 ms, and a loaded machine is late as well.
const LATE: Duration = Duration::from_millis(1500);
/// How far the sum reaches, in samples: frames may lie a second ahead of time.
const REACH: usize = 4 * RATE as usize;
/// A clock is followed when it is so many samples off; a longer silence is one.
const TOLERANCE: u64 = TICK as u64;
/// The longest loss that is concealed, in samples.
const LONGEST_LOSS: u64 = 3 * TICK as u64;
/// A voice that has said nothing for so many samples is forgotten.
const REST: u64 = 60 * RATE as u64;
/// The longest packet of 20 ms, in bytes.
const MAX_PACKET: usize = 1500;
/// Batches that may wait for the thread.
const MAX_WAITING: usize = 256;

/// The way to the thread, and back.
pub(super) struct Mixing {
    heard: SyncSender<(Vec<Heard>, MediaTime)>,
    mixed: Receiver<Frame>,
    told: MediaTime,
    /// Packets that it was too slow for.
    lost: usize,
}

impl Mixing {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (heard, inbox) = mpsc::sync_channel::<(Vec<Heard>, MediaTime)>(MAX_WAITING);
        let (out, mixed) = mpsc::channel();
        let mut mix = Mix::new().map_err(|error| io::Error::other(format!("no mix: {error:?}")))?;
        thread::Builder::new().name("recorder-mix".to_owned()).spawn(move || {
            for (heard, now) in inbox {
                for one in heard {
                    mix.handle(&one.file, one.codec, &one.frame);
                }
                let due = now.since_start().saturating_sub(LATE);
                mix.give(MediaTime::new(due), &out);
            }
            mix.give(mix.end(), &out);
        })?;
        Ok(Self {
            heard,
            mixed,
            told: MediaTime::ZERO,
            lost: 0,
        })
    }

    /// Adds what was recorded up to `now`; gives what is mixed.
    pub(super) fn handle(&mut self, heard: Vec<Heard>, now: MediaTime) -> impl Iterator<Item = Frame> {
        // Time goes on when nobody speaks.
        if !heard.is_empty() || now.since(self.told) >= 10 * TICK_TIME {
            let count = heard.len();
            match self.heard.try_send((heard, now)) {
                Ok(()) => self.told = now,
                Err(_) => self.lost += count,
            }
        }
        self.mixed.try_iter()
    }

    /// No more comes; waits for what is left.
    pub(super) fn finish(self) -> impl Iterator<Item = Frame> {
        if self.lost > 0 {
            tracing::warn!(
                packets = self.lost,
                "the machine is slow: sound is missing in the mix of a recording"
            );
        }
        drop(self.heard);
        self.mixed.into_iter()
    }
}

/// The sum of all voices.
struct Mix {
    voices: HashMap<String, Voice>,
    /// A ring; samples are counted from the recording's time zero.
    sum: Vec<f32>,
    /// Where the next packet begins.
    base: u64,
    limiter: Limiter,
    encoder: OpusEncoder,
    pcm: Vec<f32>,
    packet: Vec<u8>,
}

struct Voice {
    decoder: Box<dyn Decoder>,
    level: Leveller,
    /// Where its next packet is expected.
    next: u64,
}

impl Mix {
    fn new() -> Result<Self, CodecError> {
        Ok(Self {
            voices: HashMap::new(),
            sum: vec![0.0; REACH],
            base: 0,
            limiter: Limiter::new(1),
            encoder: OpusEncoder::new(1)?,
            pcm: vec![0.0; MAX_SAMPLES],
            packet: vec![0; MAX_PACKET],
        })
    }

    /// Adds a packet of a voice.
    fn handle(&mut self, voice: &str, codec: Codec, frame: &Frame) {
        let at = frame.at.units(RATE);
        if !self.voices.contains_key(voice) {
            let Some(new) = Voice::new(codec, at) else { return };
            self.voices.insert(voice.to_owned(), new);
        }
        let Some(voice) = self.voices.get_mut(voice) else {
            return;
        };
        let base = self.base;
        if voice.next >= at + TOLERANCE {
            // Its clock is behind by a packet, which is left out.
            return;
        }
        let gap = at.saturating_sub(voice.next);
        if gap > LONGEST_LOSS {
            voice.next = at;
        } else if gap >= TOLERANCE {
            let samples = usize::try_from(gap).unwrap_or(0) / GRAIN * GRAIN;
            let samples = voice.decoder.conceal(samples, &mut self.pcm);
            voice.add(&mut self.pcm[..samples], &mut self.sum, base);
        }
        match voice.decoder.decode(&frame.data, &mut self.pcm) {
            Ok(samples) => voice.add(&mut self.pcm[..samples], &mut self.sum, base),
            // What is no packet of its codec has no length either.
            Err(_) => voice.next = voice.next.max(at),
        }
    }

    /// Gives all packets that end before `until`.
    fn give(&mut self, until: MediaTime, out: &mpsc::Sender<Frame>) {
        let until = until.units(RATE);
        while self.base + (TICK + LOOK_AHEAD) as u64 <= until {
            let base = self.base;
            // The limiter is late by what it looks ahead: it is given so much more.
            let mut pcm = [0.0; TICK];
            for (at, sample) in (base + LOOK_AHEAD as u64..).zip(&mut pcm) {
                *sample = std::mem::take(&mut self.sum[index(at)]);
            }
            self.limiter.process(&mut pcm);
            self.base += TICK as u64;
            self.voices.retain(|_, voice| voice.next + REST > base);
            let Ok(len @ 1..) = self.encoder.encode(&pcm, &mut self.packet) else {
                continue;
            };
            let frame = Frame {
                at: MediaTime::new(TICK_TIME * u32::try_from(base / TICK as u64).unwrap_or(u32::MAX)),
                keyframe: true,
                duration: Some(TICK_TIME),
                data: Bytes::copy_from_slice(&self.packet[..len]),
            };
            // Nobody waits for it when the recording has broken off.
            let _ = out.send(frame);
        }
    }

    /// Where the last voice ends, and a little more.
    fn end(&self) -> MediaTime {
        let last = self.voices.values().map(|voice| voice.next).max().unwrap_or(0);
        let samples = last + (TICK + LOOK_AHEAD) as u64;
        MediaTime(samples.saturating_mul(1_000_000_000) / u64::from(RATE))
    }
}

impl Voice {
    fn new(codec: Codec, next: u64) -> Option<Self> {
        let format = match codec {
            Codec::Opus => Format::Opus { channels: 1 },
            Codec::Pcmu => Format::Pcmu,
            Codec::Pcma => Format::Pcma,
            Codec::G722 => Format::G722,
            _ => return None,
        };
        Some(Self {
            decoder: format.decoder().ok()?,
            level: Leveller::new(TARGET),
            next,
        })
    }

    /// Adds what it says next to the sum that begins at `base`; what lies outside is left out.
    fn add(&mut self, pcm: &mut [f32], sum: &mut [f32], base: u64) {
        let ticks = pcm.len().is_multiple_of(TICK);
        for piece in pcm.chunks_mut(TICK) {
            // Only whole ticks are measured.
            let gain = if ticks {
                self.level.tick(piece, 1)
            } else {
                self.level.held()
            };
            gain.apply(piece, 1);
            for sample in piece {
                if (base + LOOK_AHEAD as u64..base + (REACH - TICK) as u64).contains(&self.next) {
                    sum[index(self.next)] += *sample;
                }
                self.next += 1;
            }
        }
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at % REACH as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: f32 = 440.0;
    const BEN: f32 = 1000.0;

    /// Packets of a tone, from a time on.
    fn tone(hertz: f32, from: Duration, packets: u32) -> Vec<Frame> {
        coded(Format::Opus { channels: 1 }, hertz, from, packets)
    }

    fn coded(format: Format, hertz: f32, from: Duration, packets: u32) -> Vec<Frame> {
        let mut encoder = format.encoder().expect("an encoder");
        let packet = |number: u32| {
            let sample = |n: usize| {
                let at = (number as usize * TICK + n) as f32 / RATE as f32;
                0.2 * (std::f32::consts::TAU * hertz * at).sin()
            };
            let pcm: Vec<f32> = (0..TICK).map(sample).collect();
            let mut data = vec![0; MAX_PACKET];
            let len = encoder.encode(&pcm, &mut data).expect("a packet");
            Frame {
                at: MediaTime::new(from + TICK_TIME * number),
                keyframe: true,
                duration: Some(TICK_TIME),
                data: Bytes::copy_from_slice(&data[..len]),
            }
        };
        (0..packets).map(packet).collect()
    }

    /// All that is mixed, decoded, from time zero on.
    fn hear(mut mix: Mix, until: MediaTime) -> Vec<f32> {
        let (out, frames) = mpsc::channel();
        mix.give(until, &out);
        drop(out);
        let mut decoder = Format::Opus { channels: 1 }.decoder().expect("a decoder");
        let mut heard = Vec::new();
        for frame in frames {
            let at = usize::try_from(frame.at.units(RATE)).expect("short");
            heard.resize(heard.len().max(at), 0.0);
            let mut pcm = vec![0.0; MAX_SAMPLES];
            let len = decoder.decode(&frame.data, &mut pcm).expect("a packet");
            heard.extend_from_slice(&pcm[..len]);
        }
        heard
    }

    /// How strong a tone is in a piece of sound.
    fn strength(pcm: &[f32], hertz: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in pcm.iter().enumerate() {
            let angle = std::f32::consts::TAU * hertz * n as f32 / RATE as f32;
            re += sample * angle.cos();
            im += sample * angle.sin();
        }
        2.0 * re.hypot(im) / pcm.len() as f32
    }

    fn at(heard: &[f32], milliseconds: usize) -> &[f32] {
        &heard[milliseconds * 48..(milliseconds + 200) * 48]
    }

    #[test]
    fn each_voice_is_where_its_time_is() {
        let mut mix = Mix::new().expect("a mix");
        for frame in tone(ADA, Duration::from_millis(30), 100) {
            mix.handle("ada", Codec::Opus, &frame);
        }
        for frame in tone(BEN, Duration::from_millis(1030), 50) {
            mix.handle("ben", Codec::Opus, &frame);
        }
        let heard = hear(mix, MediaTime::new(Duration::from_secs(3)));
        let both = |from| (strength(at(&heard, from), ADA), strength(at(&heard, from), BEN));
        let (ada, ben) = both(500);
        assert!(ada > 0.1 && ben < 0.01, "Ada alone: {ada} and {ben}");
        let (ada, ben) = both(1500);
        assert!(ada > 0.1 && ben > 0.1, "both: {ada} and {ben}");
        let (ada, ben) = both(2400);
        assert!(ada < 0.01 && ben < 0.01, "nobody: {ada} and {ben}");
        // To the millisecond, with the look-ahead of the encoders of a voice and of the mix.
        let loud = |samples: &[f32]| samples.iter().any(|sample| sample.abs() > 0.05);
        let begin = heard.chunks(48).position(loud).expect("something is heard");
        assert!((30..50).contains(&begin), "it begins at {begin} ms");
    }

    /// Pieces of 10 ms in which next to nothing of Ada is heard, who drifts by 1000 ppm and whose packets are not all there.
    fn holes(codec: Codec, format: Format, is_lost: impl Fn(usize) -> bool) -> usize {
        let mut mix = Mix::new().expect("a mix");
        for (n, mut frame) in coded(format, ADA, Duration::ZERO, 150).into_iter().enumerate() {
            frame.at = MediaTime(frame.at.0 + frame.at.0 / 1000);
            if !is_lost(n) {
                mix.handle("ada", codec, &frame);
            }
        }
        let heard = hear(mix, MediaTime::new(Duration::from_millis(2900)));
        let power = |piece: &[f32]| piece.iter().map(|sample| sample * sample).sum::<f32>() / piece.len() as f32;
        let pieces = heard[4800..].chunks(480);
        pieces.filter(|piece| power(piece).sqrt() < 0.03).count()
    }

    #[test]
    fn a_clock_that_drifts_and_losses_leave_no_holes() {
        assert_eq!(holes(Codec::Opus, Format::Opus { channels: 1 }, |_| false), 0);
        // How well Opus makes up what is lost is its own business: of a tone it leaves little. G.711 is concealed by the mixer.
        assert_eq!(holes(Codec::Pcmu, Format::Pcmu, |n| n >= 75 && n % 10 == 0), 0);
        // And a hole would be seen.
        assert!(holes(Codec::Pcmu, Format::Pcmu, |n| n >= 75 && n % 10 < 5) > 0);
    }

    #[test]
    fn what_comes_far_too_late_or_early_is_left_out() {
        let mut mix = Mix::new().expect("a mix");
        let (silence, _heard) = mpsc::channel();
        mix.give(MediaTime::new(Duration::from_secs(9)), &silence);
        let frames = tone(ADA, Duration::from_secs(10), 10);
        mix.handle("ada", Codec::Opus, &frames[0]);
        mix.handle("ben", Codec::Opus, &tone(BEN, Duration::ZERO, 1)[0]);
        mix.handle("eve", Codec::Opus, &tone(BEN, Duration::from_secs(3600), 1)[0]);
        mix.handle(
            "eve",
            Codec::Opus,
            &Frame {
                data: Bytes::from_static(&[0xff, 0xff]),
                ..frames[1].clone()
            },
        );
        let heard = hear(mix, MediaTime::new(Duration::from_secs(11)));
        assert!(strength(&heard, BEN) < 0.001);
    }
}
