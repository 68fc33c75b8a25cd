//! One peer with its place in the network: its clock, its two links, and when it is to be looked at next.

use std::net::SocketAddr;
use std::time::Instant;

use crate::clock::Pace;
use crate::network::Link;
use crate::peer::Peer;

/// A peer and what lies between it and the router.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) peer: Peer,
    /// How the peer's clock goes: it is told its own time.
    pub(super) pace: Pace,
    /// The peer's own socket.
    pub(super) local: SocketAddr,
    /// The same, as the router sees it: another one behind a translation (NAT).
    pub(super) address: SocketAddr,
    pub(super) router: SocketAddr,
    pub(super) up: Link,
    pub(super) down: Link,
    /// When something happens here by itself, unless it was touched since that was asked.
    pub(super) due: Option<Instant>,
    pub(super) touched: bool,
    pub(super) asleep_until: Option<Instant>,
}

/// What sleeps is not looked at: of many peers few do something at any moment.
impl Node {
    pub(super) fn is_awake(&self, now: Instant) -> bool {
        self.touched || self.due.is_some_and(|due| due <= now)
    }

    /// The same, for whoever is about to touch it.
    pub(super) fn wakes(&mut self, now: Instant) -> bool {
        self.touched = self.is_awake(now);
        self.touched
    }

    pub(super) fn is_asleep(&self, now: Instant) -> bool {
        self.asleep_until.is_some_and(|end| now < end)
    }

    pub(super) fn arrive(&mut self, now: Instant, datagram: Vec<u8>) {
        self.touched = true;
        self.down.handle_input(now, datagram);
    }

    pub(super) fn next_timeout(&mut self, now: Instant) -> Option<Instant> {
        if std::mem::take(&mut self.touched) {
            let output = self.peer.has_output().then_some(now);
            let timeout = self.peer.next_timeout().map(|at| self.pace.everybody(at));
            let own = [output, timeout].into_iter().flatten().min();
            let own = own.map(|at| self.asleep_until.map_or(at, |end| at.max(end)));
            let links = [self.up.next_timeout(), self.down.next_timeout()];
            self.due = links.into_iter().chain([own]).flatten().min();
        }
        self.due
    }

    /// Another address from now on; the one before, and the new one.
    pub(super) fn rebind(&mut self) -> (SocketAddr, SocketAddr) {
        let before = self.address;
        self.address.set_port(before.port() + 1);
        (before, self.address)
    }
}
