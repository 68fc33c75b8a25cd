//! A peer in the router's own process gets and gives what any other does: repaired streams, chosen layers, clocks.

use althing_media_core::config::{EndpointConfig, EndpointId, LayerTarget, RouterConfig};
use althing_media_core::event::{DisconnectReason, Event, Output};
use althing_media_core::{NtpTime, Router, UsageError};
use althing_testkit::peer::ReceiveConfig;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::Simulation;

use crate::stage::{assert_exact, assert_seamless, certificate, come_to_rest, home, lossy, ms, small_pattern};

/// What a recorder wants: the stream as it is after repair, also where the publisher's line loses much.
#[test]
fn listens_to_a_repaired_stream() {
    for seed in 0..40 {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_web_rtc(lossy(), certificate());
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 3, small_pattern()));
        let audio = simulation.publish(publisher, microphone(Some("1"), 50, "ada"));
        let recorder = simulation.join_local();
        let layers = LayerTarget {
            spatial: u8::try_from(seed % 3).unwrap(),
            temporal: u8::MAX,
        };
        let watch = simulation.watch(
            recorder,
            video.track,
            ReceiveConfig {
                layers,
                ..screen(None, 7000)
            },
        );
        let heard = simulation.watch(recorder, audio.track, loudspeaker(None, 8000));
        simulation.run_for(ms(6000));
        come_to_rest(&mut simulation, &[video, audio]);
        assert_exact(&simulation, watch, ms(2), seed);
        let receiver = simulation.receiver(watch);
        assert!(
            receiver.viewer().shown().len() > 120,
            "seed {seed}: {}",
            receiver.viewer().shown().len()
        );
        let last = receiver.viewer().shown().last().unwrap().body.encoding;
        assert_eq!(last, layers.spatial, "seed {seed}: the layer that was asked for");
        assert!(simulation.receiver(heard).stats().packets > 150, "seed {seed}");
    }
}

/// What a mixer does: its stream is published to others, and who loses packets of it gets them again.
#[test]
fn publishes_to_others() {
    for seed in 0..20 {
        let mut simulation = Simulation::new(seed, certificate());
        let mixer = simulation.join_local();
        let watcher = simulation.join_web_rtc(lossy(), certificate());
        let video = simulation.publish(mixer, camera(None, 1, 1, small_pattern()));
        let watch = simulation.watch(watcher, video.track, screen(Some("5"), 7000));
        simulation.run_for(ms(5000));
        come_to_rest(&mut simulation, &[video]);
        assert_seamless(&simulation, watch, ms(150), seed);
        assert!(
            simulation.receiver(watch).stats().recovered > 0,
            "seed {seed}: there was loss to repair"
        );
    }
}

#[test]
fn is_connected_at_once_and_says_good_bye() {
    let mut simulation = Simulation::new(1, certificate());
    let publisher = simulation.join_plain(home(), None);
    let video = simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
    let recorder = simulation.join_local();
    let watch = simulation.watch(recorder, video.track, screen(None, 7000));
    simulation.run_for(ms(500));
    let endpoint = recorder.endpoint;
    assert!(simulation.events().contains(&Event::Connected {
        endpoint,
        profile: None
    }));
    let before = simulation.receiver(watch).stats().packets;
    let now = simulation.now();
    simulation.router.remove_endpoint(now, endpoint);
    simulation.run_for(ms(500));
    assert!(before > 0 && simulation.receiver(watch).stats().packets <= before + 1);
    let gone = |event: &Event| {
        matches!(
            event,
            Event::Disconnected {
                reason: DisconnectReason::IceFailed,
                ..
            }
        )
    };
    assert!(!simulation.events().iter().any(gone));
    assert_eq!(
        simulation.router.handle_packet(now, endpoint, &mut [0x80; 20]),
        Err(UsageError::NoEndpoint)
    );
    assert_eq!(
        simulation
            .router
            .handle_packet(now, publisher.endpoint, &mut [0x80; 20]),
        Err(UsageError::NotLocal)
    );
}

/// Whatever it hands over is counted, like the nonsense of anybody else.
#[test]
fn nonsense_is_counted() {
    let now = std::time::Instant::now();
    let config = RouterConfig {
        wall: NtpTime(0),
        certificate: certificate().clone(),
        index: 0,
        local: Vec::new(),
        max_endpoints: 1,
    };
    let mut router = Router::new(now, config);
    let endpoint: EndpointId = router.add_endpoint(now, EndpointConfig::Local).unwrap();
    let mut buf = [0; 1500];
    while !matches!(router.poll_output(now, &mut buf), Output::Timeout(_)) {}
    for packet in [
        &mut [][..],
        &mut [0x80],
        &mut [0x80; 12],
        &mut [0x80, 200, 0, 1, 0],
        &mut [22; 40],
        &mut [0; 40],
    ] {
        router.handle_packet(now, endpoint, packet).unwrap();
    }
    let dropped = router.endpoint_stats(endpoint).unwrap().drops.total();
    assert_eq!(dropped, 6);
}
