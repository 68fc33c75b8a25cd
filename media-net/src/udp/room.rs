//! All UDP sockets of one worker, with the buffers that they share.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::FxHashMap;
use slab::Slab;

use super::{SendArena, UdpSocket};
use crate::stats::NetStats;
use crate::sys::{Message, RecvBatch, SEND_MESSAGES, SendBatch};

/// Sockets and buffers. Not `Send`: made on the worker's thread.
pub(crate) struct UdpRoom {
    pub(crate) sockets: Slab<UdpSocket>,
    pub(crate) recv: RecvBatch,
    pub(crate) arena: SendArena,
    by_local: FxHashMap<SocketAddr, usize>,
    /// The answer of the last [`Self::find`]: peers come one after the other, sockets seldom change.
    last: Option<(SocketAddr, (usize, Option<IpAddr>))>,
    batch: SendBatch,
    messages: Vec<Message>,
}

impl UdpRoom {
    pub(crate) fn new() -> Self {
        Self {
            sockets: Slab::new(),
            recv: RecvBatch::new(),
            arena: SendArena::new(),
            by_local: FxHashMap::default(),
            last: None,
            batch: SendBatch::new(),
            messages: Vec::with_capacity(SEND_MESSAGES),
        }
    }

    /// Adds a socket, gives its place.
    pub(crate) fn insert(&mut self, socket: UdpSocket) -> usize {
        self.last = None;
        let local = socket.local;
        let place = self.sockets.insert(socket);
        self.by_local.insert(local, place);
        place
    }

    /// Takes the socket bound to `local` out.
    pub(crate) fn remove(&mut self, local: SocketAddr) -> Option<UdpSocket> {
        self.last = None;
        let place = self.by_local.remove(&local)?;
        self.sockets.try_remove(place)
    }

    /// The socket for a route's `local`, and the source address to ask for when it has several.
    pub(crate) fn find(&mut self, local: SocketAddr) -> Option<(usize, Option<IpAddr>)> {
        if let Some((asked, answer)) = self.last
            && asked == local
        {
            return Some(answer);
        }
        let answer = match self.by_local.get(&local) {
            Some(place) => (*place, None),
            None => {
                let any: IpAddr = if local.is_ipv4() {
                    [0_u8; 4].into()
                } else {
                    std::net::Ipv6Addr::UNSPECIFIED.into()
                };
                let place = self.by_local.get(&SocketAddr::new(any, local.port()))?;
                (*place, Some(local.ip()))
            }
        };
        self.last = Some((local, answer));
        Some(answer)
    }

    /// The datagram in the arena's space goes from `local` to `remote`.
    pub(crate) fn commit(&mut self, local: SocketAddr, remote: SocketAddr, len: usize, stats: &mut NetStats) {
        let found = self.find(local);
        let Some((socket, from)) = found.and_then(|from| Some((self.sockets.get(from.0)?, from))) else {
            stats.dropped_no_socket += 1;
            return;
        };
        self.arena.commit(from, remote, len, socket.max_segments());
    }

    /// Receives once from the socket at `place`; gives how many slots of `recv` were filled.
    pub(crate) fn receive(&mut self, place: usize) -> io::Result<usize> {
        let Some(socket) = self.sockets.get(place) else {
            return Ok(0);
        };
        self.recv.receive(&socket.socket, &socket.state)
    }

    /// Sends everything in the arena.
    pub(crate) fn flush(&mut self, stats: &mut NetStats) {
        let (bytes, trains) = self.arena.contents();
        for run in trains.chunk_by(|one, next| one.socket == next.socket) {
            let Some(socket) = run.first().and_then(|train| self.sockets.get_mut(train.socket)) else {
                continue;
            };
            socket.send(bytes, run, &mut self.messages, &mut self.batch, stats);
        }
        self.arena.clear();
    }
}
