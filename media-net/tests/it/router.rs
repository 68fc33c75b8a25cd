//! Real routers on real sockets: ICE, DTLS and the farewell, over UDP and TCP, to whichever worker owns the peer.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_media_core::Router;
use althing_media_core::config::{EndpointConfig, EndpointId, LocalAddress, RouterConfig};
use althing_media_core::event::{DisconnectReason, Event, Output};
use althing_media_core::time::NtpTime;
use althing_media_core::transport::{
    Certificate, LocalDescription, Protocol, RemoteDescription, Route, Setup, WebRtcConfig,
};
use althing_media_net::{Net, NetConfig, Worker};

use crate::engine::{PATIENCE, config};

fn router(now: Instant, index: u8, local: Vec<LocalAddress>, certificate: &Certificate) -> Router {
    let config = RouterConfig {
        wall: NtpTime::default(),
        certificate: certificate.clone(),
        index,
        local,
        max_endpoints: 100,
    };
    Router::new(now, config)
}

fn remote(description: &LocalDescription, setup: Setup) -> RemoteDescription {
    RemoteDescription {
        ice: description.ice.clone(),
        ice_lite: description.ice_lite,
        fingerprint: description.fingerprint,
        setup,
    }
}

/// A browser's part: a router with one endpoint, on one blocking socket.
struct Client {
    router: Router,
    endpoint: EndpointId,
    link: Link,
    local: SocketAddr,
    server: SocketAddr,
    events: Vec<Event>,
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

impl Client {
    fn new(link: Link, protocol: Protocol, server: SocketAddr) -> Self {
        let local = match &link {
            Link::Udp(socket) => socket.local_addr().unwrap(),
            Link::Tcp(stream, _) => stream.local_addr().unwrap(),
        };
        let now = Instant::now();
        let address = LocalAddress {
            protocol,
            socket: local,
            advertised: local,
        };
        let mut router = router(now, 0, vec![address], &Certificate::generate().unwrap());
        let endpoint = router
            .add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::CLIENT))
            .unwrap();
        Self {
            router,
            endpoint,
            link,
            local,
            server,
            events: Vec::new(),
        }
    }

    /// Introduces both ends, only by the candidate that this client is to use.
    fn signal(&mut self, worker: &Worker<Router>) -> EndpointId {
        let protocol = self.protocol();
        let offer = remote(&self.router.local_description(self.endpoint).unwrap(), Setup::Active);
        let (id, answer) = worker
            .call(move |router, now| {
                let id = router
                    .add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))
                    .unwrap();
                router.set_remote(now, id, &offer).unwrap();
                (id, router.local_description(id).unwrap())
            })
            .unwrap();
        let now = Instant::now();
        self.router
            .set_remote(now, self.endpoint, &remote(&answer, Setup::Passive))
            .unwrap();
        let candidates = answer.candidates.iter();
        for candidate in candidates.filter(|one| one.protocol == protocol && one.address == self.server) {
            self.router.add_remote_candidate(now, self.endpoint, candidate).unwrap();
        }
        id
    }

    fn protocol(&self) -> Protocol {
        match self.link {
            Link::Udp(_) => Protocol::Udp,
            Link::Tcp(..) => Protocol::Tcp,
        }
    }

    /// One turn: sends what is to be sent, waits a little for something to come.
    fn drive(&mut self) {
        let now = Instant::now();
        self.router.handle_timeout(now);
        let mut buf = [0; 2048];
        loop {
            match self.router.poll_output(now, &mut buf) {
                Output::Transmit(out) => self.link.send(&buf[..out.len]),
                Output::Event(event) => self.events.push(event),
                _ => break,
            }
        }
        let route = Route {
            protocol: self.protocol(),
            local: self.local,
            remote: self.server,
        };
        while let Some(mut datagram) = self.link.receive() {
            self.router.handle_datagram(Instant::now(), route, &mut datagram);
        }
    }

    fn drive_until(&mut self, what: &str, done: impl Fn(&Event) -> bool) {
        let start = Instant::now();
        while !self.events.iter().any(&done) {
            assert!(start.elapsed() < PATIENCE, "never {what}: {:?}", self.events);
            self.drive();
        }
    }
}

impl Link {
    fn send(&mut self, datagram: &[u8]) {
        match self {
            Self::Udp(socket) => drop(socket.send(datagram)),
            Self::Tcp(stream, _) => {
                let mut frame = u16::try_from(datagram.len()).unwrap().to_be_bytes().to_vec();
                frame.extend(datagram);
                // The server may have ended.
                let _ = stream.write_all(&frame);
            }
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        match self {
            Self::Udp(socket) => {
                let len = socket.recv(&mut bytes).ok()?;
                bytes.truncate(len);
                Some(bytes)
            }
            Self::Tcp(stream, stored) => loop {
                if let Some((len, rest)) = stored.split_first_chunk::<2>()
                    && let Some(frame) = rest.get(..usize::from(u16::from_be_bytes(*len)))
                {
                    let frame = frame.to_vec();
                    stored.drain(..2 + frame.len());
                    return Some(frame);
                }
                match stream.read(&mut bytes) {
                    Ok(0) => return None,
                    Ok(len) => stored.extend(&bytes[..len]),
                    Err(error) => {
                        assert!(matches!(
                            error.kind(),
                            ErrorKind::WouldBlock | ErrorKind::ConnectionReset
                        ));
                        return None;
                    }
                }
            },
        }
    }
}

#[test]
fn peers_connect_to_their_worker_and_are_told_the_end() {
    connect_eight(config(2));
}

#[test]
fn behind_a_translated_address() {
    // Every address of 127.0.0.0/8 leads here, but only this one is told.
    connect_eight(NetConfig {
        udp: vec![([0, 0, 0, 0], 0).into()],
        tcp: vec![([0, 0, 0, 0], 0).into()],
        advertised: vec![[127, 0, 0, 3].into()],
        ..config(2)
    });
}

/// Connects peers over UDP and TCP to both workers, then ends.
fn connect_eight(config: NetConfig) {
    let told: Arc<Mutex<Vec<(usize, Event)>>> = Arc::default();
    let sink = told.clone();
    let config = NetConfig {
        events: Arc::new(move |worker, event| sink.lock().unwrap().push((worker, event))),
        ..config
    };
    let certificate = Certificate::generate().unwrap();
    let net = Net::start(config, move |seat| {
        router(seat.now, seat.index, seat.local, &certificate)
    })
    .unwrap();
    let address = |protocol| {
        let local = net.local().iter().find(|local| local.protocol == protocol);
        local.unwrap().advertised
    };
    let wait = Some(Duration::from_millis(2));
    let mut clients = Vec::new();
    for n in 0..8 {
        let mut client = if n != 3 && n != 6 {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address(Protocol::Udp)).unwrap();
            socket.set_read_timeout(wait).unwrap();
            Client::new(Link::Udp(socket), Protocol::Udp, address(Protocol::Udp))
        } else {
            let stream = TcpStream::connect(address(Protocol::Tcp)).unwrap();
            stream.set_read_timeout(wait).unwrap();
            Client::new(Link::Tcp(stream, Vec::new()), Protocol::Tcp, address(Protocol::Tcp))
        };
        let worker = n % 2;
        let id = client.signal(&net.workers()[worker]);
        client.drive_until("connected", |event| matches!(event, Event::Connected { .. }));
        let connected = |(at, event): &(usize, Event)| {
            *at == worker && matches!(event, Event::Connected { endpoint, .. } if *endpoint == id)
        };
        let start = Instant::now();
        while !told.lock().unwrap().iter().any(connected) {
            assert!(start.elapsed() < PATIENCE, "the server never saw client {n}");
            client.drive();
        }
        clients.push(client);
    }
    let stats = net.stats();
    assert_eq!(
        (stats.tcp_rejected, stats.tcp_dropped, stats.dropped_handover),
        (0, 0, 0)
    );
    net.shutdown(PATIENCE).unwrap();
    for client in &mut clients {
        client.drive_until("told the end", |event| {
            let closed = DisconnectReason::Closed;
            matches!(event, Event::Disconnected { reason, .. } if *reason == closed)
        });
    }
}
