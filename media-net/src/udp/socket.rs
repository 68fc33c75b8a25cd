//! One bound UDP socket: its options, its addresses, and what happens when the kernel refuses to send.
//!
//! Media is worth nothing late, so a full send buffer is waited for a few milliseconds and then dropped on; a refused
//! train is sent again datagram by datagram; every other refusal costs the one message that it concerns.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::arena::Train;
use crate::stats::NetStats;
use crate::sys::{Message, SEND_MESSAGES, SendBatch, SocketState, wait_writable};

/// Socket buffers that we ask for: a key frame to a hundred subscribers. The kernel grants what its limits allow.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// How long one flush waits for room in the send buffer, and how often.
const FULL_WAIT: Duration = Duration::from_millis(1);
const FULL_WAITS: u32 = 3;

/// Trains that a path may refuse before no more trains are tried on the socket.
const MAX_TRAIN_REFUSALS: u32 = 16;

/// A non-blocking UDP socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    pub(crate) socket: StdSocket,
    pub(crate) state: SocketState,
    /// The bound address; unspecified for a wildcard socket.
    pub(crate) local: SocketAddr,
    /// Other workers have a socket on the same port, so datagrams may reach the wrong one.
    pub(crate) shared: bool,
    /// For this machine only.
    own_only: bool,
    gso: bool,
    train_refusals: u32,
    /// Datagrams that the kernel had dropped so far, modulo 2³².
    lost: u32,
}

/// What a failed send means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The send buffer is full.
    Full,
    /// An error of an earlier datagram was reported in place of sending this one.
    Earlier,
    /// The socket or its device cannot send trains at all.
    NoTrains,
    /// This message cannot be sent: a train perhaps in pieces, anything else not at all.
    Message,
}

/// Binds one UDP socket on `addr` per worker. Errors if any other program (or another part of this one) has it.
pub(crate) fn bind_shared(addr: SocketAddr, workers: usize) -> io::Result<Vec<StdSocket>> {
    // With SO_REUSEPORT a second server of the same user would bind silently and take half of the packets, so first
    // the port is taken alone.
    let alone = bind(addr, false)?;
    if workers <= 1 {
        return Ok(vec![alone]);
    }
    let addr = alone.local_addr()?;
    if cfg!(not(unix)) {
        return (0..workers).map(|_| alone.try_clone()).collect();
    }
    drop(alone);
    (0..workers).map(|_| bind(addr, true)).collect()
}

fn bind(addr: SocketAddr, reuse_port: bool) -> io::Result<StdSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if addr.is_ipv6() {
        // IPv4 has sockets of its own: mapped addresses would give one peer two names.
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(unix))]
    let _ = reuse_port;
    // Best effort: less room only means that bursts are lost earlier. `Net` says so once.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

impl UdpSocket {
    /// Takes over a bound socket.
    pub(crate) fn new(socket: StdSocket, gso: bool, gro: bool, shared: bool) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let state = SocketState::new(&socket, gso, gro, local.ip().is_unspecified())?;
        Ok(Self {
            gso: state.max_segments() > 1,
            socket,
            state,
            local,
            shared,
            own_only: false,
            train_refusals: 0,
            lost: 0,
        })
    }

    /// Bytes that the kernel holds for us when we come late; `None` when it is as much as we asked for.
    pub(crate) fn short_buffer(&self) -> Option<usize> {
        let bytes = SockRef::from(&self.socket).recv_buffer_size().ok()?;
        (bytes < SOCKET_BUFFER_BYTES).then_some(bytes)
    }

    /// The `local` of a route: the bound address, on a wildcard socket the address that the datagram was sent to.
    pub(crate) fn route_local(&self, destination: Option<IpAddr>) -> SocketAddr {
        match destination {
            Some(ip) if self.local.ip().is_unspecified() => SocketAddr::new(ip, self.local.port()),
            _ => self.local,
        }
    }

    /// From now on for this machine only.
    pub(crate) fn keep_to_own(mut self) -> Self {
        self.own_only = true;
        self
    }

    /// Whether a datagram from there may come in. What comes from the socket's own address was sent by this machine: the
    /// kernel takes no datagram from outside that claims it.
    pub(crate) fn admits(&self, remote: SocketAddr) -> bool {
        !self.own_only || remote.ip() == self.local.ip()
    }

    /// The kernel has dropped `lost` datagrams of this socket so far; gives how many are new.
    pub(crate) fn note_lost(&mut self, lost: u32) -> u64 {
        let before = std::mem::replace(&mut self.lost, lost);
        lost.wrapping_sub(before).into()
    }

    /// Most datagrams in a train from here; 1 when the socket cannot send trains.
    pub(crate) fn max_segments(&self) -> usize {
        if self.gso { self.state.max_segments() } else { 1 }
    }

    /// Sends `trains`, which lie in `bytes` and are all for this socket; drops and counts what cannot be sent.
    /// `messages` is scratch space. No allocation once `messages` has grown to [`SEND_MESSAGES`].
    pub(crate) fn send(
        &mut self,
        bytes: &[u8],
        trains: &[Train],
        messages: &mut Vec<Message>,
        batch: &mut SendBatch,
        stats: &mut NetStats,
    ) {
        let mut next = Cursor {
            trains,
            train: 0,
            offset: 0,
            in_pieces: None,
        };
        let (mut waits, mut reported) = (0, false);
        loop {
            next.fill(messages, self.gso);
            let Some(first) = messages.first() else { return };
            let error = match batch.send(&self.socket, &self.state, bytes, messages) {
                Ok(sent) => {
                    for message in messages.iter().take(sent.max(1)) {
                        count_sent(message, stats);
                        next.advance(message.len);
                    }
                    reported = false;
                    continue;
                }
                Err(error) => error,
            };
            match refusal(&error, first.segment.is_some()) {
                Refusal::Full if waits < FULL_WAITS => {
                    waits += 1;
                    // An error here shows again when sending.
                    let _ = wait_writable(&self.socket, FULL_WAIT);
                }
                Refusal::Full => {
                    stats.dropped_send_full += next.rest();
                    return;
                }
                Refusal::Earlier if !reported => reported = true,
                Refusal::NoTrains => {
                    self.gso = false;
                    stats.trains_refused += 1;
                }
                Refusal::Message if first.segment.is_some() => {
                    self.train_refusals += 1;
                    self.gso = self.train_refusals < MAX_TRAIN_REFUSALS;
                    stats.trains_refused += 1;
                    next.in_pieces = Some(next.train);
                }
                Refusal::Message | Refusal::Earlier => {
                    stats.dropped_send_error += datagrams(first);
                    next.advance(first.len);
                    reported = false;
                }
            }
        }
    }
}

/// Where in the trains a flush is.
struct Cursor<'a> {
    trains: &'a [Train],
    train: usize,
    offset: usize,
    /// The train that the kernel did not take as one.
    in_pieces: Option<usize>,
}

impl Cursor<'_> {
    /// The next messages to try, [`SEND_MESSAGES`] at most.
    fn fill(&self, messages: &mut Vec<Message>, gso: bool) {
        messages.clear();
        let mut offset = self.offset;
        for (index, train) in self.trains.iter().enumerate().skip(self.train) {
            let whole = gso && self.in_pieces != Some(index);
            while offset < train.len {
                if messages.len() == SEND_MESSAGES {
                    return;
                }
                let rest = train.len - offset;
                let as_train = whole && rest > train.segment;
                let len = if as_train { rest } else { rest.min(train.segment) };
                let segment = if as_train {
                    u16::try_from(train.segment).ok()
                } else {
                    None
                };
                let (start, remote, source) = (train.start + offset, train.remote, train.source);
                messages.push(Message {
                    start,
                    len,
                    segment,
                    remote,
                    source,
                });
                offset += len;
            }
            offset = 0;
        }
    }

    /// The first message, of `len` bytes, is done.
    fn advance(&mut self, len: usize) {
        self.offset += len;
        if self.trains.get(self.train).is_none_or(|train| self.offset >= train.len) {
            self.train += 1;
            self.offset = 0;
        }
    }

    /// Datagrams that are not done.
    fn rest(&self) -> u64 {
        let all: usize = self.trains.iter().skip(self.train).map(|train| train.count).sum();
        let done = self
            .trains
            .get(self.train)
            .map_or(0, |train| self.offset / train.segment.max(1));
        (all - done) as u64
    }
}

fn datagrams(message: &Message) -> u64 {
    message
        .segment
        .map_or(1, |segment| message.len.div_ceil(usize::from(segment).max(1))) as u64
}

fn count_sent(message: &Message, stats: &mut NetStats) {
    stats.datagrams_out += datagrams(message);
    stats.bytes_out += message.len as u64;
    stats.messages_out += 1;
    stats.trains_out += u64::from(message.segment.is_some());
}

/// Sorts errors of a send call.
fn refusal(error: &io::Error, train: bool) -> Refusal {
    match error.kind() {
        io::ErrorKind::WouldBlock => return Refusal::Full,
        // ICMP answers to earlier datagrams; a signal.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
            return Refusal::Earlier;
        }
        _ => {}
    }
    #[cfg(target_os = "linux")]
    if train && matches!(error.raw_os_error(), Some(libc::EIO | libc::EOPNOTSUPP)) {
        // The device computes no checksums, or there is IPsec on the way: udp_send_skb() in the kernel.
        return Refusal::NoTrains;
    }
    let _ = train;
    Refusal::Message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(start: usize, len: usize, segment: usize, count: usize) -> Train {
        Train {
            socket: 0,
            source: None,
            remote: ([127, 0, 0, 1], 9).into(),
            start,
            len,
            segment,
            count,
        }
    }

    fn plan(cursor: &Cursor<'_>, gso: bool) -> Vec<(usize, usize, Option<u16>)> {
        let mut messages = Vec::new();
        cursor.fill(&mut messages, gso);
        messages
            .iter()
            .map(|message| (message.start, message.len, message.segment))
            .collect()
    }

    #[test]
    fn trains_whole_and_in_pieces() {
        let trains = [train(0, 25, 10, 3), train(25, 7, 7, 1)];
        let mut cursor = Cursor {
            trains: &trains,
            train: 0,
            offset: 0,
            in_pieces: None,
        };
        assert_eq!(plan(&cursor, true), [(0, 25, Some(10)), (25, 7, None)]);
        let pieces = [(0, 10, None), (10, 10, None), (20, 5, None), (25, 7, None)];
        assert_eq!(plan(&cursor, false), pieces);
        cursor.in_pieces = Some(0);
        assert_eq!(plan(&cursor, true), pieces);
        cursor.advance(10);
        assert_eq!(plan(&cursor, true), pieces[1..]);
        assert_eq!(cursor.rest(), 3);
        for len in [10, 5, 7] {
            cursor.advance(len);
        }
        assert_eq!((plan(&cursor, true).len(), cursor.rest()), (0, 0));
    }

    #[test]
    fn a_port_in_use_is_an_error_with_one_worker_and_with_two() {
        let first = bind_shared(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let addr = first[0].local_addr().unwrap();
        assert_eq!(first[1].local_addr().unwrap(), addr);
        for workers in [1, 2] {
            assert_eq!(bind_shared(addr, workers).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
