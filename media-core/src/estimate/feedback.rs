//! What was sent, until feedback says what became of it: transport-wide sequence numbers meet arrival times
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1, RFC 8888).
//!
//! A feedback message may be lost, may come late, may report a packet lost that a later one reports received, and may
//! say anything at all: what was not sent is skipped, and each packet counts once. It does not judge arrival times.

use std::collections::VecDeque;

use crate::packet::SeqNo;
use crate::rtcp::{TransportCc, ccfb};

/// Packets that may wait for feedback: two seconds of 20 Mbit/s. The oldest is forgotten first.
pub const MAX_SENT: usize = 4096;
/// A packet is forgotten after this time, in µs: a queue that is longer is no better than a loss.
const MAX_AGE: i64 = 4_000_000;
/// Length of the reference time of transport-wide feedback before it wraps, in µs: 24 bits of 64 ms.
const REFERENCE_WRAP: i64 = (1 << 24) * 64_000;

/// Packets under way, by transport-wide sequence number. 16 bytes a packet; grows to what the rate and the round trip
/// need and stays so.
#[derive(Debug)]
pub(super) struct History {
    sent: VecDeque<Sent>,
    /// The number behind the newest.
    next: SeqNo,
    /// Everything below has been reported on, or never will be.
    reported: SeqNo,
    /// The last arrival, unwrapped, in µs.
    arrived: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: i64,
    size: u16,
    cluster: u8,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unknown,
    Lost,
    Received,
}

/// What a receiver says of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Lost,
    /// So many µs before the report was made, if that is told.
    Received(Option<i64>),
}

/// A packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// When it was sent, in µs of our clock.
    pub(super) sent: i64,
    /// When it arrived, in µs of the receiver's clock.
    pub(super) arrived: i64,
    /// Bytes on the wire.
    pub(super) size: u16,
    /// The probe that it belongs to, 0 for none.
    pub(super) cluster: u8,
}

/// What one feedback message has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Packets that are now known to be lost; negative when more have turned up after all.
    pub(super) lost: i64,
    /// Everything before this transport-wide number has been reported on.
    pub(super) reported: SeqNo,
}

impl Default for History {
    fn default() -> Self {
        Self {
            sent: VecDeque::new(),
            next: SeqNo(0),
            reported: SeqNo(0),
            arrived: None,
        }
    }
}

impl History {
    /// A packet of `size` bytes went out at `at` µs under the next number. A number out of turn begins a new history.
    pub(super) fn on_sent(&mut self, at: i64, wire: u16, size: u16, cluster: u8) -> SeqNo {
        if self.next.wire() != wire || self.sent.is_empty() {
            self.sent.clear();
            self.next = SeqNo(self.next.0 + 0x1_0000 + u64::from(wire.wrapping_sub(self.next.wire())));
            self.reported = self.next;
        }
        while self.sent.len() >= MAX_SENT || self.sent.front().is_some_and(|oldest| at - oldest.at > MAX_AGE) {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent {
            at,
            size,
            cluster,
            fate: Fate::Unknown,
        });
        let seq = self.next;
        self.next = self.next.plus(1);
        seq
    }

    /// Takes a feedback message; what arrived is added to `arrivals` in order of sending.
    pub(super) fn on_feedback(&mut self, feedback: &TransportCc<'_>, arrivals: &mut Vec<Arrival>) -> Told {
        let begin = self.extend(feedback.base_seq);
        let end = begin.plus(u64::from(feedback.packet_count)).min(self.next);
        let offset = self.unwrap(i64::from(feedback.reference) * 64_000, REFERENCE_WRAP);
        let mut lost = 0;
        for (wire, at) in feedback.received() {
            let seq = begin.plus(u64::from(wire.wrapping_sub(feedback.base_seq)));
            lost += self.received(seq, Some(at + offset), arrivals);
        }
        for number in begin.max(self.reported).0..end.0 {
            lost += self.lost(SeqNo(number));
        }
        self.told(end, lost, arrivals)
    }

    /// Takes reports on single packets, in the order in which they were sent: it was lost, or arrived at a time in µs before the
    /// time `reference`, or at none that is known.
    pub(super) fn on_reports(
        &mut self,
        (reference, reports): (i64, &[(u16, Report)]),
        arrivals: &mut Vec<Arrival>,
    ) -> Told {
        let reference = reference + self.unwrap(reference, ccfb::TIMESTAMP_WRAP);
        let (mut lost, mut end) = (0, SeqNo(0));
        for (wire, report) in reports {
            let seq = self.extend(*wire);
            end = end.max(seq.plus(1));
            lost += match report {
                Report::Lost => self.lost(seq),
                Report::Received(before) => self.received(seq, before.map(|before| reference - before), arrivals),
            };
        }
        self.told(end.min(self.next), lost, arrivals)
    }

    /// A packet has arrived; how many are lost more, or fewer, with that.
    fn received(&mut self, seq: SeqNo, at: Option<i64>, arrivals: &mut Vec<Arrival>) -> i64 {
        let Some(sent) = self.get_mut(seq).filter(|sent| sent.fate != Fate::Received) else {
            return 0;
        };
        let was_lost = sent.fate == Fate::Lost;
        sent.fate = Fate::Received;
        if let Some(arrived) = at {
            arrivals.push(Arrival {
                sent: sent.at,
                arrived,
                size: sent.size,
                cluster: sent.cluster,
            });
        }
        -i64::from(was_lost)
    }

    /// A packet has not arrived; how many are lost more with that.
    fn lost(&mut self, seq: SeqNo) -> i64 {
        let sent = self.get_mut(seq).filter(|sent| sent.fate == Fate::Unknown);
        sent.map_or(0, |sent| {
            sent.fate = Fate::Lost;
            1
        })
    }

    fn told(&mut self, end: SeqNo, lost: i64, arrivals: &[Arrival]) -> Told {
        self.reported = self.reported.max(end);
        self.arrived = arrivals.last().map(|last| last.arrived).or(self.arrived);
        Told {
            lost,
            reported: self.reported,
        }
    }

    /// When the oldest packet that nothing was heard of was sent, in µs, and how many have been sent since.
    pub(super) fn unknown(&self) -> Option<(i64, u64)> {
        let oldest = SeqNo(self.next.0 - self.sent.len() as u64);
        let first = self.reported.max(oldest);
        self.get(first).map(|sent| (sent.at, self.next.0 - first.0))
    }

    /// What is added to the arrival times of a message so that they go on where the last ended.
    fn unwrap(&self, reference: i64, wrap: i64) -> i64 {
        let Some(last) = self.arrived else { return 0 };
        let distance = last - reference;
        (distance + wrap / 2).div_euclid(wrap) * wrap
    }

    #[expect(clippy::cast_possible_wrap, reason = "modular distance, RFC 1982")]
    fn extend(&self, wire: u16) -> SeqNo {
        let distance = wire.wrapping_sub(self.next.wire()) as i16;
        SeqNo(self.next.0.saturating_add_signed(i64::from(distance)))
    }

    fn index(&self, seq: SeqNo) -> Option<usize> {
        let back = usize::try_from(self.next.0.checked_sub(seq.0)?).ok()?;
        self.sent.len().checked_sub(back)
    }

    fn get(&self, seq: SeqNo) -> Option<&Sent> {
        self.sent.get(self.index(seq)?)
    }

    fn get_mut(&mut self, seq: SeqNo) -> Option<&mut Sent> {
        let index = self.index(seq)?;
        self.sent.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Ssrc;
    use crate::rtcp::transport_cc::{self, Feedback};
    use crate::rtcp::{self, Message};

    /// Gives `history` a message about the packets from `base_seq` on.
    fn tell(history: &mut History, base_seq: u16, arrivals: &[Option<i64>]) -> (Told, Vec<Arrival>) {
        let mut buf = [0; 1200];
        let (sender, media) = (Ssrc(1), Ssrc(2));
        let feedback = Feedback {
            sender,
            media,
            base_seq,
            feedback_count: 0,
        };
        let numbered = arrivals.iter().zip(0..).map(|(at, n)| (base_seq.wrapping_add(n), *at));
        let written = transport_cc::write(&mut buf, &feedback, numbered).unwrap();
        let Some(Ok(Message::TransportCc(feedback))) = rtcp::messages(&buf[..written.len]).next() else {
            panic!("it was written as feedback");
        };
        let mut arrivals = Vec::new();
        let told = history.on_feedback(&feedback, &mut arrivals);
        (told, arrivals)
    }

    fn sent(first: u16, count: u16) -> History {
        let mut history = History::default();
        for n in 0..count {
            history.on_sent(i64::from(n) * 1000, first.wrapping_add(n), 100 + n, 0);
        }
        history
    }

    #[test]
    fn each_packet_counts_once_and_the_lost_may_turn_up() {
        let mut history = sent(65_534, 6);
        let (told, arrivals) = tell(&mut history, 65_534, &[Some(50_000), None, Some(52_000)]);
        assert_eq!(told.lost, 1);
        let seen: Vec<_> = arrivals
            .iter()
            .map(|packet| (packet.sent, packet.arrived, packet.size))
            .collect();
        assert_eq!(seen, [(0, 50_000, 100), (2000, 52_000, 102)]);
        let (told, arrivals) = tell(&mut history, 65_535, &[Some(53_000), Some(52_000), None, Some(54_000)]);
        assert_eq!(told.lost, 0, "one more is lost, one has turned up");
        assert_eq!(arrivals.len(), 2, "what was told before is not told again");
        assert_eq!(history.unknown(), Some((5000, 1)));
    }

    #[test]
    fn what_was_never_sent_is_skipped() {
        let mut history = sent(10, 3);
        let told = tell(&mut history, 11, &[Some(1000), Some(1000), Some(1000), Some(1000)]);
        assert_eq!((told.0.lost, told.1.len()), (0, 2));
        let told = tell(&mut history, 30_000, &[Some(1000)]);
        assert_eq!((told.0.lost, told.1.len()), (0, 0));
        let told = tell(&mut History::default(), 5, &[Some(1000)]);
        assert_eq!((told.0.lost, told.1.len()), (0, 0));
    }

    #[test]
    fn the_reference_time_wraps_and_nobody_sees_it() {
        let mut history = sent(0, 2);
        // 24 bits signed: the highest is followed by the lowest.
        let end = REFERENCE_WRAP / 2 - 64_000;
        let (_, first) = tell(&mut history, 0, &[Some(end)]);
        let (_, second) = tell(&mut history, 1, &[Some(end + 64_000 - REFERENCE_WRAP)]);
        assert_eq!(second[0].arrived - first[0].arrived, 64_000);
    }

    #[test]
    fn memory_has_a_bound() {
        let mut history = History::default();
        for n in 0..3 * MAX_SENT as u64 {
            history.on_sent(0, SeqNo(n).wire(), 100, 0);
        }
        assert_eq!(history.sent.len(), MAX_SENT);
        let newest = SeqNo(history.next.0 - 1).wire();
        let (told, _) = tell(&mut history, newest, &[Some(1)]);
        assert_eq!(told.lost, 0, "of what is forgotten nothing is known");
    }
}
