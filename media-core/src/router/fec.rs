//! FEC both ways: over what a subscriber is sent, and out of what a publisher sends. What it is, is in [`crate::fec`]; when it
//! is sent, in [`crate::send::demand`].

use std::time::Instant;

use smallvec::{SmallVec, smallvec};

use crate::endpoint::{Endpoint, StreamRef};
use crate::event::Transmit;
use crate::fec::protector::Leaving;
use crate::packet::{Extension, Packet, RtpView, SeqNo};
use crate::payload::MediaKind;
use crate::receive::stream::Origin;
use crate::router::Router;
use crate::router::output::seal;
use crate::send::datagram::{self, Transmission, Written};
use crate::send::note::{Form, Note};
use crate::send::outgoing::Outgoing;
use crate::stats::DropReason;

/// A packet of `outgoing` has been written as `plain` and is about to leave: FEC packets may be ready with it.
#[inline]
pub(super) fn protect(
    endpoint: &mut Endpoint,
    outgoing: &mut Outgoing,
    (note, written, discardable): (&Note, &Written, bool),
    plain: &[u8],
) {
    let Some(protector) = &mut outgoing.protector else {
        return;
    };
    let share = f32::from(endpoint.demand.protection()) / 100.0;
    if share <= 0.0 {
        return protector.rest();
    }
    let (Ok(packet), Form::Media) = (RtpView::parse(plain), note.form) else {
        return;
    };
    let leaving = Leaving {
        seq: written.seq,
        packet,
        discardable,
    };
    for _ in 0..protector.on_packet(leaving, &outgoing.extensions, share) {
        let form = Form::Fec;
        if !endpoint.queue.push(Note { form, ..*note }, MediaKind::Video)
            && let Some(row) = protector.take()
        {
            // One that stayed would go in place of the next, and all that come would be late.
            protector.sent(row);
            endpoint.drops.count(DropReason::LimitReached);
        }
    }
}

impl Router {
    /// The next FEC packet over the stream of `note` becomes a sealed datagram.
    #[cold]
    pub(super) fn write_fec(&mut self, now: Instant, key: usize, note: &Note, buf: &mut [u8]) -> Option<Transmit> {
        let outgoing = self.subscriptions.get_mut(note.subscription.0)?;
        let endpoint = self.endpoints.at_mut(key)?;
        let transmission = Transmission::new(now, self.epoch, endpoint.transport_seq, outgoing);
        let row = outgoing.protector.as_mut()?.take()?;
        let written = datagram::write_fec(&row, note.timestamp, outgoing, transmission, buf);
        if let Some(protector) = &mut outgoing.protector {
            protector.sent(row);
        }
        let Some(written) = written else {
            endpoint.drops.count(DropReason::TooLong);
            return None;
        };
        outgoing.fec_seq = outgoing.fec_seq.plus(1);
        let numbered = outgoing.extensions.id(Extension::TransportCc).is_some();
        seal(now, endpoint, (&written, numbered), buf)
    }

    /// An FEC packet over a stream has come.
    pub(super) fn on_fec(&mut self, now: Instant, stream: StreamRef, packet: &Packet) -> Result<(), DropReason> {
        let track = self.tracks.get_mut(stream.track.0);
        let incoming = track.and_then(|track| track.streams.get_mut(stream.encoding));
        let incoming = incoming.ok_or(DropReason::UnknownStream)?;
        if !incoming.on_fec(now, packet.payload()) {
            return Err(DropReason::Malformed);
        }
        if let Some(made) = self.make(now, stream, None) {
            self.mend(now, stream, made);
        }
        Ok(())
    }

    /// The packet `seq` has come: makes the packets that can be made now, and takes them like any that came
    /// late.
    #[cold]
    pub(super) fn mend(&mut self, now: Instant, stream: StreamRef, seq: SeqNo) {
        // Each round uses up an FEC packet, so that there are no more than those that wait.
        let mut come: SmallVec<[SeqNo; 8]> = smallvec![seq];
        while let Some(seq) = come.last().copied() {
            match self.make(now, stream, Some(seq)) {
                Some(made) => come.push(made),
                None => drop(come.pop()),
            }
        }
    }

    fn make(&mut self, now: Instant, stream: StreamRef, come: Option<SeqNo>) -> Option<SeqNo> {
        let track = self.tracks.get_mut(stream.track.0)?;
        let incoming = track.streams.get_mut(stream.encoding)?;
        let (made, len) = incoming.mend(come, &track.extensions)?;
        incoming.write_mended(made, self.pool.space(len));
        if let Ok(packet) = Packet::parse(self.pool.commit(len))
            && let Some(codec) = track.codec_of(packet.view().pt())
        {
            // One that cannot be used is missed by nobody: it was lost.
            let _ = self.on_media(now, stream, codec, (packet, Origin::Redundancy));
        }
        Some(made)
    }
}
