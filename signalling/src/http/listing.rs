//! Who is in a room and what they publish: once, or at every change. For pages that watch everybody.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;

use super::request::{self, Options};
use crate::hub::{Hub, Shared};
use crate::problem::Problem;
use crate::room::{Participant, Room, Track};

/// A room as others see it.
#[derive(Debug, Serialize)]
struct RoomView {
    room: String,
    participants: Vec<ParticipantView>,
}

#[derive(Debug, Serialize)]
struct ParticipantView {
    sid: String,
    identity: String,
    name: String,
    metadata: String,
    /// `joining` or `active`.
    state: &'static str,
    tracks: Vec<TrackView>,
}

#[derive(Debug, Serialize)]
struct TrackView {
    sid: String,
    /// `audio` or `video`.
    kind: &'static str,
    source: &'static str,
    codec: String,
    muted: bool,
    /// RIDs of the encodings, the lowest first.
    layers: Vec<String>,
}

/// Who is there now. A room with nobody in it is no error: rooms are made on demand.
pub(super) async fn get(
    State(hub): State<Shared>,
    Path(room): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    request::check_name(&room)?;
    request::authorize_reader(&hub, &headers, &options, &room)?;
    Ok(Json(serde_json::to_value(view(&hub, &room)).unwrap_or_default()))
}

/// Who is there now, and again after every change: server-sent events of the type `room`. Changes that come faster than
/// the client reads are joined into one.
pub(super) async fn events(
    State(hub): State<Shared>,
    Path(room): Path<String>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    request::check_name(&room)?;
    request::authorize_reader(&hub, &headers, &options, &room)?;
    let mut changes = hub.listen(&room)?;
    changes.mark_changed();
    // The hub must not be kept alive by those who listen to it.
    let hub = std::sync::Arc::downgrade(&hub);
    let stream = unfold((hub, changes, room), |(hub, mut changes, room)| async move {
        changes.changed().await.ok()?;
        let event = Event::default()
            .event("room")
            .json_data(view(&*hub.upgrade()?, &room))
            .ok()?;
        Some((Ok(event), (hub, changes, room)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

fn view(hub: &Hub, room: &str) -> RoomView {
    let state = hub.lock();
    let participants = state
        .rooms
        .get(room)
        .map(|entry| participants(&entry.room))
        .unwrap_or_default();
    RoomView {
        room: room.to_owned(),
        participants,
    }
}

fn participants(room: &Room) -> Vec<ParticipantView> {
    let shown = room.participants().iter().filter(|one| !one.profile.permissions.hidden);
    shown.map(ParticipantView::from).collect()
}

impl From<&Participant> for ParticipantView {
    fn from(participant: &Participant) -> Self {
        Self {
            sid: participant.sid.0.clone(),
            identity: participant.profile.identity.clone(),
            name: participant.profile.name.clone(),
            metadata: participant.profile.metadata.clone(),
            state: if participant.is_active() { "active" } else { "joining" },
            tracks: participant.tracks().map(TrackView::from).collect(),
        }
    }
}

impl From<&Track> for TrackView {
    fn from(track: &Track) -> Self {
        Self {
            sid: track.sid.0.clone(),
            kind: match track.kind {
                althing_media_core::MediaKind::Audio => "audio",
                _ => "video",
            },
            source: track.source.as_str(),
            codec: format!("{:?}", track.codec.codec).to_uppercase(),
            muted: track.muted,
            layers: track.rids.iter().map(|rid| rid.0.to_string()).collect(),
        }
    }
}
