//! Sound that is sent again under its own number: no browser takes retransmissions of sound in a stream of their own.
//!
//! With SRTP a number must never protect two different packets (RFC 3711 §9.1, RFC 7714 §8.4). So the packet is written
//! again as it was, to the last bit: here is kept what went into it besides the received packet, and a digest that proves
//! that nothing has changed. What differs is not sent. The digest has a random key (SipHash), so that no publisher can make
//! two packets that look the same.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::packet::SeqNo;
use crate::payload::MediaKind;
use crate::send::datagram::Transmission;
use crate::send::log;

/// Sound that arrives so long after it was sent first is of no use: who listens has gone on.
const USEFUL: Duration = Duration::from_millis(400);

/// How one packet was written.
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    seq: SeqNo,
    digest: u64,
    /// The time of sending and the like.
    pub transmission: Transmission,
    /// How many packets before it went along.
    pub depth: usize,
}

/// How the last packets of one stream of sound were written. Allocates once, with the first packet.
#[derive(Debug, Default)]
pub struct Repeats {
    ring: Vec<Option<Repeat>>,
    key: RandomState,
}

impl Repeats {
    /// For a stream of `kind`; `asked`: its receiver may ask, and takes no retransmission stream. `None` when there is no use
    /// for it.
    pub(super) fn for_stream(kind: MediaKind, asked: bool) -> Option<Self> {
        (asked && kind == MediaKind::Audio).then(Self::default)
    }

    /// The packet `seq` has been written as `packet`, not yet sealed.
    pub fn insert(&mut self, seq: SeqNo, packet: &[u8], transmission: Transmission, depth: usize) {
        if self.ring.is_empty() {
            self.ring.resize(log::AUDIO, None);
        }
        let digest = self.key.hash_one(packet);
        if let Some(slot) = self.ring.get_mut(index(seq)) {
            *slot = Some(Repeat {
                seq,
                digest,
                transmission,
                depth,
            });
        }
    }

    /// How the packet `seq` was written, if it is not too late to send it again at `now`, when the router's `epoch` and the
    /// round trip are these.
    #[must_use]
    pub fn get(&self, seq: SeqNo, (now, epoch): (Instant, Instant), rtt: Duration) -> Option<Repeat> {
        let repeat = self.ring.get(index(seq))?.filter(|repeat| repeat.seq == seq)?;
        let age = now.saturating_duration_since(epoch + repeat.transmission.at);
        (age + rtt / 2 <= USEFUL).then_some(repeat)
    }

    /// Whether `packet` is the same as it was when it was written as `repeat`.
    #[must_use]
    pub fn is_same(&self, repeat: &Repeat, packet: &[u8]) -> bool {
        repeat.digest == self.key.hash_one(packet)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an index below the capacity")]
const fn index(seq: SeqNo) -> usize {
    seq.0 as usize & (log::AUDIO - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_there_in_time_and_the_same() {
        let epoch = Instant::now();
        let ms = Duration::from_millis;
        let mut repeats = Repeats::for_stream(MediaKind::Audio, true).expect("sound");
        let sent = |at| Transmission {
            at,
            transport_seq: 9,
            named: false,
        };
        repeats.insert(SeqNo(0x1_0000), b"packet", sent(ms(1000)), 1);
        let get = |seq, at, rtt| repeats.get(SeqNo(seq), (epoch + at, epoch), rtt);
        let repeat = get(0x1_0000, ms(1100), ms(100)).expect("in time");
        assert_eq!((repeat.depth, repeat.transmission.transport_seq), (1, 9));
        assert!(repeats.is_same(&repeat, b"packet") && !repeats.is_same(&repeat, b"Packet"));
        // The key is another one for each stream: what was found to collide for one does not for the next.
        let mut other = Repeats::for_stream(MediaKind::Audio, true).expect("sound");
        other.insert(SeqNo(0x1_0000), b"packet", sent(ms(1000)), 1);
        let theirs = other.get(SeqNo(0x1_0000), (epoch + ms(1100), epoch), ms(100));
        assert!(theirs.is_some_and(|theirs| theirs.digest != repeat.digest));
        assert!(get(0x1_0000, ms(1350), ms(100)).is_some());
        assert!(get(0x1_0000, ms(1351), ms(100)).is_none(), "too late");
        assert!(get(0x1_0000 + 64, ms(1100), ms(100)).is_none(), "another one");
        assert!(Repeats::for_stream(MediaKind::Video, true).is_none());
        assert!(Repeats::for_stream(MediaKind::Audio, false).is_none());
    }
}
