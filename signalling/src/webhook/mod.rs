//! Webhooks: servers of the application are told what happens in rooms.
//!
//! Each event is one POST in the form of the room protocol (`docs/protocol.md`): a `WebhookEvent` in JSON, and a token
//! that is signed with an API secret and vouches for the body. Events of one room reach each receiver in order, one after
//! another; what a receiver does not take is sent again, and in the end given up and counted ([`Figures`]). No room ever
//! waits: telling is to put something at the end of a line.
//!
//! | file | one idea |
//! |---|---|
//! | `event` | what a change of a room is called |
//! | `line` | the events of one room on their way to one receiver: order, patience, bounds; without clock and sockets |
//! | `outbox` | all lines, and the tasks that empty them |
//! | `post` | one request |
//!
//! It does not keep anything over a restart of the server, and never follows a redirect.

mod event;
mod line;
mod outbox;
mod post;

use std::error::Error;
use std::fmt;
use std::io;

use axum::http::Uri;
use axum::http::uri::Scheme;

pub use line::{GIVE_UP_AFTER, MAX_WAITING, RETRY_AFTER, RETRY_AFTER_AT_MOST};
pub(crate) use outbox::Webhooks;
pub use outbox::{Figures, MAX_WAITING_BYTES};

use crate::token::{Claims, Keys};
use post::Post;

/// Where webhooks go, and who signs them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Receivers {
    urls: Vec<Uri>,
    post: Post,
}

/// Why webhooks cannot be sent there.
#[derive(Debug)]
#[non_exhaustive]
pub enum WebhookError {
    /// Not an address of the form `http://host/path` or `https://host/path`.
    Url(String),
    /// There is no key of that name.
    UnknownKey(String),
    /// The system has no certificates to check an `https` receiver with.
    NoCertificates(io::Error),
}

impl Receivers {
    /// Receivers at these addresses; every event goes to each. The token is signed with the key named `key`.
    ///
    /// # Errors
    ///
    /// [`WebhookError`].
    pub fn new(urls: &[String], key: &str, keys: &Keys) -> Result<Self, WebhookError> {
        if keys.mint(key, &Claims::default()).is_none() {
            return Err(WebhookError::UnknownKey(key.to_owned()));
        }
        let urls: Vec<Uri> = urls.iter().map(|url| address(url)).collect::<Result<_, _>>()?;
        let secure = urls.iter().any(|url| url.scheme() == Some(&Scheme::HTTPS));
        let post = Post::new(key, keys, secure).map_err(WebhookError::NoCertificates)?;
        Ok(Self { urls, post })
    }
}

fn address(url: &str) -> Result<Uri, WebhookError> {
    let wrong = || WebhookError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let scheme = uri
        .scheme()
        .is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
    // A password in the address would be written to logs and is not sent by anybody any more.
    let plain = uri.authority().is_some_and(|one| {
        let port = one.as_str().len() == one.host().len() || one.port_u16().is_some();
        !one.host().is_empty() && !one.as_str().contains('@') && port
    });
    if scheme && plain { Ok(uri) } else { Err(wrong()) }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "`{url}` is no address of the form https://host/path or http://host/path"
            ),
            Self::UnknownKey(key) => write!(f, "there is no key `{key}` to sign webhooks with"),
            Self::NoCertificates(error) => {
                write!(
                    f,
                    "the system has no certificates to check https receivers with: {error}"
                )
            }
        }
    }
}

impl Error for WebhookError {}

#[cfg(test)]
mod tests;
