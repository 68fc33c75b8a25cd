//! The way out: one endpoint after another, what it is owed becomes datagrams.

use std::time::Instant;

use crate::endpoint::{Endpoint, Leaving};
use crate::estimate::Line;
use crate::event::{Event, Transmit};
use crate::packet::{Extension, Kind, Ssrc};
use crate::router::Router;
use crate::router::fec::protect;
use crate::router::rtcp_in::INITIAL_RTT;
use crate::rtcp;
use crate::send::Outgoing;
use crate::send::datagram::{self, Content, Transmission, Written};
use crate::send::note::{Form, Note};
use crate::send::redundancy::Redundancy;
use crate::send::repeat::Repeat;
use crate::stats::DropReason;

impl Router {
    /// The next datagram to an endpoint; `None` when it is owed nothing more.
    #[inline]
    pub(super) fn poll_endpoint(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> Option<Transmit> {
        let endpoint = self.endpoints.at_mut(key)?;
        if endpoint.stirred {
            if let Some(transmit) = endpoint.transport.poll_transmit(now, buf) {
                endpoint.bytes.1 += transmit.len as u64;
                return Some(transmit);
            }
            if endpoint.transport.is_connected() {
                let len = self.write_feedback(now, key, buf);
                if len > 0 {
                    return self.seal_rtcp(key, buf, len);
                }
            }
        }
        while let Some(note) = self.next_note(now, key) {
            if let Some(transmit) = self.write_note(now, key, &note, buf) {
                return Some(transmit);
            }
        }
        if let Some(transmit) = self.write_padding(now, key, buf) {
            return Some(transmit);
        }
        self.poll_leaving(now, key, buf)
    }

    /// A note becomes a sealed datagram, an empty one when its packet is not in the history any more; `None` when the stream
    /// is gone.
    #[inline]
    fn write_note(&mut self, now: Instant, key: usize, note: &Note, buf: &mut [u8]) -> Option<Transmit> {
        if note.form == Form::Fec {
            return self.write_fec(now, key, note, buf);
        }
        let outgoing = self.subscriptions.get_mut(note.subscription.0)?;
        let endpoint = self.endpoints.at_mut(key)?;
        let again = note.form.is_again();
        let repeat = repeat((now, self.epoch), endpoint, outgoing, note)?;
        let (transmission, depth) = match repeat {
            Some(repeat) => (repeat.transmission, repeat.depth),
            None => (
                Transmission::new(now, self.epoch, endpoint.transport_seq, outgoing),
                endpoint.demand.depth(),
            ),
        };
        let track = self.tracks.get(note.track.0);
        let stream = track.and_then(|track| track.streams.get(usize::from(note.encoding)));
        let (mut along, mut discardable) = (0, false);
        let written = match track
            .zip(stream)
            .zip(stream.and_then(|stream| stream.history.get(note.source)))
        {
            Some(((track, stream), received)) => {
                let params = *outgoing.params(track.codec_of(received.packet.view().pt())?)?;
                let own = params.rtx.is_none() || outgoing.stream.rtx.is_none();
                if again && own && repeat.is_none() && endpoint.transport.profile().is_some() {
                    // It would be a second message under one nonce, see `on_nack`.
                    return None;
                }
                let depth = if params.red.is_some() && !track.encrypted {
                    depth
                } else {
                    0
                };
                let redundancy = Redundancy::of(note, received, (outgoing, stream), depth);
                along = redundancy.depth();
                discardable = received.info.discardable;
                let active = outgoing.active_targets(note, stream.dependency(), received.info.keyframe);
                let content = Content {
                    received,
                    params,
                    redundancy,
                    active,
                };
                datagram::write(note, &content, outgoing, transmission, buf)
            }
            None if again => return None,
            None => datagram::write_filler(note, outgoing.any_pt()?, outgoing, transmission, buf),
        };
        let Some(written) = written else {
            endpoint.drops.count(DropReason::TooLong);
            return None;
        };
        let plain = buf.get(..written.len)?;
        match (&mut outgoing.repeats, repeat) {
            (Some(repeats), Some(repeat)) if !repeats.is_same(&repeat, plain) => return None,
            (Some(repeats), None) => repeats.insert(note.seq, plain, transmission, along),
            _ => {}
        }
        protect(endpoint, outgoing, (note, &written, discardable), plain);
        // What is sent again to the last bit has the number that it had.
        let numbered = repeat.is_none() && outgoing.extensions.id(Extension::TransportCc).is_some();
        let transmit = seal(now, endpoint, (&written, numbered), buf)?;
        if again {
            outgoing.rtx_seq = outgoing.rtx_seq.plus(1);
            if let Some(line) = &mut endpoint.line {
                line.on_repeat(now, transmit.len);
            }
        } else {
            outgoing.report.on_sent(written.payload);
        }
        // What is sent again may be of the layer before.
        if !again && outgoing.told_layer != Some(note.encoding) {
            outgoing.told_layer = Some(note.encoding);
            let subscription = outgoing.id;
            self.tell(Event::LayerChanged {
                subscription,
                spatial: note.encoding,
            });
        }
        Some(transmit)
    }

    fn seal_rtcp(&mut self, key: usize, buf: &mut [u8], len: usize) -> Option<Transmit> {
        let endpoint = self.endpoints.at_mut(key)?;
        let route = endpoint.transport.route(Kind::Rtcp)?;
        let len = endpoint.transport.seal_rtcp(buf, len)?;
        endpoint.bytes.1 += len as u64;
        Some(Transmit { route, len })
    }

    /// BYE, then the farewell of the transport.
    fn poll_leaving(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> Option<Transmit> {
        let endpoint = self.endpoints.at_mut(key)?;
        match endpoint.leaving? {
            Leaving::Bye => {
                endpoint.leaving = Some(Leaving::Closing);
                let ids = &self.endpoints.at(key)?.subscriptions;
                let ssrcs: Vec<Ssrc> = ids
                    .iter()
                    .filter_map(|id| self.subscriptions.get(id.0))
                    .map(|out| out.stream.ssrc)
                    .collect();
                let sealed = self.write_bye(key, &ssrcs, buf);
                self.endpoints.at_mut(key)?.transport.close(now);
                sealed.or_else(|| self.endpoints.at_mut(key)?.transport.poll_transmit(now, buf))
            }
            Leaving::Closing => endpoint.transport.poll_transmit(now, buf),
        }
    }

    /// At most 31 sources fit one BYE (RFC 3550 §6.6); the rest is told by `close_notify`.
    fn write_bye(&mut self, key: usize, ssrcs: &[Ssrc], buf: &mut [u8]) -> Option<Transmit> {
        if !self.endpoints.at(key)?.transport.is_connected() {
            return None;
        }
        let sender = [self.endpoints.at(key)?.rtcp_ssrc()];
        let ssrcs = ssrcs
            .get(..ssrcs.len().min(rtcp::MAX_COUNT))
            .filter(|ssrcs| !ssrcs.is_empty())
            .unwrap_or(&sender);
        // A compound packet begins with a report (RFC 3550 §6.1).
        let len = rtcp::rr::write(buf, sender[0], &[])?;
        let bye = rtcp::bye::write(buf.get_mut(len..)?, ssrcs, "")?;
        self.seal_rtcp(key, buf, len + bye)
    }
}

/// How a packet that was asked for goes out again: `Some(None)` as another one, as what is new does; `None` not at all.
fn repeat(
    (now, epoch): (Instant, Instant),
    endpoint: &Endpoint,
    outgoing: &Outgoing,
    note: &Note,
) -> Option<Option<Repeat>> {
    if !note.form.is_again() {
        return Some(None);
    }
    let refused = |line: &Line| !line.may_repeat(now, outgoing.kind);
    if endpoint.line.as_deref().is_some_and(refused) {
        return None;
    }
    let Some(repeats) = &outgoing.repeats else {
        return Some(None);
    };
    let rtt = outgoing.report.rtt().unwrap_or(INITIAL_RTT);
    repeats.get(note.seq, (now, epoch), rtt).map(Some)
}

/// Seals the RTP packet that is in `buf`, and counts it; `numbered`: with the next transport-wide number.
#[inline]
pub(super) fn seal(
    now: Instant,
    endpoint: &mut Endpoint,
    (written, numbered): (&Written, bool),
    buf: &mut [u8],
) -> Option<Transmit> {
    let route = endpoint.transport.route(Kind::Rtp)?;
    let len = endpoint
        .transport
        .seal_rtp(buf, written.header, written.len, written.seq)?;
    let seq = endpoint.transport_seq;
    if let Some(line) = &mut endpoint.line {
        line.on_sent(now, numbered.then_some(seq), buf.get(..len)?);
    }
    endpoint.transport_seq = seq.wrapping_add(u16::from(numbered));
    endpoint.bytes.1 += len as u64;
    Some(Transmit { route, len })
}
