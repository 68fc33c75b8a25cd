//! All scenarios.

use std::time::Duration;

use super::scenario::{Aim, Scenario};
use crate::network::{Burst, Chance, LinkConfig, Queue, Rate};

const MBIT: u64 = 1_000_000;
/// One way, when the scenario says nothing else.
const DELAY: Duration = Duration::from_millis(25);

/// Every scenario, in the order of `docs/congestion.md`.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        least(),
        fixed("fixed-300k", 300_000),
        fixed("fixed-1m", MBIT),
        fixed("fixed-3m", 3 * MBIT),
        fixed("fixed-10m", 10 * MBIT),
    ];
    all.extend([steps(), sawtooth()]);
    all.extend([
        random_loss("loss-5", 5.0, 0.85),
        random_loss("loss-10", 10.0, 0.82),
        random_loss("loss-30", 30.0, 0.5),
    ]);
    all.extend([bursts(), far(), jitter(), busy(), flows_2(), flows_10()]);
    all.extend([deep(), shallow(), competing(), app_limited(), cut()]);
    all
}

/// A line of `rate` with one peer, for `seconds`.
fn line(name: &'static str, rate: u64, seconds: u32) -> Scenario {
    Scenario {
        name,
        seconds,
        line: LinkConfig {
            rate: Some(Rate::bits(rate)),
            ..LinkConfig::delay(DELAY)
        },
        capacity: Vec::new(),
        flows: vec![0],
        competitor: None,
        wanted: Vec::new(),
        cut: None,
        aims: Vec::new(),
    }
}

fn with(mut scenario: Scenario, aims: impl IntoIterator<Item = Aim>) -> Scenario {
    scenario.aims = aims.into_iter().collect();
    scenario
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fixed(name: &'static str, rate: u64) -> Scenario {
    with(
        line(name, rate, 60),
        [
            Aim::Full(0, secs(5)),
            Aim::Use((5, 60), 0.9),
            Aim::Queue((0, 60), 60.0),
            Aim::Voice((0, 60), 0.99),
        ],
    )
}

/// Less than the voice takes: all that passes has to be the voice, whatever the camera and the probes would like.
fn least() -> Scenario {
    with(
        line("fixed-40k", 40_000, 60),
        [Aim::Use((5, 60), 0.9), Aim::Voice((5, 60), 0.7)],
    )
}

fn steps() -> Scenario {
    let mut scenario = line("steps", 3 * MBIT, 60);
    scenario.capacity = vec![(20, MBIT / 2), (40, 3 * MBIT)];
    with(
        scenario,
        [
            Aim::BackUnder(20, secs(1)),
            Aim::Use((25, 40), 0.85),
            Aim::Full(40, secs(8)),
            Aim::Voice((0, 60), 0.97),
        ],
    )
}

fn sawtooth() -> Scenario {
    let mut scenario = line("sawtooth", 4 * MBIT, 80);
    // Down by half a Mbit/s every two seconds, and up at once.
    scenario.capacity = (0..40)
        .map(|n| (n * 2, 4 * MBIT - u64::from(n % 8) * MBIT / 2 * 7 / 8))
        .collect();
    with(
        scenario,
        [
            Aim::Use((5, 80), 0.7),
            Aim::Queue((5, 80), 200.0),
            Aim::Voice((0, 80), 0.97),
        ],
    )
}

fn random_loss(name: &'static str, percent: f64, share: f64) -> Scenario {
    let mut scenario = line(name, 3 * MBIT, 60);
    scenario.line.loss = Chance::percent(percent);
    with(scenario, [Aim::Use((10, 60), share), Aim::Queue((0, 60), 60.0)])
}

fn bursts() -> Scenario {
    let mut scenario = line("burst-loss", 3 * MBIT, 60);
    scenario.line.burst = Some(Burst {
        enter: Chance::percent(1.0),
        leave: Chance::percent(20.0),
        loss: Chance::percent(80.0),
    });
    with(scenario, [Aim::Use((10, 60), 0.8), Aim::Queue((0, 60), 60.0)])
}

fn far() -> Scenario {
    let mut scenario = line("rtt-300", 3 * MBIT, 60);
    scenario.line.delay = Duration::from_millis(150);
    with(
        scenario,
        [
            Aim::Full(0, secs(8)),
            Aim::Use((8, 60), 0.85),
            Aim::Queue((5, 60), 60.0),
            Aim::Voice((0, 60), 0.99),
        ],
    )
}

fn jitter() -> Scenario {
    let mut scenario = line("jitter-100", 3 * MBIT, 60);
    scenario.line.jitter = Duration::from_millis(100);
    with(
        scenario,
        [
            Aim::Use((10, 60), 0.65),
            Aim::Queue((5, 60), 60.0),
            Aim::Voice((0, 60), 0.97),
        ],
    )
}

/// The receiver has other things to do, several times a second.
fn busy() -> Scenario {
    let mut scenario = line("busy-receiver", 3 * MBIT, 60);
    scenario.line.stall = Duration::from_millis(40);
    with(
        scenario,
        [
            Aim::Full(0, secs(5)),
            Aim::Use((5, 60), 0.85),
            Aim::Queue((0, 60), 60.0),
            Aim::Voice((0, 60), 0.99),
        ],
    )
}

fn flows_2() -> Scenario {
    let mut scenario = line("flows-2", 4 * MBIT, 180);
    scenario.flows = vec![0, 20];
    with(
        scenario,
        [
            Aim::Fairness((60, 180), 0.9),
            Aim::Use((30, 120), 0.85),
            Aim::Queue((10, 120), 60.0),
        ],
    )
}

fn flows_10() -> Scenario {
    let mut scenario = line("flows-10", 10 * MBIT, 180);
    scenario.flows = (0..10).map(|n| n * 2).collect();
    with(
        scenario,
        [
            Aim::Fairness((60, 180), 0.95),
            Aim::Use((30, 120), 0.85),
            Aim::Queue((30, 120), 60.0),
        ],
    )
}

fn deep() -> Scenario {
    let mut scenario = line("deep-buffer", 2 * MBIT, 60);
    scenario.line.queue = Queue::Time(secs(2));
    with(
        scenario,
        [
            Aim::Use((5, 60), 0.9),
            Aim::Queue((0, 60), 60.0),
            Aim::Voice((0, 60), 0.99),
        ],
    )
}

fn shallow() -> Scenario {
    let mut scenario = line("shallow-buffer", 2 * MBIT, 60);
    scenario.line.queue = Queue::Time(Duration::from_millis(15));
    with(scenario, [Aim::Use((5, 60), 0.8), Aim::Voice((5, 60), 0.95)])
}

fn competing() -> Scenario {
    let mut scenario = line("competing-tcp", 4 * MBIT, 90);
    scenario.competitor = Some((20, 70));
    with(
        scenario,
        [
            Aim::Use((30, 70), 0.07),
            Aim::Voice((0, 90), 0.97),
            Aim::Full(70, secs(10)),
        ],
    )
}

fn app_limited() -> Scenario {
    let mut scenario = line("app-limited", 3 * MBIT, 90);
    scenario.wanted = vec![(10, 200_000), (70, 20 * MBIT)];
    with(
        scenario,
        [
            Aim::Modest((10, 70), 1.1),
            Aim::Full(70, secs(5)),
            Aim::Queue((10, 90), 60.0),
            Aim::Voice((0, 90), 0.99),
        ],
    )
}

fn cut() -> Scenario {
    let mut scenario = line("cut-5s", 3 * MBIT, 60);
    scenario.cut = Some((20, 25));
    with(
        scenario,
        [
            Aim::Full(25, secs(3)),
            Aim::Queue((30, 60), 60.0),
            Aim::Voice((26, 60), 0.97),
        ],
    )
}
