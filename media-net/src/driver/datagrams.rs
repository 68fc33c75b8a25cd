//! Datagrams in and out: from the sockets and other workers to the engine, from the engine through the arena.

use std::time::Instant;

use althing_media_core::event::{Output, RemoteChange};
use althing_media_core::transport::{Protocol, Route};

use super::Driver;
use crate::engine::Engine;
use crate::sys::RECV_SLOTS;

/// Receive calls on one socket in a turn; more is left for the next turn, so that sending does not wait.
const RECEIVES_PER_TURN: usize = 4;

/// Arenas sent in a turn before sockets are looked at again.
const FLUSHES_PER_TURN: usize = 8;

impl<E: Engine> Driver<E> {
    /// Takes what other workers handed over.
    pub(super) fn take_parcels(&mut self, now: Instant) {
        let engine = &mut self.engine;
        let taken = self.office.take(self.index, |route, datagram| {
            engine.handle_datagram(now, route, datagram)
        });
        self.stats.taken_over += taken;
    }

    /// Receives what the socket at `place` has, within limits; gives the time of the last batch.
    pub(super) fn receive(&mut self, place: usize) -> Instant {
        let mut now = Instant::now();
        for round in 0..RECEIVES_PER_TURN {
            // A would-block, or an error that an ICMP message left: the next turn tells more.
            let Ok(filled) = self.udp.receive(place) else {
                return now;
            };
            if round > 0 {
                now = Instant::now();
            }
            self.dispatch(now, place);
            if filled < RECV_SLOTS {
                return now;
            }
        }
        self.backlog = true;
        now
    }

    /// Gives what was received to the engine, or to the worker that it belongs to.
    fn dispatch(&mut self, now: Instant, place: usize) {
        let Some(socket) = self.udp.sockets.get_mut(place) else {
            return;
        };
        for received in self.udp.recv.received() {
            let local = socket.route_local(received.local);
            let route = Route {
                protocol: Protocol::Udp,
                local,
                remote: received.remote,
            };
            if let Some(lost) = received.lost {
                self.stats.lost_by_kernel += socket.note_lost(lost);
            }
            if !socket.admits(received.remote) {
                self.stats.dropped_foreign += 1;
                continue;
            }
            self.stats.messages_in += 1;
            self.stats.bytes_in += received.bytes.len() as u64;
            for datagram in received.bytes.chunks_mut(received.segment) {
                self.stats.datagrams_in += 1;
                let stray = if socket.shared {
                    self.office.stray(self.index, &self.engine, route, datagram)
                } else {
                    None
                };
                match stray {
                    None => self.engine.handle_datagram(now, route, datagram),
                    Some(stray) if self.office.hand_over(stray, route, datagram) => {
                        self.stats.handed_over += 1;
                        self.ring |= 1 << stray.owner;
                    }
                    Some(_) => self.stats.dropped_handover += 1,
                }
            }
        }
    }

    /// Sends everything the engine has to say, within limits; received datagrams must not wait for all of it.
    pub(super) fn transmit(&mut self, now: Instant) {
        self.more = true;
        for _ in 0..FLUSHES_PER_TURN {
            while let Some(space) = self.udp.arena.space() {
                match self.engine.poll_output(now, space) {
                    Output::Transmit(out) if out.route.protocol == Protocol::Udp => {
                        self.udp
                            .commit(out.route.local, out.route.remote, out.len, &mut self.stats);
                    }
                    Output::Transmit(out) => {
                        if let Some(frame) = space.get(..out.len) {
                            self.tcp.send(out.route, frame, &mut self.stats);
                        }
                    }
                    Output::Deliver(packet) => {
                        let bytes = space.get(..packet.len).unwrap_or_default();
                        self.inboxes.deliver(now, packet.endpoint, bytes);
                    }
                    Output::Event(event) => (self.events)(self.index, event),
                    Output::Timeout(deadline) => {
                        self.flush(now);
                        self.deadline = deadline;
                        self.more = false;
                        return;
                    }
                    _ => {}
                }
            }
            self.flush(now);
        }
    }

    fn flush(&mut self, now: Instant) {
        // First: the answer to what we send may come to another worker.
        self.learn(now);
        if !self.udp.arena.is_empty() {
            self.udp.flush(&mut self.stats);
        }
        self.tcp.flush(&self.poller);
    }

    /// Tells the other workers which remote addresses are the engine's now.
    fn learn(&mut self, now: Instant) {
        let me = u8::try_from(self.index).unwrap_or(u8::MAX);
        while let Some(change) = self.engine.poll_remote() {
            match change {
                RemoteChange::Bound(protocol, remote) => {
                    let told = self.peers.len() == 1 || self.office.owners.announce(protocol, remote, me);
                    self.stats.announce_full += u64::from(!told);
                }
                RemoteChange::Released(protocol, remote) => {
                    self.office.owners.withdraw(protocol, remote, me);
                    if protocol == Protocol::Tcp {
                        self.tcp.released(now, remote);
                    }
                }
                _ => {}
            }
        }
    }

    /// Wakes those who were given something in this turn: one system call each at most.
    pub(super) fn ring_others(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        while ring != 0 {
            self.office.ring(ring.trailing_zeros() as usize);
            ring &= ring - 1;
        }
    }
}
