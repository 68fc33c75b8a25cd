//! What losses say: does sending more lose more, or is it lost anyway?
//!
//! After the idea of libwebrtc's newer loss-based estimator: a link is taken to lose a share of whatever is sent (the
//! *inherent* loss, of a radio link), and beyond that all that goes over its capacity. Which share and which capacity
//! explain the last seconds best? A capacity is believed only when losses follow the rate clearly; so loss by chance
//! does not slow us down, and a queue too short to be seen in the delay does.

use smallvec::SmallVec;

/// Time that one observation covers at least, in µs, and packets in it.
const INTERVAL: (i64, u64) = (200_000, 20);
/// Observations that are kept, some four seconds.
const OBSERVATIONS: usize = 20;
/// An observation counts by this factor less than the next.
const FADING: f64 = 0.92;
/// Inherent losses that are tried.
const SHARES: [f64; 14] = [
    0.0001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.14, 0.19, 0.25, 0.32, 0.42,
];
/// Capacities that are tried, from the highest rate observed on: so many with one step from each to the next, and where less than
/// the last of them has arrived so many more with another.
const CAPACITIES: [(usize, f64); 2] = [(24, 0.965), (12, 0.85)];
/// How much more probable a capacity must be than none to be believed: the difference of logarithms.
const EVIDENCE: f64 = 4.0;
/// What one unit of inherent loss costs in probability: small shares are likelier than large ones.
const DOUBT: f64 = 12.0;
/// A capacity lets at least this share of what is sent pass.
const LEAST: f64 = 0.001;
/// Below this share lost, in all that is remembered, nothing is asked.
const HARMLESS: f64 = 0.004;

/// Judges losses by the rate at which they happened.
#[derive(Debug, Default)]
pub(super) struct Losses {
    seen: [Observation; OBSERVATIONS],
    count: usize,
    /// What is being counted: sent bytes, packets that arrived, and lost ones, since when.
    bytes: u64,
    received: u64,
    lost: i64,
    since: Option<i64>,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, Default)]
struct Observation {
    rate: f64,
    received: f64,
    lost: f64,
}

/// What explains the losses best.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Verdict {
    /// The share that is lost at any rate.
    pub(super) inherent: f64,
    /// What the link carries, in bits per second, if it shows.
    pub(super) capacity: Option<f64>,
}

impl Losses {
    /// Takes what feedback has told by `now` µs: bytes and packets that arrived, packets that did not; `sending` is the
    /// rate at which they were sent, as far as it is known. True when there is a new verdict.
    pub(super) fn on_feedback(&mut self, now: i64, bytes: u64, received: u64, lost: i64) -> bool {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        self.received += received;
        self.lost += lost;
        let elapsed = now.saturating_sub(since);
        let packets = self.received.saturating_add_signed(self.lost);
        if elapsed < INTERVAL.0 || packets < INTERVAL.1 {
            return false;
        }
        let lost = self.lost.max(0) as f64;
        let received = self.received as f64;
        let delivered = self.bytes as f64 * 8e6 / elapsed as f64;
        let rate = delivered * (received + lost) / received.max(1.0);
        self.seen[self.count % OBSERVATIONS] = Observation { rate, received, lost };
        self.count += 1;
        (self.bytes, self.received, self.lost, self.since) = (0, 0, 0, Some(now));
        self.verdict = self.judge();
        true
    }

    /// What is known now.
    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The newest first, packets counting the less the older they are.
    fn observations(&self) -> impl Iterator<Item = Observation> {
        let newest = self.count;
        let oldest = newest.saturating_sub(OBSERVATIONS);
        let mut weight = 1.0 / FADING;
        (oldest..newest).rev().map(move |index| {
            weight *= FADING;
            let Observation { rate, received, lost } = self.seen[index % OBSERVATIONS];
            Observation {
                rate,
                received: received * weight,
                lost: lost * weight,
            }
        })
    }

    fn judge(&self) -> Verdict {
        let weighed: SmallVec<[Observation; OBSERVATIONS]> = self.observations().collect();
        let (mut received, mut lost) = (0.0, 0.0);
        let (mut highest, mut least) = (0.0_f64, f64::INFINITY);
        for seen in &weighed {
            received += seen.received;
            lost += seen.lost;
            highest = highest.max(seen.rate);
            least = least.min(seen.rate * seen.received / (seen.received + seen.lost));
        }
        if lost <= HARMLESS * (received + lost) {
            return Verdict::default();
        }
        let (mut free, inherent) = best_share(&weighed, f64::INFINITY);
        let mut verdict = Verdict {
            inherent,
            capacity: None,
        };
        free += EVIDENCE;
        let mut capacity = highest;
        for (count, step) in CAPACITIES {
            for _ in 0..count {
                let (likelihood, inherent) = best_share(&weighed, capacity);
                if likelihood > free {
                    free = likelihood;
                    verdict = Verdict {
                        inherent,
                        capacity: Some(capacity),
                    };
                }
                capacity *= step;
            }
            if least > capacity {
                break;
            }
        }
        verdict
    }
}

/// The inherent loss that goes best with `capacity`, and how probable both make what was seen (its logarithm).
///
/// A packet arrives when the line does not lose it and the capacity has room for it: the product of both, so that of each
/// observation only those above the capacity need a logarithm for each share.
fn best_share(weighed: &[Observation], capacity: f64) -> (f64, f64) {
    let (mut received, mut lost, mut fitting) = (0.0, 0.0, 0.0);
    let mut above: SmallVec<[(f64, f64); OBSERVATIONS]> = SmallVec::new();
    for seen in weighed {
        received += seen.received;
        if seen.rate <= capacity {
            lost += seen.lost;
        } else {
            let fits = (capacity / seen.rate).max(LEAST);
            fitting += seen.received * fits.ln();
            above.push((seen.lost, fits));
        }
    }
    let mut best = (f64::NEG_INFINITY, 0.0);
    for share in SHARES {
        let kept = 1.0 - share;
        let beyond: f64 = above
            .iter()
            .filter(|(lost, _)| *lost > 0.0)
            .map(|(lost, fits)| lost * (1.0 - kept * fits).ln())
            .sum();
        let likelihood = received * kept.ln() + fitting + lost * share.ln() + beyond - DOUBT * share;
        if likelihood > best.0 {
            best = (likelihood, share);
        }
    }
    best
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]
mod tests {
    use super::*;

    /// Observations of 250 packets of 1000 bytes; `loss` gives the share lost at a rate in Mbit/s.
    fn judge(rates: &[f64], loss: impl Fn(f64) -> f64) -> Verdict {
        let mut losses = Losses::default();
        let mut now = 0.0;
        losses.on_feedback(0, 0, 0, 0);
        for rate in rates.iter().cycle().take(20) {
            let lost = (250.0 * loss(*rate)).round();
            now += 250.0 * 8000.0 / rate;
            losses.on_feedback(now as i64, (250 - lost as u64) * 1000, 250 - lost as u64, lost as i64);
        }
        losses.verdict()
    }

    #[test]
    fn loss_by_chance_says_nothing_about_the_rate() {
        let verdict = judge(&[2.0, 2.2, 2.5, 1.8], |_| 0.1);
        assert_eq!(verdict.capacity, None);
        assert!((0.07..0.15).contains(&verdict.inherent), "{verdict:?}");
    }

    #[test]
    fn loss_that_follows_the_rate_tells_the_capacity() {
        let verdict = judge(&[1.8, 2.2, 2.5, 2.1], |rate| (1.0 - 2.0 / rate).max(0.0));
        let capacity = verdict.capacity.expect("clear enough");
        assert!((1.9e6..2.1e6).contains(&capacity), "{capacity}");
        let flood = judge(&[2.2, 9.0, 30.0, 45.0], |rate| (1.0 - 2.0 / rate).max(0.0));
        let capacity = flood.capacity.expect("clear enough");
        assert!((1.7e6..2.3e6).contains(&capacity), "far below what is sent: {capacity}");
        let both = judge(&[1.5, 2.2, 2.6, 1.7], |rate| 0.1 + (1.0 - 2.0 / rate).max(0.0) * 0.9);
        let capacity = both.capacity.expect("clear enough");
        assert!((1.85e6..2.15e6).contains(&capacity), "{capacity}");
        assert!((0.05..0.15).contains(&both.inherent), "{both:?}");
    }

    #[test]
    fn no_loss_no_verdict_and_any_numbers_do_no_harm() {
        assert_eq!(judge(&[2.0, 3.0], |_| 0.0), Verdict::default());
        let mut losses = Losses::default();
        for now in [0, i64::MAX, 0, i64::MIN / 2, 5] {
            losses.on_feedback(now, 1, 1000, -7);
        }
        assert!(losses.verdict().inherent.is_finite());
    }
}
