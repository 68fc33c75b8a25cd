//! How much a stream takes, layer by layer: its bitrates over about the last second.
//!
//! An addition per packet. It knows nothing of who gets which layer.

use std::time::{Duration, Instant};

use crate::payload::Info;
use crate::rtcp::Bitrate;

/// Time that is measured over, at least.
const WINDOW: Duration = Duration::from_millis(500);
/// A stream that nothing came of for this time takes nothing.
const SILENCE: Duration = Duration::from_secs(2);
/// What a datagram has besides its payload: headers of RTP, UDP, IPv4, extensions, the tag of SRTP.
const HEADERS: usize = 12 + 8 + 20 + 12 + 16;
/// Spatial and temporal layers that are told apart; those above count as the highest.
const LAYERS: usize = 4;

/// Measures one stream.
#[derive(Debug, Default)]
pub struct Meter {
    since: Option<Instant>,
    bytes: Layers,
    rates: Option<Layers>,
}

/// Something for each layer of a stream: bytes, or bits per second.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// By spatial and temporal layer: what those who see a higher spatial layer need as well.
    shared: [[u32; LAYERS]; LAYERS],
    /// What only those need who see that spatial layer.
    own: [[u32; LAYERS]; LAYERS],
}

impl Meter {
    /// A packet with so many bytes of payload has come.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, payload: usize, info: Info) {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            self.turn(now, elapsed);
        }
        let bytes = u32::try_from(payload + HEADERS).unwrap_or(u32::MAX);
        let cell = self.bytes.cell(info);
        *cell = cell.saturating_add(bytes);
    }

    /// What the stream takes on the wire when all of it is sent on; `None` as long as that is not known.
    #[must_use]
    pub fn rate(&self, now: Instant) -> Option<Bitrate> {
        self.rates(now).map(|rates| rates.up_to(u8::MAX, u8::MAX))
    }

    /// The same, layer by layer.
    #[must_use]
    pub fn rates(&self, now: Instant) -> Option<&Layers> {
        let fresh = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) < SILENCE);
        self.rates.as_ref().filter(|_| fresh)
    }

    /// Half of it is the past: a large picture now and then moves it little.
    fn turn(&mut self, now: Instant, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
        let mut rates = self.bytes;
        rates.cells().for_each(|cell| {
            *cell = u32::try_from(u64::from(*cell) * 8_000_000 / micros).unwrap_or(u32::MAX);
        });
        if let Some(before) = &mut self.rates {
            for (rate, before) in rates.cells().zip(before.cells()) {
                *rate = rate.midpoint(*before);
            }
        }
        *self = Self {
            since: Some(now),
            bytes: Layers::default(),
            rates: Some(rates).filter(|_| elapsed < SILENCE),
        };
    }
}

impl Layers {
    /// What those get who see the layers up to these.
    #[must_use]
    pub fn up_to(&self, spatial: u8, temporal: u8) -> Bitrate {
        let [top, _] = self.highest();
        let (spatial, width) = (usize::from(spatial.min(top)), usize::from(temporal).saturating_add(1));
        let sum = |row: &[u32; LAYERS]| row.iter().take(width).map(|cell| u64::from(*cell)).sum::<u64>();
        let shared: u64 = self.shared.iter().take(spatial + 1).map(sum).sum();
        // A stream of one spatial layer may say that nobody above needs it.
        Bitrate(shared + self.own.get(spatial).map_or(0, sum))
    }

    /// The highest spatial and the highest temporal layer that there is anything in.
    #[must_use]
    pub fn highest(&self) -> [u8; 2] {
        let mut highest = [0; 2];
        for table in [&self.shared, &self.own] {
            for (spatial, row) in (0..).zip(table) {
                for (temporal, _) in (0..).zip(row).filter(|(_, cell)| **cell > 0) {
                    highest = [spatial.max(highest[0]), temporal.max(highest[1])];
                }
            }
        }
        highest
    }

    #[inline]
    fn cell(&mut self, info: Info) -> &mut u32 {
        let table = if info.not_for_upper {
            &mut self.own
        } else {
            &mut self.shared
        };
        let layer = |layer: u8| usize::from(layer).min(LAYERS - 1);
        &mut table[layer(info.spatial)][layer(info.temporal)]
    }

    fn cells(&mut self) -> impl Iterator<Item = &mut u32> {
        self.shared.iter_mut().chain(&mut self.own).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_on_the_wire_and_forgets() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let info = Info::default();
        let mut meter = Meter::default();
        assert_eq!(meter.rate(start), None);
        (0..200).for_each(|n| meter.on_packet(ms(n * 10), 1000 - HEADERS, info));
        assert_eq!(meter.rate(ms(2000)), Some(Bitrate(800_000)));
        (200..400).for_each(|n| meter.on_packet(ms(n * 10), 500 - HEADERS, info));
        let rate = meter.rate(ms(4000)).expect("known").0;
        assert!((400_000..=450_000).contains(&rate), "{rate}");
        assert_eq!(meter.rate(ms(8000)), None, "it has stopped");
    }

    /// Every 10 ms a packet of each of three spatial layers, of 100, 200 and 300 bytes; temporal layers alternate.
    fn layered(own: bool) -> (Meter, Instant) {
        let start = Instant::now();
        let mut meter = Meter::default();
        for n in 0..200 {
            for spatial in 0..3 {
                let info = Info {
                    spatial,
                    temporal: (n % 2) as u8,
                    not_for_upper: own,
                    ..Info::default()
                };
                let bytes = 100 * (usize::from(spatial) + 1) - HEADERS;
                meter.on_packet(start + Duration::from_millis(n * 10), bytes, info);
            }
        }
        (meter, start + Duration::from_secs(2))
    }

    #[test]
    fn layers_add_up_unless_nobody_above_needs_them() {
        for (own, expected) in [(false, [80_000, 240_000, 480_000]), (true, [80_000, 160_000, 240_000])] {
            let (meter, now) = layered(own);
            let rates = meter.rates(now).expect("known");
            assert_eq!(rates.highest(), [2, 1]);
            for (spatial, rate) in (0..).zip(expected) {
                assert_eq!(rates.up_to(spatial, u8::MAX), Bitrate(rate), "{own} {spatial}");
                assert_eq!(rates.up_to(spatial, 0), Bitrate(rate / 2), "{own} {spatial}");
            }
            assert_eq!(rates.up_to(7, 7), rates.up_to(2, 1));
        }
    }
}
