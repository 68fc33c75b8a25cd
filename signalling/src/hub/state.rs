//! What stands behind the hub's lock: rooms, sessions, whose endpoint is whose; and how changes of a room take effect.

use std::collections::HashMap;
use std::iter;
use std::time::Instant;

use althing_media_core::config::EndpointId;
use althing_media_core::{DataChannelId, DataKind, Router};
use althing_media_net::Worker;
use tokio::sync::{mpsc, watch};

use crate::egress::Egresses;
use crate::insider::Said;
use crate::media;
use crate::protocol::{self, DataChannelReceiveState};
use crate::room::{ConnectionId, Effect, Room, RoomEvent};
use crate::session::{Session, SessionId};
use crate::webhook::Webhooks;

/// Behind the lock.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) rooms: HashMap<String, Entry>,
    pub(crate) sessions: HashMap<SessionId, Session>,
    /// Whose endpoint is it? By worker.
    pub(super) endpoints: HashMap<(usize, EndpointId), String>,
    /// Calls of the application's servers that wait for answers.
    pub(crate) calls: protocol::Calls,
    /// Recordings, as the server API knows them.
    pub(crate) egresses: Egresses,
    /// Counts rooms that have begun.
    pub(super) begun: watch::Sender<u64>,
    /// Where it is told what happens in rooms.
    pub(super) webhooks: Option<Webhooks>,
    pub(super) closed: bool,
}

/// A room and where it lives.
pub(crate) struct Entry {
    pub(crate) room: Room,
    pub(super) worker: Worker<Router>,
    /// Counts changes: who waits for it looks at the room then.
    pub(super) changed: watch::Sender<u64>,
    /// Not yet taken by the worker.
    pub(super) waiting: Vec<Effect>,
    pub(super) sessions: HashMap<ConnectionId, SessionId>,
    pub(super) clients: Clients,
    /// Parts of the server that keep what is said in the chat.
    pub(super) chat: Vec<mpsc::Sender<Said>>,
}

/// The clients of the room protocol in one room.
pub(crate) type Clients = HashMap<ConnectionId, protocol::Handle>;

impl State {
    pub(super) fn on_endpoint(&mut self, worker: usize, endpoint: EndpointId, change: impl FnOnce(&mut Room)) -> bool {
        let Some(name) = self.endpoints.get(&(worker, endpoint)).cloned() else {
            return false;
        };
        if let Some(entry) = self.rooms.get_mut(&name) {
            change(&mut entry.room);
        }
        self.settle(&name);
        true
    }

    /// Does something with the client of an endpoint.
    pub(super) fn on_client(
        &mut self,
        worker: usize,
        endpoint: EndpointId,
        change: impl FnOnce(&Room, ConnectionId, &mut protocol::Handle),
    ) {
        let name = self.endpoints.get(&(worker, endpoint));
        let Some(entry) = name.and_then(|name| self.rooms.get_mut(name)) else {
            return;
        };
        let connection = entry.room.connection_of(endpoint).map(|one| one.id);
        if let Some(connection) = connection
            && let Some(handle) = entry.clients.get_mut(&connection)
        {
            change(&entry.room, connection, handle);
        }
    }

    /// A channel to the client of an endpoint is open: what it could not get before is sent.
    pub(super) fn catch_up(&self, worker: usize, endpoint: EndpointId) {
        let name = self.endpoints.get(&(worker, endpoint));
        if let Some(entry) = name.and_then(|name| self.rooms.get(name))
            && let Some(connection) = entry.room.connection_of(endpoint)
        {
            entry.replay(connection.id, &[]);
        }
    }

    /// A data message has come from the client of an endpoint.
    pub(super) fn on_data(&mut self, worker: usize, endpoint: EndpointId, channel: DataChannelId, data: &[u8]) {
        let name = self.endpoints.get(&(worker, endpoint));
        let Some(entry) = name.and_then(|name| self.rooms.get_mut(name)) else {
            return;
        };
        let Some(from) = entry.room.connection_of(endpoint).map(|one| one.id) else {
            return;
        };
        if self.calls.answer(entry.room.name(), from, data) {
            return;
        }
        let delivery = protocol::deliver(
            Instant::now(),
            &entry.room,
            &mut entry.clients,
            from,
            (endpoint, channel),
            data,
        );
        if let Some(text) = entry.clients.get_mut(&from).and_then(|one| one.channels.take_said()) {
            entry.tell_chat(from, &text);
        }
        if let Some(delivery) = delivery {
            entry.send(delivery);
        }
    }

    /// Carries out what a change of the room has led to.
    pub(super) fn settle(&mut self, name: &str) {
        let Some(entry) = self.rooms.get_mut(name) else {
            return;
        };
        let events: Vec<RoomEvent> = iter::from_fn(|| entry.room.poll_event()).collect();
        events.iter().for_each(|event| log(&entry.room, event));
        if events.contains(&RoomEvent::Began) {
            self.begun.send_modify(|count| *count = count.wrapping_add(1));
        }
        if let Some(webhooks) = &self.webhooks {
            webhooks.tell(&entry.room, &events);
        }
        while let Some(effect) = entry.room.poll_effect() {
            if let Effect::Close { connection, endpoints } = &effect {
                if let Some(session) = entry.sessions.remove(connection) {
                    self.sessions.remove(&session);
                }
                entry.clients.remove(connection);
                self.calls.forget(name, *connection);
                for endpoint in endpoints {
                    self.endpoints.remove(&(entry.worker.index(), *endpoint));
                }
            }
            // While the worker takes nothing, what waits is bounded by what there is in the room.
            match entry.waiting.iter_mut().find(|earlier| effect.supersedes(earlier)) {
                Some(earlier) => *earlier = effect,
                None => entry.waiting.push(effect),
            }
        }
        entry.flush();
        if !events.is_empty() {
            entry.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        if !entry.room.lasts() && entry.waiting.is_empty() && entry.changed.receiver_count() == 0 {
            self.rooms.remove(name);
        }
    }
}

/// One line for whoever comes and goes.
fn log(room: &Room, event: &RoomEvent) {
    let name = room.name();
    match event {
        RoomEvent::ParticipantJoined(sid) => {
            let joined = room.participants().iter().find(|one| one.sid == *sid);
            let identity = joined.map_or("", |one| &one.profile.identity);
            tracing::info!(room = name, participant = sid.0, identity, "joined");
        }
        RoomEvent::ParticipantLeft(gone, why) => {
            tracing::info!(room = name, participant = gone.sid.0, ?why, "left");
        }
        RoomEvent::Began => tracing::info!(room = name, "began"),
        RoomEvent::Ended(why) => tracing::info!(room = name, ?why, "ended"),
        _ => {}
    }
}

impl Entry {
    /// Has sent what a client has missed; see [`protocol::replay`].
    pub(super) fn replay(&self, connection: ConnectionId, states: &[DataChannelReceiveState]) {
        let missed = protocol::replay(Instant::now(), &self.room, &self.clients, connection, states);
        missed.into_iter().for_each(|delivery| self.send(delivery));
    }

    /// Somebody has said something to all in the chat. Who is far behind does not hear of it.
    fn tell_chat(&mut self, from: ConnectionId, text: &str) {
        let sender = self.room.participant_of(from).map(|sender| sender.sid.clone());
        let Some(from) = sender else { return };
        self.chat.retain(|listener| !listener.is_closed());
        let at = Instant::now();
        for listener in &self.chat {
            let _ = listener.try_send(Said {
                at,
                from: from.clone(),
                text: text.to_owned(),
            });
        }
    }

    /// Has a data packet sent.
    pub(super) fn send(&self, delivery: protocol::Delivery) {
        let sent = self.worker.run(move |router: &mut Router, now| {
            delivery.each(|endpoint, channel, frame| {
                if let Err(error) = router.send_data(now, endpoint, channel, DataKind::Binary, frame) {
                    tracing::debug!(?endpoint, ?error, "a data packet is lost");
                }
            });
        });
        if let Err(error) = sent {
            tracing::warn!(room = self.room.name(), %error, "a data packet is lost");
        }
    }

    /// Gives the worker what it has not taken yet, in one command.
    pub(super) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let effects = self.waiting.clone();
        let apply = move |router: &mut Router, now| {
            effects.iter().for_each(|effect| media::apply(router, now, effect));
        };
        match self.worker.run(apply) {
            // A worker that has ended needs no more commands.
            Ok(()) | Err(althing_media_net::CommandError::Gone) => self.waiting.clear(),
            Err(error) => tracing::warn!(room = self.room.name(), %error, "will try again"),
        }
    }
}
