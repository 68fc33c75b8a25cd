//! With SRTP one number never protects two packets (RFC 3711 §9.1): what goes out again under its own number is the same to
//! the last bit, or does not go out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointConfig, EndpointId, RouterConfig, SubscriptionConfig};
use althing_media_core::event::Output;
use althing_media_core::packet::{Kind, Pt, RtpWriter, Ssrc};
use althing_media_core::rtcp::{nack, rr};
use althing_media_core::transport::{Plain, PlainConfig, PlainKeys, Protocol, Route, SdesKey, SrtpProfile, Transport};
use althing_media_core::{Codec, CodecParams, NtpTime, Router};
use althing_testkit::peer::preset::{
    OPUS, VP8, WATCHED_VP8, camera, loudspeaker, microphone, screen, watcher_extensions,
};
use althing_testkit::peer::{ReceiveConfig, SendConfig, VideoPattern};

use crate::stage::{certificate, ms};

const ROUTER: ([u8; 4], u16) = ([192, 0, 2, 1], 4000);
const LISTENER: ([u8; 4], u16) = ([192, 0, 2, 2], 4000);

/// A publisher in the same process, and a listener with SRTP whose datagrams are looked at.
struct Pair {
    now: Instant,
    router: Router,
    publisher: EndpointId,
    listener: Transport,
    sent: Vec<Vec<u8>>,
}

impl Pair {
    fn new(publishes: &SendConfig, listens: &ReceiveConfig) -> Self {
        let now = Instant::now();
        let config = RouterConfig {
            wall: NtpTime(0),
            certificate: certificate().clone(),
            index: 0,
            local: Vec::new(),
            max_endpoints: 2,
        };
        let mut router = Router::new(now, config);
        let [ours, theirs] = [(); 2].map(|()| SdesKey::generate(1, SrtpProfile::AeadAes128Gcm));
        let side = |local: ([u8; 4], u16), remote: ([u8; 4], u16), keys| PlainConfig {
            local: local.into(),
            remote: Some(remote.into()),
            rtcp: None,
            keys: Some(Box::new(keys)),
        };
        let keys = |local: &SdesKey, remote: &SdesKey| PlainKeys {
            local: local.clone(),
            remote: remote.clone(),
        };
        let publisher = router.add_endpoint(now, EndpointConfig::Local).unwrap();
        let plain = EndpointConfig::Plain(side(ROUTER, LISTENER, keys(&ours, &theirs)));
        let endpoint = router.add_endpoint(now, plain).unwrap();
        let track = router.add_track(now, publisher, &publishes.track()).unwrap();
        let subscription = SubscriptionConfig {
            extensions: watcher_extensions(),
            ..listens.subscription()
        };
        let subscription = router.subscribe(now, endpoint, subscription).unwrap();
        router.set_source(now, subscription, Some(track));
        let listener = Transport::Plain(Plain::new(side(LISTENER, ROUTER, keys(&theirs, &ours))));
        let mut pair = Self {
            now,
            router,
            publisher,
            listener,
            sent: Vec::new(),
        };
        pair.drain();
        pair
    }

    fn drain(&mut self) {
        let mut buf = [0; 2048];
        loop {
            match self.router.poll_output(self.now, &mut buf) {
                Output::Transmit(transmit) => self.sent.push(buf[..transmit.len].to_vec()),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.router.handle_timeout(self.now);
        self.drain();
    }

    /// The publisher sends a packet, padding alone where there is no payload.
    fn publish(&mut self, (pt, ssrc): (Pt, u32), seq: u16, payload: &[u8]) {
        let mut buf = [0; 200];
        let mut writer = RtpWriter::new(&mut buf, pt, false, seq, u32::from(seq) * 960, Ssrc(ssrc));
        if payload.is_empty() {
            writer.padding(1);
        }
        writer.payload(payload);
        let (_, len) = writer.finish().unwrap();
        self.router
            .handle_packet(self.now, self.publisher, &mut buf[..len])
            .unwrap();
        self.drain();
    }

    /// The listener has missed the packet with this number.
    fn ask(&mut self, ssrc: u32, seq: u16) {
        let mut buf = [0; 200];
        let at = rr::write(&mut buf, Ssrc(1), &[]).unwrap();
        let (len, _) = nack::write(&mut buf[at..], Ssrc(1), Ssrc(ssrc), [seq].into_iter()).unwrap();
        let len = self.listener.seal_rtcp(&mut buf, at + len).unwrap();
        let route = Route {
            protocol: Protocol::Udp,
            local: ROUTER.into(),
            remote: LISTENER.into(),
        };
        self.router.handle_datagram(self.now, route, &mut buf[..len]);
        self.drain();
    }

    /// The numbers of the packets of `ssrc` that were sent, in order.
    fn numbers(&self, ssrc: u32) -> Vec<u16> {
        let numbers = self.sent.iter().filter_map(|datagram| number(datagram));
        numbers.filter(|(of, _)| *of == ssrc).map(|(_, seq)| seq).collect()
    }

    /// No number has protected two packets.
    #[track_caller]
    fn assert_unique(&self) {
        let mut known: HashMap<(u32, u16), &[u8]> = HashMap::new();
        for datagram in &self.sent {
            let Some(number) = number(datagram) else { continue };
            let before = known.entry(number).or_insert(datagram);
            assert_eq!(before, datagram, "{number:?}");
        }
    }
}

/// SSRC and number of a protected packet: padding is encrypted, so it cannot be parsed as a whole.
fn number(datagram: &[u8]) -> Option<(u32, u16)> {
    let [_, _, high, low, _, _, _, _, a, b, c, d, ..] = *datagram else {
        return None;
    };
    let number = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low]));
    (Kind::of(datagram) == Some(Kind::Rtp)).then_some(number)
}

#[test]
fn a_filler_of_sound_is_the_same_again() {
    let mut pair = Pair::new(&microphone(None, 50, "ada"), &loudspeaker(None, 8000));
    let from = (OPUS.pt, 50);
    pair.publish(from, 10, b"one");
    pair.publish(from, 12, b"three");
    pair.wait(ms(30));
    pair.publish(from, 11, &[]);
    let numbers = pair.numbers(8000);
    assert_eq!(numbers.len(), 3, "nothing in place of the second");
    pair.wait(ms(30));
    pair.ask(8000, numbers[2]);
    assert_eq!(pair.numbers(8000).last(), Some(&numbers[2]));
    assert_eq!(pair.numbers(8000).len(), 4, "it was sent again");
    pair.assert_unique();
}

#[test]
fn a_codec_without_retransmissions_is_not_sent_again() {
    let without = CodecParams {
        rtx: None,
        ..WATCHED_VP8
    };
    let other = CodecParams {
        codec: Codec::Vp9,
        pt: Pt::new(102),
        ..WATCHED_VP8
    };
    for (codecs, again) in [(vec![WATCHED_VP8, other], true), (vec![without, other], false)] {
        let listens = ReceiveConfig {
            codecs,
            ..screen(None, 7000)
        };
        let mut pair = Pair::new(&camera(None, 1, 1, VideoPattern::default()), &listens);
        pair.publish(
            (VP8.pt, 1),
            10,
            &[0x90, 0x80, 1, 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0],
        );
        pair.wait(ms(30));
        let numbers = pair.numbers(7000);
        assert_eq!(numbers.len(), 1);
        pair.ask(7000, numbers[0]);
        pair.wait(ms(30));
        assert_eq!(pair.numbers(7000), numbers);
        let repaired = pair.numbers(7001).len();
        assert_eq!(repaired > 0, again, "{repaired} in the retransmission stream");
        pair.assert_unique();
    }
}
