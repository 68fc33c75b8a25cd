//! A peer in the same process: a mixer, a recorder, a test. Its packets are handed over as they are.
//!
//! It subscribes and publishes like any other peer, so layers are chosen for it, streams are switched without a seam,
//! lost packets come when they are repaired, and sender reports tell it the clocks. No network, no keys.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::stats::DropReason;
use crate::transport::{Protocol, Route, TransportEvent};

/// Nothing is ever sent there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The route of every peer in this process: one in name only.
pub(crate) const ROUTE: Route = Route {
    protocol: Protocol::Udp,
    local: NOWHERE,
    remote: NOWHERE,
};

/// The way to a peer in this process; connected from the start.
#[derive(Debug)]
pub struct Local {
    events: VecDeque<TransportEvent>,
    closed: bool,
}

impl Local {
    pub(crate) fn new() -> Self {
        Self {
            events: VecDeque::from([TransportEvent::Connected { profile: None }]),
            closed: false,
        }
    }

    /// Copies the packet; the router keeps it.
    pub(super) fn open_rtp(&self, packet: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        self.ready()?;
        out.get_mut(..packet.len())
            .ok_or(DropReason::TooLong)?
            .copy_from_slice(packet);
        Ok(packet.len())
    }

    pub(super) fn open_rtcp(&self, packet: &[u8]) -> Result<usize, DropReason> {
        self.ready().map(|()| packet.len())
    }

    /// As it is.
    pub(super) fn seal(&self, buf: &[u8], len: usize) -> Option<usize> {
        (self.is_connected() && len <= buf.len()).then_some(len)
    }

    pub(super) fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.closed
    }

    fn ready(&self) -> Result<(), DropReason> {
        if self.closed { Err(DropReason::NotReady) } else { Ok(()) }
    }
}
