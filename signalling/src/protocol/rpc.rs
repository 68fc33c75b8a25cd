//! Remote calls of the application's server: a request to one participant, whose program answers it as it answers those of
//! other participants.
//!
//! Nothing is known of a call but its number and whom it is for; the answer is found by that among the data packets of
//! the participant.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::data;
use super::twirp::{Code, Failure};
use super::wire::proto;
use crate::hub::{Hub, secret};
use crate::room::ConnectionId;

/// Calls that wait for their answers, all rooms together.
const MAX_CALLS: usize = 1024;

/// Longest payload, in bytes: what clients take in one packet.
const MAX_PAYLOAD: usize = 15 * 1024;

/// How long an answer may take where the call does not tell, and at most.
const USUAL_PATIENCE: u32 = 15_000;
const MAX_PATIENCE: u32 = 120_000;

/// The version of such calls that all clients understand.
const VERSION: u32 = 1;

/// Under this name the server calls.
const CALLER: &str = "server";

/// Calls that wait for their answers.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    waiting: HashMap<String, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    room: String,
    connection: ConnectionId,
    answer: oneshot::Sender<proto::RpcResponse>,
}

impl Calls {
    /// Takes a data message that answers a call, or says that the call has come. False for all others.
    pub(crate) fn answer(&mut self, room: &str, from: ConnectionId, message: &[u8]) -> bool {
        use proto::data_packet::Value;
        if self.waiting.is_empty() {
            return false;
        }
        let meant = |id: &str, waiting: &HashMap<String, Waiting>| {
            let known = waiting.get(id);
            known.is_some_and(|one| one.room == room && one.connection == from)
        };
        match proto::DataPacket::decode(message).ok().and_then(|packet| packet.value) {
            Some(Value::RpcAck(ack)) => meant(&ack.request_id, &self.waiting),
            Some(Value::RpcResponse(response)) if meant(&response.request_id, &self.waiting) => {
                if let Some(call) = self.waiting.remove(&response.request_id) {
                    // Nobody waits any more: as good as too late.
                    let _ = call.answer.send(response);
                }
                true
            }
            _ => false,
        }
    }

    /// The participant is gone, and will not answer.
    pub(crate) fn forget(&mut self, room: &str, connection: ConnectionId) {
        self.waiting
            .retain(|_, call| call.connection != connection || call.room != room);
    }
}

/// A call that is forgotten when nobody waits for it any more.
struct Pending<'a> {
    hub: &'a Hub,
    id: String,
}

impl Pending<'_> {
    fn keep(&self, call: Waiting) -> Result<(), Failure> {
        let waiting = &mut self.hub.lock().calls.waiting;
        if waiting.len() >= MAX_CALLS {
            return Err(Failure::new(
                Code::ResourceExhausted,
                "Too many calls wait for answers.",
            ));
        }
        waiting.insert(self.id.clone(), call);
        Ok(())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.hub.lock().calls.waiting.remove(&self.id);
    }
}

/// Calls a participant, and waits for the answer. The caller has checked who asks.
pub(super) async fn perform(
    hub: &Hub,
    request: proto::PerformRpcRequest,
) -> Result<proto::PerformRpcResponse, Failure> {
    if request.payload.len() > MAX_PAYLOAD || request.method.len() > MAX_PAYLOAD {
        return Err(Failure::new(
            Code::InvalidArgument,
            "The payload is longer than 15 KiB.",
        ));
    }
    let patience = match request.response_timeout_ms {
        0 => USUAL_PATIENCE,
        told => told.min(MAX_PATIENCE),
    };
    let (pending, answer) = call(hub, request, patience)?;
    let answered = timeout(Duration::from_millis(patience.into()), answer).await;
    drop(pending);
    match answered {
        Err(_) => Err(Failure::new(
            Code::DeadlineExceeded,
            "The participant has not answered.",
        )),
        Ok(Err(_)) => Err(Failure::new(Code::Unavailable, "The participant has left.")),
        Ok(Ok(response)) => read(response),
    }
}

fn call(
    hub: &Hub,
    request: proto::PerformRpcRequest,
    patience: u32,
) -> Result<(Pending<'_>, oneshot::Receiver<proto::RpcResponse>), Failure> {
    let missing = |sentence: &str| Failure::new(Code::NotFound, sentence);
    let (name, identity) = (request.room, request.destination_identity);
    let id = secret();
    let packet = proto::DataPacket {
        participant_identity: CALLER.to_owned(),
        value: Some(proto::data_packet::Value::RpcRequest(proto::RpcRequest {
            id: id.clone(),
            method: request.method,
            payload: request.payload,
            response_timeout_ms: patience,
            version: VERSION,
            ..Default::default()
        })),
        ..Default::default()
    };
    let found = hub.with_clients(&name, |room, clients| {
        let known = room.participants().iter().any(|one| one.profile.identity == identity);
        known.then(|| data::direct(room, clients, &identity, &packet))
    });
    let found = found.ok_or_else(|| missing("The requested room does not exist."))?;
    let found = found.ok_or_else(|| missing("The participant does not exist."))?;
    let unable = || Failure::new(Code::Unavailable, "The participant takes no data.");
    let (connection, delivery) = found.ok_or_else(unable)?;
    let (answer, receiver) = oneshot::channel();
    let call = Waiting {
        room: name.clone(),
        connection,
        answer,
    };
    let pending = Pending { hub, id };
    pending.keep(call)?;
    hub.send(&name, delivery);
    Ok((pending, receiver))
}

fn read(response: proto::RpcResponse) -> Result<proto::PerformRpcResponse, Failure> {
    use proto::rpc_response::Value;
    match response.value {
        Some(Value::Payload(payload)) => Ok(proto::PerformRpcResponse { payload }),
        Some(Value::Error(error)) => {
            let code = match error.code {
                // "No such method" and "no such version" among the codes that clients agree on.
                1400 | 1404 => Code::Unimplemented,
                _ => Code::Unknown,
            };
            let failure = Failure::new(code, error.message);
            Err(failure
                .with("rpc_code", error.code.to_string())
                .with("rpc_data", error.data))
        }
        Some(Value::CompressedPayload(_)) | None => Err(Failure::new(
            Code::Unknown,
            "The answer of the participant is not readable.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(value: proto::data_packet::Value) -> Vec<u8> {
        let value = Some(value);
        let packet = proto::DataPacket {
            value,
            ..Default::default()
        };
        packet.encode_to_vec()
    }

    fn response(id: &str) -> Vec<u8> {
        message(proto::data_packet::Value::RpcResponse(proto::RpcResponse {
            request_id: id.to_owned(),
            value: Some(proto::rpc_response::Value::Payload("yes".to_owned())),
        }))
    }

    fn calls() -> (Calls, oneshot::Receiver<proto::RpcResponse>) {
        let (answer, receiver) = oneshot::channel();
        let mut calls = Calls::default();
        let call = Waiting {
            room: "hall".to_owned(),
            connection: ConnectionId(1),
            answer,
        };
        calls.waiting.insert("call".to_owned(), call);
        (calls, receiver)
    }

    #[test]
    fn only_who_was_called_answers_and_only_once() {
        let (mut calls, mut receiver) = calls();
        assert!(
            !calls.answer("hall", ConnectionId(2), &response("call")),
            "somebody else"
        );
        assert!(
            !calls.answer("yard", ConnectionId(1), &response("call")),
            "in another room"
        );
        assert!(
            !calls.answer("hall", ConnectionId(1), &response("another")),
            "another call"
        );
        assert!(!calls.answer("hall", ConnectionId(1), b"\xff"), "nonsense");
        let request_id = "call".to_owned();
        let ack = message(proto::data_packet::Value::RpcAck(proto::RpcAck { request_id }));
        assert!(calls.answer("hall", ConnectionId(1), &ack));
        assert!(receiver.try_recv().is_err(), "nothing was said yet");
        assert!(calls.answer("hall", ConnectionId(1), &response("call")));
        assert_eq!(read(receiver.try_recv().unwrap()).unwrap().payload, "yes");
        assert!(!calls.answer("hall", ConnectionId(1), &response("call")), "twice");
    }

    #[test]
    fn who_leaves_answers_no_more() {
        let (mut calls, mut receiver) = calls();
        calls.forget("yard", ConnectionId(1));
        calls.forget("hall", ConnectionId(2));
        assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        calls.forget("hall", ConnectionId(1));
        assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
