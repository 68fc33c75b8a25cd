//! Asking the link: for some milliseconds more is sent than is known to pass, and the receiver's clock tells what passed.
//!
//! At the start in steps of a factor, after a drop, and from time to time when more could be used than is known to be
//! there. It decides when and how much; what is sent (media first, then padding) is the sender's affair.

use crate::packet::SeqNo;

use super::feedback::Arrival;

/// Length of a probe, in µs: at least, and at most when the network jitters.
const LENGTH: (i64, i64) = (15_000, 150_000);
/// Packets in a probe, at least.
const MIN_PACKETS: u16 = 5;
/// A probe that has not been sent after this time is given up, in µs.
const MAX_SENDING: i64 = 500_000;
/// A probe that nothing was heard of after this time is given up, in µs.
const MAX_WAITING: i64 = 2_000_000;
/// The first probes, as factors of the first rate.
const FIRST: [f64; 2] = [3.0, 6.0];
/// Every later one.
const FACTOR: f64 = 2.0;
/// One that reached this share of its rate is followed by the next.
const ENCOURAGING: f64 = 0.7;
/// What passed is below this share of what was sent: the link is full.
const FULL: f64 = 0.9;
/// What is believed of a rate at which the link was full.
const MARGIN: f64 = 0.95;
/// Time between probes that nothing calls for, in µs: at least, at most.
const INTERVAL: (i64, i64) = (2_500_000, 5_000_000);
/// After this time, in µs, one is due although queues are seen now and then: somebody else may make them, on a line that is wide
/// enough for both. No multiple of what happens every second.
const OVERDUE: i64 = 11_300_000;
/// Results that may be waited for.
const WAITING: usize = 4;

/// A probe that is being sent: until it is over send at `rate`, with padding when there is nothing else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sending {
    pub(super) rate: f64,
    pub(super) cluster: u8,
    begun: i64,
    bytes: u64,
    packets: u16,
    goal: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cluster {
    id: u8,
    rate: f64,
    /// The number behind its last packet, once it is known.
    end: Option<SeqNo>,
    sent: (i64, i64),
    arrived: (i64, i64),
    bytes: u64,
    /// Sizes of the first and the last packet.
    edges: (u16, u16),
    packets: u16,
    since: i64,
}

/// Plans probes and reads their results.
#[derive(Debug, Default)]
pub(super) struct Probes {
    planned: [Option<f64>; 2],
    sending: Option<Sending>,
    waiting: [Cluster; WAITING],
    last_id: u8,
    last_at: Option<i64>,
    interval: i64,
    /// Mean change of delay from packet group to packet group, in µs: a probe must be longer than that.
    jitter: f64,
}

impl Probes {
    /// The first packets are about to be sent at `rate`.
    pub(super) fn begin(&mut self, rate: f64) {
        self.planned = FIRST.map(|factor| Some(rate * factor));
    }

    /// The network's delay has changed by so much.
    pub(super) fn on_jitter(&mut self, change: f64) {
        self.jitter += 0.05 * (change.abs() * 1000.0 - self.jitter);
    }

    /// Plans one above `rate` when the last is long enough ago; whether it did.
    pub(super) fn now_and_then(&mut self, now: i64, rate: f64) -> bool {
        let due = self.last_at.is_none_or(|at| now - at >= self.interval.max(INTERVAL.0));
        let plans = due && self.is_idle();
        if plans {
            self.planned[0] = Some(rate * FACTOR);
        }
        plans
    }

    /// Whether the last one is so long ago that one is due whatever was seen since.
    pub(super) fn is_overdue(&self, now: i64) -> bool {
        self.last_at.is_some_and(|at| now - at >= OVERDUE)
    }

    /// Plans one at `rate`.
    pub(super) fn plan(&mut self, rate: f64) {
        self.planned[0] = Some(rate);
    }

    /// Nothing planned, nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        self.planned == [None; 2] && self.sending.is_none() && self.waiting.iter().all(|cluster| cluster.id == 0)
    }

    /// Drops what is planned and being sent: it would do harm.
    pub(super) fn stop(&mut self) {
        self.planned = [None; 2];
        self.sending = None;
    }

    /// The probe to send now, at most at `limit`.
    pub(super) fn sending(&mut self, now: i64, limit: f64) -> Option<Sending> {
        if self.sending.is_some_and(|probe| now - probe.begun > MAX_SENDING) {
            self.sending = None;
        }
        for cluster in &mut self.waiting {
            if cluster.id != 0 && now - cluster.since > MAX_WAITING {
                *cluster = Cluster::default();
            }
        }
        if self.sending.is_none() {
            let next = self.planned[0].take()?;
            self.planned.swap(0, 1);
            self.sending = Some(self.start(now, next.min(limit)));
        }
        self.sending
    }

    /// The next planned one waits for the one before only as long as that is being sent.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a bounded time, a rate that is not negative"
    )]
    fn start(&mut self, now: i64, rate: f64) -> Sending {
        self.last_id = self.last_id % 255 + 1;
        self.last_at = Some(now);
        let length = (LENGTH.0 as f64).max(self.jitter * 4.0).min(LENGTH.1 as f64);
        let slot = &mut self.waiting[usize::from(self.last_id) % WAITING];
        *slot = Cluster {
            id: self.last_id,
            rate,
            since: now,
            ..Cluster::default()
        };
        Sending {
            rate,
            cluster: self.last_id,
            begun: now,
            bytes: 0,
            packets: 0,
            goal: (rate * length / 8e6) as u64,
        }
    }

    /// A packet went out; the probe that it belongs to, 0 for none.
    pub(super) fn on_sent(&mut self, size: u16) -> u8 {
        let Some(probe) = &mut self.sending else { return 0 };
        probe.bytes += u64::from(size);
        probe.packets += 1;
        probe.cluster
    }

    /// The same packet has the transport-wide number `seq`.
    pub(super) fn numbered(&mut self, seq: SeqNo) {
        let Some(probe) = self
            .sending
            .filter(|probe| probe.bytes >= probe.goal && probe.packets >= MIN_PACKETS)
        else {
            return;
        };
        self.sending = None;
        if let Some(cluster) = self.waiting.iter_mut().find(|cluster| cluster.id == probe.cluster) {
            cluster.end = Some(seq.plus(1));
        }
    }

    /// A packet of a probe has arrived.
    pub(super) fn on_arrival(&mut self, packet: &Arrival) {
        let known = self.waiting.iter_mut().find(|cluster| cluster.id == packet.cluster);
        let Some(cluster) = known.filter(|_| packet.cluster != 0) else {
            return;
        };
        let fresh = cluster.packets == 0;
        if fresh || packet.sent < cluster.sent.0 {
            cluster.sent.0 = packet.sent;
            cluster.edges.0 = packet.size;
        }
        if fresh || packet.sent >= cluster.sent.1 {
            cluster.sent.1 = packet.sent;
            cluster.edges.1 = packet.size;
        }
        cluster.arrived.0 = if fresh {
            packet.arrived
        } else {
            cluster.arrived.0.min(packet.arrived)
        };
        cluster.arrived.1 = if fresh {
            packet.arrived
        } else {
            cluster.arrived.1.max(packet.arrived)
        };
        cluster.bytes += u64::from(packet.size);
        cluster.packets += 1;
    }

    /// What a probe has found, once all of it is reported on.
    pub(super) fn result(&mut self, reported: SeqNo) -> Option<f64> {
        let done = self
            .waiting
            .iter_mut()
            .filter(|cluster| cluster.id != 0)
            .find(|cluster| cluster.end.is_some_and(|end| end <= reported))?;
        let cluster = std::mem::take(done);
        let result = cluster.result()?;
        if result >= ENCOURAGING * cluster.rate && result > 0.0 {
            self.interval = INTERVAL.0;
            // Of several under way the last one is the highest.
            if self.is_idle() {
                self.planned[0] = Some(result * FACTOR);
            }
        } else {
            self.interval = (self.interval * 3 / 2).min(INTERVAL.1);
        }
        Some(result)
    }
}

impl Cluster {
    fn result(&self) -> Option<f64> {
        if self.packets + 1 < MIN_PACKETS {
            return None;
        }
        let sent = (self.sent.1 - self.sent.0).max(1) as f64 / 8e6;
        let arrived = (self.arrived.1 - self.arrived.0).max(1) as f64 / 8e6;
        let sending = (self.bytes - u64::from(self.edges.1)) as f64 / sent;
        let arriving = (self.bytes - u64::from(self.edges.0)) as f64 / arrived;
        if arriving < FULL * sending {
            return Some(arriving * MARGIN);
        }
        // A burst that was not paced proves no more than was asked.
        Some(sending.min(arriving).min(self.rate))
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]
mod tests {
    use super::*;

    /// Sends a probe in packets of 1200 bytes over a link of `capacity` bits per second; what it finds.
    fn probe(probes: &mut Probes, now: &mut i64, seq: &mut u64, capacity: f64) -> (f64, Option<f64>) {
        let sending = probes.sending(*now, 1e9).expect("one is planned");
        let (mut at, mut passed) = (*now as f64, *now as f64);
        while probes
            .sending(at as i64, 1e9)
            .is_some_and(|same| same.cluster == sending.cluster)
        {
            let cluster = probes.on_sent(1200);
            probes.numbered(SeqNo(*seq));
            passed = passed.max(at) + 1200.0 * 8e6 / capacity;
            let (sent, arrived) = (at as i64, passed as i64 + 20_000);
            let size = 1200;
            probes.on_arrival(&Arrival {
                sent,
                arrived,
                size,
                cluster,
            });
            at += 1200.0 * 8e6 / sending.rate;
            *seq += 1;
        }
        *now = at as i64;
        (sending.rate, probes.result(SeqNo(*seq)))
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value / wanted - 1.0).abs() < 0.06
    }

    #[test]
    fn climbs_by_steps_until_the_link_is_full() {
        let (mut probes, mut now, mut seq) = (Probes::default(), 0, 1);
        probes.begin(300_000.0);
        let mut found = Vec::new();
        while !probes.is_idle() {
            let (rate, result) = probe(&mut probes, &mut now, &mut seq, 5e6);
            found.push((rate.round(), result.expect("all of it has arrived")));
        }
        assert!((3..=5).contains(&found.len()), "{found:?}");
        assert!(near(found[0].1, 900_000.0), "{found:?}");
        assert!(near(found.last().expect("some").1, 5e6 * MARGIN), "{found:?}");
    }

    #[test]
    fn one_that_is_not_sent_or_not_answered_is_given_up() {
        let mut probes = Probes::default();
        probes.plan(1e6);
        assert!(probes.sending(0, 1e9).is_some() && !probes.is_idle());
        assert!(probes.sending(MAX_SENDING + 1, 1e9).is_none());
        assert!(!probes.is_idle(), "some of it may be under way");
        assert!(probes.sending(MAX_WAITING + 1, 1e9).is_none());
        assert!(probes.is_idle());
        assert_eq!(probes.result(SeqNo(u64::MAX)), None);
        probes.now_and_then(MAX_WAITING + 1, 1e6);
        assert!(probes.is_idle(), "not so soon");
        probes.now_and_then(3 * MAX_WAITING, 1e6);
        assert!(!probes.is_idle());
    }

    #[test]
    fn jitter_makes_them_longer() {
        let mut probes = Probes::default();
        (0..200).for_each(|_| probes.on_jitter(20.0));
        probes.plan(1e6);
        let probe = probes.sending(0, 1e9).expect("planned");
        assert_eq!(probe.goal, 9999);
    }
}
