//! A packet on its way to a subscriber: which received packet, under which numbers.

use crate::config::{SubscriptionId, TrackId};
use crate::forward::{Meta, Rewrite};
use crate::packet::SeqNo;
use crate::payload::Patch;
use crate::time::RtpTime;

/// How the payload is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// As it was received.
    Media,
    /// Not at all: padding under the packet's number.
    Filler,
    /// Again, in the retransmission stream (RFC 4588).
    Rtx,
    /// What was not sent the first time either, again: only its number, in the retransmission stream.
    RtxFiller,
    /// No packet of the publisher: the next FEC packet over those that have been sent.
    Fec,
}

impl Form {
    /// Whether it goes out in the retransmission stream.
    #[must_use]
    #[inline]
    pub fn is_again(self) -> bool {
        matches!(self, Self::Rtx | Self::RtxFiller)
    }
}

/// A packet on its way out. `Copy`, about 60 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The outgoing stream.
    pub subscription: SubscriptionId,
    /// The track that the packet came with.
    pub track: TrackId,
    /// Its encoding.
    pub encoding: u8,
    /// How it is sent.
    pub form: Form,
    /// It is the last packet of its picture that is sent.
    pub ends: bool,
    /// The packet's number in the publisher's history.
    pub source: SeqNo,
    /// The number that it goes out with.
    pub seq: SeqNo,
    /// The timestamp that it goes out with.
    pub timestamp: RtpTime,
    /// The numbers written into the payload.
    pub patch: Option<Patch>,
    /// What is added to the frame number of the dependency descriptor.
    pub frame_shift: u16,
}

impl Note {
    /// A packet with the numbers of `rewrite`.
    #[must_use]
    #[inline]
    pub fn new(subscription: SubscriptionId, track: TrackId, meta: &Meta, rewrite: Rewrite) -> Self {
        let Rewrite {
            seq,
            timestamp,
            patch,
            frame_shift,
            ends,
            filler,
        } = rewrite;
        let form = if filler { Form::Filler } else { Form::Media };
        let (encoding, source) = (meta.encoding, meta.seq);
        Self {
            subscription,
            track,
            encoding,
            form,
            ends,
            source,
            seq,
            timestamp,
            patch,
            frame_shift,
        }
    }
}
