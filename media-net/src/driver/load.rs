//! How busy a worker's thread is: what rooms are spread by.

use std::time::{Duration, Instant};

use crate::stats::NetStats;

/// Over which time the load is measured.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

/// The busy part of the current interval.
pub(super) struct Load {
    since: Instant,
    busy: Duration,
}

impl Load {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            busy: Duration::ZERO,
        }
    }

    /// The thread worked for so long until `now`.
    pub(super) fn note(&mut self, now: Instant, work: Duration, stats: &mut NetStats) {
        self.busy += work;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= LOAD_INTERVAL {
            let permille = self.busy.as_nanos() * 1000 / elapsed.as_nanos();
            stats.busy_permille = u64::try_from(permille.min(1000)).unwrap_or(1000);
            *self = Self::new(now);
        }
    }
}
