//! Sound that goes along with later sound (RFC 2198): which packets it is.
//!
//! [`Redundancy`] is what one packet carries: packets that went to this receiver right before, found in the publisher's
//! history. It keeps nothing and copies only into the datagram. How many they are, [`crate::send::demand`] says.

use smallvec::SmallVec;

use crate::packet::{Pt, RtpView, RtpWriter, SeqNo};
use crate::payload::red;
use crate::receive::Stream;
use crate::receive::history::Received;
use crate::send::note::Note;
use crate::send::outgoing::Outgoing;

/// Most packets that go along.
pub const MAX_DEPTH: usize = 2;
/// Longest payload with redundancy, in bytes: such a packet must fit every path.
const MAX_PAYLOAD: usize = 1000;

/// The packets that go along with one, the oldest first.
#[derive(Debug, Default)]
pub struct Redundancy<'a> {
    packets: SmallVec<[&'a Received; MAX_DEPTH]>,
}

impl<'a> Redundancy<'a> {
    /// The packets right before that of `note`, at most `depth`, as far as the subscriber got them, they are still there and
    /// fit.
    #[must_use]
    pub fn of(note: &Note, received: &Received, (outgoing, stream): (&Outgoing, &'a Stream), depth: usize) -> Self {
        let mut packets = SmallVec::new();
        let timestamp = received.packet.view().timestamp();
        let mut size = received.packet.view().payload().len();
        for back in (1..).take(depth) {
            let Some(source) = note.source.0.checked_sub(back).map(SeqNo) else {
                break;
            };
            let went = outgoing
                .forwarder
                .sent(source)
                .is_some_and(|seq| seq.plus(back) == note.seq);
            let Some(before) = stream.history.get(source).filter(|_| went && !stream.is_hidden(source)) else {
                break;
            };
            let view = before.packet.view();
            let offset = timestamp.wrapping_sub(view.timestamp());
            size += red::HEADER + view.payload().len();
            let same = view.pt() == received.packet.view().pt();
            if !same
                || size >= MAX_PAYLOAD
                || offset == 0
                || red::header(view.pt(), offset, view.payload().len()).is_none()
            {
                break;
            }
            packets.push(before);
        }
        packets.reverse();
        Self { packets }
    }

    /// Whether nothing goes along.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// How many go along.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.packets.len()
    }

    /// Writes headers and redundant blocks; the payload of `primary` has to follow. `None` when one has no place.
    pub(super) fn write(&self, pt: Pt, primary: &RtpView<'_>, writer: &mut RtpWriter<'_>) -> Option<()> {
        for before in &self.packets {
            let view = before.packet.view();
            let offset = primary.timestamp().wrapping_sub(view.timestamp());
            writer.payload(&red::header(pt, offset, view.payload().len())?);
        }
        writer.payload(&red::primary_header(pt));
        for before in &self.packets {
            writer.payload(before.packet.view().payload());
        }
        Some(())
    }
}
