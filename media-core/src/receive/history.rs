//! The last packets of one incoming RTP stream: one reference each, for everybody who may need them again.
//!
//! Subscribers do not hold packets: what waits in a send queue, and what may be asked for again, is a note that points
//! into this history. So a packet is counted once, not once per subscriber.

use std::time::{Duration, Instant};

use crate::packet::{Packet, SeqNo};
use crate::payload::Info;

/// Packets kept of a video stream: two seconds of 6 Mbit/s. A power of two.
pub const VIDEO: usize = 1024;
/// How long a packet is kept at least, if there is room, and at most a second longer: nobody asks for an older one.
pub const MAX_AGE: Duration = Duration::from_secs(3);
/// Packets kept of an audio stream: more than two seconds of 20 ms frames. A power of two.
pub const AUDIO: usize = 128;

/// A received packet with what was learnt from it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The packet.
    pub packet: Packet,
    /// Its extended sequence number.
    pub seq: SeqNo,
    /// When it came.
    pub arrival: Instant,
    /// What its payload says.
    pub info: Info,
    /// It has the bytes that it was sent with.
    pub exact: bool,
}

/// A ring of packets by sequence number. Allocates once, with the first packet.
#[derive(Debug)]
pub struct History {
    ring: Vec<Option<Received>>,
    capacity: usize,
}

impl History {
    /// Room for `capacity` packets, a power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: Vec::new(),
            capacity: capacity.next_power_of_two(),
        }
    }

    /// Keeps `received` and lets go of the one whose place it takes.
    pub fn insert(&mut self, received: Received) {
        if self.ring.is_empty() {
            self.ring.resize_with(self.capacity, || None);
        }
        let index = self.index(received.seq);
        if let Some(slot) = self.ring.get_mut(index) {
            *slot = Some(received);
        }
    }

    /// Lets go of what came before `limit`: a slow stream must not hold memory that it shares with others for long.
    /// Looks at every place; called once a second.
    pub fn expire(&mut self, limit: Instant) {
        for slot in &mut self.ring {
            if slot.as_ref().is_some_and(|received| received.arrival < limit) {
                *slot = None;
            }
        }
    }

    /// The packet with this number, if it is still there.
    #[must_use]
    #[inline]
    pub fn get(&self, seq: SeqNo) -> Option<&Received> {
        self.ring
            .get(self.index(seq))?
            .as_ref()
            .filter(|received| received.seq == seq)
    }

    #[expect(clippy::cast_possible_truncation, reason = "an index below the capacity")]
    const fn index(&self, seq: SeqNo) -> usize {
        seq.0 as usize & (self.capacity - 1)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn lets_go_by_number_and_by_age() {
        let start = Instant::now();
        let mut history = History::new(4);
        for n in 0..6 {
            let packet = Packet::parse(Bytes::from_static(&[0x80; 12])).expect("a header");
            let arrival = start + Duration::from_secs(n);
            let seq = SeqNo(n);
            history.insert(Received {
                packet,
                seq,
                arrival,
                info: Info::default(),
                exact: true,
            });
        }
        let kept = |history: &History| (0..6).filter(|n| history.get(SeqNo(*n)).is_some()).collect::<Vec<_>>();
        assert_eq!(kept(&history), [2, 3, 4, 5]);
        history.expire(start + Duration::from_secs(4));
        assert_eq!(kept(&history), [4, 5]);
    }
}
