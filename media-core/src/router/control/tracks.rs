//! What peers send: tracks.

use std::time::Instant;

use crate::config::{EndpointId, MAX_ENCODINGS, TrackConfig, TrackId};
use crate::endpoint::{Endpoint, MAX_SSRCS, MAX_TRACKS, StreamRef};
use crate::receive::{Stream, Track};
use crate::router::stage::leave;
use crate::router::tables::Table;
use crate::router::{Router, UsageError};
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
            let each = config.streams.iter().enumerate();
            each.flat_map(|(encoding, ids)| ids.all().map(move |ssrc| (ssrc, encoding, ssrc != ids.ssrc)))
        };
        if ssrcs().any(|(ssrc, ..)| peer.streams.contains_key(&ssrc)) {
            return Err(UsageError::SsrcInUse);
        }
        if peer.tracks.len() >= MAX_TRACKS || peer.streams.len() + ssrcs().count() > MAX_SSRCS {
            return Err(UsageError::LimitReached);
        }
        let key = Table::<Endpoint>::key(endpoint.0);
        let track = TrackId(self.tracks.insert(|id| Track::new(TrackId(id), key, config)));
        peer.tracks.push(track);
        for (ssrc, encoding, repair) in ssrcs() {
            let stream = StreamRef {
                track,
                encoding,
                repair,
            };
            peer.streams.insert(ssrc, stream);
        }
        Ok(track)
    }

    /// Ends a track: its subscriptions go on without a source. Harmless when it is gone.
    pub fn remove_track(&mut self, _now: Instant, id: TrackId) {
        let Some(track) = self.tracks.remove(id.0) else { return };
        leave(&mut self.stages, track.stage);
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
        track.streams.iter_mut().for_each(Stream::hide_the_past);
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
