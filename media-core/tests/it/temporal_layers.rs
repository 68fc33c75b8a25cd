//! Fewer frames a second by leaving out whole layers, invisibly.

use althing_media_core::config::LayerTarget;
use althing_testkit::Rng;
use althing_testkit::peer::ReceiveConfig;
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::simulation::Simulation;

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms, small_pattern};

#[test]
fn each_target_gives_its_frame_rate() {
    for (temporal, per_second) in [(0, 7.5), (1, 15.0), (2, 30.0), (u8::MAX, 30.0)] {
        let mut simulation = Simulation::new(1, certificate());
        let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
        let config = ReceiveConfig {
            layers: LayerTarget { spatial: 0, temporal },
            ..screen(None, 7000)
        };
        let watch = simulation.watch(watcher, video.track, config);
        simulation.run_for(ms(8000));
        come_to_rest(&mut simulation, &[video]);
        assert_seamless(&simulation, watch, ms(0), 1);
        let shown = f64::from(u32::try_from(simulation.receiver(watch).viewer().shown().len()).unwrap()) / 8.0;
        assert!(
            (shown - per_second).abs() < 0.6,
            "layer {temporal}: {shown} frames a second"
        );
    }
}

#[test]
fn changes_at_any_time() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
        let watch = simulation.watch(watcher, video.track, screen(None, 7000));
        for _ in 0..8 {
            simulation.run_for(rng.duration(ms(500)));
            let (now, temporal) = (simulation.now(), u8::try_from(rng.below(3)).unwrap());
            simulation
                .router
                .set_layers(now, watch.subscription, LayerTarget { spatial: 0, temporal });
        }
        simulation.run_for(ms(500));
        come_to_rest(&mut simulation, &[video]);
        assert_seamless(&simulation, watch, ms(0), seed);
        let keyframes = simulation.sender(video).stats(0).keyframes;
        assert!(
            keyframes <= 2,
            "seed {seed}: {keyframes} keyframes, and after the start none is needed"
        );
    }
}
