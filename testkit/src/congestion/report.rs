//! What a run has shown, and whether it is enough.

use std::fmt;
use std::time::Duration;

use super::flow::Counts;
use super::scenario::{Aim, Scenario, Window};

/// Time between two samples.
pub const STEP: Duration = Duration::from_millis(100);
/// Samples in a second.
const PER_SECOND: usize = 10;
/// Samples that a rate is taken over when the time of a change is sought.
const SMOOTH: usize = 5;

/// A run.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// One for each [`STEP`].
    pub samples: Vec<Sample>,
}

/// What happened in one [`STEP`].
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Of the line, in bits per second.
    pub capacity: u64,
    /// Of each peer: estimate in bits per second, and what was sent and arrived.
    pub flows: Vec<(u64, Counts)>,
    /// Bytes that arrived at the competitor.
    pub competitor: u64,
    /// Delay in the queue of each datagram, in ms.
    pub queue: Vec<f64>,
    /// Datagrams lost by chance or in bursts, and for want of room in the queue.
    pub lost: (u64, u64),
}

/// What came of an aim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// What was demanded.
    pub aim: Aim,
    /// What was measured.
    pub measured: f64,
    /// Whether it is enough.
    pub met: bool,
}

impl Report {
    /// Every aim of the scenario with what came of it.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.scenario.aims.iter().map(|aim| self.find(*aim)).collect()
    }

    fn find(&self, aim: Aim) -> Finding {
        let (measured, met) = match aim {
            Aim::Use(window, least) => at_least(self.used(window), least),
            Aim::Queue(window, most) => at_most(self.queue_p95(window), most),
            Aim::BackUnder(second, most) => at_most(self.back_under(second), most.as_secs_f64()),
            Aim::Full(second, most) => at_most(self.full_after(second), most.as_secs_f64()),
            Aim::Fairness(window, least) => at_least(self.fairness(window), least),
            Aim::Voice(window, least) => at_least(self.voice(window), least),
            Aim::Modest(window, most) => at_most(self.highest(window), most),
        };
        Finding { aim, measured, met }
    }

    fn window(&self, (from, to): Window) -> &[Sample] {
        let end = (to as usize * PER_SECOND).min(self.samples.len());
        self.samples.get(from as usize * PER_SECOND..end).unwrap_or_default()
    }

    fn used(&self, window: Window) -> f64 {
        let samples = self.window(window);
        let arrived: u64 = samples
            .iter()
            .flat_map(|sample| &sample.flows)
            .map(|(_, counts)| counts.arrived)
            .sum();
        let capacity: f64 = samples.iter().map(Sample::carried).sum();
        arrived as f64 / capacity
    }

    /// The queue delay that 95 % of the datagrams did not exceed, in ms.
    #[must_use]
    pub fn queue_p95(&self, window: Window) -> f64 {
        let mut delays: Vec<f64> = self
            .window(window)
            .iter()
            .flat_map(|sample| sample.queue.iter().copied())
            .collect();
        delays.sort_by(f64::total_cmp);
        delays.get(delays.len() * 95 / 100).copied().unwrap_or(0.0)
    }

    /// Seconds until what is sent stays, for a second, below the capacity.
    fn back_under(&self, second: u32) -> f64 {
        let from = second as usize * PER_SECOND;
        let calm = |at: &usize| {
            let second = self
                .samples
                .get(*at..(*at + PER_SECOND).min(self.samples.len()))
                .unwrap_or_default();
            let sent: f64 = second.iter().map(Sample::sent).sum();
            sent <= second.iter().map(Sample::carried).sum::<f64>()
        };
        let at = (from..self.samples.len()).find(calm);
        at.map_or(f64::INFINITY, |at| (at - from) as f64 * STEP.as_secs_f64())
    }

    /// Seconds until what arrives reaches 90 % of the capacity.
    fn full_after(&self, second: u32) -> f64 {
        let from = second as usize * PER_SECOND;
        let full = |at: &usize| {
            let some = self.samples.get(*at..*at + SMOOTH).unwrap_or_default();
            let arrived: f64 = some.iter().map(Sample::arrived).sum();
            !some.is_empty() && arrived >= 0.9 * some.iter().map(Sample::carried).sum::<f64>()
        };
        let at = (from..self.samples.len()).find(full);
        at.map_or(f64::INFINITY, |at| (at - from + SMOOTH) as f64 * STEP.as_secs_f64())
    }

    fn fairness(&self, window: Window) -> f64 {
        let samples = self.window(window);
        let flows = samples.iter().map(|sample| sample.flows.len()).max().unwrap_or(0);
        let share = |flow: usize| -> f64 {
            let counts = samples.iter().filter_map(|sample| sample.flows.get(flow));
            counts.map(|(_, counts)| counts.arrived as f64).sum()
        };
        let shares: Vec<f64> = (0..flows).map(share).collect();
        let sum: f64 = shares.iter().sum();
        let squares: f64 = shares.iter().map(|share| share * share).sum();
        sum * sum / (flows as f64 * squares)
    }

    fn voice(&self, window: Window) -> f64 {
        let counts = self.window(window).iter().flat_map(|sample| &sample.flows);
        let (arrived, made) = counts.fold((0, 0), |sum, (_, counts)| {
            (sum.0 + counts.voice_arrived, sum.1 + counts.voice_made)
        });
        arrived as f64 / made as f64
    }

    fn highest(&self, window: Window) -> f64 {
        let shares = self.window(window).iter().flat_map(|sample| {
            let estimates = sample.flows.iter().map(|(estimate, _)| *estimate as f64);
            estimates.map(|estimate| estimate / sample.capacity as f64)
        });
        shares.fold(0.0, f64::max)
    }
}

impl Sample {
    /// Bytes that the line could carry.
    fn carried(&self) -> f64 {
        self.capacity as f64 / 8.0 * STEP.as_secs_f64()
    }

    /// The longest delay in the queue, in ms.
    #[must_use]
    pub fn longest(&self) -> f64 {
        self.queue.iter().copied().fold(0.0, f64::max)
    }

    /// Bytes that the peers were sent.
    fn sent(&self) -> f64 {
        self.flows.iter().map(|(_, counts)| counts.sent as f64).sum()
    }

    /// Bytes of voice and video that arrived.
    fn arrived(&self) -> f64 {
        self.flows.iter().map(|(_, counts)| counts.arrived as f64).sum()
    }
}

fn at_least(measured: f64, least: f64) -> (f64, bool) {
    (measured, measured >= least)
}

fn at_most(measured: f64, most: f64) -> (f64, bool) {
    (measured, measured <= most)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = self.measured;
        let percent = measured * 100.0;
        match self.aim {
            Aim::Use((from, to), least) => write!(f, "used {from}..{to} s: {percent:.0} % (≥ {:.0} %)", least * 100.0),
            Aim::Queue((from, to), most) => write!(f, "queue p95 {from}..{to} s: {measured:.0} ms (≤ {most:.0} ms)"),
            Aim::BackUnder(at, most) => write!(f, "under capacity after {at} s: {measured:.1} s (≤ {most:?})"),
            Aim::Full(at, most) => write!(f, "90 % used after {at} s: {measured:.1} s (≤ {most:?})"),
            Aim::Fairness((from, to), least) => write!(f, "fairness {from}..{to} s: {measured:.3} (≥ {least})"),
            Aim::Voice((from, to), least) => {
                write!(f, "voice {from}..{to} s: {percent:.1} % (≥ {:.0} %)", least * 100.0)
            }
            Aim::Modest((from, to), most) => {
                write!(f, "estimate {from}..{to} s: {percent:.0} % (≤ {:.0} %)", most * 100.0)
            }
        }
    }
}
