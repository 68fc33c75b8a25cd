//! The only public machine: tables of endpoints, tracks and subscriptions, and dispatch between them.
//!
//! ```text
//!  handle_datagram ─► input    demux, open, find the stream ─► receive ─► forward ─► notes in send queues
//!  handle_timeout  ─► timers   transports, NACK, reports due
//!  commands        ─► control  endpoints, tracks, subscriptions, layers; data  channels and messages
//!  poll_output     ◄─ output   endpoint by endpoint: transport, feedback, notes ─► datagrams, events, next deadline
//! ```
//!
//! Any order of calls is safe, and a call too many is harmless. Nothing blocks, nothing asks the clock. Poll
//! [`Router::poll_output`] until [`Output::Timeout`] after each call or batch of calls.

mod control;
mod data;
mod fec;
mod feedback;
mod input;
mod lines;
mod output;
mod rtcp_in;
mod share;
mod stage;
mod tables;
mod timers;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use rustc_hash::FxHashMap;

pub use self::control::UsageError;
use self::stage::Stage;
use self::tables::Table;
pub use self::tables::{EndpointStats, RouterStats, SubscriptionStats, TrackStats};
use self::timers::Timers;
use crate::config::{EndpointId, RouterConfig, StageId, SubscriptionId};
use crate::endpoint::Endpoint;
use crate::estimate::share::Claim;
use crate::event::{Delivery, Event, Output, RemoteChange, Transmit};
use crate::packet::Pool;
use crate::receive::Track;
use crate::receive::red::Recovered;
use crate::send::Outgoing;
use crate::stats::Drops;
use crate::time::WallClock;
use crate::transport::{Protocol, Route, Transport};

/// Events, and changes of addresses, that wait for the caller; a caller that never polls loses the oldest.
const MAX_EVENTS: usize = 4096;

/// Routes RTP between endpoints. See the crate's page for the run loop.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    epoch: Instant,
    wall: WallClock,
    pool: Pool,
    endpoints: Table<Endpoint>,
    tracks: Table<Track>,
    stages: FxHashMap<StageId, Stage>,
    subscriptions: Table<Outgoing>,
    /// Whose address is it? Only addresses that have proved themselves.
    routes: FxHashMap<(Protocol, SocketAddr), usize>,
    /// Whose ICE user fragment is it?
    ufrags: FxHashMap<String, usize>,
    /// Endpoints with a socket of their own.
    sockets: FxHashMap<SocketAddr, usize>,
    /// Endpoints that make checks of their own, whose answers come from addresses not seen before.
    full_ice: Vec<usize>,
    dirty: VecDeque<usize>,
    timers: Timers,
    /// When endpoints may be sent more.
    bursts: Timers,
    events: VecDeque<Event>,
    remotes: VecDeque<RemoteChange>,
    drops: Drops,
    /// Used and kept by `feedback`, so that it does not allocate each time.
    lost: Vec<u16>,
    /// Packets that were lost, from the redundancy of the one that is being taken.
    recovered: Recovered,
    /// The same for `share`.
    claims: Vec<Claim<SubscriptionId>>,
}

impl Router {
    /// A router without endpoints.
    #[must_use]
    pub fn new(now: Instant, config: RouterConfig) -> Self {
        Self {
            wall: WallClock::new(now, config.wall),
            epoch: now,
            pool: Pool::new(),
            endpoints: Table::default(),
            tracks: Table::default(),
            stages: FxHashMap::default(),
            subscriptions: Table::default(),
            routes: FxHashMap::default(),
            ufrags: FxHashMap::default(),
            sockets: FxHashMap::default(),
            full_ice: Vec::new(),
            dirty: VecDeque::new(),
            timers: Timers::default(),
            bursts: Timers::default(),
            events: VecDeque::new(),
            remotes: VecDeque::new(),
            drops: Drops::default(),
            lost: Vec::new(),
            recovered: Recovered::default(),
            claims: Vec::new(),
            config,
        }
    }

    /// Takes a datagram that came in on `route`. The bytes are decrypted out of `datagram` or in it; their content is
    /// undefined afterwards. Never fails: what cannot be used is counted by [`crate::DropReason`].
    ///
    /// No allocation in steady state; one copy per received packet (the decryption).
    #[inline]
    pub fn handle_datagram(&mut self, now: Instant, route: Route, datagram: &mut [u8]) {
        if let Err(reason) = self.input(now, route, datagram) {
            self.drops.count(reason);
            if let Some(endpoint) = self.owner(route).and_then(|key| self.endpoints.at_mut(key)) {
                endpoint.drops.count(reason);
            }
        }
    }

    /// Takes an RTP or RTCP packet from a peer in this process. Its content is judged like that of any peer: what cannot be
    /// used is counted by [`crate::DropReason`].
    ///
    /// No allocation in steady state; one copy.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::NotLocal`].
    pub fn handle_packet(&mut self, now: Instant, endpoint: EndpointId, packet: &mut [u8]) -> Result<(), UsageError> {
        let peer = self.endpoints.get(endpoint.0).ok_or(UsageError::NoEndpoint)?;
        if !matches!(peer.transport, Transport::Local(_)) {
            return Err(UsageError::NotLocal);
        }
        let key = Table::<Endpoint>::key(endpoint.0);
        if let Err(reason) = self.input_local(now, key, packet) {
            self.drops.count(reason);
            if let Some(endpoint) = self.endpoints.at_mut(key) {
                endpoint.drops.count(reason);
            }
        }
        Ok(())
    }

    /// Does what is due at `now`: retransmission requests, reports, handshakes, checks.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.timers.take_due(now) {
            self.on_timeout(now, key);
        }
        while let Some(key) = self.bursts.take_due(now) {
            self.on_burst(now, key);
        }
    }

    /// The next datagram, event or deadline. Datagrams are written to the start of `buf`, which should hold at least
    /// 1500 bytes; all datagrams to one endpoint come one after another.
    pub fn poll_output(&mut self, now: Instant, buf: &mut [u8]) -> Output {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        while let Some(&key) = self.dirty.front() {
            if let Some(transmit) = self.poll_endpoint(now, key, buf) {
                return self.address(key, transmit);
            }
            self.dirty.pop_front();
            self.settle(now, key);
            if let Some(event) = self.events.pop_front() {
                return Output::Event(event);
            }
        }
        Output::Timeout([self.timers.next(), self.bursts.next()].into_iter().flatten().min())
    }

    /// Whether the address `remote` belongs to an endpoint of this router.
    #[must_use]
    pub fn owns(&self, protocol: Protocol, remote: SocketAddr) -> bool {
        self.routes.contains_key(&(protocol, remote))
    }

    /// The next change of what [`Self::owns`] answers; `None` when there is none. Only for those who share a port among
    /// several routers.
    pub fn poll_remote(&mut self) -> Option<RemoteChange> {
        self.remotes.pop_front()
    }

    /// Out of the process or not.
    #[inline]
    fn address(&self, key: usize, transmit: Transmit) -> Output {
        match self.endpoints.at(key) {
            Some(endpoint) if matches!(endpoint.transport, Transport::Local(_)) => Output::Deliver(Delivery {
                endpoint: endpoint.id,
                len: transmit.len,
            }),
            _ => Output::Transmit(transmit),
        }
    }

    fn owner(&self, route: Route) -> Option<usize> {
        self.sockets
            .get(&route.local)
            .or_else(|| self.routes.get(&(route.protocol, route.remote)))
            .copied()
    }

    /// Puts an endpoint into the list of those with something to send.
    fn mark(&mut self, key: usize) {
        if let Some(endpoint) = self.endpoints.at_mut(key)
            && !std::mem::replace(&mut endpoint.dirty, true)
        {
            self.dirty.push_back(key);
        }
    }

    /// The address belongs to no endpoint any more.
    fn release(&mut self, (protocol, remote): (Protocol, SocketAddr)) {
        if self.routes.remove(&(protocol, remote)).is_some() {
            self.tell_remote(RemoteChange::Released(protocol, remote));
        }
    }

    fn tell_remote(&mut self, change: RemoteChange) {
        if self.remotes.len() >= MAX_EVENTS {
            self.remotes.pop_front();
        }
        self.remotes.push_back(change);
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
