//! How long the queue in front of the slowest link is: the one-way delay above the least of the last seconds.
//!
//! The clocks of sender and receiver are not the same; only the difference to the least is meant. A queue that never
//! empties (somebody else keeps it full) becomes part of the least after [`WINDOW`]: it is not ours to wait for.

use super::feedback::Arrival;

/// The least is sought in one to two times this, in µs of our clock. Clocks drift by less than a millisecond meanwhile.
const WINDOW: i64 = 8_000_000;
/// Messages over which the noise is taken, and how much of it is not taken for a queue.
const NOISE_WEIGHT: i64 = 20;
const NOISES: i64 = 6;
/// Noise that pictures of different sizes make anyway, in µs.
const FREE: i64 = 2_500;

/// Follows the one-way delay, in µs.
#[derive(Debug, Default)]
pub(super) struct QueueDelay {
    before: Option<i64>,
    least: Option<i64>,
    begun: i64,
    latest: i64,
    /// Mean change from one message to the next: of jitter, not of a queue.
    noise: i64,
}

impl QueueDelay {
    /// Takes what one feedback message has reported: the packet that was quickest tells what stands in the queue.
    pub(super) fn on_arrivals(&mut self, arrivals: &[Arrival]) {
        let Some((quickest, sent)) = arrivals
            .iter()
            .map(|packet| (packet.arrived - packet.sent, packet.sent))
            .min()
        else {
            return;
        };
        if sent - self.begun > WINDOW {
            self.before = self.least.take();
            self.begun = sent;
        }
        if self.before.is_some() || self.least.is_some() {
            self.noise += ((quickest - self.latest).abs() - self.noise) / NOISE_WEIGHT;
        }
        self.least = Some(self.least.map_or(quickest, |least| least.min(quickest)));
        self.latest = quickest;
    }

    /// The queue that is seen is not ours: it does not shrink when we send less.
    pub(super) fn accept(&mut self) {
        (self.before, self.least) = (None, Some(self.latest));
    }

    /// How much the delay changes from one message to the next, in µs.
    pub(super) fn noise(&self) -> i64 {
        self.noise
    }

    /// What stands in the queue, in µs.
    pub(super) fn standing(&self) -> i64 {
        let least = self.least.into_iter().chain(self.before).min();
        least.map_or(0, |least| {
            (self.latest - least - NOISES * (self.noise - FREE).max(0)).max(0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One message each 50 ms, with one packet that is under way for so many µs.
    fn tell(queue: &mut QueueDelay, from: &mut i64, delays: impl IntoIterator<Item = i64>) {
        for delay in delays {
            *from += 50_000;
            queue.on_arrivals(&[Arrival {
                sent: *from,
                arrived: *from + delay - 7_000_000_000,
                size: 100,
                cluster: 0,
            }]);
        }
    }

    #[test]
    fn the_clock_of_the_receiver_does_not_matter() {
        let (mut queue, mut at) = (QueueDelay::default(), 0);
        tell(&mut queue, &mut at, [30_000; 40]);
        assert_eq!(queue.standing(), 0);
        tell(&mut queue, &mut at, (1..=40).map(|n| 30_000 + n * 2000));
        assert_eq!(queue.standing(), 80_000, "it grows slowly: no noise");
    }

    #[test]
    fn jitter_is_not_a_queue() {
        let (mut queue, mut at) = (QueueDelay::default(), 0);
        tell(&mut queue, &mut at, (0..200).map(|n| 30_000 + n * 37 % 90 * 1000));
        assert!(queue.noise() > 20_000);
        assert_eq!(queue.standing(), 0);
    }

    #[test]
    fn a_queue_that_is_not_ours_is_accepted() {
        let (mut queue, mut at) = (QueueDelay::default(), 0);
        tell(&mut queue, &mut at, [30_000; 40]);
        tell(&mut queue, &mut at, (1..=50).map(|n| 30_000 + n * 2000));
        tell(&mut queue, &mut at, [130_000; 20]);
        assert_eq!(queue.standing(), 100_000);
        queue.accept();
        assert_eq!(queue.standing(), 0);
    }

    #[test]
    fn the_least_is_forgotten() {
        let (mut queue, mut at) = (QueueDelay::default(), 0);
        tell(&mut queue, &mut at, [30_000]);
        tell(&mut queue, &mut at, [90_000; 400]);
        assert_eq!(queue.standing(), 0, "after twenty seconds it is the way that is longer");
    }
}
