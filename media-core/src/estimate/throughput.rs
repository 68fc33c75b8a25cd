//! How much is sent, or arrives: the acknowledged bitrate, by the receiver's clock.
//!
//! Bytes are counted in slots of ten milliseconds, so that neither bunched arrivals nor single gaps move it much, and a
//! packet costs an addition. It does not know why little arrives: whether little was sent is for others to ask.

/// Length of a slot, in µs.
const SLOT: i64 = 10_000;
/// Slots that are remembered: 640 ms. A power of two.
const SLOTS: usize = 64;

/// Counts what comes or goes.
#[derive(Debug)]
pub(super) struct Throughput {
    slots: [u32; SLOTS],
    /// The slot of the latest packet.
    newest: i64,
    /// The slot of the first one after the start or a long silence.
    first: Option<i64>,
}

impl Default for Throughput {
    fn default() -> Self {
        Self {
            slots: [0; SLOTS],
            newest: 0,
            first: None,
        }
    }
}

impl Throughput {
    /// Counts a packet of `size` bytes that came or went at `at` µs.
    pub(super) fn count(&mut self, at: i64, size: u16) {
        let slot = at.div_euclid(SLOT);
        let ahead = slot - self.newest;
        if self.first.is_none() || ahead >= 4 * SLOTS as i64 || ahead <= -4 * (SLOTS as i64) {
            self.slots = [0; SLOTS];
            (self.first, self.newest) = (Some(slot), slot);
        }
        while self.newest < slot {
            self.newest += 1;
            self.slots[index(self.newest)] = 0;
        }
        if self.newest - slot < SLOTS as i64 {
            let sum = &mut self.slots[index(slot)];
            *sum = sum.saturating_add(u32::from(size));
        }
    }

    /// Bits per second over the last `slots` slots of ten ms; `None` as long as so many have not passed.
    pub(super) fn rate(&self, slots: i64) -> Option<f64> {
        // The newest is not over.
        let (end, begin) = (self.newest, self.newest - slots.min(SLOTS as i64 - 1));
        if begin < self.first? {
            return None;
        }
        let bytes: u64 = (begin..end).map(|slot| u64::from(self.slots[index(slot)])).sum();
        Some(bytes as f64 * 8.0 * 1e6 / ((end - begin) * SLOT) as f64)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an index below SLOTS")]
fn index(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_the_last_moments() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.rate(10), None);
        // 1000 bytes every 4 ms are 2 Mbit/s; then twice as many.
        (0..250).for_each(|n| throughput.count(n * 4000, 1000));
        assert_eq!(throughput.rate(50), Some(2e6));
        (0..100).for_each(|n| throughput.count(1_000_000 + n * 2000, 1000));
        assert_eq!(throughput.rate(10), Some(4e6));
        let usual = throughput.rate(50).expect("long enough");
        assert!((2.5e6..3e6).contains(&usual), "{usual}");
    }

    #[test]
    fn silence_and_clocks_that_leap() {
        let mut throughput = Throughput::default();
        (0..100).for_each(|n| throughput.count(n * 10_000, 1000));
        throughput.count(1_500_000, 1000);
        assert_eq!(throughput.rate(20), Some(0.0), "the newest slot is not over");
        throughput.count(i64::MAX / 2, 1000);
        assert_eq!(throughput.rate(20), None);
        throughput.count(-5, 1000);
        assert_eq!(throughput.rate(20), None);
    }
}
