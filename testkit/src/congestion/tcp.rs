//! A flow that is none of ours: it fills every queue until something is lost, as TCP does (RFC 5681, without its finer
//! points: slow start, congestion avoidance, one halving for each window with a loss).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::flow::{Datagram, Kind};

/// Length of a segment's datagram.
const SEGMENT: usize = 1400;
/// A segment that is overtaken by so many is lost.
const DUPLICATES: u64 = 3;
/// The way back takes this long.
const BACK: Duration = Duration::from_millis(20);
/// Nothing is heard: everything under way is lost.
const TIMEOUT: Duration = Duration::from_millis(600);

/// A sender of endless data.
#[derive(Debug)]
pub struct Tcp {
    id: u16,
    window: f64,
    threshold: f64,
    next: u64,
    /// Under way: number and when it was sent.
    flying: BTreeMap<u64, Instant>,
    /// Arrived, and told at this time.
    told: Vec<(Instant, u64)>,
    /// Losses below this number belong to a window that was halved already.
    halved: u64,
    arrived: u64,
}

impl Tcp {
    /// A flow that begins with the first call.
    #[must_use]
    pub fn new(id: u16) -> Self {
        Self {
            id,
            window: 10.0,
            threshold: f64::INFINITY,
            next: 0,
            flying: BTreeMap::new(),
            told: Vec::new(),
            halved: 0,
            arrived: 0,
        }
    }

    /// Bytes that arrived since the last call.
    pub fn take_arrived(&mut self) -> u64 {
        std::mem::take(&mut self.arrived)
    }

    /// A segment has arrived.
    pub fn on_arrival(&mut self, now: Instant, datagram: &Datagram, len: usize) {
        self.arrived += (len + crate::network::OVERHEAD) as u64;
        self.told.push((now + BACK, datagram.made));
    }

    /// When it wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let told = self.told.iter().map(|(at, _)| *at).min();
        let late = self.flying.values().min().map(|sent| *sent + TIMEOUT);
        told.into_iter().chain(late).min()
    }

    /// Does what is due; what goes out is given to `send`.
    pub fn handle_timeout(&mut self, now: Instant, mut send: impl FnMut(Vec<u8>)) {
        let due: Vec<u64> = self
            .told
            .iter()
            .filter(|(at, _)| *at <= now)
            .map(|(_, seq)| *seq)
            .collect();
        self.told.retain(|(at, _)| *at > now);
        for seq in due {
            self.on_acknowledged(seq);
        }
        if self.flying.values().any(|sent| *sent + TIMEOUT <= now) {
            self.flying.clear();
            self.threshold = (self.window / 2.0).max(2.0);
            self.window = 1.0;
            self.halved = self.next;
        }
        while (self.flying.len() as f64) < self.window {
            let datagram = Datagram {
                flow: self.id,
                kind: Kind::Segment,
                seq: 0,
                made: self.next,
            };
            self.flying.insert(self.next, now);
            self.next += 1;
            send(datagram.write(SEGMENT));
        }
    }

    fn on_acknowledged(&mut self, seq: u64) {
        if self.flying.remove(&seq).is_none() {
            return;
        }
        self.window += if self.window < self.threshold {
            1.0
        } else {
            1.0 / self.window
        };
        let kept = self.flying.split_off(&seq.saturating_sub(DUPLICATES));
        let lost = std::mem::replace(&mut self.flying, kept);
        if lost.keys().any(|seq| *seq >= self.halved) {
            self.window = (self.window / 2.0).max(2.0);
            self.threshold = self.window;
            self.halved = self.next;
        }
    }
}
