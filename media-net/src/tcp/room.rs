//! All TCP connections of one worker.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use althing_media_core::transport::{Protocol, Route};
use rustc_hash::FxHashMap;
use slab::Slab;

use super::{Connection, Permits};
use crate::stats::NetStats;
use crate::sys::Poller;

/// Connections that are accepted in one turn; the listener is reported again.
const ACCEPTS_PER_TURN: usize = 64;

/// The connections, found by place or by route.
pub(crate) struct TcpRoom {
    connections: Slab<Connection>,
    by_route: FxHashMap<Route, usize>,
    dirty: Vec<usize>,
    permits: Permits,
    /// Makes the poller's key from a place.
    key: fn(usize) -> usize,
}

impl TcpRoom {
    pub(crate) fn new(permits: Permits, key: fn(usize) -> usize) -> Self {
        Self {
            connections: Slab::new(),
            by_route: FxHashMap::default(),
            dirty: Vec::new(),
            permits,
            key,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn get_mut(&mut self, place: usize) -> Option<&mut Connection> {
        self.connections.get_mut(place)
    }

    /// Accepts who is waiting, within the limits. An error means that the system has no descriptors or memory left:
    /// the listener should rest a while, since the poller would report it again at once.
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        listener: &TcpListener,
        poller: &Poller,
        stats: &mut NetStats,
    ) -> io::Result<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            let (stream, remote) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The caller gave up meanwhile.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    stats.tcp_refused += 1;
                    return Err(error);
                }
            };
            let permit = self.permits.take(remote.ip());
            let connection = permit.and_then(|permit| Connection::new(now, stream, remote, permit).ok());
            if connection.is_some_and(|connection| self.insert(connection, poller).is_some()) {
                stats.tcp_accepted += 1;
            } else {
                stats.tcp_refused += 1;
            }
        }
        Ok(())
    }

    /// Takes a connection in and polls it; gives its place.
    pub(crate) fn insert(&mut self, connection: Connection, poller: &Poller) -> Option<usize> {
        let place = self.connections.vacant_key();
        poller.add(&connection.stream, (self.key)(place)).ok()?;
        self.by_route.insert(connection.route, place);
        Some(self.connections.insert(connection))
    }

    /// Gives a connection away; it is no longer polled.
    pub(crate) fn remove(&mut self, place: usize, poller: &Poller) -> Option<Connection> {
        let mut connection = self.connections.try_remove(place)?;
        // It fails only when the descriptor is not there, which is what is wanted.
        let _ = poller.remove(&connection.stream);
        if self.by_route.get(&connection.route) == Some(&place) {
            self.by_route.remove(&connection.route);
        }
        self.dirty.retain(|dirty| *dirty != place);
        (connection.dirty, connection.blocked) = (false, false);
        Some(connection)
    }

    /// Queues a frame for `route`. Copies once; dropped and counted when the queue is full or nobody is there.
    pub(crate) fn send(&mut self, route: Route, frame: &[u8], stats: &mut NetStats) {
        let place = self.by_route.get(&route).copied();
        let Some((place, connection)) = place.and_then(|place| Some((place, self.connections.get_mut(place)?))) else {
            stats.tcp_dropped += 1;
            return;
        };
        if !connection.queue.push(frame) {
            stats.tcp_dropped += 1;
            return;
        }
        stats.tcp_frames_out += 1;
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(place);
        }
    }

    /// Writes what was queued in this turn: one system call for each connection that is not blocked.
    pub(crate) fn flush(&mut self, poller: &Poller) {
        while let Some(place) = self.dirty.pop() {
            let Some(connection) = self.connections.get_mut(place) else {
                continue;
            };
            connection.dirty = false;
            if !connection.blocked {
                self.write(place, poller);
            }
        }
    }

    /// Writes what is queued at `place`, and asks the poller to report room when it does not all go.
    pub(crate) fn write(&mut self, place: usize, poller: &Poller) {
        let Some(connection) = self.connections.get_mut(place) else {
            return;
        };
        let Ok(drained) = connection.queue.write_to(&mut connection.stream) else {
            self.remove(place, poller);
            return;
        };
        if connection.blocked == drained {
            connection.blocked = !drained;
            if poller
                .want_write(&connection.stream, (self.key)(place), !drained)
                .is_err()
            {
                self.remove(place, poller);
            }
        }
    }

    /// Whether everything queued is written.
    pub(crate) fn drained(&self) -> bool {
        self.connections
            .iter()
            .all(|(_, connection)| connection.queue.is_empty())
    }

    /// No router knows `remote` any more.
    pub(crate) fn released(&mut self, now: Instant, remote: SocketAddr) {
        let found = self
            .connections
            .iter_mut()
            .find(|(_, connection)| connection.route.remote == remote);
        if let Some((_, connection)) = found {
            connection.set_proved(now, false);
        }
    }

    /// Closes whose time is over; `owned` tells whether a router has accepted a peer after all.
    pub(crate) fn sweep(
        &mut self,
        now: Instant,
        poller: &Poller,
        owned: impl Fn(Protocol, SocketAddr) -> bool,
        stats: &mut NetStats,
    ) {
        let mut expired = Vec::new();
        for (place, connection) in &mut self.connections {
            if !connection.proved() && owned(Protocol::Tcp, connection.route.remote) {
                connection.set_proved(now, true);
            }
            if connection.expired(now) {
                expired.push(place);
            }
        }
        for place in expired {
            stats.tcp_rejected += 1;
            self.remove(place, poller);
        }
    }
}
