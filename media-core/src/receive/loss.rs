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
/// How late a picture may be complete: those who watch wait about as long before they go on without it.
pub const PICTURES: Duration = Duration::from_millis(1200);
/// How late sound may come: who listens has gone on long before, unless the line is bad anyway.
pub const SOUND: Duration = Duration::from_millis(250);

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
    /// The last one that was asked for in vain: when it comes after all, that tells how long answers take.
    given_up: Option<Missing>,
    /// How late a packet may come that is asked for; `None` when the sender answers no requests.
    useful: Option<Duration>,
    /// Round trip to the sender, by how long answers take.
    rtt: Option<Duration>,
}

impl LossDetector {
    /// `useful`: how late a packet may come, if the sender answers requests at all. One that would come later is not asked
    /// for.
    #[must_use]
    pub fn new(useful: Option<Duration>) -> Self {
        Self {
            lowest: SeqNo(0),
            highest: None,
            received: [0; (WINDOW / 64) as usize],
            missing: VecDeque::new(),
            given_up: None,
            useful,
            rtt: None,
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
        } else if let Some(missing) = self.given_up.take_if(|missing| missing.seq == seq) {
            self.sample_rtt(now, missing);
        }
        Arrival::Late
    }

    /// The answer to an only request tells the round trip; that after several could answer any of them, so that the round
    /// trip is at least the time since the last.
    fn sample_rtt(&mut self, now: Instant, found: Missing) {
        let Some(asked) = found.asked else { return };
        let sample = now.saturating_duration_since(asked);
        if found.tries == 1 || sample > self.rtt() {
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
    }

    /// The packet `seq` is about to come, but not because it was asked for: that does not tell how long answers take.
    pub fn unask(&mut self, seq: SeqNo) {
        if let Ok(index) = self.missing.binary_search_by_key(&seq, |missing| missing.seq)
            && let Some(missing) = self.missing.get_mut(index)
        {
            missing.asked = None;
        }
        self.given_up.take_if(|missing| missing.seq == seq);
    }

    /// Whether `seq` has not come, and would be taken if it came now.
    #[must_use]
    pub fn lacks(&self, seq: SeqNo) -> bool {
        let Some(highest) = self.highest else { return false };
        seq > highest || (seq > self.lowest && highest.0 - seq.0 < WINDOW && !self.is_marked(seq))
    }

    /// Round trip to the sender, by how long answers take.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.rtt.unwrap_or(INITIAL_RTT)
    }

    /// The first packet to come was not the first one sent: what lies between is missing too.
    #[cold]
    fn note_earlier_start(&mut self, now: Instant, seq: SeqNo) {
        let between = seq.0 + 1..std::mem::replace(&mut self.lowest, seq).0;
        let room = self.useful.map_or(0, |_| MAX_MISSING - self.missing.len());
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
        if self.useful.is_none() || lost == 0 {
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
        let (rtt, useful) = (self.rtt(), self.useful.unwrap_or_default());
        let patience = (rtt + rtt / 4).clamp(RETRY.0, RETRY.1);
        let mut hopeless = false;
        self.missing.retain_mut(|missing| {
            if missing.due > now {
                return true;
            }
            if missing.tries >= MAX_TRIES || now.saturating_duration_since(missing.since) + rtt > useful {
                hopeless |= missing.tries == 0;
                if missing.tries > 0 {
                    self.given_up = Some(*missing);
                }
                return false;
            }
            out.push(missing.seq.wire());
            missing.tries += 1;
            missing.asked = Some(now);
            // A little more than a round trip, longer with each try.
            missing.due = now + patience * u32::from(missing.tries).min(2);
            true
        });
        // Without requests there are no answers that tell that the round trip is shorter again.
        if hopeless && let Some(rtt) = &mut self.rtt {
            *rtt -= *rtt / 16;
        }
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
        let mut loss = LossDetector::new(Some(PICTURES));
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
        let mut loss = LossDetector::new(Some(PICTURES));
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
    fn what_would_come_too_late_is_not_asked_for() {
        let start = Instant::now();
        let mut loss = LossDetector::new(Some(SOUND));
        let mut asked = Vec::new();
        let (far, ms) = (Duration::from_millis(300), Duration::from_millis);
        loss.on_packet(start, SeqNo(100));
        loss.on_packet(start, SeqNo(102));
        loss.take_due(start + ms(5), &mut asked);
        assert_eq!(asked, [101]);
        loss.on_packet(start + ms(5) + far, SeqNo(101));
        assert_eq!(loss.rtt(), far);
        let mut asked_again = None;
        for n in 0..20 {
            let at = start + far * (n + 2);
            loss.on_packet(at, SeqNo(104 + 2 * u64::from(n)));
            loss.take_due(at + ms(5), &mut asked);
            assert_eq!((loss.missing() > 0), !asked.is_empty(), "it is asked for or forgotten");
            if !asked.is_empty() {
                asked_again.get_or_insert(n);
            }
        }
        let again = asked_again.expect("the round trip may be shorter meanwhile");
        assert!((2..6).contains(&again), "{again}");
    }

    #[test]
    fn lacks_what_has_not_come_and_may_still_come() {
        let now = Instant::now();
        let mut loss = LossDetector::new(None);
        assert!(!loss.lacks(SeqNo(5000)), "nothing has come");
        for seq in [5000, 5001, 5003] {
            loss.on_packet(now, SeqNo(seq));
        }
        let lacking: Vec<u64> = (4990..5006).filter(|seq| loss.lacks(SeqNo(*seq))).collect();
        assert_eq!(lacking, [5002, 5004, 5005], "what was before the first was never ours");
        loss.on_packet(now, SeqNo(5002 + WINDOW));
        assert!(!loss.lacks(SeqNo(5002)), "too old to tell");
    }

    #[test]
    fn a_hopeless_gap_is_not_asked_for() {
        let now = Instant::now();
        let mut loss = LossDetector::new(Some(PICTURES));
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
