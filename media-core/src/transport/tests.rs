//! Two transports, joined through memory in virtual time.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::ice::{CONSENT_TIMEOUT, ICE_TIMEOUT, MAX_REMOTE_CANDIDATES, MAX_ROUTES};
use super::*;
use crate::config::LocalAddress;
use crate::packet::{Pt, RtpWriter, Ssrc};

/// One end: a transport, the datagrams on their way to it, and what it has told.
struct End {
    transport: Transport,
    inbox: VecDeque<(Route, Vec<u8>)>,
    events: Vec<TransportEvent>,
    drops: Vec<DropReason>,
    sent: usize,
}

/// Two ends and their clock.
struct Pair {
    now: Instant,
    client: End,
    server: End,
    server_address: LocalAddress,
    /// Datagrams pass.
    connected: bool,
}

fn local(protocol: Protocol, socket: &str, advertised: &str) -> LocalAddress {
    LocalAddress {
        protocol,
        socket: socket.parse().unwrap(),
        advertised: advertised.parse().unwrap(),
    }
}

fn end(transport: Transport) -> End {
    End {
        transport,
        inbox: VecDeque::new(),
        events: Vec::new(),
        drops: Vec::new(),
        sent: 0,
    }
}

fn server_address() -> LocalAddress {
    local(Protocol::Udp, "0.0.0.0:7882", "192.0.2.1:7882")
}

fn client_address() -> LocalAddress {
    local(Protocol::Udp, "192.0.2.7:5000", "192.0.2.7:5000")
}

impl End {
    fn webrtc(&mut self) -> &mut WebRtc {
        match &mut self.transport {
            Transport::WebRtc(webrtc) => webrtc,
            Transport::Plain(_) | Transport::Local(_) => panic!("this end speaks WebRTC"),
        }
    }

    fn handle(&mut self, now: Instant, route: Route, datagram: &[u8]) {
        let result = match Kind::of(datagram) {
            Some(Kind::Stun) => self.transport.handle_stun(now, route, datagram),
            Some(Kind::Dtls) => self.transport.handle_dtls(now, route, datagram),
            _ => Err(DropReason::UnknownProtocol),
        };
        self.drops.extend(result.err());
    }

    fn drain(&mut self, now: Instant) -> Vec<(Route, Vec<u8>)> {
        let (mut out, mut buf) = (Vec::new(), [0; 1500]);
        while let Some(transmit) = self.transport.poll_transmit(now, &mut buf) {
            out.push((transmit.route, buf[..transmit.len].to_vec()));
        }
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
        self.sent += out.len();
        out
    }
}

impl Pair {
    fn new(client: WebRtcConfig, server: WebRtcConfig, protocol: Protocol) -> Self {
        let (client_address, server_address) = (client_address(), server_address());
        Self::between(
            (
                client,
                LocalAddress {
                    protocol,
                    ..client_address
                },
            ),
            (
                server,
                LocalAddress {
                    protocol,
                    ..server_address
                },
            ),
        )
    }

    fn between(client: (WebRtcConfig, LocalAddress), server: (WebRtcConfig, LocalAddress)) -> Self {
        let now = Instant::now();
        let make = |(config, address), index| {
            let certificate = Certificate::generate().unwrap();
            end(Transport::WebRtc(Box::new(WebRtc::new(
                now,
                config,
                &certificate,
                index,
                &[address],
            ))))
        };
        let server_address = server.1;
        let (client, server) = (make(client, 0), make(server, 5));
        Self {
            now,
            client,
            server,
            server_address,
            connected: true,
        }
    }

    /// Exchanges descriptions and candidates, the client's first.
    fn signal(&mut self) {
        let now = self.now;
        let offer = self.client.webrtc().local_description();
        self.server.webrtc().set_remote(now, &remote(&offer)).unwrap();
        let answer = self.server.webrtc().local_description();
        self.client.webrtc().set_remote(now, &remote(&answer)).unwrap();
        for candidate in &offer.candidates {
            self.server.webrtc().add_remote_candidate(now, candidate);
        }
        for candidate in &answer.candidates {
            self.client.webrtc().add_remote_candidate(now, candidate);
        }
    }

    fn connected(client: WebRtcConfig, server: WebRtcConfig) -> Self {
        let mut pair = Self::new(client, server, Protocol::Udp);
        pair.signal();
        pair.run(Duration::from_secs(5));
        assert!(
            pair.both_connected(),
            "{:?} {:?}",
            pair.client.events,
            pair.server.events
        );
        pair
    }

    fn both_connected(&self) -> bool {
        self.client.transport.is_connected() && self.server.transport.is_connected()
    }

    /// Lets `duration` pass, with 10 ms of delay each way.
    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            let now = self.now;
            for (from, to) in [(true, false), (false, true)] {
                let datagrams = self.end(from).drain(now);
                let passes = self.connected;
                for (route, datagram) in datagrams.into_iter().filter(|_| passes) {
                    let route = mirror(route, to, self.server_address);
                    self.end(to).inbox.push_back((route, datagram));
                }
            }
            self.now += Duration::from_millis(10);
            let now = self.now;
            for end in [&mut self.client, &mut self.server] {
                while let Some((route, datagram)) = end.inbox.pop_front() {
                    end.handle(now, route, &datagram);
                }
                if end.transport.next_timeout().is_some_and(|at| at <= now) {
                    end.transport.handle_timeout(now);
                }
            }
        }
        for end in [&mut self.client, &mut self.server] {
            while let Some(event) = end.transport.poll_event() {
                end.events.push(event);
            }
        }
    }

    /// The client's next check of a path; it does not arrive.
    fn next_check(&mut self) -> Vec<u8> {
        loop {
            if let Some((_, check)) = self.client.drain(self.now).pop() {
                return check;
            }
            self.now = self.client.transport.next_timeout().unwrap();
            self.client.transport.handle_timeout(self.now);
        }
    }

    fn end(&mut self, client: bool) -> &mut End {
        if client { &mut self.client } else { &mut self.server }
    }

    /// Both ways, RTP and RTCP.
    fn assert_media_flows(&mut self, seq: u64) {
        let now = self.now;
        assert_passes(now, &mut self.client.transport, &mut self.server.transport, seq);
        assert_passes(now, &mut self.server.transport, &mut self.client.transport, seq);
    }
}

/// The route of a datagram at the other end, `client` or server.
fn mirror(route: Route, client: bool, server: LocalAddress) -> Route {
    let wire = |address| {
        if address == server.socket {
            server.advertised
        } else {
            address
        }
    };
    let socket = |address| if client { address } else { server.socket };
    Route {
        protocol: route.protocol,
        local: socket(route.remote),
        remote: wire(route.local),
    }
}

fn remote(description: &LocalDescription) -> RemoteDescription {
    RemoteDescription {
        ice: description.ice.clone(),
        ice_lite: description.ice_lite,
        fingerprint: description.fingerprint,
        setup: description.setup,
    }
}

fn assert_passes(now: Instant, from: &mut Transport, to: &mut Transport, seq: u64) {
    let route = to.route(Kind::Rtp).unwrap();
    let (mut buffer, mut out) = ([0; 1500], [0; 1500]);
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), false, SeqNo(seq).wire(), 1, Ssrc(1));
    writer.extension(1, &[1, 2, 3]);
    writer.payload(b"picture");
    let (header, len) = writer.finish().unwrap();
    let plain = buffer[..len].to_vec();
    let sealed = from.seal_rtp(&mut buffer, header, len, SeqNo(seq)).unwrap();
    let layout = Layout::parse(&buffer[..sealed]).unwrap();
    assert_eq!(to.open_rtp(now, route, &layout, &buffer[..sealed], &mut out), Ok(len));
    assert_eq!(out[..len], plain);

    let mut rtcp = [0; 100];
    rtcp[..8].copy_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 9]);
    let sealed = from.seal_rtcp(&mut rtcp, 8).unwrap();
    let route = to.route(Kind::Rtcp).unwrap();
    assert_eq!(to.open_rtcp(now, route, &mut rtcp[..sealed]), Ok(8));
    assert_eq!(rtcp[..8], [0x80, 201, 0, 1, 0, 0, 0, 9]);
}

fn plain(profile: Option<SrtpProfile>, told: bool, rtcp: bool) -> (Transport, Transport) {
    let (one, two): (SocketAddr, SocketAddr) = ("127.0.0.1:4000".parse().unwrap(), "127.0.0.1:5000".parse().unwrap());
    let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
    let keys = profile.map(|profile| (SdesKey::generate(1, profile), SdesKey::generate(1, profile)));
    let make = |local, remote: SocketAddr, told: bool, flip: bool| {
        let keys = keys.clone().map(|(one, two)| {
            Box::new(if flip {
                PlainKeys {
                    local: two,
                    remote: one,
                }
            } else {
                PlainKeys {
                    local: one,
                    remote: two,
                }
            })
        });
        let rtcp = rtcp.then(|| PlainRtcp {
            local: next(local),
            remote: None,
        });
        Transport::Plain(Plain::new(PlainConfig {
            local,
            remote: told.then_some(remote),
            rtcp,
            keys,
        }))
    };
    (make(one, two, true, false), make(two, one, told, true))
}

fn reversed(route: Route) -> Route {
    Route {
        protocol: route.protocol,
        local: route.remote,
        remote: route.local,
    }
}

/// Sends one RTP and one RTCP packet as plain transports do; what the receiver says of each.
fn pass_plain(now: Instant, from: &mut Transport, to: &mut Transport, seq: u64) -> [Result<usize, DropReason>; 2] {
    let (mut buffer, mut out) = ([0; 200], [0; 200]);
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), false, SeqNo(seq).wire(), 1, Ssrc(1));
    writer.payload(b"picture");
    let (header, len) = writer.finish().unwrap();
    let sealed = from.seal_rtp(&mut buffer, header, len, SeqNo(seq)).unwrap();
    let layout = Layout::parse(&buffer[..sealed]).unwrap();
    let route = reversed(from.route(Kind::Rtp).unwrap());
    let rtp = to.open_rtp(now, route, &layout, &buffer[..sealed], &mut out);
    if rtp.is_ok() {
        assert_eq!(&out[header..len], b"picture");
    }

    let mut rtcp = [0; 100];
    rtcp[..8].copy_from_slice(&[0x80, 201, 0, 1, 0, 0, 0, 9]);
    let sealed = from.seal_rtcp(&mut rtcp, 8).unwrap();
    let route = reversed(from.route(Kind::Rtcp).unwrap());
    [rtp, to.open_rtcp(now, route, &mut rtcp[..sealed])]
}

#[test]
fn plain_transports_learn_addresses() {
    let profiles = [
        None,
        Some(SrtpProfile::AeadAes128Gcm),
        Some(SrtpProfile::AeadAes256Gcm),
        Some(SrtpProfile::Aes128CmSha1_80),
    ];
    for (profile, rtcp) in profiles
        .into_iter()
        .flat_map(|profile| [(profile, false), (profile, true)])
    {
        let (mut one, mut two) = plain(profile, false, rtcp);
        let now = Instant::now();
        assert_eq!(one.poll_event(), Some(TransportEvent::Connected { profile }));
        assert_eq!(
            (two.poll_event(), two.route(Kind::Rtp), two.is_connected()),
            (None, None, false)
        );

        assert!(pass_plain(now, &mut one, &mut two, 0x1_0000).iter().all(Result::is_ok));
        let route = two.route(Kind::Rtp).unwrap();
        assert_eq!(route, reversed(one.route(Kind::Rtp).unwrap()));
        assert_eq!(two.poll_event(), Some(TransportEvent::RouteChanged(route)));
        assert_eq!(two.poll_event(), Some(TransportEvent::Connected { profile }));
        assert_eq!(two.poll_event(), None);
        assert_eq!(
            two.route(Kind::Rtcp).unwrap().local.port(),
            if rtcp { 5001 } else { 5000 }
        );
        assert_eq!(
            two.route(Kind::Rtcp).unwrap().remote.port(),
            if rtcp { 4001 } else { 4000 }
        );
        assert!(pass_plain(now, &mut two, &mut one, 0x1_0000).iter().all(Result::is_ok));

        one.close(now);
        assert_eq!(one.seal_rtp(&mut [0x80; 100], 12, 20, SeqNo(0x1_0001)), None);
        assert_eq!(one.open_rtcp(now, route, &mut [0x80; 50]), Err(DropReason::NotReady));
    }
}

#[test]
fn a_stranger_takes_no_plain_transport_over() {
    for profile in [None, Some(SrtpProfile::AeadAes128Gcm)] {
        for told in [true, false] {
            let (mut one, mut two) = plain(profile, told, false);
            let now = Instant::now();
            assert!(pass_plain(now, &mut one, &mut two, 0x1_0000).iter().all(Result::is_ok));
            let friend = two.route(Kind::Rtp).unwrap();
            let stranger = Route {
                remote: "127.0.0.1:6666".parse().unwrap(),
                ..friend
            };
            let mut packet = [0; 60];
            packet[0] = 0x80;
            let layout = Layout::parse(&packet).unwrap();
            for (later, admitted) in [(Duration::ZERO, false), (plain::LEARNT_LIFE * 2, !told)] {
                let result = two.open_rtp(now + later, stranger, &layout, &packet, &mut [0; 100]);
                let expected = match (admitted, profile) {
                    (false, _) => Err(DropReason::UnknownSource),
                    (true, Some(_)) => Err(DropReason::Unauthentic),
                    (true, None) => Ok(60),
                };
                assert_eq!(result, expected);
            }
            let taken = !told && profile.is_none();
            assert_eq!(two.route(Kind::Rtp), Some(if taken { stranger } else { friend }));
        }
    }
}

#[test]
fn versions_and_roles() {
    use DtlsVersion::{V1_2, V1_3};
    for (client, server, expected) in [(V1_3, V1_3, V1_3), (V1_2, V1_3, V1_2), (V1_3, V1_2, V1_2)] {
        for (client_setup, server_setup) in [(Setup::Active, Setup::Actpass), (Setup::Actpass, Setup::Active)] {
            let client = WebRtcConfig {
                dtls: client,
                setup: client_setup,
                ..WebRtcConfig::CLIENT
            };
            let server = WebRtcConfig {
                dtls: server,
                setup: server_setup,
                ..WebRtcConfig::SERVER
            };
            let mut pair = Pair::connected(client, server);
            for end in [&mut pair.client, &mut pair.server] {
                assert_eq!(end.transport.dtls_version(), Some(expected));
                assert_eq!(end.transport.profile(), Some(SrtpProfile::AeadAes256Gcm));
                assert_eq!(end.drops, []);
                let route = end.transport.route(Kind::Rtp).unwrap();
                let profile = end.transport.profile();
                assert_eq!(
                    end.events,
                    [
                        TransportEvent::RouteChanged(route),
                        TransportEvent::Connected { profile }
                    ]
                );
            }
            assert_eq!(
                pair.server.transport.route(Kind::Rtp).unwrap().local,
                server_address().socket
            );
            pair.assert_media_flows(0x1_0000);
        }
    }
}

#[test]
fn the_handshake_is_quick() {
    // One way takes 10 ms. ICE: a check and its answer, the nomination and its answer, about 100 ms for its pacing.
    for (dtls, round_trips) in [(DtlsVersion::V1_3, 2), (DtlsVersion::V1_2, 2)] {
        let mut pair = Pair::new(
            WebRtcConfig {
                dtls,
                ..WebRtcConfig::CLIENT
            },
            WebRtcConfig::SERVER,
            Protocol::Udp,
        );
        pair.signal();
        let begun = pair.now;
        while pair.server.transport.route(Kind::Rtp).is_none() {
            pair.run(Duration::from_millis(10));
        }
        let path = pair.now;
        while !pair.both_connected() {
            pair.run(Duration::from_millis(10));
        }
        assert!(
            path - begun <= Duration::from_millis(50),
            "{dtls:?}: a path after {:?}",
            path - begun
        );
        let handshake = pair.now - path;
        assert!(
            handshake <= Duration::from_millis(20) * (round_trips + 1),
            "{dtls:?}: keys after {handshake:?}"
        );
    }
}

#[test]
fn over_tcp() {
    let mut pair = Pair::new(WebRtcConfig::CLIENT, WebRtcConfig::SERVER, Protocol::Tcp);
    let offer = pair.client.webrtc().local_description();
    let answer = pair.server.webrtc().local_description();
    assert_eq!(offer.candidates[0].tcp_type, Some(TcpType::Active));
    assert_eq!(answer.candidates[0].tcp_type, Some(TcpType::Passive));
    assert_eq!(answer.candidates[0].address, server_address().advertised);
    pair.signal();
    pair.run(Duration::from_secs(2));
    assert!(pair.both_connected());
    assert_eq!(pair.server.transport.route(Kind::Rtp).unwrap().protocol, Protocol::Tcp);
    pair.assert_media_flows(0x1_0000);
}

#[test]
fn over_ipv6() {
    let client = local(Protocol::Udp, "[2001:db8::7]:5000", "[2001:db8::7]:5000");
    let server = local(Protocol::Udp, "[::]:7882", "[2001:db8::1]:7882");
    let mut pair = Pair::between((WebRtcConfig::CLIENT, client), (WebRtcConfig::SERVER, server));
    pair.signal();
    pair.run(Duration::from_secs(2));
    assert_eq!(
        pair.server.transport.route(Kind::Rtp).map(|route| route.remote),
        Some(client.socket)
    );
    pair.assert_media_flows(0x1_0000);
}

#[test]
fn told_candidates_are_bounded() {
    let mut pair = Pair::new(WebRtcConfig::CLIENT, WebRtcConfig::SERVER, Protocol::Udp);
    let now = pair.now;
    let answer = RemoteDescription {
        setup: Setup::Passive,
        ..remote(&pair.server.webrtc().local_description())
    };
    pair.client.webrtc().set_remote(now, &answer).unwrap();
    for port in 1..=100 {
        let address = SocketAddr::new("203.0.113.5".parse().unwrap(), port);
        let candidate = Candidate::host(Protocol::Udp, address, 0, TcpType::Passive);
        pair.client.webrtc().add_remote_candidate(now, &candidate);
    }
    let mut targets = HashSet::new();
    while pair.now < now + Duration::from_secs(10) {
        pair.now += Duration::from_millis(50);
        pair.client.transport.handle_timeout(pair.now);
        targets.extend(pair.client.drain(pair.now).into_iter().map(|(route, _)| route.remote));
    }
    assert_eq!(targets.len(), MAX_REMOTE_CANDIDATES);
}

#[test]
fn two_full_ends() {
    let server = WebRtcConfig {
        ice: IceRole::Full { controlling: false },
        ..WebRtcConfig::SERVER
    };
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, server);
    pair.assert_media_flows(0x1_0000);
    // Both live on their own checks.
    pair.run(CONSENT_TIMEOUT * 3);
    assert!(pair.both_connected());
}

#[test]
fn a_wrong_certificate_gets_no_media() {
    for wrong_for_client in [true, false] {
        let mut pair = Pair::new(WebRtcConfig::CLIENT, WebRtcConfig::SERVER, Protocol::Udp);
        let (now, other) = (pair.now, Certificate::generate().unwrap().fingerprint());
        let mut offer = remote(&pair.client.webrtc().local_description());
        let mut answer = remote(&pair.server.webrtc().local_description());
        answer.setup = Setup::Passive;
        if wrong_for_client {
            answer.fingerprint = other;
        } else {
            offer.fingerprint = other;
        }
        pair.server.webrtc().set_remote(now, &offer).unwrap();
        pair.client.webrtc().set_remote(now, &answer).unwrap();
        let candidate = pair.server.webrtc().local_description().candidates.remove(0);
        pair.client.webrtc().add_remote_candidate(now, &candidate);
        pair.run(Duration::from_secs(3));
        let (deceived, other) = if wrong_for_client {
            (&mut pair.client, &mut pair.server)
        } else {
            (&mut pair.server, &mut pair.client)
        };
        assert_eq!(
            deceived.events.last(),
            Some(&TransportEvent::Disconnected(DisconnectReason::DtlsFailed))
        );
        assert!(
            !deceived
                .events
                .iter()
                .any(|event| matches!(event, TransportEvent::Connected { .. }))
        );
        assert_eq!(deceived.transport.seal_rtcp(&mut [0; 100], 8), None);
        assert_eq!(deceived.transport.next_timeout(), None);
        // In DTLS 1.3 the client has its keys before the server has seen its certificate; nothing comes back though.
        pair.connected = false;
        assert!(wrong_for_client || !other.events.is_empty());
    }
}

#[test]
fn ice_restarts_while_media_flows() {
    for by_client in [true, false] {
        let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
        let (old_client, old_server) = (
            pair.client.webrtc().local_description(),
            pair.server.webrtc().local_description(),
        );
        let now = pair.now;
        if by_client {
            let creds = pair.client.webrtc().restart_ice(now);
            assert_eq!(pair.client.webrtc().local_description().ice, creds);
            // Before the answer is known, the old path carries on.
            pair.run(Duration::from_secs(8));
            pair.assert_media_flows(0x1_0000);
            pair.signal();
        } else {
            pair.server.webrtc().restart_ice(now);
            pair.run(Duration::from_secs(8));
            pair.assert_media_flows(0x1_0000);
            let now = pair.now;
            let offer = pair.server.webrtc().local_description();
            pair.client.webrtc().set_remote(now, &remote(&offer)).unwrap();
            pair.client.webrtc().add_remote_candidate(now, &offer.candidates[0]);
            let answer = pair.client.webrtc().local_description();
            pair.server.webrtc().set_remote(now, &remote(&answer)).unwrap();
        }
        let (client, server) = (
            pair.client.webrtc().local_description(),
            pair.server.webrtc().local_description(),
        );
        assert_ne!(client.ice, old_client.ice);
        assert_ne!(server.ice, old_server.ice);
        assert_eq!(stun::router_index(&server.ice.ufrag), Some(5));
        assert_eq!(
            (client.fingerprint, server.setup),
            (old_client.fingerprint, Setup::Passive)
        );
        pair.assert_media_flows(0x1_0001);
        // Far longer than consent to the old path would last.
        pair.run(CONSENT_TIMEOUT * 2);
        pair.assert_media_flows(0x1_0002);
        for end in [&pair.client, &pair.server] {
            let connections = |event: &&TransportEvent| matches!(event, TransportEvent::Connected { .. });
            assert_eq!(
                end.events.iter().filter(connections).count(),
                1,
                "one handshake: {:?}",
                end.events
            );
            assert!(
                !end.events
                    .iter()
                    .any(|event| matches!(event, TransportEvent::Disconnected(_)))
            );
        }
    }
}

#[test]
fn silence_ends_consent() {
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
    pair.run(CONSENT_TIMEOUT * 4);
    assert!(pair.both_connected(), "checks keep both alive");
    pair.connected = false;
    pair.run(CONSENT_TIMEOUT - Duration::from_secs(4));
    assert!(pair.both_connected(), "not before its time");
    pair.run(Duration::from_secs(5));
    for end in [&mut pair.client, &mut pair.server] {
        assert_eq!(
            end.events.last(),
            Some(&TransportEvent::Disconnected(DisconnectReason::ConsentLost))
        );
        assert_eq!(
            (end.transport.is_connected(), end.transport.next_timeout()),
            (false, None)
        );
    }
}

#[test]
fn media_is_a_sign_of_life() {
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
    pair.connected = false;
    for count in 0..10 {
        pair.run(CONSENT_TIMEOUT / 3);
        pair.assert_media_flows(0x1_0000 + count);
    }
    assert!(pair.both_connected());
}

#[test]
fn no_path_in_time() {
    let mut pair = Pair::new(WebRtcConfig::CLIENT, WebRtcConfig::SERVER, Protocol::Udp);
    pair.connected = false;
    pair.run(ICE_TIMEOUT * 2);
    assert_eq!(
        pair.server.transport.next_timeout(),
        None,
        "nobody waits before the descriptions are exchanged"
    );
    pair.signal();
    pair.run(ICE_TIMEOUT + Duration::from_secs(1));
    for end in [&pair.client, &pair.server] {
        assert_eq!(end.events, [TransportEvent::Disconnected(DisconnectReason::IceFailed)]);
    }
}

#[test]
fn close_tells_the_peer() {
    for client_closes in [true, false] {
        let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
        let now = pair.now;
        pair.end(client_closes).transport.close(now);
        assert_eq!(pair.end(client_closes).transport.seal_rtcp(&mut [0; 100], 8), None);
        pair.run(Duration::from_millis(100));
        let other = pair.end(!client_closes);
        assert_eq!(
            other.events.last(),
            Some(&TransportEvent::Disconnected(DisconnectReason::Closed))
        );
        assert!(!other.transport.is_connected());
    }
}

#[test]
fn descriptions_that_cannot_be() {
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
    let (now, good) = (pair.now, remote(&pair.client.webrtc().local_description()));
    let server = pair.server.webrtc();
    let change = |change: &dyn Fn(&mut RemoteDescription)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let table = [
        (change(&|remote| remote.ice.pwd.clear()), RemoteError::Credentials),
        (change(&|remote| remote.ice.ufrag.push(':')), RemoteError::Credentials),
        (change(&|remote| remote.ice_lite = true), RemoteError::BothLite),
        (
            change(&|remote| remote.setup = Setup::Passive),
            RemoteError::SessionChanged,
        ),
        (
            change(&|remote| remote.fingerprint = Fingerprint::of(b"another", FingerprintHash::Sha256)),
            RemoteError::SessionChanged,
        ),
    ];
    let before = server.local_description();
    for (remote, error) in table {
        assert_eq!(server.set_remote(now, &remote), Err(error));
    }
    assert_eq!(server.set_remote(now, &good), Ok(()));
    assert_eq!(server.local_description(), before);

    let passive = WebRtcConfig {
        setup: Setup::Passive,
        ..WebRtcConfig::SERVER
    };
    let mut fresh = Pair::new(WebRtcConfig::CLIENT, passive, Protocol::Udp);
    let conflict = change(&|remote| remote.setup = Setup::Passive);
    assert_eq!(
        fresh.server.webrtc().set_remote(now, &conflict),
        Err(RemoteError::SetupConflict)
    );
}

#[test]
fn strangers_are_counted_and_change_nothing() {
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
    let (now, route) = (pair.now, pair.server.transport.route(Kind::Rtp).unwrap());
    let stranger = Route {
        remote: "198.51.100.9:1".parse().unwrap(),
        ..route
    };
    let server = &mut pair.server.transport;
    // A check of another session, and DTLS from where nobody has checked.
    let mut other = Pair::new(WebRtcConfig::CLIENT, WebRtcConfig::SERVER, Protocol::Udp);
    other.signal();
    let check = other.next_check();
    assert_eq!(server.handle_stun(now, stranger, &check), Err(DropReason::StunRejected));
    assert_eq!(
        server.handle_dtls(now, stranger, &[22, 254, 253]),
        Err(DropReason::DtlsRejected)
    );
    assert_eq!(
        (server.poll_transmit(now, &mut [0; 1500]), server.poll_event()),
        (None, None)
    );
    assert_eq!(server.route(Kind::Rtp), Some(route));
    pair.assert_media_flows(0x1_0000);
}

#[test]
fn a_peer_with_many_addresses_is_bounded() {
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
    let route = pair.server.transport.route(Kind::Rtp).unwrap();
    // The client's next check, as if it came from everywhere.
    let check = pair.next_check();
    let mut results = Vec::new();
    for port in 1..=100 {
        let route = Route {
            remote: SocketAddr::new(route.remote.ip(), port),
            ..route
        };
        results.push(pair.server.transport.handle_stun(pair.now, route, &check));
        pair.server.drain(pair.now);
    }
    let accepted = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(accepted, MAX_ROUTES - 1, "one place is taken by the real client");
    assert_eq!(results.last(), Some(&Err(DropReason::LimitReached)));
    // The nomination was as good as the client's own and newer than none: its path stays.
    assert_eq!(pair.server.transport.route(Kind::Rtp), Some(route));
}

#[test]
fn the_path_follows_the_peer_to_another_address() {
    let mut pair = Pair::connected(WebRtcConfig::CLIENT, WebRtcConfig::SERVER);
    let old = pair.server.transport.route(Kind::Rtp).unwrap();
    let new = Route {
        remote: "203.0.113.77:4444".parse().unwrap(),
        ..old
    };
    // A NAT has given the client another address: the same checks, from elsewhere.
    let until = pair.now + Duration::from_secs(12);
    while pair.now < until {
        pair.now += Duration::from_millis(50);
        pair.client.transport.handle_timeout(pair.now);
        for (_, check) in pair.client.drain(pair.now) {
            pair.server.transport.handle_stun(pair.now, new, &check).unwrap();
        }
        pair.server.drain(pair.now);
    }
    assert_eq!(pair.server.transport.route(Kind::Rtp), Some(new));
    assert_eq!(pair.server.events.last(), Some(&TransportEvent::RouteChanged(new)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn garbage_disturbs_nobody(
        garbage in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 40),
        firsts in proptest::collection::vec(prop_oneof![0u8..4, 20u8..64, 128u8..192], 40),
    ) {
        let mut pair = Pair::new(WebRtcConfig::CLIENT, WebRtcConfig::SERVER, Protocol::Udp);
        pair.signal();
        for (mut bytes, first) in garbage.into_iter().zip(firsts) {
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            pair.run(Duration::from_millis(10));
            for client in [true, false] {
                let now = pair.now;
                let end = pair.end(client);
                let Some(route) = end.transport.route(Kind::Rtp) else { continue };
                end.handle(now, route, &bytes);
                if let Ok(layout) = Layout::parse(&bytes) {
                    prop_assert!(end.transport.open_rtp(now, route, &layout, &bytes, &mut [0; 1500]).is_err());
                }
                prop_assert!(end.transport.open_rtcp(now, route, &mut bytes).is_err());
            }
        }
        pair.run(Duration::from_secs(3));
        prop_assert!(pair.both_connected(), "{:?} {:?}", pair.client.events, pair.server.events);
        pair.assert_media_flows(0x1_0000);
    }
}
