//! The system calls, behind safe types: this folder is the only place of the project with `unsafe`.
//!
//! Both doors offer the same few types, so that the rest of the crate does not know which one it stands on:
//!
//! | type | job | [Linux](linux) | portable |
//! |---|---|---|---|
//! | `Poller`, `Waker` | sleep until a socket is ready, a time is reached, or another thread calls | epoll, eventfd | polling |
//! | `RecvBatch` | many datagrams in one call | recvmmsg, UDP_GRO | quinn-udp |
//! | `SendBatch` | many datagrams in one call | sendmmsg, UDP_SEGMENT | quinn-udp |
//!
//! It decides nothing: which datagrams form a train, what to do when the kernel refuses one, when to give up are
//! matters of `udp/`.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub(crate) use linux::{Poller, RecvBatch, SendBatch, SocketState, Waker, wait_writable};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub(crate) use portable::{Poller, RecvBatch, SendBatch, SocketState, Waker, wait_writable};

use std::net::{IpAddr, SocketAddr};

/// Datagrams (or, with GRO, trains of datagrams) that one receive call can take.
pub(crate) const RECV_SLOTS: usize = 16;

/// Bytes of one receive slot: the largest train that the kernel joins (its length field has 16 bits).
pub(crate) const RECV_SLOT_BYTES: usize = 65_536;

/// Messages that one send call can carry. More calls follow when there are more.
pub(crate) const SEND_MESSAGES: usize = 256;

/// What is ready, from [`Poller::wait`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The number that the source was added with.
    pub(crate) key: usize,
    /// Bytes (or a connection, an error, an end of stream) can be read.
    pub(crate) readable: bool,
    /// There is room to write.
    pub(crate) writable: bool,
}

/// Some bytes of the send arena that go to one address: one datagram, or a train of equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// First byte in the arena.
    pub(crate) start: usize,
    /// Bytes.
    pub(crate) len: usize,
    /// The size of each datagram but the last, which may be shorter; `None` when there is only one.
    pub(crate) segment: Option<u16>,
    /// Where to.
    pub(crate) remote: SocketAddr,
    /// From which of the addresses of a wildcard socket.
    pub(crate) source: Option<IpAddr>,
}

/// One received datagram, or a train of them joined by the kernel.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    /// The bytes of all its datagrams.
    pub(crate) bytes: &'a mut [u8],
    /// The size of each datagram but the last, which may be shorter. Never zero.
    pub(crate) segment: usize,
    /// Where from.
    pub(crate) remote: SocketAddr,
    /// To which of the addresses of a wildcard socket.
    pub(crate) local: Option<IpAddr>,
    /// How many datagrams the kernel had dropped on this socket before this one because its buffer was full, modulo
    /// 2³²; `None` when none, or when the system does not tell.
    pub(crate) lost: Option<u32>,
}
