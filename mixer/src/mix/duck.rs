//! The floor becomes quieter while an interpreter talks, and comes back when the interpreter is silent.
//!
//! It moves in decibels, because that is how it is heard. Who talks is known from the audio levels of packets as they
//! arrive, before the playout delay: the floor has gone down when the interpreter's first word is heard.

use std::time::Duration;

use crate::mix::place::Ramp;
use crate::mix::{TICK_TIME, amplitude};

/// How a channel lies over another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DuckConfig {
    /// How much quieter the other channel becomes, in dB; 0 leaves it as it is, 60 and more is silence.
    pub depth: f32,
    /// How long going down takes.
    pub attack: Duration,
    /// How long it stays down after the last word.
    pub hold: Duration,
    /// How long coming back takes.
    pub release: Duration,
}

impl Default for DuckConfig {
    /// What simultaneous interpretation needs: the voice of the floor stays as a presence, 18 dB down.
    fn default() -> Self {
        Self {
            depth: 18.0,
            attack: Duration::from_millis(100),
            hold: Duration::from_millis(1500),
            release: Duration::from_millis(800),
        }
    }
}

/// The state of one channel that lies over another.
#[derive(Debug, Clone)]
pub struct Duck {
    config: DuckConfig,
    /// How far down, in dB.
    down: f32,
    held: Duration,
}

impl Duck {
    /// Silence at first: the floor is as loud as ever.
    #[must_use]
    pub const fn new(config: DuckConfig) -> Self {
        Self {
            config,
            down: 0.0,
            held: Duration::ZERO,
        }
    }

    /// The floor's gain in this tick.
    pub fn tick(&mut self, talking: bool) -> Ramp {
        let from = self.gain();
        if talking {
            self.held = self.config.hold;
        }
        let depth = self.config.depth.max(0.0);
        if talking || !self.held.is_zero() {
            self.held = self
                .held
                .saturating_sub(if talking { Duration::ZERO } else { TICK_TIME });
            self.down = (self.down + depth * share(self.config.attack)).min(depth);
        } else {
            self.down = (self.down - depth * share(self.config.release)).max(0.0);
        }
        Ramp { from, to: self.gain() }
    }

    fn gain(&self) -> f32 {
        if self.down >= 60.0 { 0.0 } else { amplitude(-self.down) }
    }
}

/// What part of a movement is done in one tick.
fn share(whole: Duration) -> f32 {
    TICK_TIME.as_secs_f32() / whole.max(TICK_TIME).as_secs_f32()
}
