//! Lost packets come again, on both sides of the router, and nobody sees more of it than a moment.

use althing_testkit::network::{Burst, Chance, LinkConfig};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::simulation::Simulation;

use crate::stage::{assert_seamless, certificate, come_to_rest, home, lossy, ms};

struct Run {
    /// Of some 300 pictures.
    shown: usize,
    recovered: u64,
    asked_publisher: u32,
    freeze: std::time::Duration,
}

/// One publisher, one watcher, each behind its network; ten virtual seconds; nothing may be missing at the end.
fn run(seed: u64, up: LinkConfig, down: LinkConfig) -> Run {
    let mut simulation = Simulation::new(seed, certificate());
    let (publisher, watcher) = (simulation.join_plain(up, None), simulation.join_plain(down, None));
    let pattern = VideoPattern {
        frame_bytes: 600,
        packet_bytes: 300,
        ..VideoPattern::default()
    };
    let video = simulation.publish(publisher, camera(None, 1, 1, pattern));
    let watch = simulation.watch(watcher, video.track, screen(None, 7000));
    simulation.run_for(ms(10_000));
    come_to_rest(&mut simulation, &[video]);
    assert_seamless(&simulation, watch, ms(20), seed);
    let (sent, receiver) = (simulation.sender(video).stats(0), simulation.receiver(watch));
    Run {
        shown: receiver.viewer().shown().len(),
        recovered: receiver.stats().recovered,
        asked_publisher: sent.retransmitted,
        freeze: receiver.viewer().longest_freeze(),
    }
}

#[test]
fn on_the_way_to_the_watcher_the_router_repairs() {
    for seed in 0..60 {
        let run = run(seed, home(), lossy());
        assert!(run.recovered > 10, "seed {seed}: there was loss to repair");
        assert!(run.shown > 280, "seed {seed}: {}", run.shown);
        assert_eq!(
            run.asked_publisher, 0,
            "seed {seed}: the publisher has nothing to do with it"
        );
        assert!(run.freeze < ms(1000), "seed {seed}: {:?}", run.freeze);
    }
}

#[test]
fn on_the_way_from_the_publisher_the_router_asks() {
    for seed in 100..160 {
        let run = run(seed, lossy(), home());
        assert!(run.asked_publisher > 10, "seed {seed}: there was loss to repair");
        assert!(run.shown > 280, "seed {seed}: {}", run.shown);
        assert!(run.freeze < ms(1000), "seed {seed}: {:?}", run.freeze);
    }
}

#[test]
fn on_both_sides_at_once() {
    for seed in 200..260 {
        let run = run(seed, lossy(), lossy());
        assert!(run.recovered > 10 && run.asked_publisher > 10, "seed {seed}");
        // Nobody can ask for the very first packet, so a keyframe whose start is lost costs the time to ask for another.
        assert!(run.shown > 250, "seed {seed}: {}", run.shown);
        assert!(run.freeze < ms(1000), "seed {seed}: {:?}", run.freeze);
    }
}

#[test]
fn bursts_of_twenty() {
    let burst = Burst {
        enter: Chance::percent(0.5),
        leave: Chance::percent(5.0),
        loss: Chance::percent(90.0),
    };
    let network = LinkConfig {
        burst: Some(burst),
        ..LinkConfig::delay(ms(20))
    };
    let runs: Vec<Run> = (300..330).map(|seed| run(seed, home(), network)).collect();
    assert!(runs.iter().all(|run| run.shown > 250));
    let recovered: u64 = runs.iter().map(|run| run.recovered).sum();
    assert!(recovered > 500, "there were bursts to repair");
}

#[test]
fn reordering_and_doubles_are_no_loss() {
    let network = LinkConfig {
        reorder: Chance::percent(5.0),
        hold: ms(30),
        duplicate: Chance::percent(5.0),
        jitter: ms(20),
        ..LinkConfig::delay(ms(30))
    };
    for seed in 400..430 {
        let run = run(seed, network, network);
        assert!(run.freeze < ms(300), "seed {seed}: {:?}", run.freeze);
        assert!(run.shown > 280, "seed {seed}: {}", run.shown);
    }
}
