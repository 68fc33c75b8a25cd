//! A bad network, sans-I/O: one [`Link`] carries datagrams one way, from a seed, the same every time.
//!
//! ```text
//!  handle_input → [ down? ] → [ rate and queue: tail drop ] → [ loss, burst loss ] → [ duplicate ]
//!                    → [ delay + jitter, in order ] → [ stalls ] → [ held back: reordered ] → poll_output
//! ```
//!
//! The verbs are those of the product, so that a simulation drives everything alike. Gilbert-Elliott burst loss is
//! described in RFC 3611 §4.7.2 (as a measure) and by Gilbert (1960), Elliott (1963).
//! It knows no addresses and no time but the `now` that it is given.

mod link;
mod setting;
#[cfg(test)]
mod tests;

pub use link::{Link, LinkStats, MAX_IN_FLIGHT, OVERHEAD};
pub use setting::{SETTINGS, SettingError};

use std::time::Duration;

use crate::rng::Rng;

/// How a link treats datagrams. The default is a perfect wire.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkConfig {
    /// Each datagram alone is lost with this chance.
    pub loss: Chance,
    /// Losses that come in bursts, besides `loss`.
    pub burst: Option<Burst>,
    /// Every datagram takes at least this long.
    pub delay: Duration,
    /// And up to this much more, evenly spread; order is kept.
    pub jitter: Duration,
    /// Several times a second nothing arrives for up to this long; what was under way then arrives together. A busy receiver
    /// looks like that.
    pub stall: Duration,
    /// With this chance a datagram is held back, and others overtake it.
    pub reorder: Chance,
    /// How much longer a datagram takes that is held back.
    pub hold: Duration,
    /// With this chance a datagram arrives twice.
    pub duplicate: Chance,
    /// The slowest link of the path; `None` is infinitely fast.
    pub rate: Option<Rate>,
    /// What may wait in front of the slowest link; more is dropped. Means nothing without `rate`.
    pub queue: Queue,
}

impl LinkConfig {
    /// A wire that only delays.
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }
}

/// A probability.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Chance(f64);

impl Chance {
    /// Never.
    pub const NEVER: Self = Self(0.0);
    /// Always.
    pub const ALWAYS: Self = Self(1.0);

    /// `percent` of the time; below 0 is never, above 100 always.
    #[must_use]
    pub const fn percent(percent: f64) -> Self {
        Self((percent / 100.0).clamp(0.0, 1.0))
    }

    /// From 0 to 1.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// Throws the dice. One that can only fall one way is not thrown.
    pub fn happens(self, rng: &mut Rng) -> bool {
        self.0 > 0.0 && (self.0 >= 1.0 || rng.unit() < self.0)
    }
}

/// A rate in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// `bits` per second; 0 is taken as 1.
    #[must_use]
    pub const fn bits(bits: u64) -> Self {
        Self(if bits == 0 { 1 } else { bits })
    }

    /// Bits per second.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// How long `bytes` take.
    #[must_use]
    pub fn time_for(self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// How much a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Queue {
    /// At most so many bytes wait.
    Bytes(usize),
    /// Nothing waits longer than this.
    Time(Duration),
}

impl Default for Queue {
    /// 200 ms: a home router that is neither the best nor the worst.
    fn default() -> Self {
        Self::Time(Duration::from_millis(200))
    }
}

/// Gilbert-Elliott: a good and a bad state; each datagram may change the state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// From good to bad.
    pub enter: Chance,
    /// From bad to good: the mean length of a burst is its inverse, in datagrams.
    pub leave: Chance,
    /// Loss in the bad state.
    pub loss: Chance,
}
