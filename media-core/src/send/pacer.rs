//! When the next datagram may go: so that what is sent at a rate leaves in short bursts instead of whole pictures.
//!
//! A burst is what the rate gives in [`BURST`], as a rule: enough for a train of datagrams in one system call, too little
//! to fill a queue. It holds no packets and knows no clock; the rate comes with each call.

use std::time::{Duration, Instant};

use crate::rtcp::Bitrate;

/// What may go at once as a rule, in time at the pacing rate.
pub const BURST: Duration = Duration::from_millis(5);

/// What goes without asking (sound) at more than the rate is held against the rest for at most this long: otherwise an hour of
/// sound on a line that was thought to carry less would keep pictures and probes back for minutes.
const MAX_AHEAD: Duration = Duration::from_millis(100);

/// Counts what has been sent ahead of the rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pacer {
    /// When everything that was sent has passed at its rate; `None` before the first.
    passed: Option<Instant>,
}

impl Pacer {
    /// Whether a datagram may go at `now`, in bursts of up to `burst`; if not, when the next burst begins.
    ///
    /// # Errors
    /// The time of the next burst.
    #[inline]
    pub fn ready(&self, now: Instant, burst: Duration) -> Result<(), Instant> {
        match self.passed {
            Some(passed) if passed > now + burst => Err(passed),
            _ => Ok(()),
        }
    }

    /// A datagram of `bytes` on the wire has gone.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, bytes: usize, rate: Bitrate) {
        let nanos = (bytes as u64 * 8_000_000_000).checked_div(rate.0).unwrap_or(u64::MAX);
        let begin = self.passed.map_or(now, |passed| passed.max(now));
        // A rate near zero must not lead out of time.
        let took = Duration::from_nanos(nanos).min(Duration::from_secs(1));
        self.passed = Some((begin + took).min(now + took.max(MAX_AHEAD)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_short_and_the_rate_is_kept() {
        let start = Instant::now();
        let (mut pacer, mut now) = (Pacer::default(), start);
        let rate = Bitrate(8_000_000);
        let (mut sent, mut longest) = (0_u32, 0);
        while now < start + Duration::from_secs(1) {
            let mut burst = 0;
            while pacer.ready(now, BURST).is_ok() {
                pacer.on_sent(now, 1000, rate);
                burst += 1;
            }
            sent += burst;
            longest = longest.max(burst);
            now = pacer.ready(now, BURST).expect_err("the burst has ended");
        }
        assert!((1000..=1006).contains(&sent), "{sent} of 1000 a second");
        assert_eq!(longest, 6, "5 ms at 1000 a second, and the one that exceeds it");
    }

    #[test]
    fn what_goes_without_asking_leaves_no_debt() {
        let start = Instant::now();
        let (mut pacer, mut now) = (Pacer::default(), start);
        for _ in 0..1000 {
            pacer.on_sent(now, 128, Bitrate(20_000));
            now += Duration::from_millis(20);
        }
        let next = pacer.ready(now, BURST).expect_err("it was more than the rate");
        assert!(next <= now + MAX_AHEAD, "{:?}", next - now);
    }

    #[test]
    fn no_credit_is_saved() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        let later = start + Duration::from_secs(10);
        let mut burst = 0;
        while pacer.ready(later, BURST).is_ok() {
            pacer.on_sent(later, 1000, Bitrate(800_000));
            burst += 1;
        }
        assert_eq!(burst, 1, "a datagram of 10 ms");
    }
}
