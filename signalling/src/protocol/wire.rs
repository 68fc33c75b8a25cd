//! The messages: the one file that knows the crate with their definitions.
//!
//! One protobuf per WebSocket frame, or its JSON in a frame of text. Unknown fields and messages are skipped, so that newer clients do no harm.

use axum::extract::ws::Message;
use prost::Message as _;

pub(crate) use livekit_protocol as proto;
pub(super) use proto::signal_request::Message as Request;
pub(super) use proto::signal_response::Message as Response;

/// Longest frame that is read, in bytes.
pub(super) const MAX_FRAME: usize = 2 * 1024 * 1024;

/// Reads a frame. `Ok(None)` for a message that is newer than we are.
pub(super) fn decode(frame: &[u8]) -> Result<Option<Request>, Malformed> {
    let request = proto::SignalRequest::decode(frame).map_err(|_| Malformed)?;
    Ok(request.message)
}

/// Reads a frame of text: the same message as JSON.
pub(super) fn decode_text(frame: &str) -> Result<Option<Request>, Malformed> {
    let request: proto::SignalRequest = serde_json::from_str(frame).map_err(|_| Malformed)?;
    Ok(request.message)
}

/// Writes a frame.
pub(super) fn encode(response: Response) -> Vec<u8> {
    let message = Some(response);
    proto::SignalResponse { message }.encode_to_vec()
}

/// The same in the form that the client speaks. `None` for what JSON has no words for: numbers of features that are newer than
/// we are, which are carried along for others.
pub(super) fn frame(response: Response, form: Form) -> Option<Message> {
    Some(match form {
        Form::Binary => Message::Binary(encode(response).into()),
        Form::Text => {
            let message = Some(response);
            Message::Text(serde_json::to_string(&proto::SignalResponse { message }).ok()?.into())
        }
    })
}

/// How messages are written: as the client writes its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Binary,
    /// JSON of protobuf; for people who look on.
    Text,
}

/// The frame is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;
