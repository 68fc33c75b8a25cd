//! One client, as a state machine: its requests and the changes of the room go in, messages and work for the router come
//! out. Without sockets and without waiting; whoever runs it carries out its [`Step`]s in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointId, SubscriptionId};

use super::describe;
use super::downlink::Downlink;
use super::media::{Change, Proposal, Touch};
use super::priority::Shares;
use super::publish::Announced;
use super::roster::{self, Roster};
use super::sections::{Plan, Sections};
use super::signals::Signals;
use super::wire::{Request, Response, proto};
use super::wishes::Wishes;
use crate::room::{
    Admission, Audience, ConnectionId, Departure, Features, MAX_FEATURES, Participant, ParticipantSid, Room,
};
use crate::room::{Track, TrackSid};
use crate::sdp::Codecs;

/// How often the client says that it is there, and after what silence it gives up, in seconds.
const PING_INTERVAL: i32 = 5;
const PING_TIMEOUT: i32 = 15;

/// From this generation on, clients take note of a request that went well.
const CONFIRMS: i32 = 15;

/// Longest name, and most bytes of metadata and of all attributes.
const MAX_NAME: usize = 256;
const MAX_METADATA: usize = 64 * 1024;

/// Longest time that a client may pretend to speak.
const MAX_PRETENCE: Duration = Duration::from_secs(60);

/// Participants that an audience may name.
const MAX_ADMISSIONS: usize = 1024;

/// What has to be done for a client.
#[derive(Debug)]
pub(super) enum Step {
    /// Send a message.
    Send(Box<Response>),
    /// Change the endpoint as an offer wants, and tell the outcome by [`Client::negotiated`].
    Negotiate(Box<Plan>),
    /// Prepare an offer of ours, and tell the outcome by [`Client::proposed`].
    Propose(Proposal),
    /// Change the endpoint as the answer wants, and tell the outcome by [`Client::answered`].
    Accept(Box<Change>),
    /// A small change in the router.
    Touch(Touch),
    /// Lose the WebSocket: an accident that the client has asked for.
    Lose,
    /// The client's connection is over.
    End,
}

/// How a WebSocket will be lost that the client comes back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accident {
    /// Before anything was said.
    Silent,
    /// When the client has been told all.
    Told,
    /// With the next request, as then what was told has arrived, or with the next tick: a browser may take a WebSocket that
    /// ends as soon as it begins for one that never began.
    Now,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) connection: ConnectionId,
    pub(super) sid: ParticipantSid,
    /// On which it offers: the only one, or the one on which it sends.
    pub(super) endpoint: Option<EndpointId>,
    pub(super) codecs: Codecs,
    pub(super) announced: Vec<Announced>,
    pub(super) sections: Sections,
    /// The other connection of a client that receives on one of its own.
    pub(super) downlink: Option<Downlink>,
    pub(super) wishes: Wishes,
    pub(super) signals: Signals,
    pub(super) shares: Shares,
    /// It wants all data tracks.
    pub(super) auto_data: bool,
    roster: Roster,
    /// How long changes are gathered before the next time.
    pub(super) gather: Duration,
    protocol: i32,
    features: Features,
    accident: Option<Accident>,
    /// What was told of the room itself.
    metadata: String,
    /// Whether it was told that the room is recorded.
    recorded: bool,
    /// Why it goes, if it goes.
    pub(super) departure: Departure,
    pub(super) steps: VecDeque<Step>,
}

impl Client {
    /// A client whose connection has joined the room.
    pub(super) fn new(
        connection: ConnectionId,
        sid: ParticipantSid,
        codecs: Codecs,
        dual: bool,
        request: &proto::JoinRequest,
    ) -> Self {
        let usual = || proto::ConnectionSettings {
            auto_subscribe: true,
            ..Default::default()
        };
        let settings = request.connection_settings.unwrap_or_else(usual);
        let info = request.client_info.clone().unwrap_or_default();
        let features = Features {
            protocol: info.client_protocol,
            capabilities: info.capabilities.into_iter().take(MAX_FEATURES).collect(),
        };
        Self {
            connection,
            roster: Roster::new(sid.clone()),
            gather: Duration::ZERO,
            sid,
            endpoint: None,
            codecs,
            announced: Vec::new(),
            sections: Sections::new(),
            downlink: dual.then(Downlink::new),
            wishes: Wishes::new(settings.auto_subscribe, settings.adaptive_stream),
            signals: Signals::default(),
            shares: Shares::default(),
            auto_data: settings.auto_subscribe_data_track.unwrap_or_default(),
            protocol: info.protocol,
            features,
            accident: None,
            metadata: String::new(),
            recorded: false,
            departure: Departure::Left,
            steps: VecDeque::new(),
        }
    }

    /// The first message, and what came with the request to join.
    pub(super) fn join(&mut self, room: &mut Room, request: proto::JoinRequest) {
        room.set_features(self.connection, std::mem::take(&mut self.features));
        let permitted = self
            .me(room)
            .is_some_and(|me| me.profile.permissions.update_own_metadata);
        if permitted && (!request.metadata.is_empty() || !request.participant_attributes.is_empty()) {
            let (metadata, attributes) = (request.metadata, request.participant_attributes);
            if metadata.len() + size(&attributes) <= MAX_METADATA {
                room.change_profile(self.connection, |profile| {
                    if !metadata.is_empty() {
                        profile.metadata = metadata;
                    }
                    profile.attributes.extend(attributes);
                });
            }
        }
        room.metadata().clone_into(&mut self.metadata);
        self.recorded = room.recorded();
        let response = proto::JoinResponse {
            room: Some(describe::room(room)),
            participant: self.me(room).map(describe::participant),
            other_participants: self.roster.first(room),
            server_version: describe::COMPATIBLE_VERSION.to_owned(),
            server_info: Some(describe::server_info()),
            ping_interval: PING_INTERVAL,
            ping_timeout: PING_TIMEOUT,
            enabled_publish_codecs: describe::publishable(&self.codecs),
            subscriber_primary: self.downlink.is_some(),
            fast_publish: self.me(room).is_some_and(|me| me.profile.permissions.publish),
            ..Default::default()
        };
        self.send(Response::Join(response));
        for track in request.add_track_requests {
            self.add_track(room, track);
        }
        if let Some(offer) = request.publisher_offer {
            self.offer(room, &offer);
        }
        if self.downlink.is_some() {
            self.sync(room);
        }
    }

    /// The client has come back on a new WebSocket: it may have missed anything.
    pub(super) fn resume(&mut self, room: &mut Room, last_message: u32) {
        self.steps.retain(|step| !matches!(step, Step::Send(_)));
        if self.accident == Some(Accident::Silent) {
            self.accident = Some(Accident::Now);
            return;
        }
        self.send(Response::Reconnect(proto::ReconnectResponse {
            server_info: Some(describe::server_info()),
            last_message_seq: last_message,
            ..Default::default()
        }));
        (self.signals, self.shares) = Default::default();
        self.roster.restart();
        self.sections.restart();
        self.downlink.iter_mut().for_each(Downlink::restart);
        self.sync(room);
        let room = Some(describe::room(room));
        self.send(Response::RoomUpdate(proto::RoomUpdate { room }));
        self.accident = self.accident.map(|_| Accident::Now);
    }

    /// Looks whether the client owes us an answer for too long, and for accidents.
    pub(super) fn check(&mut self, now: Instant) {
        if self.accident.take_if(|one| *one == Accident::Now).is_some() {
            self.steps.push_back(Step::Lose);
        }
        if self.downlink.as_ref().is_some_and(|downlink| downlink.is_overdue(now)) {
            self.give_up("no answer has come");
        }
    }

    /// Takes a request.
    pub(super) fn handle(&mut self, room: &mut Room, request: Request) {
        if self.accident.take_if(|one| *one == Accident::Now).is_some() {
            return self.steps.push_back(Step::Lose);
        }
        match request {
            Request::Offer(offer) => self.offer(room, &offer),
            Request::Trickle(trickle) => self.trickle(&trickle),
            Request::AddTrack(track) => self.add_track(room, track),
            Request::Mute(mute) => self.mute(room, mute),
            Request::Subscription(update) => self.choose(room, update),
            Request::TrackSetting(settings) => self.set(room, &settings),
            Request::Leave(_) => self.steps.push_back(Step::End),
            Request::SubscriptionPermission(permission) => {
                room.set_audience(self.connection, audience(permission));
            }
            Request::SyncState(state) => self.sync_state(room, state),
            Request::Simulate(scenario) => self.simulate(room, scenario.scenario),
            Request::Ping(_) => self.send(Response::Pong(describe::millis(crate::hub::unix_now()))),
            Request::PingReq(ping) => self.send(Response::PongResp(proto::Pong {
                last_ping_timestamp: ping.timestamp,
                timestamp: describe::millis(crate::hub::unix_now()),
            })),
            Request::UpdateMetadata(update) => self.update_metadata(room, update),
            Request::UpdateAudioTrack(update) => self.update_audio(room, update),
            Request::UpdateVideoTrack(update) => self.update_video(room, &update),
            Request::Answer(answer) => self.answer(room, &answer),
            Request::PublishDataTrackRequest(request) => self.publish_data(room, request),
            Request::UnpublishDataTrackRequest(request) => self.unpublish_data(room, request),
            Request::UpdateDataSubscription(request) => self.choose_data(room, request),
            // The rest is not offered to clients.
            _ => {}
        }
    }

    /// Something has happened in the room; what has nothing to do with who is there is cheaper.
    pub(super) fn follow(&mut self, room: &mut Room) {
        self.gather = roster::gather(room.participants().len());
        if self.roster.is_current(room) {
            self.look(room);
            self.signal(room);
        } else {
            self.sync(room);
        }
    }

    /// Tells the client what has changed in the room, and asks for what it must do about it.
    pub(super) fn sync(&mut self, room: &mut Room) {
        let updates = self.roster.update(room);
        updates.into_iter().for_each(|update| self.send(update));
        if self.metadata != room.metadata() || self.recorded != room.recorded() {
            room.metadata().clone_into(&mut self.metadata);
            self.recorded = room.recorded();
            let room = Some(describe::room(room));
            self.send(Response::RoomUpdate(proto::RoomUpdate { room }));
        }
        self.wishes.prune(room);
        self.look(room);
        self.follow_data(room);
        let Some(me) = room.participant_of(self.connection) else {
            return;
        };
        let wanted = self.wishes.wanted(room, me);
        let step = match &mut self.downlink {
            Some(downlink) => downlink.propose(Instant::now(), &wanted).map(Step::Propose),
            None => {
                let requirement = self.sections.requirement(&wanted);
                requirement.map(|one| Step::Send(Box::new(Response::MediaSectionsRequirement(one))))
            }
        };
        self.steps.extend(step);
        let demand = self.wishes.demand(&wanted);
        room.set_demand(self.connection, demand);
        self.signal(room);
    }

    /// The tracks that are sent to the client now.
    pub(super) fn sending(&self) -> impl Iterator<Item = &TrackSid> {
        let down = self.downlink.iter().flat_map(Downlink::sending);
        self.sections.sending().chain(down)
    }

    /// All streams to the client.
    pub(super) fn subscriptions(&self) -> Vec<SubscriptionId> {
        let down = self.downlink.iter().flat_map(Downlink::subscriptions);
        self.sections.subscriptions().chain(down).collect()
    }

    /// The stream that carries a track.
    pub(super) fn subscription(&self, sid: &TrackSid) -> Option<SubscriptionId> {
        let down = self.downlink.as_ref().and_then(|downlink| downlink.subscription(sid));
        self.sections.subscription(sid).or(down)
    }

    /// Says good-bye; the last thing that the client is told.
    pub(super) fn dismiss(&mut self, reason: proto::DisconnectReason, action: proto::leave_request::Action) {
        self.departure = describe::departure(reason);
        self.send(Response::Leave(leave(reason, action)));
        self.steps.push_back(Step::End);
    }

    /// What has to be done next.
    pub(super) fn poll(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    pub(super) fn send(&mut self, response: Response) {
        self.steps.push_back(Step::Send(Box::new(response)));
    }

    pub(super) fn me<'a>(&self, room: &'a Room) -> Option<&'a Participant> {
        room.participant_of(self.connection)
    }

    fn choose(&mut self, room: &mut Room, update: proto::UpdateSubscription) {
        let grouped = update
            .participant_tracks
            .into_iter()
            .flat_map(|tracks| tracks.track_sids);
        self.wishes
            .choose(update.track_sids.into_iter().chain(grouped), update.subscribe);
        self.sync(room);
    }

    fn set(&mut self, room: &mut Room, settings: &proto::UpdateTrackSettings) {
        self.wishes.set(settings);
        self.touch(room, settings.track_sids.iter().map(|name| TrackSid(name.clone())));
    }

    /// Follows what the room shows.
    fn look(&mut self, room: &mut Room) {
        let changed = self.me(room).cloned().map(|me| self.wishes.look(room, &me));
        if let Some(changed) = changed.filter(|changed| !changed.is_empty()) {
            self.touch(room, changed.into_iter());
        }
    }

    /// Layers and pauses of these tracks may have changed.
    fn touch(&mut self, room: &mut Room, tracks: impl Iterator<Item = TrackSid>) {
        for sid in tracks {
            let (Some(subscription), Some(track)) = (self.subscription(&sid), find(room, &sid)) else {
                continue;
            };
            let paused = self.wishes.pauses(&sid);
            if !paused {
                let layers = self.wishes.layers(track);
                self.steps.push_back(Step::Touch(Touch::Layers(subscription, layers)));
                self.rank_anew(room, &sid);
            }
            self.steps.push_back(Step::Touch(Touch::Pause(subscription, paused)));
        }
        if let Some(me) = room.participant_of(self.connection) {
            let demand = self.wishes.demand(&self.wishes.wanted(room, me));
            room.set_demand(self.connection, demand);
        }
    }

    /// What the client believes after it has come back: when it publishes what we do not know, it must begin anew.
    fn sync_state(&mut self, room: &mut Room, state: proto::SyncState) {
        let known = |sid: &str| {
            let published = room
                .connection(self.connection)
                .is_some_and(|own| own.tracks.iter().any(|one| one.sid.0 == sid));
            published || self.announced.iter().any(|one| one.sid.0 == sid)
        };
        let strange = state.publish_tracks.iter().filter_map(|one| one.track.as_ref());
        if strange.into_iter().any(|track| !known(&track.sid)) {
            let action = proto::leave_request::Action::Reconnect;
            return self.dismiss(proto::DisconnectReason::StateMismatch, action);
        }
        if let Some(update) = state.subscription {
            self.choose(room, update);
        }
        if let Some(update) = state.data_subscription {
            self.choose_data(room, update);
        }
        let disabled = proto::UpdateTrackSettings {
            track_sids: state.track_sids_disabled,
            disabled: true,
            ..Default::default()
        };
        self.set(room, &disabled);
    }

    /// Accidents on demand, for tests of clients.
    fn simulate(&mut self, room: &mut Room, scenario: Option<proto::simulate_scenario::Scenario>) {
        use proto::leave_request::Action;
        use proto::simulate_scenario::Scenario;
        match scenario {
            Some(Scenario::ServerLeave(_)) => {
                self.dismiss(proto::DisconnectReason::ServerShutdown, Action::Disconnect);
            }
            Some(Scenario::NodeFailure(_) | Scenario::LeaveRequestFullReconnect(_)) => {
                self.dismiss(proto::DisconnectReason::StateMismatch, Action::Reconnect);
            }
            // Nothing moves: the client comes back to where it is.
            Some(Scenario::Migration(_)) => {
                self.send(Response::Leave(leave(
                    proto::DisconnectReason::Migration,
                    Action::Resume,
                )));
                self.steps.push_back(Step::Lose);
            }
            Some(Scenario::SpeakerUpdate(seconds)) => {
                let time = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
                room.pretend_to_speak(self.connection, Instant::now() + time.min(MAX_PRETENCE));
            }
            Some(Scenario::SubscriberBandwidth(bits)) => self.pretend_narrow(bits),
            Some(Scenario::DisconnectSignalOnResume(_)) => self.accident = Some(Accident::Told),
            Some(Scenario::DisconnectSignalOnResumeNoMessages(_)) => self.accident = Some(Accident::Silent),
            _ => {}
        }
    }

    fn update_metadata(&mut self, room: &mut Room, update: proto::UpdateParticipantMetadata) {
        use proto::request_response::Reason;
        let Some(me) = self.me(room) else {
            return;
        };
        let (name, metadata, attributes) = (&update.name, &update.metadata, &update.attributes);
        let fits = name.len() <= MAX_NAME
            && metadata.len() <= MAX_METADATA
            && size(attributes) + size(&me.profile.attributes) <= 2 * MAX_METADATA;
        let reason = match (me.profile.permissions.update_own_metadata, fits) {
            (false, _) => Reason::NotAllowed,
            (true, false) => Reason::LimitExceeded,
            (true, true) => Reason::Ok,
        };
        if reason == Reason::Ok {
            room.change_profile(self.connection, |profile| {
                if !name.is_empty() {
                    profile.name.clone_from(name);
                }
                if !metadata.is_empty() {
                    profile.metadata.clone_from(metadata);
                }
                for (key, value) in attributes {
                    if value.is_empty() {
                        profile.attributes.remove(key);
                    } else {
                        profile.attributes.insert(key.clone(), value.clone());
                    }
                }
            });
            // Before the confirmation: some clients send all that they know of themselves with the next change.
            let changed = self.roster.update_own(room);
            changed.into_iter().for_each(|update| self.send(update));
        }
        if reason != Reason::Ok || self.protocol >= CONFIRMS {
            let request_id = update.request_id;
            let request = Some(proto::request_response::Request::UpdateMetadata(update));
            self.respond(request_id, reason, request);
        }
    }

    /// Tells how a request has gone.
    pub(super) fn respond(
        &mut self,
        request_id: u32,
        reason: proto::request_response::Reason,
        request: Option<proto::request_response::Request>,
    ) {
        self.send(Response::RequestResponse(proto::RequestResponse {
            request_id,
            reason: reason as i32,
            message: String::new(),
            request,
        }));
    }
}

/// A good-bye.
pub(super) fn leave(reason: proto::DisconnectReason, action: proto::leave_request::Action) -> proto::LeaveRequest {
    proto::LeaveRequest {
        can_reconnect: action != proto::leave_request::Action::Disconnect,
        reason: reason as i32,
        action: action as i32,
        regions: None,
    }
}

fn find<'a>(room: &'a Room, sid: &TrackSid) -> Option<&'a Track> {
    let mut tracks = room.participants().iter().flat_map(Participant::tracks);
    tracks.find(|track| track.sid == *sid)
}

fn audience(permission: proto::SubscriptionPermission) -> Audience {
    let admission = |one: proto::TrackPermission| Admission {
        sid: one.participant_sid,
        identity: one.participant_identity,
        tracks: (!one.all_tracks).then(|| one.track_sids.into_iter().map(TrackSid).collect()),
    };
    let some = permission
        .track_permissions
        .into_iter()
        .take(MAX_ADMISSIONS)
        .map(admission);
    Audience {
        only: (!permission.all_participants).then(|| some.collect()),
    }
}

fn size<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> usize {
    pairs.into_iter().map(|(key, value)| key.len() + value.len()).sum()
}
