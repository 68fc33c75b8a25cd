//! Data tracks: streams of frames that no codec knows. Who publishes which, and who receives which under what number.
//!
//! A packet carries a number of 16 bits for its track: the publisher's own on the way here, the receiver's own on the way
//! there. Both are known to the room; packets are not its business.

use std::error::Error;
use std::fmt;

use super::model::Room;
use super::participant::{Connection, ConnectionId, Encryption, Participant, TrackSid};

/// Data tracks that one connection may publish.
pub const MAX_DATA_TRACKS: usize = 64;
/// Data tracks that one connection may receive.
pub const MAX_DATA_SUBSCRIPTIONS: usize = 1024;
/// Longest name of a data track, in bytes.
pub const MAX_DATA_NAME: usize = 256;
/// Longest description of the frames of a data track, in bytes.
pub const MAX_DATA_FORMAT: usize = 1024;

/// A data track that someone publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataTrack {
    /// Its name, as `DTR_…`.
    pub sid: TrackSid,
    /// The publisher's number for it; not 0.
    pub handle: u16,
    /// A name for people and programs; unique among the tracks of its publisher.
    pub name: String,
    /// How its frames are encrypted for the receivers.
    pub encryption: Encryption,
    /// What its frames are, in the words of the adapter: carried along, not understood here.
    pub format: Vec<u8>,
}

/// A data track to be published: the same without its name in the room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewDataTrack {
    /// The publisher's number for it, 1 to 65535.
    pub handle: u32,
    /// A name for people and programs.
    pub name: String,
    /// How its frames are encrypted for the receivers.
    pub encryption: Encryption,
    /// What its frames are.
    pub format: Vec<u8>,
}

/// Why a data track is not published or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataTrackError {
    /// The connection is gone.
    NoConnection,
    /// They may not send data, or not receive anything.
    NotAllowed,
    /// The number is 0 or has more than 16 bits.
    InvalidHandle,
    /// The name is empty or too long, or the description of the frames is.
    InvalidName,
    /// They publish one with this number already.
    DuplicateHandle,
    /// They publish one with this name already.
    DuplicateName,
    /// [`MAX_DATA_TRACKS`] or [`MAX_DATA_SUBSCRIPTIONS`] are there already.
    TooMany,
    /// There is no such track, or they may not receive it.
    NotFound,
}

impl fmt::Display for DataTrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConnection => "The connection is gone.",
            Self::NotAllowed => "The access token does not allow it.",
            Self::InvalidHandle => "The handle of a data track is a number from 1 to 65535.",
            Self::InvalidName => "The name of a data track has 1 to 256 bytes, and the description of its frames 1024.",
            Self::DuplicateHandle => "Another data track has this handle.",
            Self::DuplicateName => "Another data track has this name.",
            Self::TooMany => "There are as many data tracks as there may be.",
            Self::NotFound => "There is no such data track.",
        })
    }
}

impl Error for DataTrackError {}

impl Room {
    /// The connection publishes a data track; others are told of it at once.
    ///
    /// # Errors
    ///
    /// All of [`DataTrackError`] but the last.
    pub fn publish_data(&mut self, id: ConnectionId, track: NewDataTrack) -> Result<DataTrack, DataTrackError> {
        let owner = self.participant_of(id).ok_or(DataTrackError::NoConnection)?;
        if !owner.profile.permissions.publish_data {
            return Err(DataTrackError::NotAllowed);
        }
        let handle = u16::try_from(track.handle).ok().filter(|handle| *handle != 0);
        let handle = handle.ok_or(DataTrackError::InvalidHandle)?;
        let named = (1..=MAX_DATA_NAME).contains(&track.name.len());
        if !named || track.format.len() > MAX_DATA_FORMAT {
            return Err(DataTrackError::InvalidName);
        }
        if owner.data_tracks().any(|one| one.handle == handle) {
            return Err(DataTrackError::DuplicateHandle);
        }
        if owner.data_tracks().any(|one| one.name == track.name) {
            return Err(DataTrackError::DuplicateName);
        }
        if owner.data_tracks().count() >= MAX_DATA_TRACKS {
            return Err(DataTrackError::TooMany);
        }
        let track = DataTrack {
            sid: TrackSid(self.new_sid("DTR_")),
            handle,
            name: track.name,
            encryption: track.encryption,
            format: track.format,
        };
        self.change_connection(id, |connection| connection.data_tracks.push(track.clone()));
        Ok(track)
    }

    /// The connection does not publish the data track with this number any more; what it was.
    pub fn unpublish_data(&mut self, id: ConnectionId, handle: u32) -> Option<DataTrack> {
        let own = self.connection(id)?;
        let at = own.data_tracks.iter().position(|one| u32::from(one.handle) == handle)?;
        let mut removed = None;
        self.change_connection(id, |connection| removed = Some(connection.data_tracks.remove(at)));
        removed
    }

    /// The connection receives a data track from now on; the number that stands in the packets to it. The same again when
    /// it does already.
    ///
    /// # Errors
    ///
    /// [`DataTrackError::NoConnection`], [`DataTrackError::NotAllowed`], [`DataTrackError::NotFound`],
    /// [`DataTrackError::TooMany`].
    pub fn subscribe_data(&mut self, id: ConnectionId, sid: &TrackSid) -> Result<u16, DataTrackError> {
        let me = self.participant_of(id).ok_or(DataTrackError::NoConnection)?;
        if !me.profile.permissions.subscribe {
            return Err(DataTrackError::NotAllowed);
        }
        let publishes = |one: &&Participant| one.sid != me.sid && one.data_tracks().any(|track| track.sid == *sid);
        let owner = self.participants().iter().find(publishes);
        if !owner.is_some_and(|owner| owner.audience.admits(me, sid)) {
            return Err(DataTrackError::NotFound);
        }
        let connection = self.connection_mut(id).ok_or(DataTrackError::NoConnection)?;
        if let Some(handle) = connection.data_subscriptions.get(sid) {
            return Ok(*handle);
        }
        if connection.data_subscriptions.len() >= MAX_DATA_SUBSCRIPTIONS {
            return Err(DataTrackError::TooMany);
        }
        let handle = connection.free_handle();
        connection.data_subscriptions.insert(sid.clone(), handle);
        Ok(handle)
    }

    /// The connection does not receive the data track any more.
    pub fn unsubscribe_data(&mut self, id: ConnectionId, sid: &TrackSid) {
        if let Some(connection) = self.connection_mut(id) {
            connection.data_subscriptions.remove(sid);
        }
    }

    /// Forgets subscriptions to data tracks that are gone; true when there were some.
    pub fn prune_data(&mut self, id: ConnectionId) -> bool {
        let gone = |sid: &TrackSid| {
            !self
                .participants()
                .iter()
                .any(|one| one.data_tracks().any(|track| track.sid == *sid))
        };
        let gone: Vec<TrackSid> = match self.connection(id) {
            Some(own) => own.data_subscriptions.keys().filter(|sid| gone(sid)).cloned().collect(),
            None => Vec::new(),
        };
        gone.iter().for_each(|sid| self.unsubscribe_data(id, sid));
        !gone.is_empty()
    }

    /// Who receives the packets that the connection sends under this number of its own, and under which number of theirs.
    pub fn data_receivers(&self, id: ConnectionId, handle: u16) -> impl Iterator<Item = (ConnectionId, u16)> + '_ {
        let owner = self
            .participant_of(id)
            .filter(|owner| owner.profile.permissions.publish_data);
        let track = owner.and_then(|owner| Some((owner, owner.data_tracks().find(|track| track.handle == handle)?)));
        track.into_iter().flat_map(move |(owner, track)| {
            let admitted = |one: &&Participant| owner.audience.admits(one, &track.sid);
            let admitted = self.participants().iter().filter(admitted);
            let connections = admitted.flat_map(|one| &one.connections);
            connections.filter_map(|one| Some((one.id, *one.data_subscriptions.get(&track.sid)?)))
        })
    }
}

impl Participant {
    /// The data tracks that they publish.
    pub fn data_tracks(&self) -> impl Iterator<Item = &DataTrack> {
        self.connections.iter().flat_map(|one| &one.data_tracks)
    }
}

impl Connection {
    /// A number from 1 up that stands for nothing: there are far fewer subscriptions than numbers.
    fn free_handle(&self) -> u16 {
        let used = |handle: &u16| self.data_subscriptions.values().any(|one| one == handle);
        (1..=u16::MAX).find(|handle| !used(handle)).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::room::{Permissions, Profile, RoomLimits};

    fn join(room: &mut Room, identity: &str) -> ConnectionId {
        let permissions = Permissions {
            publish_data: true,
            subscribe: true,
            ..Permissions::default()
        };
        let profile = Profile {
            identity: identity.to_owned(),
            permissions,
            ..Profile::default()
        };
        room.join(Instant::now(), &profile).unwrap()
    }

    fn new(handle: u32, name: &str) -> NewDataTrack {
        NewDataTrack {
            handle,
            name: name.to_owned(),
            ..NewDataTrack::default()
        }
    }

    #[test]
    fn frames_find_their_receivers_under_their_numbers() {
        let mut room = Room::new("hall", 1, RoomLimits::default());
        let [ada, ben, cleo] = ["ada", "ben", "cleo"].map(|name| join(&mut room, name));
        let pose = room.publish_data(ada, new(7, "pose")).unwrap();
        let light = room.publish_data(ada, new(8, "light")).unwrap();
        assert!(pose.sid.0.starts_with("DTR_"));
        assert_eq!(room.subscribe_data(ben, &light.sid), Ok(1));
        assert_eq!(room.subscribe_data(ben, &pose.sid), Ok(2));
        assert_eq!(room.subscribe_data(ben, &pose.sid), Ok(2), "the same again");
        assert_eq!(room.subscribe_data(cleo, &pose.sid), Ok(1));
        assert_eq!(
            room.subscribe_data(ada, &pose.sid),
            Err(DataTrackError::NotFound),
            "its own"
        );
        let receivers = |room: &Room, handle| room.data_receivers(ada, handle).collect::<Vec<_>>();
        assert_eq!(receivers(&room, 7), [(ben, 2), (cleo, 1)]);
        assert_eq!(receivers(&room, 8), [(ben, 1)]);
        assert_eq!(receivers(&room, 9), []);
        room.unsubscribe_data(ben, &light.sid);
        assert_eq!(receivers(&room, 8), []);
        assert_eq!(
            room.unpublish_data(ada, 7).map(|track| track.name),
            Some("pose".to_owned())
        );
        assert_eq!(receivers(&room, 7), []);
        assert!(room.prune_data(ben) && !room.prune_data(ben));
        room.leave(ada, crate::room::Departure::Left);
        assert_eq!(room.subscribe_data(ben, &light.sid), Err(DataTrackError::NotFound));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let mut room = Room::new("hall", 1, RoomLimits::default());
        let ada = join(&mut room, "ada");
        room.publish_data(ada, new(1, "pose")).unwrap();
        let long = "x".repeat(MAX_DATA_NAME + 1);
        for (handle, name, error) in [
            (0, "other", DataTrackError::InvalidHandle),
            (65_536, "other", DataTrackError::InvalidHandle),
            (2, "", DataTrackError::InvalidName),
            (2, long.as_str(), DataTrackError::InvalidName),
            (1, "other", DataTrackError::DuplicateHandle),
            (2, "pose", DataTrackError::DuplicateName),
        ] {
            assert_eq!(room.publish_data(ada, new(handle, name)), Err(error), "{handle} {name}");
        }
        for handle in 2..=64 {
            room.publish_data(ada, new(handle, &handle.to_string())).unwrap();
        }
        assert_eq!(room.publish_data(ada, new(65, "65")), Err(DataTrackError::TooMany));
        let mute = Profile {
            identity: "mute".to_owned(),
            ..Profile::default()
        };
        let mute = room.join(Instant::now(), &mute).unwrap();
        assert_eq!(room.publish_data(mute, new(1, "pose")), Err(DataTrackError::NotAllowed));
    }
}
