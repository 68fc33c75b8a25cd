//! Arrival times of everything a peer sends on one transport, for its bandwidth estimator
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Records and schedules; the wire format is in [`crate::rtcp::transport_cc`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::packet::{SeqExtender, SeqNo};

/// Packets waiting to be reported: 100 ms of more than 80 Mbit/s.
const MAX_PENDING: usize = 1024;
/// A gap longer than this is a jump of the sender's numbers; what was pending is let go.
const MAX_GAP: u64 = 2048;
/// Time between two feedback messages while packets arrive.
const INTERVAL: Duration = Duration::from_millis(50);

/// Collects `(transport sequence number, arrival)` until they are reported. Bounded; no allocation after warm-up.
#[derive(Debug)]
pub struct Arrivals {
    epoch: Instant,
    extender: SeqExtender,
    /// Arrival of `base + index`, `None` for what has not come.
    pending: VecDeque<Option<Duration>>,
    base: SeqNo,
    due: Option<Instant>,
    count: u8,
}

impl Arrivals {
    /// Times are measured from `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            extender: SeqExtender::default(),
            pending: VecDeque::new(),
            base: SeqNo(0),
            due: None,
            count: 0,
        }
    }

    /// Notes that the packet with transport sequence number `wire` has arrived.
    pub fn on_packet(&mut self, now: Instant, wire: u16) {
        let seq = self.extender.extend(wire);
        let end = self.base.plus(self.pending.len() as u64);
        if self.pending.is_empty() && (seq >= end || end.0 - seq.0 > MAX_GAP) || seq.0.saturating_sub(end.0) > MAX_GAP {
            // The first, or after a pause or jump: what lies between is not reported twice as lost.
            let resume = if seq >= end && seq.0 - end.0 <= MAX_GAP && end.0 > 0 {
                end
            } else {
                seq
            };
            self.pending.clear();
            self.base = resume;
        }
        // At most `MAX_GAP` rounds, since the gap is no longer.
        while self.base.plus(self.pending.len() as u64) <= seq {
            if self.pending.len() >= MAX_PENDING {
                self.pending.pop_front();
                self.base = self.base.plus(1);
            }
            self.pending.push_back(None);
        }
        // Of what was reported already, or is too old by now, nothing more is said.
        let offset = seq
            .0
            .checked_sub(self.base.0)
            .and_then(|offset| usize::try_from(offset).ok());
        if let Some(slot) = offset.and_then(|offset| self.pending.get_mut(offset)) {
            slot.get_or_insert(now.saturating_duration_since(self.epoch));
            self.due.get_or_insert(now + INTERVAL);
        }
    }

    /// When feedback is due, `None` when nothing is pending.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be reported: the first transport sequence number, the message's number, and from there on each number
    /// with its arrival in µs. Report some of it and call [`Self::reported`].
    pub fn pending(&self) -> (u16, u8, impl Iterator<Item = (u16, Option<i64>)> + '_) {
        let base = self.base;
        let arrivals = (0..).zip(&self.pending).map(move |(offset, at)| {
            let at = at.map(|at| i64::try_from(at.as_micros()).unwrap_or(i64::MAX));
            (base.plus(offset).wire(), at)
        });
        (base.wire(), self.count, arrivals)
    }

    /// The first `packets` of [`Self::pending`] are in a message that is on its way.
    pub fn reported(&mut self, packets: usize) {
        let packets = packets.min(self.pending.len());
        self.pending.drain(..packets);
        self.base = self.base.plus(packets as u64);
        self.count = self.count.wrapping_add(1);
        if self.pending.is_empty() || packets == 0 {
            self.pending.clear();
            self.due = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(arrivals: &Arrivals) -> (u16, Vec<Option<i64>>) {
        let (base, _, times) = arrivals.pending();
        (base, times.map(|(_, at)| at.map(|at| at / 1000)).collect())
    }

    #[test]
    fn gaps_and_reordering_are_reported() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut arrivals = Arrivals::new(start);
        arrivals.on_packet(ms(1), 65_535);
        arrivals.on_packet(ms(4), 2);
        arrivals.on_packet(ms(5), 0);
        arrivals.on_packet(ms(6), 0);
        assert_eq!(pending(&arrivals), (65_535, vec![Some(1), Some(5), None, Some(4)]));
        assert_eq!(arrivals.next_timeout(), Some(ms(51)));
        arrivals.reported(4);
        assert_eq!(arrivals.next_timeout(), None);
        arrivals.on_packet(ms(60), 4);
        assert_eq!(pending(&arrivals), (3, vec![None, Some(60)]), "3 is lost and said so");
        arrivals.on_packet(ms(61), 1);
        assert_eq!(
            pending(&arrivals),
            (3, vec![None, Some(60)]),
            "1 was reported lost; too late"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for n in 0..20_000_u32 {
            arrivals.on_packet(start, u16::try_from(n * 7 % 65_536).unwrap_or(0));
            assert!(arrivals.pending.len() <= MAX_PENDING);
        }
        arrivals.on_packet(start, 30_000);
        assert!(arrivals.pending.len() <= MAX_PENDING);
    }

    #[test]
    fn a_packet_far_ahead_is_recorded_when_there_is_no_more_room() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        for wire in 0..1024 {
            arrivals.on_packet(start, wire);
        }
        arrivals.on_packet(start, 1100);
        let (base, times) = pending(&arrivals);
        assert_eq!((base, times.len()), (1100 - 1023, MAX_PENDING));
        assert_eq!((times.first(), times.last()), (Some(&Some(0)), Some(&Some(0))));
        assert_eq!(times.iter().filter(|at| at.is_none()).count(), 1100 - 1024);
    }
}
