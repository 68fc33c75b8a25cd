//! Sound and picture of one person stay together through the router: the sender reports that a watcher gets relate
//! both streams to one wall clock, whatever was switched and however wrong the publisher's clock is.

use althing_media_core::config::LayerTarget;
use althing_media_core::time::NtpTime;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::{Simulation, Watch};

use crate::stage::{certificate, home, lossy, ms, small_pattern};

/// For each of the last pictures or sounds: wall time by report less wall time of capture, in seconds.
fn offsets(simulation: &Simulation, watch: Watch) -> Vec<f64> {
    let receiver = simulation.receiver(watch);
    let shown = receiver.viewer().shown();
    let last = shown.len().saturating_sub(15);
    let captured = |micros: u64| NtpTime(u64::try_from((u128::from(micros) << 32) / 1_000_000).unwrap());
    let offset = |shown: &althing_testkit::peer::Shown| {
        receiver
            .wall_time(shown.timestamp)
            .unwrap()
            .seconds_since(captured(shown.body.captured))
    };
    shown[last..].iter().map(offset).collect()
}

#[test]
fn through_switches_and_loss() {
    for seed in 0..100 {
        let network = if seed % 2 == 0 { home() } else { lossy() };
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (
            simulation.join_plain(network, None),
            simulation.join_plain(network, None),
        );
        let config = camera(Some("0"), 1000, 3, small_pattern());
        let audio = simulation.publish(publisher, microphone(Some("1"), 50, &config.cname));
        let video = simulation.publish(publisher, config);
        let picture = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        let sound = simulation.watch(watcher, audio.track, loudspeaker(Some("1"), 8000));
        simulation.run_for(ms(1500));
        for layer in [0, 2, 1] {
            let now = simulation.now();
            let layers = LayerTarget {
                spatial: layer,
                ..LayerTarget::BEST
            };
            simulation.router.set_layers(now, picture.subscription, layers);
            simulation.run_for(ms(3000));
            let (pictures, sounds) = (offsets(&simulation, picture), offsets(&simulation, sound));
            assert_eq!((pictures.len(), sounds.len()), (15, 15), "seed {seed}");
            let all = pictures.iter().chain(&sounds);
            let (min, max) = all.fold((f64::MAX, f64::MIN), |(min, max), offset| {
                (min.min(*offset), max.max(*offset))
            });
            assert!(
                max - min < 0.005,
                "seed {seed}, layer {layer}: {} ms apart",
                (max - min) * 1e3
            );
        }
    }
}
