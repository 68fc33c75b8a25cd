//! Data tracks in the words of the protocol: requests of a client, and its frames on their way.
//!
//! A frame's packet begins with a byte of version and flags, a byte that is reserved, and the number of its track in 16
//! bits: the sender's own here, the receiver's own there. The rest is theirs alone.

use std::collections::HashMap;

use althing_media_core::DataChannelId;
use althing_media_core::config::EndpointId;
use prost::Message as _;

use super::client::Client;
use super::data::{Channel, Delivery, To};
use super::describe;
use super::session::Handle;
use super::wire::{Response, proto};
use crate::room::{ConnectionId, DataTrack, DataTrackError, NewDataTrack, Room, TrackSid};

/// Where the number of the track stands.
const HANDLE: std::ops::Range<usize> = 2..4;

/// A frame's header without extensions, in bytes.
const HEADER: usize = 12;

/// Changes of subscriptions in one message: the rest is not looked at.
const MAX_UPDATES: usize = 1024;

/// What becomes of a packet of frames; `None` when nobody wants it.
pub(super) fn relay(
    room: &Room,
    clients: &HashMap<ConnectionId, Handle>,
    from: ConnectionId,
    packet: &[u8],
) -> Option<Delivery> {
    let header = packet.get(..HEADER)?;
    let handle = u16::from_be_bytes([header[HANDLE.start], header[HANDLE.start + 1]]);
    let to = room.data_receivers(from, handle).filter_map(|(connection, handle)| {
        let channels = &clients.get(&connection)?.channels;
        let (endpoint, channel) = channels.way(room.connection(connection), Channel::Tracks)?;
        Some(To {
            endpoint,
            channel,
            handle: Some(handle),
        })
    });
    let to: Vec<To> = to.collect();
    (!to.is_empty()).then(|| Delivery {
        frame: packet.to_vec(),
        to,
    })
}

impl Delivery {
    /// Gives out the frame as each is to get it.
    pub(crate) fn each(mut self, mut send: impl FnMut(EndpointId, DataChannelId, &[u8])) {
        for to in &self.to {
            if let (Some(handle), Some(place)) = (to.handle, self.frame.get_mut(HANDLE)) {
                place.copy_from_slice(&handle.to_be_bytes());
            }
            send(to.endpoint, to.channel, &self.frame);
        }
    }
}

impl Client {
    /// The client begins to publish a data track.
    pub(super) fn publish_data(&mut self, room: &mut Room, request: proto::PublishDataTrackRequest) {
        let format = proto::DataTrackInfo {
            frame_encoding: request.frame_encoding.clone(),
            schema: request.schema.clone(),
            ..Default::default()
        };
        let track = NewDataTrack {
            handle: request.pub_handle,
            name: request.name.clone(),
            encryption: describe::read_encryption(request.encryption()),
            format: format.encode_to_vec(),
        };
        match room.publish_data(self.connection, track) {
            Ok(track) => self.send(Response::PublishDataTrackResponse(proto::PublishDataTrackResponse {
                info: Some(info(&track)),
            })),
            Err(error) => {
                let request = proto::request_response::Request::PublishDataTrack(request);
                self.refuse_data(error, request);
            }
        }
    }

    /// The client ends a data track.
    pub(super) fn unpublish_data(&mut self, room: &mut Room, request: proto::UnpublishDataTrackRequest) {
        match room.unpublish_data(self.connection, request.pub_handle) {
            Some(track) => self.send(Response::UnpublishDataTrackResponse(
                proto::UnpublishDataTrackResponse {
                    info: Some(info(&track)),
                },
            )),
            None => {
                let request = proto::request_response::Request::UnpublishDataTrack(request);
                self.refuse_data(DataTrackError::InvalidHandle, request);
            }
        }
    }

    /// The client wants data tracks, or wants them no more.
    pub(super) fn choose_data(&mut self, room: &mut Room, request: proto::UpdateDataSubscription) {
        for update in request.updates.into_iter().take(MAX_UPDATES) {
            let sid = TrackSid(update.track_sid);
            if !update.subscribe {
                room.unsubscribe_data(self.connection, &sid);
            } else if let Err(error) = room.subscribe_data(self.connection, &sid) {
                tracing::debug!(participant = self.sid.0, track = sid.0, %error, "not subscribed");
            }
        }
        self.tell_handles(room);
    }

    /// Subscriptions follow what is published: what is gone is forgotten, and who wants all gets what is new.
    pub(super) fn follow_data(&mut self, room: &mut Room) {
        let mut changed = room.prune_data(self.connection);
        if self.auto_data {
            let known = |sid: &TrackSid| {
                let own = room.connection(self.connection);
                own.is_some_and(|own| own.data_subscriptions.contains_key(sid))
            };
            let others = room
                .participants()
                .iter()
                .filter(|one| one.sid != self.sid && !one.profile.permissions.hidden);
            let tracks = others.flat_map(|one| one.data_tracks().map(|track| track.sid.clone()));
            let new: Vec<TrackSid> = tracks.filter(|sid| !known(sid)).collect();
            for sid in new {
                changed |= room.subscribe_data(self.connection, &sid).is_ok();
            }
        }
        if changed {
            self.tell_handles(room);
        }
    }

    /// Which number in the packets to the client stands for which track.
    fn tell_handles(&mut self, room: &Room) {
        let Some(own) = room.connection(self.connection) else {
            return;
        };
        let owner = |sid: &TrackSid| {
            let mut all = room.participants().iter();
            all.find(|one| one.data_tracks().any(|track| track.sid == *sid))
        };
        let handle = |(sid, handle): (&TrackSid, &u16)| {
            let owner = owner(sid)?;
            let track = proto::data_track_subscriber_handles::PublishedDataTrack {
                publisher_identity: owner.profile.identity.clone(),
                publisher_sid: owner.sid.0.clone(),
                track_sid: sid.0.clone(),
            };
            Some((u32::from(*handle), track))
        };
        let sub_handles = own.data_subscriptions.iter().filter_map(handle).collect();
        self.send(Response::DataTrackSubscriberHandles(
            proto::DataTrackSubscriberHandles { sub_handles },
        ));
    }

    fn refuse_data(&mut self, error: DataTrackError, request: proto::request_response::Request) {
        use proto::request_response::Reason;
        let reason = match error {
            DataTrackError::NotAllowed => Reason::NotAllowed,
            DataTrackError::InvalidHandle => Reason::InvalidHandle,
            DataTrackError::InvalidName => Reason::InvalidName,
            DataTrackError::DuplicateHandle => Reason::DuplicateHandle,
            DataTrackError::DuplicateName => Reason::DuplicateName,
            DataTrackError::TooMany => Reason::LimitExceeded,
            DataTrackError::NoConnection | DataTrackError::NotFound => Reason::NotFound,
        };
        self.send(Response::RequestResponse(proto::RequestResponse {
            request_id: 0,
            reason: reason as i32,
            message: error.to_string(),
            request: Some(request),
        }));
    }
}

/// A data track as clients are told of it.
pub(super) fn info(track: &DataTrack) -> proto::DataTrackInfo {
    let format = proto::DataTrackInfo::decode(track.format.as_slice()).unwrap_or_default();
    proto::DataTrackInfo {
        pub_handle: track.handle.into(),
        sid: track.sid.0.clone(),
        name: track.name.clone(),
        encryption: describe::encryption(track.encryption) as i32,
        ..format
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::super::data::Channels;
    use super::*;
    use crate::room::{Permissions, Profile, RoomLimits};

    /// A room in which "a" publishes a data track as 7, and the others have a channel.
    fn stage(others: &[&str]) -> (Room, HashMap<ConnectionId, Handle>, Vec<ConnectionId>, TrackSid) {
        let mut room = Room::new("hall", 1, RoomLimits::default());
        let mut clients = HashMap::new();
        let mut all = Vec::new();
        for (identity, endpoint) in std::iter::once(&"a").chain(others).zip(1..) {
            let permissions = Permissions {
                publish_data: true,
                subscribe: true,
                ..Permissions::default()
            };
            let profile = Profile {
                identity: (*identity).to_owned(),
                permissions,
                ..Profile::default()
            };
            let connection = room.join(Instant::now(), &profile).unwrap();
            room.attach(connection, EndpointId(endpoint));
            let mut channels = Channels::default();
            channels.open("_data_track", EndpointId(endpoint), DataChannelId(5));
            let handle = Handle {
                identity: (*identity).to_owned(),
                sid: room.participant_of(connection).unwrap().sid.clone(),
                commands: mpsc::channel(1).0,
                channels,
            };
            clients.insert(connection, handle);
            all.push(connection);
        }
        let new = NewDataTrack {
            handle: 7,
            name: "pose".to_owned(),
            ..NewDataTrack::default()
        };
        let track = room.publish_data(all[0], new).unwrap();
        (room, clients, all, track.sid)
    }

    #[test]
    fn only_the_number_is_rewritten() {
        let (mut room, clients, all, sid) = stage(&["b", "c", "d"]);
        let packet = [0x18, 0, 0, 7, 0, 1, 0, 2, 1, 2, 3, 4, 9, 9];
        assert!(
            relay(&room, &clients, all[0], &packet).is_none(),
            "nobody has asked for it"
        );
        let other = NewDataTrack {
            handle: 1,
            name: "light".to_owned(),
            ..NewDataTrack::default()
        };
        let other = room.publish_data(all[0], other).unwrap();
        room.subscribe_data(all[2], &other.sid).unwrap();
        room.subscribe_data(all[1], &sid).unwrap();
        room.subscribe_data(all[2], &sid).unwrap();
        let mut sent = Vec::new();
        let delivery = relay(&room, &clients, all[0], &packet).unwrap();
        delivery.each(|endpoint, _, frame| sent.push((endpoint.0, frame.to_vec())));
        let expected = |endpoint, handle| {
            let mut frame = packet.to_vec();
            frame[3] = handle;
            (endpoint, frame)
        };
        assert_eq!(sent, [expected(2, 1), expected(3, 2)]);
        assert!(relay(&room, &clients, all[1], &packet).is_none(), "not theirs");
        assert!(relay(&room, &clients, all[0], &packet[..11]).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (mut room, clients, all, sid) = stage(&["b"]);
            room.subscribe_data(all[1], &sid).unwrap();
            if let Some(delivery) = relay(&room, &clients, all[0], &data) {
                delivery.each(|_, _, frame| assert_eq!(frame.len(), data.len()));
            }
        }
    }
}
