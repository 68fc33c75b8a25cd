//! Silence on demand, and the way back from it.

use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::{Publication, Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, lossy, ms, small_pattern};

fn stage(seed: u64) -> (Simulation, [Publication; 2], [Watch; 2]) {
    let mut simulation = Simulation::new(seed, certificate());
    let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
    let video = simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
    let audio = simulation.publish(publisher, microphone(None, 50, "peer-1"));
    let watches = [
        simulation.watch(watcher, video.track, screen(None, 7000)),
        simulation.watch(watcher, audio.track, loudspeaker(None, 8000)),
    ];
    simulation.run_for(ms(1000));
    (simulation, [video, audio], watches)
}

/// Packets that come while `during` is in force (and what was under way has arrived), and pictures afterwards.
fn interlude(
    simulation: &mut Simulation,
    watches: [Watch; 2],
    mut switch: impl FnMut(&mut Simulation, bool),
) -> ([u64; 2], [u64; 2]) {
    let packets = |sim: &Simulation| watches.map(|watch| sim.receiver(watch).stats().packets);
    switch(simulation, true);
    simulation.run_for(ms(100));
    let before = packets(simulation);
    simulation.run_for(ms(2000));
    let during = packets(simulation);
    switch(simulation, false);
    simulation.run_for(ms(1000));
    let after = packets(simulation);
    (
        [during[0] - before[0], during[1] - before[1]],
        [after[0] - during[0], after[1] - during[1]],
    )
}

#[test]
fn a_muted_track_reaches_nobody() {
    for seed in 0..50 {
        let (mut simulation, publications, watches) = stage(seed);
        let (during, after) = interlude(&mut simulation, watches, |sim, muted| {
            let now = sim.now();
            publications
                .iter()
                .for_each(|publication| sim.router.mute_track(now, publication.track, muted));
        });
        assert_eq!(during, [0, 0], "seed {seed}");
        assert!(after[0] > 25 && after[1] > 45, "seed {seed}: {after:?}");
        come_to_rest(&mut simulation, &publications);
        // What happened while it was muted never comes out, not even as the picture to begin with.
        for (watch, every) in watches.into_iter().zip([33.333_333, 20.0]) {
            let muted = |number: u32| (1030.0..3050.0).contains(&(f64::from(number) * every));
            let shown = simulation.receiver(watch).viewer().shown();
            assert!(!shown.iter().any(|shown| muted(shown.body.frame)), "seed {seed}");
        }
        watches
            .iter()
            .for_each(|watch| assert_seamless(&simulation, *watch, ms(40), seed));
    }
}

/// What was lost on the way to the router while the track was muted comes late: it does not come out either.
#[test]
fn nothing_of_the_muted_time_comes_late() {
    let slow = LinkConfig {
        loss: Chance::percent(20.0),
        reorder: Chance::percent(20.0),
        hold: ms(60),
        ..lossy()
    };
    for seed in 0..50 {
        let mut simulation = Simulation::new(seed, certificate());
        let (publisher, watcher) = (simulation.join_plain(slow, None), simulation.join_plain(home(), None));
        let pattern = VideoPattern {
            keyframe_every: Some(5),
            ..small_pattern()
        };
        let video = simulation.publish(publisher, camera(None, 1, 1, pattern));
        let watch = simulation.watch(watcher, video.track, screen(None, 7000));
        simulation.run_for(ms(1000));
        let now = simulation.now();
        simulation.router.mute_track(now, video.track, true);
        simulation.run_for(ms(2000));
        let now = simulation.now();
        simulation.router.mute_track(now, video.track, false);
        simulation.run_for(ms(2000));
        // What the router has not got before it is unmuted may have been captured up to 170 ms earlier.
        let muted = |number: u32| (1000.0..2830.0).contains(&(f64::from(number) * 33.333_333));
        let shown = simulation.receiver(watch).viewer().shown();
        assert!(!shown.iter().any(|shown| muted(shown.body.frame)), "seed {seed}");
        assert!(shown.iter().any(|shown| shown.body.frame > 92), "seed {seed}");
    }
}

#[test]
fn a_paused_subscription_costs_nothing() {
    for seed in 0..50 {
        let (mut simulation, publications, watches) = stage(seed);
        let (during, after) = interlude(&mut simulation, watches, |sim, paused| {
            let now = sim.now();
            watches
                .iter()
                .for_each(|watch| sim.router.pause(now, watch.subscription, paused));
        });
        assert_eq!(during, [0, 0], "seed {seed}");
        assert!(after[0] > 25 && after[1] > 45, "seed {seed}: {after:?}");
        come_to_rest(&mut simulation, &publications);
        watches
            .iter()
            .for_each(|watch| assert_seamless(&simulation, *watch, ms(40), seed));
    }
}

#[test]
fn a_camera_that_is_off_for_a_while() {
    for seed in 0..50 {
        let (mut simulation, publications, watches) = stage(seed);
        let (during, after) = interlude(&mut simulation, watches, |sim, muted| {
            publications
                .iter()
                .for_each(|publication| sim.sender_mut(*publication).set_muted(muted));
        });
        assert_eq!(during, [0, 0], "seed {seed}");
        assert!(after[0] > 25 && after[1] > 45, "seed {seed}: {after:?}");
        come_to_rest(&mut simulation, &publications);
        watches
            .iter()
            .for_each(|watch| assert_seamless(&simulation, *watch, ms(40), seed));
    }
}
