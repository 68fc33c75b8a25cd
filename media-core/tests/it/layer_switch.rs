//! Another encoding, another publisher: the watcher's stream goes on as if nothing had happened.

use althing_media_core::Event;
use althing_media_core::config::LayerTarget;
use althing_testkit::Rng;
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::simulation::Simulation;

use crate::stage::{
    assert_seamless, assert_seamless_but_thinned, certificate, come_to_rest, home, lossy, ms, small_pattern,
};

fn spatial(spatial: u8) -> LayerTarget {
    LayerTarget {
        spatial,
        ..LayerTarget::BEST
    }
}

#[test]
fn between_encodings_without_a_seam() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 3, small_pattern()));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        simulation.run_for(ms(1000));
        for _ in 0..6 {
            let layer = u8::try_from(rng.below(3)).unwrap();
            let now = simulation.now();
            simulation.router.set_layers(now, watch.subscription, spatial(layer));
            simulation.run_for(ms(600) + rng.duration(ms(300)));
            let last = simulation.receiver(watch).viewer().shown().last().unwrap();
            assert_eq!(last.body.encoding, layer, "seed {seed}");
        }
        come_to_rest(&mut simulation, &[video]);
        // Reports relate the encodings to each other, so after the first second switches are exact.
        assert_seamless(&simulation, watch, ms(10), seed);
        assert!(
            simulation.receiver(watch).viewer().longest_freeze() < ms(150),
            "seed {seed}"
        );
        let changes = simulation
            .events()
            .iter()
            .filter(|event| matches!(event, Event::LayerChanged { .. }))
            .count();
        let shown = simulation.receiver(watch).viewer().shown();
        let seen = 1 + shown
            .windows(2)
            .filter(|pair| pair[0].body.encoding != pair[1].body.encoding)
            .count();
        assert_eq!(changes, seen, "seed {seed}");
    }
}

/// The start of the picture to switch with may come late, behind what belongs to it.
#[test]
fn between_encodings_through_loss_and_disorder() {
    let disorder = LinkConfig {
        reorder: Chance::percent(10.0),
        hold: ms(25),
        ..lossy()
    };
    for seed in 1000..1100 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (
            simulation.join_plain(disorder, None),
            simulation.join_plain(home(), None),
        );
        let pattern = VideoPattern {
            frame_bytes: 400,
            packet_bytes: 120,
            ..small_pattern()
        };
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 3, pattern));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        simulation.run_for(ms(1000));
        for _ in 0..8 {
            let layer = u8::try_from(rng.below(3)).unwrap();
            let now = simulation.now();
            simulation.router.set_layers(now, watch.subscription, spatial(layer));
            simulation.run_for(ms(600) + rng.duration(ms(300)));
        }
        come_to_rest(&mut simulation, &[video]);
        assert_seamless_but_thinned(&simulation, watch, ms(200), seed);
        assert!(
            simulation.receiver(watch).viewer().longest_freeze() < ms(700),
            "seed {seed}"
        );
    }
}

/// The publisher stops its best encoding, as a browser on a slow line does: the next best takes over by itself.
#[test]
fn when_an_encoding_dries_up() {
    for seed in 0..50 {
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 3, small_pattern()));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        simulation.run_for(ms(2000));
        simulation.sender_mut(video).set_active(2, false);
        simulation.run_for(ms(4000));
        assert_eq!(
            simulation
                .receiver(watch)
                .viewer()
                .shown()
                .last()
                .unwrap()
                .body
                .encoding,
            1,
            "seed {seed}"
        );
        simulation.sender_mut(video).set_active(2, true);
        simulation.run_for(ms(2000));
        assert_eq!(
            simulation
                .receiver(watch)
                .viewer()
                .shown()
                .last()
                .unwrap()
                .body
                .encoding,
            2,
            "seed {seed}"
        );
        come_to_rest(&mut simulation, &[video]);
        assert_seamless(&simulation, watch, ms(10), seed);
    }
}

/// One outgoing stream shows one speaker after another.
#[test]
fn between_publishers_without_a_seam() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let watcher = simulation.join_plain(home(), None);
        let videos: Vec<_> = (1..4)
            .map(|n| {
                let publisher = simulation.join_plain(home(), None);
                simulation.publish(publisher, camera(Some("0"), 1000 * n, 2, small_pattern()))
            })
            .collect();
        let watch = simulation.watch(watcher, videos[0].track, screen(Some("0"), 7000));
        for _ in 0..6 {
            simulation.run_for(ms(500) + rng.duration(ms(300)));
            let now = simulation.now();
            simulation
                .router
                .set_source(now, watch.subscription, Some(videos[rng.index(3)].track));
        }
        simulation.run_for(ms(1000));
        come_to_rest(&mut simulation, &videos);
        let receiver = simulation.receiver(watch);
        assert_eq!(
            (receiver.stats().corrupt, receiver.stats().leaps, receiver.missing()),
            (0, 0, 0),
            "seed {seed}"
        );
        assert!(receiver.viewer().longest_freeze() < ms(300), "seed {seed}");
        // The cameras' clocks have nothing to do with each other; everything else must fit.
        assert_seamless(&simulation, watch, ms(100_000_000), seed);
    }
}
