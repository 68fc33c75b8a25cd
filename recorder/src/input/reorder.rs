//! Puts packets into the order in which they were sent, and waits a bounded time for those that are sent again.
//!
//! The stream comes repaired: what was lost has been asked for, what is sent again comes under its own number, nothing comes
//! twice. So a hole is either filled within some round trips or never. Not here: what packets mean.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use althing_media_core::packet::{Packet, SeqExtender, SeqNo};

/// How long a hole is waited for: two retransmissions over half the world, three over a continent. With what a container
/// gathers for a fragment it makes less than the second that a crash may cost.
pub const MAX_WAIT: Duration = Duration::from_millis(400);
/// Packets behind holes that are kept, at most: a second of 6 Mbit/s.
pub const MAX_WAITING: usize = 600;
/// A packet that is further ahead than this belongs to another life of the stream.
const MAX_JUMP: u64 = 3000;
/// So many packets in a row that are too late are no late ones: the sender has begun to count anew.
const MAX_LATE: u32 = 32;

/// A packet, in its turn.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) packet: Packet,
    pub(super) arrival: Instant,
    /// What was sent before it has not come and will not be waited for any more.
    pub(super) after_loss: bool,
}

/// The packets of one SSRC between arrival and their turn.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    extender: SeqExtender,
    next: Option<u64>,
    waiting: BTreeMap<u64, (Packet, Instant)>,
    after_loss: bool,
    late: u32,
    /// Packets that never came.
    pub(super) lost: u64,
}

impl Reorder {
    /// Takes a packet. Gives whether none that was sent after it has come before.
    pub(super) fn push(&mut self, arrival: Instant, packet: Packet) -> bool {
        let wire = packet.view().seq();
        let SeqNo(mut seq) = self.extender.extend(wire);
        let next = *self.next.get_or_insert(seq);
        if seq < next {
            self.late += 1;
            if self.late < MAX_LATE {
                return false;
            }
            seq = self.restart(wire);
        } else if seq - next > MAX_JUMP {
            seq = self.restart(wire);
        }
        self.late = 0;
        let newest = self.waiting.last_key_value().is_none_or(|(last, _)| *last <= seq);
        self.waiting.insert(seq, (packet, arrival));
        newest
    }

    /// All that is waited for is given up, and counting begins anew with the number `wire`.
    fn restart(&mut self, wire: u16) -> u64 {
        self.waiting.clear();
        self.extender = SeqExtender::default();
        self.after_loss = true;
        let SeqNo(seq) = self.extender.extend(wire);
        self.next = Some(seq);
        seq
    }

    /// The next packet in its turn; `None` while the one whose turn it is may still come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Ordered> {
        let next = self.next?;
        let (&seq, (_, arrival)) = self.waiting.first_key_value()?;
        let patient = now.saturating_duration_since(*arrival) < MAX_WAIT && self.waiting.len() <= MAX_WAITING;
        if seq > next && patient {
            return None;
        }
        let (packet, arrival) = self.waiting.pop_first()?.1;
        self.lost += seq.saturating_sub(next);
        self.next = Some(seq + 1);
        let after_loss = std::mem::take(&mut self.after_loss) || seq > next;
        Some(Ordered {
            packet,
            arrival,
            after_loss,
        })
    }

    /// When [`Self::pop`] gives something though nothing new comes.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.waiting
            .first_key_value()
            .map(|(_, (_, arrival))| *arrival + MAX_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn packet(seq: u16) -> Packet {
        let [high, low] = seq.to_be_bytes();
        Packet::parse(Bytes::copy_from_slice(&[0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 1])).unwrap()
    }

    fn drain(reorder: &mut Reorder, now: Instant) -> Vec<(u16, bool)> {
        std::iter::from_fn(|| reorder.pop(now))
            .map(|ordered| (ordered.packet.view().seq(), ordered.after_loss))
            .collect()
    }

    #[test]
    fn a_retransmission_in_time_closes_the_hole() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        for seq in [65_534, 0, 1] {
            reorder.push(start, packet(seq));
        }
        assert_eq!(drain(&mut reorder, start), [(65_534, false)]);
        reorder.push(start + Duration::from_millis(300), packet(65_535));
        assert_eq!(
            drain(&mut reorder, start + Duration::from_millis(300)),
            [(65_535, false), (0, false), (1, false)]
        );
        assert_eq!((reorder.lost, reorder.next_timeout()), (0, None));
    }

    #[test]
    fn a_hole_is_given_up_in_time_and_told() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        for seq in [1, 4, 5, 8] {
            reorder.push(start, packet(seq));
        }
        assert_eq!(drain(&mut reorder, start), [(1, false)]);
        let due = reorder.next_timeout().unwrap();
        assert_eq!(due, start + MAX_WAIT);
        assert_eq!(drain(&mut reorder, due - Duration::from_nanos(1)), []);
        assert_eq!(drain(&mut reorder, due), [(4, true), (5, false), (8, true)]);
        assert_eq!(reorder.lost, 4);
        reorder.push(due, packet(3));
        assert_eq!(drain(&mut reorder, due), [], "too late");
    }

    #[test]
    fn no_more_than_its_bound_waits() {
        let start = Instant::now();
        let mut reorder = Reorder::default();
        let mut given = 0;
        for seq in (0..20_000_u16).filter(|seq| *seq != 1) {
            reorder.push(start, packet(seq));
            given += drain(&mut reorder, start).len();
            assert!(reorder.waiting.len() <= MAX_WAITING);
        }
        assert_eq!(given, 19_999);
        // A sender that leaves out every other number.
        let mut reorder = Reorder::default();
        for seq in 0..20_000_u16 {
            reorder.push(start, packet(seq.wrapping_mul(2)));
            drain(&mut reorder, start);
            assert!(reorder.waiting.len() <= MAX_WAITING);
        }
    }

    #[test]
    fn goes_on_where_a_sender_counts_anew() {
        let now = Instant::now();
        for (before, after) in [(30_000, 10_000), (10_000, 40_000), (5, 60_000), (60_000, 5_000)] {
            let mut reorder = Reorder::default();
            reorder.push(now, packet(before));
            assert_eq!(drain(&mut reorder, now), [(before, false)]);
            let mut given = Vec::new();
            for n in 0..100 {
                reorder.push(now, packet(after + n));
                given.extend(drain(&mut reorder, now));
            }
            assert!(given.len() >= 68, "{before} to {after}: {} packets", given.len());
            assert!(given[0].1 && given[1..].iter().all(|(_, lost)| !lost));
        }
    }
}
