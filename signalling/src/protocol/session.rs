//! A client with its WebSocket: a task that feeds the state machine and carries out what it wants.
//!
//! The task outlives a WebSocket that is lost: as long as media flows, the client may come back on another one.

use std::future::pending;
use std::time::Duration;

use althing_media_core::config::{EndpointId, SubscriptionId};
use althing_media_core::{LayerTarget, Router, UsageError};
use althing_media_net::Worker;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::client::{self, Client, Step};
use super::data::Channels;
use super::media::{self, Change, Proposal};
use super::sections::Plan;
use super::wire::{self, Form, Malformed, Response, proto};
use crate::hub::{Entered, Shared, unix_now};
use crate::room::{ParticipantSid, Quality, TrackSid};
use crate::token::Claims;

/// A client that does not take a message within this time is taken for lost.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A client has so long to answer a good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket on which nothing has come for so long is taken for lost: clients say something every five seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// How often it is looked for that, and how many messages are taken in that time.
const TICK: Duration = Duration::from_secs(1);
const MESSAGES_PER_TICK: u32 = 500;

/// How often it is looked how good the connection is.
const MEASURE: Duration = Duration::from_secs(5);

/// How often a client gets a new token, and how long that is good.
const REFRESH: Duration = Duration::from_secs(300);
const VALIDITY: Duration = Duration::from_secs(900);

/// Commands that wait for a client; who sends one waits as well.
pub(crate) const MAX_COMMANDS: usize = 64;

/// What a client's task is told from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// It has come back.
    Attach(Box<Attached>),
    /// Somebody with the same identity has come.
    Replaced,
    /// The application's server sends it away.
    Dismiss(proto::DisconnectReason),
    /// The application's server has muted a track of its own.
    Muted(TrackSid),
    /// The application's server has taken a track of its own away.
    Unpublished(TrackSid),
    /// Its line has room for a stream, or has not.
    StreamState(SubscriptionId, bool),
    /// The application's server decides what it watches.
    Choose(Box<proto::UpdateSubscription>),
}

/// A new WebSocket of a client that comes back.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(super) socket: WebSocket,
    pub(super) state: Option<proto::SyncState>,
}

/// A client that may come in.
pub(super) struct Newcomer {
    pub(super) hub: Shared,
    pub(super) room: String,
    pub(super) entered: Entered,
    pub(super) claims: Claims,
    pub(super) request: proto::JoinRequest,
    /// It receives on a connection of its own.
    pub(super) dual: bool,
}

/// Tells a client that nobody knows it any more.
pub(super) async fn turn_away(mut socket: WebSocket) {
    let action = proto::leave_request::Action::Reconnect;
    let leave = client::leave(proto::DisconnectReason::StateMismatch, action);
    let frame = Message::Binary(wire::encode(Response::Leave(leave)).into());
    // It finds out by itself when it does not get this.
    let _ = timeout(SEND_TIMEOUT, socket.send(frame)).await;
    close(socket).await;
}

/// Closes a WebSocket in peace: what the client has sent meanwhile is read, since a TCP connection with unread bytes is reset,
/// which can cost the client the last that it was told (RFC 6455, section 7.1.1).
async fn close(mut socket: WebSocket) {
    let end = async {
        let normal = CloseFrame {
            code: close_code::NORMAL,
            reason: "".into(),
        };
        socket.send(Message::Close(Some(normal))).await?;
        while let Some(frame) = socket.recv().await {
            frame?;
        }
        Ok::<(), axum::Error>(())
    };
    // A client that does not answer is of no interest any more.
    let _ = timeout(CLOSE_TIMEOUT, end).await;
}

impl Newcomer {
    /// Serves the client until it leaves.
    pub(super) async fn run(self, socket: WebSocket) {
        let Entered {
            connection,
            sid,
            worker,
            changed,
            commands,
        } = self.entered;
        let codecs = self.hub.config.codecs.clone();
        let mut client = Client::new(connection, sid, codecs, self.dual, &self.request);
        let request = self.request;
        let joined = self.hub.with_room(&self.room, |room| client.join(room, request));
        let session = Session {
            hub: self.hub,
            room: self.room,
            worker,
            client,
            claims: self.claims,
            socket: Some(socket),
            form: Form::default(),
            heard: Instant::now(),
            taken: 0,
            measured: (0, 0),
        };
        if joined.is_some() {
            session.run(changed, commands).await;
        }
    }
}

struct Session {
    hub: Shared,
    room: String,
    worker: Worker<Router>,
    client: Client,
    claims: Claims,
    /// `None` while the client is away.
    socket: Option<WebSocket>,
    /// How it writes.
    form: Form,
    heard: Instant,
    /// Messages since the last tick.
    taken: u32,
    /// Packets of its tracks that have come and that have not, at the last look.
    measured: (u64, u64),
}

/// The client's connection is over.
struct Ended;

impl Session {
    async fn run(mut self, mut changed: watch::Receiver<u64>, mut commands: mpsc::Receiver<Command>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refresh = interval(REFRESH);
        let mut measure = interval(MEASURE);
        let mut due: Option<Instant> = None;
        let mut told = Instant::now();
        changed.mark_changed();
        while self.carry_out().await.is_ok() {
            let room_for_more = self.taken < MESSAGES_PER_TICK;
            tokio::select! {
                // Why a client is sent away must be seen before it is seen that it is gone; frames come last, so that a
                // flood of them keeps nothing else waiting.
                biased;
                command = commands.recv() => self.command(command),
                _ = tick.tick() => {
                    self.taken = 0;
                    if self.socket.is_some() {
                        if self.heard.elapsed() > SILENCE {
                            self.lost();
                        }
                        self.client.check(std::time::Instant::now());
                    }
                }
                _ = refresh.tick() => self.refresh(),
                _ = measure.tick() => self.measure().await,
                () = wait(due) => {
                    (due, told) = (None, Instant::now());
                    self.sync();
                }
                result = changed.changed(), if due.is_none() => match result {
                    Ok(()) => due = Some(Instant::now().max(told + self.client.gather)),
                    Err(_) => self.close(),
                },
                frame = receive(&mut self.socket), if room_for_more => self.take(frame),
            }
        }
        let (connection, why) = (self.client.connection, self.client.departure);
        self.hub.with_room(&self.room, |room| room.leave(connection, why));
        if let Some(socket) = self.socket {
            close(socket).await;
        }
    }

    /// Does all that the client wants done.
    async fn carry_out(&mut self) -> Result<(), Ended> {
        while let Some(step) = self.client.poll() {
            match step {
                Step::Send(response) => self.send(*response).await,
                Step::Negotiate(plan) => self.negotiate(&plan).await,
                Step::Propose(proposal) => self.propose(proposal).await,
                Step::Accept(change) => self.accept(*change).await,
                Step::Touch(touch) => {
                    let touched = self.worker.run(move |router, now| media::touch(router, now, &touch));
                    if let Err(error) = touched {
                        tracing::warn!(room = self.room, %error, "a wish is lost");
                    }
                }
                Step::Lose => self.lost(),
                Step::End => return Err(Ended),
            }
        }
        Ok(())
    }

    async fn send(&mut self, response: Response) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        let Some(frame) = wire::frame(response, self.form) else {
            return;
        };
        if !matches!(timeout(SEND_TIMEOUT, socket.send(frame)).await, Ok(Ok(()))) {
            self.lost();
        }
    }

    async fn negotiate(&mut self, plan: &Plan) {
        let change = plan.change.clone();
        let Some(changed) = self.ask(move |router, now| media::change(router, now, &change)).await else {
            return;
        };
        if plan.change.endpoint.is_some() || self.adopt(changed.endpoint) {
            let client = &mut self.client;
            self.hub
                .with_room(&self.room, |room| client.negotiated(room, plan, &changed));
        }
    }

    async fn propose(&mut self, proposal: Proposal) {
        let new = proposal.endpoint.is_none();
        let Some((endpoint, local)) = self
            .ask(move |router, now| media::propose(router, now, &proposal))
            .await
        else {
            return;
        };
        if !new || self.adopt(endpoint) {
            self.client.proposed(endpoint, &local);
        }
    }

    async fn accept(&mut self, change: Change) {
        let wanted = change.clone();
        if let Some(changed) = self.ask(move |router, now| media::change(router, now, &wanted)).await {
            let client = &mut self.client;
            self.hub
                .with_room(&self.room, |room| client.answered(room, &change, &changed));
        }
    }

    /// Has the router do something that the client's connection depends on; `None` when it is over therefore.
    async fn ask<R: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Router, std::time::Instant) -> Result<R, UsageError> + Send + 'static,
    ) -> Option<R> {
        let outcome = match self.worker.ask(act) {
            Ok(reply) => reply.await.map_err(|_| "the media worker has ended".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match outcome.and_then(|outcome| outcome.map_err(|error| error.to_string())) {
            Ok(done) => Some(done),
            Err(_) if self.is_gone() => None,
            Err(problem) => {
                tracing::warn!(room = self.room, problem, "a negotiation cannot be carried out");
                let action = proto::leave_request::Action::Reconnect;
                self.client.dismiss(proto::DisconnectReason::MediaFailure, action);
                None
            }
        }
    }

    /// A new endpoint belongs to the client from now on; false when it has gone meanwhile.
    fn adopt(&self, endpoint: EndpointId) -> bool {
        let adopted = self.hub.adopt(&self.room, self.client.connection, endpoint);
        if !adopted {
            let _ = self
                .worker
                .run(move |router, now| router.remove_endpoint(now, endpoint));
        }
        adopted
    }

    /// The room has closed the connection: the commands tell why, and end then. Nothing else is to be said before.
    fn is_gone(&self) -> bool {
        let connection = self.client.connection;
        let there = self
            .hub
            .with_room(&self.room, |room| room.connection(connection).is_some());
        there != Some(true)
    }

    /// A frame has come, or the WebSocket is closed.
    fn take(&mut self, frame: Option<Result<Message, axum::Error>>) {
        self.heard = Instant::now();
        self.taken += 1;
        match frame {
            Some(Ok(Message::Binary(frame))) => {
                self.form = Form::Binary;
                self.read(wire::decode(&frame));
            }
            Some(Ok(Message::Text(frame))) => {
                self.form = Form::Text;
                self.read(wire::decode_text(&frame));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => self.lost(),
        }
    }

    fn read(&mut self, request: Result<Option<wire::Request>, Malformed>) {
        match request {
            Ok(Some(request)) => self.handle(request),
            Ok(None) => {}
            Err(Malformed) => {
                tracing::info!(room = self.room, "a message is not readable");
                let action = proto::leave_request::Action::Reconnect;
                self.client.dismiss(proto::DisconnectReason::StateMismatch, action);
            }
        }
    }

    fn handle(&mut self, request: wire::Request) {
        let states = match &request {
            wire::Request::SyncState(state) => state.datachannel_receive_states.clone(),
            _ => Vec::new(),
        };
        if self.is_gone() {
            return;
        }
        let client = &mut self.client;
        self.hub.with_room(&self.room, |room| client.handle(room, request));
        if !states.is_empty() {
            self.hub.replay(&self.room, self.client.connection, &states);
        }
    }

    fn command(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Attach(attached)) => {
                let Attached { socket, state } = *attached;
                self.socket = Some(socket);
                self.heard = Instant::now();
                let client = &mut self.client;
                let last_message = self.hub.last_message(&self.room, client.connection);
                self.hub.with_room(&self.room, |room| client.resume(room, last_message));
                if let Some(state) = state {
                    self.handle(wire::Request::SyncState(state));
                }
                self.refresh();
            }
            Some(Command::Replaced) => {
                let action = proto::leave_request::Action::Disconnect;
                self.client.dismiss(proto::DisconnectReason::DuplicateIdentity, action);
            }
            Some(Command::Dismiss(reason)) => {
                self.client.dismiss(reason, proto::leave_request::Action::Disconnect);
            }
            Some(Command::Muted(sid)) => {
                let (sid, muted) = (sid.0, true);
                self.client.send(Response::Mute(proto::MuteTrackRequest { sid, muted }));
            }
            Some(Command::Unpublished(sid)) => {
                let track_sid = sid.0;
                self.client
                    .send(Response::TrackUnpublished(proto::TrackUnpublishedResponse {
                        track_sid,
                    }));
            }
            Some(Command::StreamState(subscription, flows)) => {
                let client = &mut self.client;
                self.hub.with_room(&self.room, |room| {
                    client.on_stream_states(room, &[(subscription, flows)])
                });
            }
            Some(Command::Choose(update)) => {
                let client = &mut self.client;
                let request = wire::Request::Subscription(*update);
                self.hub.with_room(&self.room, |room| client.handle(room, request));
            }
            // Its end is kept by the room as long as the connection is there.
            None => self.gone(),
        }
    }

    /// The WebSocket is lost. The client may come back if media has flowed.
    fn lost(&mut self) {
        self.socket = None;
        let connection = self.client.connection;
        let active = self.hub.with_room(&self.room, |room| {
            room.connection(connection)
                .is_some_and(crate::room::Connection::is_active)
        });
        if active != Some(true) {
            let action = proto::leave_request::Action::Reconnect;
            self.client.dismiss(proto::DisconnectReason::SignalClose, action);
        }
    }

    fn sync(&mut self) {
        let client = &mut self.client;
        let present = self.hub.with_room(&self.room, |room| {
            let present = room.connection(client.connection).is_some();
            if present {
                client.follow(room);
            }
            present
        });
        match present {
            Some(true) => {}
            Some(false) => self.gone(),
            None => self.close(),
        }
    }

    /// Looks how much is lost on the way here and on the way there. Also tells what has waited for its time.
    async fn measure(&mut self) {
        let connection = self.client.connection;
        let own = self.hub.with_room(&self.room, |room| {
            let own = room.connection(connection)?;
            Some((
                own.is_active(),
                own.tracks.iter().map(|track| track.id).collect::<Vec<_>>(),
            ))
        });
        let Some((true, tracks)) = own.flatten() else {
            return;
        };
        let subscriptions = self.client.subscriptions();
        let asked = self.worker.ask(move |router, _| {
            let sent = tracks.iter().filter_map(|id| router.track_stats(*id));
            let sent = sent.fold((0, 0), |sum, one| (sum.0 + one.packets, sum.1 + one.lost));
            let far = subscriptions
                .iter()
                .filter_map(|id| Some((*id, router.subscription_stats(*id)?)));
            let far: Vec<_> = far.collect();
            let states: Vec<_> = far.iter().map(|(id, one)| (*id, one.granted.is_some())).collect();
            let small = far.iter().any(|(_, one)| one.granted != Some(LayerTarget::BEST));
            let lost = far.iter().map(|(_, one)| one.fraction_lost).max().unwrap_or_default();
            (sent, lost, small, states)
        });
        let Ok(reply) = asked else {
            return;
        };
        let Ok(((packets, lost), far, small, states)) = reply.await else {
            return;
        };
        let (before_packets, before_lost) = std::mem::replace(&mut self.measured, (packets, lost));
        let (packets, lost) = (packets.saturating_sub(before_packets), lost.saturating_sub(before_lost));
        let near = (lost * 256).checked_div(packets + lost).unwrap_or_default();
        // A line without room for all that is wished for is not excellent, whatever it loses.
        let quality = match quality(near.max(u64::from(far))) {
            _ if states.iter().any(|(_, flows)| !flows) => Quality::Poor,
            Quality::Excellent if small => Quality::Good,
            quality => quality,
        };
        let client = &mut self.client;
        self.hub.with_room(&self.room, |room| {
            room.set_quality(connection, quality);
            client.on_stream_states(room, &states);
            client.signal(room);
        });
    }

    /// Media does not flow any more.
    fn gone(&mut self) {
        let action = proto::leave_request::Action::Reconnect;
        self.client.dismiss(proto::DisconnectReason::MediaFailure, action);
    }

    /// The server ends.
    fn close(&mut self) {
        let action = proto::leave_request::Action::Reconnect;
        self.client.dismiss(proto::DisconnectReason::ServerShutdown, action);
    }

    /// A token for coming back, with what has become of the participant.
    fn refresh(&mut self) {
        let client = &mut self.client;
        let profile = self
            .hub
            .with_room(&self.room, |room| client.me(room).map(|me| me.profile.clone()));
        let Some(profile) = profile.flatten() else {
            return;
        };
        let claims = Claims {
            name: profile.name,
            metadata: profile.metadata,
            attributes: profile.attributes,
            nbf: None,
            exp: Some(unix_now().saturating_add(VALIDITY).as_secs()),
            ..self.claims.clone()
        };
        if let Some(token) = self.hub.config.keys.mint(&self.claims.iss, &claims) {
            self.client.send(Response::RefreshToken(token));
        }
    }
}

/// What it means that so many of 256 packets are lost.
fn quality(lost: u64) -> Quality {
    match lost {
        0..=5 => Quality::Excellent,
        6..=20 => Quality::Good,
        _ => Quality::Poor,
    }
}

async fn receive(socket: &mut Option<WebSocket>) -> Option<Result<Message, axum::Error>> {
    match socket {
        Some(socket) => socket.recv().await,
        None => pending().await,
    }
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// A client that has come in: how it is reached.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) identity: String,
    pub(crate) sid: ParticipantSid,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) channels: Channels,
}
