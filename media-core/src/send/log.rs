//! What was sent under which number, so that it can be sent again (RFC 4588 §8).

use std::time::{Duration, Instant};

use crate::packet::SeqNo;
use crate::send::note::{Form, Note};

/// Packets remembered per outgoing video stream: two seconds of 2.5 Mbit/s. A power of two.
pub const VIDEO: usize = 512;
/// Packets remembered per outgoing audio stream. A power of two.
pub const AUDIO: usize = 64;
/// A packet is sent again at most this often: more is a broken or hostile receiver.
const MAX_RESENDS: u8 = 10;
/// Shortest time between two answers for one packet.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
struct Sent {
    note: Note,
    resent: Option<Instant>,
    resends: u8,
}

/// A ring of notes by outgoing number. Allocates once, with the first packet.
#[derive(Debug)]
pub struct SentLog {
    ring: Vec<Option<Sent>>,
    capacity: usize,
    highest: SeqNo,
}

impl SentLog {
    /// Remembers `capacity` packets, a power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: Vec::new(),
            capacity: capacity.next_power_of_two(),
            highest: SeqNo(0),
        }
    }

    /// Remembers `note`.
    #[inline]
    pub fn insert(&mut self, note: Note) {
        if self.ring.is_empty() {
            self.ring.resize(self.capacity, None);
        }
        self.highest = self.highest.max(note.seq);
        let index = self.index(note.seq);
        if let Some(slot) = self.ring.get_mut(index) {
            *slot = Some(Sent {
                note,
                resent: None,
                resends: 0,
            });
        }
    }

    /// The note to answer a request for `wire` with; `None` when it is not known any more, was never sent, is padding,
    /// or was sent again just now.
    pub fn request(&mut self, now: Instant, wire: u16, rtt: Duration) -> Option<Note> {
        let back = u64::from(self.highest.wire().wrapping_sub(wire));
        let seq = SeqNo(self.highest.0.checked_sub(back)?);
        let index = self.index(seq);
        let sent = self.ring.get_mut(index)?.as_mut().filter(|sent| sent.note.seq == seq)?;
        let pause = MIN_INTERVAL.max(rtt / 2);
        let too_soon = sent.resent.is_some_and(|at| now.saturating_duration_since(at) < pause);
        if sent.note.form != Form::Media || sent.resends >= MAX_RESENDS || too_soon {
            return None;
        }
        sent.resends += 1;
        sent.resent = Some(now);
        Some(Note {
            form: Form::Rtx,
            ..sent.note
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "an index below the capacity")]
    const fn index(&self, seq: SeqNo) -> usize {
        seq.0 as usize & (self.capacity - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SubscriptionId, TrackId};
    use crate::time::RtpTime;

    fn note(seq: u64, form: Form) -> Note {
        Note {
            subscription: SubscriptionId(1),
            track: TrackId(1),
            encoding: 0,
            form,
            source: SeqNo(seq + 7),
            seq: SeqNo(seq),
            timestamp: RtpTime(0),
            patch: None,
        }
    }

    #[test]
    fn answers_what_it_knows_and_not_too_often() {
        let start = Instant::now();
        let rtt = Duration::from_millis(40);
        let mut log = SentLog::new(4);
        for seq in 0x1_fffd..0x2_0003 {
            log.insert(note(seq, if seq == 0x2_0001 { Form::Filler } else { Form::Media }));
        }
        assert_eq!(log.request(start, 0xfffe, rtt), None, "overwritten");
        assert_eq!(log.request(start, 1, rtt), None, "padding");
        assert_eq!(log.request(start, 9, rtt), None, "never sent");
        let again = log.request(start, 0xffff, rtt).expect("known");
        assert_eq!((again.form, again.source), (Form::Rtx, SeqNo(0x1_ffff + 7)));
        assert_eq!(log.request(start + rtt / 4, 0xffff, rtt), None, "too soon");
        let answers = (1..100)
            .filter(|n| log.request(start + rtt * *n, 0xffff, rtt).is_some())
            .count();
        assert_eq!(answers, usize::from(MAX_RESENDS) - 1);
    }
}
