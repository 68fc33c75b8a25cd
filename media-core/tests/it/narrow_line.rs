//! One subscriber's line carries little: it is measured, paced, and nobody else notices.

use althing_media_core::config::LayerTarget;
use althing_testkit::network::{LinkConfig, Rate};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::{Member, Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms};

fn line(rate: u64) -> LinkConfig {
    LinkConfig {
        rate: Some(Rate::bits(rate)),
        ..LinkConfig::delay(ms(25))
    }
}

fn estimate(simulation: &Simulation, member: Member) -> u64 {
    let stats = simulation.router.endpoint_stats(member.endpoint).unwrap();
    stats.estimate.map_or(0, |estimate| estimate.0)
}

/// 30 pictures a second of 4000 bytes: about a Mbit/s.
fn pattern() -> VideoPattern {
    VideoPattern {
        frame_bytes: 4000,
        packet_bytes: 1000,
        ..VideoPattern::default()
    }
}

#[test]
fn what_is_wanted_is_proved_and_no_more() {
    for seed in 0..5 {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(home(), None);
        let watcher = simulation.join_web_rtc(line(3_000_000), certificate());
        let video = simulation.publish(publisher, camera(None, 1, 1, pattern()));
        let audio = simulation.publish(publisher, microphone(None, 50, "peer-1"));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        let listen = simulation.watch(watcher, audio.track, loudspeaker(Some("1"), 8000));
        assert_eq!(estimate(&simulation, watcher), 0, "nothing is known yet");
        simulation.run_for(ms(5000));
        let proved = estimate(&simulation, watcher);
        assert!((1_000_000..3_100_000).contains(&proved), "seed {seed}: {proved}");
        let stats = simulation.router.endpoint_stats(watcher.endpoint).unwrap();
        assert!(stats.queue_delay < ms(30), "seed {seed}: {:?}", stats.queue_delay);
        let padding = simulation.receiver(watch).stats().rtx;
        assert!((1..400).contains(&padding), "seed {seed}: {padding} packets of padding");
        simulation.run_for(ms(20_000));
        let more = simulation.receiver(watch).stats().rtx - padding;
        assert!(more < 200, "seed {seed}: {more}: what is wanted is known to pass");
        come_to_rest(&mut simulation, &[video, audio]);
        assert_seamless(&simulation, watch, ms(40), seed);
        assert_seamless(&simulation, listen, ms(20), seed);
    }
}

#[test]
fn a_large_picture_does_not_fill_the_queue() {
    let keyframes = VideoPattern {
        keyframe_every: Some(60),
        ..pattern()
    };
    let mut simulation = Simulation::new(1, certificate());
    let publisher = simulation.join_plain(home(), None);
    let watcher = simulation.join_web_rtc(LinkConfig::delay(ms(25)), certificate());
    let video = simulation.publish(publisher, camera(None, 1, 1, keyframes));
    let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
    simulation.run_for(ms(5000));
    simulation.links_mut(watcher).1.configure(line(2_000_000));
    simulation.run_for(ms(10_000));
    let longest = simulation.links_mut(watcher).1.stats().queue_delay_max;
    // Sent at once, a keyframe would wait for itself for 64 ms.
    assert!(longest < ms(40), "{longest:?}");
    come_to_rest(&mut simulation, &[video]);
    assert_seamless(&simulation, watch, ms(40), 1);
}

#[test]
fn a_narrow_line_gets_a_small_picture_and_all_the_sound_and_nobody_else_notices() {
    for seed in 0..5 {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(home(), None);
        let narrow = simulation.join_web_rtc(line(600_000), certificate());
        let wide = simulation.join_web_rtc(line(20_000_000), certificate());
        let layers = VideoPattern {
            frame_bytes: 700,
            packet_bytes: 1000,
            ..VideoPattern::default()
        };
        // About 200, 400 and 800 kbit/s.
        let video = simulation.publish(publisher, camera(None, 1, 3, layers));
        let audio = simulation.publish(publisher, microphone(None, 50, "peer-1"));
        let small = simulation.watch(narrow, video.track, screen(Some("0"), 7000));
        let listen = simulation.watch(narrow, audio.track, loudspeaker(Some("1"), 8000));
        let large = simulation.watch(wide, video.track, screen(Some("0"), 7000));
        simulation.run_for(ms(10_000));
        let (lost, packets) = (
            simulation.receiver(listen).stats().lost,
            simulation.receiver(listen).stats().packets,
        );
        simulation.run_for(ms(20_000));
        let sound = simulation.receiver(listen).stats();
        assert!(sound.packets - packets > 980, "seed {seed}: {sound:?}");
        assert!(
            sound.lost - lost <= 10,
            "seed {seed}: {} of 1000 lost",
            sound.lost - lost
        );
        let stats = |watch: Watch| simulation.router.subscription_stats(watch.subscription).unwrap();
        let granted = stats(small).granted;
        assert!(
            granted.is_some_and(|layers| layers != LayerTarget::BEST),
            "seed {seed}: {granted:?}"
        );
        assert_eq!(stats(large).encoding, Some(2), "seed {seed}");
        let freeze = simulation.receiver(small).viewer().longest_freeze();
        assert!(freeze < ms(1000), "seed {seed}: {freeze:?}");
        let freeze = simulation.receiver(large).viewer().longest_freeze();
        assert!(freeze < ms(400), "seed {seed}: {freeze:?}");
    }
}

/// Somebody else uses the same wide line for 0.3 s every 2.5 s, so that what passes then is 25 ms late.
#[test]
fn a_wide_line_that_others_stir_gets_the_large_picture_all_the_same() {
    const SEEDS: u64 = 12;
    const ROUNDS: u32 = 24;
    let mut large = 0;
    for seed in 0..SEEDS {
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_plain(home(), None);
        let watcher = simulation.join_web_rtc(line(400_000), certificate());
        let layers = VideoPattern {
            frame_bytes: 1000,
            packet_bytes: 1000,
            ..VideoPattern::default()
        };
        // About 0.3, 0.6 and 1.2 Mbit/s, after a time in which the line carried the smallest only.
        let video = simulation.publish(publisher, camera(None, 1, 3, layers));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        simulation.run_for(ms(10_000));
        let longer = LinkConfig {
            delay: ms(50),
            ..line(10_000_000)
        };
        for _ in 0..ROUNDS {
            simulation.links_mut(watcher).1.configure(line(10_000_000));
            simulation.run_for(ms(2200));
            simulation.links_mut(watcher).1.configure(longer);
            simulation.run_for(ms(300));
            let stats = simulation.router.subscription_stats(watch.subscription).unwrap();
            large += u64::from(stats.granted == Some(LayerTarget::BEST));
        }
    }
    // Over a minute, in which it has to be found first.
    let all = SEEDS * u64::from(ROUNDS);
    assert!(large * 10 > all * 6, "in {large} of {all} looks");
}
