//! Pictures over a long way with loss: asked for, they come late; with FEC most of them are whole at once.

use althing_media_core::MediaKind;
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::preset::{VP8_WITH_FEC, WATCHED_VP8_WITH_FEC, camera, screen, with_fec};
use althing_testkit::peer::{ReceiveConfig, ReceiveStats, SendConfig, VideoPattern};
use althing_testkit::simulation::Simulation;

use crate::stage::{certificate, home, ms};

/// How long a picture may take to be whole, from its first packet on: less than any answer takes over the long way.
const IN_TIME: u64 = 100;

fn loses(percent: f64, each_way: u64) -> LinkConfig {
    LinkConfig {
        loss: Chance::percent(percent),
        ..LinkConfig::delay(ms(each_way))
    }
}

fn films(fec: bool) -> SendConfig {
    let pattern = VideoPattern {
        frame_bytes: 4000,
        packet_bytes: 1000,
        ..VideoPattern::default()
    };
    let mut config = camera(Some("0"), 50, 1, pattern);
    if fec {
        config.codec = VP8_WITH_FEC;
        config.encodings[0].stream = with_fec(config.encodings[0].stream);
    }
    config
}

fn watches(fec: bool) -> ReceiveConfig {
    let mut config = screen(Some("0"), 7000);
    if fec {
        config.codecs = vec![WATCHED_VP8_WITH_FEC];
        config.stream = with_fec(config.stream);
    }
    config
}

struct Seen {
    /// Pictures in a thousand that were not whole in time.
    late: usize,
    stats: ReceiveStats,
    /// What was asked of the publisher.
    nacked: u32,
}

/// One camera and one watcher, half a virtual minute over ICE, DTLS and SRTP.
fn run(seed: u64, publisher: (SendConfig, LinkConfig), watcher: (ReceiveConfig, LinkConfig)) -> Seen {
    let mut simulation = Simulation::new(seed, certificate());
    let from = simulation.join_web_rtc(publisher.1, certificate());
    let to = simulation.join_web_rtc(watcher.1, certificate());
    let both = |simulation: &Simulation| [from, to].iter().all(|one| simulation.peer(*one).is_connected());
    assert!(
        simulation.run_while(ms(20_000), |simulation| !both(simulation)),
        "seed {seed}"
    );
    assert_eq!(watcher.0.kind(), MediaKind::Video);
    let video = simulation.publish(from, publisher.0);
    let watch = simulation.watch(to, video.track, watcher.0);
    simulation.run_for(ms(30_000));
    let receiver = simulation.receiver(watch);
    let (whole, all) = receiver.viewer().whole_within(ms(IN_TIME));
    assert!(all > 700, "seed {seed}: {all} pictures");
    let stats = *receiver.stats();
    assert_eq!(stats.corrupt, 0, "seed {seed}");
    Seen {
        late: (all - whole) * 1000 / all,
        stats,
        nacked: simulation.sender(video).stats(0).nacked,
    }
}

#[test]
fn a_watcher_far_away_sees_most_pictures_in_time() {
    for (percent, seed) in [(5.0, 0), (10.0, 1)] {
        let with = |fec| run(seed, (films(false), home()), (watches(fec), loses(percent, 150)));
        let (asked, protected) = (with(false), with(true));
        assert_eq!(asked.stats.fec, 0, "seed {seed}: it was not negotiated");
        assert!(protected.stats.mended > 60, "seed {seed}: {}", protected.stats.mended);
        assert!(
            protected.late * 3 < asked.late,
            "seed {seed}: {} and {} in a thousand were late",
            protected.late,
            asked.late
        );
        let share = protected.stats.fec * 100 / protected.stats.packets;
        assert!(share <= 50, "seed {seed}: {share} FEC packets for a hundred");
    }
}

#[test]
fn where_asking_is_quick_or_nothing_is_lost_nothing_is_sent_ahead() {
    for (percent, each_way) in [(10.0, 15), (0.0, 150)] {
        let seen = run(10, (films(false), home()), (watches(true), loses(percent, each_way)));
        assert_eq!(seen.stats.fec, 0, "{percent} %, {each_way} ms");
        assert_eq!(seen.stats.recovered > 60, percent > 0.0, "{percent} %, {each_way} ms");
    }
}

#[test]
fn what_a_publisher_far_away_loses_comes_back_out_of_its_fec() {
    let seed = 20;
    let with = |fec| run(seed, (films(fec), loses(5.0, 150)), (watches(false), home()));
    let (asked, protected) = (with(false), with(true));
    assert!(
        protected.late * 3 < asked.late,
        "seed {seed}: {} and {} in a thousand were late",
        protected.late,
        asked.late
    );
    assert!(protected.nacked < asked.nacked / 2, "seed {seed}: {}", protected.nacked);
    assert_eq!(protected.stats.fec, 0, "seed {seed}: nobody behind sees it");
}
