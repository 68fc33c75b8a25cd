//! Peers in the same process: what one thread publishes another one gets, and a slow one loses only its own.

use std::time::{Duration, Instant};

use althing_media_core::config::EndpointConfig;
use althing_media_core::packet::RtpWriter;
use althing_media_core::transport::Certificate;
use althing_media_core::{
    Codec, CodecParams, EndpointId, ExtensionMap, Kind, LayerTarget, MediaKind, NtpTime, Pt, Router, RouterConfig,
    RtpView, Ssrc, StreamIds, SubscriptionConfig, TrackConfig, TrackId,
};
use althing_media_net::{LocalPeer, Net, NetConfig};
use smallvec::smallvec;

use crate::engine::PATIENCE;

const OPUS: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));

fn publish(router: &mut Router, now: Instant) -> (EndpointId, TrackId) {
    let endpoint = router.add_endpoint(now, EndpointConfig::Local).unwrap();
    let track = TrackConfig {
        mid: None,
        kind: MediaKind::Audio,
        codecs: vec![OPUS],
        extensions: ExtensionMap::new(),
        rids: smallvec![],
        streams: smallvec![StreamIds::new(Ssrc(7))],
        nack: false,
        transport_cc: false,
        encrypted: false,
    };
    (endpoint, router.add_track(now, endpoint, &track).unwrap())
}

fn watch(router: &mut Router, now: Instant, track: TrackId) -> EndpointId {
    let endpoint = router.add_endpoint(now, EndpointConfig::Local).unwrap();
    let config = SubscriptionConfig {
        mid: None,
        kind: MediaKind::Audio,
        stream: StreamIds::new(Ssrc(9)),
        cname: "ada".to_owned(),
        codecs: vec![OPUS],
        extensions: ExtensionMap::new(),
        layers: LayerTarget::BEST,
        nack: false,
    };
    let subscription = router.subscribe(now, endpoint, config).unwrap();
    router.set_source(now, subscription, Some(track));
    endpoint
}

fn packet(number: u16) -> Vec<u8> {
    let mut buf = [0; 64];
    let mut writer = RtpWriter::new(&mut buf, OPUS.pt, number == 0, number, u32::from(number) * 960, Ssrc(7));
    writer.payload(&number.to_be_bytes());
    let (_, len) = writer.finish().unwrap();
    buf[..len].to_vec()
}

/// The next RTP payload; RTCP between is skipped.
fn next(peer: &LocalPeer) -> Option<u16> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(packet) = peer.recv_deadline(deadline).unwrap() {
        if Kind::of(&packet.bytes) == Some(Kind::Rtp) {
            let view = RtpView::parse(&packet.bytes).unwrap();
            assert_eq!(view.ssrc(), Ssrc(9));
            return Some(u16::from_be_bytes(view.payload().try_into().unwrap()));
        }
    }
    None
}

#[test]
fn packets_go_from_thread_to_thread_and_a_slow_one_loses_its_own() {
    let certificate = Certificate::generate().unwrap();
    let config = NetConfig {
        workers: 1,
        ..NetConfig::default()
    };
    let net = Net::start(config, move |seat| {
        let config = RouterConfig {
            wall: NtpTime::default(),
            certificate: certificate.clone(),
            index: seat.index,
            local: seat.local,
            max_endpoints: 10,
        };
        Router::new(seat.now, config)
    })
    .unwrap();
    let worker = &net.workers()[0];
    let (publisher, track) = worker.call(publish).unwrap();
    let watchers = worker
        .call(move |router, now| [(); 2].map(|()| watch(router, now, track)))
        .unwrap();
    let source = worker.attach(publisher, 8).unwrap();
    let (quick, slow) = (
        worker.attach(watchers[0], 256).unwrap(),
        worker.attach(watchers[1], 4).unwrap(),
    );

    for number in 0..100 {
        source.send(vec![packet(number)]).unwrap();
        assert_eq!(next(&quick), Some(number));
    }
    assert!(slow.lost() >= 96, "{}", slow.lost());
    assert_eq!(quick.lost(), 0);
    assert_eq!(next(&slow), Some(0));

    // What a peer has left behind is no burden, and who was removed hears nothing more.
    drop(slow);
    worker
        .call(move |router, now| router.remove_endpoint(now, watchers[0]))
        .unwrap();
    source.send((100..110).map(packet).collect()).unwrap();
    worker.call(|_, _| ()).unwrap();
    assert!(!matches!(quick.try_recv(), Ok(Some(packet)) if Kind::of(&packet.bytes) == Some(Kind::Rtp)));
    net.shutdown(Duration::from_secs(1)).unwrap();
    while quick.try_recv().is_ok_and(|packet| packet.is_some()) {}
    assert!(quick.try_recv().is_err(), "the worker has ended");
}
