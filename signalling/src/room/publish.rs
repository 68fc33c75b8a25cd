//! What connections publish, and how good it has to be for those who watch.

use std::collections::BTreeMap;

use althing_media_core::config::TrackId;

use super::model::{NewTrack, Room};
use super::outcome::{Effect, RoomEvent};
use super::participant::{Connection, ConnectionId, Participant, PublishError, Track, TrackDetails, TrackSid};

impl Room {
    /// The connection publishes a track, which others can watch once it is active. A connection on which the participant
    /// publishes the same source is closed then: they have come back, and the old one is dead or forgotten.
    ///
    /// # Errors
    ///
    /// The participant may not.
    pub fn publish(&mut self, id: ConnectionId, track: NewTrack) -> Result<TrackSid, PublishError> {
        let sid = match &track.sid {
            Some(sid) => sid.clone(),
            None => self.new_track_sid(),
        };
        let (participant, _) = self.position(id).ok_or(PublishError::NoConnection)?;
        let owner = self.participants.get(participant).ok_or(PublishError::NoConnection)?;
        let owner_sid = owner.sid.clone();
        if !owner.profile.permissions.publishes(track.source) {
            return Err(PublishError::NotAllowed(track.source));
        }
        let connection = self.connection_mut(id).ok_or(PublishError::NoConnection)?;
        let NewTrack {
            id: track,
            source,
            codec,
            rids,
            muted,
            details,
            sid: _,
        } = track;
        let kind = codec.codec.kind();
        connection.tracks.push(Track {
            sid: sid.clone(),
            id: track,
            kind,
            source,
            codec,
            rids,
            muted,
            details,
        });
        if muted {
            self.effects.push_back(Effect::Mute { track, muted });
        }
        self.enter_stage(track, source, kind);
        let announced = self.connection(id).is_some_and(Connection::is_active);
        if announced {
            self.tell(RoomEvent::TrackPublished(owner_sid, sid.clone()));
            self.update_views();
        }
        Ok(sid)
    }

    /// A name for a track that will be published later, by [`NewTrack::sid`].
    pub fn new_track_sid(&mut self) -> TrackSid {
        TrackSid(self.new_sid("TR_"))
    }

    /// The connection does not publish the track any more. False when it never did.
    pub fn unpublish(&mut self, id: ConnectionId, sid: &TrackSid) -> bool {
        let Some(connection) = self.connection_mut(id) else {
            return false;
        };
        let Some(at) = connection.tracks.iter().position(|track| track.sid == *sid) else {
            return false;
        };
        let track = connection.tracks.remove(at);
        let announced = connection.is_active();
        self.effects.push_back(Effect::RemoveTrack { track: track.id });
        if let Some(owner) = self
            .participant_of(id)
            .map(|owner| owner.sid.clone())
            .filter(|_| announced)
        {
            self.tell(RoomEvent::TrackUnpublished(owner, Box::new(track)));
        }
        self.update_views();
        true
    }

    /// Changes what is told about a track of this connection.
    pub fn change_details(&mut self, id: ConnectionId, sid: &TrackSid, change: impl FnOnce(&mut TrackDetails)) {
        self.change_connection(id, |own| {
            if let Some(track) = own.tracks.iter_mut().find(|track| track.sid == *sid) {
                change(&mut track.details);
            }
        });
    }

    /// The publisher mutes or unmutes a track.
    pub fn mute(&mut self, sid: &TrackSid, muted: bool) {
        let tracks = |owner: &mut Participant| {
            let mut tracks = owner.connections.iter_mut().flat_map(|one| &mut one.tracks);
            let track = tracks.find(|track| track.sid == *sid && track.muted != muted)?;
            track.muted = muted;
            Some((owner.sid.clone(), track.id))
        };
        if let Some((owner, track)) = self.participants.iter_mut().find_map(tracks) {
            self.effects.push_back(Effect::Mute { track, muted });
            self.tell(RoomEvent::TrackMuted(owner, sid.clone(), muted));
        }
    }

    /// The connection has a use for these encodings at best, 0 the lowest, and for no other track.
    pub fn set_demand(&mut self, id: ConnectionId, demand: BTreeMap<TrackSid, u8>) {
        if let Some(connection) = self.connection_mut(id)
            && connection.demand != demand
        {
            connection.demand = demand;
            self.tell(RoomEvent::DemandChanged);
        }
    }

    /// The best encoding of a track that anybody has a use for; `None` when nobody watches it.
    #[must_use]
    pub fn demand(&self, track: &Track) -> Option<u8> {
        let connections = self.participants.iter().flat_map(|one| &one.connections);
        let wanted = |one: &Connection| {
            let slots = one.view.iter().flat_map(|view| &view.slots);
            let shown = slots.filter(|slot| slot.source == Some(track.id));
            let shown = shown.map(|slot| slot.layers.spatial).max();
            shown.max(one.demand.get(&track.sid).copied())
        };
        connections.filter_map(wanted).max()
    }

    /// The track with this name in the router.
    #[must_use]
    pub fn track(&self, id: TrackId) -> Option<&Track> {
        let mut tracks = self
            .participants
            .iter()
            .flat_map(|one| &one.connections)
            .flat_map(|one| &one.tracks);
        tracks.find(|track| track.id == id)
    }
}
