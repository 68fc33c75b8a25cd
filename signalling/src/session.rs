//! A WHIP or WHEP session: how it is made from an offer, gets candidates, restarts ICE, and ends.
//!
//! RFC 9725 §4.2 and §4.3, and the same in draft-ietf-wish-whep.

use althing_media_core::config::{EndpointId, SubscriptionId};
use althing_media_core::payload::MediaKind;
use althing_media_core::transport::RemoteDescription;
use althing_media_core::{LayerTarget, Mid};
use axum::http::StatusCode;

use crate::hub::{Hub, Shared, random, random_stream, secret};
use crate::media::{self, Opened};
use crate::problem::Problem;
use crate::room::{ConnectionId, Departure, NewTrack, Profile, Slot, Source, Target, Track, TrackDetails};
use crate::sdp::{Agreement, CodecSpec, Description, Fragment, Msid, Outgoing, Reception, Role, Section, Wish, answer};

/// The secret name of a session: who knows it may end it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(pub(crate) String);

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) door: Door,
    pub(crate) room: String,
    pub(crate) identity: String,
    pub(crate) connection: ConnectionId,
    pub(crate) endpoint: EndpointId,
    /// Names the ICE session, with the quotes of an entity tag.
    pub(crate) etag: String,
    pub(crate) remote: RemoteDescription,
    pub(crate) bundle: Vec<Mid>,
    pub(crate) outlets: Vec<Outlet>,
}

/// Which protocol it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Whip,
    Whep,
}

/// A media section that we send in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outlet {
    /// Its place among the sections.
    pub(crate) index: usize,
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    pub(crate) subscription: SubscriptionId,
}

/// What a new session is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    Publish { screen: bool },
    Watch(Target),
}

/// What the client is told about a new session.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) id: SessionId,
    pub(crate) etag: String,
    pub(crate) answer: String,
}

/// Leaves the room again unless the session comes about.
struct Reservation<'a> {
    hub: &'a Hub,
    room: &'a str,
    connection: ConnectionId,
    kept: bool,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.hub
                .with_room(self.room, |room| room.leave(self.connection, Departure::NotConnected));
        }
    }
}

/// Makes a session from an offer.
pub(crate) async fn create(
    hub: &Shared,
    room: &str,
    profile: &Profile,
    purpose: Purpose,
    offer: &Description,
) -> Result<Created, Problem> {
    let (connection, worker) = hub.join(room, profile)?;
    let mut reservation = Reservation {
        hub,
        room,
        connection,
        kept: false,
    };
    let agreement = negotiate(hub, room, &purpose, offer)?;
    let agreed = agreement.clone();
    let opened = worker.ask(move |router, now| media::open(router, now, &agreed))?;
    let opened = opened.await.map_err(althing_media_net::CommandError::from)??;

    let description = agreement.describe(&opened.local, random() >> 2);
    let etag = format!("\"{}\"", secret());
    let session = Session {
        door: if matches!(purpose, Purpose::Publish { .. }) {
            Door::Whip
        } else {
            Door::Whep
        },
        room: room.to_owned(),
        identity: profile.identity.clone(),
        connection,
        endpoint: opened.endpoint,
        etag: etag.clone(),
        remote: agreement.remote.clone(),
        bundle: description
            .sections
            .iter()
            .filter(|section| !section.rejected)
            .map(|section| section.mid)
            .collect(),
        outlets: outlets(&agreement, &opened),
    };
    // From here on the endpoint is the room's: it is removed when the connection leaves.
    let attached = hub.with_room(room, |room| room.attach(connection, opened.endpoint));
    if attached != Some(true) {
        let endpoint = opened.endpoint;
        let _ = worker.run(move |router, now| router.remove_endpoint(now, endpoint));
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The room was closed meanwhile.",
        ));
    }
    let id = hub.establish(session.clone());
    let filled = hub.with_room(room, |room| fill(room, &session, &purpose, &agreement, &opened));
    filled.unwrap_or(Ok(()))?;
    reservation.kept = true;
    Ok(Created {
        id,
        etag,
        answer: description.to_string(),
    })
}

/// What we want of each section of the offer.
fn negotiate(hub: &Hub, room: &str, purpose: &Purpose, offer: &Description) -> Result<Agreement, Problem> {
    let target = match purpose {
        Purpose::Publish { .. } => {
            return Ok(answer(offer, &hub.config.codecs, |_| {
                Wish::Receive(Reception::default())
            })?);
        }
        Purpose::Watch(target) => target,
    };
    let codec = |kind| {
        hub.with_room(room, |room| room.preview(target, kind).map(|track| track.codec))
            .flatten()
    };
    let (audio, video) = (codec(MediaKind::Audio), codec(MediaKind::Video));
    let stream = format!("{:016x}", random());
    let mut used: Vec<MediaKind> = Vec::new();
    // One track of each kind (draft-ietf-wish-whep, "Single MediaStream"): more sections stay silent.
    let wish = |section: &Section| {
        let Some(kind) = section.kind.media().filter(|kind| !used.contains(kind)) else {
            return Wish::Inactive;
        };
        if !section.direction.receives() {
            return Wish::Reject;
        }
        used.push(kind);
        Wish::Send(outgoing(
            &stream,
            kind,
            if kind == MediaKind::Audio { audio } else { video },
        ))
    };
    Ok(answer(offer, &hub.config.codecs, wish)?)
}

fn outgoing(stream: &str, kind: MediaKind, source: Option<CodecSpec>) -> Outgoing {
    let track = if kind == MediaKind::Audio { "audio" } else { "video" };
    Outgoing {
        msid: Msid {
            stream: stream.to_owned(),
            track: format!("{stream}-{track}"),
        },
        stream: random_stream(kind),
        cname: stream.to_owned(),
        source,
    }
}

fn outlets(agreement: &Agreement, opened: &Opened) -> Vec<Outlet> {
    let sending = agreement
        .sections
        .iter()
        .enumerate()
        .filter(|(_, agreed)| matches!(agreed.role, Role::Sending(_)));
    let outlet = |((index, agreed), subscription): ((usize, &crate::sdp::Agreed), &SubscriptionId)| {
        Some(Outlet {
            index,
            mid: agreed.mid,
            kind: agreed.kind.media()?,
            subscription: *subscription,
        })
    };
    sending.zip(&opened.subscriptions).filter_map(outlet).collect()
}

/// Tells the room what the connection publishes or watches.
fn fill(
    room: &mut crate::room::Room,
    session: &Session,
    purpose: &Purpose,
    agreement: &Agreement,
    opened: &Opened,
) -> Result<(), Problem> {
    match purpose {
        Purpose::Publish { screen } => {
            let receiving = agreement
                .sections
                .iter()
                .filter(|agreed| agreed.role == Role::Receiving);
            for (agreed, id) in receiving.zip(&opened.tracks) {
                let Some((kind, codec)) = agreed.kind.media().zip(agreed.codec()) else {
                    continue;
                };
                let source = Source::of(kind, *screen);
                room.publish(
                    session.connection,
                    NewTrack {
                        id: *id,
                        source,
                        codec,
                        rids: agreed.rids.clone(),
                        sid: None,
                        muted: false,
                        details: TrackDetails::default(),
                    },
                )?;
            }
        }
        Purpose::Watch(target) => {
            room.watch(session.connection, target.clone());
            let sending = agreement
                .sections
                .iter()
                .filter(|agreed| matches!(agreed.role, Role::Sending(_)));
            for (agreed, outlet) in sending.zip(&session.outlets) {
                let slot = Slot {
                    subscription: outlet.subscription,
                    kind: outlet.kind,
                    codecs: agreed.codecs().iter().map(|params| params.codec).collect(),
                    layers: LayerTarget::BEST,
                    source: None,
                };
                room.open(session.connection, slot);
            }
        }
    }
    Ok(())
}

/// What a PATCH led to.
#[derive(Debug)]
pub(crate) enum Patched {
    /// Candidates were taken.
    Trickled,
    /// ICE was restarted: the new entity tag and our side.
    Restarted { etag: String, fragment: String },
}

/// Takes candidates or a restart of ICE. `if_match` is the header as sent.
pub(crate) async fn patch(
    hub: &Shared,
    id: &SessionId,
    if_match: Option<&str>,
    fragment: Fragment,
) -> Result<Patched, Problem> {
    let session = hub.lock().sessions.get(id).cloned().ok_or_else(Problem::no_session)?;
    let if_match = if_match.ok_or_else(|| {
        Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "The request has no If-Match with the entity tag of the session.",
        )
    })?;
    let any = if_match.trim() == "*";
    if !any && !if_match.split(',').any(|tag| tag.trim() == session.etag) {
        return Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "If-Match is not the entity tag of the ICE session.",
        ));
    }
    let worker = hub.worker(&session.room).ok_or_else(Problem::no_session)?;
    let endpoint = session.endpoint;
    let Some(ice) = fragment.ice.clone().filter(|_| fragment.restarts(&session.remote.ice)) else {
        worker.run(move |router, now| {
            for candidate in &fragment.candidates {
                // The endpoint may be gone: then nobody needs the candidate.
                let _ = router.add_remote_candidate(now, endpoint, candidate);
            }
        })?;
        return Ok(Patched::Trickled);
    };
    let remote = RemoteDescription {
        ice,
        ..session.remote.clone()
    };
    let told = remote.clone();
    let restarted = worker.ask(move |router, now| {
        let local = media::restart(router, now, endpoint, &told)?;
        for candidate in &fragment.candidates {
            router.add_remote_candidate(now, endpoint, candidate)?;
        }
        Ok::<_, althing_media_core::UsageError>(local)
    })?;
    let local = restarted.await.map_err(althing_media_net::CommandError::from)??;
    let etag = format!("\"{}\"", secret());
    let mut state = hub.lock();
    let session = state.sessions.get_mut(id).ok_or_else(Problem::no_session)?;
    session.etag.clone_from(&etag);
    session.remote = remote;
    let fragment = Fragment {
        ice: Some(local.ice),
        ice_lite: local.ice_lite,
        candidates: local.candidates,
        end_of_candidates: true,
        bundle: session.bundle.clone(),
    };
    Ok(Patched::Restarted {
        etag,
        fragment: fragment.to_string(),
    })
}

/// Ends a session.
pub(crate) fn delete(hub: &Hub, id: &SessionId) -> Result<(), Problem> {
    let session = hub.lock().sessions.get(id).cloned().ok_or_else(Problem::no_session)?;
    hub.with_room(&session.room, |room| room.leave(session.connection, Departure::Left));
    Ok(())
}

/// The track that feeds an outlet now.
pub(crate) fn shown<'a>(room: &'a crate::room::Room, session: &Session, outlet: &Outlet) -> Option<&'a Track> {
    let view = room.connection(session.connection)?.view.as_ref()?;
    let slot = view
        .slots
        .iter()
        .find(|slot| slot.subscription == outlet.subscription)?;
    room.track(slot.source?)
}
