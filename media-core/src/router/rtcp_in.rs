//! RTCP from a peer: clocks and losses of what it sends, wishes and losses of what it gets. `docs/rtcp.md` has the table.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::SubscriptionId;
use crate::endpoint::Endpoint;
use crate::packet::Ssrc;
use crate::payload::MediaKind;
use crate::router::Router;
use crate::rtcp::{self, Message, ReportBlock};
use crate::stats::DropReason;
use crate::time::{NtpTime, RtpTime};
use crate::transport::Route;

/// Retransmissions that one datagram may ask for.
const MAX_REPAIRS: usize = 256;
/// Round trip assumed for a receiver that has not reported yet.
pub(super) const INITIAL_RTT: Duration = Duration::from_millis(50);

impl Router {
    pub(super) fn input_rtcp(
        &mut self,
        now: Instant,
        key: usize,
        route: Route,
        datagram: &mut [u8],
    ) -> Result<(), DropReason> {
        let endpoint = self.endpoints.at_mut(key).ok_or(DropReason::UnknownSource)?;
        let received = datagram.len() as u64;
        let len = endpoint.transport.open_rtcp(now, route, datagram)?;
        endpoint.bytes.0 += received;
        let mut repairs = 0;
        for message in rtcp::messages(datagram.get(..len).unwrap_or_default()) {
            let message = message.map_err(|_| DropReason::Malformed)?;
            self.on_message(now, key, &message, &mut repairs);
        }
        Ok(())
    }

    fn on_message(&mut self, now: Instant, key: usize, message: &Message<'_>, repairs: &mut usize) {
        match message {
            Message::SenderReport(report) => {
                self.on_clock(now, key, report.ssrc, report.ntp, report.rtp);
                report.blocks().for_each(|block| self.on_report(now, key, &block));
            }
            Message::ReceiverReport(report) => report.blocks().for_each(|block| self.on_report(now, key, &block)),
            Message::Nack(nack) => self.on_nack(now, key, nack.media, nack.lost(), repairs),
            Message::Pli(pli) => self.on_keyframe_wish(now, key, pli.media),
            Message::Fir(fir) => fir
                .entries()
                .for_each(|(ssrc, _)| self.on_keyframe_wish(now, key, ssrc)),
            Message::Bye(bye) => bye.ssrcs().for_each(|ssrc| self.on_bye(key, ssrc)),
            Message::TransportCc(feedback) => self.on_arrivals(now, key, feedback),
            Message::Ccfb(feedback) => self.on_ccfb(now, key, feedback),
            Message::Remb(remb) => self.on_bound(key, remb.bitrate),
            // Names are told by signalling.
            _ => {}
        }
    }

    fn on_clock(&mut self, now: Instant, key: usize, ssrc: Ssrc, ntp: NtpTime, rtp: RtpTime) {
        let ours = self.wall.ntp(now);
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        // What repairs has media times of its own.
        let Some(stream) = endpoint.streams.get(&ssrc).copied().filter(|stream| !stream.repair) else {
            return;
        };
        endpoint.wall_offset(ntp, ours);
        let Some(track) = self.tracks.get_mut(stream.track.0) else {
            return;
        };
        let Some(stream) = track.streams.get_mut(stream.encoding) else {
            return;
        };
        let first = stream.reception.clock().is_none();
        stream.reception.on_sender_report(now, ntp, rtp);
        let receivers = track.subscribers.iter().filter(|_| first);
        let receivers = receivers.filter_map(|id| self.subscriptions.get(id.0).map(|outgoing| outgoing.endpoint));
        for key in receivers.collect::<SmallVec<[usize; 16]>>() {
            if let Some(endpoint) = self.endpoints.at_mut(key) {
                endpoint.hasten_reports(now);
                self.mark(key);
            }
        }
    }

    fn on_report(&mut self, now: Instant, key: usize, block: &ReportBlock) {
        if let Some(outgoing) = self.outgoing_of(key, block.ssrc)
            && outgoing.stream.ssrc == block.ssrc
        {
            let packets = outgoing.report.on_report(now, block);
            let (kind, rtt) = (outgoing.kind, outgoing.report.rtt());
            let Some(Endpoint {
                demand, line, shared, ..
            }) = self.endpoints.at_mut(key)
            else {
                return;
            };
            let before = demand.called();
            match kind {
                MediaKind::Audio => demand.on_report(now, packets, block.fraction_lost),
                MediaKind::Video => demand.on_picture_report(now, packets, block.fraction_lost),
            }
            if let Some(rtt) = rtt {
                let queue = line.as_ref().map(|line| line.queue_delay());
                demand.on_round_trip(rtt.saturating_sub(queue.unwrap_or_default()));
            }
            if demand.called() != before {
                shared.due = None;
            }
        }
    }

    fn on_nack(&mut self, now: Instant, key: usize, media: Ssrc, lost: impl Iterator<Item = u16>, repairs: &mut usize) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let Some(id) = endpoint.outgoing.get(&media) else {
            return;
        };
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return;
        };
        // Without a retransmission stream the packet goes out again under its own number: with SRTP it must be the same to
        // the last bit, or it would be a second message under one nonce (RFC 7714 §8.4).
        let exact = outgoing.repeats.is_some();
        if outgoing.stream.rtx.is_none() && !exact && endpoint.transport.profile().is_some() {
            return;
        }
        let rtt = outgoing.report.rtt().unwrap_or(INITIAL_RTT);
        for wire in lost.take(MAX_REPAIRS.saturating_sub(*repairs)) {
            *repairs += 1;
            if let Some(note) = outgoing.log.request(now, *id, wire, rtt) {
                if outgoing.kind == MediaKind::Audio {
                    endpoint.demand.on_request(now);
                }
                endpoint.queue.push(note, outgoing.kind);
            }
        }
        self.mark(key);
    }

    fn on_keyframe_wish(&mut self, now: Instant, key: usize, ssrc: Ssrc) {
        if let Some(id) = self.outgoing_of(key, ssrc).map(|outgoing| outgoing.id) {
            self.refresh(now, id);
        }
    }

    /// Has the picture of a subscription begin anew: whoever receives it has lost the thread.
    pub(super) fn refresh(&mut self, now: Instant, id: SubscriptionId) {
        let Some(outgoing) = self.subscriptions.get(id.0) else {
            return;
        };
        if outgoing.kind != MediaKind::Video {
            return;
        }
        let forwarder = &outgoing.forwarder;
        let Some(encoding) = forwarder.waits_for().or_else(|| forwarder.current()) else {
            return;
        };
        let Some(track) = outgoing.source.and_then(|source| self.tracks.get_mut(source.0)) else {
            return;
        };
        let publisher = track.endpoint;
        if let Some(stream) = track.streams.get_mut(usize::from(encoding)) {
            stream.keyframe.want(now);
            self.wake(publisher);
        }
    }

    fn on_bye(&mut self, key: usize, ssrc: Ssrc) {
        let Some(stream) = self
            .endpoints
            .at(key)
            .and_then(|endpoint| endpoint.streams.get(&ssrc))
            .copied()
        else {
            return;
        };
        let track = self.tracks.get_mut(stream.track.0);
        if let Some(incoming) = track.and_then(|track| track.streams.get_mut(stream.encoding))
            && !stream.repair
        {
            incoming.end();
        }
    }

    fn outgoing_of(&mut self, key: usize, ssrc: Ssrc) -> Option<&mut crate::send::Outgoing> {
        let id = self
            .endpoints
            .at(key)
            .and_then(|endpoint: &Endpoint| endpoint.outgoing.get(&ssrc))?;
        self.subscriptions.get_mut(id.0)
    }
}
