//! A person's wall clock, related to ours by the reports that came with the least delay.

use std::time::Instant;

use althing_media_core::NtpTime;

use super::least::Least;

/// A sample this far above the least is a clock that was set, if more of them follow, in nanoseconds.
const STEP: i64 = 2_000_000_000;
/// So many of them.
const MAX_STEPS: u8 = 2;
/// So long after its first sample a clock is also learned from packets, in nanoseconds: reports are few then, and the first
/// may have come late.
const YOUTH: i64 = 10_000_000_000;
/// How long a clock has to be known before its least delay is one, in nanoseconds.
const SETTLED: i64 = 500_000_000;

/// Where a reading of the clock comes from. A router moves the clock of the reports to its own and passes capture times on
/// as they are, so they are two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Sender reports (RFC 3550 §6.4.1).
    Reports,
    /// The absolute capture time of packets.
    Captures,
}

impl Source {
    /// The better one first: reports leave when they are made, packets after encoding.
    pub(super) const ALL: [Self; 2] = [Self::Reports, Self::Captures];
}

/// The wall clock of one person: all of their tracks have the same.
#[derive(Debug)]
pub struct SenderWall {
    origin: Instant,
    clocks: [Clock; 2],
}

/// One clock.
#[derive(Debug, Default)]
struct Clock {
    base: Option<NtpTime>,
    /// When the first sample came.
    since: i64,
    least: Least,
    steps: u8,
}

impl SenderWall {
    /// A clock that nothing is known of, for a recording that began at `origin`.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            clocks: [Clock::default(), Clock::default()],
        }
    }

    /// When the recording began.
    #[must_use]
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// The clock showed `ntp` not later than something said so that came at `arrival`. Gives `ntp` as nanoseconds on this
    /// clock.
    pub(super) fn on_sample(&mut self, source: Source, arrival: Instant, ntp: NtpTime) -> i64 {
        let now = since(self.origin, arrival);
        self.clocks[source as usize].on_sample(now, ntp)
    }

    /// Something that was captured when the clock showed `nanos` came at `now`.
    pub(super) fn on_capture(&mut self, source: Source, now: i64, nanos: i64) {
        let clock = &mut self.clocks[source as usize];
        if clock.base.is_some() && now.saturating_sub(clock.since) < YOUTH {
            clock.least.push(now, now.saturating_sub(nanos));
        }
    }

    /// Whether enough has come to tell the least delay from what lies above it.
    pub(super) fn is_settled(&self, source: Source, now: i64) -> bool {
        let clock = &self.clocks[source as usize];
        clock.base.is_some() && now.saturating_sub(clock.since) >= SETTLED
    }

    /// Nanoseconds since the recording began when this clock shows `nanos`.
    pub(super) fn place(&self, source: Source, nanos: i64) -> Option<i64> {
        Some(nanos.saturating_add(self.clocks[source as usize].least.get()?))
    }
}

impl Clock {
    fn on_sample(&mut self, now: i64, ntp: NtpTime) -> i64 {
        if self.base.is_none() {
            self.since = now;
        }
        let at = self.nanos(ntp);
        let offset = now.saturating_sub(at);
        let stepped = self
            .least
            .get()
            .is_some_and(|least| offset.saturating_sub(least) > STEP);
        self.steps = if stepped { self.steps + 1 } else { 0 };
        if self.steps >= MAX_STEPS {
            self.least = Least::default();
            self.steps = 0;
        }
        self.least.push(now, offset);
        at
    }

    /// Nanoseconds since the first reading.
    fn nanos(&mut self, ntp: NtpTime) -> i64 {
        let base = *self.base.get_or_insert(ntp);
        let fixed = i128::from(ntp.0.wrapping_sub(base.0).cast_signed());
        i64::try_from((fixed * 1_000_000_000) >> 32).unwrap_or(i64::MAX)
    }
}

/// Nanoseconds from `origin` to `at`, negative when it is earlier.
pub(super) fn since(origin: Instant, at: Instant) -> i64 {
    let (sign, distance) = match at.checked_duration_since(origin) {
        Some(after) => (1, after),
        None => (-1, origin.saturating_duration_since(at)),
    };
    sign * i64::try_from(distance.as_nanos()).unwrap_or(i64::MAX)
}
