//! Access tokens: for the person at the terminal, and for the page while the development key is in use.

use std::fmt;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use althing_signalling::token::{Claims, Keys, VideoGrant};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::arguments::TokenArguments;
use crate::settings::{DEVELOPMENT_KEY, DEVELOPMENT_SECRET, Settings};

/// How long a token of the page is good, in seconds: a long meeting.
const PAGE_SECONDS: u64 = 12 * 3600;
/// The room and the people of the tokens that `--dev` prints.
const DEVELOPMENT_ROOM: &str = "dev";
const DEVELOPMENT_PEOPLE: [&str; 2] = ["ada", "ben"];
/// Longest request for a token, in bytes.
const MAX_REQUEST: usize = 4096;
/// Longest identity that is made of a name, in letters.
const MAX_SLUG: usize = 24;

/// Why no token can be made.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum InvitationError {
    /// The configuration has no key of that name, and no secret was given.
    UnknownKey(String),
}

impl fmt::Display for InvitationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::UnknownKey(key) = self;
        write!(
            f,
            "the configuration has no key `{key}`; name the file with --config, or give its secret with --secret"
        )
    }
}

impl std::error::Error for InvitationError {}

/// The keys of the configuration, as the checker of tokens wants them.
pub(crate) fn keys(settings: &Settings) -> Keys {
    let mut keys = Keys::default();
    for (name, secret) in settings.keys() {
        keys.insert(&name, &secret);
    }
    keys
}

/// Makes the token that was asked for at the terminal.
///
/// # Errors
/// [`InvitationError`].
pub(crate) fn make(settings: &Settings, wanted: &TokenArguments) -> Result<String, InvitationError> {
    let mut keys = keys(settings);
    let key = wanted.key.clone().unwrap_or_else(|| settings.first_key());
    if let Some(secret) = &wanted.secret {
        keys.insert(&key, secret);
    }
    let grant = VideoGrant {
        room_join: true,
        room: wanted.room.clone(),
        can_publish: Some(!wanted.watch),
        can_update_own_metadata: true, // who raises a hand says so in the own attributes
        can_subscribe: Some(!wanted.publish),
        room_record: wanted.record,
        room_admin: wanted.admin,
        ..VideoGrant::default()
    };
    let mut claims = Claims::new(&wanted.identity, grant, in_seconds(u64::from(wanted.hours) * 3600));
    claims.name = wanted.name.clone().unwrap_or_default();
    keys.mint(&key, &claims).ok_or(InvitationError::UnknownKey(key))
}

/// What `--dev` prints: two people's tokens for one room, and the links that let them in. `address` is where the page is.
pub(crate) fn ready_made(settings: &Settings, address: &str) -> String {
    let keys = keys(settings);
    let mut text = format!(
        "\nFor tests on this machine: key {DEVELOPMENT_KEY}, secret {DEVELOPMENT_SECRET}; SDKs connect to ws://{address}\n"
    );
    for identity in DEVELOPMENT_PEOPLE {
        let grant = VideoGrant {
            room_join: true,
            room: DEVELOPMENT_ROOM.to_owned(),
            can_update_own_metadata: true,
            ..VideoGrant::default()
        };
        let token = keys.mint(DEVELOPMENT_KEY, &Claims::new(identity, grant, in_seconds(PAGE_SECONDS)));
        let token = token.unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{identity} in room {DEVELOPMENT_ROOM}, for 12 hours:\n  page   http://{address}/#token={token}\n  token  {token}\n"
        );
    }
    text
}

/// `POST /dev/token`: a token for whoever asks. Only mounted while the development key is in use.
pub(crate) fn routes(settings: &Settings) -> Router {
    Router::new()
        .route("/dev/token", post(for_page))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(Arc::new(keys(settings)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    room: String,
    name: String,
    publish: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    token: String,
}

async fn for_page(
    State(keys): State<Arc<Keys>>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Result<Json<Answer>, (StatusCode, &'static str)> {
    if !is_local(&headers) {
        return Err((
            StatusCode::FORBIDDEN,
            "development tokens are only for pages of this machine\n",
        ));
    }
    if request.room.trim().is_empty() || request.name.trim().is_empty() {
        return Err((StatusCode::BAD_REQUEST, "room and name may not be empty\n"));
    }
    let grant = VideoGrant {
        room_join: true,
        room: request.room,
        can_publish: Some(request.publish),
        can_update_own_metadata: true,
        room_record: request.publish,
        ..VideoGrant::default()
    };
    let mut claims = Claims::new(&identity(&request.name), grant, in_seconds(PAGE_SECONDS));
    claims.name = request.name;
    let token = keys.mint(DEVELOPMENT_KEY, &claims);
    token
        .map(|token| Json(Answer { token }))
        .ok_or((StatusCode::NOT_FOUND, "there is no development key\n"))
}

/// Whether the page was asked for by a name of this machine. A stranger's page whose name was pointed at us ("DNS
/// rebinding") says another one.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A name that two Annas do not share.
fn identity(name: &str) -> String {
    let letter = |letter: char| {
        if letter.is_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let slug: String = name.trim().chars().take(MAX_SLUG).map(letter).collect();
    // Randomly seeded by the standard library; it need not be hard to guess, only rare.
    let number = RandomState::new().hash_one(SystemTime::now()) & 0xff_ffff;
    format!("{slug}-{number:06x}")
}

/// So many seconds from now, since 1970.
fn in_seconds(seconds: u64) -> Duration {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    now + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(key: Option<&str>, secret: Option<&str>) -> TokenArguments {
        TokenArguments {
            room: "hall".to_owned(),
            identity: "anna".to_owned(),
            name: None,
            publish: false,
            watch: true,
            record: false,
            admin: false,
            hours: 1,
            key: key.map(str::to_owned),
            secret: secret.map(str::to_owned),
        }
    }

    #[test]
    fn a_token_from_the_terminal_is_accepted_and_says_what_was_asked_for() {
        let settings = Settings::default();
        let token = make(&settings, &wanted(None, None)).unwrap();
        let claims = keys(&settings).verify(&token, in_seconds(0)).unwrap();
        assert_eq!((claims.identity(), claims.video.room.as_str()), (Some("anna"), "hall"));
        assert!(claims.video.subscribes() && !claims.video.publishes());
        assert!(
            keys(&settings).verify(&token, in_seconds(2 * 3600)).is_err(),
            "it expires"
        );
    }

    #[test]
    fn ready_made_tokens_let_two_people_into_one_room() {
        let settings = Settings::default();
        let text = ready_made(&settings, "localhost:7880");
        let tokens: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("  token  ")).collect();
        let claims: Vec<Claims> = tokens
            .iter()
            .map(|token| keys(&settings).verify(token, in_seconds(0)).unwrap())
            .collect();
        assert!(claims.iter().all(|one| one.video.joins("dev")));
        assert!(claims.len() == 2 && claims[0].identity() != claims[1].identity());
        for token in tokens {
            assert!(text.contains(&format!("http://localhost:7880/#token={token}\n")));
        }
    }

    #[test]
    fn an_unknown_key_needs_its_secret() {
        let settings = Settings::default();
        assert_eq!(
            make(&settings, &wanted(Some("hall"), None)).unwrap_err(),
            InvitationError::UnknownKey("hall".to_owned())
        );
        let token = make(&settings, &wanted(Some("hall"), Some("a secret of its own"))).unwrap();
        assert!(
            keys(&settings).verify(&token, in_seconds(0)).is_err(),
            "this server does not know that key"
        );
    }

    #[test]
    fn only_names_of_this_machine_count_as_local() {
        for (host, local) in [
            ("localhost:7880", true),
            ("127.0.0.1:7880", true),
            ("[::1]:7880", true),
            ("LOCALHOST", true),
            ("localhost.example:7880", false),
            ("192.0.2.1", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            assert_eq!(is_local(&headers), local, "{host:?}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }

    #[test]
    fn identities_are_readable_and_differ() {
        let (one, other) = (identity("Anna Å."), identity("Anna Å."));
        assert!(one.starts_with("anna-Å-"), "{one}");
        assert_ne!(one, other);
    }
}
