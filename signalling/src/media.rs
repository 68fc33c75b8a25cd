//! The few things that signalling asks of a media router, as functions for the router's own thread.
//!
//! Knows nothing of HTTP and nothing of rooms.

use std::time::Instant;

use althing_media_core::config::{EndpointId, SubscriptionId, TrackId};
use althing_media_core::transport::{LocalDescription, RemoteDescription, WebRtcConfig};
use althing_media_core::{EndpointConfig, Router, UsageError};

use crate::room::Effect;
use crate::sdp::Agreement;

/// A peer in the router, as agreed.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) endpoint: EndpointId,
    pub(crate) local: LocalDescription,
    /// One for each section that we receive in, in their order.
    pub(crate) tracks: Vec<TrackId>,
    /// One for each section that we send in, in their order.
    pub(crate) subscriptions: Vec<SubscriptionId>,
}

/// Adds a peer with all its tracks and outgoing streams; nothing stays behind when something fails.
pub(crate) fn open(router: &mut Router, now: Instant, agreement: &Agreement) -> Result<Opened, UsageError> {
    let endpoint = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    fill(router, now, endpoint, agreement).inspect_err(|_| router.remove_endpoint(now, endpoint))
}

fn fill(router: &mut Router, now: Instant, endpoint: EndpointId, agreement: &Agreement) -> Result<Opened, UsageError> {
    router.set_remote(now, endpoint, &agreement.remote)?;
    for candidate in &agreement.candidates {
        router.add_remote_candidate(now, endpoint, candidate)?;
    }
    let tracks = agreement.tracks().map(|track| router.add_track(now, endpoint, &track));
    let tracks = tracks.collect::<Result<_, _>>()?;
    let subscriptions = agreement
        .subscriptions()
        .map(|stream| router.subscribe(now, endpoint, stream));
    let subscriptions = subscriptions.collect::<Result<_, _>>()?;
    let local = router.local_description(endpoint).ok_or(UsageError::NoEndpoint)?;
    Ok(Opened {
        endpoint,
        local,
        tracks,
        subscriptions,
    })
}

/// Takes the new credentials of a peer that restarts ICE; ours are new as well.
pub(crate) fn restart(
    router: &mut Router,
    now: Instant,
    endpoint: EndpointId,
    remote: &RemoteDescription,
) -> Result<LocalDescription, UsageError> {
    router.set_remote(now, endpoint, remote)?;
    router.local_description(endpoint).ok_or(UsageError::NoEndpoint)
}

/// Does what a room wants.
pub(crate) fn apply(router: &mut Router, now: Instant, effect: &Effect) {
    match *effect {
        Effect::SetSource { subscription, source } => router.set_source(now, subscription, source),
        Effect::SetLayers { subscription, layers } => router.set_layers(now, subscription, layers),
        Effect::Mute { track, muted } => router.mute_track(now, track, muted),
        Effect::EnterStage { track, stage } => router.set_stage(now, track, Some(stage)),
        Effect::RemoveTrack { track } => router.remove_track(now, track),
        Effect::Close { ref endpoints, .. } => {
            endpoints
                .iter()
                .for_each(|endpoint| router.remove_endpoint(now, *endpoint));
        }
    }
}
