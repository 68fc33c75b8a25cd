//! Somebody in this process who takes part in a room: a mixer, a recorder, a bot.
//!
//! They come in like anybody else, are hidden or shown as their profile says, follow the tracks that they choose and publish
//! tracks of their own. Their packets go to and come from a thread of the caller's ([`LocalPeer`]); this half lives on the
//! async side and knows the room. What is done with the packets is not its business.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use althing_media_core::config::{EndpointId, SubscriptionId, TrackConfig};
use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::{
    CodecParams, EndpointConfig, Extension, ExtensionMap, LayerTarget, Pt, Router, Ssrc, StreamIds, SubscriptionConfig,
    UsageError,
};
use althing_media_net::{CommandError, LocalPeer, Worker};
use tokio::sync::{mpsc, watch};

use crate::guest::GuestError;
use crate::hub::{Hub, random};
use crate::problem::Problem;
use crate::room::{
    Audience, ConnectionId, Departure, NewTrack, ParticipantSid, Profile, Room, Source, TrackDetails, TrackSid,
};
use crate::sdp::CodecSpec;

/// The payload types under which followed tracks come: the same for all.
const CODECS: [(Codec, u8); 8] = [
    (Codec::Pcmu, 0),
    (Codec::Pcma, 8),
    (Codec::G722, 9),
    (Codec::Vp8, 96),
    (Codec::Vp9, 98),
    (Codec::H264, 102),
    (Codec::Av1, 104),
    (Codec::Opus, 111),
];

/// Somebody in a room who leaves when this is dropped.
pub struct Insider {
    hub: Weak<Hub>,
    room: String,
    connection: ConnectionId,
    endpoint: EndpointId,
    worker: Worker<Router>,
    changed: watch::Receiver<u64>,
    followed: BTreeMap<TrackSid, (SubscriptionId, u8)>,
}

/// Something that a participant has written to all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// When it came: it may wait before it is read.
    pub at: Instant,
    /// Who.
    pub from: ParticipantSid,
    /// What; at most 16 KiB.
    pub text: String,
}

/// Messages that may wait for an insider who listens to the chat; more are lost.
pub(crate) const MAX_SAID: usize = 256;

/// How the packets of a followed track come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Under this SSRC.
    pub ssrc: Ssrc,
    /// With these payload types.
    pub codecs: Vec<CodecParams>,
    /// With these extensions, where the publisher sends them.
    pub extensions: ExtensionMap,
}

/// Lets an insider in.
pub(crate) async fn admit(
    hub: &Arc<Hub>,
    room: &str,
    profile: &Profile,
    capacity: usize,
) -> Result<(Insider, LocalPeer), GuestError> {
    let (connection, worker) = hub.join(room, profile)?;
    let changed = hub.listen(room);
    let mut insider = Insider {
        hub: Arc::downgrade(hub),
        room: room.to_owned(),
        connection,
        endpoint: EndpointId(u64::MAX),
        worker,
        changed: changed?,
        followed: BTreeMap::new(),
    };
    let added = insider.ask(|router, now| router.add_endpoint(now, EndpointConfig::Local));
    insider.endpoint = added.await?;
    // Its room closes it, once it is the room's.
    if !hub.adopt(room, connection, insider.endpoint) {
        let endpoint = insider.endpoint;
        let _ = insider
            .worker
            .run(move |router, now| router.remove_endpoint(now, endpoint));
        return Err(GuestError::Refused("The room was closed meanwhile.".to_owned()));
    }
    let peer = insider
        .worker
        .attach(insider.endpoint, capacity)
        .map_err(Problem::from)?;
    // There is nothing to wait for; the event of the router that says so may have come too early to be understood.
    hub.with_room(room, |room| room.on_connected(insider.endpoint));
    Ok((insider, peer))
}

impl Insider {
    /// Waits until something in the room has changed since the last look; false when the insider is in it no more.
    pub async fn changed(&mut self) -> bool {
        self.changed.changed().await.is_ok() && self.look(|_| ()).is_some()
    }

    /// Looks at the room; `None` when the insider is in it no more. Holds a lock: be quick.
    pub fn look<R>(&self, look: impl FnOnce(&Room) -> R) -> Option<R> {
        let hub = self.hub.upgrade()?;
        hub.with_room(&self.room, |room| {
            room.connection(self.connection).is_some().then(|| look(room))
        })
        .flatten()
    }

    /// What people write to all in the chat, from now on; nothing of what is encrypted end to end.
    #[must_use]
    pub fn chat(&self) -> mpsc::Receiver<Said> {
        let hub = self.hub.upgrade();
        let listening = hub.and_then(|hub| hub.listen_to_chat(&self.room));
        listening.unwrap_or_else(|| mpsc::channel(1).1)
    }

    /// The endpoint in the router, and the worker that it lives on.
    #[must_use]
    pub fn endpoint(&self) -> (EndpointId, &Worker<Router>) {
        (self.endpoint, &self.worker)
    }

    /// Has a track sent, in its best layers up to `layers`; a second call changes the layers only. It starts with a keyframe.
    ///
    /// # Errors
    ///
    /// [`GuestError::Refused`]: there is no such track (any more), or the worker is too busy.
    pub async fn follow(&mut self, sid: &TrackSid, layers: LayerTarget) -> Result<Option<Followed>, GuestError> {
        let found = self.look(|room| {
            let tracks = room.participants().iter().flat_map(|one| one.tracks());
            tracks
                .filter(|track| track.sid == *sid)
                .map(|track| (track.id, track.kind))
                .next()
        });
        let Some((track, kind)) = found.flatten() else {
            return Err(GuestError::Refused("There is no such track.".to_owned()));
        };
        if let Some((subscription, wanted)) = self.followed.get_mut(sid) {
            *wanted = layers.spatial;
            let subscription = *subscription;
            let set = self
                .worker
                .run(move |router, now| router.set_layers(now, subscription, layers));
            set.map_err(Problem::from)?;
            self.demand();
            return Ok(None);
        }
        let followed = Followed {
            ssrc: Ssrc(ssrc()),
            codecs: codecs(kind),
            extensions: extensions(),
        };
        let config = SubscriptionConfig {
            mid: None,
            kind,
            stream: StreamIds::new(followed.ssrc),
            cname: sid.0.clone(),
            codecs: followed.codecs.clone(),
            extensions: followed.extensions,
            layers,
            nack: false,
        };
        let endpoint = self.endpoint;
        let subscription = self
            .ask(move |router, now| {
                let subscription = router.subscribe(now, endpoint, config)?;
                router.set_source(now, subscription, Some(track));
                Ok(subscription)
            })
            .await?;
        self.followed.insert(sid.clone(), (subscription, layers.spatial));
        self.demand();
        Ok(Some(followed))
    }

    /// Has a track sent no more. Harmless when it was not.
    pub fn unfollow(&mut self, sid: &TrackSid) {
        if let Some((subscription, _)) = self.followed.remove(sid) {
            let _ = self
                .worker
                .run(move |router, now| router.unsubscribe(now, subscription));
            self.demand();
        }
    }

    /// The tracks that are followed.
    pub fn followed(&self) -> impl Iterator<Item = &TrackSid> {
        self.followed.keys()
    }

    /// Publishes a track: packets that [`LocalPeer::send`] is given with the SSRC of `track` belong to it.
    ///
    /// # Errors
    ///
    /// [`GuestError::Refused`]: the profile does not allow it, the SSRC is used already, the room is closed.
    pub async fn publish(
        &mut self,
        track: TrackConfig,
        source: Source,
        codec: CodecSpec,
        details: TrackDetails,
    ) -> Result<TrackSid, GuestError> {
        let endpoint = self.endpoint;
        let id = self
            .ask(move |router, now| router.add_track(now, endpoint, &track))
            .await?;
        let new = NewTrack {
            id,
            source,
            codec,
            rids: Vec::new(),
            sid: None,
            muted: false,
            details,
        };
        let hub = self.hub.upgrade();
        let published = hub.and_then(|hub| hub.with_room(&self.room, |room| room.publish(self.connection, new)));
        match published {
            Some(Ok(sid)) => Ok(sid),
            refused => {
                let _ = self.worker.run(move |router, now| router.remove_track(now, id));
                let closed = || GuestError::Refused("The room was closed meanwhile.".to_owned());
                Err(refused.map_or_else(closed, |refused| match refused {
                    Err(error) => Problem::from(error).into(),
                    Ok(_) => closed(),
                }))
            }
        }
    }

    /// Sets an attribute of this participant, for all to see; an empty value takes it away.
    pub fn set_attribute(&self, key: &str, value: &str) {
        let set = |profile: &mut Profile| match value {
            "" => drop(profile.attributes.remove(key)),
            value => drop(profile.attributes.insert(key.to_owned(), value.to_owned())),
        };
        if let Some(hub) = self.hub.upgrade() {
            hub.with_room(&self.room, |room| room.change_profile(self.connection, set));
        }
    }

    /// Says who may watch what this insider publishes.
    pub fn set_audience(&self, audience: Audience) {
        if let Some(hub) = self.hub.upgrade() {
            hub.with_room(&self.room, |room| room.set_audience(self.connection, audience));
        }
    }

    /// Publishes a track no more. Harmless when it was not.
    pub fn unpublish(&mut self, sid: &TrackSid) {
        if let Some(hub) = self.hub.upgrade() {
            hub.with_room(&self.room, |room| room.unpublish(self.connection, sid));
        }
    }

    /// Publishers need not send what nobody has a use for.
    fn demand(&self) {
        let demand = self
            .followed
            .iter()
            .map(|(sid, (_, spatial))| (sid.clone(), *spatial))
            .collect();
        if let Some(hub) = self.hub.upgrade() {
            hub.with_room(&self.room, |room| room.set_demand(self.connection, demand));
        }
    }

    async fn ask<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Router, Instant) -> Result<R, UsageError> + Send + 'static,
    ) -> Result<R, GuestError> {
        let reply = self.worker.ask(act).map_err(Problem::from)?;
        let done = reply.await.map_err(CommandError::from).map_err(Problem::from)?;
        Ok(done.map_err(Problem::from)?)
    }
}

impl Drop for Insider {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.with_room(&self.room, |room| room.leave(self.connection, Departure::Left));
        }
    }
}

impl fmt::Debug for Insider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Insider")
            .field("room", &self.room)
            .field("endpoint", &self.endpoint)
            .field("followed", &self.followed)
            .finish_non_exhaustive()
    }
}

/// Not 0, and not that of another stream with all probability.
fn ssrc() -> u32 {
    let [a, b, c, d, ..] = random().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d]).max(1)
}

fn codecs(kind: MediaKind) -> Vec<CodecParams> {
    let wanted = CODECS.iter().filter(|(codec, _)| codec.kind() == kind);
    wanted
        .map(|(codec, pt)| CodecParams::new(*codec, Pt::new(*pt)))
        .collect()
}

/// What mixers and recorders can use.
fn extensions() -> ExtensionMap {
    ExtensionMap::new()
        .with(Extension::AudioLevel, 1)
        .with(Extension::AbsCaptureTime, 2)
        .with(Extension::VideoOrientation, 3)
        .with(Extension::DependencyDescriptor, 4)
}
