//! One run of a scenario: everybody on one link, from a seed.

use std::time::Instant;

use super::flow::{Datagram, Flow, Kind};
use super::report::{Report, STEP, Sample};
use super::scenario::Scenario;
use super::tcp::Tcp;
use crate::clock::Clock;
use crate::network::{Link, LinkConfig, Rate};
use crate::rng::Rng;

/// The competitor's name among the flows.
const COMPETITOR: u16 = u16::MAX;
/// What a camera wants when the scenario does not say.
const MUCH: u64 = 20_000_000;
/// Rounds without time passing before a run is stuck.
const MAX_ROUNDS: usize = 100_000;

/// Runs a scenario.
///
/// # Panics
/// When time stands still.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Report {
    let mut run = Run::new(scenario, seed);
    let mut samples = Vec::new();
    for step in 1..=scenario.seconds * 10 {
        run.change(step - 1);
        run.run_until(run.start + STEP * step);
        samples.push(run.take_sample());
    }
    Report {
        scenario: scenario.clone(),
        samples,
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    clock: Clock,
    start: Instant,
    rng: Rng,
    link: Link,
    flows: Vec<Flow>,
    competitor: Option<Tcp>,
    competing: bool,
    queue: Vec<f64>,
    counted: (u64, u64),
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let (clock, mut rng) = (Clock::new(), Rng::new(seed));
        Self {
            scenario,
            clock,
            start: clock.now(),
            link: Link::new(rng.next_u64(), scenario.line),
            rng,
            flows: Vec::new(),
            competitor: None,
            competing: false,
            queue: Vec::new(),
            counted: (0, 0),
        }
    }

    /// What the scenario has for this step.
    fn change(&mut self, step: u32) {
        if !step.is_multiple_of(10) {
            return;
        }
        let (second, now) = (step / 10, self.clock.now());
        let of = |list: &[(u32, u64)]| list.iter().find(|(at, _)| *at == second).map(|(_, value)| *value);
        if let Some(rate) = of(&self.scenario.capacity) {
            self.link.configure(LinkConfig {
                rate: Some(Rate::bits(rate)),
                ..*self.link.config()
            });
        }
        for _ in self.scenario.flows.iter().filter(|at| **at == second) {
            let id = u16::try_from(self.flows.len()).unwrap_or(COMPETITOR);
            let back = LinkConfig::delay(self.scenario.line.delay);
            self.flows.push(Flow::new(now, id, self.rng.fork(), MUCH, back));
        }
        if let Some(most) = of(&self.scenario.wanted) {
            self.flows.iter_mut().for_each(|flow| flow.set_most(now, most));
        }
        if let Some((from, to)) = self.scenario.competitor {
            if second == from {
                self.competitor = Some(Tcp::new(COMPETITOR));
            }
            self.competing = (from..to).contains(&second);
        }
        if let Some((from, to)) = self.scenario.cut {
            self.link.set_down((from..to).contains(&second));
        }
    }

    fn run_until(&mut self, end: Instant) {
        let mut rounds = 0;
        loop {
            self.turn();
            let next = self.next_timeout().map_or(end, |next| next.min(end));
            if next >= end {
                self.clock.advance_to(end);
                return;
            }
            rounds = if next > self.clock.now() { 0 } else { rounds + 1 };
            assert!(rounds < MAX_ROUNDS, "{}: time stands still", self.scenario.name);
            self.clock.advance_to(next);
        }
    }

    fn turn(&mut self) {
        let now = self.clock.now();
        while let Some(bytes) = self.link.poll_output(now) {
            let datagram = Datagram::parse(&bytes);
            if let Some(flow) = self.flows.get_mut(usize::from(datagram.flow)) {
                flow.on_arrival(now, &datagram, bytes.len());
            } else if let Some(tcp) = self.competitor.as_mut().filter(|_| datagram.kind == Kind::Segment) {
                tcp.on_arrival(now, &datagram, bytes.len());
            }
        }
        let Self { link, queue, flows, .. } = self;
        let mut send = |bytes| {
            queue.push(link.backlog(now).as_secs_f64() * 1000.0);
            link.handle_input(now, bytes);
        };
        for flow in flows {
            if flow.next_timeout().is_some_and(|at| at <= now) {
                flow.handle_timeout(now, &mut send);
            }
        }
        if let Some(tcp) = self.competitor.as_mut().filter(|_| self.competing) {
            tcp.handle_timeout(now, &mut send);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let flows = self.flows.iter().filter_map(Flow::next_timeout);
        let competitor = self.competitor.as_ref().filter(|_| self.competing);
        flows
            .chain(self.link.next_timeout())
            .chain(competitor.and_then(Tcp::next_timeout))
            .min()
    }

    fn take_sample(&mut self) -> Sample {
        let stats = self.link.stats();
        let counted = (stats.lost, stats.queue_dropped);
        let before = std::mem::replace(&mut self.counted, counted);
        Sample {
            capacity: self.link.config().rate.map_or(0, Rate::value),
            flows: self
                .flows
                .iter_mut()
                .map(|flow| (flow.target(), flow.take_counts()))
                .collect(),
            competitor: self.competitor.as_mut().map_or(0, Tcp::take_arrived),
            queue: std::mem::take(&mut self.queue),
            lost: (counted.0 - before.0, counted.1 - before.1),
        }
    }
}
