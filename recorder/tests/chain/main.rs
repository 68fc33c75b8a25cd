//! The whole chain in virtual time: a publisher on a bad line, the router, a recorder in its process.
//!
//! Every synthetic packet says which one it is and when it was captured, so that each frame can be looked at: whole, no byte
//! changed, what it refers to is there too, and in its place in time.

mod content;

use std::collections::HashSet;
use std::time::Duration;

use althing_media_core::transport::Certificate;
use althing_media_core::{Codec, EndpointConfig, EndpointId, ExtensionMap, StreamIds, SubscriptionConfig, TrackId};
use althing_recorder::recording::Log;
use althing_recorder::recording::{Manifest, Output, Person, PersonId, Recording, RecordingConfig, Signer, TrackInfo};
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::body::Body;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::peer::{ReceiveConfig, VideoPattern};
use althing_testkit::simulation::Simulation;

const SOUND: u32 = 8000;
const PICTURES: u32 = 7000;
/// How far apart sounds and pictures may be from where they belong, from the first frame on, in microseconds.
const SKEW: u64 = 40_000;
/// Shorter than any picture is meant to be seen, in microseconds.
const MOMENT: u64 = 10_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A tenth is lost, and many packets overtake others.
fn bad_line() -> LinkConfig {
    LinkConfig {
        loss: Chance::percent(10.0),
        jitter: ms(30),
        ..LinkConfig::delay(ms(40))
    }
}

/// What the recorder does when a track is there: it subscribes, and the recording is told how it will look.
fn follow(
    simulation: &mut Simulation,
    endpoint: EndpointId,
    recording: &mut Recording,
    track: TrackId,
    like: ReceiveConfig,
    source: &str,
) {
    let (now, ssrc) = (simulation.now(), like.stream.ssrc);
    let config = SubscriptionConfig {
        mid: None,
        stream: StreamIds::new(ssrc),
        nack: false,
        extensions: ExtensionMap::new(),
        ..like.subscription()
    };
    let info = TrackInfo {
        person: PersonId(1),
        kind: config.kind,
        source: source.to_owned(),
        ssrc,
        codecs: config.codecs.clone(),
        extensions: config.extensions,
    };
    let router = &mut simulation.router;
    let subscription = router.subscribe(now, endpoint, config).expect("there is room");
    router.set_source(now, subscription, Some(track));
    recording.handle_track_added(now, info);
}

struct Recorder {
    endpoint: EndpointId,
    recording: Recording,
    log: String,
    sound: Vec<(u64, Body)>,
    pictures: Vec<(u64, bool, Vec<Body>)>,
}

impl Recorder {
    fn new(simulation: &mut Simulation) -> Self {
        let now = simulation.now();
        let signer = Signer::from_seed(&[1; 32]).expect("a seed");
        let config = RecordingConfig::new("chain", 1_700_000_000_000, signer).by(Person::new("ada", "Ada"));
        Self {
            endpoint: simulation
                .router
                .add_endpoint(now, EndpointConfig::Local)
                .expect("there is room"),
            recording: Recording::new(now, config),
            log: String::new(),
            sound: Vec::new(),
            pictures: Vec::new(),
        }
    }

    fn follow(&mut self, simulation: &mut Simulation, track: TrackId, like: ReceiveConfig, source: &str) {
        follow(simulation, self.endpoint, &mut self.recording, track, like, source);
    }

    fn run(&mut self, simulation: &mut Simulation, time: Duration) {
        let end = simulation.now() + time;
        while simulation.now() < end {
            simulation.run_for(ms(5));
            for (at, packet) in simulation.take_delivered() {
                self.recording.handle_packet(at, &packet.into());
            }
            self.recording.handle_timeout(simulation.now());
            self.drain(simulation);
        }
    }

    fn drain(&mut self, simulation: &mut Simulation) {
        loop {
            match self.recording.poll_output() {
                Output::Log { line, .. } => self.log.push_str(&line),
                Output::Feedback(packet) => {
                    let (now, router) = (simulation.now(), &mut simulation.router);
                    router
                        .handle_packet(now, self.endpoint, &mut packet.to_vec())
                        .expect("it is there");
                }
                Output::Frame { file, frame } if file.contains("microphone") => {
                    let body = Body::read(&frame.data[1..]).expect("no byte was changed");
                    self.sound.push((frame.at.0 / 1000, body));
                }
                Output::Frame { frame, .. } => {
                    let bodies = bodies(&frame.data[if frame.keyframe { 10 } else { 3 }..]);
                    self.pictures.push((frame.at.0 / 1000, frame.keyframe, bodies));
                }
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// The packets of a frame, each behind the other.
fn bodies(mut data: &[u8]) -> Vec<Body> {
    let mut all = Vec::new();
    while !data.is_empty() {
        let len = usize::from(u16::from_be_bytes([data[4], data[5]]));
        all.push(Body::read(&data[..len]).expect("no byte was changed"));
        data = &data[len..];
    }
    all
}

#[test]
fn what_is_recorded_over_a_bad_line_is_whole_and_in_its_place() {
    let certificate = Certificate::generate().expect("a certificate");
    for seed in 0..12 {
        let mut simulation = Simulation::new(seed, &certificate);
        let publisher = simulation.join_web_rtc(bad_line(), &certificate);
        let audio = simulation.publish(publisher, microphone(Some("0"), 50, "ada"));
        let mut recorder = Recorder::new(&mut simulation);
        recorder.follow(&mut simulation, audio.track, loudspeaker(None, SOUND), "microphone");
        recorder.run(&mut simulation, ms(8000));
        // The camera comes later.
        let video = simulation.publish(publisher, camera(Some("1"), 1000, 3, VideoPattern::default()));
        recorder.follow(&mut simulation, video.track, screen(None, PICTURES), "camera");
        recorder.run(&mut simulation, ms(20_000));
        recorder.recording.stop(simulation.now(), 0);
        recorder.drain(&mut simulation);

        // Each picture is whole, and what it refers to was recorded before.
        let mut known = HashSet::new();
        for (_, keyframe, bodies) in &recorder.pictures {
            let first = bodies[0];
            assert_eq!(bodies.len(), usize::from(first.count), "seed {seed}");
            assert!(
                bodies
                    .iter()
                    .zip(0..)
                    .all(|(body, index)| body.index == index && body.frame == first.frame)
            );
            assert_eq!(*keyframe, first.reference == first.frame);
            assert!(
                *keyframe || known.contains(&(first.encoding, first.reference)),
                "seed {seed}: {first:?}"
            );
            known.insert((first.encoding, first.frame));
        }
        assert!(
            recorder.pictures.len() > 200,
            "seed {seed}: {} pictures",
            recorder.pictures.len()
        );
        assert!(
            recorder.sound.len() > 1200,
            "seed {seed}: {} of sound",
            recorder.sound.len()
        );

        // Capture times differ from the recording's by one constant, for sound and pictures alike.
        let offsets = |at: u64, body: &Body| body.captured.wrapping_sub(at);
        let sound = recorder.sound.iter().map(|(at, body)| offsets(*at, body));
        // What is on the screen for a moment only is needed by others, and seen by nobody.
        let next = recorder.pictures.iter().skip(1).map(|(at, ..)| *at).chain([u64::MAX]);
        let seen = recorder
            .pictures
            .iter()
            .zip(next)
            .filter(|((at, ..), next)| next - at >= MOMENT);
        let pictures = seen.map(|((at, _, bodies), _)| offsets(*at, &bodies[0]));
        let all: Vec<u64> = sound.chain(pictures).collect();
        let (least, most) = (all.iter().min().expect("some"), all.iter().max().expect("some"));
        assert!(most - least < SKEW, "seed {seed}: {} µs apart", most - least);

        let log = Log::read(recorder.log.as_bytes(), None);
        let manifest = Manifest::of(&log, &mut |_| None);
        assert_eq!((log.fault, manifest.tracks.len()), (None, 2));
        let from = manifest.tracks[1].files[0].from;
        assert!(
            (8_000_000_000..10_000_000_000).contains(&from),
            "seed {seed}: the camera begins at {from}"
        );
        assert!(manifest.tracks.iter().all(|track| track.formats.iter().all(|format| {
            [Codec::Opus, Codec::Vp8]
                .map(|codec| format!("{codec:?}").to_lowercase())
                .contains(&format.value.codec)
        })));
    }
}
