//! One received packet to N subscribers, without sockets: route, rewrite, protect. Beside it the floor: AES-128-GCM of
//! the same bytes by the raw library.
//!
//! The figure to look at is ns per subscriber (the reported time divided by N), and its distance to the floor.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::transport::{Certificate, PlainConfig, PlainKeys, Protocol, Route, SdesKey, SrtpProfile};
use althing_media_core::{
    Codec, CodecParams, EndpointConfig, ExtensionMap, LayerTarget, MediaKind, NtpTime, Output, Pt, Router,
    RouterConfig, Ssrc, StreamIds, SubscriptionConfig, TrackConfig,
};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Bytes of the RTP packet before protection.
const PACKET: usize = 1200;

struct FanOut {
    router: Router,
    route: Route,
    now: Instant,
    seq: u16,
    datagram: [u8; PACKET],
    arena: Vec<u8>,
}

impl FanOut {
    fn new(subscribers: u16, profile: Option<SrtpProfile>) -> Self {
        let now = Instant::now();
        let mut router = Router::new(
            now,
            RouterConfig {
                wall: NtpTime::from_unix(Duration::from_secs(1_800_000_000)),
                certificate: Certificate::generate().expect("the generator works"),
                index: 0,
                local: Vec::new(),
                max_endpoints: 2000,
            },
        );
        let publisher = plain(1, None);
        let (local, remote) = (publisher.local, publisher.remote.expect("set"));
        let publisher = router
            .add_endpoint(now, EndpointConfig::Plain(publisher))
            .expect("room");
        let vp8 = vec![CodecParams::new(Codec::Vp8, Pt::new(96))];
        let track = TrackConfig {
            mid: None,
            kind: MediaKind::Video,
            codecs: vp8.clone(),
            extensions: ExtensionMap::new(),
            rids: Default::default(),
            streams: Default::default(),
            nack: true,
            transport_cc: false,
            encrypted: false,
        };
        let track = router.add_track(now, publisher, &track).expect("room");
        for n in 0..subscribers {
            let endpoint = EndpointConfig::Plain(plain(10 + n, profile));
            let endpoint = router.add_endpoint(now, endpoint).expect("room");
            let config = SubscriptionConfig {
                mid: None,
                kind: MediaKind::Video,
                stream: StreamIds::new(Ssrc(u32::from(n) + 1)).with_rtx(Some(Ssrc(100_000 + u32::from(n)))),
                cname: "bench".to_owned(),
                codecs: vp8.clone(),
                extensions: ExtensionMap::new(),
                layers: LayerTarget::BEST,
                nack: true,
            };
            let subscription = router.subscribe(now, endpoint, config).expect("room");
            router.set_source(now, subscription, Some(track));
        }
        let route = Route {
            protocol: Protocol::Udp,
            local,
            remote,
        };
        let mut bench = Self {
            router,
            route,
            now,
            seq: 0,
            datagram: [0; PACKET],
            arena: vec![0; 1500 * 1100],
        };
        bench.packet(true);
        assert_eq!(bench.poll(), usize::from(subscribers), "everybody got the keyframe");
        bench
    }

    /// A VP8 packet with picture id and `TL0PICIDX`, one frame each.
    fn packet(&mut self, key: bool) {
        self.seq = self.seq.wrapping_add(1);
        self.now += Duration::from_micros(100);
        let [high, low] = (0x8000 | (self.seq & 0x7fff)).to_be_bytes();
        let timestamp = u32::from(self.seq) * 3000;
        let mut writer = RtpWriter::new(&mut self.datagram, Pt::new(96), true, self.seq, timestamp, Ssrc(5));
        writer.payload(&[0x90, 0xe0, high, low, 1, 0x20, u8::from(!key)]);
        writer.payload(&[0x55; PACKET - 12 - 7]);
        let (_, len) = writer.finish().expect("fits");
        assert_eq!(len, PACKET);
        let mut datagram = self.datagram;
        self.router.handle_datagram(self.now, self.route, &mut datagram);
    }

    fn poll(&mut self) -> usize {
        let (mut at, mut sent) = (0, 0);
        loop {
            if self.arena.len() - at < 1500 {
                at = 0;
            }
            match self.router.poll_output(self.now, &mut self.arena[at..]) {
                Output::Transmit(transmit) if transmit.len > 500 => {
                    at += transmit.len;
                    sent += 1;
                }
                Output::Timeout(_) => return sent,
                _ => {}
            }
        }
    }
}

fn plain(n: u16, profile: Option<SrtpProfile>) -> PlainConfig {
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let keys = profile.map(|profile| {
        let (local, remote) = (SdesKey::generate(1, profile), SdesKey::generate(1, profile));
        Box::new(PlainKeys { local, remote })
    });
    PlainConfig {
        local: address(10_000 + n),
        remote: Some(address(30_000 + n)),
        rtcp: None,
        keys,
    }
}

/// The floor: a copy of 1200 bytes and AES-128-GCM of 1188 in place, N keys in turn.
fn raw(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_out");
    for n in [1_usize, 10, 100, 1000] {
        let keys: Vec<_> = (0..n)
            .map(|n| LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[n.to_le_bytes()[0]; 16]).expect("16 bytes")))
            .collect();
        let source = [0x55_u8; PACKET];
        let mut arena = vec![0_u8; 1300 * n];
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("floor: copy and raw AES-128-GCM", n), |b| {
            let mut counter = 0_u32;
            b.iter(|| {
                for (key, slot) in keys.iter().zip(arena.chunks_exact_mut(1300)) {
                    counter = counter.wrapping_add(1);
                    let mut nonce = [0; 12];
                    nonce[..4].copy_from_slice(&counter.to_le_bytes());
                    slot[..PACKET].copy_from_slice(&source);
                    let (header, payload) = slot[..PACKET].split_at_mut(12);
                    let nonce = Nonce::assume_unique_for_key(nonce);
                    let tag = key
                        .seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)
                        .expect("short");
                    slot[PACKET..PACKET + 16].copy_from_slice(tag.as_ref());
                }
                black_box(&mut arena);
            });
        });
    }
    group.finish();
}

fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan_out");
    for (name, profile) in [
        ("plain", None),
        ("AES-128-GCM", Some(SrtpProfile::AeadAes128Gcm)),
        ("AES-256-GCM", Some(SrtpProfile::AeadAes256Gcm)),
        ("AES-128-CM-HMAC-SHA1-80", Some(SrtpProfile::Aes128CmSha1_80)),
    ] {
        for n in [1, 10, 100, 1000] {
            let mut bench = FanOut::new(n, profile);
            group.throughput(Throughput::Elements(u64::from(n)));
            group.bench_function(BenchmarkId::new(name, n), |b| {
                b.iter(|| {
                    bench.packet(false);
                    black_box(bench.poll())
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, raw, fan_out);
criterion_main!(benches);
