//! What the caller commands: endpoints, tracks, subscriptions, layers.

use std::fmt;
use std::time::Instant;

use crate::config::{
    EndpointConfig, EndpointId, LayerTarget, MAX_ENCODINGS, SubscriptionConfig, SubscriptionId, TrackConfig, TrackId,
};
use crate::endpoint::{Endpoint, Leaving, MAX_SSRCS, MAX_SUBSCRIPTIONS, MAX_TRACKS, StreamRef};
use crate::forward::Meta;
use crate::forward::replay::Replay;
use crate::receive::Track;
use crate::receive::stream::Stream;
use crate::router::Router;
use crate::router::tables::Table;
use crate::send::{Note, Outgoing};
use crate::transport::{
    Candidate, IceCreds, IceRole, LocalDescription, Plain, RemoteDescription, RemoteError, Transport, WebRtc,
};

/// What the caller did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// There is no such endpoint (any more).
    NoEndpoint,
    /// It is a plain endpoint: ICE and DTLS do not apply.
    NotWebRtc,
    /// The remote description cannot be used.
    Remote(RemoteError),
    /// The router or the endpoint holds as many as it may.
    LimitReached,
    /// Another stream of the endpoint has this SSRC.
    SsrcInUse,
    /// Another endpoint has this socket.
    SocketInUse,
    /// More encodings than [`MAX_ENCODINGS`], a codec of the wrong kind, or no codec.
    InvalidConfig,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEndpoint => f.write_str("there is no such endpoint"),
            Self::NotWebRtc => f.write_str("the endpoint does not speak ICE and DTLS"),
            Self::Remote(error) => write!(f, "{error}"),
            Self::LimitReached => f.write_str("the limit of the router or the endpoint is reached"),
            Self::SsrcInUse => f.write_str("another stream of the endpoint has this SSRC"),
            Self::SocketInUse => f.write_str("another endpoint has this socket"),
            Self::InvalidConfig => {
                f.write_str("the track or subscription has no codec, too many encodings or mixed kinds")
            }
        }
    }
}

impl std::error::Error for UsageError {}

/// Endpoints.
impl Router {
    /// Adds a peer. A WebRTC peer is reachable under [`Self::local_description`] at once.
    ///
    /// # Errors
    /// [`UsageError::LimitReached`], [`UsageError::SocketInUse`].
    pub fn add_endpoint(&mut self, now: Instant, config: EndpointConfig) -> Result<EndpointId, UsageError> {
        if self.endpoints.len() >= self.config.max_endpoints {
            return Err(UsageError::LimitReached);
        }
        let mut full = false;
        let mut sockets = Vec::new();
        let transport = match config {
            EndpointConfig::WebRtc(webrtc) => {
                full = webrtc.ice != IceRole::Lite;
                let certificate = &self.config.certificate;
                Transport::WebRtc(Box::new(WebRtc::new(
                    now,
                    webrtc,
                    certificate,
                    self.config.index,
                    &self.config.local,
                )))
            }
            EndpointConfig::Plain(plain) => {
                sockets.push(plain.local);
                sockets.extend(plain.rtcp.map(|rtcp| rtcp.local));
                if sockets.iter().any(|socket| self.sockets.contains_key(socket)) {
                    return Err(UsageError::SocketInUse);
                }
                Transport::Plain(Plain::new(plain))
            }
        };
        let ufrag = match &transport {
            Transport::WebRtc(webrtc) => Some(webrtc.local_description().ice.ufrag),
            Transport::Plain(_) => None,
        };
        let id = self
            .endpoints
            .insert(|id| Endpoint::new(now, EndpointId(id), transport));
        let key = Table::<Endpoint>::key(id);
        if let (Some(ufrag), Some(endpoint)) = (ufrag, self.endpoints.at_mut(key)) {
            endpoint.ufrags.push(ufrag.clone());
            self.ufrags.insert(ufrag, key);
        }
        self.sockets.extend(sockets.into_iter().map(|socket| (socket, key)));
        if full {
            self.full_ice.push(key);
        }
        self.mark(key);
        Ok(EndpointId(id))
    }

    /// Removes a peer: its tracks end, it is sent BYE and `close_notify` with the next polls. Harmless when it is gone.
    pub fn remove_endpoint(&mut self, now: Instant, id: EndpointId) {
        let Some(endpoint) = self.endpoints.get_mut(id.0) else {
            return;
        };
        if endpoint.leaving.is_some() {
            return;
        }
        endpoint.leaving = Some(Leaving::Bye);
        endpoint.stirred = true;
        for track in endpoint.tracks.clone() {
            self.remove_track(now, track);
        }
        self.mark(Table::<Endpoint>::key(id.0));
    }

    /// Removes every peer, as [`Self::remove_endpoint`] does: the end of a server.
    pub fn remove_all_endpoints(&mut self, now: Instant) {
        let all: Vec<_> = self.endpoints.iter().map(|endpoint| endpoint.id).collect();
        for id in all {
            self.remove_endpoint(now, id);
        }
    }

    /// What to tell the peer in SDP; `None` for a plain endpoint or one that is gone.
    #[must_use]
    pub fn local_description(&self, id: EndpointId) -> Option<LocalDescription> {
        match &self.endpoints.get(id.0)?.transport {
            Transport::WebRtc(webrtc) => Some(webrtc.local_description()),
            Transport::Plain(_) => None,
        }
    }

    /// Takes what the peer told in SDP; again after an ICE restart.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::NotWebRtc`], [`UsageError::Remote`].
    pub fn set_remote(&mut self, now: Instant, id: EndpointId, remote: &RemoteDescription) -> Result<(), UsageError> {
        let webrtc = self.webrtc(id)?;
        webrtc.set_remote(now, remote).map_err(UsageError::Remote)?;
        // When the peer has restarted ICE, our credentials are new too.
        let ufrag = webrtc.local_description().ice.ufrag;
        self.answer_to(id, ufrag);
        self.stir(id);
        Ok(())
    }

    /// Takes a way to reach the peer. An ICE-lite router has no use for it, and no harm.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::NotWebRtc`].
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        id: EndpointId,
        candidate: &Candidate,
    ) -> Result<(), UsageError> {
        self.webrtc(id)?.add_remote_candidate(now, candidate);
        self.stir(id);
        Ok(())
    }

    /// Starts ICE anew, with the session going on; the new credentials for SDP. The old ones lead to the endpoint
    /// until the next restart.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::NotWebRtc`].
    pub fn restart_ice(&mut self, now: Instant, id: EndpointId) -> Result<IceCreds, UsageError> {
        let creds = self.webrtc(id)?.restart_ice(now);
        self.answer_to(id, creds.ufrag.clone());
        self.stir(id);
        Ok(creds)
    }

    /// Checks with this user fragment, and with the three before it, lead to the endpoint: the peer goes on with the old
    /// one until it has learnt of the new.
    fn answer_to(&mut self, id: EndpointId, ufrag: String) {
        let key = Table::<Endpoint>::key(id.0);
        let Some(endpoint) = self.endpoints.get_mut(id.0) else {
            return;
        };
        if endpoint.ufrags.contains(&ufrag) {
            return;
        }
        if endpoint.ufrags.len() > 3 {
            self.ufrags.remove(&endpoint.ufrags.remove(0));
        }
        endpoint.ufrags.push(ufrag.clone());
        self.ufrags.insert(ufrag, key);
    }

    fn webrtc(&mut self, id: EndpointId) -> Result<&mut WebRtc, UsageError> {
        match &mut self.endpoints.get_mut(id.0).ok_or(UsageError::NoEndpoint)?.transport {
            Transport::WebRtc(webrtc) => Ok(webrtc),
            Transport::Plain(_) => Err(UsageError::NotWebRtc),
        }
    }

    fn stir(&mut self, id: EndpointId) {
        if let Some(endpoint) = self.endpoints.get_mut(id.0) {
            endpoint.stirred = true;
        }
        self.mark(Table::<Endpoint>::key(id.0));
    }

    /// Takes an endpoint that has said good-bye out of all tables.
    pub(super) fn forget_endpoint(&mut self, key: usize) {
        let Some(endpoint) = self.endpoints.at(key) else { return };
        let id = endpoint.id;
        let Some(endpoint) = self.endpoints.remove(id.0) else {
            return;
        };
        for subscription in endpoint.subscriptions {
            self.detach(subscription);
            self.subscriptions.remove(subscription.0);
        }
        for ufrag in &endpoint.ufrags {
            self.ufrags.remove(ufrag);
        }
        for route in endpoint.routes {
            self.release(route);
        }
        self.sockets.retain(|_, owner| *owner != key);
        self.full_ice.retain(|owner| *owner != key);
    }
}

/// Tracks.
impl Router {
    /// Expects a track from an endpoint.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::LimitReached`], [`UsageError::SsrcInUse`],
    /// [`UsageError::InvalidConfig`].
    pub fn add_track(
        &mut self,
        _now: Instant,
        endpoint: EndpointId,
        config: &TrackConfig,
    ) -> Result<TrackId, UsageError> {
        let peer = self.endpoints.get_mut(endpoint.0).ok_or(UsageError::NoEndpoint)?;
        let encodings = config.rids.len().max(config.streams.len());
        let kinds = config.codecs.iter().all(|params| params.codec.kind() == config.kind);
        if config.codecs.is_empty() || encodings > MAX_ENCODINGS || !kinds {
            return Err(UsageError::InvalidConfig);
        }
        let ssrcs = || {
            config
                .streams
                .iter()
                .flat_map(|ids| [Some((ids.ssrc, false)), ids.rtx.map(|rtx| (rtx, true))])
        };
        if ssrcs().flatten().any(|(ssrc, _)| peer.streams.contains_key(&ssrc)) {
            return Err(UsageError::SsrcInUse);
        }
        if peer.tracks.len() >= MAX_TRACKS || peer.streams.len() + ssrcs().flatten().count() > MAX_SSRCS {
            return Err(UsageError::LimitReached);
        }
        let key = Table::<Endpoint>::key(endpoint.0);
        let track = TrackId(self.tracks.insert(|id| Track::new(TrackId(id), key, config)));
        peer.tracks.push(track);
        for (index, ssrc) in ssrcs().enumerate() {
            if let Some((ssrc, rtx)) = ssrc {
                peer.streams.insert(
                    ssrc,
                    StreamRef {
                        track,
                        encoding: index / 2,
                        rtx,
                    },
                );
            }
        }
        Ok(track)
    }

    /// Ends a track: its subscriptions go on without a source. Harmless when it is gone.
    pub fn remove_track(&mut self, _now: Instant, id: TrackId) {
        let Some(track) = self.tracks.remove(id.0) else { return };
        for subscription in track.subscribers {
            if let Some(outgoing) = self.subscriptions.get_mut(subscription.0) {
                outgoing.set_source(None);
            }
        }
        if let Some(endpoint) = self.endpoints.at_mut(track.endpoint) {
            endpoint.tracks.retain(|known| *known != id);
            endpoint.streams.retain(|_, stream| stream.track != id);
        }
    }

    /// Stops or resumes forwarding of a track to everybody.
    pub fn mute_track(&mut self, now: Instant, id: TrackId, muted: bool) {
        let Some(track) = self.tracks.get_mut(id.0) else { return };
        if std::mem::replace(&mut track.muted, muted) == muted {
            return;
        }
        // What was said while it was muted must never come out, not even as the picture to begin with.
        track.streams.iter_mut().for_each(Stream::forget_keyframe);
        let subscribers = track.subscribers.clone();
        for subscription in subscribers {
            if let Some(outgoing) = self.subscriptions.get_mut(subscription.0) {
                outgoing.forwarder.interrupt();
            }
            if !muted {
                self.want_keyframe(now, subscription);
            }
        }
    }

    /// Asks the publisher for a keyframe of every encoding, soon.
    pub fn request_keyframe(&mut self, now: Instant, id: TrackId) {
        let Some(track) = self.tracks.get_mut(id.0) else { return };
        let key = track.endpoint;
        for stream in track.streams.iter_mut().filter(|stream| stream.ssrc().is_some()) {
            stream.keyframe.want(now);
        }
        self.wake(key);
    }
}

/// Subscriptions.
impl Router {
    /// Opens an outgoing stream to an endpoint, at first without a source.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::LimitReached`], [`UsageError::SsrcInUse`],
    /// [`UsageError::InvalidConfig`].
    pub fn subscribe(
        &mut self,
        _now: Instant,
        endpoint: EndpointId,
        config: SubscriptionConfig,
    ) -> Result<SubscriptionId, UsageError> {
        let peer = self.endpoints.get_mut(endpoint.0).ok_or(UsageError::NoEndpoint)?;
        if peer.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            return Err(UsageError::LimitReached);
        }
        if config.codecs.is_empty() || config.codecs.iter().any(|params| params.codec.kind() != config.kind) {
            return Err(UsageError::InvalidConfig);
        }
        let ssrcs = [Some(config.stream.ssrc), config.stream.rtx];
        if ssrcs.iter().flatten().any(|ssrc| peer.outgoing.contains_key(ssrc)) {
            return Err(UsageError::SsrcInUse);
        }
        let key = Table::<Endpoint>::key(endpoint.0);
        let id = SubscriptionId(
            self.subscriptions
                .insert(|id| Outgoing::new(SubscriptionId(id), key, config)),
        );
        peer.subscriptions.push(id);
        peer.outgoing.extend(ssrcs.into_iter().flatten().map(|ssrc| (ssrc, id)));
        Ok(id)
    }

    /// Puts a track behind an outgoing stream, or none. The stream stays continuous for the receiver; video starts with
    /// a keyframe, from memory if a young one is there.
    pub fn set_source(&mut self, now: Instant, id: SubscriptionId, source: Option<TrackId>) {
        self.detach(id);
        let track = source.and_then(|source| self.tracks.get_mut(source.0));
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return;
        };
        let Some(track) = track else {
            outgoing.set_source(None);
            return;
        };
        track.subscribers.push(id);
        outgoing.set_source(Some((track.id, &track.extensions)));
        outgoing.forwarder.set_live(track.live());
        self.catch_up(now, id);
    }

    /// Sets the best layers that a subscription may carry.
    pub fn set_layers(&mut self, now: Instant, id: SubscriptionId, layers: LayerTarget) {
        if let Some(outgoing) = self.subscriptions.get_mut(id.0) {
            outgoing.forwarder.set_target(layers);
            self.want_keyframe(now, id);
        }
    }

    /// Stops or resumes a subscription.
    pub fn pause(&mut self, now: Instant, id: SubscriptionId, paused: bool) {
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return;
        };
        if outgoing.forwarder.is_paused() != paused {
            outgoing.forwarder.set_paused(paused);
            self.catch_up(now, id);
        }
    }

    /// Closes an outgoing stream. Harmless when it is gone.
    pub fn unsubscribe(&mut self, _now: Instant, id: SubscriptionId) {
        self.detach(id);
        let Some(outgoing) = self.subscriptions.remove(id.0) else {
            return;
        };
        if let Some(endpoint) = self.endpoints.at_mut(outgoing.endpoint) {
            endpoint.subscriptions.retain(|known| *known != id);
            endpoint.outgoing.retain(|_, known| *known != id);
        }
    }

    /// Takes a subscription off the list of its track.
    fn detach(&mut self, id: SubscriptionId) {
        let source = self.subscriptions.get(id.0).and_then(|outgoing| outgoing.source);
        if let Some(track) = source.and_then(|source| self.tracks.get_mut(source.0)) {
            track.subscribers.retain(|known| *known != id);
        }
    }

    /// A subscription begins or goes on: shows it the last keyframe, or asks for one.
    pub(super) fn catch_up(&mut self, now: Instant, id: SubscriptionId) {
        if !self.replay(now, id) {
            self.want_keyframe(now, id);
        }
    }

    /// Asks the publisher for the keyframe that a subscription waits for, if it waits for one.
    pub(super) fn want_keyframe(&mut self, now: Instant, id: SubscriptionId) {
        let Some(outgoing) = self.subscriptions.get(id.0) else {
            return;
        };
        let connected = self
            .endpoints
            .at(outgoing.endpoint)
            .is_some_and(|peer| peer.transport.is_connected());
        let (Some(encoding), true) = (outgoing.forwarder.waits_for(), connected) else {
            return;
        };
        let Some(track) = outgoing.source.and_then(|source| self.tracks.get_mut(source.0)) else {
            return;
        };
        let key = track.endpoint;
        if let Some(stream) = track.streams.get_mut(usize::from(encoding))
            && !stream.keyframe.is_wanted()
        {
            stream.keyframe.want(now);
            self.wake(key);
        }
    }

    fn replay(&mut self, now: Instant, id: SubscriptionId) -> bool {
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return false;
        };
        let Some(track) = outgoing.source.and_then(|source| self.tracks.get(source.0)) else {
            return false;
        };
        let Some(endpoint) = self.endpoints.at_mut(outgoing.endpoint) else {
            return false;
        };
        let fresh = outgoing.forwarder.current().is_none();
        let Some(encoding) = outgoing.forwarder.waits_for().filter(|_| fresh && !track.muted) else {
            return false;
        };
        let Some(stream) = track.streams.get(usize::from(encoding)) else {
            return false;
        };
        let Some((keyframe, highest)) = stream.since_keyframe() else {
            return false;
        };
        let Some(replay) = Replay::of(now, &stream.history, keyframe, highest) else {
            return false;
        };
        let decodable = stream
            .history
            .get(keyframe)
            .and_then(|received| track.codec_of(received.packet.view().pt()))
            .is_some_and(|codec| outgoing.pts(codec).is_some());
        if !endpoint.transport.is_connected() || !decodable {
            return false;
        }
        let rate = stream.clock_rate();
        let mut placed = None;
        replay.for_each(&stream.history, |received, before| {
            let meta = Meta::of(encoding, received);
            let (latest, step) = *placed.get_or_insert_with(|| {
                let present = Meta {
                    timestamp: replay.latest(),
                    ..meta
                };
                outgoing.forwarder.start(now, &present, rate, None);
                let (frames, step) = (replay.frames(), Replay::step(rate));
                let step = outgoing.forwarder.make_room(present.timestamp, frames, step);
                (
                    replay.latest().plus(outgoing.forwarder.timestamp_shift().unwrap_or(0)),
                    step,
                )
            });
            if let Some(mut rewrite) = outgoing.forwarder.forward(now, &meta) {
                rewrite.timestamp.0 = latest.0.wrapping_sub(before * step);
                outgoing.forwarder.note_time(now, rewrite.timestamp);
                let note = Note::new(outgoing.id, track.id, &meta, rewrite);
                outgoing.log.insert(note);
                endpoint.queue.push(note, false);
            }
        });
        let key = outgoing.endpoint;
        self.mark(key);
        true
    }

    /// Feedback to a publisher has become due.
    pub(super) fn wake(&mut self, key: usize) {
        if let Some(endpoint) = self.endpoints.at_mut(key) {
            endpoint.stirred = true;
        }
        self.mark(key);
    }
}
