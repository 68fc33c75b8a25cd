//! Is a queue growing? The slope of the delay over the last groups, against a threshold that adapts itself.
//!
//! The threshold follows Carlucci, De Cicco, Holmer, Mascolo, "Congestion Control for Web Real-Time Communication"
//! (2017), §IV: it rises quickly when the slope goes beyond it and falls slowly, so that neither jitter nor a flow that
//! fills every queue makes us starve. It knows no rates.

use super::group::Change;

/// Groups that the slope is taken over.
const WINDOW: usize = 20;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// Groups after which the slope counts fully.
const FULL_COUNT: f64 = 60.0;
/// From slope to threshold.
const GAIN: f64 = 4.0;
/// Threshold at the start and its bounds, in ms.
const THRESHOLD: (f64, f64, f64) = (12.5, 6.0, 600.0);
/// How quickly the threshold follows, per ms: up and down.
const FOLLOW: (f64, f64) = (0.0087, 0.039);
/// A slope that is further beyond the threshold does not move it: a sudden congestion is none of its business.
const MAX_BEYOND: f64 = 15.0;
/// Time that the slope must be beyond the threshold, in ms.
const OVERUSE_TIME: f64 = 10.0;

/// What the delay says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Signal {
    /// The queue is shrinking.
    Under,
    /// Nothing.
    #[default]
    Normal,
    /// The queue is growing.
    Over,
}

/// Judges changes of delay.
#[derive(Debug)]
pub(super) struct Trend {
    /// `(arrival, smoothed delay)` in ms, since the first.
    points: [(f64, f64); WINDOW],
    count: usize,
    first: Option<f64>,
    last: f64,
    accumulated: f64,
    smoothed: f64,
    threshold: f64,
    /// Time beyond the threshold, in ms, and groups in it.
    beyond: (f64, u32),
    before: f64,
    signal: Signal,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            points: [(0.0, 0.0); WINDOW],
            count: 0,
            first: None,
            last: 0.0,
            accumulated: 0.0,
            smoothed: 0.0,
            threshold: THRESHOLD.0,
            beyond: (0.0, 0),
            before: 0.0,
            signal: Signal::Normal,
        }
    }
}

impl Trend {
    /// Takes the next change of delay.
    pub(super) fn on_change(&mut self, change: &Change) {
        let first = *self.first.get_or_insert(change.at);
        self.accumulated += change.delay;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        self.points[self.count % WINDOW] = (change.at - first, self.smoothed);
        self.count += 1;
        let slope = if self.count >= WINDOW { self.slope() } else { 0.0 };
        self.judge(slope * (self.count as f64).min(FULL_COUNT) * GAIN, change);
    }

    /// What the delay says now.
    pub(super) fn signal(&self) -> Signal {
        self.signal
    }

    fn judge(&mut self, slope: f64, change: &Change) {
        if slope > self.threshold {
            self.beyond = (self.beyond.0 + change.apart.max(0.0), self.beyond.1 + 1);
            if self.beyond.0 > OVERUSE_TIME && self.beyond.1 > 1 && slope >= self.before {
                self.beyond = (0.0, 0);
                self.signal = Signal::Over;
            }
        } else {
            self.beyond = (0.0, 0);
            self.signal = if slope < -self.threshold {
                Signal::Under
            } else {
                Signal::Normal
            };
        }
        self.before = slope;
        self.follow(slope, change.at);
    }

    fn follow(&mut self, slope: f64, at: f64) {
        let elapsed = (at - self.last).clamp(0.0, 100.0);
        self.last = at;
        let size = slope.abs();
        if size > self.threshold + MAX_BEYOND {
            return;
        }
        let gain = if size < self.threshold { FOLLOW.1 } else { FOLLOW.0 };
        let (_, low, high) = THRESHOLD;
        self.threshold = (self.threshold + gain * (size - self.threshold) * elapsed).clamp(low, high);
    }

    /// Least squares.
    fn slope(&self) -> f64 {
        let n = WINDOW as f64;
        let (x, y) = self
            .points
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (x, y) = (x / n, y / n);
        let (mut over, mut under) = (0.0, 0.0);
        for point in &self.points {
            over += (point.0 - x) * (point.1 - y);
            under += (point.0 - x) * (point.0 - x);
        }
        if under > 0.0 { over / under } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups every 20 ms; each is later than the one before by what `delay` gives.
    fn judge(trend: &mut Trend, groups: u32, mut delay: impl FnMut(u32) -> f64) -> [usize; 3] {
        let mut signals = [0; 3];
        for n in 0..groups {
            let delay = delay(n);
            let apart = 20.0 + delay;
            let at = trend.last + apart;
            trend.on_change(&Change { delay, apart, at });
            signals[trend.signal() as usize] += 1;
        }
        signals
    }

    #[test]
    fn a_queue_that_grows_is_seen_soon() {
        let mut trend = Trend::default();
        judge(&mut trend, 100, |_| 0.0);
        assert_eq!(trend.signal(), Signal::Normal);
        let [_, _, over] = judge(&mut trend, 20, |_| 4.0);
        assert!(over > 5, "{over} of 20 groups, 4 ms each");
        let [under, ..] = judge(&mut trend, 40, |_| -4.0);
        assert!(under > 10, "{under}");
    }

    #[test]
    fn the_threshold_learns_jitter() {
        let mut trend = Trend::default();
        let jitter = |n: u32| [3.0, -5.0, 7.0, -2.0, -6.0, 3.0][n as usize % 6];
        judge(&mut trend, 300, jitter);
        let [_, _, over] = judge(&mut trend, 300, jitter);
        assert_eq!(over, 0);
    }
}
