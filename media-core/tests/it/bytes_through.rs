//! What goes in comes out: the payloads byte by byte, in streams without gaps, whatever the publisher looks like.

use std::collections::HashSet;

use althing_media_core::config::LayerTarget;
use althing_media_core::transport::{PlainKeys, SdesKey, SrtpProfile};
use althing_testkit::Rng;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::peer::{ReceiveConfig, VideoPattern};
use althing_testkit::simulation::Simulation;

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms, small_pattern};

/// Thousands of small meetings: a publisher of random shape, two watchers with random wishes.
#[test]
fn thousands_of_seeded_runs() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(home(), None);
        let temporal_layers = 1 + u8::try_from(rng.below(3)).unwrap();
        let encodings = 1 + u8::try_from(rng.below(3)).unwrap();
        let pattern = VideoPattern {
            temporal_layers,
            ..small_pattern()
        };
        let mid = (rng.below(2) == 0).then_some("0");
        let video = simulation.publish(publisher, camera(mid, 1000, encodings, pattern));
        let mut watches = Vec::new();
        for number in 0..2 {
            let watcher = simulation.join_plain(home(), None);
            simulation.run_for(rng.duration(ms(300)));
            let layers = LayerTarget {
                spatial: u8::try_from(rng.below(4)).unwrap(),
                temporal: [0, 1, u8::MAX][rng.index(3)],
            };
            let config = ReceiveConfig {
                layers,
                ..screen(Some("5"), 7000 + number * 10)
            };
            watches.push((simulation.watch(watcher, video.track, config), layers));
        }
        simulation.run_for(ms(1500));
        come_to_rest(&mut simulation, &[video]);
        for (watch, layers) in watches {
            // A late joiner is brought to the present by frames that follow each other faster than they were captured.
            assert_seamless(&simulation, watch, ms(150), seed);
            let shown = simulation.receiver(watch).viewer().shown();
            assert!(shown.len() >= 10, "seed {seed}: {} pictures", shown.len());
            assert!(
                shown.iter().all(|picture| picture.body.temporal <= layers.temporal),
                "seed {seed}"
            );
            let last = shown.last().unwrap().body.encoding;
            assert_eq!(
                last,
                layers.spatial.min(encodings - 1),
                "seed {seed}: the layer that was asked for"
            );
        }
    }
}

/// With one encoding and all layers there is nothing to choose: every packet, each once.
#[test]
fn every_packet_of_a_single_stream() {
    for seed in 0..50 {
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(None, 1, 1, VideoPattern::default()));
        let audio = simulation.publish(publisher, microphone(None, 50, "peer-1"));
        let screen = simulation.watch(watcher, video.track, screen(None, 7000));
        let speaker = simulation.watch(watcher, audio.track, loudspeaker(None, 8000));
        simulation.run_for(ms(4000));
        come_to_rest(&mut simulation, &[video, audio]);
        for (watch, publication) in [(screen, video), (speaker, audio)] {
            assert_seamless(&simulation, watch, ms(0), seed);
            let (sent, got) = (
                simulation.sender(publication).stats(0),
                simulation.receiver(watch).stats(),
            );
            assert_eq!(
                (got.packets, got.bytes),
                (sent.packets.into(), sent.octets.into()),
                "seed {seed}"
            );
            assert_eq!((got.duplicates, got.empty, got.rtx), (0, 0, 0), "seed {seed}");
        }
    }
}

/// Plain RTP under keys from SDP, each end with a profile of its own choice.
#[test]
fn under_every_protection() {
    let profiles = [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmSha1_80,
    ];
    for (seed, from) in (0..).zip(profiles) {
        for to in profiles {
            let keys = |profile| PlainKeys {
                local: SdesKey::generate(1, profile),
                remote: SdesKey::generate(1, profile),
            };
            let mut simulation = Simulation::new(seed, certificate());
            let publisher = simulation.join_plain(home(), Some(&keys(from)));
            let watcher = simulation.join_plain(home(), Some(&keys(to)));
            let video = simulation.publish(publisher, camera(None, 1, 1, VideoPattern::default()));
            let watch = simulation.watch(watcher, video.track, screen(None, 7000));
            simulation.run_for(ms(2000));
            come_to_rest(&mut simulation, &[video]);
            assert_seamless(&simulation, watch, ms(0), seed);
            let (sent, got) = (simulation.sender(video).stats(0), simulation.receiver(watch).stats());
            assert_eq!(
                (got.packets, got.bytes),
                (sent.packets.into(), sent.octets.into()),
                "{from:?} {to:?}"
            );
            assert_eq!(simulation.peer(watcher).rejected(), 0, "{from:?} {to:?}");
        }
    }
}

/// Everybody sees everybody; nobody is sent own packets or those of a track not asked for.
#[test]
fn a_meeting_of_six() {
    let mut simulation = Simulation::new(6, certificate());
    let members: Vec<_> = (0..6).map(|_| simulation.join_plain(home(), None)).collect();
    let videos: Vec<_> = (0..6_u32)
        .zip(&members)
        .map(|(n, member)| simulation.publish(*member, camera(Some("0"), 1000 * (n + 1), 2, small_pattern())))
        .collect();
    let mut watches = Vec::new();
    for (w, watcher) in (0..6_u32).zip(&members) {
        for (p, video) in (0..6_u32).zip(&videos).filter(|(p, _)| *p != w) {
            watches.push(simulation.watch(*watcher, video.track, screen(Some("1"), 100_000 + p * 10)));
        }
    }
    simulation.run_for(ms(5000));
    come_to_rest(&mut simulation, &videos);
    let mut receivers = HashSet::new();
    for watch in watches {
        assert_seamless(&simulation, watch, ms(40), 6);
        assert!(simulation.receiver(watch).viewer().shown().len() > 130);
        receivers.insert(watch.member);
    }
    assert_eq!(receivers.len(), 6);
    assert_eq!(simulation.strays(), []);
}

/// The same seed gives the same run, to the datagram: otherwise no failure could be found again.
#[test]
fn runs_repeat() {
    let run = |seed| {
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(Some("0"), 1, 3, VideoPattern::default()));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        simulation.run_for(ms(3000));
        let receiver = simulation.receiver(watch);
        (
            simulation.datagrams_out(),
            *receiver.stats(),
            receiver.viewer().shown().len(),
        )
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
