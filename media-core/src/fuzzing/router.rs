//! A whole router under series of datagrams, commands and time: it never panics, never falls into an endless output,
//! and what it sends is valid and never carries a number twice.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use smallvec::smallvec;

use super::choices::Choices;
use crate::config::{
    CodecParams, EndpointConfig, EndpointId, LayerTarget, LocalAddress, RouterConfig, StreamIds, SubscriptionConfig,
    SubscriptionId, TrackConfig, TrackId,
};
use crate::event::Output;
use crate::packet::{Extension, ExtensionMap, Kind, Pt, RtpView, RtpWriter, Ssrc};
use crate::payload::{Codec, MediaKind};
use crate::router::{EndpointStats, Router};
use crate::rtcp::{self, nack, pli};
use crate::time::NtpTime;
use crate::transport::{Certificate, PlainConfig, Protocol, RemoteDescription, Route, WebRtcConfig};

/// Outputs that one input may cause: more is a loop.
const MAX_OUTPUTS: usize = 5_000;
/// The payload type of FEC.
const FEC: u8 = 120;
/// Where WebRTC peers reach the router.
const SOCKET: ([u8; 4], u16) = ([192, 0, 2, 1], 7882);

fn certificate() -> Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE
        .get_or_init(|| Certificate::generate().expect("there is randomness"))
        .clone()
}

fn router(now: Instant, index: u8, socket: SocketAddr) -> Router {
    let config = RouterConfig {
        wall: NtpTime::from_unix(Duration::from_secs(1_800_000_000)),
        certificate: certificate(),
        index,
        local: vec![LocalAddress {
            protocol: Protocol::Udp,
            socket,
            advertised: socket,
        }],
        max_endpoints: 8,
    };
    Router::new(now, config)
}

fn route(local: SocketAddr, remote: SocketAddr) -> Route {
    Route {
        protocol: Protocol::Udp,
        local,
        remote,
    }
}

/// Polls until there is no more; `each` sees every datagram.
fn drain(router: &mut Router, now: Instant, mut each: impl FnMut(Route, &[u8])) -> Option<Instant> {
    let mut buf = [0; 1500];
    for _ in 0..MAX_OUTPUTS {
        match router.poll_output(now, &mut buf) {
            Output::Transmit(transmit) => each(transmit.route, &buf[..transmit.len]),
            // Nobody here is in the same process.
            Output::Event(_) | Output::Deliver(_) => {}
            Output::Timeout(next) => {
                while router.poll_remote().is_some() {}
                return next;
            }
        }
    }
    panic!("more than {MAX_OUTPUTS} outputs");
}

/// Advances to `until`, deadline by deadline.
fn pass(router: &mut Router, now: &mut Instant, until: Instant, mut each: impl FnMut(Route, &[u8])) {
    for _ in 0..MAX_OUTPUTS {
        match drain(router, *now, &mut each) {
            Some(next) if next <= until => {
                *now = next.max(*now);
                router.handle_timeout(*now);
            }
            _ => {
                *now = until;
                return;
            }
        }
    }
    panic!("a deadline that never passes");
}

const PUBLISHER: usize = 0;

/// One publisher and two subscribers on plain RTP.
struct Plain {
    router: Router,
    now: Instant,
    endpoints: [EndpointId; 3],
    tracks: Vec<TrackId>,
    subscriptions: Vec<SubscriptionId>,
    /// Next number, timestamp of each stream of the publisher.
    streams: HashMap<u32, (u16, u32)>,
    sent: Sent,
}

/// What the subscribers have got.
#[derive(Default)]
struct Sent {
    numbers: HashMap<(SocketAddr, Ssrc), (HashSet<u16>, u16)>,
}

impl Sent {
    fn check(&mut self, route: Route, datagram: &[u8]) {
        match Kind::of(datagram) {
            Some(Kind::Rtp) => {
                let view = RtpView::parse(datagram).expect("we send valid RTP");
                let (used, last) = self.numbers.entry((route.remote, view.ssrc())).or_default();
                assert!(used.insert(view.seq()), "{} of {:?} twice", view.seq(), view.ssrc());
                *last = view.seq();
            }
            Some(Kind::Rtcp) => assert!(rtcp::messages(datagram).all(|message| message.is_ok())),
            other => panic!("plain RTP sends {other:?}"),
        }
    }
}

fn codecs() -> Vec<CodecParams> {
    let video = [
        (Codec::Vp8, 96),
        (Codec::Vp9, 98),
        (Codec::H264, 100),
        (Codec::Av1, 102),
    ];
    let params = |(codec, pt)| CodecParams {
        codec,
        pt: Pt::new(pt),
        rtx: Some(Pt::new(pt + 1)),
        red: None,
        fec: Some(Pt::new(FEC)),
    };
    video.into_iter().map(params).collect()
}

fn opus() -> Vec<CodecParams> {
    vec![CodecParams {
        codec: Codec::Opus,
        pt: Pt::new(111),
        rtx: None,
        red: Some(Pt::new(63)),
        fec: None,
    }]
}

fn extensions() -> ExtensionMap {
    ExtensionMap::new()
        .with(Extension::AudioLevel, 1)
        .with(Extension::TransportCc, 3)
        .with(Extension::AbsSendTime, 2)
        .with(Extension::DependencyDescriptor, 8)
}

fn local(index: usize) -> SocketAddr {
    ([192, 0, 2, 1], 5000 + u16::try_from(index).unwrap_or(0)).into()
}

fn remote(index: usize) -> SocketAddr {
    ([192, 0, 2, 2], 6000 + u16::try_from(index).unwrap_or(0)).into()
}

impl Plain {
    fn new() -> Self {
        let now = Instant::now();
        let mut router = router(now, 0, SOCKET.into());
        let endpoints = [0, 1, 2].map(|index| {
            let config = PlainConfig {
                local: local(index),
                remote: Some(remote(index)),
                rtcp: None,
                keys: None,
            };
            router
                .add_endpoint(now, EndpointConfig::Plain(config))
                .expect("there is room")
        });
        let mut world = Self {
            router,
            now,
            endpoints,
            tracks: Vec::new(),
            subscriptions: Vec::new(),
            streams: HashMap::new(),
            sent: Sent::default(),
        };
        world.publish(MediaKind::Video);
        world.publish(MediaKind::Audio);
        for subscriber in [1, 2] {
            world.subscribe(subscriber, MediaKind::Video, 100);
            world.subscribe(subscriber, MediaKind::Audio, 200);
        }
        world
    }

    fn publish(&mut self, kind: MediaKind) {
        let stream = |ssrc, rtx: Option<u32>| StreamIds::new(Ssrc(ssrc)).with_rtx(rtx.map(Ssrc));
        let (codecs, streams) = match kind {
            MediaKind::Audio => (opus(), smallvec![stream(10, None)]),
            MediaKind::Video => {
                let fec = Some(Ssrc(5));
                let first = StreamIds {
                    fec,
                    ..stream(1, Some(2))
                };
                (codecs(), smallvec![first, stream(3, Some(4))])
            }
        };
        let config = TrackConfig {
            mid: None,
            kind,
            codecs,
            extensions: extensions(),
            rids: smallvec![],
            streams,
            nack: true,
            transport_cc: true,
            encrypted: false,
        };
        let track = self.router.add_track(self.now, self.endpoints[PUBLISHER], &config);
        self.tracks.extend(track);
    }

    fn subscribe(&mut self, subscriber: usize, kind: MediaKind, ssrc: u32) {
        let config = SubscriptionConfig {
            mid: None,
            kind,
            stream: StreamIds::new(Ssrc(ssrc)).with_rtx((kind == MediaKind::Video).then_some(Ssrc(ssrc + 1))),
            cname: "name".to_owned(),
            codecs: if kind == MediaKind::Audio { opus() } else { codecs() },
            extensions: extensions(),
            layers: LayerTarget::BEST,
            nack: kind == MediaKind::Video,
        };
        let subscription = self.router.subscribe(self.now, self.endpoints[subscriber], config);
        let source = match kind {
            MediaKind::Video => self.tracks.first(),
            MediaKind::Audio => self.tracks.get(1),
        };
        if let Ok(subscription) = subscription {
            self.router.set_source(self.now, subscription, source.copied());
            self.subscriptions.push(subscription);
        }
    }

    fn receive(&mut self, from: usize, datagram: &mut [u8]) {
        self.router
            .handle_datagram(self.now, route(local(from), remote(from)), datagram);
    }

    /// A packet that a publisher could send, as far as its header goes.
    fn media(&mut self, choices: &mut Choices<'_>) {
        let ssrc = [1, 1, 3, 10, 2, 4, 99, 5][usize::from(choices.below(8))];
        let pt = match ssrc {
            10 => 111,
            5 => FEC,
            2 | 4 => [97, 99, 101, 103][usize::from(choices.below(4))],
            _ => [96, 98, 100, 102][usize::from(choices.below(4))],
        };
        let stream = self.streams.entry(ssrc).or_insert((65_000, 4_294_900_000));
        let (step, ticks) = (choices.byte(), choices.byte());
        stream.0 = match step {
            0..200 => stream.0.wrapping_add(1),
            200..240 => stream.0.wrapping_add(u16::from(step)).wrapping_sub(220),
            _ => stream.0.wrapping_add(u16::from(step) * 60),
        };
        stream.1 = stream.1.wrapping_add(u32::from(ticks) * 30);
        let (seq, timestamp) = *stream;
        // Sound comes with redundancy now and then.
        let pt = if pt == 111 && seq % 4 == 3 { 63 } else { pt };
        let mut buf = [0; 1200];
        let mut writer = RtpWriter::new(&mut buf, Pt::new(pt), choices.flag(), seq, timestamp, Ssrc(ssrc));
        for _ in 0..choices.below(3) {
            let (id, len) = (choices.below(16), choices.below(17));
            writer.extension(id, choices.take(usize::from(len)));
        }
        writer.payload(choices.short());
        writer.padding(if choices.below(8) == 0 { choices.byte() } else { 0 });
        if let Some((_, len)) = writer.finish() {
            self.receive(PUBLISHER, &mut buf[..len]);
        }
    }

    /// Feedback about what was really sent, or about something near it.
    fn feedback(&mut self, choices: &mut Choices<'_>) {
        let subscriber = usize::from(choices.below(2)) + 1;
        let ssrc = Ssrc(100 + u32::from(choices.below(2)));
        let last = self
            .sent
            .numbers
            .get(&(remote(subscriber), ssrc))
            .map_or(0, |(_, last)| *last);
        let first = last.wrapping_sub(u16::from(choices.byte()));
        let lost = (0..u16::from(choices.byte())).map(|n| first.wrapping_add(n));
        let mut buf = [0; 1200];
        let len = match choices.below(3) {
            0 => pli::write(&mut buf, Ssrc(1), ssrc),
            _ => nack::write(&mut buf, Ssrc(1), ssrc, lost).map(|(len, _)| len),
        };
        if let Some(len) = len {
            self.receive(subscriber, &mut buf[..len]);
        }
    }

    fn command(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        let pick = |choices: &mut Choices<'_>, len: usize| usize::from(choices.byte()) % len.max(1);
        let subscription = self.subscriptions.get(pick(choices, self.subscriptions.len())).copied();
        let track = self.tracks.get(pick(choices, self.tracks.len())).copied();
        let (Some(subscription), Some(track)) = (subscription, track) else {
            return;
        };
        let on = choices.flag();
        match choices.below(8) {
            0 => self.router.set_source(now, subscription, on.then_some(track)),
            1 => self.router.pause(now, subscription, on),
            2 => self.router.mute_track(now, track, on),
            3 => self.router.request_keyframe(now, track),
            4 if on => self.router.unsubscribe(now, subscription),
            5 if on => self.router.remove_track(now, track),
            6 if on => {
                let endpoint = self.endpoints[pick(choices, 3)];
                self.router.remove_endpoint(now, endpoint);
            }
            _ => {
                let layers = LayerTarget {
                    spatial: choices.below(4),
                    temporal: choices.below(4),
                };
                self.router.set_layers(now, subscription, layers);
            }
        }
    }
}

/// Media, feedback, junk, commands and time on plain RTP: all of `receive`, `forward` and `send` without ciphers.
pub fn plain(data: &[u8]) {
    run_plain(data);
}

/// As [`plain`]; how many RTP packets the subscribers got.
pub(super) fn run_plain(data: &[u8]) -> usize {
    let mut choices = Choices::new(data);
    let mut world = Plain::new();
    while !choices.is_empty() {
        match choices.below(16) {
            0 => world.command(&mut choices),
            1 => {
                let from = usize::from(choices.below(3));
                let mut datagram = choices.short().to_vec();
                world.receive(from, &mut datagram);
            }
            2 | 3 => world.feedback(&mut choices),
            4 | 5 => {
                let until = world.now + Duration::from_millis(u64::from(choices.byte()) * 4);
                let sent = &mut world.sent;
                pass(&mut world.router, &mut world.now, until, |route, datagram| {
                    sent.check(route, datagram)
                });
            }
            _ => world.media(&mut choices),
        }
        let sent = &mut world.sent;
        drain(&mut world.router, world.now, |route, datagram| {
            sent.check(route, datagram)
        });
    }
    world.sent.numbers.values().map(|(used, _)| used.len()).sum()
}

/// Datagrams from addresses that nobody knows: nothing comes of them but counts.
pub fn datagram(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut now = Instant::now();
    let socket = SocketAddr::from(SOCKET);
    let mut router = router(now, 0, socket);
    let config = EndpointConfig::WebRtc(WebRtcConfig::SERVER);
    let endpoint = router.add_endpoint(now, config).expect("there is room");
    let ufrag = router.local_description(endpoint).expect("it is WebRTC").ice.ufrag;
    while !choices.is_empty() {
        let from = SocketAddr::from(([192, 0, 2, 7], 1000 + u16::from(choices.below(3))));
        let kind = choices.byte();
        let mut datagram = choices.short().to_vec();
        if kind & 1 == 0 {
            // A user name that leads to the endpoint, which a stranger can learn; but not the password.
            let mut request = vec![
                0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 6, 0, 0,
            ];
            request.extend(ufrag.as_bytes());
            request.extend(b":x");
            request[23] = u8::try_from(request.len() - 24).unwrap_or(0);
            request.resize(request.len().next_multiple_of(4), 0);
            request.extend(&datagram);
            let len = u16::try_from(request.len() - 20).unwrap_or(0);
            request[2..4].copy_from_slice(&len.to_be_bytes());
            datagram = request;
        }
        router.handle_datagram(now, route(socket, from), &mut datagram);
        if kind & 2 != 0 {
            let until = now + Duration::from_millis(u64::from(kind) * 8);
            pass(&mut router, &mut now, until, |_, _| {});
        }
        let bound = router.owns(Protocol::Udp, from);
        assert!(!bound, "an address was bound without the password");
        drain(&mut router, now, |_, _| {});
    }
}

/// A client and a server, both routers of ours, whose datagrams are lost, doubled, cut and changed on the way.
pub fn handshake(data: &[u8]) {
    run_handshake(data);
}

/// As [`handshake`]; whether both sides are connected at the end.
pub(super) fn run_handshake(data: &[u8]) -> bool {
    let mut choices = Choices::new(data);
    let mut now = Instant::now();
    let sockets = [SocketAddr::from(SOCKET), SocketAddr::from(([192, 0, 2, 9], 9000))];
    let mut routers = [router(now, 0, sockets[0]), router(now, 1, sockets[1])];
    let configs = [WebRtcConfig::SERVER, WebRtcConfig::CLIENT];
    let ids = [0, 1].map(|side| {
        let config = EndpointConfig::WebRtc(configs[side]);
        routers[side].add_endpoint(now, config).expect("there is room")
    });
    let locals = [0, 1].map(|side| routers[side].local_description(ids[side]).expect("it is WebRTC"));
    for side in [0, 1] {
        let theirs = &locals[1 - side];
        let description = RemoteDescription {
            ice: theirs.ice.clone(),
            ice_lite: theirs.ice_lite,
            fingerprint: theirs.fingerprint,
            setup: theirs.setup,
        };
        routers[side]
            .set_remote(now, ids[side], &description)
            .expect("they fit together");
        for candidate in &theirs.candidates {
            let _ = routers[side].add_remote_candidate(now, ids[side], candidate);
        }
    }
    let mut flying: Vec<(usize, Vec<u8>)> = Vec::new();
    for _ in 0..60 {
        now += Duration::from_millis(40);
        for side in [0, 1] {
            routers[side].handle_timeout(now);
            drain(&mut routers[side], now, |_, datagram| {
                flying.push((1 - side, datagram.to_vec()))
            });
        }
        for (to, mut datagram) in std::mem::take(&mut flying) {
            let copies = tamper(&mut choices, &mut datagram);
            for _ in 0..copies {
                let path = route(sockets[to], sockets[1 - to]);
                routers[to].handle_datagram(now, path, &mut datagram.clone());
            }
        }
    }
    let [server, client] = [0, 1].map(|side| routers[side].endpoint_stats(ids[side]));
    let connected = |stats: &Option<EndpointStats>| stats.is_some_and(|stats| stats.connected);
    if !(connected(&server) && connected(&client)) {
        return false;
    }
    assert_eq!(server.map(|stats| stats.profile), client.map(|stats| stats.profile));
    assert_eq!(server.map(|stats| stats.dtls), client.map(|stats| stats.dtls));
    true
}

/// Changes a datagram; how often it arrives.
fn tamper(choices: &mut Choices<'_>, datagram: &mut Vec<u8>) -> usize {
    match choices.below(8) {
        1 => return 0,
        2 => return 2,
        3 => datagram.truncate(usize::from(choices.byte())),
        4 | 5 => {
            let at = usize::from(choices.word()) % datagram.len().max(1);
            if let Some(byte) = datagram.get_mut(at) {
                *byte ^= choices.byte();
            }
        }
        6 => {
            let at = usize::from(choices.word()) % datagram.len().max(1);
            let insert = choices.short();
            datagram.splice(at..at, insert.iter().copied());
        }
        _ => {}
    }
    1
}
