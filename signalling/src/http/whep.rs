//! Watching by WHEP: as WHIP, with the media going the other way.
//!
//! draft-ietf-wish-whep-03, with the extensions for layer selection and server-sent events. A session is accepted also when
//! nobody publishes yet: it gets its picture when someone does.

use axum::body::Body;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::request::{self, Options, SDP};
use super::{sse, whip};
use crate::hub::Shared;
use crate::problem::Problem;
use crate::room::Target;
use crate::sdp::Description;
use crate::session::{self, Door, Purpose, SessionId};

/// Watches whoever publishes in the room.
pub(super) async fn post(
    State(hub): State<Shared>,
    Path(room): Path<String>,
    Query(options): Query<Options>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let target = Target {
        identity: None,
        screen: options.screen()?,
    };
    watch(&hub, &room, target, request::base(uri.path(), 0), (&headers, body)).await
}

/// Watches one participant.
pub(super) async fn post_participant(
    State(hub): State<Shared>,
    Path((room, participant)): Path<(String, String)>,
    Query(options): Query<Options>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    request::check_name(&participant)?;
    let target = Target {
        identity: Some(participant),
        screen: options.screen()?,
    };
    watch(&hub, &room, target, request::base(uri.path(), 1), (&headers, body)).await
}

/// Candidates, or an ICE restart.
pub(super) async fn patch(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    whip::patch_session(&hub, &room, SessionId(id), Door::Whep, &headers, body).await
}

/// The end.
pub(super) async fn delete(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    whip::delete_session(&hub, &room, &SessionId(id), Door::Whep, &headers)
}

async fn watch(
    hub: &Shared,
    room: &str,
    target: Target,
    base: &str,
    (headers, body): (&HeaderMap, Body),
) -> Result<Response, Problem> {
    request::check_name(room)?;
    let claims = request::authorize(hub, headers, room)?;
    let profile = request::profile(&claims)?;
    if !profile.permissions.subscribe {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "The access token does not allow to watch.",
        ));
    }
    let offer = Description::parse(&request::text(headers, body, SDP).await?)?;
    hub.prepare(room, &claims)?;
    let created = session::create(hub, room, &profile, Purpose::Watch(target), &offer).await?;
    let link = |path: &str, rel: &str| format!("<{base}/{}/{path}>; rel=\"{rel}\"", created.id.0);
    let links = vec![
        link("layer", "urn:ietf:params:whep:ext:core:layer"),
        link("sse", "urn:ietf:params:whep:ext:core:server-sent-events")
            + &format!("; events=\"{}\"", sse::EVENTS.join(",")),
    ];
    Ok(whip::created_response(&created, base, links))
}
