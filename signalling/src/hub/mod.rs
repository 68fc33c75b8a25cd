//! All rooms and sessions of a server, and the way from them to the media workers and back.
//!
//! One lock, held for moments and never while waiting. Every room lives on one worker. Effects of a room go to its worker
//! under the lock, so that they arrive in order; what a busy worker does not take is kept and tried again.

mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing_media_core::config::EndpointId;
use althing_media_core::event::Event;
use althing_media_core::payload::MediaKind;
use althing_media_core::{Router, Ssrc, StreamIds};
use althing_media_net::Worker;
use aws_lc_rs::rand;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{mpsc, watch};

pub(crate) use self::state::Clients;
use self::state::{Entry, State};
use crate::egress::{EgressOrder, MAX_ORDERS, Progress};
use crate::insider::{MAX_SAID, Said};
use crate::problem::Problem;
use crate::protocol::wire::proto;
use crate::protocol::{self, Channel, DataChannelReceiveState};
use crate::room::{ConnectionId, Departure, EndReason, ParticipantSid, Profile, Room, RoomSettings};
use crate::server::SignallingConfig;
use crate::session::{Session, SessionId};
use crate::token::Claims;
use crate::webhook::Webhooks;

/// How long it is listened before it is told who speaks.
pub(crate) const LISTEN: Duration = Duration::from_millis(400);

/// Listeners to the changes of one room.
const MAX_LISTENERS: usize = 1024;

/// Everything that the handlers share.
pub(crate) struct Hub {
    pub(crate) config: SignallingConfig,
    workers: Vec<Worker<Router>>,
    state: Mutex<State>,
    /// Where somebody takes them.
    orders: OnceLock<mpsc::Sender<EgressOrder>>,
}

/// A client of the room protocol that has come in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) connection: ConnectionId,
    pub(crate) sid: ParticipantSid,
    pub(crate) worker: Worker<Router>,
    pub(crate) changed: watch::Receiver<u64>,
    pub(crate) commands: mpsc::Receiver<protocol::Command>,
}

impl Hub {
    pub(crate) fn new(config: SignallingConfig, workers: Vec<Worker<Router>>, webhooks: Option<Webhooks>) -> Self {
        let state = State {
            webhooks,
            ..State::default()
        };
        Self {
            config,
            workers,
            state: Mutex::new(state),
            orders: OnceLock::new(),
        }
    }

    /// The state; a panic under the lock leaves it as it was.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the receivers of webhooks.
    pub(crate) fn webhooks(&self) -> Option<Webhooks> {
        self.lock().webhooks.clone()
    }

    /// A new connection in a room, which is made when it is not there.
    pub(crate) fn join(&self, room: &str, profile: &Profile) -> Result<(ConnectionId, Worker<Router>), Problem> {
        let mut state = self.lock();
        let entry = self.entry(&mut state, room)?;
        let joined = entry
            .room
            .join(Instant::now(), profile)
            .map(|connection| (connection, entry.worker.clone()));
        state.settle(room);
        Ok(joined?)
    }

    /// A client of the room protocol comes in. Another one of the same identity is sent away before.
    pub(crate) fn enter(&self, room: &str, profile: &Profile) -> Result<Entered, Problem> {
        let mut state = self.lock();
        let entry = self.entry(&mut state, room)?;
        let same = |handle: &protocol::Handle| handle.identity == profile.identity;
        let old: Vec<ConnectionId> = entry
            .clients
            .iter()
            .filter(|(_, handle)| same(handle))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            if let Some(handle) = entry.clients.remove(&id) {
                // When it has no room for the reason, it learns that it is gone from the room.
                let _ = handle.commands.try_send(protocol::Command::Replaced);
            }
            entry.room.leave(id, Departure::Replaced);
        }
        let entered = entry.room.join(Instant::now(), profile).map(|connection| {
            let (sender, commands) = mpsc::channel(protocol::MAX_COMMANDS);
            let owner = entry.room.participant_of(connection);
            let sid = owner.map_or_else(|| ParticipantSid(String::new()), |owner| owner.sid.clone());
            let handle = protocol::Handle {
                identity: profile.identity.clone(),
                sid: sid.clone(),
                commands: sender,
                channels: protocol::Channels::default(),
            };
            entry.clients.insert(connection, handle);
            Entered {
                connection,
                sid,
                worker: entry.worker.clone(),
                changed: entry.changed.subscribe(),
                commands,
            }
        });
        state.settle(room);
        Ok(entered?)
    }

    /// Finds a room, or makes it; `change` is done to it.
    pub(crate) fn make_room<R>(&self, name: &str, change: impl FnOnce(&mut Room) -> R) -> Result<R, Problem> {
        let mut state = self.lock();
        let entry = self.entry(&mut state, name)?;
        entry.room.begin(Instant::now());
        let result = change(&mut entry.room);
        state.settle(name);
        Ok(result)
    }

    /// Makes a room as a token wants it, when it is not there.
    pub(crate) fn prepare(&self, name: &str, claims: &Claims) -> Result<(), Problem> {
        let Some(config) = &claims.room_config else {
            return Ok(());
        };
        let settings = RoomSettings::read(config)?;
        let mut state = self.lock();
        let entry = self.entry(&mut state, name)?;
        if !entry.room.lasts() {
            entry.room.begin(Instant::now());
            entry.room.configure(settings);
            state.settle(name);
        }
        Ok(())
    }

    /// Tells when a room has begun.
    pub(crate) fn begun(&self) -> watch::Receiver<u64> {
        self.lock().begun.subscribe()
    }

    /// Asks something of each room.
    pub(crate) fn each_room<R>(&self, ask: impl Fn(&Room) -> Option<R>) -> Vec<R> {
        self.lock()
            .rooms
            .values()
            .filter(|entry| entry.room.lasts())
            .filter_map(|entry| ask(&entry.room))
            .collect()
    }

    /// Does something with a room and the clients in it, and lets the consequences follow.
    pub(crate) fn with_clients<R>(&self, name: &str, act: impl FnOnce(&mut Room, &mut Clients) -> R) -> Option<R> {
        let mut state = self.lock();
        let entry = state.rooms.get_mut(name).filter(|entry| entry.room.lasts())?;
        let result = act(&mut entry.room, &mut entry.clients);
        state.settle(name);
        Some(result)
    }

    /// Sends a data packet.
    pub(crate) fn send(&self, room: &str, delivery: protocol::Delivery) {
        if let Some(entry) = self.lock().rooms.get(room) {
            entry.send(delivery);
        }
    }

    /// Orders for recordings go there from now on; `None` when somebody takes them already.
    pub(crate) fn egress_orders(&self) -> Option<mpsc::Receiver<EgressOrder>> {
        let (sender, receiver) = mpsc::channel(MAX_ORDERS);
        self.orders.set(sender).is_ok().then_some(receiver)
    }

    /// Gives an order to who records; `None` when nobody does.
    pub(crate) fn order(&self, order: EgressOrder) -> Option<Result<(), Problem>> {
        let sent = self.orders.get()?.try_send(order);
        Some(sent.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many recordings are asked for.")))
    }

    /// A recording is under way.
    pub(crate) fn open_egress(
        &self,
        room: &str,
        request: proto::egress_info::Request,
    ) -> (proto::EgressInfo, watch::Receiver<bool>) {
        let mut state = self.lock();
        let sid = state.rooms.get(room).map(|entry| entry.room.sid().to_owned());
        let info = proto::EgressInfo {
            egress_id: format!("EG_{}", secret()),
            room_id: sid.unwrap_or_default(),
            room_name: room.to_owned(),
            source_type: proto::EgressSourceType::Sdk as i32,
            updated_at: i64::try_from(unix_now().as_nanos()).unwrap_or(i64::MAX),
            request: Some(request),
            ..Default::default()
        };
        let stop = state.egresses.open(info.clone());
        if let Some(webhooks) = &state.webhooks {
            webhooks.tell_egress(&info);
        }
        (info, stop)
    }

    /// A recording has come further.
    pub(crate) fn tell_egress(&self, id: &str, progress: Progress) {
        let mut state = self.lock();
        let Some(info) = state.egresses.tell(id, unix_now(), progress) else {
            return;
        };
        if let Some(webhooks) = &state.webhooks {
            webhooks.tell_egress(&info);
        }
        if let Some(entry) = state.rooms.get_mut(&info.room_name) {
            // While it ends it still may record: whoever wants it to end has only said so.
            match proto::EgressStatus::try_from(info.status) {
                Ok(proto::EgressStatus::EgressEnding) => {}
                status => entry.room.set_recorded(status == Ok(proto::EgressStatus::EgressActive)),
            }
            state.settle(&info.room_name);
        }
    }

    /// The way to a client that comes back.
    pub(crate) fn resume(&self, room: &str, sid: &str, identity: &str) -> Option<mpsc::Sender<protocol::Command>> {
        let state = self.lock();
        let mut clients = state.rooms.get(room)?.clients.values();
        let handle = clients.find(|handle| handle.sid.0 == sid && handle.identity == identity)?;
        Some(handle.commands.clone())
    }

    /// Does something with a connection, if it is still there, and lets the consequences follow.
    pub(crate) fn with_room<R>(&self, room: &str, change: impl FnOnce(&mut Room) -> R) -> Option<R> {
        let mut state = self.lock();
        let result = state.rooms.get_mut(room).map(|entry| change(&mut entry.room));
        state.settle(room);
        result
    }

    /// Keeps a session under a new secret name.
    pub(crate) fn establish(&self, session: Session) -> SessionId {
        let id = SessionId(secret());
        let mut state = self.lock();
        if let Some(entry) = state.rooms.get_mut(&session.room) {
            entry.sessions.insert(session.connection, id.clone());
            let worker = entry.worker.index();
            state.endpoints.insert((worker, session.endpoint), session.room.clone());
        }
        state.sessions.insert(id.clone(), session);
        id
    }

    /// The endpoint belongs to the connection of a guest from now on; false when the connection is gone.
    pub(crate) fn adopt(&self, room: &str, connection: ConnectionId, endpoint: EndpointId) -> bool {
        let mut state = self.lock();
        let Some(entry) = state.rooms.get_mut(room) else {
            return false;
        };
        let adopted = entry.room.attach(connection, endpoint);
        let worker = entry.worker.index();
        if adopted {
            state.endpoints.insert((worker, endpoint), room.to_owned());
        }
        adopted
    }

    /// The worker of a room.
    pub(crate) fn worker(&self, room: &str) -> Option<Worker<Router>> {
        self.lock().rooms.get(room).map(|entry| entry.worker.clone())
    }

    /// Tells when something in the room has changed. The room need not have anybody in it.
    pub(crate) fn listen(&self, room: &str) -> Result<watch::Receiver<u64>, Problem> {
        let mut state = self.lock();
        let entry = self.entry(&mut state, room)?;
        if entry.changed.receiver_count() >= MAX_LISTENERS {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many listen to the room already.",
            ));
        }
        Ok(entry.changed.subscribe())
    }

    /// Tells what is said in the chat of a room; `None` when it is not there.
    pub(crate) fn listen_to_chat(&self, room: &str) -> Option<mpsc::Receiver<Said>> {
        let (sender, receiver) = mpsc::channel(MAX_SAID);
        self.lock().rooms.get_mut(room)?.chat.push(sender);
        Some(receiver)
    }

    /// Something happened in a router.
    pub(crate) fn on_event(&self, worker: usize, event: &Event) {
        let mut state = self.lock();
        match *event {
            Event::Connected { endpoint, .. } => {
                state.on_endpoint(worker, endpoint, |room| room.on_connected(endpoint));
            }
            Event::Disconnected { endpoint, .. } => {
                let known = state.on_endpoint(worker, endpoint, |room| room.on_disconnected(endpoint));
                // Ours no more, or never became ours because the client went away in the middle of its request.
                let stray = self.workers.iter().find(|one| !known && one.index() == worker);
                let _ = stray.map(|worker| worker.run(move |router, now| router.remove_endpoint(now, endpoint)));
            }
            Event::DataChannelOpened {
                endpoint,
                channel,
                ref config,
                ..
            } => {
                state.on_client(worker, endpoint, |_, _, handle| {
                    handle.channels.open(&config.label, endpoint, channel);
                });
                if Channel::named(&config.label) == Some(Channel::Reliable) {
                    state.catch_up(worker, endpoint);
                }
            }
            Event::DataChannelClosed { endpoint, channel } => {
                state.on_client(worker, endpoint, |_, _, handle| {
                    handle.channels.close(endpoint, channel)
                });
            }
            Event::StreamState {
                endpoint,
                subscription,
                flows,
            } => {
                state.on_client(worker, endpoint, |_, _, handle| {
                    // A client that is far behind is told when it looks how good its line is.
                    let command = protocol::Command::StreamState(subscription, flows);
                    let _ = handle.commands.try_send(command);
                });
            }
            Event::DataReceived {
                endpoint,
                channel,
                ref data,
                ..
            } => state.on_data(worker, endpoint, channel, data),
            _ => {}
        }
    }

    /// Has sent what a client that has come back says it has not got.
    pub(crate) fn replay(&self, room: &str, connection: ConnectionId, states: &[DataChannelReceiveState]) {
        if let Some(entry) = self.lock().rooms.get(room) {
            entry.replay(connection, states);
        }
    }

    /// The number of the last reliable packet of a client.
    pub(crate) fn last_message(&self, room: &str, connection: ConnectionId) -> u32 {
        let state = self.lock();
        let handle = state.rooms.get(room).and_then(|entry| entry.clients.get(&connection));
        handle.map(|handle| handle.channels.last()).unwrap_or_default()
    }

    /// Listens who speaks, in all rooms with clients that want to know it.
    pub(crate) async fn listen_to_speakers(&self) {
        for worker in &self.workers {
            let index = worker.index();
            let wanted = |entry: &Entry| entry.worker.index() == index && !entry.clients.is_empty();
            if !self.lock().rooms.values().any(wanted) {
                continue;
            }
            let Ok(reply) = worker.ask(|router: &mut Router, now| router.take_activity(now)) else {
                continue;
            };
            let Ok(heard) = reply.await else {
                continue;
            };
            let heard = heard.into_iter().collect();
            let now = Instant::now();
            let mut state = self.lock();
            let names: Vec<String> = state
                .rooms
                .iter()
                .filter(|(_, entry)| wanted(entry))
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                if let Some(entry) = state.rooms.get_mut(&name) {
                    entry.room.hear(now, &heard);
                }
                state.settle(&name);
            }
        }
    }

    /// Closes what has not connected in time, tries again what a worker did not take, ends rooms without anybody.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        let names: Vec<String> = state.rooms.keys().cloned().collect();
        for name in names {
            if let Some(entry) = state.rooms.get_mut(&name) {
                entry.room.handle_timeout(now);
            }
            state.settle(&name);
        }
    }

    /// Closes every session, and lets in nobody any more.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let names: Vec<String> = state.rooms.keys().cloned().collect();
        for name in names {
            if let Some(entry) = state.rooms.get_mut(&name) {
                entry.room.end(EndReason::Shutdown);
            }
            state.settle(&name);
        }
        // Dropping the senders ends all event streams.
        state.rooms.clear();
    }

    fn entry<'a>(&self, state: &'a mut State, room: &str) -> Result<&'a mut Entry, Problem> {
        if state.closed {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The server is shutting down.",
            ));
        }
        if !state.rooms.contains_key(room) {
            if state.rooms.len() >= self.config.max_rooms {
                return Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The server has as many rooms as it may.",
                ));
            }
            let worker = self.choose_worker(state)?;
            let entry = Entry {
                room: Room::new(room, random(), self.config.limits),
                worker,
                changed: watch::Sender::new(0),
                waiting: Vec::new(),
                sessions: HashMap::new(),
                clients: HashMap::new(),
                chat: Vec::new(),
            };
            state.rooms.insert(room.to_owned(), entry);
        }
        let gone = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The room has been closed.");
        state.rooms.get_mut(room).ok_or_else(gone)
    }

    /// The least busy worker, in steps of a tenth, then the one with the fewest rooms.
    fn choose_worker(&self, state: &State) -> Result<Worker<Router>, Problem> {
        let rooms = |worker: &Worker<Router>| {
            state
                .rooms
                .values()
                .filter(|entry| entry.worker.index() == worker.index())
                .count()
        };
        let load = |worker: &&Worker<Router>| (worker.stats().busy_permille / 100, rooms(worker));
        let none = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server has no media worker.");
        self.workers.iter().min_by_key(load).cloned().ok_or_else(none)
    }
}

/// The time since 1970, for tokens.
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A name that cannot be guessed: 128 random bits in base64url.
pub(crate) fn secret() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}

/// A random number.
pub(crate) fn random() -> u64 {
    u64::from_ne_bytes(random_bytes())
}

/// SSRCs for a stream that we send: that of the media and, for pictures, those of what may repair it.
pub(crate) fn random_stream(kind: MediaKind) -> StreamIds {
    let numbers = [random(), random()].map(u64::to_ne_bytes);
    let number = |[a, b, c, d]: [u8; 4]| u32::from_ne_bytes([a, b, c, d]) & !3;
    let [[a, b, c, d, e, f, g, h], [i, j, k, l, ..]] = numbers;
    // The last bits differ, and are never 0.
    let repair = |bytes, last| (kind == MediaKind::Video).then(|| Ssrc(number(bytes) | last));
    StreamIds {
        ssrc: Ssrc(number([a, b, c, d]) | 1),
        rtx: repair([e, f, g, h], 2),
        fec: repair([i, j, k, l], 3),
    }
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails only where the system has no source of randomness at all; nothing would work there.
    if rand::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random numbers");
        std::process::abort();
    }
    bytes
}

/// The hub in the hands of a handler.
pub(crate) type Shared = Arc<Hub>;
