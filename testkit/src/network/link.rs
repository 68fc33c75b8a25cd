//! One direction of a network path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::{Chance, LinkConfig, Queue};
use crate::rng::Rng;

/// Bytes that IPv4 and UDP add to each datagram; they take their share of a limited rate.
pub const OVERHEAD: usize = 28;
/// Datagrams under way at a time; more are dropped as if the queue were full.
pub const MAX_IN_FLIGHT: usize = 65_536;
/// From the end of one stall to the next, at most.
const BETWEEN_STALLS: Duration = Duration::from_millis(200);

/// Carries datagrams one way.
///
/// Allocates as datagrams get under way; bounded by [`MAX_IN_FLIGHT`].
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    down: bool,
    in_burst: bool,
    /// When the slowest link has sent all that waits.
    busy_until: Option<Instant>,
    /// Nothing in order arrives before this.
    in_order: Option<Instant>,
    /// Nothing arrives from then to then.
    stall: Option<(Instant, Instant)>,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    count: u64,
    stats: LinkStats,
}

impl Link {
    /// A link with its own luck.
    #[must_use]
    pub fn new(seed: u64, config: LinkConfig) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            down: false,
            in_burst: false,
            busy_until: None,
            in_order: None,
            stall: None,
            in_flight: BinaryHeap::new(),
            count: 0,
            stats: LinkStats::default(),
        }
    }

    /// Changes the weather; what is under way is not touched.
    pub fn configure(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// Cuts the wire, or joins it again. While it is cut, everything that is put in is lost.
    pub fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// Puts a datagram in.
    pub fn handle_input(&mut self, now: Instant, datagram: Vec<u8>) {
        self.stats.sent += 1;
        self.stats.sent_bytes += datagram.len() as u64;
        if self.down {
            self.stats.lost += 1;
            return;
        }
        let Some(departure) = self.queue(now, datagram.len()) else {
            self.stats.queue_dropped += 1;
            return;
        };
        if self.loses() {
            self.stats.lost += 1;
            return;
        }
        if self.config.duplicate.happens(&mut self.rng) {
            self.stats.duplicated += 1;
            self.launch(departure, datagram.clone());
        }
        self.launch(departure, datagram);
    }

    /// Takes the next datagram that has arrived at `now`, `None` when none has.
    pub fn poll_output(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.in_flight.peek()?.0.arrival > now {
            return None;
        }
        let Reverse(arrived) = self.in_flight.pop()?;
        self.stats.delivered += 1;
        self.stats.delivered_bytes += arrived.datagram.len() as u64;
        Some(arrived.datagram)
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|next| next.0.arrival)
    }

    /// How long a datagram that is put in at `now` would wait for those before it.
    #[must_use]
    pub fn backlog(&self, now: Instant) -> Duration {
        self.busy_until
            .map_or(Duration::ZERO, |busy| busy.saturating_duration_since(now))
    }

    /// How it treats datagrams.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// When a datagram of `len` bytes has passed the slowest link, `None` when the queue is full.
    fn queue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let Some(rate) = self.config.rate else { return Some(now) };
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        let waiting = start.saturating_duration_since(now);
        let limit = match self.config.queue {
            Queue::Time(limit) => limit,
            Queue::Bytes(bytes) => rate.time_for(bytes.saturating_sub(len + OVERHEAD)),
        };
        if waiting > limit {
            return None;
        }
        self.stats.queue_delay_sum += waiting;
        self.stats.queue_delay_max = self.stats.queue_delay_max.max(waiting);
        let departure = start + rate.time_for(len + OVERHEAD);
        self.busy_until = Some(departure);
        Some(departure)
    }

    fn loses(&mut self) -> bool {
        let mut burst_loss = Chance::NEVER;
        if let Some(burst) = self.config.burst {
            let turn = if self.in_burst { burst.leave } else { burst.enter };
            self.in_burst ^= turn.happens(&mut self.rng);
            if self.in_burst {
                burst_loss = burst.loss;
            }
        }
        let alone = self.config.loss.happens(&mut self.rng);
        let together = burst_loss.happens(&mut self.rng);
        alone || together
    }

    /// When something arrives that would do so at `at` if nothing stalled.
    fn stalled(&mut self, at: Instant) -> Instant {
        if self.config.stall.is_zero() {
            return at;
        }
        let (mut begin, mut end) = self.stall.unwrap_or((at, at));
        while end <= at {
            begin = end + self.rng.duration(BETWEEN_STALLS);
            end = begin + self.rng.duration(self.config.stall);
        }
        self.stall = Some((begin, end));
        if begin <= at { end } else { at }
    }

    fn launch(&mut self, departure: Instant, datagram: Vec<u8>) {
        let travelled = departure + self.config.delay + self.rng.duration(self.config.jitter);
        let travelled = self.stalled(travelled);
        let arrival = if self.config.reorder.happens(&mut self.rng) {
            travelled + self.config.hold
        } else {
            let arrival = self.in_order.map_or(travelled, |last| last.max(travelled));
            self.in_order = Some(arrival);
            arrival
        };
        self.count += 1;
        self.in_flight.push(Reverse(InFlight {
            arrival,
            order: self.count,
            datagram,
        }));
    }
}

/// Counters of a [`Link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkStats {
    /// Datagrams put in.
    pub sent: u64,
    /// Their bytes, without [`OVERHEAD`].
    pub sent_bytes: u64,
    /// Datagrams that came out, doubles included.
    pub delivered: u64,
    /// Their bytes, without [`OVERHEAD`].
    pub delivered_bytes: u64,
    /// Lost by chance, in a burst, or because the wire was cut.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub queue_dropped: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Time spent in the queue by all datagrams together.
    pub queue_delay_sum: Duration,
    /// Longest time that one spent in the queue.
    pub queue_delay_max: Duration,
}

impl LinkStats {
    /// Mean time in the queue of the datagrams that got into it.
    #[must_use]
    pub fn queue_delay_mean(&self) -> Duration {
        let queued = self.sent.saturating_sub(self.queue_dropped).max(1);
        Duration::from_nanos(u64::try_from(self.queue_delay_sum.as_nanos() / u128::from(queued)).unwrap_or(u64::MAX))
    }
}

/// Ordered by arrival, then by the order of sending.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    arrival: Instant,
    order: u64,
    datagram: Vec<u8>,
}
