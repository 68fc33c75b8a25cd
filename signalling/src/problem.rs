//! What a client is told when something does not work: a status, and one sentence.
//!
//! RFC 9110 §15 (statuses), RFC 6750 §3 (`WWW-Authenticate`).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use althing_media_core::UsageError;
use althing_media_net::CommandError;

use crate::room::{BadSetting, JoinError, PublishError};
use crate::sdp::{NegotiationError, SdpError};
use crate::token::TokenError;

/// After how many seconds it makes sense to try again when the server is full.
const RETRY_AFTER: &str = "5";

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
        }
    }

    pub(crate) fn no_session() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such session.")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.sentence).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                // What was not read of the body stands in the way of the next request.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            _ => {}
        }
        response
    }
}

impl From<SdpError> for Problem {
    fn from(error: SdpError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<NegotiationError> for Problem {
    /// An offer that is no good for anybody is a bad request; one that does not fit us is not acceptable.
    fn from(error: NegotiationError) -> Self {
        let status = match error {
            NegotiationError::NothingInCommon | NegotiationError::CodecNotOffered(_) => StatusCode::NOT_ACCEPTABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<BadSetting> for Problem {
    fn from(BadSetting(name): BadSetting) -> Self {
        let sentence = format!("The access token has a roomConfig whose {name} cannot be read.");
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        let status = match error {
            JoinError::RoomFull | JoinError::TooManyConnections => StatusCode::SERVICE_UNAVAILABLE,
            JoinError::Reserved => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let status = match error {
            PublishError::NoConnection => StatusCode::NOT_FOUND,
            PublishError::NotAllowed(_) => StatusCode::FORBIDDEN,
        };
        Self::new(status, error.to_string())
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let sentence = match error {
            CommandError::Busy => "The media worker is too busy.",
            _ => "The media worker has ended.",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }
}

impl From<UsageError> for Problem {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::LimitReached => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The media router holds as many peers or streams as it may.",
            ),
            UsageError::NoEndpoint => Self::new(StatusCode::NOT_FOUND, "The session has been closed."),
            UsageError::Remote(_) | UsageError::SsrcInUse | UsageError::InvalidConfig => Self::new(
                StatusCode::BAD_REQUEST,
                format!("The session description cannot be used: {error}."),
            ),
            _ => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("The media router refuses: {error}."),
            ),
        }
    }
}
