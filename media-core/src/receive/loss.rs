//! Which packets of one incoming RTP stream are missing, and when to ask for them (RFC 4585 §6.2.1).
//!
//! Does not keep packets and does not know what they hold.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::packet::SeqNo;

/// Missing packets remembered; a longer gap is beyond repair and is not asked for.
pub const MAX_MISSING: usize = 300;
/// How far back a packet is still told apart from a duplicate.
const WINDOW: u64 = 1024;
/// Patience before the first request: most reordering is shorter.
const REORDER: Duration = Duration::from_millis(5);
/// Shortest and longest time between two requests for the same packet.
const RETRY: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));
/// Round trip assumed before the first answer.
const INITIAL_RTT: Duration = Duration::from_millis(60);
/// Requests for one packet before it is given up.
const MAX_TRIES: u8 = 8;
/// A packet missing for longer than this is of no use to anybody.
const MAX_AGE: Duration = Duration::from_secs(1);

/// What a packet's sequence number says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrival {
    /// The highest so far; `lost` numbers were skipped before it.
    New {
        /// How many.
        lost: u64,
    },
    /// It was missing.
    Late,
    /// It is there already, or too old to tell.
    Duplicate,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    seq: SeqNo,
    since: Instant,
    due: Instant,
    /// The last request.
    asked: Option<Instant>,
    tries: u8,
}

/// Loss detection and retransmission requests of one stream. Bounded; no allocation after the first gap.
#[derive(Debug)]
pub struct LossDetector {
    /// The lowest number that has come: what is missing before it was never ours.
    lowest: SeqNo,
    highest: Option<SeqNo>,
    received: [u64; (WINDOW / 64) as usize],
    missing: VecDeque<Missing>,
    nack: bool,
    rtt: Duration,
}

impl LossDetector {
    /// `nack`: the sender answers requests.
    #[must_use]
    pub fn new(nack: bool) -> Self {
        Self {
            lowest: SeqNo(0),
            highest: None,
            received: [0; (WINDOW / 64) as usize],
            missing: VecDeque::new(),
            nack,
            rtt: INITIAL_RTT,
        }
    }

    /// Notes that `seq` has arrived.
    pub fn on_packet(&mut self, now: Instant, seq: SeqNo) -> Arrival {
        let Some(highest) = self.highest else {
            (self.lowest, self.highest) = (seq, Some(seq));
            self.mark(seq);
            return Arrival::New { lost: 0 };
        };
        if seq > highest {
            let lost = seq.0 - highest.0 - 1;
            self.clear_between(highest, seq);
            self.highest = Some(seq);
            self.mark(seq);
            self.note_gap(now, highest, lost);
            return Arrival::New { lost };
        }
        if highest.0 - seq.0 >= WINDOW || self.is_marked(seq) {
            return Arrival::Duplicate;
        }
        self.mark(seq);
        if seq < self.lowest {
            self.note_earlier_start(now, seq);
        }
        if let Ok(index) = self.missing.binary_search_by_key(&seq, |missing| missing.seq)
            && let Some(found) = self.missing.remove(index)
        {
            self.sample_rtt(now, found);
        }
        Arrival::Late
    }

    /// The answer to a first request tells the round trip; later ones could answer any of the requests.
    fn sample_rtt(&mut self, now: Instant, found: Missing) {
        if let (Some(asked), 1) = (found.asked, found.tries) {
            let sample = now.saturating_duration_since(asked);
            self.rtt = (self.rtt * 7 + sample) / 8;
        }
    }

    /// Round trip to the sender, by how long answers take.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.rtt
    }

    /// The first packet to come was not the first one sent: what lies between is missing too.
    #[cold]
    fn note_earlier_start(&mut self, now: Instant, seq: SeqNo) {
        let between = seq.0 + 1..std::mem::replace(&mut self.lowest, seq).0;
        let room = if self.nack { MAX_MISSING - self.missing.len() } else { 0 };
        for seq in between.rev().take(room) {
            self.missing.push_front(Missing {
                seq: SeqNo(seq),
                since: now,
                due: now + REORDER,
                asked: None,
                tries: 0,
            });
        }
    }

    fn note_gap(&mut self, now: Instant, highest: SeqNo, lost: u64) {
        if !self.nack || lost == 0 {
            return;
        }
        if lost > MAX_MISSING as u64 {
            self.missing.clear();
            return;
        }
        for n in 1..=lost {
            if self.missing.len() == MAX_MISSING {
                self.missing.pop_front();
            }
            self.missing.push_back(Missing {
                seq: highest.plus(n),
                since: now,
                due: now + REORDER,
                asked: None,
                tries: 0,
            });
        }
    }

    /// When the next request is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.due).min()
    }

    /// Puts the numbers to ask for now into `out` (cleared first), in order, and schedules the next try.
    pub fn take_due(&mut self, now: Instant, out: &mut Vec<u16>) {
        out.clear();
        let patience = (self.rtt + self.rtt / 4).clamp(RETRY.0, RETRY.1);
        self.missing.retain_mut(|missing| {
            if missing.due > now {
                return true;
            }
            if missing.tries >= MAX_TRIES || now.saturating_duration_since(missing.since) > MAX_AGE {
                return false;
            }
            out.push(missing.seq.wire());
            missing.tries += 1;
            missing.asked = Some(now);
            // A little more than a round trip, longer with each try.
            missing.due = now + patience * u32::from(missing.tries).min(3);
            true
        });
    }

    /// How many are missing and still asked for.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    fn mark(&mut self, seq: SeqNo) {
        let bit = seq.0 % WINDOW;
        if let Some(word) = self.received.get_mut((bit / 64) as usize) {
            *word |= 1 << (bit % 64);
        }
    }

    fn is_marked(&self, seq: SeqNo) -> bool {
        let bit = seq.0 % WINDOW;
        self.received
            .get((bit / 64) as usize)
            .is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn clear_between(&mut self, highest: SeqNo, seq: SeqNo) {
        if seq.0 - highest.0 >= WINDOW {
            self.received = [0; (WINDOW / 64) as usize];
            return;
        }
        for between in highest.0 + 1..seq.0 {
            let bit = between % WINDOW;
            if let Some(word) = self.received.get_mut((bit / 64) as usize) {
                *word &= !(1 << (bit % 64));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_came_late_has_a_gap_behind_it() {
        let start = Instant::now();
        let mut loss = LossDetector::new(true);
        loss.on_packet(start, SeqNo(0x1_0005));
        assert_eq!(loss.on_packet(start, SeqNo(0x1_0002)), Arrival::Late);
        let mut due = Vec::new();
        loss.take_due(start + REORDER, &mut due);
        assert_eq!(due, [3, 4]);
        assert_eq!(loss.on_packet(start, SeqNo(0x1_0002)), Arrival::Duplicate);
        assert_eq!(loss.on_packet(start, SeqNo(0x1_0004)), Arrival::Late);
        assert_eq!(loss.on_packet(start, SeqNo(0x1_0003)), Arrival::Late);
        assert_eq!(loss.missing(), 0);
    }

    #[test]
    fn asks_for_what_is_missing_and_gives_up() {
        let start = Instant::now();
        let mut loss = LossDetector::new(true);
        let mut asked = Vec::new();
        assert_eq!(loss.on_packet(start, SeqNo(100)), Arrival::New { lost: 0 });
        assert_eq!(loss.on_packet(start, SeqNo(104)), Arrival::New { lost: 3 });
        assert_eq!(loss.on_packet(start, SeqNo(104)), Arrival::Duplicate);
        loss.take_due(start, &mut asked);
        assert!(asked.is_empty(), "reordering gets a moment");
        loss.take_due(start + REORDER, &mut asked);
        assert_eq!(asked, [101, 102, 103]);
        assert_eq!(loss.on_packet(start, SeqNo(102)), Arrival::Late);
        assert_eq!(loss.on_packet(start, SeqNo(102)), Arrival::Duplicate);
        let mut rounds = 0;
        while let Some(due) = loss.next_timeout() {
            loss.take_due(due, &mut asked);
            assert!(asked.is_empty() || asked == [101, 103]);
            rounds += 1;
            assert!(rounds < 50, "must give up");
        }
        assert_eq!(loss.missing(), 0);
    }

    #[test]
    fn a_hopeless_gap_is_not_asked_for() {
        let now = Instant::now();
        let mut loss = LossDetector::new(true);
        loss.on_packet(now, SeqNo(100));
        loss.on_packet(now, SeqNo(5_000));
        assert_eq!(loss.missing(), 0);
        assert_eq!(
            loss.on_packet(now, SeqNo(4_500)),
            Arrival::Late,
            "the old marks do not survive the jump"
        );
    }
}
