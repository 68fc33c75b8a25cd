//! Peers come, are introduced by SDP, and go.

use std::time::Instant;

use crate::config::{EndpointConfig, EndpointId};
use crate::endpoint::{Endpoint, Leaving};
use crate::router::tables::Table;
use crate::router::{Router, UsageError};
use crate::transport::{
    Candidate, IceCreds, IceRole, Local, LocalDescription, Plain, RemoteDescription, Transport, WebRtc,
};
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
            EndpointConfig::Local => Transport::Local(Local::new()),
        };
        let ufrag = match &transport {
            Transport::WebRtc(webrtc) => Some(webrtc.local_description().ice.ufrag),
            Transport::Plain(_) | Transport::Local(_) => None,
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
            Transport::Plain(_) | Transport::Local(_) => None,
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
            Transport::Plain(_) | Transport::Local(_) => Err(UsageError::NotWebRtc),
        }
    }

    fn stir(&mut self, id: EndpointId) {
        if let Some(endpoint) = self.endpoints.get_mut(id.0) {
            endpoint.stirred = true;
        }
        self.mark(Table::<Endpoint>::key(id.0));
    }

    /// Takes an endpoint that has said good-bye out of all tables.
    pub(in crate::router) fn forget_endpoint(&mut self, key: usize) {
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
