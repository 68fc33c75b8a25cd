//! What was sent under which number, so that it can be sent again (RFC 4588 §8).

use std::time::{Duration, Instant};

use crate::config::{SubscriptionId, TrackId};
use crate::packet::SeqNo;
use crate::payload::Patch;
use crate::send::note::{Form, Note};
use crate::time::RtpTime;

/// Packets remembered per outgoing video stream: two seconds of 2.5 Mbit/s. A power of two.
pub const VIDEO: usize = 512;
/// Packets remembered per outgoing audio stream. A power of two.
pub const AUDIO: usize = 64;
/// A packet is sent again at most this often: more is a broken or hostile receiver.
const MAX_RESENDS: u8 = 10;
/// What was sent longer ago than this is of no use any more, and a receiver that comes back after seconds asks for hundreds: they
/// would fill its line for seconds again.
const TOO_LATE: Duration = Duration::from_millis(1200);
/// A bit beside the encoding: nothing was sent under the number but padding.
const FILLER: u8 = 0x80;
/// Shortest time between two answers for one packet.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// What has to be known to send a packet again. Every subscriber of every stream has hundreds of these, and one is
/// written for each packet sent: two fit a cache line.
#[derive(Debug, Clone, Copy)]
struct Sent {
    source: SeqNo,
    /// The low 32 bits of the number it went out with: far more than a ring holds.
    seq: u32,
    timestamp: RtpTime,
    /// When it was last sent, in milliseconds since the log's first packet.
    at: u32,
    patch: Option<Patch>,
    frame_shift: u16,
    encoding: u8,
    ends: bool,
    /// Which track it came with; see [`SentLog::track`].
    turn: u8,
    /// [`MAX_RESENDS`] in an empty slot, which so answers nothing.
    resends: u8,
}

const _: () = assert!(size_of::<Sent>() == 32);

impl Sent {
    const NOTHING: Self = Self {
        source: SeqNo(0),
        seq: 0,
        timestamp: RtpTime(0),
        at: 0,
        patch: None,
        frame_shift: 0,
        encoding: 0,
        ends: false,
        turn: 0,
        resends: MAX_RESENDS,
    };
}

/// A ring by outgoing number, 32 bytes for each packet. Allocates once, with the first packet.
#[derive(Debug)]
pub struct SentLog {
    ring: Vec<Sent>,
    capacity: usize,
    highest: SeqNo,
    /// The track that packets come with now, and the one before.
    tracks: [TrackId; 2],
    /// Counts the changes of track.
    turn: u8,
    epoch: Option<Instant>,
}

impl SentLog {
    /// Remembers `capacity` packets, a power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: Vec::new(),
            capacity: capacity.next_power_of_two(),
            highest: SeqNo(0),
            tracks: [TrackId(0); 2],
            turn: 0,
            epoch: None,
        }
    }

    /// Remembers `note`, which goes out now.
    #[inline]
    pub fn insert(&mut self, now: Instant, note: &Note) {
        if self.ring.is_empty() {
            self.ring.resize(self.capacity, Sent::NOTHING);
        }
        if note.track != self.tracks[0] {
            self.tracks = [note.track, self.tracks[0]];
            self.turn = self.turn.wrapping_add(1);
        }
        self.highest = self.highest.max(note.seq);
        let (index, turn, at) = (self.index(note.seq), self.turn, self.since(now));
        if let Some(slot) = self.ring.get_mut(index) {
            *slot = Sent {
                source: note.source,
                seq: low(note.seq),
                timestamp: note.timestamp,
                at,
                patch: note.patch,
                frame_shift: note.frame_shift,
                encoding: note.encoding | if note.form == Form::Filler { FILLER } else { 0 },
                ends: note.ends,
                turn,
                resends: 0,
            };
        }
    }

    /// The note with which the stream `subscription` answers a request for `wire`; `None` when the packet is not known
    /// any more, was never sent, was sent again just now, or too long ago.
    pub fn request(&mut self, now: Instant, subscription: SubscriptionId, wire: u16, rtt: Duration) -> Option<Note> {
        let back = u64::from(self.highest.wire().wrapping_sub(wire));
        let seq = SeqNo(self.highest.0.checked_sub(back)?);
        let at = self.since(now);
        let pause = u32::try_from(MIN_INTERVAL.max(rtt / 2).as_millis()).unwrap_or(u32::MAX);
        let index = self.index(seq);
        let sent = self.ring.get(index).filter(|sent| sent.seq == low(seq))?;
        let since = at.saturating_sub(sent.at);
        let too_soon = sent.resends > 0 && since < pause;
        if sent.resends >= MAX_RESENDS || too_soon || u128::from(since) > TOO_LATE.as_millis() {
            return None;
        }
        let note = Note {
            subscription,
            track: self.track(sent.turn)?,
            encoding: sent.encoding & !FILLER,
            form: if sent.encoding & FILLER == 0 {
                Form::Rtx
            } else {
                Form::RtxFiller
            },
            ends: sent.ends,
            source: sent.source,
            seq,
            timestamp: sent.timestamp,
            patch: sent.patch,
            frame_shift: sent.frame_shift,
        };
        let sent = self.ring.get_mut(index)?;
        sent.resends += 1;
        sent.at = at;
        Some(note)
    }

    /// Milliseconds since the first packet.
    #[inline]
    fn since(&mut self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(*self.epoch.get_or_insert(now));
        u32::try_from(since.as_millis()).unwrap_or(u32::MAX)
    }

    /// The track of the packets that were sent during `turn`. Those of the two latest are known, which is as long as a
    /// stream can be interesting that is not shown any more.
    fn track(&self, turn: u8) -> Option<TrackId> {
        self.tracks.get(usize::from(self.turn.wrapping_sub(turn))).copied()
    }

    #[expect(clippy::cast_possible_truncation, reason = "an index below the capacity")]
    const fn index(&self, seq: SeqNo) -> usize {
        seq.0 as usize & (self.capacity - 1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
const fn low(seq: SeqNo) -> u32 {
    seq.0 as u32
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
            ends: true,
            source: SeqNo(seq + 7),
            seq: SeqNo(seq),
            timestamp: RtpTime(0),
            patch: None,
            frame_shift: 0,
        }
    }

    #[test]
    fn answers_what_it_knows_and_not_too_often() {
        let start = Instant::now();
        let rtt = Duration::from_millis(40);
        let mut log = SentLog::new(4);
        for seq in 0x1_fffd..0x2_0003 {
            log.insert(
                start,
                &note(seq, if seq == 0x2_0001 { Form::Filler } else { Form::Media }),
            );
        }
        let mut ask = |at, wire| log.request(at, SubscriptionId(1), wire, rtt);
        assert_eq!(ask(start, 0xfffe), None, "overwritten");
        let filler = ask(start, 1).expect("known");
        assert_eq!((filler.form, filler.encoding), (Form::RtxFiller, 0), "only its number");
        assert_eq!(ask(start, 9), None, "never sent");
        let again = ask(start, 0xffff).expect("known");
        let expected = Note {
            form: Form::Rtx,
            ..note(0x1_ffff, Form::Media)
        };
        assert_eq!(again, expected);
        assert_eq!(ask(start + rtt / 4, 0xffff), None, "too soon");
        assert_eq!(ask(start + TOO_LATE * 2, 0), None, "nobody waits for it any more");
        let answers = (1..100).filter(|n| ask(start + rtt * *n, 0xffff).is_some()).count();
        assert_eq!(answers, usize::from(MAX_RESENDS) - 1);
    }

    #[test]
    fn knows_the_track_before_and_forgets_the_one_before_that() {
        let start = Instant::now();
        let mut log = SentLog::new(8);
        for turn in 0..3 {
            log.insert(
                start,
                &Note {
                    track: TrackId(10 + turn),
                    ..note(0x1_0000 + turn, Form::Media)
                },
            );
        }
        let mut track = |wire| Some(log.request(start, SubscriptionId(1), wire, Duration::ZERO)?.track);
        assert_eq!(
            [track(0), track(1), track(2)],
            [None, Some(TrackId(11)), Some(TrackId(12))]
        );
    }
}
