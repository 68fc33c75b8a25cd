//! The same meetings over ICE, DTLS and SRTP.

use althing_media_core::Event;
use althing_media_core::event::DisconnectReason;
use althing_media_core::transport::SrtpProfile;
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::{Publication, Simulation, Watch};

use crate::stage::{
    assert_seamless, assert_seamless_but_thinned, certificate, come_to_rest, home, lossy, ms, small_pattern,
};

#[test]
fn connects_and_forwards() {
    for seed in 0..5 {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_web_rtc(home(), certificate());
        let watcher = simulation.join_web_rtc(home(), certificate());
        let pattern = VideoPattern {
            frame_bytes: 600,
            ..VideoPattern::default()
        };
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 3, pattern));
        let audio = simulation.publish(publisher, microphone(Some("1"), 50, "peer-1000"));
        let picture = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        let sound = simulation.watch(watcher, audio.track, loudspeaker(Some("1"), 8000));
        simulation.run_for(ms(6000));
        for member in [publisher, watcher] {
            assert!(simulation.peer(member).is_connected(), "seed {seed}");
            let connected = simulation.events().iter().find_map(|event| match event {
                Event::Connected { endpoint, profile } if *endpoint == member.endpoint => Some(*profile),
                _ => None,
            });
            let gcm = [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm].map(|profile| Some(Some(profile)));
            assert!(
                gcm.contains(&connected),
                "seed {seed}: GCM is preferred, not {connected:?}"
            );
        }
        come_to_rest(&mut simulation, &[video, audio]);
        assert_seamless(&simulation, picture, ms(40), seed);
        assert_seamless(&simulation, sound, ms(0), seed);
        assert!(simulation.receiver(picture).viewer().shown().len() > 140, "seed {seed}");
        let feedback = simulation.peer(publisher).session.stats();
        assert!(
            feedback.transport_cc > 20 && feedback.acknowledged > 400,
            "seed {seed}: {feedback:?}"
        );
    }
}

#[test]
fn connects_and_repairs_through_loss() {
    for seed in 0..5 {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_web_rtc(lossy(), certificate());
        let watcher = simulation.join_web_rtc(lossy(), certificate());
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 1, VideoPattern::default()));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        let connected = simulation.run_while(ms(10_000), |sim| {
            !(sim.peer(publisher).is_connected() && sim.peer(watcher).is_connected())
        });
        assert!(connected, "seed {seed}");
        simulation.run_for(ms(8000));
        come_to_rest(&mut simulation, &[video]);
        assert_seamless_but_thinned(&simulation, watch, ms(60), seed);
        assert!(simulation.receiver(watch).stats().recovered > 10, "seed {seed}");
    }
}

#[test]
fn a_peer_that_is_removed_is_told() {
    let mut simulation = Simulation::new(1, certificate());
    let publisher = simulation.join_web_rtc(home(), certificate());
    let watcher = simulation.join_web_rtc(home(), certificate());
    let video = simulation.publish(publisher, camera(Some("0"), 1000, 1, VideoPattern::default()));
    let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
    simulation.run_for(ms(3000));
    let now = simulation.now();
    simulation.router.remove_endpoint(now, watcher.endpoint);
    simulation.run_for(ms(500));
    assert!(simulation.receiver(watch).stats().byes > 0, "BYE came");
    assert!(
        !simulation.peer_mut(watcher).transport_mut().is_connected(),
        "close_notify came"
    );
    assert_eq!(simulation.router.stats().endpoints, 1);
}

#[test]
fn a_peer_that_vanishes_is_noticed() {
    let mut simulation = Simulation::new(2, certificate());
    let publisher = simulation.join_web_rtc(home(), certificate());
    simulation.publish(publisher, camera(Some("0"), 1000, 1, VideoPattern::default()));
    simulation.run_for(ms(3000));
    let (up, down) = simulation.links_mut(publisher);
    up.set_down(true);
    down.set_down(true);
    simulation.run_for(ms(60_000));
    let lost = Event::Disconnected {
        endpoint: publisher.endpoint,
        reason: DisconnectReason::ConsentLost,
    };
    assert!(simulation.events().contains(&lost), "{:?}", simulation.events());
}

/// A publisher and a watcher, connected, with a picture.
fn meeting(seed: u64) -> (Simulation, Publication, Watch) {
    let mut simulation = Simulation::new(seed, certificate());
    let publisher = simulation.join_web_rtc(home(), certificate());
    let watcher = simulation.join_web_rtc(home(), certificate());
    let video = simulation.publish(publisher, camera(Some("0"), 1000, 1, small_pattern()));
    let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
    simulation.run_for(ms(3000));
    assert!(simulation.receiver(watch).viewer().shown().len() > 30, "seed {seed}");
    (simulation, video, watch)
}

#[test]
fn a_peer_that_closes_is_noticed_at_once() {
    let (mut simulation, video, _) = meeting(3);
    let now = simulation.now();
    simulation.peer_mut(video.member).transport_mut().close(now);
    simulation.run_for(ms(200));
    let closed = Event::Disconnected {
        endpoint: video.member.endpoint,
        reason: DisconnectReason::Closed,
    };
    assert!(simulation.events().contains(&closed), "{:?}", simulation.events());
}

#[test]
fn an_ice_restart_keeps_the_session() {
    for seed in 0..10 {
        let (mut simulation, video, watch) = meeting(seed);
        for member in [video.member, watch.member] {
            simulation.restart_ice(member);
            simulation.run_for(ms(2000));
        }
        come_to_rest(&mut simulation, &[video]);
        assert_seamless_but_thinned(&simulation, watch, ms(60), seed);
        assert!(
            simulation.receiver(watch).viewer().longest_freeze() < ms(200),
            "seed {seed}"
        );
        let connected = simulation
            .events()
            .iter()
            .filter(|event| matches!(event, Event::Connected { .. }))
            .count();
        assert_eq!(connected, 2, "seed {seed}: once in the life of each");
        assert!(
            !simulation
                .events()
                .iter()
                .any(|event| matches!(event, Event::Disconnected { .. }))
        );
    }
}

/// The translation (NAT) in front of a peer forgets it: its next consent check comes from another address, and media
/// goes there.
#[test]
fn another_address_in_the_middle_of_it() {
    for seed in 0..10 {
        let (mut simulation, video, watch) = meeting(seed);
        for member in [video.member, watch.member] {
            simulation.rebind(member);
            simulation.run_for(ms(8000));
        }
        let before = simulation.receiver(watch).viewer().shown().len();
        simulation.run_for(ms(1000));
        let shown = simulation.receiver(watch).viewer().shown().len() - before;
        assert!(shown > 25, "seed {seed}: {shown} pictures in a second");
        let moved = |endpoint| {
            let is =
                |event: &&Event| matches!(event, Event::RouteChanged { endpoint: known, .. } if *known == endpoint);
            simulation.events().iter().filter(is).count()
        };
        assert!(
            moved(video.member.endpoint) > 1 && moved(watch.member.endpoint) > 1,
            "seed {seed}"
        );
    }
}
