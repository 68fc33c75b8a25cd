//! Packets that were sent together are judged together: the change of delay from one group to the next
//! (draft-ietf-rmcat-gcc-02 §5.2, §5.3).
//!
//! What the pacer sends in one burst queues behind itself and says nothing about the link; nor does what a radio link
//! has held back and delivers at once. It does not judge the changes.

use super::feedback::Arrival;

/// Packets sent within this time of the first form a group, in µs.
const BURST: i64 = 5_000;
/// A group does not last longer than this at the receiver, in µs, however its packets are bunched.
const MAX_BURST: i64 = 100_000;
/// A clock that leaps by more is a new clock, in µs.
const MAX_LEAP: i64 = 3_000_000;

/// From one group to the next, in ms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    /// How much longer the later one was under way; negative for less.
    pub(super) delay: f64,
    /// Time between them at the receiver.
    pub(super) apart: f64,
    /// When the later one was there, since some fixed moment of the receiver's clock.
    pub(super) at: f64,
}

/// Gathers packets in groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    before: Option<Group>,
    current: Option<Group>,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    first_arrived: i64,
    last_arrived: i64,
}

impl Groups {
    /// Takes the next packet in order of sending; the change that it completes.
    pub(super) fn on_arrival(&mut self, packet: &Arrival) -> Option<Change> {
        let fresh = Group {
            first_sent: packet.sent,
            last_sent: packet.sent,
            first_arrived: packet.arrived,
            last_arrived: packet.arrived,
        };
        let Some(current) = &mut self.current else {
            self.current = Some(fresh);
            return None;
        };
        if packet.sent < current.first_sent {
            return None;
        }
        if (packet.arrived - current.last_arrived).abs() > MAX_LEAP {
            (self.before, self.current) = (None, Some(fresh));
            return None;
        }
        if current.takes(packet) {
            current.last_sent = current.last_sent.max(packet.sent);
            current.last_arrived = current.last_arrived.max(packet.arrived);
            return None;
        }
        let done = *current;
        self.current = Some(fresh);
        let before = self.before.replace(done)?;
        let apart = done.last_arrived - before.last_arrived;
        Some(Change {
            delay: ms(apart - (done.last_sent - before.last_sent)),
            apart: ms(apart),
            at: ms(done.last_arrived),
        })
    }
}

impl Group {
    fn takes(&self, packet: &Arrival) -> bool {
        if packet.sent - self.first_sent <= BURST {
            return true;
        }
        let apart = packet.arrived - self.last_arrived;
        let bunched = apart <= BURST && apart < packet.sent - self.last_sent;
        bunched && packet.arrived - self.first_arrived <= MAX_BURST
    }
}

fn ms(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(packets: &[(i64, i64)]) -> Vec<f64> {
        let mut groups = Groups::default();
        let packet = |&(sent, arrived)| Arrival {
            sent: sent * 1000,
            arrived: arrived * 1000,
            size: 1000,
            cluster: 0,
        };
        let changes = packets.iter().filter_map(|at| groups.on_arrival(&packet(at)));
        changes.map(|change| change.delay).collect()
    }

    #[test]
    fn what_leaves_together_is_one_group() {
        let packets = [(0, 50), (1, 52), (2, 54), (20, 70), (21, 74), (40, 90), (60, 110)];
        assert_eq!(changes(&packets), [1.0, -3.0]);
    }

    #[test]
    fn what_arrives_together_is_one_group() {
        // Held back by a radio link, delivered at once.
        assert_eq!(
            changes(&[(0, 50), (20, 100), (40, 100), (60, 101), (80, 130)]),
            [1.0 - 10.0 + 0.0]
        );
    }

    #[test]
    fn a_leap_of_the_clock_is_no_change_and_old_packets_are_skipped() {
        assert_eq!(changes(&[(0, 50), (20, 70), (40, 90_000), (10, 60), (60, 90_020)]), []);
    }
}
