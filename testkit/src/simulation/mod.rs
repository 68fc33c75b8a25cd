//! A router, its peers and the networks between them, in virtual time.
//!
//! ```text
//!  Peer ── up Link ──► Router ── down Link ──► Peer          everything is told the same `now`
//!   └──────────── next deadline of all ◄──────────┘          the clock leaps to it
//! ```
//!
//! Ten virtual seconds of ten peers cost some milliseconds, and the same seed gives the same run. Signalling is a
//! method call here: [`Simulation::publish`] and [`Simulation::watch`] tell both sides at the same instant.

mod node;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointConfig, EndpointId, LocalAddress, RouterConfig, SubscriptionId, TrackId};
use althing_media_core::time::NtpTime;
use althing_media_core::transport::{
    Certificate, LocalDescription, PlainConfig, PlainKeys, Protocol, RemoteDescription, Route, Transport, WebRtcConfig,
};
use althing_media_core::{Event, Output, Router};

use self::node::Node;
use crate::clock::{Clock, Pace};
use crate::network::{Link, LinkConfig};
use crate::peer::{Payloads, Peer, ReceiveConfig, Receiver, SendConfig, Sender};
use crate::rng::Rng;

/// Rounds without the clock moving before a simulation is stuck: somebody's deadline never passes.
const MAX_ROUNDS: usize = 100_000;
/// The router's wall clock at the start, in seconds since 1970; those of peers differ from it by hours.
const WALL: u64 = 1_800_000_000;
/// Endpoints that fit.
const MAX_ENDPOINTS: usize = 10_000;

/// Where WebRTC peers reach the router.
#[must_use]
pub fn router_socket() -> SocketAddr {
    ([192, 0, 2, 1], 7882).into()
}

/// One router and its peers.
#[derive(Debug)]
pub struct Simulation {
    /// The router, to command or to ask.
    pub router: Router,
    clock: Clock,
    rng: Rng,
    nodes: Vec<Node>,
    by_address: HashMap<SocketAddr, usize>,
    /// Members in the router's own process.
    inside: HashMap<EndpointId, usize>,
    delivered: Vec<(Instant, Vec<u8>)>,
    events: Vec<Event>,
    datagrams_out: u64,
    strays: Vec<(Route, Vec<u8>)>,
    buf: Vec<u8>,
}

/// A peer of a simulation and its endpoint in the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Member {
    node: usize,
    /// In the router.
    pub endpoint: EndpointId,
}

/// A stream that a member watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Who.
    pub member: Member,
    /// In the router.
    pub subscription: SubscriptionId,
    receiver: usize,
}

/// A track that a member publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// Who.
    pub member: Member,
    /// In the router.
    pub track: TrackId,
    sender: usize,
}

impl Simulation {
    /// A router without peers; all luck comes from `seed`.
    ///
    /// # Panics
    /// When no certificate can be made.
    #[must_use]
    pub fn new(seed: u64, certificate: &Certificate) -> Self {
        let clock = Clock::new();
        let socket = router_socket();
        let config = RouterConfig {
            wall: NtpTime::from_unix(Duration::from_secs(WALL)),
            certificate: certificate.clone(),
            index: 0,
            local: vec![LocalAddress {
                protocol: Protocol::Udp,
                socket,
                advertised: socket,
            }],
            max_endpoints: MAX_ENDPOINTS,
        };
        Self {
            router: Router::new(clock.now(), config),
            clock,
            rng: Rng::new(seed),
            nodes: Vec::new(),
            by_address: HashMap::new(),
            inside: HashMap::new(),
            delivered: Vec::new(),
            events: Vec::new(),
            datagrams_out: 0,
            strays: Vec::new(),
            buf: vec![0; 2048],
        }
    }

    /// Adds a plain RTP peer behind a network, the same both ways. Connected at once, both addresses being known.
    ///
    /// # Panics
    /// When the router refuses the endpoint.
    pub fn join_plain(&mut self, network: LinkConfig, keys: Option<&PlainKeys>) -> Member {
        let number = u16::try_from(self.nodes.len()).expect("fewer peers than ports");
        let (router, address) = (SocketAddr::from(([192, 0, 2, 1], 20_000 + number)), self.next_address());
        let config = |local, remote, keys: Option<PlainKeys>| PlainConfig {
            local,
            remote: Some(remote),
            rtcp: None,
            keys: keys.map(Box::new),
        };
        let endpoint = EndpointConfig::Plain(config(router, address, keys.cloned()));
        let endpoint = self
            .router
            .add_endpoint(self.now(), endpoint)
            .expect("the router takes the endpoint");
        let mirrored = keys.cloned().map(|keys| PlainKeys {
            local: keys.remote,
            remote: keys.local,
        });
        let (seed, wall) = (self.rng.next_u64(), self.peer_wall());
        let peer = Peer::plain(self.now(), seed, wall, config(address, router, mirrored));
        self.add_node(peer, address, router, network, endpoint)
    }

    /// Adds a peer in the router's own process: nothing lies between them.
    ///
    /// # Panics
    /// When the router refuses the endpoint.
    pub fn join_local(&mut self) -> Member {
        let endpoint = self
            .router
            .add_endpoint(self.now(), EndpointConfig::Local)
            .expect("the router takes the endpoint");
        let (router, address) = (router_socket(), self.next_address());
        let config = PlainConfig {
            local: address,
            remote: Some(router),
            rtcp: None,
            keys: None,
        };
        let (seed, wall) = (self.rng.next_u64(), self.peer_wall());
        let peer = Peer::plain(self.now(), seed, wall, config);
        let member = self.add_node(peer, address, router, LinkConfig::delay(Duration::ZERO), endpoint);
        self.inside.insert(endpoint, member.node);
        member
    }

    /// Adds a WebRTC peer behind a network, the same both ways, with descriptions exchanged. It connects as the
    /// simulation runs.
    ///
    /// # Panics
    /// When the router or the peer refuses.
    pub fn join_web_rtc(&mut self, network: LinkConfig, certificate: &Certificate) -> Member {
        let (now, address) = (self.now(), self.next_address());
        let local = LocalAddress {
            protocol: Protocol::Udp,
            socket: address,
            advertised: address,
        };
        let (seed, wall) = (self.rng.next_u64(), self.peer_wall());
        let mut peer = Peer::web_rtc(now, seed, wall, local, certificate);
        let config = EndpointConfig::WebRtc(WebRtcConfig::SERVER);
        let endpoint = self
            .router
            .add_endpoint(now, config)
            .expect("the router takes the endpoint");
        let offer = peer.local_description().expect("a WebRTC peer has a description");
        self.router
            .set_remote(now, endpoint, &told(&offer))
            .expect("the router takes the offer");
        let answer = self
            .router
            .local_description(endpoint)
            .expect("a WebRTC endpoint has a description");
        peer.set_remote(now, &told(&answer), &answer.candidates)
            .expect("the peer takes the answer");
        self.add_node(peer, address, router_socket(), network, endpoint)
    }

    fn next_address(&self) -> SocketAddr {
        let [high, low] = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX).to_be_bytes();
        ([10, 0, high, low], 5000).into()
    }

    /// Wall clocks of peers are wrong, each by its own hours.
    fn peer_wall(&mut self) -> NtpTime {
        NtpTime::from_unix(Duration::from_secs(WALL - 43_200 + self.rng.below(86_400)))
    }

    fn add_node(
        &mut self,
        peer: Peer,
        address: SocketAddr,
        router: SocketAddr,
        network: LinkConfig,
        endpoint: EndpointId,
    ) -> Member {
        let mut link = || Link::new(self.rng.next_u64(), network);
        let (up, down) = (link(), link());
        self.by_address.insert(address, self.nodes.len());
        self.nodes.push(Node {
            peer,
            pace: Pace::default(),
            local: address,
            address,
            router,
            up,
            down,
            due: None,
            touched: true,
            asleep_until: None,
        });
        Member {
            node: self.nodes.len() - 1,
            endpoint,
        }
    }

    /// The translation in front of a member forgets it: from now on its datagrams come from another address.
    pub fn rebind(&mut self, member: Member) {
        let node = self.touch(member);
        let (before, after) = node.rebind();
        self.by_address.remove(&before);
        self.by_address.insert(after, member.node);
    }

    /// A member is in another network from now on: its datagrams come from another machine's address, over such a line.
    pub fn hand_over(&mut self, member: Member, network: LinkConfig) {
        let node = self.touch(member);
        let before = node.address;
        if let IpAddr::V4(ip) = before.ip() {
            let [first, second, third, fourth] = ip.octets();
            node.address.set_ip([first ^ 1, second, third, fourth].into());
        }
        node.up.configure(network);
        node.down.configure(network);
        let after = node.address;
        self.by_address.remove(&before);
        self.by_address.insert(after, member.node);
    }

    /// From now on the clock of a member, monotonic and wall alike, is too quick by so many millionth; too slow when negative.
    pub fn drift(&mut self, member: Member, millionth: i32) {
        let now = self.now();
        let node = self.touch(member);
        node.pace = node.pace.changed(now, millionth);
    }

    /// A member sleeps for so long: nothing reaches it, nothing leaves it, and its clocks stand still.
    pub fn sleep(&mut self, member: Member, duration: Duration) {
        let now = self.now();
        let node = self.touch(member);
        node.pace = node.pace.stopped(now, duration);
        node.asleep_until = Some(now + duration);
    }

    fn touch(&mut self, member: Member) -> &mut Node {
        let node = &mut self.nodes[member.node];
        node.touched = true;
        node
    }

    /// A WebRTC member restarts ICE, and the router answers.
    ///
    /// # Panics
    /// When the member is plain, or either side refuses.
    pub fn restart_ice(&mut self, member: Member) {
        let now = self.now();
        let node = &mut self.nodes[member.node];
        node.touched = true;
        let (peer, local_now) = (&mut node.peer, node.pace.local(now));
        let Transport::WebRtc(web_rtc) = peer.transport_mut() else {
            panic!("a plain peer has no ICE")
        };
        web_rtc.restart_ice(local_now);
        let offer = peer.local_description().expect("a WebRTC peer has a description");
        self.router
            .set_remote(now, member.endpoint, &told(&offer))
            .expect("the router takes the offer");
        let answer = self
            .router
            .local_description(member.endpoint)
            .expect("the endpoint is there");
        peer.set_remote(local_now, &told(&answer), &answer.candidates)
            .expect("the peer takes the answer");
    }

    /// A member begins to send a track.
    ///
    /// # Panics
    /// When the router refuses the track.
    pub fn publish(&mut self, member: Member, config: SendConfig) -> Publication {
        let now = self.now();
        let track = self
            .router
            .add_track(now, member.endpoint, &config.track())
            .expect("the router takes the track");
        let node = self.touch(member);
        let sender = node.peer.session.send(node.pace.local(now), config);
        Publication { member, track, sender }
    }

    /// A member sends a frame of its track that was coded elsewhere; mute its sender first.
    pub fn send(&mut self, publication: Publication, frame: Payloads<'_>) {
        let session = &mut self.peer_mut(publication.member).session;
        session.send_coded(publication.sender, frame);
    }

    /// A member begins to watch a track.
    ///
    /// # Panics
    /// When the router refuses the subscription.
    pub fn watch(&mut self, member: Member, track: TrackId, config: ReceiveConfig) -> Watch {
        let now = self.now();
        let subscription = self
            .router
            .subscribe(now, member.endpoint, config.subscription())
            .expect("the router takes the subscription");
        self.router.set_source(now, subscription, Some(track));
        let receiver = self.touch(member).peer.session.receive(config);
        Watch {
            member,
            subscription,
            receiver,
        }
    }

    /// What the router has given to endpoints in its process that are none of ours, and when; it is forgotten then.
    pub fn take_delivered(&mut self) -> Vec<(Instant, Vec<u8>)> {
        std::mem::take(&mut self.delivered)
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The peer of a member.
    #[must_use]
    pub fn peer(&self, member: Member) -> &Peer {
        &self.nodes[member.node].peer
    }

    /// The peer of a member, to change it.
    pub fn peer_mut(&mut self, member: Member) -> &mut Peer {
        &mut self.touch(member).peer
    }

    /// What a member receives.
    #[must_use]
    pub fn receiver(&self, watch: Watch) -> &Receiver {
        &self.peer(watch.member).session.receivers()[watch.receiver]
    }

    /// What a member sends.
    #[must_use]
    pub fn sender(&self, publication: Publication) -> &Sender {
        &self.peer(publication.member).session.senders()[publication.sender]
    }

    /// What a member sends, to change it.
    ///
    /// # Panics
    /// Never: a publication names a sender that is there.
    pub fn sender_mut(&mut self, publication: Publication) -> &mut Sender {
        self.peer_mut(publication.member)
            .session
            .sender_mut(publication.sender)
            .expect("senders stay")
    }

    /// The links of a member, towards the router and from it.
    pub fn links_mut(&mut self, member: Member) -> (&mut Link, &mut Link) {
        let node = self.touch(member);
        (&mut node.up, &mut node.down)
    }

    /// The address of a member and the router's socket for it: what a datagram from it would come on.
    #[must_use]
    pub fn route(&self, member: Member) -> Route {
        let node = &self.nodes[member.node];
        Route {
            protocol: Protocol::Udp,
            local: node.router,
            remote: node.address,
        }
    }

    /// All that the router has told so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Datagrams that the router has sent.
    #[must_use]
    pub fn datagrams_out(&self) -> u64 {
        self.datagrams_out
    }

    /// Datagrams that the router sent to addresses where nobody is.
    #[must_use]
    pub fn strays(&self) -> &[(Route, Vec<u8>)] {
        &self.strays
    }

    /// Gives the router a datagram from anywhere, at once.
    pub fn inject(&mut self, route: Route, mut datagram: Vec<u8>) {
        self.router.handle_datagram(self.clock.now(), route, &mut datagram);
        self.drain_router();
    }

    /// Runs for a while of virtual time.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now() + duration;
        self.run_until(end, |_| false);
    }

    /// Runs until `done` or until `limit` has passed; whether it was done.
    pub fn run_while(&mut self, limit: Duration, mut pending: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now() + limit;
        self.run_until(end, |simulation| !pending(simulation))
    }

    fn run_until(&mut self, end: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        let mut rounds = 0;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            let next = self.next_timeout().map_or(end, |next| next.min(end));
            if next > self.now() {
                rounds = 0;
                self.clock.advance_to(next);
            } else if self.now() >= end {
                return false;
            }
            rounds += 1;
            assert!(rounds < MAX_ROUNDS, "a deadline does not pass: time stands still");
            self.handle_timeouts();
        }
    }

    /// Moves everything that can move without time passing.
    fn settle(&mut self) {
        let now = self.now();
        self.drain_router();
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if !node.wakes(now) {
                continue;
            }
            let local_now = node.pace.local(now);
            while !node.is_asleep(now)
                && let Some(transmit) = node.peer.poll_output(local_now, &mut self.buf)
            {
                node.up.handle_input(now, self.buf[..transmit.len].to_vec());
            }
            let route = Route {
                protocol: Protocol::Udp,
                local: node.router,
                remote: node.address,
            };
            let mut arrived = false;
            let inside = self
                .inside
                .iter()
                .find(|(_, node)| **node == index)
                .map(|(endpoint, _)| *endpoint);
            while let Some(mut datagram) = self.nodes[index].up.poll_output(now) {
                match inside {
                    // A peer that has left may have said more.
                    Some(endpoint) => drop(self.router.handle_packet(now, endpoint, &mut datagram)),
                    None => self.router.handle_datagram(now, route, &mut datagram),
                }
                arrived = true;
            }
            if arrived {
                self.drain_router();
            }
        }
        for node in self.nodes.iter_mut().filter(|node| node.is_awake(now)) {
            node.touched = true;
            let route = Route {
                protocol: Protocol::Udp,
                local: node.local,
                remote: node.router,
            };
            while let Some(mut datagram) = node.down.poll_output(now) {
                if !node.is_asleep(now) {
                    node.peer.handle_datagram(node.pace.local(now), route, &mut datagram);
                }
            }
        }
    }

    fn drain_router(&mut self) {
        let now = self.now();
        loop {
            match self.router.poll_output(now, &mut self.buf) {
                Output::Transmit(transmit) => {
                    self.datagrams_out += 1;
                    let datagram = self.buf[..transmit.len].to_vec();
                    match self.by_address.get(&transmit.route.remote) {
                        Some(node) => self.nodes[*node].arrive(now, datagram),
                        None => self.strays.push((transmit.route, datagram)),
                    }
                }
                Output::Deliver(delivery) => {
                    let packet = self.buf[..delivery.len].to_vec();
                    if let Some(node) = self.inside.get(&delivery.endpoint) {
                        self.nodes[*node].arrive(now, packet);
                    } else {
                        self.delivered.push((now, packet));
                    }
                }
                Output::Event(event) => self.events.push(event),
                _ => return,
            }
        }
    }

    fn next_timeout(&mut self) -> Option<Instant> {
        let now = self.now();
        let router = match self.router.poll_output(now, &mut self.buf) {
            Output::Timeout(at) => at,
            other => unreachable!("drained, and yet {other:?}"),
        };
        let nodes = self.nodes.iter_mut().map(|node| node.next_timeout(now));
        nodes.chain([router]).flatten().min()
    }

    fn handle_timeouts(&mut self) {
        let now = self.now();
        self.router.handle_timeout(now);
        for node in &mut self.nodes {
            let local_now = node.pace.local(now);
            if node.wakes(now) && !node.is_asleep(now) && node.peer.next_timeout().is_some_and(|at| at <= local_now) {
                node.peer.handle_timeout(local_now);
            }
        }
    }
}

/// What one side says is what the other is told.
fn told(local: &LocalDescription) -> RemoteDescription {
    RemoteDescription {
        ice: local.ice.clone(),
        ice_lite: local.ice_lite,
        fingerprint: local.fingerprint,
        setup: local.setup,
    }
}
