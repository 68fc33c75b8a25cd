//! Publishing by WHIP: an offer comes in, an answer goes out, and the session has an address of its own.
//!
//! RFC 9725. Trickle ICE and ICE restart by PATCH; no STUN or TURN servers are handed out (our address is reachable), no
//! redirects, no extensions.

use axum::body::Body;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::request::{self, FRAGMENT, Options, SDP};
use crate::hub::{Hub, Shared};
use crate::problem::Problem;
use crate::sdp::{Description, Fragment};
use crate::session::{self, Created, Door, Patched, Purpose, SessionId};

/// A new session.
pub(super) async fn post(
    State(hub): State<Shared>,
    Path(room): Path<String>,
    Query(options): Query<Options>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    request::check_name(&room)?;
    let claims = request::authorize(&hub, &headers, &room)?;
    let profile = request::profile(&claims)?;
    if !profile.permissions.publish {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "The access token does not allow to publish.",
        ));
    }
    let screen = options.screen()?;
    let offer = Description::parse(&request::text(&headers, body, SDP).await?)?;
    hub.prepare(&room, &claims)?;
    let created = session::create(&hub, &room, &profile, Purpose::Publish { screen }, &offer).await?;
    Ok(created_response(&created, request::base(uri.path(), 0), Vec::new()))
}

/// Candidates, or an ICE restart.
pub(super) async fn patch(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    patch_session(&hub, &room, SessionId(id), Door::Whip, &headers, body).await
}

/// The end.
pub(super) async fn delete(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    delete_session(&hub, &room, &SessionId(id), Door::Whip, &headers)
}

/// The answer to an offer that was accepted (RFC 9725 §4.2). `links` are values of Link headers.
pub(super) fn created_response(created: &Created, base: &str, links: Vec<String>) -> Response {
    let location = format!("{base}/{}", created.id.0);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, created.etag.clone()),
        (header::HeaderName::from_static("accept-patch"), FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, created.answer.clone()).into_response();
    for link in links.iter().filter_map(|link| link.parse().ok()) {
        response.headers_mut().append(header::LINK, link);
    }
    response
}

/// PATCH for both protocols (RFC 9725 §4.3).
pub(super) async fn patch_session(
    hub: &Shared,
    room: &str,
    id: SessionId,
    door: Door,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    request::authorize_session(hub, request::bearer(headers)?, room, &id, door)?;
    let fragment = Fragment::parse(&request::text(headers, body, FRAGMENT).await?)?;
    let if_match = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    Ok(match session::patch(hub, &id, if_match, fragment).await? {
        Patched::Trickled => StatusCode::NO_CONTENT.into_response(),
        Patched::Restarted { etag, fragment } => {
            let headers = [(header::CONTENT_TYPE, FRAGMENT.to_owned()), (header::ETAG, etag)];
            (StatusCode::OK, headers, fragment).into_response()
        }
    })
}

/// DELETE for both protocols (RFC 9725 §4.2).
pub(super) fn delete_session(
    hub: &Hub,
    room: &str,
    id: &SessionId,
    door: Door,
    headers: &HeaderMap,
) -> Result<StatusCode, Problem> {
    request::authorize_session(hub, request::bearer(headers)?, room, id, door)?;
    session::delete(hub, id)?;
    Ok(StatusCode::OK)
}
