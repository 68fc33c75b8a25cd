//! Receivers that tell of their line in other ways than by transport-wide numbers: by SSRC (RFC 8888), or only how much they
//! can take (REMB).

use althing_media_core::packet::{Extension, Ssrc};
use althing_media_core::rtcp::{Bitrate, remb};
use althing_testkit::network::{LinkConfig, Rate};
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::peer::{ReceiveConfig, VideoPattern};
use althing_testkit::simulation::Simulation;

use crate::stage::{certificate, home, ms};

/// 30 pictures a second of 4000 bytes: about a Mbit/s.
fn pattern() -> VideoPattern {
    VideoPattern {
        frame_bytes: 4000,
        packet_bytes: 1000,
        ..VideoPattern::default()
    }
}

fn without_numbers() -> ReceiveConfig {
    let mut config = screen(Some("0"), 7000);
    config.extensions.set(Extension::TransportCc, 0);
    config
}

#[test]
fn a_line_is_measured_by_reports_on_streams() {
    for (rate, most) in [(3_000_000, 3_100_000), (600_000, 700_000)] {
        let mut simulation = Simulation::new(rate, certificate());
        let line = LinkConfig {
            rate: Some(Rate::bits(rate)),
            ..LinkConfig::delay(ms(25))
        };
        let publisher = simulation.join_plain(home(), None);
        let watcher = simulation.join_web_rtc(line, certificate());
        let small = VideoPattern {
            frame_bytes: 1000,
            ..pattern()
        };
        let video = simulation.publish(publisher, camera(None, 1, 3, small));
        let config = ReceiveConfig {
            ccfb: true,
            ..without_numbers()
        };
        let watch = simulation.watch(watcher, video.track, config);
        simulation.run_for(ms(10_000));
        let stats = simulation.router.endpoint_stats(watcher.endpoint).unwrap();
        let proved = stats.estimate.map_or(0, |estimate| estimate.0);
        assert!((400_000..most).contains(&proved), "{rate}: {proved}");
        assert!(stats.queue_delay < ms(60), "{rate}: {:?}", stats.queue_delay);
        let shown = simulation.receiver(watch).viewer().shown();
        assert!(shown.len() > 100, "{rate}: {} pictures", shown.len());
    }
}

#[test]
fn a_bound_alone_is_the_budget() {
    let mut simulation = Simulation::new(1, certificate());
    let publisher = simulation.join_plain(home(), None);
    let watcher = simulation.join_plain(home(), None);
    let video = simulation.publish(publisher, camera(None, 1, 3, pattern()));
    let config = ReceiveConfig {
        mid: None,
        ..without_numbers()
    };
    let watch = simulation.watch(watcher, video.track, config);
    simulation.run_for(ms(3000));
    let layer = |simulation: &Simulation| {
        simulation
            .router
            .subscription_stats(watch.subscription)
            .unwrap()
            .encoding
    };
    let estimate = |simulation: &Simulation| simulation.router.endpoint_stats(watcher.endpoint).unwrap().estimate;
    assert_eq!(
        (layer(&simulation), estimate(&simulation)),
        (Some(2), None),
        "all is sent to who tells nothing"
    );
    let tell = |simulation: &mut Simulation, bound: u64| {
        let route = simulation.route(watcher);
        for _ in 0..30 {
            let mut buf = [0; 100];
            let len = remb::write(&mut buf, Ssrc(1), Bitrate(bound), &[Ssrc(7000)]).unwrap();
            simulation.inject(route, buf[..len].to_vec());
            simulation.run_for(ms(100));
        }
    };
    tell(&mut simulation, 1_200_000);
    assert_eq!(estimate(&simulation), Some(Bitrate(1_200_000)));
    assert!(layer(&simulation) < Some(2), "{:?}", layer(&simulation));
    tell(&mut simulation, 100_000_000);
    assert_eq!(layer(&simulation), Some(2), "there is room again");
    tell(&mut simulation, 20_000);
    let granted = |simulation: &Simulation| {
        simulation
            .router
            .subscription_stats(watch.subscription)
            .unwrap()
            .granted
    };
    assert_eq!(granted(&simulation), None, "there is room for nothing");
    simulation.run_for(ms(10_000));
    assert!(
        granted(&simulation).is_some(),
        "who gets nothing may have nothing to tell"
    );
}
