//! How much delay the network makes necessary: measured, forgotten slowly, and read at a quantile.
//!
//! A packet's delay is how much later it came than the fastest of late would have made it expect. All in samples at
//! 48 kHz. Not here: what is done to reach the delay.

/// One step of the histogram: 5 ms.
const STEP: i64 = 240;
/// Steps; what is later counts as the last: 500 ms.
const STEPS: usize = 100;
/// The part of all packets that shall come in time.
const QUANTILE: f32 = 0.993;
/// How many packets the memory reaches back: ten seconds of 20 ms.
const MEMORY: f32 = 500.0;
/// Before the first packet, as many are supposed to have come within the first steps: 15 ms.
const PRIOR: f32 = 10.0;
const PRIOR_STEPS: usize = 3;
/// Packets of one part of the window in which the fastest is looked for, and parts. With 20 ms packets the window is four
/// seconds: a drift of 100 ppm moves it by 0.4 ms.
const PART: u32 = 25;
const PARTS: usize = 8;

/// From so many steps on, a base that rises is no coincidence: 40 ms.
const SLOWER: usize = 8;

/// The distribution of delays of one source.
#[derive(Debug)]
pub(super) struct Delay {
    /// Share of packets in each step; sums to one.
    shares: [f32; STEPS],
    weight: f32,
    /// The smallest transit time in each part of the window, and packets in the newest part.
    fastest: [i64; PARTS],
    count: u32,
    quantile: i64,
}

impl Delay {
    pub(super) fn new() -> Self {
        let mut shares = [0.0; STEPS];
        shares[PRIOR_STEPS - 1] = 1.0;
        Self {
            shares,
            weight: PRIOR,
            fastest: [i64::MAX; PARTS],
            count: 0,
            quantile: super::to_signed(PRIOR_STEPS) * STEP,
        }
    }

    /// Forgets the sender's clock, keeps what is known of the network.
    pub(super) fn restart(&mut self) {
        self.fastest = [i64::MAX; PARTS];
        self.count = 0;
    }

    /// Sound came for the first time: `transit` is arrival minus timestamp.
    pub(super) fn on_arrival(&mut self, transit: i64) {
        let before = self.base();
        if self.count == PART {
            self.fastest.rotate_right(1);
            self.fastest[0] = i64::MAX;
            self.count = 0;
        }
        self.count += 1;
        self.fastest[0] = self.fastest[0].min(transit);
        if let (Some(before), Some(base)) = (before, self.base()) {
            self.follow((base - before) / STEP);
        }
        self.note(transit);
    }

    /// Even the fastest are so many steps slower than before: when that is much, a clock has stood still, or there is another
    /// route, and what was taken for jitter was none.
    fn follow(&mut self, slower: i64) {
        let by = usize::try_from(slower).unwrap_or(0).min(STEPS - 1);
        if by < SLOWER {
            return;
        }
        let early: f32 = self.shares[..by].iter().sum();
        self.shares.copy_within(by.., 0);
        self.shares[STEPS - by..].fill(0.0);
        self.shares[0] += early;
    }

    /// Sound came that its own packet did not bring: it counts for the delay, not for who is fastest.
    pub(super) fn note(&mut self, transit: i64) {
        let late = transit.saturating_sub(self.base().unwrap_or(transit)).max(0);
        let step = usize::try_from(late / STEP).unwrap_or(STEPS).min(STEPS - 1);
        self.weight = (self.weight + 1.0).min(MEMORY);
        let keep = 1.0 - 1.0 / self.weight;
        for share in &mut self.shares {
            *share *= keep;
        }
        self.shares[step] += 1.0 - keep;
        self.quantile = self.read();
    }

    /// Transit time of the fastest packet of late; `None` before the first.
    pub(super) fn base(&self) -> Option<i64> {
        self.fastest.iter().copied().min().filter(|base| *base != i64::MAX)
    }

    /// The delay that all but seven of a thousand packets keep within: 5 to 500 ms.
    pub(super) fn quantile(&self) -> i64 {
        self.quantile
    }

    fn read(&self) -> i64 {
        let mut sum = 0.0;
        let mut edge = 0;
        for share in &self.shares {
            edge += STEP;
            sum += share;
            if sum >= QUANTILE {
                break;
            }
        }
        edge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_follows_the_jitter_and_forgets_it() {
        let mut delay = Delay::new();
        for number in 0..500 {
            delay.on_arrival(1_000_000 + number % 10 * STEP);
        }
        assert_eq!(delay.quantile(), 10 * STEP);
        for _ in 0..3000 {
            delay.on_arrival(1_000_000);
        }
        assert_eq!(delay.quantile(), STEP);
    }

    #[test]
    fn one_of_two_hundred_may_be_late() {
        let mut delay = Delay::new();
        for number in 0..2000 {
            delay.on_arrival(if number % 200 == 0 { 9600 } else { 0 });
        }
        assert_eq!(delay.quantile(), STEP);
    }

    #[test]
    fn the_base_follows_a_drifting_clock_both_ways() {
        for drift in [-1, 1] {
            let mut delay = Delay::new();
            for number in 0..50_000 {
                delay.on_arrival(number / 10 * drift);
            }
            let base = delay.base().unwrap() * drift;
            assert!((4_960..=5_000).contains(&base), "{base}");
            assert_eq!(delay.quantile(), STEP);
        }
    }

    #[test]
    fn a_clock_that_stood_still_is_no_jitter() {
        let mut delay = Delay::new();
        for number in 0..1000 {
            delay.on_arrival(if number < 500 { 0 } else { 50 * STEP });
        }
        assert_eq!(delay.quantile(), STEP);
        // Nor is one that ran ahead.
        delay.on_arrival(0);
        assert_eq!(delay.quantile(), STEP);
        let sum: f32 = delay.shares.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn what_is_later_than_all_steps_counts_as_the_last() {
        let mut delay = Delay::new();
        delay.on_arrival(0);
        for _ in 0..1000 {
            delay.note(i64::MAX);
        }
        assert_eq!(delay.quantile(), STEP * i64::try_from(STEPS).unwrap());
    }
}
