//! Quiet and loud talkers are made equal, slowly: one gain per talker, moved by the loudness of what it says.
//!
//! EBU R 128 with its gates (BS.1770-4 annex 1), over the last seconds of speech instead of a programme: pauses and the
//! noise in them do not count and are not raised. It does not compress: within a sentence the gain hardly moves.

use crate::mix::loudness::{Meter, lufs, power};
use crate::mix::place::Ramp;
use crate::mix::{TICK_TIME, amplitude};

/// Where talkers are brought, in LUFS: 3 LU above what is usual for programmes, because telephones have small loudspeakers.
pub const TARGET: f32 = -20.0;
/// The quietest that is taken for speech, in LUFS.
const GATE: f32 = -55.0;
/// What is this much quieter than the talker's mean is a pause, in LU.
const RELATIVE_GATE: f32 = 10.0;
/// Most that a talker is raised, in dB: beyond it the noise of the room comes up.
const MAX_BOOST: f32 = 15.0;
/// Most that a talker is lowered, in dB.
const MAX_CUT: f32 = 20.0;
/// How fast the gain rises, in dB a second.
const RISE: f32 = 3.0;
/// How fast it falls, in dB a second: who is too loud is more of a nuisance.
const FALL: f32 = 10.0;
/// Speech that the mean covers, in blocks of a tick: 3 s.
const MEMORY: f64 = 150.0;

/// Makes one talker as loud as the others.
#[derive(Debug, Clone)]
pub struct Leveller {
    meter: Meter,
    target: f32,
    /// Mean power of all blocks above the first gate, and of those above the second one.
    ungated: Mean,
    gated: Mean,
    gain: f32,
}

impl Leveller {
    /// Brings a talker to `target` LUFS; [`TARGET`] is a good one.
    #[must_use]
    pub fn new(target: f32) -> Self {
        Self {
            meter: Meter::default(),
            target,
            ungated: Mean::default(),
            gated: Mean::default(),
            gain: 0.0,
        }
    }

    /// Measures one tick of the talker, before any gain; the gain for this tick.
    pub fn tick(&mut self, pcm: &[f32], channels: usize) -> Ramp {
        self.meter.add(pcm, channels);
        let from = self.gain;
        if let Some(now) = self.meter.momentary().filter(|now| *now > GATE) {
            self.ungated.add(power(now));
            let mean = lufs(self.ungated.value).unwrap_or(now);
            if now > mean - RELATIVE_GATE {
                self.gated.add(power(now));
                self.steer();
            }
        }
        Ramp {
            from: amplitude(from),
            to: amplitude(self.gain),
        }
    }

    /// Moves the gain towards where the talker would be as loud as the others.
    fn steer(&mut self) {
        let Some(loudness) = lufs(self.gated.value) else { return };
        let wanted = (self.target - loudness).clamp(-MAX_CUT, MAX_BOOST);
        let seconds = TICK_TIME.as_secs_f32();
        self.gain += (wanted - self.gain).clamp(-FALL * seconds, RISE * seconds);
    }

    /// The gain now, in dB.
    #[must_use]
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// The same gain, when there is no time to measure.
    #[must_use]
    pub fn held(&self) -> Ramp {
        Ramp::steady(amplitude(self.gain))
    }

    /// The talker's loudness over its last seconds of speech, in LUFS; `None` before it has said anything.
    #[must_use]
    pub fn loudness(&self) -> Option<f32> {
        lufs(self.gated.value)
    }
}

/// A mean that forgets: of everything at first, then of the last [`MEMORY`] values.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    value: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.count = (self.count + 1.0).min(MEMORY);
        self.value += (value - self.value) / self.count;
    }
}
