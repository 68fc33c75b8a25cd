//! The server API for recordings: who may ask for them, of what, and how far they have come.
//!
//! What is asked for goes to whoever records in this process ([`crate::egress`]), who asks the people in the room: a call
//! is answered before they have. A token with `roomRecord` is for all rooms when it names none.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::outputs;
use super::service::{Call, Outcome, allowed, no_participant, no_room};
use super::twirp::{Code, Failure, Format, MAX_BODY};
use super::wire::proto;
use crate::body;
use crate::egress::{EgressOrder, Progress, StopError, Wanted};
use crate::hub::{Hub, Shared};
use crate::token::Claims;
use proto::egress_info::Request;

/// A call of the service.
pub(super) async fn call(
    State(hub): State<Shared>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Outcome<Response> {
    let format = Format::of(&headers)?;
    let claims = Call::of(&hub, &headers)?.claims;
    let body = body::read(body, MAX_BODY).await?;
    let body = body.as_ref();
    match method.as_str() {
        "StartRoomCompositeEgress" => {
            let request: proto::RoomCompositeEgressRequest = format.read(body)?;
            let (room, wanted) = (request.room_name.clone(), outputs::room(&request)?);
            format.write(&start(&hub, &claims, &room, wanted, Request::RoomComposite(request)).await?)
        }
        "StartParticipantEgress" => {
            let request: proto::ParticipantEgressRequest = format.read(body)?;
            let (room, wanted) = (request.room_name.clone(), outputs::participant(&request)?);
            format.write(&start(&hub, &claims, &room, wanted, Request::Participant(request)).await?)
        }
        "StartTrackCompositeEgress" => {
            let request: proto::TrackCompositeEgressRequest = format.read(body)?;
            let (room, wanted) = (request.room_name.clone(), outputs::track_composite(&request)?);
            format.write(&start(&hub, &claims, &room, wanted, Request::TrackComposite(request)).await?)
        }
        "StartTrackEgress" => {
            let request: proto::TrackEgressRequest = format.read(body)?;
            let (room, wanted) = (request.room_name.clone(), outputs::track(&request)?);
            format.write(&start(&hub, &claims, &room, wanted, Request::Track(request)).await?)
        }
        "StartEgress" => {
            let request: proto::StartEgressRequest = format.read(body)?;
            let (room, wanted) = (request.room_name.clone(), outputs::any(&request)?);
            format.write(&start(&hub, &claims, &room, wanted, Request::Egress(request)).await?)
        }
        "StopEgress" => format.call(body, |request| stop(&hub, &claims, &request)),
        "ListEgress" => format.call(body, |request| list(&hub, &claims, &request)),
        "StartWebEgress" | "UpdateLayout" | "UpdateStream" => {
            let sentence = "This server records what people send, not pages, and sends it nowhere.";
            Err(Failure::new(Code::Unimplemented, sentence))
        }
        _ => Err(Failure::new(Code::BadRoute, "There is no such method.")),
    }
}

async fn start(
    hub: &Arc<Hub>,
    claims: &Claims,
    room: &str,
    wanted: Wanted,
    request: Request,
) -> Outcome<proto::EgressInfo> {
    allowed(may_record(claims, room))?;
    hub.with_clients(room, |room, _| {
        let there = room.participants().iter().any(|one| wanted.concerns(one));
        match &wanted {
            _ if there => Ok(()),
            Wanted::Tracks(_) => Err(Failure::new(Code::NotFound, "There is no such track.")),
            Wanted::Participant { .. } => Err(no_participant()),
            Wanted::Room { .. } => Err(Failure::new(Code::NotFound, "There is nobody in the room.")),
        }
    })
    .ok_or_else(no_room)??;
    let (order, answer) = EgressOrder::new(Arc::downgrade(hub), room, wanted, request);
    match hub.order(order) {
        Some(Ok(())) => {}
        Some(Err(problem)) => return Err(Failure::new(Code::ResourceExhausted, problem.sentence)),
        None => return Err(Failure::new(Code::Unimplemented, "This server does not record.")),
    }
    let gone = |_| Failure::new(Code::Unavailable, "The server stops.");
    let answer = answer.await.map_err(gone)?;
    answer.map(|info| *info).map_err(|(status, sentence)| {
        let code = match status {
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::CONFLICT => Code::AlreadyExists,
            _ => Code::Unavailable,
        };
        Failure::new(code, sentence)
    })
}

fn stop(hub: &Hub, claims: &Claims, request: &proto::StopEgressRequest) -> Outcome<proto::EgressInfo> {
    allowed(claims.video.room_record)?;
    let id = &request.egress_id;
    let stopped = hub.lock().egresses.stop(id, |room| may_record(claims, room));
    stopped.map_err(|error| match error {
        StopError::Unknown => Failure::new(Code::NotFound, "There is no such recording."),
        StopError::Over => Failure::new(Code::FailedPrecondition, "The recording is over."),
    })?;
    hub.tell_egress(id, Progress::Ending);
    let listed = hub.lock().egresses.list(|info| info.egress_id == *id, false);
    let gone = || Failure::new(Code::NotFound, "There is no such recording.");
    listed.into_iter().next().ok_or_else(gone)
}

fn list(hub: &Hub, claims: &Claims, request: &proto::ListEgressRequest) -> Outcome<proto::ListEgressResponse> {
    allowed(claims.video.room_record)?;
    let wanted = |info: &proto::EgressInfo| {
        may_record(claims, &info.room_name)
            && (request.room_name.is_empty() || request.room_name == info.room_name)
            && (request.egress_id.is_empty() || request.egress_id == info.egress_id)
    };
    let items = hub.lock().egresses.list(wanted, request.active);
    Ok(proto::ListEgressResponse {
        items,
        ..Default::default()
    })
}

fn may_record(claims: &Claims, room: &str) -> bool {
    claims.video.room_record && (claims.video.room.is_empty() || claims.video.room == room)
}
