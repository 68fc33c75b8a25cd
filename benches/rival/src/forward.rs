//! The loop: reads datagrams, gives each to its peer, forwards what comes out, does what is due.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use str0m::Input;
use str0m::net::{Protocol, Receive};

use crate::http::Change;
use crate::peer::{Heard, Peer, Role};

/// How long the loop waits for a datagram, and so how late a timer or a new peer can be when none comes. Fixed, which
/// spares a system call for each datagram.
const WAIT: Duration = Duration::from_millis(5);
/// Longest datagram.
const MAX_DATAGRAM: usize = 2048;

/// All peers of all rooms.
pub(crate) struct Forwarder {
    socket: UdpSocket,
    local: SocketAddr,
    changes: Receiver<Change>,
    peers: Vec<Peer>,
    /// Positions in `peers`; emptied when these change.
    by_address: HashMap<SocketAddr, usize>,
    /// No peer is due before.
    due: Instant,
    /// From the peer that was driven last.
    heard: Vec<Heard>,
}

impl Forwarder {
    /// For a socket that it will block on.
    pub(crate) fn new(socket: UdpSocket, changes: Receiver<Change>) -> io::Result<Self> {
        socket.set_read_timeout(Some(WAIT))?;
        Ok(Self {
            local: socket.local_addr()?,
            socket,
            changes,
            peers: Vec::new(),
            by_address: HashMap::new(),
            due: Instant::now(),
            heard: Vec::new(),
        })
    }

    /// Until the socket fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut buf = [0; MAX_DATAGRAM];
        loop {
            let read = self.socket.recv_from(&mut buf);
            let now = Instant::now();
            self.heed();
            match read {
                Ok((len, source)) => self.handle_datagram(now, source, buf.get(..len).unwrap_or_default()),
                // Refused: an answer by ICMP to a datagram for a peer that is gone.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
            if self.due <= now {
                self.handle_timeout(now);
            }
        }
    }

    /// Takes in who comes, lets go who leaves.
    fn heed(&mut self) {
        for change in self.changes.try_iter() {
            match change {
                Change::Join(peer) => self.peers.push(*peer),
                Change::Leave(id) => self.peers.retain(|peer| peer.id != id),
            }
            self.by_address.clear();
            self.due = Instant::now();
        }
    }

    fn handle_datagram(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let Ok(contents) = datagram.try_into() else { return };
        let (proto, destination) = (Protocol::Udp, self.local);
        let received = Receive {
            proto,
            source,
            destination,
            contents,
        };
        let input = Input::Receive(now, received);
        let known = self.by_address.get(&source).copied();
        let Some(index) = known.or_else(|| self.peers.iter().position(|peer| peer.accepts(&input))) else {
            return;
        };
        let (Some(peer), Input::Receive(_, received)) = (self.peers.get_mut(index), input) else {
            return;
        };
        self.by_address.insert(source, index);
        peer.handle_datagram(now, received, &self.socket, &mut self.heard);
        self.due = self.due.min(peer.due);
        self.share(now, index);
    }

    /// Drives who is due, forgets who has gone.
    fn handle_timeout(&mut self, now: Instant) {
        for index in 0..self.peers.len() {
            if let Some(peer) = self.peers.get_mut(index).filter(|peer| peer.due <= now) {
                peer.drive(now, &self.socket, &mut self.heard);
                self.share(now, index);
            }
        }
        if self.peers.iter().any(|peer| !peer.is_alive()) {
            self.peers.retain(Peer::is_alive);
            self.by_address.clear();
        }
        self.due = self.peers.iter().map(|peer| peer.due).min().unwrap_or(now + WAIT);
    }

    /// Gives what was heard from one peer to those in its room whom it is for.
    fn share(&mut self, now: Instant, from: usize) {
        if self.heard.is_empty() {
            return;
        }
        // While it is shared, nothing new is heard that others must know: a watcher's wish comes with a datagram.
        let (mut heard, mut nothing) = (std::mem::take(&mut self.heard), Vec::new());
        let (before, rest) = self.peers.split_at_mut(from);
        let Some((speaker, after)) = rest.split_first_mut() else {
            return;
        };
        for heard in heard.drain(..) {
            for peer in before
                .iter_mut()
                .chain(after.iter_mut())
                .filter(|peer| peer.room == speaker.room)
            {
                match (&heard, peer.role) {
                    (Heard::Packet(packet), Role::Watcher) => peer.write(speaker.id, packet),
                    (Heard::Keyframe(kind), Role::Publisher) => peer.request_keyframe(*kind),
                    _ => continue,
                }
                peer.drive(now, &self.socket, &mut nothing);
                self.due = self.due.min(peer.due);
            }
        }
        self.heard = heard;
    }
}
