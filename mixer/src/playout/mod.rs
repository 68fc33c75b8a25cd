//! Playout of one source: RTP packets in whenever they come, an even stream of sound out.
//!
//! ```text
//!  push ─► sort out ─► waiting ─► decode, repair, conceal ─► sound ─► stretch ─► pull
//!            │                                                          ▲
//!            └► delay: how late do packets come? ── target ─────────────┘
//! ```
//!
//! The delay of what is played is the distance between two clocks: ours, and the sender's as its fastest packets show it.
//! It is held near a target, the delay that all but three of two hundred packets keep within, and a tick. Too much: a period of the voice is
//! left out. Too little: one is played twice. In pauses it is set right at once. Clock drift needs no rule of its own.
//!
//! Not here: who is loud enough to be heard, gains, the sum.
//!
//! | file | one idea |
//! |---|---|
//! | `arrival` | packets are sorted out: duplicates, leaps of clocks, copies |
//! | `delay` | how much delay the network makes necessary |
//! | `waiting` | payloads in the order of their time |
//! | `refill` | where the next sound comes from: a payload, its copy, concealment, noise |
//! | `sound` | decoded sound, and stretching it |
//! | `stats` | counts |

mod arrival;
mod delay;
mod refill;
mod sound;
mod stats;
#[cfg(test)]
mod tests;
mod waiting;

use std::time::{Duration, Instant};

use althing_media_core::packet::extension::AudioLevel;
use althing_media_core::{Pt, RtpTime, Ssrc};
use bytes::Bytes;

use self::arrival::Arrivals;
use self::delay::Delay;
use self::refill::{Noise, Phase};
use self::sound::Sound;
use self::waiting::Waiting;
use crate::codec::Decoder;
use crate::pitch;

pub use self::stats::PlayoutStats;
pub use self::waiting::MAX_WAITING;

/// How far the delay may exceed the target before sound is left out: 12.5 ms, so that what is left out, 15 ms at most,
/// leaves enough.
const SLACK: i64 = 600;
/// How far below the quantile the time that a packet has left may fall before sound is put in: 2.5 ms.
const TIGHT: i64 = 120;
/// From this excess on, sound is left out even where it is heard a little: 100 ms.
const FAR: i64 = 4_800;
/// The most delay that is played at all: what is older is dropped. 1 s.
const MAX_DELAY: i64 = 48_000;
/// How alike two periods must be to blend one into the other: at first, when half a second of ticks has not brought any
/// like that, and when it has to be.
const VERY_ALIKE: f32 = 0.97;
const ALIKE: f32 = 0.8;
const HARDLY_ALIKE: f32 = 0.3;
/// After so many samples [`ALIKE`] suffices: 500 ms.
const PATIENCE: usize = 24_000;
/// The last payloads of a source that is not decoded, from which its decoder finds its state again.
const LEAD_IN: usize = 2;

/// What the session description says about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// The payload type that the decoder understands.
    pub payload_type: Pt,
    /// That of redundant audio around it (RFC 2198).
    pub red: Option<Pt>,
    /// That of comfort noise (RFC 3389), for codecs that have no pauses of their own.
    pub comfort_noise: Option<Pt>,
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
    /// First packet after a pause (RFC 3551 §4.1): a gap before it is no loss.
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

/// Playout of one source.
///
/// Allocates when it is made, and nothing of its own later. Holds at most [`MAX_WAITING`] payloads. `push` costs some
/// hundred nanoseconds and never decodes; `pull` decodes what one tick needs, in steady state one payload.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    decoder: Box<dyn Decoder>,
    noise: Noise,
    arrivals: Arrivals,
    delay: Delay,
    waiting: Waiting,
    sound: Sound,
    phase: Phase,
    /// Sender's time at the end of `sound`.
    end: i64,
    /// How long the last payload lasted.
    last_duration: i64,
    /// Samples at the end of `sound` that were made up while nobody could know whether their packet was lost or late.
    bridged: i64,
    /// Number of the last payload whose turn has come.
    last_seq: Option<u64>,
    /// Samples made up in a row, for the fade.
    made_up: usize,
    /// Samples since the delay is not what it should be.
    waited: usize,
    /// Of the sound that was appended last.
    gain: f32,
    /// The source began anew: its old sound ends with the next pull.
    restart: bool,
    lead_in: [Bytes; LEAD_IN],
    level: Option<AudioLevel>,
    /// What our clock counts from.
    epoch: Option<Instant>,
    stats: PlayoutStats,
}

impl Playout {
    /// For one source; allocates all that it will need.
    #[must_use]
    pub fn new(config: PlayoutConfig, decoder: Box<dyn Decoder>) -> Self {
        Self {
            config,
            arrivals: Arrivals::new(decoder.format().clock_rate()),
            noise: Noise::default(),
            delay: Delay::new(),
            waiting: Waiting::new(),
            sound: Sound::new(decoder.channels()),
            phase: Phase::Idle,
            end: 0,
            last_duration: 0,
            bridged: 0,
            last_seq: None,
            made_up: 0,
            waited: 0,
            gain: 0.0,
            restart: false,
            lead_in: [const { Bytes::new() }; LEAD_IN],
            level: None,
            epoch: None,
            stats: PlayoutStats::default(),
            decoder,
        }
    }

    /// Channels of the sound that [`Self::pull`] gives, 1 or 2.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.decoder.channels()
    }

    /// Fills `out` (interleaved, [`Self::channels`], 10 or 20 ms, the same length each time) with the next piece of sound.
    ///
    /// `now` is the time for which the piece is meant: that of the tick, not of the moment when a busy thread came to it.
    pub fn pull(&mut self, now: Instant, out: &mut [f32]) -> Pulled {
        let now = self.clock(now);
        let tick = out.len() / self.channels();
        if self.phase == Phase::Skipped {
            self.resume();
        }
        if self.restart {
            self.end_old_sound();
        }
        let pulled = self.fill(now, tick);
        self.stretch(now, tick);
        self.sound.take(out);
        self.tell(now, tick);
        pulled
    }

    /// Lets `samples` per channel of time pass without decoding: for a source that is not among the loud. The next
    /// [`Self::pull`] goes on where the time then is, and comes in softly. Costs no more than a look at what waits.
    pub fn skip(&mut self, now: Instant, samples: usize) {
        let now = self.clock(now);
        if self.restart {
            self.restart = false;
            self.decoder.reset();
        }
        self.sound.clear();
        self.bridged = 0;
        self.phase = Phase::Skipped;
        let Some(base) = self.delay.base() else { return };
        self.end = now + to_signed(samples) - base - self.delay.quantile();
        while let Some(payload) = self.waiting.first().filter(|payload| payload.end() <= self.end) {
            let seq = payload.seq;
            if let Some(payload) = self.waiting.take_first()
                && !payload.noise
            {
                self.lead_in.rotate_left(1);
                self.lead_in[LEAD_IN - 1] = payload.bytes;
            }
            self.count_lost(seq);
        }
        self.tell(now, samples);
    }

    /// How loud the source says it is (RFC 6464): the loudest of the packets that wait, so that a first syllable is known
    /// of before it is due, or else the last that came; `None` when its packets do not tell.
    #[must_use]
    pub fn level(&self) -> Option<AudioLevel> {
        let levels = self.waiting.iter().filter_map(|payload| payload.level);
        levels.min_by_key(|level| level.minus_dbov).or(self.level)
    }

    /// Counts since the start, and the state of now.
    #[must_use]
    pub const fn stats(&self) -> PlayoutStats {
        self.stats
    }

    /// The delay that is aimed at, in samples.
    fn target(&self, tick: usize) -> i64 {
        self.delay.quantile() + to_signed(tick)
    }

    /// The delay of the next sample to leave, in samples.
    fn current_delay(&self, now: i64) -> i64 {
        let base = self.delay.base().unwrap_or(0);
        now - base - (self.end + self.bridged - to_signed(self.sound.len()))
    }

    /// Brings the delay nearer to its target, by one period at most.
    fn stretch(&mut self, now: i64, tick: usize) {
        if self.phase != Phase::Playing || self.made_up > 0 || tick == 0 {
            return;
        }
        let delay = self.current_delay(now);
        let excess = delay - self.target(tick);
        let tight = !self.waiting_is_ahead() && self.slack(delay, tick) < self.delay.quantile() - TIGHT;
        if excess <= SLACK && !tight {
            self.waited = 0;
            return;
        }
        self.waited = (self.waited + tick).min(PATIENCE);
        if excess > SLACK {
            let alike = if excess > FAR { HARDLY_ALIKE } else { self.alike() };
            // A period can be left out only where the sound behind it is there already.
            let wanted = tick + pitch::MAX_LAG + pitch::WINDOW;
            while self.sound.len() < wanted && self.append_next_in_order() {}
            if self.sound.len() >= tick + pitch::MAX_LAG {
                self.stats.accelerated += self.sound.accelerate(alike) as u64;
            }
        } else {
            self.stats.expanded += self.sound.expand(self.alike()) as u64;
        }
    }

    /// How alike two periods must be by now.
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    fn alike(&self) -> f32 {
        VERY_ALIKE - (VERY_ALIKE - ALIKE) * self.waited as f32 / PATIENCE as f32
    }

    /// How late the next payload may come without being missed. The sound of this tick is there; when more is, the payload
    /// is not missed before the end of it.
    fn slack(&self, delay: i64, tick: usize) -> i64 {
        delay - to_signed(self.sound.len() % tick)
    }

    fn waiting_is_ahead(&self) -> bool {
        self.waiting.first().is_some_and(|payload| payload.time > self.end)
    }

    /// The state of now into the stats.
    fn tell(&mut self, now: i64, tick: usize) {
        let delay = if self.phase == Phase::Playing {
            self.current_delay(now + to_signed(tick))
        } else {
            0
        };
        self.stats.delay = to_duration(delay);
        self.stats.target = to_duration(self.target(tick));
    }

    /// Our clock in samples at 48 kHz since the first call.
    fn clock(&mut self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        i64::try_from(since.as_nanos() * 48 / 1_000_000).unwrap_or(i64::MAX / 4)
    }

    /// Counts what lies between the last payload whose turn came and `seq`.
    fn count_lost(&mut self, seq: u64) {
        if let Some(last) = self.last_seq {
            let missing = seq.saturating_sub(last + 1);
            self.stats.lost += if missing < arrival::LEAP { missing } else { 0 };
        }
        self.last_seq = Some(self.last_seq.map_or(seq, |last| last.max(seq)));
    }
}

fn to_signed(samples: usize) -> i64 {
    i64::try_from(samples).unwrap_or(i64::MAX / 4)
}

fn to_duration(samples: i64) -> Duration {
    let nanos = u64::try_from(samples).unwrap_or(0).saturating_mul(1_000_000) / 48;
    Duration::from_nanos(nanos)
}
