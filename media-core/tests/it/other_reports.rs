//! Receivers that tell of their line in another way than by transport-wide numbers: by SSRC (RFC 8888).

use althing_media_core::packet::Extension;
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
        simulation.run_for(ms(20_000));
        let stats = simulation.router.endpoint_stats(watcher.endpoint).unwrap();
        let proved = stats.estimate.map_or(0, |estimate| estimate.0);
        assert!((350_000..most).contains(&proved), "{rate}: {proved}");
        assert!(stats.queue_delay < ms(60), "{rate}: {:?}", stats.queue_delay);
        let shown = simulation.receiver(watch).viewer().shown();
        assert!(shown.len() > 100, "{rate}: {} pictures", shown.len());
    }
}
