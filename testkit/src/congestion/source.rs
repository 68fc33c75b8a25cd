//! What wants to be sent: a voice all the time, and a camera that follows the estimate like an encoder.

use std::time::{Duration, Instant};

use crate::network::OVERHEAD;
use crate::rng::Rng;

/// Fifty packets a second of this length: 51 kbit/s on the wire.
pub const VOICE: (Duration, usize) = (Duration::from_millis(20), 100);
/// Time between two pictures.
const FRAME: Duration = Duration::from_millis(33);
/// Longest datagram.
const MTU: usize = 1200;
/// Pictures are up to this much larger or smaller than the rate gives.
const SPREAD: f64 = 0.25;

/// Makes packets of a voice and a camera.
#[derive(Debug)]
pub struct Source {
    rng: Rng,
    voice_due: Instant,
    frame_due: Instant,
    /// Highest rate of the camera, in bits per second.
    most: u64,
}

/// A packet that wants to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Length of the datagram.
    pub len: usize,
    /// Of the voice.
    pub voice: bool,
}

impl Source {
    /// Begins at `now`; the camera sends at most `most` bits per second.
    #[must_use]
    pub fn new(now: Instant, rng: Rng, most: u64) -> Self {
        Self {
            rng,
            voice_due: now,
            frame_due: now,
            most,
        }
    }

    /// Changes the highest rate of the camera.
    pub fn set_most(&mut self, most: u64) {
        self.most = most;
    }

    /// What all together would use at most, in bits per second on the wire.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        self.most + voice_rate()
    }

    /// When the next packet is made.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        self.voice_due.min(self.frame_due)
    }

    /// Makes what is due at `now`, `target` bits per second being available. A camera skips a picture when `late`.
    pub fn make(&mut self, now: Instant, target: u64, late: bool, mut make: impl FnMut(Wanted)) {
        while self.voice_due <= now {
            self.voice_due += VOICE.0;
            make(Wanted {
                len: VOICE.1,
                voice: true,
            });
        }
        while self.frame_due <= now {
            self.frame_due += FRAME;
            if !late {
                self.make_frame(target.saturating_sub(voice_rate()).min(self.most), &mut make);
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a picture's size is positive and small"
    )]
    fn make_frame(&mut self, rate: u64, make: &mut impl FnMut(Wanted)) {
        let factor = 1.0 + SPREAD * (2.0 * self.rng.unit() - 1.0);
        let mut left = (rate as f64 / 8.0 * FRAME.as_secs_f64() * factor) as usize;
        let packets = left.div_ceil(MTU + OVERHEAD).max(1);
        // Packetizers make packets of one size.
        let each = (left / packets).max(OVERHEAD + 40);
        while left > 0 {
            let len = each.min(left.max(OVERHEAD + 40)) - OVERHEAD;
            make(Wanted { len, voice: false });
            left = left.saturating_sub(len + OVERHEAD);
        }
    }
}

/// What the voice takes, in bits per second on the wire.
pub(super) fn voice_rate() -> u64 {
    ((VOICE.1 + OVERHEAD) * 8 * 50) as u64
}
