//! TCP connections: accepted by the first worker, moved to their owner, closed when their time is over.

use std::time::{Duration, Instant};

use althing_media_core::transport::Protocol;

use super::{Driver, Key};
use crate::engine::Engine;
use crate::handover::addressed_to;
use crate::tcp::Connection;
use crate::worker::Command;

/// Reads of one connection in a turn.
const READS_PER_TURN: usize = 4;

/// How often TCP connections are looked over for expired ones.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl<E: Engine> Driver<E> {
    /// Accepts who is waiting at the listener at `place`.
    pub(super) fn accept(&mut self, now: Instant, place: usize) {
        let Some(listener) = self.listeners.get(place) else {
            return;
        };
        self.sweep.get_or_insert(now + SWEEP_INTERVAL);
        let accepted = self.tcp.accept(now, listener, &self.poller, &mut self.stats);
        if accepted.is_err() && self.poller.remove(listener).is_ok() {
            self.resting.push(place);
        }
    }

    /// Closes connections whose time is over, lets resting listeners try again.
    pub(super) fn sweep(&mut self, now: Instant) {
        let (engine, stats) = (&self.engine, &mut self.stats);
        let owned = |protocol, remote| engine.owns(protocol, remote);
        self.tcp.sweep(now, &self.poller, owned, stats);
        for place in self.resting.drain(..) {
            let Some(listener) = self.listeners.get(place) else {
                continue;
            };
            if let Err(error) = self.poller.add(listener, Key::Listener(place).pack()) {
                tracing::error!(worker = self.index, %error, "a TCP listener is lost");
            }
        }
        self.sweep = (self.tcp.len() > 0).then(|| now + SWEEP_INTERVAL);
    }

    /// Takes over a connection whose first frame was for this worker.
    pub(super) fn adopt(&mut self, now: Instant, connection: Connection) {
        if self.closing.is_some() {
            return;
        }
        let Some(place) = self.tcp.insert(connection, &self.poller) else {
            return;
        };
        self.sweep.get_or_insert(now + SWEEP_INTERVAL);
        self.frames(now, place);
    }

    /// Reads what the connection at `place` has, within limits.
    pub(super) fn read(&mut self, now: Instant, place: usize) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.tcp.get_mut(place) else {
                return;
            };
            match connection.read(now) {
                Ok(false) => return,
                Ok(true) => self.frames(now, place),
                Err(_) => {
                    self.tcp.remove(place, &self.poller);
                    return;
                }
            }
        }
    }

    /// Gives whole frames to the engine; before the first one, finds out whose they are.
    fn frames(&mut self, now: Instant, place: usize) {
        let Some(connection) = self.tcp.get_mut(place) else {
            return;
        };
        if !connection.proved()
            && let Some(first) = connection.frames.peek()
        {
            let known = self.engine.owns(Protocol::Tcp, connection.route.remote);
            match addressed_to(first).filter(|owner| *owner < self.peers.len()) {
                Some(owner) if owner == self.index || known => {}
                None if known => {}
                Some(owner) => return self.move_to(owner, place),
                None => {
                    self.stats.tcp_rejected += 1;
                    self.tcp.remove(place, &self.poller);
                    return;
                }
            }
        }
        let Some(connection) = self.tcp.get_mut(place) else {
            return;
        };
        loop {
            match connection.frames.next() {
                Ok(Some(frame)) => {
                    self.stats.tcp_frames_in += 1;
                    self.engine.handle_datagram(now, connection.route, frame);
                }
                Ok(None) => break,
                Err(_) => {
                    self.stats.tcp_rejected += 1;
                    self.tcp.remove(place, &self.poller);
                    return;
                }
            }
        }
        if !connection.proved() && self.engine.owns(Protocol::Tcp, connection.route.remote) {
            connection.set_proved(now, true);
        }
    }

    /// The connection at `place` belongs to worker `owner`.
    fn move_to(&mut self, owner: usize, place: usize) {
        let Some(connection) = self.tcp.remove(place, &self.poller) else {
            return;
        };
        let taken = self
            .peers
            .get(owner)
            .map(|peer| peer.try_send(Command::Adopt(Box::new(connection))));
        if !matches!(taken, Some(Ok(()))) {
            // Dropped with the command, which closes it; the peer tries again.
            self.stats.tcp_refused += 1;
            return;
        }
        self.ring |= 1 << owner;
    }
}
