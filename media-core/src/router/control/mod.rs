//! What the caller commands: endpoints, tracks, subscriptions, layers.

mod catch_up;
mod endpoints;
mod subscriptions;
mod tracks;

use std::fmt;

use crate::transport::RemoteError;

/// What the caller did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// There is no such endpoint (any more).
    NoEndpoint,
    /// It is a plain endpoint: ICE and DTLS do not apply.
    NotWebRtc,
    /// It is not a peer in this process.
    NotLocal,
    /// The remote description cannot be used.
    Remote(RemoteError),
    /// The router or the endpoint holds as many as it may.
    LimitReached,
    /// Another stream of the endpoint has this SSRC.
    SsrcInUse,
    /// Another endpoint has this socket.
    SocketInUse,
    /// More encodings than [`MAX_ENCODINGS`](crate::config::MAX_ENCODINGS), a codec of the wrong kind, or no codec.
    InvalidConfig,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEndpoint => f.write_str("there is no such endpoint"),
            Self::NotWebRtc => f.write_str("the endpoint does not speak ICE and DTLS"),
            Self::NotLocal => f.write_str("the endpoint is not in this process"),
            Self::Remote(error) => write!(f, "{error}"),
            Self::LimitReached => f.write_str("the limit of the router or the endpoint is reached"),
            Self::SsrcInUse => f.write_str("another stream of the endpoint has this SSRC"),
            Self::SocketInUse => f.write_str("another endpoint has this socket"),
            Self::InvalidConfig => {
                f.write_str("the track or subscription has no codec, too many encodings or mixed kinds")
            }
        }
    }
}

impl std::error::Error for UsageError {}
