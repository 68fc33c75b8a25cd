//! What all handlers need of a request: who sends it, its body, where it was sent to.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use crate::body;
use crate::hub::{Hub, unix_now};
use crate::problem::Problem;
use crate::room::Profile;
use crate::session::{Door, Session, SessionId};
use crate::token::Claims;

/// The type of a session description (RFC 8866 §8.1).
pub(super) const SDP: &str = "application/sdp";

/// The type of a fragment (RFC 8840 §9).
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The type of a layer selection.
pub(super) const JSON: &str = "application/json";

/// Longest body, in bytes. Browsers write about 6 kB for two media sections.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Longest name of a room or participant, in bytes.
const MAX_NAME: usize = 256;

/// What may stand behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    /// `camera` (as is usual) or `screen_share`: which tracks of a participant.
    source: Option<String>,
    /// A token where a header is not possible: an event source of a browser.
    access_token: Option<String>,
    /// Types of server-sent events, with commas between them.
    pub(super) events: Option<String>,
}

impl Options {
    /// The screen instead of the person.
    pub(super) fn screen(&self) -> Result<bool, Problem> {
        match self.source.as_deref() {
            None | Some("camera") => Ok(false),
            Some("screen_share") => Ok(true),
            Some(_) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "The source must be camera or screen_share.",
            )),
        }
    }
}

/// The claims of a token that is valid now and lets into the room.
pub(super) fn authorize(hub: &Hub, headers: &HeaderMap, room: &str) -> Result<Claims, Problem> {
    let claims = hub.config.keys.verify(bearer(headers)?, unix_now())?;
    enter(claims, room)
}

/// The same, also with a token in the query; managing the room is enough.
pub(super) fn authorize_reader(
    hub: &Hub,
    headers: &HeaderMap,
    options: &Options,
    room: &str,
) -> Result<Claims, Problem> {
    let claims = hub.config.keys.verify(reader_token(headers, options)?, unix_now())?;
    if claims.video.administers(room) {
        Ok(claims)
    } else {
        enter(claims, room)
    }
}

/// The token in the header, or in the query.
pub(super) fn reader_token<'a>(headers: &'a HeaderMap, options: &'a Options) -> Result<&'a str, Problem> {
    match (bearer(headers), options.access_token.as_deref()) {
        (Err(_), Some(token)) => Ok(token),
        (token, _) => token,
    }
}

/// The session that is meant, for a token that lets into the room and names the same participant. It may have expired:
/// a session must be able to go on and to end after the token that it was made with.
pub(super) fn authorize_session(
    hub: &Hub,
    token: &str,
    room: &str,
    id: &SessionId,
    door: Door,
) -> Result<Session, Problem> {
    let claims = hub.config.keys.verify_signature(token)?;
    let admin = claims.video.administers(room);
    let claims = if admin { claims } else { enter(claims, room)? };
    let session = hub.lock().sessions.get(id).cloned();
    let session = session.filter(|session| session.room == room && session.door == door);
    let session = session.ok_or_else(Problem::no_session)?;
    if !admin && claims.identity() != Some(session.identity.as_str()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "The session belongs to another participant.",
        ));
    }
    Ok(session)
}

fn enter(claims: Claims, room: &str) -> Result<Claims, Problem> {
    if claims.video.joins(room) {
        return Ok(claims);
    }
    let sentence = if claims.video.room_join {
        "The access token is for another room."
    } else {
        "The access token does not allow to join a room."
    };
    Err(Problem::new(StatusCode::FORBIDDEN, sentence))
}

/// Who the token names.
pub(super) fn profile(claims: &Claims) -> Result<Profile, Problem> {
    let nobody = || Problem::new(StatusCode::FORBIDDEN, "The access token names no participant.");
    Profile::of(claims)
        .filter(|profile| profile.identity.len() <= MAX_NAME)
        .ok_or_else(nobody)
}

/// The token in the Authorization header (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || {
        let sentence = "The request has no access token: send it as `Authorization: Bearer …`.";
        Problem::new(StatusCode::UNAUTHORIZED, sentence)
    };
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(missing)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(missing())
    }
}

/// Refuses names that nobody gives.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "There is no room or participant of that name.",
        ));
    }
    Ok(())
}

/// The body as text, if it has the wanted type and is not too long.
pub(super) async fn text(headers: &HeaderMap, body: Body, wanted: &'static str) -> Result<String, Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(wanted) {
        let sentence = format!("The content type must be {wanted}.");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    let bytes = body::read(body, MAX_BODY).await?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "The body is not UTF-8."))
}

/// The path as the client sees it, without its last `segments`: so that a resource below it has the prefix that the
/// router is mounted under.
pub(super) fn base(path: &str, segments: usize) -> &str {
    (0..segments).fold(path.trim_end_matches('/'), |path, _| {
        path.rsplit_once('/').map_or("", |(base, _)| base)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_keeps_the_prefix() {
        assert_eq!(base("/api/whip/a%20b", 0), "/api/whip/a%20b");
        assert_eq!(base("/whep/room/ada/", 1), "/whep/room");
        assert_eq!(base("/", 3), "");
    }

    #[test]
    fn finds_the_token() {
        let headers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            headers
        };
        assert_eq!(bearer(&headers("Bearer abc")), Ok("abc"));
        assert_eq!(bearer(&headers("bearer  abc ")), Ok("abc"));
        for bad in ["Basic abc", "abc", ""] {
            assert!(bearer(&headers(bad)).is_err(), "{bad}");
        }
        assert!(bearer(&HeaderMap::new()).is_err());
    }
}
