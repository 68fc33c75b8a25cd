//! An engine with ICE's first step and nothing else, and what tests need to talk to it.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use althing_media_core::event::{Output, RemoteChange, Transmit};
use althing_media_core::packet::Kind;
use althing_media_core::transport::{Protocol, Route, stun};
use althing_media_net::{Engine, Net, NetConfig, NetStats, Seat};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What every bound peer gets when the engine is closed.
pub(crate) const BYE: &[u8] = &[0x80, 203];

/// Binds whoever sends a binding request for its index, and echoes what bound peers send. RTP with a second byte
/// `n` below 100 is echoed `n + 1` times.
pub(crate) struct Echo {
    pub(crate) index: u8,
    pub(crate) bound: Vec<Route>,
    pub(crate) unknown: u64,
    pub(crate) out: VecDeque<(Route, Vec<u8>)>,
    pub(crate) changes: VecDeque<RemoteChange>,
    pub(crate) deadline: Option<Instant>,
    /// How late each deadline was handled.
    pub(crate) late: Vec<Duration>,
}

impl Echo {
    pub(crate) fn new(seat: &Seat) -> Self {
        let (bound, out, changes) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Self {
            index: seat.index,
            bound,
            unknown: 0,
            out,
            changes,
            deadline: None,
            late: Vec::new(),
        }
    }
}

impl Engine for Echo {
    fn handle_datagram(&mut self, _now: Instant, route: Route, datagram: &mut [u8]) {
        if let Some(ufrag) = stun::local_ufrag(datagram) {
            if stun::router_index(ufrag) != Some(self.index) {
                self.unknown += 1;
                return;
            }
            if !self.bound.contains(&route) {
                self.bound.push(route);
                self.changes
                    .push_back(RemoteChange::Bound(route.protocol, route.remote));
            }
            self.out.push_back((route, vec![1, self.index]));
            return;
        }
        if !self.owns(route.protocol, route.remote) {
            self.unknown += 1;
            return;
        }
        let copies = match (Kind::of(datagram), &*datagram) {
            (Some(Kind::Rtp), [_, n @ ..=99, ..]) => *n + 1,
            _ => 1,
        };
        for _ in 0..copies {
            self.out.push_back((route, datagram.to_vec()));
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(deadline) = self.deadline.take_if(|deadline| *deadline <= now) {
            self.late.push(now - deadline);
        }
    }

    fn poll_output(&mut self, _now: Instant, buf: &mut [u8]) -> Output {
        let Some((route, bytes)) = self.out.pop_front() else {
            return Output::Timeout(self.deadline);
        };
        buf[..bytes.len()].copy_from_slice(&bytes);
        Output::Transmit(Transmit {
            route,
            len: bytes.len(),
        })
    }

    fn owns(&self, protocol: Protocol, remote: SocketAddr) -> bool {
        self.bound
            .iter()
            .any(|route| route.protocol == protocol && route.remote == remote)
    }

    fn poll_remote(&mut self) -> Option<RemoteChange> {
        self.changes.pop_front()
    }

    fn close(&mut self, _now: Instant) {
        for route in self.bound.drain(..) {
            self.out.push_back((route, BYE.to_vec()));
            self.changes
                .push_back(RemoteChange::Released(route.protocol, route.remote));
        }
    }
}

/// One UDP and one TCP address on loopback, `workers` workers.
pub(crate) fn config(workers: usize) -> NetConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    NetConfig {
        udp: vec![any],
        tcp: vec![any],
        workers,
        ..NetConfig::default()
    }
}

pub(crate) fn start(config: NetConfig) -> Net<Echo> {
    Net::start(config, |seat| Echo::new(&seat)).unwrap()
}

/// The first address of that protocol.
pub(crate) fn address(net: &Net<Echo>, protocol: Protocol) -> SocketAddr {
    net.local()
        .iter()
        .find(|local| local.protocol == protocol)
        .unwrap()
        .advertised
}

/// A STUN binding request to router `index`.
pub(crate) fn binding_request(index: u8) -> Vec<u8> {
    let username = format!("{}:them", stun::new_creds(index).ufrag);
    let mut attribute = vec![0, 6];
    attribute.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
    attribute.extend(username.as_bytes());
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    let mut datagram = vec![0, 1];
    datagram.extend(u16::try_from(attribute.len()).unwrap().to_be_bytes());
    datagram.extend([0x21, 0x12, 0xa4, 0x42]);
    datagram.extend([9; 12]);
    datagram.extend(attribute);
    datagram
}

/// A UDP peer connected to `to`, from any port of loopback.
pub(crate) fn peer(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(to).unwrap();
    socket
}

/// Sends `datagram`, gives what comes back.
pub(crate) fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).unwrap();
    receive(socket)
}

pub(crate) fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let len = socket.recv(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

/// Waits until `done`, for what other threads count.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The counters, once they have stood still for some turns.
pub(crate) fn settled(net: &Net<Echo>) -> NetStats {
    let mut last = net.stats();
    loop {
        std::thread::sleep(Duration::from_millis(30));
        let next = net.stats();
        if next == last {
            return next;
        }
        last = next;
    }
}
