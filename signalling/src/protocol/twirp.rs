//! Calls of the server API as HTTP: a message in, a message out, both as JSON or both as protobuf.
//!
//! Twirp wire protocol, version 7. Errors are JSON always.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::BodyError;

/// Longest body, in bytes: metadata and data are the longest that there is.
pub(super) const MAX_BODY: usize = 256 * 1024;

/// How both messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Protobuf,
}

/// Why a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    code: Code,
    sentence: String,
    /// More about it, for programs.
    meta: BTreeMap<&'static str, String>,
}

/// The sort of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Unauthenticated,
    PermissionDenied,
    DeadlineExceeded,
    Unknown,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    Malformed,
    BadRoute,
    Unimplemented,
    ResourceExhausted,
    Unavailable,
}

impl Failure {
    pub(super) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            meta: BTreeMap::new(),
        }
    }

    /// Tells more about it.
    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.meta.insert(name, value);
        self
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLong(_) => Code::ResourceExhausted,
            BodyError::TooSlow => Code::DeadlineExceeded,
        };
        Self::new(code, error.sentence())
    }
}

impl Format {
    /// By the type of the request.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
        match kind.trim() {
            "application/json" => Ok(Self::Json),
            "application/protobuf" => Ok(Self::Protobuf),
            _ => Err(Failure::new(
                Code::BadRoute,
                "The content type must be application/json or application/protobuf.",
            )),
        }
    }

    /// Reads the request, calls, writes the answer.
    pub(super) fn call<I, O>(self, body: &[u8], call: impl FnOnce(I) -> Result<O, Failure>) -> Result<Response, Failure>
    where
        I: Message + Default + DeserializeOwned,
        O: Message + Serialize,
    {
        self.write(&call(self.read(body)?)?)
    }

    /// Reads a request.
    pub(super) fn read<I: Message + Default + DeserializeOwned>(self, body: &[u8]) -> Result<I, Failure> {
        let read = match self {
            Self::Json => serde_json::from_slice(body).ok(),
            Self::Protobuf => I::decode(body).ok(),
        };
        read.ok_or_else(|| Failure::new(Code::Malformed, "The request is not readable."))
    }

    /// Writes an answer.
    pub(super) fn write<O: Message + Serialize>(self, answer: &O) -> Result<Response, Failure> {
        let unwritable = |_| Failure::new(Code::Unavailable, "The answer cannot be written.");
        let (kind, body) = match self {
            Self::Json => ("application/json", serde_json::to_vec(answer).map_err(unwritable)?),
            Self::Protobuf => ("application/protobuf", answer.encode_to_vec()),
        };
        Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = match self.code {
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, "permission_denied"),
            Code::DeadlineExceeded => (StatusCode::REQUEST_TIMEOUT, "deadline_exceeded"),
            Code::Unknown => (StatusCode::INTERNAL_SERVER_ERROR, "unknown"),
            Code::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Code::AlreadyExists => (StatusCode::CONFLICT, "already_exists"),
            Code::FailedPrecondition => (StatusCode::PRECONDITION_FAILED, "failed_precondition"),
            Code::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_argument"),
            Code::Malformed => (StatusCode::BAD_REQUEST, "malformed"),
            Code::BadRoute => (StatusCode::NOT_FOUND, "bad_route"),
            Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "unimplemented"),
            Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "resource_exhausted"),
            Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        let body = serde_json::json!({ "code": code, "msg": self.sentence, "meta": self.meta }).to_string();
        let response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        // A body that was not read to its end stands in the way of the next request.
        match self.code {
            Code::ResourceExhausted | Code::DeadlineExceeded => {
                ([(header::CONNECTION, "close")], response).into_response()
            }
            _ => response,
        }
    }
}
