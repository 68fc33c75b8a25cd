//! Mute: a publisher tells that they send no sound or no picture for a while.
//!
//! Not part of RFC 9725. `POST /whip/{room}/{session}/mute` with `{"kind":"audio","muted":true}`: the track stays
//! published, nothing of it is forwarded, and listings of the room show it as muted.

use althing_media_core::payload::MediaKind;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::request::{self, JSON};
use crate::hub::Shared;
use crate::problem::Problem;
use crate::room::TrackSid;
use crate::session::{Door, SessionId};

#[derive(Debug, Deserialize)]
struct Wish {
    kind: Kind,
    muted: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Audio,
    Video,
}

/// Mutes or unmutes all tracks of one kind of the session. Muting what is muted changes nothing.
pub(super) async fn post(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let session = request::authorize_session(&hub, request::bearer(&headers)?, &room, &SessionId(id), Door::Whip)?;
    let body = request::text(&headers, body, JSON).await?;
    let malformed = |_| {
        let sentence = "The body is not a JSON object with a kind (audio or video) and muted (true or false).";
        Problem::new(StatusCode::BAD_REQUEST, sentence)
    };
    let wish: Wish = serde_json::from_str(&body).map_err(malformed)?;
    let kind = match wish.kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
    };
    let muted = hub.with_room(&room, |room| {
        let tracks = room.connection(session.connection).map(|one| one.tracks.as_slice());
        let of_kind = tracks.unwrap_or_default().iter().filter(|track| track.kind == kind);
        let sids: Vec<TrackSid> = of_kind.map(|track| track.sid.clone()).collect();
        for sid in &sids {
            room.mute(sid, wish.muted);
        }
        !sids.is_empty()
    });
    match muted {
        Some(true) => Ok(StatusCode::NO_CONTENT),
        Some(false) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "The session publishes no track of that kind.",
        )),
        None => Err(Problem::no_session()),
    }
}
