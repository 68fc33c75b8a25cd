//! Who comes late sees a picture at once, and the publisher hardly notices.

use althing_testkit::Rng;
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::peer::{Fault, VideoPattern};
use althing_testkit::simulation::{Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, lossy, ms};

/// Catching up squeezes the media times of what is past together; afterwards time runs like that of the camera.
#[track_caller]
fn assert_in_the_present(simulation: &Simulation, watch: Watch, seed: u64) {
    let viewer = simulation.receiver(watch).viewer();
    let last = viewer.shown().last().unwrap().order;
    let late = |fault: &Fault| matches!(fault, Fault::ClockJump { order, .. } if *order + 15 > last);
    let faults: Vec<_> = viewer.faults().into_iter().filter(late).collect();
    assert_eq!(faults, [], "seed {seed}");
}

#[test]
fn sees_a_picture_at_once() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(home(), None);
        let pattern = VideoPattern {
            frame_bytes: 400,
            ..VideoPattern::default()
        };
        let video = simulation.publish(publisher, camera(None, 1, 1, pattern));
        simulation.run_for(ms(200) + rng.duration(ms(5000)));
        let watcher = simulation.join_plain(home(), None);
        let watch = simulation.watch(watcher, video.track, screen(None, 7000));
        let asked = simulation.now();
        let shown = simulation.run_while(ms(1000), |sim| sim.receiver(watch).viewer().shown().is_empty());
        assert!(shown, "seed {seed}");
        // Two ways of at most 19 ms, a frame of 33 ms, and the way to the watcher.
        let waited = simulation.now() - asked;
        assert!(waited < ms(120), "seed {seed}: {waited:?}");
        simulation.run_for(ms(1000));
        come_to_rest(&mut simulation, &[video]);
        assert_seamless(&simulation, watch, ms(40), seed);
        assert_in_the_present(&simulation, watch, seed);
        assert!(
            simulation.receiver(watch).viewer().longest_freeze() < ms(200),
            "seed {seed}"
        );
    }
}

#[test]
fn twenty_watchers_one_after_another_cost_the_publisher_a_few_keyframes() {
    for seed in 0..10 {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(home(), None);
        let pattern = VideoPattern {
            frame_bytes: 400,
            ..VideoPattern::default()
        };
        let video = simulation.publish(publisher, camera(None, 1, 1, pattern));
        simulation.run_for(ms(1000));
        let before = simulation.sender(video).stats(0).keyframe_requests;
        let mut watches = Vec::new();
        for number in 0..20 {
            let watcher = simulation.join_plain(home(), None);
            let watch = simulation.watch(watcher, video.track, screen(None, 7000 + number * 10));
            let at = simulation.now();
            assert!(simulation.run_while(ms(1000), |sim| sim.receiver(watch).viewer().shown().is_empty()));
            assert!(simulation.now() - at < ms(450), "seed {seed}, watcher {number}");
            simulation.run_for(ms(50));
            watches.push(watch);
        }
        let asked = simulation.sender(video).stats(0).keyframe_requests - before;
        assert!(asked <= 10, "seed {seed}: {asked} requests for twenty watchers");
        simulation.run_for(ms(1000));
        come_to_rest(&mut simulation, &[video]);
        for watch in watches {
            assert_seamless(&simulation, watch, ms(40), seed);
            assert_in_the_present(&simulation, watch, seed);
        }
    }
}

/// Twenty at the same instant are one request.
#[test]
fn a_crowd_is_one_request() {
    let mut simulation = Simulation::new(1, certificate());
    let publisher = simulation.join_plain(home(), None);
    let video = simulation.publish(publisher, camera(None, 1, 1, VideoPattern::default()));
    simulation.run_for(ms(30_000));
    let before = simulation.sender(video).stats(0).keyframe_requests;
    let watchers: Vec<_> = (0..20).map(|_| simulation.join_plain(home(), None)).collect();
    let watches: Vec<_> = watchers
        .iter()
        .map(|w| simulation.watch(*w, video.track, screen(None, 7000)))
        .collect();
    simulation.run_for(ms(1000));
    assert!(simulation.sender(video).stats(0).keyframe_requests - before <= 1);
    assert!(
        watches
            .iter()
            .all(|watch| simulation.receiver(*watch).viewer().shown().len() > 20)
    );
}

/// Among what is lost on the way to the router may be the start of the picture that everybody waits for.
#[test]
fn joins_in_the_middle_of_loss() {
    let disorder = LinkConfig {
        reorder: Chance::percent(10.0),
        hold: ms(25),
        ..lossy()
    };
    for seed in 500..700 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(disorder, None);
        let pattern = VideoPattern {
            frame_bytes: 400,
            packet_bytes: 150,
            ..VideoPattern::default()
        };
        let video = simulation.publish(publisher, camera(None, 1, 1, pattern));
        let watches: Vec<_> = (0..3)
            .map(|number| {
                simulation.run_for(rng.duration(ms(800)));
                let watcher = simulation.join_plain(home(), None);
                simulation.watch(watcher, video.track, screen(None, 7000 + number * 10))
            })
            .collect();
        simulation.run_for(ms(2000));
        come_to_rest(&mut simulation, &[video]);
        for watch in watches {
            assert_seamless(&simulation, watch, ms(1500), seed);
            assert!(
                simulation.receiver(watch).viewer().longest_freeze() < ms(700),
                "seed {seed}"
            );
        }
    }
}
