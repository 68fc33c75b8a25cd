//! How long a room lasts: it begins when it is made or when somebody comes, and ends when nobody has been there for a
//! while. Knows nothing of who is there.

use std::time::{Duration, Instant};

/// How long a room waits for its first participant, where nobody says otherwise.
pub const EMPTY_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a room waits after the last participant has left, where nobody says otherwise: a page is loaded again, a
/// connection is made anew.
pub const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a room stays although nobody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the first participant comes.
    pub empty: Duration,
    /// After the last one has left.
    pub departure: Duration,
}

/// Why a room has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// Nobody was there for a while.
    Idle,
    /// Somebody who may do so has ended it.
    Deleted,
    /// The server stops.
    Shutdown,
}

/// The life of one room.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lifetime {
    pub(super) timeouts: Timeouts,
    began: Option<Instant>,
    ended: bool,
    visited: bool,
    /// Nobody is there since then.
    vacant: Option<Instant>,
}

impl Lifetime {
    /// A life that begins now.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: Some(now),
            ..Self::default()
        }
    }

    /// It has begun and not ended.
    pub(super) fn lasts(&self) -> bool {
        self.began.is_some() && !self.ended
    }

    pub(super) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Somebody has come.
    pub(super) fn visit(&mut self) {
        (self.visited, self.vacant) = (true, None);
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Nobody is there now: has that been so for long enough? Counted from the first time that this is asked.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        let since = *self.vacant.get_or_insert(now);
        let limit = if self.visited {
            self.timeouts.departure
        } else {
            self.timeouts.empty
        };
        self.lasts() && now.saturating_duration_since(since) >= limit
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            empty: EMPTY_TIMEOUT,
            departure: DEPARTURE_TIMEOUT,
        }
    }
}
