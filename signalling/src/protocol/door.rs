//! The paths of the protocol, and who is let in.
//!
//! | path | methods | |
//! |---|---|---|
//! | `/rtc/v1`, `/rtc` | GET | the WebSocket |
//! | `/rtc/v1/validate`, `/rtc/validate` | GET | why the WebSocket was refused |
//! | `/twirp/…` | POST | the server API |
//! | `/` | HEAD | is the server there? |

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, head, post};

use super::egress;
use super::join;
use super::service;
use super::session::{self, Attached, Newcomer};
use super::wire::{self, proto};
use crate::http::bearer;
use crate::hub::{Hub, Shared, unix_now};
use crate::problem::Problem;
use crate::room::{Departure, JoinError, Profile};
use crate::token::Claims;

/// Longest name of a room or participant, in bytes.
const MAX_NAME: usize = 256;

/// What is read of a WebSocket at once, in bytes: most messages are much shorter, and each client has a buffer of its own.
const READ_BUFFER: usize = 8 * 1024;

/// All routes.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/rtc/v1", get(connect))
        .route("/rtc", get(connect))
        .route("/rtc/v1/validate", get(validate))
        .route("/rtc/validate", get(validate))
        .route(
            "/twirp/livekit.RoomService/{method}",
            post(service::room).options(async || StatusCode::OK),
        )
        .route("/twirp/livekit.Egress/{method}", post(egress::call))
        .route("/twirp/{service}/{method}", post(service::other))
        .route("/", head(async || StatusCode::OK))
}

/// A request that is good.
struct Welcome {
    claims: Claims,
    profile: Profile,
    request: proto::JoinRequest,
    dual: bool,
}

async fn connect(
    State(hub): State<Shared>,
    Query(query): Query<join::Query>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let welcome = check(&hub, &query, &headers)?;
    let upgrade = upgrade.map_err(|_| {
        Problem::new(
            StatusCode::UPGRADE_REQUIRED,
            "This resource is a WebSocket: the request must ask for an upgrade.",
        )
    })?;
    let upgrade = upgrade
        .max_message_size(wire::MAX_FRAME)
        .max_frame_size(wire::MAX_FRAME)
        .read_buffer_size(READ_BUFFER);
    let room = welcome.claims.video.room.clone();
    if welcome.request.reconnect {
        let sid = &welcome.request.participant_sid;
        let known = hub.resume(&room, sid, &welcome.profile.identity);
        let state = welcome.request.sync_state;
        return Ok(upgrade.on_upgrade(async move |socket: WebSocket| match known {
            Some(known) => {
                // When it has ended in this moment, the closed socket tells the client to begin anew.
                let attached = Attached { socket, state };
                let _ = known.send(session::Command::Attach(Box::new(attached))).await;
            }
            None => session::turn_away(socket).await,
        }));
    }
    hub.prepare(&room, &welcome.claims)?;
    let entered = hub.enter(&room, &welcome.profile)?;
    let connection = entered.connection;
    let (failed, failed_room) = (hub.clone(), room.clone());
    let newcomer = Newcomer {
        hub,
        room,
        entered,
        claims: welcome.claims,
        request: welcome.request,
        dual: welcome.dual,
    };
    let upgrade = upgrade.on_failed_upgrade(move |_| {
        failed.with_room(&failed_room, |room| room.leave(connection, Departure::NotConnected));
    });
    Ok(upgrade.on_upgrade(|socket| newcomer.run(socket)))
}

async fn validate(
    State(hub): State<Shared>,
    Query(query): Query<join::Query>,
    headers: HeaderMap,
) -> Result<&'static str, Problem> {
    let Welcome { claims, profile, .. } = check(&hub, &query, &headers)?;
    let full = hub.with_room(&claims.video.room, |room| room.is_full_for(&profile.identity));
    if full == Some(true) {
        // Clients show the sentence of this status, and of no other that fits.
        return Err(Problem::new(StatusCode::FORBIDDEN, JoinError::RoomFull.to_string()));
    }
    Ok("success")
}

fn check(hub: &Hub, query: &join::Query, headers: &HeaderMap) -> Result<Welcome, Problem> {
    let token = match (bearer(headers), query.access_token.as_deref()) {
        (Ok(token), _) | (Err(_), Some(token)) => token,
        (Err(problem), None) => return Err(problem),
    };
    let claims = hub.config.keys.verify(token, unix_now())?;
    if !claims.video.room_join {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "The access token does not allow to join a room.",
        ));
    }
    let named = |name: &str| !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    if !named(&claims.video.room) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "The access token names no room."));
    }
    let profile = Profile::of(&claims).filter(|profile| named(&profile.identity));
    let profile =
        profile.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "The access token names no participant."))?;
    let (form, request) = join::read(query)?;
    // Who may not receive needs no second connection.
    let dual = form == join::Form::Dual && profile.permissions.subscribe;
    Ok(Welcome {
        claims,
        profile,
        request,
        dual,
    })
}
