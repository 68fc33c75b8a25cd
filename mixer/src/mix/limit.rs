//! The sum stays below full scale: a look-ahead limiter that is not heard working.
//!
//! Two gains, one after the other. The slow one follows how much too loud the sum has been lately: when twenty people
//! laugh it takes the sum down as a whole. The fast one looks 2.5 ms ahead and takes down only the peaks that are left;
//! it is smooth, because it is a mean over the time that it looks ahead, and it is always low enough in time, because each
//! value in that mean is. Left and right share both, so that nobody moves sideways.

use crate::mix::{RATE, TICK, TICK_TIME};

/// Samples of look-ahead, which are its delay: 2.5 ms. Divides a tick.
pub const LOOK_AHEAD: usize = 120;
/// No sample is louder: -1 dBFS.
const CEILING: f32 = 0.891_25;
/// Below this nothing is changed: -4 dBFS. Between the two the gain bends softly.
const KNEE: f32 = 0.630_96;
/// How long the fast gain takes to come back, in seconds.
const FAST_RELEASE: f32 = 0.08;
/// How long the slow gain takes to go down and to come back, in seconds.
const SLOW: (f32, f32) = (0.3, 2.0);
/// A gain so near to 1 is 1.
const RESTED: f32 = 0.9995;

/// The limiter of one mix of one or two channels.
#[derive(Debug, Clone)]
pub struct Limiter {
    channels: usize,
    /// The last samples, which are still to be given out.
    held: [f32; 2 * LOOK_AHEAD],
    slow: f32,
    /// Peak of the last tick.
    peak: f32,
    /// The lowest gain that the samples ahead need, as a queue that rises: gain and the sample that needs it.
    lowest: Lowest,
    fast: f32,
    /// The last values of `fast`, a ring, and their sum.
    recent: [f32; LOOK_AHEAD + 1],
    sum: f64,
    at: usize,
}

impl Limiter {
    /// For `channels` interleaved channels: 1 or 2.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        Self {
            channels: channels.clamp(1, 2),
            held: [0.0; 2 * LOOK_AHEAD],
            slow: 1.0,
            peak: 0.0,
            lowest: Lowest::default(),
            fast: 1.0,
            recent: [1.0; LOOK_AHEAD + 1],
            sum: (LOOK_AHEAD + 1) as f64,
            at: 0,
        }
    }

    /// Limits one tick in place; what comes out is [`LOOK_AHEAD`] samples late. Other lengths are left as they are.
    ///
    /// About 0.5 µs a channel while nothing is loud, some 8 µs while it works.
    pub fn process(&mut self, pcm: &mut [f32]) {
        if pcm.len() != TICK * self.channels {
            return;
        }
        let mut peak = 0.0_f32;
        for sample in pcm.iter_mut() {
            // What is no number would stay in the gain for ever.
            if !sample.is_finite() {
                *sample = 0.0;
            }
            peak = peak.max(sample.abs());
        }
        let slow = self.slow_gain(peak);
        if peak <= KNEE && slow == (1.0, 1.0) && self.rests() {
            self.delay(pcm);
            return;
        }
        let mut gains = [0.0; TICK];
        let step = (slow.1 - slow.0) / TICK as f32;
        let mut gain = slow.0;
        for (frame, out) in pcm.chunks_exact_mut(self.channels).zip(&mut gains) {
            gain += step;
            let mut peak = 0.0_f32;
            for sample in frame {
                *sample *= gain;
                peak = peak.max(sample.abs());
            }
            *out = self.fast_gain(needed(peak));
        }
        self.delay(pcm);
        for (frame, gain) in pcm.chunks_exact_mut(self.channels).zip(&gains) {
            frame.iter_mut().for_each(|sample| *sample *= gain);
        }
    }

    /// How much is taken away now, in dB, 0 or negative.
    #[must_use]
    pub fn reduction(&self) -> f32 {
        crate::mix::decibels(self.slow * self.fast)
    }

    /// Gives out what was held, and holds the end of the tick.
    fn delay(&mut self, pcm: &mut [f32]) {
        let count = LOOK_AHEAD * self.channels;
        pcm.rotate_right(count);
        pcm[..count].swap_with_slice(&mut self.held[..count]);
    }

    /// Moves the slow gain by the peak of a tick: where it was, and where it is now. A single peak does not move it.
    fn slow_gain(&mut self, peak: f32) -> (f32, f32) {
        let lasting = peak.min(std::mem::replace(&mut self.peak, peak));
        let (from, wanted) = (self.slow, needed(lasting));
        let time = if wanted < from { SLOW.0 } else { SLOW.1 };
        self.slow += (wanted - from) * TICK_TIME.as_secs_f32() / time;
        if wanted == 1.0 && self.slow > RESTED {
            self.slow = 1.0;
        }
        (from, self.slow)
    }

    /// Whether the fast gain is 1 and has been so for long enough.
    fn rests(&mut self) -> bool {
        let rests = self.fast == 1.0 && self.lowest.is_rested() && self.recent.iter().all(|gain| *gain == 1.0);
        if rests {
            // Rounding does not add up.
            self.sum = self.recent.len() as f64;
        }
        rests
    }

    /// Takes the gain that the newest sample needs; the gain of the sample that is given out now.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a mean of f32 values")]
    fn fast_gain(&mut self, needed: f32) -> f32 {
        let lowest = self.lowest.add(needed);
        let mut back = self.fast + (1.0 - self.fast) / (FAST_RELEASE * RATE as f32);
        if back > RESTED {
            back = 1.0;
        }
        self.fast = lowest.min(back);
        self.sum += f64::from(self.fast) - f64::from(self.recent[self.at]);
        self.recent[self.at] = self.fast;
        self.at = (self.at + 1) % self.recent.len();
        (self.sum / self.recent.len() as f64) as f32
    }
}

/// The gain that brings `peak` under the ceiling, bending softly above the knee.
#[inline]
fn needed(peak: f32) -> f32 {
    if peak <= KNEE {
        return 1.0;
    }
    let room = CEILING - KNEE;
    (KNEE + room * (1.0 - (-(peak - KNEE) / room).exp())) / peak
}

/// The lowest of the last `LOOK_AHEAD + 1` values: a queue of those that no later value undercuts, lowest first.
#[derive(Debug, Clone)]
struct Lowest {
    values: [f32; LOOK_AHEAD + 1],
    /// When each came.
    times: [usize; LOOK_AHEAD + 1],
    first: usize,
    len: usize,
    now: usize,
}

impl Default for Lowest {
    fn default() -> Self {
        Self {
            values: [1.0; LOOK_AHEAD + 1],
            times: [0; LOOK_AHEAD + 1],
            first: 0,
            len: 0,
            now: 0,
        }
    }
}

impl Lowest {
    fn add(&mut self, value: f32) -> f32 {
        const SIZE: usize = LOOK_AHEAD + 1;
        self.now = self.now.wrapping_add(1);
        if self.len > 0 && self.now.wrapping_sub(self.times[self.first]) >= SIZE {
            self.first = (self.first + 1) % SIZE;
            self.len -= 1;
        }
        while self.len > 0 && self.values[(self.first + self.len - 1) % SIZE] >= value {
            self.len -= 1;
        }
        let at = (self.first + self.len) % SIZE;
        self.values[at] = value;
        self.times[at] = self.now;
        self.len += 1;
        self.values[self.first]
    }

    /// Whether all that counts is 1; then what came when is forgotten.
    fn is_rested(&mut self) -> bool {
        let rested = self.len == 0 || self.values[self.first] == 1.0;
        if rested {
            self.len = 0;
        }
        rested
    }
}
