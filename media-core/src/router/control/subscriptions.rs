//! What peers get: outgoing streams, the tracks behind them, their layers.

use std::time::Instant;

use crate::config::{EndpointId, LayerTarget, SubscriptionConfig, SubscriptionId, TrackId};
use crate::endpoint::{Endpoint, MAX_SUBSCRIPTIONS};
use crate::estimate::Line;
use crate::packet::Extension;
use crate::payload::MediaKind;
use crate::router::tables::Table;
use crate::router::{Router, UsageError};
use crate::send::Outgoing;
use crate::transport::Transport;

impl Router {
    /// Opens an outgoing stream to an endpoint, at first without a source.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::LimitReached`], [`UsageError::SsrcInUse`],
    /// [`UsageError::InvalidConfig`].
    pub fn subscribe(
        &mut self,
        now: Instant,
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
        let stream = config.stream;
        if stream.all().any(|ssrc| peer.outgoing.contains_key(&ssrc)) {
            return Err(UsageError::SsrcInUse);
        }
        if config.extensions.id(Extension::TransportCc).is_some() {
            peer.line.get_or_insert_with(|| Box::new(Line::new(now)));
        }
        // What comes to a line that is not known, or full, begins small.
        let small = config.kind == MediaKind::Video && peer.line.is_some() && !peer.shared.ample;
        let exact = matches!(peer.transport, Transport::Local(_));
        let key = Table::<Endpoint>::key(endpoint.0);
        let id = SubscriptionId(self.subscriptions.insert(|id| {
            let mut outgoing = Outgoing::new(SubscriptionId(id), key, config);
            if small {
                outgoing.forwarder.set_granted(Some(LayerTarget::SMALLEST));
            }
            if exact {
                outgoing.forwarder.set_exact();
            }
            outgoing
        }));
        peer.subscriptions.push(id);
        peer.outgoing.extend(stream.all().map(|ssrc| (ssrc, id)));
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
        self.share_anew(id);
        self.catch_up(now, id);
    }

    /// Sets the best layers that a subscription may carry.
    pub fn set_layers(&mut self, now: Instant, id: SubscriptionId, layers: LayerTarget) {
        if let Some(outgoing) = self.subscriptions.get_mut(id.0) {
            outgoing.forwarder.set_target(layers);
            let key = outgoing.endpoint;
            self.share(now, key);
            self.want_keyframe(now, id);
        }
    }

    /// Sets who is served first when a line has not enough for all its pictures: those of higher rank.
    pub fn set_rank(&mut self, id: SubscriptionId, rank: u8) {
        if let Some(outgoing) = self.subscriptions.get_mut(id.0)
            && std::mem::replace(&mut outgoing.rank, rank) != rank
        {
            self.share_anew(id);
        }
    }

    /// Stops or resumes a subscription.
    pub fn pause(&mut self, now: Instant, id: SubscriptionId, paused: bool) {
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return;
        };
        if outgoing.forwarder.is_paused() != paused {
            outgoing.forwarder.set_paused(paused);
            self.share_anew(id);
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
            endpoint.shared.due = None;
            endpoint.subscriptions.retain(|known| *known != id);
            endpoint.outgoing.retain(|_, known| *known != id);
        }
    }

    /// Takes a subscription off the list of its track.
    pub(super) fn detach(&mut self, id: SubscriptionId) {
        let source = self.subscriptions.get(id.0).and_then(|outgoing| outgoing.source);
        if let Some(track) = source.and_then(|source| self.tracks.get_mut(source.0)) {
            track.subscribers.retain(|known| *known != id);
        }
    }
}
