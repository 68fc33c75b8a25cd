//! How much a stream takes: its bitrate over about the last second.
//!
//! An addition per packet. It knows nothing of layers.

use std::time::{Duration, Instant};

use crate::rtcp::Bitrate;

/// Time that is measured over, at least.
const WINDOW: Duration = Duration::from_millis(500);
/// A stream that nothing came of for this time takes nothing.
const SILENCE: Duration = Duration::from_secs(2);
/// What a datagram has besides its payload: headers of RTP, UDP, IPv4, extensions, the tag of SRTP.
const HEADERS: usize = 12 + 8 + 20 + 12 + 16;

/// Measures one stream.
#[derive(Debug, Default)]
pub struct Meter {
    since: Option<Instant>,
    bytes: u64,
    rate: Option<Bitrate>,
}

impl Meter {
    /// A packet with so many bytes of payload has come.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, payload: usize) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            self.turn(now, elapsed);
        }
        self.bytes += (payload + HEADERS) as u64;
    }

    /// What the stream takes on the wire when it is sent on; `None` as long as that is not known.
    #[must_use]
    pub fn rate(&self, now: Instant) -> Option<Bitrate> {
        let fresh = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) < SILENCE);
        self.rate.filter(|_| fresh)
    }

    /// Half of it is the past: a large picture now and then moves it little.
    fn turn(&mut self, now: Instant, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let measured = self.bytes * 8_000_000 / micros;
        let rate = self.rate.map_or(measured, |before| (before.0 + measured) / 2);
        *self = Self {
            since: Some(now),
            bytes: 0,
            rate: Some(Bitrate(rate)).filter(|_| elapsed < SILENCE),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_on_the_wire_and_forgets() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut meter = Meter::default();
        assert_eq!(meter.rate(start), None);
        (0..200).for_each(|n| meter.on_packet(ms(n * 10), 1000 - HEADERS));
        assert_eq!(meter.rate(ms(2000)), Some(Bitrate(800_000)));
        (200..400).for_each(|n| meter.on_packet(ms(n * 10), 500 - HEADERS));
        let rate = meter.rate(ms(4000)).expect("known").0;
        assert!((400_000..=450_000).contains(&rate), "{rate}");
        assert_eq!(meter.rate(ms(8000)), None, "it has stopped");
    }
}
