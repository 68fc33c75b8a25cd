//! What a change of a room is called, and what is told with it.

use std::sync::Arc;

use crate::hub::{secret, unix_now};
use crate::protocol::describe;
use crate::protocol::wire::proto;
use crate::room::{Departure, EndReason, Participant, ParticipantSid, Room, RoomEvent, Track, TrackSid};

/// What the application is told of an event; `None` when that is nothing. `all` are the events of the same moment: who has
/// gone is no longer in the room, but among them.
pub(super) fn of(room: &Room, all: &[RoomEvent], event: &RoomEvent) -> Option<Arc<proto::WebhookEvent>> {
    let mut told = proto::WebhookEvent::default();
    let name = match event {
        RoomEvent::Began => "room_started",
        RoomEvent::Ended(why) => {
            told.room_end_reason = end_reason(*why) as i32;
            "room_finished"
        }
        RoomEvent::ParticipantActive(sid) => {
            told.participant = Some(describe::participant(owner(room, all, sid)?));
            "participant_joined"
        }
        RoomEvent::ParticipantLeft(gone, why) => {
            told.participant = Some(departed(gone, *why));
            if gone.reached {
                "participant_left"
            } else {
                "participant_connection_aborted"
            }
        }
        RoomEvent::TrackPublished(sid, track) => {
            let owner = owner(room, all, sid)?;
            told.track = Some(describe::track(find(owner, track)?));
            told.participant = Some(describe::participant(owner));
            "track_published"
        }
        RoomEvent::TrackUnpublished(sid, track) => {
            told.track = Some(describe::track(track));
            told.participant = owner(room, all, sid).map(describe::participant);
            "track_unpublished"
        }
        _ => return None,
    };
    told.room = Some(describe::room(room));
    Some(name_it(name, told))
}

/// What it is told when a recording has come further: it may last longer than its room, of which nothing is said.
pub(super) fn of_egress(info: &proto::EgressInfo) -> Arc<proto::WebhookEvent> {
    use proto::EgressStatus as Status;
    let name = match info.status() {
        Status::EgressStarting => "egress_started",
        Status::EgressActive | Status::EgressEnding => "egress_updated",
        _ => "egress_ended",
    };
    let told = proto::WebhookEvent {
        egress_info: Some(info.clone()),
        ..Default::default()
    };
    name_it(name, told)
}

fn name_it(name: &str, mut told: proto::WebhookEvent) -> Arc<proto::WebhookEvent> {
    name.clone_into(&mut told.event);
    told.id = format!("EV_{}", secret());
    told.created_at = describe::whole(unix_now().as_secs());
    Arc::new(told)
}

fn owner<'a>(room: &'a Room, all: &'a [RoomEvent], sid: &ParticipantSid) -> Option<&'a Participant> {
    let here = room.participants().iter();
    let gone = all.iter().filter_map(|event| match event {
        RoomEvent::ParticipantLeft(gone, _) => Some(gone.as_ref()),
        _ => None,
    });
    here.chain(gone).find(|one| one.sid == *sid)
}

fn find<'a>(owner: &'a Participant, sid: &TrackSid) -> Option<&'a Track> {
    owner.tracks().find(|track| track.sid == *sid)
}

fn departed(gone: &Participant, why: Departure) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        state: proto::participant_info::State::Disconnected as i32,
        disconnect_reason: describe::disconnect_reason(why) as i32,
        ..describe::participant(gone)
    }
}

fn end_reason(why: EndReason) -> proto::RoomEndReason {
    match why {
        EndReason::Idle => proto::RoomEndReason::RoomEndIdleTimeout,
        EndReason::Deleted => proto::RoomEndReason::RoomEndApiDelete,
        EndReason::Shutdown => proto::RoomEndReason::RoomEndServerShutdown,
    }
}
