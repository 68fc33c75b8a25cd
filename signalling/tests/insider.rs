//! Insiders on real media workers: one publishes, another follows.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::time::NtpTime;
use althing_media_core::transport::Certificate;
use althing_media_core::{
    CodecParams, Extension, ExtensionMap, Kind, LayerTarget, Pt, Router, RouterConfig, RtpView, Ssrc, StreamIds,
    TrackConfig,
};
use althing_media_net::{LocalPeer, Net, NetConfig};
use althing_signalling::room::{Permissions, Profile, RoomLimits, Source, TrackDetails, TrackSid};
use althing_signalling::sdp::CodecSpec;
use althing_signalling::{Insider, Signalling, SignallingConfig, event_queue};

const PATIENCE: Duration = Duration::from_secs(10);
const SSRC: Ssrc = Ssrc(77);

fn start() -> (Net<Router>, Signalling) {
    let (events, queue) = event_queue();
    let config = NetConfig {
        workers: 1,
        events,
        ..NetConfig::default()
    };
    let certificate = Certificate::generate().unwrap();
    let net = Net::start(config, move |seat| {
        let config = RouterConfig {
            wall: NtpTime::from_unix(Duration::from_secs(1_800_000_000)),
            certificate: certificate.clone(),
            index: seat.index,
            local: seat.local,
            max_endpoints: 16,
        };
        Router::new(seat.now, config)
    })
    .unwrap();
    let limits = RoomLimits {
        participants: 1,
        ..RoomLimits::default()
    };
    let config = SignallingConfig {
        limits,
        ..SignallingConfig::default()
    };
    let signalling = Signalling::start(config, net.workers().to_vec(), queue);
    (net, signalling)
}

fn profile(identity: &str, service: bool) -> Profile {
    Profile {
        identity: identity.to_owned(),
        permissions: Permissions {
            publish: true,
            subscribe: true,
            hidden: service,
            service,
            ..Permissions::default()
        },
        ..Profile::default()
    }
}

async fn publish(insider: &mut Insider) -> TrackSid {
    let track = TrackConfig {
        mid: None,
        kind: MediaKind::Audio,
        codecs: vec![CodecParams::new(Codec::Opus, Pt::new(120))],
        extensions: ExtensionMap::new().with(Extension::AudioLevel, 9),
        rids: Default::default(),
        streams: [StreamIds::new(SSRC)].into_iter().collect(),
        nack: false,
        transport_cc: false,
        encrypted: false,
    };
    let codec = CodecSpec {
        codec: Codec::Opus,
        h264: None,
    };
    let details = TrackDetails {
        name: "floor".to_owned(),
        ..TrackDetails::default()
    };
    insider
        .publish(track, Source::Microphone, codec, details)
        .await
        .unwrap()
}

fn packet(number: u16) -> Vec<u8> {
    let mut buf = [0; 64];
    let mut writer = RtpWriter::new(&mut buf, Pt::new(120), false, number, u32::from(number) * 960, SSRC);
    writer.extension(9, &[30]);
    writer.payload(b"opus");
    let (_, len) = writer.finish().unwrap();
    buf[..len].to_vec()
}

/// Waits for RTP; sends some meanwhile.
fn hears(from: &LocalPeer, to: &LocalPeer) -> Option<Vec<u8>> {
    for number in 0..200 {
        from.send(vec![packet(number)]).unwrap();
        while let Some(packet) = to.recv_deadline(Instant::now() + Duration::from_millis(20)).unwrap() {
            if Kind::of(&packet.bytes) == Some(Kind::Rtp) {
                return Some(packet.bytes.to_vec());
            }
        }
    }
    None
}

#[tokio::test]
async fn one_publishes_and_a_service_follows() {
    let (net, signalling) = start();
    let (mut mixer, source) = signalling.insider("hall", &profile("mix", false), 16).await.unwrap();
    assert!(
        signalling.insider("hall", &profile("other", false), 16).await.is_err(),
        "the room is full"
    );
    // A part of the server takes no place.
    let (mut recorder, sink) = signalling
        .insider("hall", &profile("recorder", true), 1024)
        .await
        .unwrap();
    // And nobody passes for one.
    assert!(
        signalling
            .insider("hall", &profile("recorder", false), 16)
            .await
            .is_err()
    );
    let sid = publish(&mut mixer).await;
    assert!(tokio::time::timeout(PATIENCE, recorder.changed()).await.unwrap());
    let seen = recorder.look(|room| {
        room.participants()
            .iter()
            .flat_map(|one| one.tracks())
            .map(|one| one.sid.clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(seen, Some(vec![sid.clone()]));

    let followed = recorder.follow(&sid, LayerTarget::BEST).await.unwrap().unwrap();
    assert_eq!(
        recorder.follow(&sid, LayerTarget::BEST).await.unwrap(),
        None,
        "it is followed already"
    );
    let heard = hears(&source, &sink).expect("nothing comes");
    let view = RtpView::parse(&heard).unwrap();
    assert_eq!((view.ssrc(), view.payload()), (followed.ssrc, &b"opus"[..]));
    assert!(
        followed
            .codecs
            .iter()
            .any(|one| one.codec == Codec::Opus && one.pt == view.pt())
    );
    assert_eq!(
        view.extension(followed.extensions.id(Extension::AudioLevel).unwrap()),
        Some(&[30][..])
    );

    recorder.unfollow(&sid);
    assert_eq!(recorder.followed().count(), 0);
    mixer.unpublish(&sid);
    assert!(recorder.follow(&sid, LayerTarget::BEST).await.is_err());

    // A room is not kept for the sake of a recorder.
    drop(mixer);
    assert_eq!(signalling.counts().participants, 1);
    assert_eq!(recorder.look(|room| room.is_empty()), Some(true));
    signalling.close();
    assert!(!tokio::time::timeout(PATIENCE, recorder.changed()).await.unwrap());
    net.shutdown(Duration::from_secs(1)).unwrap();
}
