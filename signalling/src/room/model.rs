//! The room: who is there, what they publish, who leaves.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointId, TrackId};

use super::lifetime::{EndReason, Lifetime, Timeouts};
use super::outcome::{Effect, RoomEvent};
use super::participant::{
    Audience, Connection, ConnectionId, ConnectionState, Departure, Features, Participant, ParticipantSid, Profile,
    Quality, Source, Track, TrackDetails, TrackSid,
};
use super::settings::RoomSettings;
use super::speakers::Speakers;
use crate::sdp::CodecSpec;

/// A connection that is not active by then is closed: browsers need less than two seconds, and give up after fifteen.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Events that wait for the caller; a caller that never polls loses the oldest.
const MAX_EVENTS: usize = 4096;

/// How much one room holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomLimits {
    /// Participants at a time.
    pub participants: usize,
    /// Connections of one participant at a time: one to publish, and one for each that they watch.
    pub connections: usize,
    /// Cameras that one participant is shown at a time: those who spoke last. `None`: all.
    pub last_n: Option<usize>,
    /// Microphones that are heard at a time: the loudest. `None`: all.
    pub loudest: Option<usize>,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            participants: 1000,
            connections: 256,
            last_n: None,
            loudest: None,
        }
    }
}

/// One room.
#[derive(Debug)]
pub struct Room {
    name: String,
    sid: String,
    metadata: String,
    recorded: bool,
    lifetime: Lifetime,
    /// Fewer participants than the limits allow.
    max_participants: Option<usize>,
    revision: u64,
    departures: u64,
    pub(super) limits: RoomLimits,
    pub(super) speakers: Speakers,
    pub(super) participants: Vec<Participant>,
    pub(super) seed: u64,
    counter: u64,
    pub(super) effects: VecDeque<Effect>,
    events: VecDeque<RoomEvent>,
}

/// Why someone cannot come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The room holds as many participants as it may.
    RoomFull,
    /// The participant has as many connections as they may.
    TooManyConnections,
    /// A part of the server has this identity, or somebody has that of a part of the server.
    Reserved,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoomFull => "The room is full.",
            Self::TooManyConnections => "The participant has too many connections.",
            Self::Reserved => "Somebody else in the room has this identity.",
        })
    }
}

impl Error for JoinError {}

impl Room {
    /// A room that has not begun. `seed` makes the names of participants and tracks differ from those of other rooms.
    #[must_use]
    pub fn new(name: &str, seed: u64, limits: RoomLimits) -> Self {
        let mut room = Self {
            name: name.to_owned(),
            sid: String::new(),
            metadata: String::new(),
            recorded: false,
            lifetime: Lifetime::default(),
            max_participants: None,
            revision: 0,
            departures: 0,
            limits,
            speakers: Speakers::default(),
            participants: Vec::new(),
            seed,
            // A connection of an earlier room of that name means nothing here.
            counter: seed >> 16,
            effects: VecDeque::new(),
            events: VecDeque::new(),
        };
        room.sid = room.new_sid("RM_");
        room
    }

    /// The room is there from now on, although nobody has come yet. A room that has ended begins anew, with another sid
    /// and without anything that was set. Nothing happens while it lasts.
    pub fn begin(&mut self, now: Instant) {
        if self.lifetime.lasts() {
            return;
        }
        if self.lifetime.began().is_some() {
            self.sid = self.new_sid("RM_");
            self.metadata.clear();
            self.recorded = false;
            self.max_participants = None;
        }
        self.lifetime = Lifetime::new(now);
        self.tell(RoomEvent::Began);
    }

    /// Everybody has to leave, and the room is over.
    pub fn end(&mut self, why: EndReason) {
        let departure = match why {
            EndReason::Shutdown => Departure::Shutdown,
            EndReason::Idle | EndReason::Deleted => Departure::RoomDeleted,
        };
        let all: Vec<ConnectionId> = self.connections().map(|one| one.id).collect();
        all.into_iter().for_each(|id| self.leave(id, departure));
        if self.lifetime.lasts() {
            self.lifetime.end();
            self.tell(RoomEvent::Ended(why));
        }
    }

    /// A new connection of a participant, who comes in with the first one.
    ///
    /// # Errors
    ///
    /// A limit is reached.
    pub fn join(&mut self, now: Instant, profile: &Profile) -> Result<ConnectionId, JoinError> {
        let mut profile = profile.clone();
        profile.keep_to_oneself();
        let profile = &profile;
        let id = ConnectionId(self.next());
        let connection = Connection {
            id,
            endpoints: Vec::new(),
            state: ConnectionState::Joining,
            tracks: Vec::new(),
            view: None,
            demand: BTreeMap::new(),
            data_tracks: Vec::new(),
            data_subscriptions: BTreeMap::new(),
            since: now,
            active_order: 0,
        };
        let limits = self.limits;
        let full = !profile.permissions.service && self.is_full_for(&profile.identity);
        self.begin(now);
        if let Some(known) = self
            .participants
            .iter_mut()
            .find(|one| one.profile.identity == profile.identity)
        {
            if known.connections.len() >= limits.connections {
                return Err(JoinError::TooManyConnections);
            }
            if known.profile.permissions.service != profile.permissions.service {
                return Err(JoinError::Reserved);
            }
            // A later token may say something else.
            let changed = known.profile != *profile;
            known.profile = profile.clone();
            known.connections.push(connection);
            let sid = known.sid.clone();
            if changed {
                self.tell(RoomEvent::ParticipantChanged(sid));
            }
        } else {
            if full {
                return Err(JoinError::RoomFull);
            }
            let sid = ParticipantSid(self.new_sid("PA_"));
            self.participants.push(Participant {
                sid: sid.clone(),
                profile: profile.clone(),
                connections: vec![connection],
                version: 0,
                changed: 0,
                joined: now,
                reached: false,
                audience: Audience::default(),
                features: Features::default(),
                speaking: 0,
                pretends_to_speak: None,
                quality: None,
            });
            self.tell(RoomEvent::ParticipantJoined(sid));
        }
        if !profile.permissions.service {
            self.lifetime.visit();
        }
        Ok(id)
    }

    /// Whether this participant could not come in: others have taken all places, and this one is not here yet.
    pub fn is_full_for(&self, identity: &str) -> bool {
        let most = self
            .max_participants
            .unwrap_or(usize::MAX)
            .min(self.limits.participants);
        self.people().count() >= most && !self.participants.iter().any(|one| one.profile.identity == identity)
    }

    /// The connection has an endpoint in the router now, or another one. False when the connection is gone: remove the
    /// endpoint.
    pub fn attach(&mut self, id: ConnectionId, endpoint: EndpointId) -> bool {
        self.connection_mut(id)
            .map(|one| one.endpoints.push(endpoint))
            .is_some()
    }

    /// Changes who they are; others are told when something has changed.
    pub fn change_profile(&mut self, id: ConnectionId, change: impl FnOnce(&mut Profile)) {
        self.change(id, |owner| {
            change(&mut owner.profile);
            owner.profile.keep_to_oneself();
        });
    }

    /// Changes something of a connection that others can see.
    pub(super) fn change_connection(&mut self, id: ConnectionId, change: impl FnOnce(&mut Connection)) {
        self.change(id, |owner| {
            if let Some(own) = owner.connections.iter_mut().find(|one| one.id == id) {
                change(own);
            }
        });
    }

    /// Changes who may watch what they publish.
    pub fn set_audience(&mut self, id: ConnectionId, audience: Audience) {
        let changed = self.participant_of(id).is_some_and(|owner| owner.audience != audience);
        if changed {
            self.change(id, |owner| owner.audience = audience);
            self.update_views();
        }
    }

    /// Remembers what their program can do.
    pub fn set_features(&mut self, id: ConnectionId, features: Features) {
        self.change(id, |owner| owner.features = features);
    }

    /// Their owner is said to speak until then, whatever is heard: programs can be tested with it.
    pub fn pretend_to_speak(&mut self, id: ConnectionId, until: Instant) {
        if let Some(owner) = self
            .position(id)
            .and_then(|(owner, _)| self.participants.get_mut(owner))
        {
            owner.pretends_to_speak = Some(until);
        }
    }

    /// Remembers how good a connection is.
    pub fn set_quality(&mut self, id: ConnectionId, quality: Quality) {
        let owner = self
            .position(id)
            .and_then(|(owner, _)| self.participants.get_mut(owner));
        if let Some(owner) = owner
            && owner.quality.replace(quality) != Some(quality)
        {
            self.tell(RoomEvent::QualityChanged);
        }
    }

    /// Grows when somebody comes, goes, or changes what others can see or watch.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many participants have left so far.
    #[must_use]
    pub fn departures(&self) -> u64 {
        self.departures
    }

    fn change(&mut self, id: ConnectionId, change: impl FnOnce(&mut Participant)) {
        let owner = self
            .position(id)
            .and_then(|(owner, _)| self.participants.get_mut(owner));
        if let Some(owner) = owner {
            change(owner);
            let sid = owner.sid.clone();
            self.tell(RoomEvent::ParticipantChanged(sid));
        }
    }

    /// Media can flow on the connection of this endpoint.
    pub fn on_connected(&mut self, endpoint: EndpointId) {
        let order = self.next();
        let Some((participant, index)) = self.position_of(endpoint) else {
            return;
        };
        let Some(owner) = self.participants.get_mut(participant) else {
            return;
        };
        let was_active = owner.is_active();
        let first = |one: &&mut Connection| !one.is_active() && one.endpoint() == Some(endpoint);
        let Some(connection) = owner.connections.get_mut(index).filter(first) else {
            return;
        };
        connection.state = ConnectionState::Active;
        connection.active_order = order;
        owner.reached = true;
        let Some(connection) = owner.connections.get(index) else {
            return;
        };
        let (id, tracks) = (connection.id, connection.tracks.clone());
        let replaced = |one: &&Connection| {
            let same = |track: &Track| tracks.iter().any(|new| new.source == track.source);
            one.id != id && one.tracks.iter().any(same)
        };
        let replaced: Vec<ConnectionId> = owner.connections.iter().filter(replaced).map(|one| one.id).collect();
        let sid = owner.sid.clone();
        if !was_active {
            self.tell(RoomEvent::ParticipantActive(sid.clone()));
        }
        let publishes = !tracks.is_empty();
        for track in tracks {
            self.tell(RoomEvent::TrackPublished(sid.clone(), track.sid));
        }
        if publishes {
            self.update_views();
        }
        replaced
            .into_iter()
            .for_each(|old| self.leave(old, Departure::Replaced));
    }

    /// Nothing flows any more on the connection of this endpoint: it is closed.
    pub fn on_disconnected(&mut self, endpoint: EndpointId) {
        let position = self.position_of(endpoint);
        let connection =
            position.and_then(|(participant, index)| self.participants.get(participant)?.connections.get(index));
        if let Some(id) = connection.map(|one| one.id) {
            self.leave(id, Departure::MediaLost);
        }
    }

    /// Closes what has not become active in time, and ends the room when nobody has been there for long enough.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late = |one: &&Connection| {
            one.state == ConnectionState::Joining && now.saturating_duration_since(one.since) >= CONNECT_TIMEOUT
        };
        let late: Vec<ConnectionId> = self.connections().filter(late).map(|one| one.id).collect();
        late.into_iter().for_each(|id| self.leave(id, Departure::NotConnected));
        if self.is_empty() && self.lifetime.is_idle(now) {
            self.end(EndReason::Idle);
        }
    }

    /// Closes a connection; the participant leaves with the last one. Harmless when it is gone.
    pub fn leave(&mut self, id: ConnectionId, why: Departure) {
        let Some((participant, index)) = self.position(id) else {
            return;
        };
        let Some(owner) = self.participants.get_mut(participant) else {
            return;
        };
        let (sid, connection) = (owner.sid.clone(), owner.connections.remove(index));
        let alone = owner.connections.is_empty();
        let published = connection.is_active() && !connection.tracks.is_empty();
        self.effects.push_back(Effect::Close {
            connection: id,
            endpoints: connection.endpoints,
        });
        for track in connection.tracks.into_iter().filter(|_| published) {
            self.tell(RoomEvent::TrackUnpublished(sid.clone(), Box::new(track)));
        }
        if alone {
            let owner = self.participants.remove(participant);
            self.departures += 1;
            self.tell(RoomEvent::ParticipantLeft(Box::new(owner), why));
        }
        if published {
            self.update_views();
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name for as long as it lasts, as `RM_…`.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Anything that the application tells about the room.
    #[must_use]
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Changes what the application tells about the room.
    pub fn set_metadata(&mut self, metadata: String) {
        self.metadata = metadata;
        self.tell(RoomEvent::RoomChanged);
    }

    /// Whether it is recorded, as everybody in it is told.
    #[must_use]
    pub fn recorded(&self) -> bool {
        self.recorded
    }

    /// A recording has begun, or is over.
    pub fn set_recorded(&mut self, recorded: bool) {
        if std::mem::replace(&mut self.recorded, recorded) != recorded {
            self.tell(RoomEvent::RoomChanged);
        }
    }

    /// Does what is asked of it.
    pub fn configure(&mut self, settings: RoomSettings) {
        self.lifetime.timeouts = settings.timeouts(self.lifetime.timeouts);
        if settings.max_participants > 0 {
            self.max_participants = Some(usize::try_from(settings.max_participants).unwrap_or(usize::MAX));
        }
        if !settings.metadata.is_empty() {
            self.set_metadata(settings.metadata);
        }
    }

    /// How many participants may be there, when [`Self::configure`] has said so.
    #[must_use]
    pub fn max_participants(&self) -> Option<usize> {
        self.max_participants
    }

    /// How long it stays although nobody is there; timeouts are looked at by [`Self::handle_timeout`].
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.lifetime.timeouts
    }

    /// It has begun and not ended.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.lifetime.lasts()
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Option<Instant> {
        self.lifetime.began()
    }

    /// Whose connection it is.
    #[must_use]
    pub fn participant_of(&self, id: ConnectionId) -> Option<&Participant> {
        let (participant, _) = self.position(id)?;
        self.participants.get(participant)
    }

    /// Nobody is there but parts of the server.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people().next().is_none()
    }

    /// All participants that are no part of the server.
    fn people(&self) -> impl Iterator<Item = &Participant> {
        self.participants.iter().filter(|one| !one.profile.permissions.service)
    }

    /// All participants, the hidden ones too, in the order in which they came.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// A connection.
    #[must_use]
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        let (participant, index) = self.position(id)?;
        self.participants.get(participant)?.connections.get(index)
    }

    /// The connection of an endpoint.
    #[must_use]
    pub fn connection_of(&self, endpoint: EndpointId) -> Option<&Connection> {
        let (participant, index) = self.position_of(endpoint)?;
        self.participants.get(participant)?.connections.get(index)
    }

    /// What the router must do next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What has happened next.
    pub fn poll_event(&mut self) -> Option<RoomEvent> {
        self.events.pop_front()
    }

    pub(super) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.participants.iter().flat_map(|one| &one.connections)
    }

    pub(super) fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.participants
            .iter_mut()
            .flat_map(|one| &mut one.connections)
            .find(|one| one.id == id)
    }

    pub(super) fn position(&self, id: ConnectionId) -> Option<(usize, usize)> {
        self.find(|one| one.id == id)
    }

    fn position_of(&self, endpoint: EndpointId) -> Option<(usize, usize)> {
        self.find(|one| one.endpoints.contains(&endpoint))
    }

    pub(super) fn find(&self, wanted: impl Fn(&Connection) -> bool) -> Option<(usize, usize)> {
        let find = |(index, one): (usize, &Participant)| Some((index, one.connections.iter().position(&wanted)?));
        self.participants.iter().enumerate().find_map(find)
    }

    pub(super) fn tell(&mut self, event: RoomEvent) {
        self.revision += u64::from(event.is_lasting());
        let changed = event.changes().cloned();
        let changed = changed.and_then(|sid| self.participants.iter_mut().find(|one| one.sid == sid));
        if let Some(changed) = changed {
            changed.version = changed.version.wrapping_add(1);
            changed.changed = self.revision;
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Twelve letters and digits that do not show how many there were before: the steps of SplitMix64.
    pub(super) fn new_sid(&mut self, prefix: &str) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut mixed = self.seed.wrapping_add(self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let letter = |index: u32| char::from(LETTERS[usize::from((mixed >> (5 * index)).to_le_bytes()[0] & 31)]);
        prefix.chars().chain((0..12).map(letter)).collect()
    }
}

/// A track that is about to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrack {
    /// Its name in the router.
    pub id: TrackId,
    /// Where it comes from.
    pub source: Source,
    /// What it is coded with.
    pub codec: CodecSpec,
    /// The encodings of simulcast, the lowest first; empty without.
    pub rids: Vec<althing_media_core::Rid>,
    /// Its name, when it was given before.
    pub sid: Option<TrackSid>,
    /// It starts muted.
    pub muted: bool,
    /// What the publisher tells about it.
    pub details: TrackDetails,
}
