//! What the sockets and workers are started with. Plain data.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use althing_media_core::event::Event;

/// Most workers: what the first letter of an ICE user name can tell apart.
pub const MAX_WORKERS: usize = 64;

/// Where events go, with the number of the worker. It runs on the worker's thread between two batches: it must not
/// block and not call that worker.
pub type EventSink = Arc<dyn Fn(usize, Event) + Send + Sync>;

/// Sockets and workers.
#[derive(Clone)]
pub struct NetConfig {
    /// UDP addresses, each one port for all peers of all workers. Port 0 lets the system choose. An unspecified
    /// address (`0.0.0.0`, `[::]`) takes datagrams to every address of the machine and answers from the same one.
    pub udp: Vec<SocketAddr>,
    /// UDP addresses like those of `udp`, but for this machine only: a datagram that comes from another address than the
    /// socket's own is dropped unread. For servers on loopback: there are browsers (Firefox) whose media sockets never
    /// use loopback. One that cannot be bound is left out, with a warning.
    pub own_udp: Vec<SocketAddr>,
    /// TCP addresses for ICE-TCP, each one port for all peers.
    pub tcp: Vec<SocketAddr>,
    /// Addresses that peers are told instead of the sockets' own, when there is a translation (NAT) in front; the
    /// ports stay. Empty: the sockets' own addresses, for unspecified ones those of the network interfaces.
    pub advertised: Vec<IpAddr>,
    /// Worker threads, at most [`MAX_WORKERS`]; 0 for one per core.
    pub workers: usize,
    /// TCP connections at a time, all workers together. Each can cost up to 140 KiB.
    pub max_connections: usize,
    /// Send trains (UDP_SEGMENT) where the kernel can.
    pub gso: bool,
    /// Let the kernel join received datagrams (UDP_GRO).
    pub gro: bool,
    /// A worker that has just worked rests ten times as long, but this at most, before it looks at its sockets again:
    /// what arrives meanwhile is one batch, and leaves in longer trains. So the rest grows with the load, and the
    /// first datagram after a pause waits for nothing. Zero to work on each datagram at once.
    pub gather: Duration,
    /// Where events go.
    pub events: EventSink,
}

/// Below what a listener notices, and what the pacers of browsers do anyway: they send every 5 ms.
const GATHER: Duration = Duration::from_millis(5);

impl Default for NetConfig {
    /// No sockets, one worker per core, 1024 connections, trains both ways, rests of 5 ms at most, events thrown
    /// away.
    fn default() -> Self {
        Self {
            udp: Vec::new(),
            own_udp: Vec::new(),
            tcp: Vec::new(),
            advertised: Vec::new(),
            workers: 0,
            max_connections: 1024,
            gso: true,
            gro: true,
            gather: GATHER,
            events: Arc::new(|_, _| {}),
        }
    }
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("udp", &self.udp)
            .field("own_udp", &self.own_udp)
            .field("tcp", &self.tcp)
            .field("advertised", &self.advertised)
            .field("workers", &self.workers)
            .field("max_connections", &self.max_connections)
            .field("gso", &self.gso)
            .field("gro", &self.gro)
            .field("gather", &self.gather)
            .finish_non_exhaustive()
    }
}
