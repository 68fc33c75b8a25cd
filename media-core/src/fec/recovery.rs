//! FEC packets of one incoming stream that wait for what they protect.
//!
//! Keeps no media packet: the caller has them, and says which bytes are those that were sent.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::fec::header::{Header, RECOVERY};
use crate::fec::parity::Parity;
use crate::packet::{ExtensionMap, RtpView, SeqNo, Ssrc};

/// FEC packets that wait; the oldest gives way. Some hundred ms of a large picture.
pub const MAX_WAITING: usize = 32;

/// What is known of a packet that an FEC packet protects.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Known<'a> {
    /// It has come as it was sent.
    Exact(RtpView<'a>),
    /// It has come in another shape (RFC 4588), or would not be taken any more.
    Otherwise,
    /// It has not come.
    Lacking,
}

/// FEC packets that wait, and the packet that was made last. Allocates with the first FEC packet; a reference for each that
/// waits.
#[derive(Debug, Default)]
pub struct Recovery {
    waiting: VecDeque<Waiting>,
    made: Parity,
}

#[derive(Debug)]
struct Waiting {
    base: SeqNo,
    header: Header,
    recovery: [u8; RECOVERY],
    rest: Bytes,
    arrival: Instant,
}

impl Waiting {
    fn protects(&self, seq: SeqNo) -> bool {
        let offset = seq.0.wrapping_sub(self.base.0);
        offset < 128 && self.header.mask >> offset & 1 == 1
    }
}

/// What comes of an FEC packet.
enum Outcome {
    /// More than one packet is missing.
    Waits,
    /// Nothing is missing that could be made.
    Done,
    /// This one has been made.
    Made(SeqNo),
}

impl Recovery {
    /// Takes the payload of an FEC packet over the stream `ssrc`; `extend` gives a whole number for one on the wire. Whether it
    /// is one, for this stream; then [`Self::recover`] is to be called. One over the same packets that waits gives way.
    pub fn on_fec(&mut self, now: Instant, payload: Bytes, ssrc: Ssrc, extend: impl FnOnce(u16) -> SeqNo) -> bool {
        let parsed = Header::parse(&payload).filter(|(header, _)| header.ssrc == ssrc);
        let (Some((header, len)), Some(recovery)) = (parsed, payload.first_chunk().copied()) else {
            return false;
        };
        let base = extend(header.base);
        self.waiting
            .retain(|waiting| (waiting.base, waiting.header.mask) != (base, header.mask));
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Waiting {
            base,
            header,
            recovery,
            rest: payload.slice(len..),
            arrival: now,
        });
        true
    }

    /// Lets go of what came before `limit`: it must not hold memory that it shares with others for long.
    pub fn expire(&mut self, limit: Instant) {
        self.waiting.retain(|waiting| waiting.arrival >= limit);
    }

    /// How many FEC packets wait.
    #[must_use]
    #[inline]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The packet `come` has come, or, when it is `None`, an FEC packet: makes a packet that can be made now, whose number it
    /// gives. Call for a packet until `None`, and for each that was made as well. Costs a look at each packet that is protected
    /// together with `come`, or by the FEC packet that came last, and a sum where one is made.
    pub fn recover<'a>(
        &mut self,
        come: Option<SeqNo>,
        extensions: &ExtensionMap,
        known: impl Fn(SeqNo) -> Known<'a>,
    ) -> Option<SeqNo> {
        let newest = self.waiting.len().saturating_sub(1);
        let mut index = if come.is_none() { newest } else { 0 };
        while let Some(waiting) = self.waiting.get(index) {
            if come.is_some_and(|seq| !waiting.protects(seq)) {
                index += 1;
                continue;
            }
            let outcome = waiting.settle(&mut self.made, extensions, &known);
            match outcome {
                Outcome::Waits => index += 1,
                Outcome::Done => drop(self.waiting.remove(index)),
                Outcome::Made(made) => {
                    self.waiting.remove(index);
                    return Some(made);
                }
            }
        }
        None
    }

    /// How long the packet is that was made last: 0 when the sum is of no packet.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made.left().unwrap_or(0)
    }

    /// Writes the packet that was made last, under its number, into `out`, which has its length.
    pub fn write(&self, ssrc: Ssrc, seq: SeqNo, out: &mut [u8]) {
        self.made.write_left(ssrc, seq.wire(), out);
    }
}

impl Waiting {
    fn settle<'a>(&self, made: &mut Parity, extensions: &ExtensionMap, known: &impl Fn(SeqNo) -> Known<'a>) -> Outcome {
        let numbers = || self.header.offsets().map(|offset| self.base.plus(u64::from(offset)));
        let mut lacking = None;
        for seq in numbers() {
            let lacks = match known(seq) {
                Known::Exact(_) => continue,
                Known::Otherwise => None,
                Known::Lacking => Some(seq),
            };
            if lacking.replace(lacks).is_some() {
                return Outcome::Waits;
            }
        }
        let Some(seq) = lacking.flatten() else {
            return Outcome::Done;
        };
        made.load(self.recovery, &self.rest);
        for other in numbers() {
            if let Known::Exact(packet) = known(other) {
                made.add(&packet, extensions);
            }
        }
        Outcome::Made(seq)
    }
}
