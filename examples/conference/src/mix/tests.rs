//! The mix of a room on real media workers, heard by a part of the server.

use std::f32::consts::TAU;
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
use althing_mixer::codec::{Format, MAX_SAMPLES};
use althing_mixer::mix::TICK;
use althing_signalling::room::{Permissions, Profile, Source, TrackDetails, TrackSid};
use althing_signalling::sdp::CodecSpec;
use althing_signalling::{Insider, Signalling, SignallingConfig, event_queue};
use tokio::time::timeout;

use super::MixSettings;

const PATIENCE: Duration = Duration::from_secs(10);
const TONE: f32 = 440.0;
const OPUS: Format = Format::Opus { channels: 1 };
const PT: Pt = Pt::new(111);
const LEVEL: u8 = 9;
const SSRC: Ssrc = Ssrc(77);

fn start() -> (Net<Router>, Signalling) {
    let (events, queue) = event_queue();
    let config = NetConfig {
        workers: 1,
        events,
        ..NetConfig::default()
    };
    let certificate = Certificate::generate().expect("a certificate");
    let net = Net::start(config, move |seat| {
        let config = RouterConfig {
            wall: NtpTime::from_unix(Duration::from_secs(1_800_000_000)),
            certificate: certificate.clone(),
            index: seat.index,
            local: seat.local,
            max_endpoints: 16,
        };
        Router::new(seat.now, config)
    });
    let net = net.expect("a media worker");
    let signalling = Signalling::start(SignallingConfig::default(), net.workers().to_vec(), queue);
    (net, signalling)
}

async fn join(signalling: &Signalling, identity: &str, service: bool) -> (Insider, LocalPeer) {
    let profile = Profile {
        identity: identity.to_owned(),
        permissions: Permissions {
            publish: !service,
            subscribe: true,
            hidden: service,
            service,
            ..Permissions::default()
        },
        ..Profile::default()
    };
    let joined = signalling.insider("hall", &profile, 1024).await;
    joined.expect("a place in the room")
}

async fn publish(insider: &mut Insider) {
    let track = TrackConfig {
        mid: None,
        kind: MediaKind::Audio,
        codecs: vec![CodecParams::new(Codec::Opus, PT)],
        extensions: ExtensionMap::new().with(Extension::AudioLevel, LEVEL),
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
    let published = insider.publish(track, Source::Microphone, codec, TrackDetails::default());
    published.await.expect("a track");
}

/// The common mix, once it is there.
async fn mix_of(insider: &mut Insider) -> TrackSid {
    loop {
        let found = insider.look(|room| {
            let mut all = room.participants().iter().flat_map(|one| one.tracks());
            all.find(|track| track.details.name == "mix")
                .map(|track| track.sid.clone())
        });
        if let Some(sid) = found.flatten() {
            return sid;
        }
        assert!(insider.changed().await, "the room has ended");
    }
}

/// How strong a tone is in a piece of sound.
fn strength(pcm: &[f32], hertz: f32) -> f32 {
    let turn = |at: usize| TAU * hertz * at as f32 / 48_000.0;
    let re: f32 = pcm.iter().enumerate().map(|(at, sample)| sample * turn(at).cos()).sum();
    let im: f32 = pcm.iter().enumerate().map(|(at, sample)| sample * turn(at).sin()).sum();
    2.0 * re.hypot(im) / pcm.len() as f32
}

/// Somebody hums in real time; what another one hears meanwhile, until it hears that.
fn hum(from: &LocalPeer, to: &LocalPeer) -> Vec<f32> {
    let (mut encoder, mut decoder) = (OPUS.encoder().expect("Opus"), OPUS.decoder().expect("Opus"));
    let (mut coded, mut pcm, mut heard) = ([0; 1000], vec![0.0; MAX_SAMPLES], Vec::new());
    let start = Instant::now();
    for number in 0..400_u16 {
        let first = usize::from(number) * TICK;
        let sound = (first..first + TICK).map(|at| 0.2 * (TAU * TONE * at as f32 / 48_000.0).sin());
        let len = encoder
            .encode(&sound.collect::<Vec<f32>>(), &mut coded)
            .expect("a packet");
        let mut packet = [0; 1200];
        let mut writer = RtpWriter::new(&mut packet, PT, false, number, u32::from(number) * 960, SSRC);
        writer.extension(LEVEL, &[17]);
        writer.payload(&coded[..len]);
        let (_, len) = writer.finish().expect("room");
        from.send(vec![packet[..len].to_vec()]).expect("a worker");
        let next = start + Duration::from_millis(20) * (u32::from(number) + 1);
        while let Some(packet) = to.recv_deadline(next).expect("a worker") {
            if Kind::of(&packet.bytes) == Some(Kind::Rtp) {
                let view = RtpView::parse(&packet.bytes).expect("RTP");
                let len = decoder.decode(view.payload(), &mut pcm).expect("Opus");
                heard.extend_from_slice(&pcm[..len]);
            }
        }
        if heard.len() >= 10 * TICK && strength(&heard[heard.len() - 10 * TICK..], TONE) > 0.05 {
            break;
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_part_of_the_server_hears_the_mix() {
    let (net, signalling) = start();
    let settings = MixSettings {
        on: true,
        ..MixSettings::default()
    };
    let mixes = super::start(signalling.clone(), settings);
    let (mut ada, source) = join(&signalling, "ada", false).await;
    publish(&mut ada).await;
    let (mut service, sink) = join(&signalling, "recorder", true).await;
    let mix = timeout(PATIENCE, mix_of(&mut service)).await.expect("there is no mix");
    let followed = service
        .follow(&mix, LayerTarget::BEST)
        .await
        .expect("the mix is not for it");
    assert!(followed.is_some());
    let heard = tokio::task::spawn_blocking(move || hum(&source, &sink))
        .await
        .expect("sound");
    let last = &heard[heard.len().saturating_sub(10 * TICK)..];
    let (tone, other) = (strength(last, TONE), strength(last, 1000.0));
    assert!(
        tone > 0.05 && other < tone / 10.0,
        "{tone} of it, {other} of what nobody hums"
    );
    mixes.abort();
    signalling.close();
    net.shutdown(Duration::from_secs(1)).expect("the worker ends");
}
