//! The server API: what the application's own server may ask about rooms, and do to them.
//!
//! Calls act at once; those who are in the room are told as of any other change. Moving participants between rooms is not
//! there.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::session::Command;
use super::twirp::{Code, Failure, Format, MAX_BODY};
use super::wire::proto;
use super::{data, describe, rpc};
use crate::body;
use crate::http::bearer;
use crate::hub::{Clients, Hub, Shared, unix_now};
use crate::room::{ConnectionId, EndReason, MAX_METADATA, Participant, Permissions, Room, RoomSettings, TrackSid};
use crate::token::Claims;

pub(super) type Outcome<T> = Result<T, Failure>;

/// A call of the room service.
pub(super) async fn room(
    State(hub): State<Shared>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Outcome<Response> {
    let format = Format::of(&headers)?;
    let call = Call::of(&hub, &headers)?;
    let body = body::read(body, MAX_BODY).await?;
    let body = body.as_ref();
    match method.as_str() {
        "CreateRoom" => format.call(body, |request| call.create_room(request)),
        "ListRooms" => format.call(body, |request| call.list_rooms(&request)),
        "DeleteRoom" => format.call(body, |request| call.delete_room(&request)),
        "ListParticipants" => format.call(body, |request| call.list_participants(&request)),
        "GetParticipant" => format.call(body, |request| call.get_participant(&request)),
        "RemoveParticipant" => format.call(body, |request| call.remove_participant(&request)),
        "MutePublishedTrack" => format.call(body, |request| call.mute(&request)),
        "UpdateParticipant" => format.call(body, |request| call.update_participant(request)),
        "UpdateSubscriptions" => format.call(body, |request| call.update_subscriptions(request)),
        "SendData" => format.call(body, |request| call.send_data(request)),
        "UpdateRoomMetadata" => format.call(body, |request| call.update_metadata(request)),
        "PerformRpc" => {
            let request: proto::PerformRpcRequest = format.read(body)?;
            allowed(call.claims.video.administers(&request.room))?;
            format.write(&rpc::perform(&hub, request).await?)
        }
        "ForwardParticipant" | "MoveParticipant" => {
            let sentence = "This server does not take participants or their tracks to other rooms.";
            Err(Failure::new(Code::Unimplemented, sentence))
        }
        _ => Err(Failure::new(Code::BadRoute, "There is no such method.")),
    }
}

/// Any other service.
pub(super) async fn other() -> Failure {
    Failure::new(Code::Unimplemented, "This server does not have that service.")
}

/// Who calls.
pub(super) struct Call<'a> {
    hub: &'a Hub,
    pub(super) claims: Claims,
}

impl<'a> Call<'a> {
    pub(super) fn of(hub: &'a Hub, headers: &HeaderMap) -> Outcome<Self> {
        let missing = |problem: crate::problem::Problem| Failure::new(Code::Unauthenticated, problem.sentence);
        let token = bearer(headers).map_err(missing)?;
        let claims = hub.config.keys.verify(token, unix_now());
        let claims = claims.map_err(|error| Failure::new(Code::Unauthenticated, error.to_string()))?;
        Ok(Self { hub, claims })
    }

    fn create_room(&self, request: proto::CreateRoomRequest) -> Outcome<proto::Room> {
        allowed(self.claims.video.room_create)?;
        if request.name.is_empty() || request.name.len() > 256 || request.name.chars().any(char::is_control) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "The room needs a name of at most 256 bytes.",
            ));
        }
        check_metadata(&request.metadata)?;
        let settings = RoomSettings {
            empty_timeout: request.empty_timeout,
            departure_timeout: request.departure_timeout,
            max_participants: request.max_participants,
            metadata: request.metadata,
        };
        let made = self.hub.make_room(&request.name, |room| {
            room.configure(settings);
            describe::room(room)
        });
        made.map_err(|problem| Failure::new(Code::ResourceExhausted, problem.sentence))
    }

    fn list_rooms(&self, request: &proto::ListRoomsRequest) -> Outcome<proto::ListRoomsResponse> {
        allowed(self.claims.video.room_list)?;
        let wanted = |name: &str| request.names.is_empty() || request.names.iter().any(|known| known == name);
        let rooms = self
            .hub
            .each_room(|room| wanted(room.name()).then(|| describe::room(room)));
        Ok(proto::ListRoomsResponse { rooms })
    }

    fn delete_room(&self, request: &proto::DeleteRoomRequest) -> Outcome<proto::DeleteRoomResponse> {
        allowed(self.claims.video.room_create)?;
        let reason = proto::DisconnectReason::RoomDeleted;
        self.hub
            .with_clients(&request.room, |room, clients| {
                let all: Vec<ConnectionId> = connections(room.participants().iter());
                all.into_iter().for_each(|id| dismiss(room, clients, id, reason));
                room.end(EndReason::Deleted);
            })
            .ok_or_else(no_room)?;
        Ok(proto::DeleteRoomResponse {})
    }

    fn list_participants(&self, request: &proto::ListParticipantsRequest) -> Outcome<proto::ListParticipantsResponse> {
        self.admin(&request.room, |room, _| {
            let participants = room.participants().iter().map(describe::participant).collect();
            Ok(proto::ListParticipantsResponse { participants })
        })
    }

    fn get_participant(&self, request: &proto::RoomParticipantIdentity) -> Outcome<proto::ParticipantInfo> {
        self.admin(&request.room, |room, _| {
            Ok(describe::participant(participant(room, &request.identity)?))
        })
    }

    fn remove_participant(
        &self,
        request: &proto::RoomParticipantIdentity,
    ) -> Outcome<proto::RemoveParticipantResponse> {
        self.admin(&request.room, |room, clients| {
            let all = connections([participant(room, &request.identity)?].into_iter());
            let reason = proto::DisconnectReason::ParticipantRemoved;
            all.into_iter().for_each(|id| dismiss(room, clients, id, reason));
            Ok(proto::RemoveParticipantResponse {})
        })
    }

    fn mute(&self, request: &proto::MuteRoomTrackRequest) -> Outcome<proto::MuteRoomTrackResponse> {
        if !request.muted {
            let sentence = "A track is unmuted by its owner only.";
            return Err(Failure::new(Code::PermissionDenied, sentence));
        }
        self.admin(&request.room, |room, clients| {
            let owner = participant(room, &request.identity)?;
            let sid = TrackSid(request.track_sid.clone());
            let missing = || Failure::new(Code::NotFound, "There is no such track.");
            let publishes = |one: &&crate::room::Connection| one.tracks.iter().any(|track| track.sid == sid);
            let connection = owner.connections.iter().find(publishes).ok_or_else(missing)?.id;
            room.mute(&sid, true);
            tell(clients, connection, || Command::Muted(sid.clone()));
            let own = room.connection(connection);
            let track = own.and_then(|own| own.tracks.iter().find(|track| track.sid == sid));
            Ok(proto::MuteRoomTrackResponse {
                track: track.map(describe::track),
            })
        })
    }

    fn update_participant(&self, request: proto::UpdateParticipantRequest) -> Outcome<proto::ParticipantInfo> {
        check_metadata(&request.metadata)?;
        let attributes: usize = request
            .attributes
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if attributes > MAX_METADATA || request.name.len() > 256 {
            return Err(Failure::new(
                Code::InvalidArgument,
                "The name or the attributes are too long.",
            ));
        }
        let room_name = request.room.clone();
        self.admin(&room_name, |room, clients| {
            let owner = participant(room, &request.identity)?;
            let all = connections([owner].into_iter());
            let first = all.first().copied().ok_or_else(no_participant)?;
            let permissions = request.permission.as_ref().map(permissions);
            room.change_profile(first, |profile| {
                if !request.name.is_empty() {
                    profile.name.clone_from(&request.name);
                }
                if !request.metadata.is_empty() {
                    profile.metadata.clone_from(&request.metadata);
                }
                for (key, value) in &request.attributes {
                    if value.is_empty() {
                        profile.attributes.remove(key);
                    } else {
                        profile.attributes.insert(key.clone(), value.clone());
                    }
                }
                if let Some(permissions) = permissions {
                    let service = profile.permissions.service;
                    profile.permissions = Permissions { service, ..permissions };
                }
            });
            withdraw(room, clients, &all);
            Ok(describe::participant(participant(room, &request.identity)?))
        })
    }

    fn update_subscriptions(
        &self,
        request: proto::UpdateSubscriptionsRequest,
    ) -> Outcome<proto::UpdateSubscriptionsResponse> {
        let room_name = request.room.clone();
        self.admin(&room_name, |room, clients| {
            let update = proto::UpdateSubscription {
                track_sids: request.track_sids,
                subscribe: request.subscribe,
                participant_tracks: request.participant_tracks,
            };
            for id in connections([participant(room, &request.identity)?].into_iter()) {
                tell(clients, id, || Command::Choose(Box::new(update.clone())));
            }
            Ok(proto::UpdateSubscriptionsResponse {})
        })
    }

    fn send_data(&self, request: proto::SendDataRequest) -> Outcome<proto::SendDataResponse> {
        let name = request.room.clone();
        let delivery = self.admin(&name, |room, clients| Ok(data::announce(room, clients, request)))?;
        if let Some(delivery) = delivery {
            self.hub.send(&name, delivery);
        }
        Ok(proto::SendDataResponse {})
    }

    fn update_metadata(&self, request: proto::UpdateRoomMetadataRequest) -> Outcome<proto::Room> {
        check_metadata(&request.metadata)?;
        self.admin(&request.room, |room, _| {
            room.set_metadata(request.metadata.clone());
            Ok(describe::room(room))
        })
    }

    /// Does something with a room that the caller manages.
    fn admin<R>(&self, name: &str, act: impl FnOnce(&mut Room, &mut Clients) -> Outcome<R>) -> Outcome<R> {
        allowed(self.claims.video.administers(name))?;
        self.hub.with_clients(name, act).ok_or_else(no_room)?
    }
}

pub(super) fn allowed(right: bool) -> Outcome<()> {
    let sentence = "The access token does not give that right.";
    right
        .then_some(())
        .ok_or_else(|| Failure::new(Code::PermissionDenied, sentence))
}

fn check_metadata(metadata: &str) -> Outcome<()> {
    let fits = metadata.len() <= MAX_METADATA;
    fits.then_some(())
        .ok_or_else(|| Failure::new(Code::InvalidArgument, "The metadata is too long."))
}

pub(super) fn no_room() -> Failure {
    Failure::new(Code::NotFound, "The requested room does not exist.")
}

pub(super) fn no_participant() -> Failure {
    Failure::new(Code::NotFound, "The participant does not exist.")
}

fn participant<'a>(room: &'a Room, identity: &str) -> Outcome<&'a Participant> {
    let mut all = room.participants().iter();
    all.find(|one| one.profile.identity == identity)
        .ok_or_else(no_participant)
}

fn connections<'a>(participants: impl Iterator<Item = &'a Participant>) -> Vec<ConnectionId> {
    participants
        .flat_map(|one| &one.connections)
        .map(|one| one.id)
        .collect()
}

/// Tells something to the client of a connection, if it has one; it is lost when the client is far behind.
fn tell(clients: &Clients, connection: ConnectionId, command: impl FnOnce() -> Command) {
    if let Some(handle) = clients.get(&connection) {
        let _ = handle.commands.try_send(command());
    }
}

fn dismiss(room: &mut Room, clients: &Clients, connection: ConnectionId, reason: proto::DisconnectReason) {
    tell(clients, connection, || Command::Dismiss(reason));
    room.leave(connection, describe::departure(reason));
}

/// Takes back what may not be published any more, and says so to whom it belongs.
fn withdraw(room: &mut Room, clients: &Clients, connections: &[ConnectionId]) {
    for id in connections {
        let (Some(owner), Some(own)) = (room.participant_of(*id), room.connection(*id)) else {
            continue;
        };
        let permissions = &owner.profile.permissions;
        let refused = own.tracks.iter().filter(|track| !permissions.publishes(track.source));
        let refused: Vec<TrackSid> = refused.map(|track| track.sid.clone()).collect();
        for sid in refused {
            room.unpublish(*id, &sid);
            tell(clients, *id, || Command::Unpublished(sid));
        }
    }
}

fn permissions(permission: &proto::ParticipantPermission) -> Permissions {
    Permissions {
        publish: permission.can_publish,
        subscribe: permission.can_subscribe,
        publish_data: permission.can_publish_data,
        sources: permission
            .can_publish_sources()
            .filter_map(describe::source_of)
            .collect(),
        update_own_metadata: permission.can_update_metadata,
        hidden: permission.hidden,
        service: false,
    }
}
