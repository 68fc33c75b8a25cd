//! The messages: the one file that knows the crate with their definitions.
//!
//! One protobuf per WebSocket frame. Unknown fields and messages are skipped, so that newer clients do no harm.

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

/// Writes a frame.
pub(super) fn encode(response: Response) -> Vec<u8> {
    let message = Some(response);
    proto::SignalResponse { message }.encode_to_vec()
}

/// The frame is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;
