//! The requests about recordings.

use std::time::{Duration, SystemTime};

use althing_signalling::token::Claims;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::thread::Status;
use super::{Recorder, Wish, room};

/// Longest body, in bytes.
const MAX_REQUEST: usize = 4096;

/// A refusal: a status and one sentence.
type Refusal = (StatusCode, &'static str);

const NOT_RECORDED: Refusal = (StatusCode::NOT_FOUND, "The room is not recorded.");

/// All routes.
pub(crate) fn routes(recorder: Recorder) -> Router {
    Router::new()
        .route("/recordings/{room}", get(show).post(begin).delete(end))
        .route("/recordings/{room}/answer", post(answer))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(recorder)
}

async fn begin(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Status>), Response> {
    let claims = authorize(&recorder, &headers).map_err(IntoResponse::into_response)?;
    if !may_record(&claims, &room) {
        let sentence = "The access token does not allow to record this room.";
        return Err((StatusCode::FORBIDDEN, sentence).into_response());
    }
    let asked_by = claims.identity().map(str::to_owned);
    let status = room::begin(&recorder, &room, asked_by).await;
    status
        .map(|status| (StatusCode::CREATED, Json(status)))
        .map_err(|(status, sentence)| (status, sentence).into_response())
}

async fn show(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Status>, Refusal> {
    let claims = authorize(&recorder, &headers)?;
    if !claims.video.joins(&room) && !may_record(&claims, &room) {
        return Err((StatusCode::FORBIDDEN, "The access token is for another room."));
    }
    let running = recorder.running();
    let running = running.get(&room).ok_or(NOT_RECORDED)?;
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
    let claims = authorize(&recorder, &headers)?;
    let identity = claims.identity().filter(|_| claims.video.joins(&room));
    let Some(identity) = identity else {
        return Err((StatusCode::FORBIDDEN, "The access token is for another room."));
    };
    wish(&recorder, &room, Wish::Answer(identity.to_owned(), answer.agrees)).await
}

async fn end(
    State(recorder): State<Recorder>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let claims = authorize(&recorder, &headers)?;
    if !may_record(&claims, &room) {
        let sentence = "The access token does not allow to record this room.";
        return Err((StatusCode::FORBIDDEN, sentence));
    }
    wish(&recorder, &room, Wish::Stop).await
}

async fn wish(recorder: &Recorder, room: &str, wish: Wish) -> Result<StatusCode, Refusal> {
    let wishes = recorder.running().get(room).map(|running| running.wishes.clone());
    let sent = wishes.ok_or(NOT_RECORDED)?.send(wish).await;
    sent.map(|()| StatusCode::ACCEPTED).map_err(|_| NOT_RECORDED)
}

fn may_record(claims: &Claims, room: &str) -> bool {
    claims.video.administers(room) || claims.video.room_record && claims.video.room == room
}

fn authorize(recorder: &Recorder, headers: &HeaderMap) -> Result<Claims, Refusal> {
    let missing = (
        StatusCode::UNAUTHORIZED,
        "The request has no access token: send it as `Authorization: Bearer …`.",
    );
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = header.and_then(|value| value.trim().split_once(' ')).ok_or(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing);
    }
    let now: Duration = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let invalid = |_| {
        (
            StatusCode::UNAUTHORIZED,
            "The access token is not valid, or not any more.",
        )
    };
    recorder.0.keys.verify(token.trim(), now).map_err(invalid)
}
