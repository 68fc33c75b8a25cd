//! What one offer or answer changes in the router, done in one go on the router's own thread.

use std::time::Instant;

use althing_media_core::config::{EndpointId, SubscriptionId, TrackId};
use althing_media_core::rtcp::Bitrate;
use althing_media_core::transport::{Candidate, LocalDescription, RemoteDescription, WebRtcConfig};
use althing_media_core::{EndpointConfig, LayerTarget, Router, SubscriptionConfig, TrackConfig, UsageError};

use super::data::Channel;

/// What must become of the endpoint.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The endpoint, `None` when there is none yet.
    pub(super) endpoint: Option<EndpointId>,
    /// The peer's transport, when it is new or ICE starts anew.
    pub(super) remote: Option<RemoteDescription>,
    pub(super) candidates: Vec<Candidate>,
    /// The longest data message that the peer takes, if it says so.
    pub(super) max_message: Option<u32>,
    pub(super) tracks: Vec<TrackConfig>,
    pub(super) open: Vec<Opening>,
    pub(super) close: Vec<SubscriptionId>,
}

/// A stream to be opened.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) config: SubscriptionConfig,
    pub(super) source: TrackId,
    pub(super) paused: bool,
    /// See [`Router::set_rank`].
    pub(super) rank: u8,
}

/// What has become of it; the lists are in the order of the change.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) endpoint: EndpointId,
    pub(super) local: LocalDescription,
    pub(super) tracks: Vec<TrackId>,
    pub(super) subscriptions: Vec<SubscriptionId>,
}

/// Changes the endpoint, or makes it.
pub(super) fn change(router: &mut Router, now: Instant, change: &Change) -> Result<Changed, UsageError> {
    with_endpoint(router, now, change.endpoint, |router, endpoint| {
        fill(router, now, endpoint, change)
    })
}

/// Does something with an endpoint, or with a new one, which does not stay behind when that fails.
fn with_endpoint<R>(
    router: &mut Router,
    now: Instant,
    endpoint: Option<EndpointId>,
    act: impl FnOnce(&mut Router, EndpointId) -> Result<R, UsageError>,
) -> Result<R, UsageError> {
    if let Some(endpoint) = endpoint {
        return act(router, endpoint);
    }
    let endpoint = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    act(router, endpoint).inspect_err(|_| router.remove_endpoint(now, endpoint))
}

fn fill(router: &mut Router, now: Instant, endpoint: EndpointId, change: &Change) -> Result<Changed, UsageError> {
    if let Some(remote) = &change.remote {
        router.set_remote(now, endpoint, remote)?;
    }
    for candidate in &change.candidates {
        router.add_remote_candidate(now, endpoint, candidate)?;
    }
    if let Some(bytes) = change.max_message {
        router.set_max_message_size(now, endpoint, bytes);
    }
    change.close.iter().for_each(|id| router.unsubscribe(now, *id));
    let tracks = change.tracks.iter().map(|track| router.add_track(now, endpoint, track));
    let tracks = tracks.collect::<Result<_, _>>()?;
    let mut subscriptions = Vec::with_capacity(change.open.len());
    for opening in &change.open {
        let id = router.subscribe(now, endpoint, opening.config.clone())?;
        router.pause(now, id, opening.paused);
        router.set_rank(id, opening.rank);
        router.set_source(now, id, Some(opening.source));
        subscriptions.push(id);
    }
    let local = router.local_description(endpoint).ok_or(UsageError::NoEndpoint)?;
    Ok(Changed {
        endpoint,
        local,
        tracks,
        subscriptions,
    })
}

/// What has to be done before we can offer.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// The endpoint, `None` when there is none yet.
    pub(super) endpoint: Option<EndpointId>,
    /// ICE starts anew.
    pub(super) restart: bool,
    pub(super) close: Vec<SubscriptionId>,
}

/// Makes the endpoint with its data channels if there is none, and tells what stands in the offer.
pub(super) fn propose(
    router: &mut Router,
    now: Instant,
    proposal: &Proposal,
) -> Result<(EndpointId, LocalDescription), UsageError> {
    with_endpoint(router, now, proposal.endpoint, |router, endpoint| {
        if proposal.endpoint.is_none() {
            for channel in Channel::ALL {
                router.open_data_channel(now, endpoint, channel.config())?;
            }
        }
        if proposal.restart {
            router.restart_ice(now, endpoint)?;
        }
        proposal.close.iter().for_each(|id| router.unsubscribe(now, *id));
        let local = router.local_description(endpoint).ok_or(UsageError::NoEndpoint)?;
        Ok((endpoint, local))
    })
}

/// A small change between offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touch {
    Layers(SubscriptionId, LayerTarget),
    Pause(SubscriptionId, bool),
    Rank(SubscriptionId, u8),
    Limit(EndpointId, Option<Bitrate>),
    Candidate(EndpointId, Candidate),
}

/// Makes it. What is gone needs it no more.
pub(super) fn touch(router: &mut Router, now: Instant, touch: &Touch) {
    match touch {
        Touch::Layers(id, layers) => router.set_layers(now, *id, *layers),
        Touch::Pause(id, paused) => router.pause(now, *id, *paused),
        Touch::Rank(id, rank) => router.set_rank(*id, *rank),
        Touch::Limit(endpoint, most) => router.limit(now, *endpoint, *most),
        Touch::Candidate(endpoint, candidate) => {
            let _ = router.add_remote_candidate(now, *endpoint, candidate);
        }
    }
}
