//! The three clocks, as types that cannot be mixed up.
//!
//! | clock | type | whose | used for |
//! |---|---|---|---|
//! | monotonic | [`Instant`] | ours, given with every call | timers, arrival, pacing |
//! | media | [`RtpTime`] | the sender's, in units of the codec's clock rate | RTP timestamps |
//! | wall | [`NtpTime`] | the sender's in a received report, ours in one that we write | lip sync (RFC 3550 §6.4.1) |

pub use std::time::{Duration, Instant};

/// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// A wall clock reading in NTP format: 32 bits of seconds since 1900, 32 bits of fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since the Unix epoch.
    #[must_use]
    pub fn from_unix(since_1970: Duration) -> Self {
        let seconds = since_1970.as_secs().wrapping_add(NTP_UNIX_OFFSET);
        let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
        Self(seconds << 32 | fraction)
    }

    /// The middle 32 bits: what report blocks call LSR (RFC 3550 §6.4.1).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the middle 32 bits are what LSR carries")]
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// This time plus `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.wrapping_add(to_fixed(duration)))
    }

    /// `self - earlier`, negative when `earlier` is later; in seconds, exact to about a microsecond.
    #[must_use]
    #[expect(
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        reason = "a signed difference of two clocks"
    )]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.wrapping_sub(earlier.0) as i64 as f64 / 4_294_967_296.0
    }
}

fn to_fixed(duration: Duration) -> u64 {
    (duration.as_secs() << 32) | ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

/// A media timestamp: wraps every 2³² units; compare by [`Self::since`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// Signed distance from `earlier`, in units of the media clock (RFC 1982 arithmetic).
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "modular distance, RFC 1982")]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    /// This time plus `units`.
    #[must_use]
    pub const fn plus(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// `duration` in units of a clock of `rate` Hz, rounded down; wraps.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "media time wraps at 32 bits")]
    pub const fn units(duration: Duration, rate: u32) -> u32 {
        (duration.as_nanos() * rate as u128 / 1_000_000_000) as u32
    }
}

/// Relates our monotonic clock to wall time, so that reports can carry an [`NtpTime`] without asking a clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    at: Instant,
    wall: NtpTime,
}

impl WallClock {
    /// The wall clock showed `wall` when the monotonic clock showed `at`.
    #[must_use]
    pub const fn new(at: Instant, wall: NtpTime) -> Self {
        Self { at, wall }
    }

    /// The wall time at `now` (not before the reading it was made from).
    #[must_use]
    pub fn ntp(&self, now: Instant) -> NtpTime {
        self.wall.plus(now.saturating_duration_since(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_of_the_unix_epoch() {
        assert_eq!(NtpTime::from_unix(Duration::ZERO).0 >> 32, NTP_UNIX_OFFSET);
        let half = NtpTime::from_unix(Duration::from_millis(500));
        assert_eq!(half.0 & 0xffff_ffff, 0x8000_0000);
        assert!((half.seconds_since(NtpTime::from_unix(Duration::ZERO)) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn media_time_wraps() {
        assert_eq!(RtpTime(5).since(RtpTime(u32::MAX)), 6);
        assert_eq!(RtpTime(u32::MAX).since(RtpTime(5)), -6);
        assert_eq!(RtpTime::units(Duration::from_millis(20), 48_000), 960);
    }
}
