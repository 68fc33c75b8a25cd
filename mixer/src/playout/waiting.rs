//! Payloads that wait for their turn, in the order of their media time.
//!
//! Bounded and allocated once. Not here: when a payload's turn is.

use althing_media_core::packet::extension::AudioLevel;
use bytes::Bytes;

/// Payloads that wait, at most: 2.5 s of 20 ms, or as much again of copies. A sender that is further ahead than that is
/// not in time with itself.
pub const MAX_WAITING: usize = 128;

/// How a payload came, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// As a packet, or as the primary block of one.
    Primary,
    /// As a copy in a later packet.
    Copy,
}

/// One payload.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    /// When its first sample is to be heard, in samples at 48 kHz of the sender's clock.
    pub(super) time: i64,
    /// How long it lasts.
    pub(super) duration: i64,
    /// Extended sequence number.
    pub(super) seq: u64,
    pub(super) origin: Origin,
    /// Comfort noise (RFC 3389), not the codec.
    pub(super) noise: bool,
    /// The sender paused before it.
    pub(super) marker: bool,
    pub(super) level: Option<AudioLevel>,
    pub(super) bytes: Bytes,
}

impl Payload {
    pub(super) fn end(&self) -> i64 {
        self.time + self.duration
    }
}

/// What became of a payload that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insert {
    Taken,
    /// Its time is there already.
    Present,
    /// It was taken at the price of the oldest, as the bound says.
    Overflow,
}

/// All payloads that wait, oldest first.
#[derive(Debug)]
pub(super) struct Waiting {
    payloads: Vec<Payload>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            payloads: Vec::with_capacity(MAX_WAITING),
        }
    }

    pub(super) fn insert(&mut self, payload: Payload) -> Insert {
        let place = match self.payloads.binary_search_by_key(&payload.time, |other| other.time) {
            Ok(place) => {
                let present = &mut self.payloads[place];
                if payload.origin < present.origin {
                    *present = payload;
                    return Insert::Taken;
                }
                return Insert::Present;
            }
            Err(place) => place,
        };
        if self.payloads.len() < MAX_WAITING {
            self.payloads.insert(place, payload);
            return Insert::Taken;
        }
        if place > 0 {
            self.payloads[..place].rotate_left(1);
            self.payloads[place - 1] = payload;
        }
        Insert::Overflow
    }

    pub(super) fn first(&self) -> Option<&Payload> {
        self.payloads.first()
    }

    pub(super) fn take_first(&mut self) -> Option<Payload> {
        (!self.payloads.is_empty()).then(|| self.payloads.remove(0))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Payload> {
        self.payloads.iter()
    }

    pub(super) fn clear(&mut self) {
        self.payloads.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(time: i64, origin: Origin) -> Payload {
        Payload {
            time,
            duration: 960,
            seq: 0,
            origin,
            noise: false,
            marker: false,
            level: None,
            bytes: Bytes::new(),
        }
    }

    fn times(waiting: &Waiting) -> Vec<i64> {
        waiting.iter().map(|payload| payload.time).collect()
    }

    #[test]
    fn order_duplicates_and_better_origins() {
        let mut waiting = Waiting::new();
        for (time, origin, insert) in [
            (960, Origin::Primary, Insert::Taken),
            (0, Origin::Copy, Insert::Taken),
            (1920, Origin::Primary, Insert::Taken),
            (960, Origin::Primary, Insert::Present),
            (960, Origin::Copy, Insert::Present),
            (0, Origin::Primary, Insert::Taken),
        ] {
            assert_eq!(waiting.insert(payload(time, origin)), insert, "{time}");
        }
        assert_eq!(times(&waiting), [0, 960, 1920]);
    }

    #[test]
    fn when_it_is_full_the_oldest_goes() {
        let mut waiting = Waiting::new();
        for time in 0..200 {
            waiting.insert(payload(time, Origin::Primary));
        }
        assert_eq!(times(&waiting), (72..200).collect::<Vec<_>>());
        assert_eq!(waiting.insert(payload(3, Origin::Primary)), Insert::Overflow);
        assert_eq!(times(&waiting), (72..200).collect::<Vec<_>>());
    }
}
