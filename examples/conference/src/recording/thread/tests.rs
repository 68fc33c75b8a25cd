//! A thread that comes late to all that it is told.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use althing_media_core::config::{EndpointConfig, TrackConfig};
use althing_media_core::packet::RtpWriter;
use althing_media_core::transport::Certificate;
use althing_media_core::{
    Codec, CodecParams, ExtensionMap, Kind, LayerTarget, NtpTime, Pt, Router, RouterConfig, Ssrc, StreamIds,
    SubscriptionConfig, TrackId,
};
use althing_media_net::{Net, NetConfig, Worker};
use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::folder::MANIFEST;
use althing_recorder::recording::{Manifest, Recording, RecordingConfig, Signer};

use super::*;

const OPUS: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));
/// Under which Ada publishes, and under which the recorder and a witness get it.
const SSRCS: [Ssrc; 3] = [Ssrc(7), Ssrc(8), Ssrc(9)];
const FRAME: Duration = Duration::from_millis(20);
const SLOW_DAY: Duration = Duration::from_secs(20);

/// Somebody who publishes a microphone.
fn speaker(worker: &Worker<Router>) -> (LocalPeer, TrackId) {
    let add = |router: &mut Router, now| {
        let endpoint = router.add_endpoint(now, EndpointConfig::Local).expect("an endpoint");
        let track = TrackConfig {
            mid: None,
            kind: MediaKind::Audio,
            codecs: vec![OPUS],
            extensions: ExtensionMap::new(),
            rids: Default::default(),
            streams: [StreamIds::new(SSRCS[0])].into_iter().collect(),
            nack: false,
            transport_cc: false,
            encrypted: false,
        };
        (endpoint, router.add_track(now, endpoint, &track).expect("a track"))
    };
    let (endpoint, track) = worker.call(add).expect("a worker");
    (worker.attach(endpoint, 100).expect("a peer"), track)
}

fn listener(worker: &Worker<Router>, track: TrackId, ssrc: Ssrc) -> LocalPeer {
    let add = move |router: &mut Router, now| {
        let endpoint = router.add_endpoint(now, EndpointConfig::Local).expect("an endpoint");
        let config = SubscriptionConfig {
            mid: None,
            kind: MediaKind::Audio,
            stream: StreamIds::new(ssrc),
            cname: "ada".to_owned(),
            codecs: vec![OPUS],
            extensions: ExtensionMap::new(),
            layers: LayerTarget::BEST,
            nack: false,
        };
        let subscription = router.subscribe(now, endpoint, config).expect("a subscription");
        router.set_source(now, subscription, Some(track));
        endpoint
    };
    let endpoint = worker.call(add).expect("a worker");
    worker.attach(endpoint, 1000).expect("a peer")
}

/// Packets of sound, each not before its time; back when `witness`, who gets them last, has them all.
fn speak(ada: &LocalPeer, witness: &LocalPeer, numbers: std::ops::Range<u16>) {
    for number in numbers {
        thread::sleep(FRAME);
        let mut buf = [0; 64];
        let at = u32::from(number) * 960;
        let mut writer = RtpWriter::new(&mut buf, OPUS.pt, number == 0, number, at, SSRCS[0]);
        writer.payload(&[31 << 3, 1, 2, 3]);
        let (_, len) = writer.finish().expect("it fits");
        ada.send(vec![buf[..len].to_vec()]).expect("a worker");
        let rtp = |packet: &LocalPacket| Kind::of(&packet.bytes) == Some(Kind::Rtp);
        let deadline = Instant::now() + SLOW_DAY;
        while !rtp(&witness.recv_deadline(deadline).expect("a worker").expect("a packet")) {}
    }
}

fn folder() -> PathBuf {
    let path = std::env::temp_dir().join(format!("althing-tape-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

#[test]
fn a_thread_that_is_late_records_all_from_the_yes_to_the_end() {
    let certificate = Certificate::generate().expect("a certificate");
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
    });
    let net = net.expect("a network");
    let worker = &net.workers()[0];
    let (ada, track) = speaker(worker);
    let (peer, witness) = (listener(worker, track, SSRCS[1]), listener(worker, track, SSRCS[2]));

    let sid = ParticipantSid("PA_ada".to_owned());
    let person = Person::new("ada", "Ada");
    let mut config = RecordingConfig::new("late", 0, Signer::random().expect("a key"));
    config.people = vec![person.clone()];
    let path = folder();
    let disk = Arc::new(Disk::start(DiskConfig::default(), |_| ()).expect("a disk"));
    let recording = Recording::new(Instant::now(), config);
    let folder = Folder::create(&path, &disk, recording).expect("a folder");
    let (tell, _status) = watch::channel(Status::default());
    let sound = Sound {
        mix: None,
        live: None,
        kept: false,
    };
    let mut tape = Tape::new(folder, vec![(sid.clone(), person)], sound, tell);

    // All this happens before the thread comes to any of it.
    let (sender, orders) = mpsc::channel();
    let order = |order| sender.send((Instant::now(), order)).expect("it listens");
    order(Order::Track {
        sid: TrackSid("TR_ada".to_owned()),
        owner: sid.clone(),
        kind: MediaKind::Audio,
        source: "microphone",
        followed: Followed {
            ssrc: SSRCS[1],
            codecs: vec![OPUS],
            extensions: ExtensionMap::new(),
        },
    });
    speak(&ada, &witness, 0..5);
    order(Order::Answer(sid, true));
    // So that what a slow worker is late by is none of what was before the beginning.
    thread::sleep(5 * FRAME);
    speak(&ada, &witness, 10..20);
    order(Order::Stop);
    speak(&ada, &witness, 20..25);

    tape.record(&peer, &orders).expect("a log");
    let Tape { folder, .. } = tape;
    folder.finish(Instant::now(), 0).expect("a log");
    let manifest = fs::read(path.join(MANIFEST)).expect("a manifest");
    let manifest: Manifest = serde_json::from_slice(&manifest).expect("a manifest");
    let files: Vec<_> = manifest.tracks.iter().flat_map(|track| &track.files).collect();
    let lengths: Vec<u64> = files.iter().map(|file| (file.until - file.from) / 1_000_000).collect();
    assert_eq!(lengths.len(), 1, "{manifest:?}");
    assert!((190..=210).contains(&lengths[0]), "ten packets are {} ms", lengths[0]);
    fs::remove_dir_all(path).expect("it goes");
}
