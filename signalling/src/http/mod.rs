//! The HTTP door: paths, CORS, and what all handlers need of a request.
//!
//! | path | methods | |
//! |---|---|---|
//! | `/whip/{room}` | POST | publish (RFC 9725) |
//! | `/whip/{room}/{session}` | PATCH, DELETE | candidates and ICE restart; the end |
//! | `/whip/{room}/{session}/mute` | POST | tell that nothing is sent for a while |
//! | `/whep/{room}` | POST | watch who publishes (draft-ietf-wish-whep) |
//! | `/whep/{room}/{participant}` | POST | watch one participant |
//! | `/whep/{room}/{session}` | PATCH, DELETE | as above |
//! | `/whep/{room}/{session}/layer` | POST | layer selection |
//! | `/whep/{room}/{session}/sse` | POST, GET, DELETE | what there is to select, as server-sent events |
//! | `/rooms/{room}` | GET | participants and tracks |
//! | `/rooms/{room}/events` | GET | the same at every change, as server-sent events |
//!
//! OPTIONS works everywhere. Refusals have a status and one sentence.

mod layer;
mod listing;
mod mute;
mod request;
mod sse;
mod whep;
mod whip;

pub(crate) use request::bearer;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};

use crate::hub::Shared;
use crate::problem::Problem;

/// Headers of answers that a page of another origin may read.
const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate";

/// Headers that a page of another origin may send. `*` would leave out Authorization (Fetch standard).
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, If-Match";

/// How long a browser may remember that, in seconds.
const MAX_AGE: &str = "86400";

/// All routes.
pub(crate) fn router(hub: Shared) -> Router {
    let session = || patch(whip::patch).delete(whip::delete).options(options);
    Router::new()
        .route("/whip/{room}", post(whip::post).options(options))
        .route("/whip/{room}/{session}", session())
        .route("/whip/{room}/{session}/mute", post(mute::post).options(options))
        .route("/whep/{room}", post(whep::post).options(options))
        .route(
            "/whep/{room}/{name}",
            post(whep::post_participant)
                .patch(whep::patch)
                .delete(whep::delete)
                .options(options),
        )
        .route("/whep/{room}/{session}/layer", post(layer::post).options(options))
        .route(
            "/whep/{room}/{session}/sse",
            post(sse::post).get(sse::get).delete(sse::delete).options(options),
        )
        .route("/rooms/{room}", get(listing::get).options(options))
        .route("/rooms/{room}/events", get(listing::events).options(options))
        .merge(crate::protocol::routes())
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(cors))
        .with_state(hub)
}

/// Says what may be sent (RFC 9725 §4.2).
async fn options() -> Response {
    (
        StatusCode::OK,
        [("accept-post", request::SDP), ("accept-patch", request::FRAGMENT)],
    )
        .into_response()
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This resource does not know that method.",
    )
}

/// Every origin may ask: who has no token gets nothing.
async fn cors(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(ALLOWED_HEADERS),
        );
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }
    response
}
