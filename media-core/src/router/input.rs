//! The way in: a datagram finds its endpoint, is opened, finds its stream, and its subscribers.

use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, MAX_ROUTES, MAX_SSRCS, StreamRef};
use crate::event::{Event, RemoteChange};
use crate::forward::{Interest, Meta};
use crate::packet::extension::AudioLevel;
use crate::packet::{Extension, Kind, Layout, Packet, RtpView};
use crate::payload::{Codec, MediaKind};
use crate::receive::stream::{Origin, Stream};
use crate::receive::{PtUse, Track, rtx};
use crate::router::Router;
use crate::router::stage::Heard;
use crate::router::tables::Table;
use crate::send::{Note, Outgoing};
use crate::stats::DropReason;
use crate::transport::{Route, Transport, local, stun};

/// A start that is further behind the latest packet of its stream, in packets, is no start any more.
const MAX_BEHIND: u64 = 400;
/// An encoding that is older, and of which no report has come, will have none.
const MAX_CLOCK_WAIT: Duration = Duration::from_secs(3);

impl Router {
    #[inline]
    pub(super) fn input(&mut self, now: Instant, route: Route, datagram: &mut [u8]) -> Result<(), DropReason> {
        match Kind::of(datagram).ok_or(DropReason::UnknownProtocol)? {
            Kind::Rtp => {
                let key = self.owner(route).ok_or(DropReason::UnknownSource)?;
                self.input_rtp(now, key, route, datagram)
            }
            Kind::Rtcp => {
                let key = self.owner(route).ok_or(DropReason::UnknownSource)?;
                self.input_rtcp(now, key, route, datagram)
            }
            Kind::Stun => self.input_stun(now, route, datagram),
            Kind::Dtls => self.input_dtls(now, route, datagram),
        }
    }

    /// A request says by its user name whose it is, wherever it comes from; an answer comes from where we asked.
    fn input_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        let key = match stun::local_ufrag(datagram) {
            Some(ufrag) => self.ufrags.get(ufrag).copied(),
            None => self.owner(route),
        };
        let key = if let Some(key) = key {
            let endpoint = self.endpoints.at_mut(key).ok_or(DropReason::UnknownSource)?;
            endpoint.transport.handle_stun(now, route, datagram)?;
            key
        } else {
            self.asked(now, route, datagram).ok_or(DropReason::StunRejected)?
        };
        if let Some(endpoint) = self.endpoints.at_mut(key) {
            endpoint.bytes.0 += datagram.len() as u64;
        }
        self.bind(route, key);
        self.wake(key);
        Ok(())
    }

    /// The endpoint with full ICE that takes this answer.
    fn asked(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Option<usize> {
        let endpoints = &mut self.endpoints;
        self.full_ice.iter().copied().find(|key| {
            endpoints
                .at_mut(*key)
                .is_some_and(|peer| peer.transport.handle_stun(now, route, datagram).is_ok())
        })
    }

    /// `route` has proved to belong to an endpoint.
    fn bind(&mut self, route: Route, key: usize) {
        let address = (route.protocol, route.remote);
        if self.routes.get(&address) == Some(&key) {
            return;
        }
        if let Some(before) = self.routes.insert(address, key)
            && let Some(endpoint) = self.endpoints.at_mut(before)
        {
            endpoint.routes.retain(|known| *known != address);
        }
        self.tell_remote(RemoteChange::Bound(route.protocol, route.remote));
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        endpoint.routes.push(address);
        if endpoint.routes.len() > MAX_ROUTES {
            let oldest = endpoint.routes.remove(0);
            self.release(oldest);
        }
    }

    fn input_dtls(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        let key = self.owner(route).ok_or(DropReason::UnknownSource)?;
        let endpoint = self.endpoints.at_mut(key).ok_or(DropReason::UnknownSource)?;
        endpoint.bytes.0 += datagram.len() as u64;
        let result = endpoint.transport.handle_dtls(now, route, datagram);
        self.wake(key);
        result
    }

    /// What a peer in this process sends.
    pub(super) fn input_local(&mut self, now: Instant, key: usize, packet: &mut [u8]) -> Result<(), DropReason> {
        match Kind::of(packet).ok_or(DropReason::UnknownProtocol)? {
            Kind::Rtp => self.input_rtp(now, key, local::ROUTE, packet),
            Kind::Rtcp => self.input_rtcp(now, key, local::ROUTE, packet),
            _ => Err(DropReason::UnknownProtocol),
        }
    }

    #[inline]
    fn input_rtp(&mut self, now: Instant, key: usize, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        let endpoint = self.endpoints.at_mut(key).ok_or(DropReason::UnknownSource)?;
        let layout = Layout::parse(datagram).map_err(|_| DropReason::Malformed)?;
        let space = self.pool.space(datagram.len());
        let connected = endpoint.transport.is_connected();
        let len = endpoint.transport.open_rtp(now, route, &layout, datagram, space)?;
        endpoint.bytes.0 += datagram.len() as u64;
        let view = RtpView::with_layout(&space[..len.min(datagram.len())], layout);
        let (pt, stream) = (view.pt(), resolve(endpoint, &mut self.tracks, &view));
        let (stream, replaced) = stream?;
        let track = self.tracks.get_mut(stream.track.0).ok_or(DropReason::UnknownStream)?;
        if track.transport_cc
            && let Some(&[high, low]) = track
                .extensions
                .id(Extension::TransportCc)
                .and_then(|id| view.extension(id))
        {
            endpoint.arrivals.on_packet(now, u16::from_be_bytes([high, low]));
        }
        endpoint.stirred |= !connected || endpoint.arrivals.next_timeout().is_some();
        if track.pt_use(pt) == PtUse::Fec {
            let packet = Packet::new(self.pool.commit(len), layout).map_err(|_| DropReason::Malformed)?;
            self.mark(key);
            return self.on_fec(now, stream, &packet);
        }
        let media = match track.pt_use(pt) {
            PtUse::Media(_) => pt,
            PtUse::Rtx(original) | PtUse::Red(original) => original,
            PtUse::Unknown | PtUse::Fec => return Err(DropReason::UnknownStream),
        };
        let codec = track.codec_of(media).ok_or(DropReason::UnknownStream)?;
        let incoming = track.streams.get(stream.encoding).ok_or(DropReason::UnknownStream)?;
        let mut origin = Origin::Sent;
        let packet = match track.pt_use(pt) {
            PtUse::Rtx(_) => {
                origin = Origin::Again;
                let ssrc = incoming.ssrc().ok_or(DropReason::UnknownStream)?;
                if rtx::unwrap(&mut space[..len], &layout, media, ssrc).is_none() {
                    self.mark(key);
                    return Ok(());
                }
                Packet::parse(self.pool.commit(len).slice(rtx::OSN..))
            }
            PtUse::Red(_) => {
                let lacks = |seq| incoming.lacks(seq);
                let primary = self.recovered.unwrap(&mut space[..len], layout, media, lacks);
                let primary = primary.ok_or(DropReason::Malformed)?;
                Packet::parse(self.pool.commit(len).slice(primary..))
            }
            _ => Packet::new(self.pool.commit(len), layout),
        };
        let packet = packet.map_err(|_| DropReason::Malformed)?;
        if !self.recovered.is_empty() {
            self.on_recovered(now, stream, codec);
        }
        if !replaced {
            return self.on_media(now, stream, codec, (packet, origin));
        }
        self.on_streams_changed(stream, u8::try_from(stream.encoding).ok());
        let result = self.on_media(now, stream, codec, (packet, origin));
        self.want_keyframes(now, stream);
        result
    }

    /// Packets that were lost have come inside another one: they go before it.
    #[cold]
    fn on_recovered(&mut self, now: Instant, stream: StreamRef, codec: Codec) {
        let recovered = std::mem::take(&mut self.recovered);
        for bytes in recovered.packets() {
            self.pool.space(bytes.len()).copy_from_slice(bytes);
            if let Ok(packet) = Packet::parse(self.pool.commit(bytes.len())) {
                // One that cannot be used is missed by nobody: it was lost.
                let _ = self.on_media(now, stream, codec, (packet, Origin::Redundancy));
            }
        }
        self.recovered = recovered;
        self.recovered.clear();
    }

    /// A packet in the clear, of a known stream.
    #[inline]
    pub(super) fn on_media(
        &mut self,
        now: Instant,
        stream: StreamRef,
        codec: Codec,
        (packet, origin): (Packet, Origin),
    ) -> Result<(), DropReason> {
        let track = self.tracks.get_mut(stream.track.0).ok_or(DropReason::UnknownStream)?;
        let key = track.endpoint;
        let encoding = u8::try_from(stream.encoding).map_err(|_| DropReason::UnknownStream)?;
        let mut level = None;
        if track.kind == MediaKind::Audio
            && let Some(id) = track.extensions.id(Extension::AudioLevel)
        {
            level = packet.view().extension(id).and_then(AudioLevel::parse);
            if let Some(level) = level {
                track.voice.on_packet(now, level.minus_dbov);
            }
        }
        let stage = track.stage;
        let incoming = track
            .streams
            .get_mut(stream.encoding)
            .ok_or(DropReason::UnknownStream)?;
        let meta = incoming
            .on_packet(now, packet, (codec, &track.extensions), (encoding, origin))
            .ok_or(DropReason::Stale)?;
        if incoming.loss.missing() > 0
            && let Some(endpoint) = self.endpoints.at_mut(key)
        {
            endpoint.stirred = true;
        }
        let hidden = incoming.is_hidden(meta.seq);
        let mends = origin != Origin::Redundancy && incoming.awaits_repair();
        let first = !std::mem::replace(&mut track.started, true);
        let live_changed = track.update_live(now);
        let (id, muted) = (track.id, track.muted || hidden);
        self.mark(key);
        if first {
            self.tell(Event::TrackStarted { track: id });
        }
        if live_changed {
            self.on_streams_changed(stream, None);
        }
        if !muted {
            let heard = match stage {
                Some(stage) => self.on_stage(now, stage, level.map(|level| level.minus_dbov)),
                None => Heard::Yes,
            };
            if heard == Heard::Begins {
                self.begin(now, stream, codec, &meta);
            }
            self.forward(now, stream, codec, (&meta, heard != Heard::No));
        }
        if live_changed {
            self.want_keyframes(now, stream);
        }
        if mends {
            self.mend(now, stream, meta.seq);
        }
        if muted { Err(DropReason::Muted) } else { Ok(()) }
    }

    /// Encodings have appeared, stopped or been replaced: subscriptions may want others now, and begin with the packet
    /// that told it.
    #[cold]
    fn on_streams_changed(&mut self, stream: StreamRef, replaced: Option<u8>) {
        let Some(track) = self.tracks.get(stream.track.0) else {
            return;
        };
        let live = track.live();
        for subscription in &track.subscribers {
            if let Some(outgoing) = self.subscriptions.get_mut(subscription.0) {
                outgoing.forwarder.set_live(live);
                if let Some(encoding) = replaced {
                    outgoing.forwarder.reset_encoding(encoding);
                }
                if let Some(endpoint) = self.endpoints.at_mut(outgoing.endpoint) {
                    endpoint.shared.due = None;
                }
            }
        }
    }

    /// Asks for the keyframes that subscriptions of a track still wait for.
    #[cold]
    fn want_keyframes(&mut self, now: Instant, stream: StreamRef) {
        let subscribers = self.tracks.get(stream.track.0).map(|track| track.subscribers.clone());
        for subscription in subscribers.unwrap_or_default() {
            self.want_keyframe(now, subscription);
        }
    }

    /// A track on a stage begins to be heard: what was before its first loud packet goes along.
    #[cold]
    fn begin(&mut self, now: Instant, stream: StreamRef, codec: Codec, meta: &Meta) {
        let track = self.tracks.get(stream.track.0);
        let incoming = track.and_then(|track| track.streams.get(stream.encoding));
        if let Some(first) = incoming.and_then(|incoming| Self::first_syllable(now, incoming, meta)) {
            self.forward(now, stream, codec, (&first, true));
        }
    }

    /// Hands a packet to everybody who listens; to those in the same process only, when it is not `heard` on its stage. Per
    /// subscriber: some arithmetic and a note of 64 bytes.
    #[inline]
    fn forward(&mut self, now: Instant, stream: StreamRef, codec: Codec, (meta, heard): (&Meta, bool)) {
        let mut waiting = None;
        let Some(track) = self.tracks.get(stream.track.0) else {
            return;
        };
        for &id in &track.subscribers {
            let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
                continue;
            };
            let Some(endpoint) = self.endpoints.at_mut(outgoing.endpoint) else {
                continue;
            };
            if !heard && !matches!(endpoint.transport, Transport::Local(_)) {
                continue;
            }
            let starts = match outgoing.forwarder.interest(meta) {
                Interest::None => continue,
                _ if !endpoint.transport.is_connected() || outgoing.params(codec).is_none() => continue,
                interest => interest == Interest::Starts,
            };
            if starts && outgoing.forwarder.is_exact() && waits_for_clocks(now, track, outgoing, meta) {
                continue;
            }
            let behind = if starts { behind(track, meta) } else { 0 };
            if behind > MAX_BEHIND {
                waiting = Some(id);
                continue;
            }
            if starts {
                start(now, track, outgoing, meta);
                endpoint.hasten_reports(now);
                fill(now, track, endpoint, outgoing, meta);
            }
            let mut sent = deliver(now, track, endpoint, outgoing, meta);
            if behind > 0 {
                sent |= follow_up(now, track, endpoint, outgoing, meta, behind);
            }
            if !sent {
                if outgoing.forwarder.current().is_none() {
                    waiting = Some(id);
                }
            } else if !std::mem::replace(&mut endpoint.dirty, true) {
                self.dirty.push_back(outgoing.endpoint);
            }
        }
        if let Some(id) = waiting {
            self.want_keyframe(now, id);
        }
    }
}

/// Puts a packet into a subscriber's queue under its numbers there; false when it is not to be sent.
#[inline]
fn deliver(now: Instant, track: &Track, endpoint: &mut Endpoint, outgoing: &mut Outgoing, meta: &Meta) -> bool {
    let Some(rewrite) = outgoing.forwarder.forward(now, meta) else {
        return false;
    };
    let note = Note::new(outgoing.id, track.id, meta, rewrite);
    outgoing.log.insert(now, &note);
    if !endpoint.queue.push(note, track.kind) {
        endpoint.drops.count(DropReason::LimitReached);
    }
    true
}

/// Sends something empty under the numbers that the epoch before the one that begins with `meta` has left free.
pub(super) fn fill(now: Instant, track: &Track, endpoint: &mut Endpoint, outgoing: &mut Outgoing, meta: &Meta) {
    while let Some(rewrite) = outgoing.forwarder.take_unfilled() {
        let note = Note::new(outgoing.id, track.id, meta, rewrite);
        outgoing.log.insert(now, &note);
        endpoint.queue.push(note, track.kind);
    }
}

/// How many numbers the packet of `meta` is behind the latest of its stream.
fn behind(track: &Track, meta: &Meta) -> u64 {
    let stream = track.streams.get(usize::from(meta.encoding));
    let highest = stream.and_then(Stream::highest).unwrap_or(meta.seq);
    highest.0.saturating_sub(meta.seq.0)
}

/// The start of a picture came late, so what belongs behind it has come before it and was not forwarded: it is now.
#[cold]
fn follow_up(
    now: Instant,
    track: &Track,
    endpoint: &mut Endpoint,
    outgoing: &mut Outgoing,
    meta: &Meta,
    behind: u64,
) -> bool {
    let Some(stream) = track.streams.get(usize::from(meta.encoding)) else {
        return false;
    };
    let mut sent = false;
    for seq in (1..=behind).map(|n| meta.seq.plus(n)) {
        if let Some(received) = stream.history.get(seq) {
            sent |= deliver(now, track, endpoint, outgoing, &Meta::of(meta.encoding, received));
        }
    }
    sent
}

/// Whether a subscription had better stay with its encoding until the reports tell how its clock relates to that of `meta`'s:
/// by arrival alone, pictures would be placed as late as a repair takes. It matters to those who write times down; with the
/// reports that hasten then, a new keyframe is asked for.
#[cold]
fn waits_for_clocks(now: Instant, track: &Track, outgoing: &Outgoing, meta: &Meta) -> bool {
    let Some(before) = outgoing.forwarder.current().filter(|before| *before != meta.encoding) else {
        return false;
    };
    let clock = |encoding: u8| track.streams.get(usize::from(encoding))?.reception.clock();
    let known = clock(before).is_some() && clock(meta.encoding).is_some();
    let stream = track.streams.get(usize::from(meta.encoding));
    let young = stream.is_some_and(|stream| stream.reception.age(now) < MAX_CLOCK_WAIT);
    !known && young && track.live().contains(before)
}

/// A subscription switches to the encoding of `meta`.
fn start(now: Instant, track: &Track, outgoing: &mut Outgoing, meta: &Meta) {
    let Some(stream) = track.streams.get(usize::from(meta.encoding)) else {
        return;
    };
    let rate = stream.clock_rate();
    // Equal wall clock at the publisher is equal media time for the subscriber (RFC 3550 §6.4.1).
    let aligned = outgoing.forwarder.reference().and_then(|(before, shift)| {
        let before = track.streams.get(usize::from(before))?.reception.clock()?;
        let wall = stream.reception.clock()?.ntp_at(meta.timestamp, rate);
        Some(before.rtp_at(wall, rate).plus(shift))
    });
    outgoing.forwarder.start(now, meta, rate, aligned);
}

/// Finds out which stream a packet belongs to: by SSRC, or the first time by MID, RID and payload type (RFC 8843 §9.2).
/// Also tells whether an SSRC has taken the place of another.
#[inline]
fn resolve(
    endpoint: &mut Endpoint,
    tracks: &mut Table<Track>,
    view: &RtpView<'_>,
) -> Result<(StreamRef, bool), DropReason> {
    match endpoint.streams.get(&view.ssrc()) {
        Some(stream) => Ok((*stream, false)),
        None => learn(endpoint, tracks, view),
    }
}

#[cold]
fn learn(
    endpoint: &mut Endpoint,
    tracks: &mut Table<Track>,
    view: &RtpView<'_>,
) -> Result<(StreamRef, bool), DropReason> {
    if endpoint.streams.len() >= MAX_SSRCS {
        return Err(DropReason::LimitReached);
    }
    let find = |endpoint: &Endpoint, tracks: &Table<Track>| {
        let known = || endpoint.tracks.iter().filter_map(|id| tracks.get(id.0));
        let named = known().find(|track| {
            let mid = track.extensions.id(Extension::Mid).and_then(|id| view.extension(id));
            mid.is_some() && mid == track.mid.as_ref().map(|mid| mid.0.as_bytes())
        });
        let speaks = |track: &&Track| track.pt_use(view.pt()) != PtUse::Unknown;
        let mut by_pt = known().filter(speaks);
        let only = by_pt.next().filter(|_| by_pt.next().is_none());
        named.or(only).map(|track| track.id)
    };
    let id = find(endpoint, tracks).ok_or(DropReason::UnknownStream)?;
    let track = tracks.get_mut(id.0).ok_or(DropReason::UnknownStream)?;
    let usage = track.pt_use(view.pt());
    let (encoding, repair) = encoding_of(track, view, usage).ok_or(DropReason::UnknownStream)?;
    let stream = track.streams.get_mut(encoding).ok_or(DropReason::UnknownStream)?;
    let before = match usage {
        PtUse::Rtx(_) => [None, stream.set_rtx(view.ssrc()), None],
        PtUse::Fec => [None, None, stream.set_fec(view.ssrc())],
        _ => stream.set_ssrc(view.ssrc()),
    };
    let replaced = before[0].is_some();
    for before in before.into_iter().flatten() {
        endpoint.streams.remove(&before);
    }
    let stream = StreamRef {
        track: id,
        encoding,
        repair,
    };
    endpoint.streams.insert(view.ssrc(), stream);
    Ok((stream, replaced))
}

fn encoding_of(track: &Track, view: &RtpView<'_>, usage: PtUse) -> Option<(usize, bool)> {
    let element = |extension| track.extensions.id(extension).and_then(|id| view.extension(id));
    let repair = matches!(usage, PtUse::Rtx(_) | PtUse::Fec);
    if let Some(rid) = element(Extension::RepairedRid)
        .filter(|_| repair)
        .or_else(|| element(Extension::Rid))
    {
        return track.encoding_of(rid).map(|encoding| (encoding, repair));
    }
    (track.streams.len() == 1).then_some((0, repair))
}
