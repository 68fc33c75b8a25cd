//! The requests about recordings.

use althing_signalling::token::Claims;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::index::{self, Page};
use super::room::Asked;
use super::thread::Status;
use super::{Recorder, Wish, archive, egress, room, watch};

/// Longest body, in bytes.
const MAX_REQUEST: usize = 4096;

/// A refusal: a status and one sentence.
pub(super) type Refusal = (StatusCode, String);

pub(super) fn not_recorded() -> Refusal {
    (StatusCode::NOT_FOUND, "The room is not recorded.".to_owned())
}

pub(super) fn other_room() -> Refusal {
    (
        StatusCode::FORBIDDEN,
        "The access token is for another room.".to_owned(),
    )
}

/// Who may begin and end a recording of this room.
pub(super) fn recording_of(recorder: &Recorder, headers: &HeaderMap, room: &str) -> Result<Claims, Refusal> {
    let claims = recorder.0.signalling.claims(headers)?;
    let sentence = "The access token does not allow to record this room.";
    let refusal = || (StatusCode::FORBIDDEN, sentence.to_owned());
    may_record(&claims, room).then_some(claims).ok_or_else(refusal)
}

/// All routes.
pub(crate) fn routes(recorder: Recorder) -> Router {
    Router::new()
        .route("/recordings", get(list))
        .route("/recordings/{room}", get(show).post(begin).delete(end))
        .route("/recordings/{room}/answer", post(answer))
        .route("/recordings/{room}/chapters", post(mark))
        .route("/recordings/{room}/live/{file}", get(watch::get))
        .merge(archive::routes())
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(recorder)
}

/// Who may record a room may see what there is of it; of all rooms, who may list those too.
async fn list(
    State(recorder): State<Recorder>,
    Query(wanted): Query<index::Query>,
    headers: HeaderMap,
) -> Result<Json<Page>, Refusal> {
    match &wanted.room {
        Some(room) => drop(recording_of(&recorder, &headers, room)?),
        None => {
            let video = recorder.0.signalling.claims(&headers)?.video;
            if !(video.room_record && video.room_list) {
                let sentence = "The access token does not allow to list all recordings.";
                return Err((StatusCode::FORBIDDEN, sentence.to_owned()));
            }
        }
    }
    let listed = spawn_blocking(move || recorder.0.index.list(&wanted)).await;
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "the index of recordings cannot be read");
        let sentence = "The list of recordings cannot be read.";
        (StatusCode::INTERNAL_SERVER_ERROR, sentence.to_owned())
    };
    let page = listed.map_err(|error| unreadable(&error))?;
    Ok(Json(page.map_err(|error| unreadable(&error))?))
}

async fn begin(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Status>), Refusal> {
    let claims = recording_of(&recorder, &headers, &room)?;
    let mut asked = Asked::all();
    asked.by = claims.identity().map(str::to_owned);
    // On its own: the server API hears of it, too, when who has asked hangs up.
    let begun = tokio::spawn(async move {
        let begun = room::begin(&recorder, &room, asked).await?;
        let status = begun.status.borrow().clone();
        let job = recorder.0.signalling.announce_egress(&room);
        tokio::spawn(egress::follow(job, begun));
        Ok((StatusCode::CREATED, Json(status)))
    });
    let stops = |_| (StatusCode::SERVICE_UNAVAILABLE, "The server stops.".to_owned());
    begun.await.map_err(stops)?
}

async fn show(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Status>, Refusal> {
    let claims = recorder.0.signalling.claims(&headers)?;
    if !claims.video.joins(&room) && !may_record(&claims, &room) {
        return Err(other_room());
    }
    let running = recorder.running();
    let running = running.get(&room).ok_or_else(not_recorded)?;
    Ok(Json(running.status.borrow().clone()))
}

/// What somebody says to the question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    agrees: bool,
}

async fn answer(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
    Json(answer): Json<Answer>,
) -> Result<StatusCode, Refusal> {
    let claims = recorder.0.signalling.claims(&headers)?;
    let identity = claims.identity().filter(|_| claims.video.joins(&room));
    let Some(identity) = identity else {
        return Err(other_room());
    };
    wish(&recorder, &room, Wish::Answer(identity.to_owned(), answer.agrees)).await
}

/// A place that somebody marks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chapter {
    title: String,
}

async fn mark(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
    Json(chapter): Json<Chapter>,
) -> Result<StatusCode, Refusal> {
    recording_of(&recorder, &headers, &room)?;
    wish(&recorder, &room, Wish::Chapter(chapter.title)).await
}

async fn end(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    recording_of(&recorder, &headers, &room)?;
    wish(&recorder, &room, Wish::Stop).await
}

async fn wish(recorder: &Recorder, room: &str, wish: Wish) -> Result<StatusCode, Refusal> {
    let wishes = recorder.running().get(room).map(|running| running.wishes.clone());
    let sent = wishes.ok_or_else(not_recorded)?.send(wish).await;
    sent.map(|()| StatusCode::ACCEPTED).map_err(|_| not_recorded())
}

pub(super) fn may_record(claims: &Claims, room: &str) -> bool {
    claims.video.administers(room) || claims.video.room_record && claims.video.room == room
}
