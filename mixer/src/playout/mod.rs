//! Playout of one source: RTP packets in whenever they come, an even stream of sound out.
//!
//! Between lies as much delay as the network makes necessary. Not here: who is loud enough to be heard, gains, the sum.

use std::time::Instant;

use althing_media_core::packet::SeqExtender;
use althing_media_core::packet::extension::AudioLevel;
use althing_media_core::{Pt, RtpTime, Ssrc};
use bytes::Bytes;

use crate::codec::{Decoder, MAX_SAMPLES};

/// Packets that wait for their turn, at most.
pub const MAX_PACKETS: usize = 128;

/// What the session description says about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// The payload type that the decoder understands.
    pub payload_type: Pt,
    /// That of redundant audio around it (RFC 2198).
    pub red: Option<Pt>,
}

/// One RTP packet, as far as playout is concerned with it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Who sent it.
    pub ssrc: Ssrc,
    /// Its number on the wire.
    pub seq: u16,
    /// When its first sample was taken, in units of the codec's RTP clock.
    pub timestamp: RtpTime,
    /// Payload type.
    pub payload_type: Pt,
    /// First packet after a pause (RFC 3551 §4.1).
    pub marker: bool,
    /// How loud the sender says it is (RFC 6464).
    pub level: Option<AudioLevel>,
    /// Held until it is played; never copied.
    pub payload: Bytes,
}

/// What one pull gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pulled {
    /// Sound of the source, decoded or repaired.
    Sound,
    /// Noise that stands for a pause; no voice in it.
    ComfortNoise,
    /// Zeroes: nothing has come yet, or for a while.
    Silence,
}

/// Counts since the start, and the state of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PlayoutStats {
    /// Packets that came, of any kind.
    pub received: u64,
}

/// Playout of one source.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    decoder: Box<dyn Decoder>,
    numbers: SeqExtender,
    waiting: Vec<(u64, Received)>,
    ready: Vec<f32>,
    scratch: Vec<f32>,
    stats: PlayoutStats,
}

impl Playout {
    /// For one source; allocates all that it will need.
    #[must_use]
    pub fn new(config: PlayoutConfig, decoder: Box<dyn Decoder>) -> Self {
        let samples = MAX_SAMPLES * decoder.channels();
        Self {
            config,
            decoder,
            numbers: SeqExtender::default(),
            waiting: Vec::with_capacity(MAX_PACKETS),
            ready: Vec::with_capacity(2 * samples),
            scratch: vec![0.0; samples],
            stats: PlayoutStats::default(),
        }
    }

    /// Channels of the sound that [`Self::pull`] gives, 1 or 2.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.decoder.channels()
    }

    /// Takes a packet that came at `now`. What is not of this stream is dropped and counted.
    pub fn push(&mut self, _now: Instant, packet: Received) {
        self.stats.received += 1;
        if packet.payload_type != self.config.payload_type || self.waiting.len() == MAX_PACKETS {
            return;
        }
        let seq = self.numbers.extend(packet.seq).0;
        let Err(place) = self.waiting.binary_search_by_key(&seq, |(seq, _)| *seq) else {
            return;
        };
        self.waiting.insert(place, (seq, packet));
    }

    /// Fills `out` (interleaved, [`Self::channels`], 10 or 20 ms, the same length each time) with the next piece of sound.
    ///
    /// `now` is the time for which the piece is meant: that of the tick, not of the moment when a busy thread came to it.
    pub fn pull(&mut self, _now: Instant, out: &mut [f32]) -> Pulled {
        let mut pulled = Pulled::Silence;
        while self.ready.len() < out.len() && !self.waiting.is_empty() {
            let (_, packet) = self.waiting.remove(0);
            if let Ok(samples) = self.decoder.decode(&packet.payload, &mut self.scratch) {
                self.ready
                    .extend_from_slice(&self.scratch[..samples * self.decoder.channels()]);
            }
        }
        out.fill(0.0);
        let len = out.len().min(self.ready.len());
        if len > 0 {
            pulled = Pulled::Sound;
        }
        out[..len].copy_from_slice(&self.ready[..len]);
        self.ready.drain(..len);
        pulled
    }

    /// Lets `samples` per channel of time pass without decoding: for a source that is not among the loud. The next
    /// [`Self::pull`] goes on where the time then is, and comes in softly.
    pub fn skip(&mut self, _now: Instant, samples: usize) {
        let _ = samples;
        self.ready.clear();
        self.waiting.clear();
    }

    /// How loud the source says it is (RFC 6464): the loudest of the packets that wait, so that a first syllable is known
    /// of before it is due; `None` when its packets do not tell.
    #[must_use]
    pub fn level(&self) -> Option<AudioLevel> {
        let levels = self.waiting.iter().filter_map(|(_, packet)| packet.level);
        levels.min_by_key(|level| level.minus_dbov)
    }

    /// Counts since the start, and the state of now.
    #[must_use]
    pub const fn stats(&self) -> PlayoutStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Format;

    #[test]
    fn a_tone_goes_through() {
        let format = Format::Opus { channels: 1 };
        let mut encoder = format.encoder().unwrap();
        let config = PlayoutConfig {
            payload_type: Pt::new(111),
            red: None,
        };
        let mut playout = Playout::new(config, format.decoder().unwrap());
        let (mut pcm, mut packet, mut out) = ([0.0; 960], [0; 1500], [0.0; 960]);
        let (now, mut energy) = (Instant::now(), 0.0);
        for frame in 0..50_u16 {
            for (sample, index) in pcm.iter_mut().zip(0_u16..) {
                *sample = 0.5 * (f32::from(index) * 440.0 * std::f32::consts::TAU / 48_000.0).sin();
            }
            let len = encoder.encode(&pcm, &mut packet).unwrap();
            playout.push(
                now,
                Received {
                    ssrc: Ssrc(1),
                    seq: frame,
                    timestamp: RtpTime(960 * u32::from(frame)),
                    payload_type: Pt::new(111),
                    marker: frame == 0,
                    level: None,
                    payload: Bytes::copy_from_slice(&packet[..len]),
                },
            );
            assert_eq!(playout.pull(now, &mut out), Pulled::Sound);
            energy = out.iter().map(|sample| sample * sample).sum::<f32>() / 960.0;
        }
        assert!((0.08..0.16).contains(&energy), "{energy}");
    }
}
