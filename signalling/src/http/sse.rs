//! What a WHEP session shows, as server-sent events: whether someone publishes, and which layers there are.
//!
//! draft-ietf-wish-whep-03, "Server Sent Events extension": `active`, `inactive` and `layers`. The state of a stream is in
//! its address and its connection; nothing is kept for one that is not read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Weak};

use althing_media_core::payload::MediaKind;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::{Stream, iter, unfold};
use serde::Serialize;
use tokio::sync::watch;

use super::request::{self, JSON, Options};
use crate::hub::{Hub, Shared};
use crate::problem::Problem;
use crate::room::Track;
use crate::session::{Door, Session, SessionId, shown};

/// The types that there are.
pub(super) const EVENTS: [&str; 3] = ["active", "inactive", "layers"];

/// What a client was told last.
#[derive(Debug, Default, Clone, PartialEq)]
struct Told {
    active: bool,
    layers: Option<Layers>,
}

/// By place of the media section.
type Layers = BTreeMap<usize, Vec<Layer>>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    rid: String,
    spatial_layer_id: usize,
}

/// Makes the address of a stream. The body may name the wanted types.
pub(super) async fn post(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    request::authorize_session(&hub, request::bearer(&headers)?, &room, &SessionId(id), Door::Whep)?;
    let wanted: Vec<String> = if headers.contains_key(header::CONTENT_TYPE) {
        let malformed = |_| Problem::new(StatusCode::BAD_REQUEST, "The body is not a JSON array of event types.");
        serde_json::from_str(&request::text(&headers, body, JSON).await?).map_err(malformed)?
    } else {
        Vec::new()
    };
    let known: Vec<&str> = EVENTS
        .into_iter()
        .filter(|kind| wanted.is_empty() || wanted.iter().any(|one| one == kind))
        .collect();
    let location = format!("{}?events={}", request::base(uri.path(), 0), known.join(","));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// The stream.
pub(super) async fn get(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    Query(options): Query<Options>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let token = request::reader_token(&headers, &options)?;
    let id = SessionId(id);
    request::authorize_session(&hub, token, &room, &id, Door::Whep)?;
    let mut changes = hub.listen(&room)?;
    changes.mark_changed();
    let wanted: Vec<&str> = match &options.events {
        Some(list) => EVENTS
            .into_iter()
            .filter(|kind| list.split(',').any(|one| one == *kind))
            .collect(),
        None => EVENTS.to_vec(),
    };
    let start = (Arc::downgrade(&hub), changes, id, Told::default());
    let stream = unfold(
        start,
        |(hub, mut changes, id, told): (Weak<Hub>, watch::Receiver<u64>, _, _)| async move {
            changes.changed().await.ok()?;
            // The stream ends with its session.
            let now = look(&*hub.upgrade()?, &id)?;
            let events = tell(&told, &now);
            Some((iter(events), (hub, changes, id, now)))
        },
    );
    let stream = stream.flatten().filter_map(move |(kind, event)| {
        let event = wanted.contains(&kind).then_some(Ok(event));
        std::future::ready(event)
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// A stream is nothing but its connection: there is nothing to delete.
pub(super) async fn delete(
    State(hub): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    request::authorize_session(&hub, request::bearer(&headers)?, &room, &SessionId(id), Door::Whep)?;
    Ok(StatusCode::OK)
}

/// What the session shows; `None` when it is over.
fn look(hub: &Hub, id: &SessionId) -> Option<Told> {
    let state = hub.lock();
    let session: &Session = state.sessions.get(id)?;
    let room = &state.rooms.get(&session.room)?.room;
    let view = room.connection(session.connection)?.view.as_ref()?;
    let video = session.outlets.iter().filter(|outlet| outlet.kind == MediaKind::Video);
    let layers = video.filter_map(|outlet| Some((outlet.index, layers(shown(room, session, outlet)?))));
    let layers: Layers = layers.collect();
    Some(Told {
        active: view.shown.is_some(),
        layers: (!layers.is_empty()).then_some(layers),
    })
}

fn layers(track: &Track) -> Vec<Layer> {
    let layer = |(index, rid): (usize, &althing_media_core::Rid)| Layer {
        rid: rid.0.to_string(),
        spatial_layer_id: index,
    };
    track.rids.iter().enumerate().map(layer).collect()
}

/// The events that lead from the one state to the other.
fn tell(before: &Told, now: &Told) -> Vec<(&'static str, Event)> {
    let mut events = Vec::new();
    if now.active != before.active {
        let kind = if now.active { "active" } else { "inactive" };
        events.push((kind, Event::default().event(kind).data("{}")));
    }
    if let Some(layers) = now
        .layers
        .as_ref()
        .filter(|layers| before.layers.as_ref() != Some(*layers))
        && let Ok(event) = Event::default().event("layers").json_data(layers)
    {
        events.push(("layers", event));
    }
    events
}
