//! An hour in which no clock runs like another: nothing piles up, nothing drifts apart, and no line is thought to be full.

use std::time::{Duration, Instant};

use althing_media_core::Event;
use althing_media_core::config::LayerTarget;
use althing_media_core::time::NtpTime;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::peer::{AudioPattern, Pattern, SendConfig, Shown, VideoPattern};
use althing_testkit::simulation::{Publication, Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms};

/// What clocks are wrong by, in millionth: the publisher's, and those of two watchers. Quartz is wrong by up to 100 or so.
const DRIFT: [i32; 3] = [150, -200, 100];
const MINUTE: Duration = Duration::from_secs(60);
/// What sound and picture may be apart, what the way may become longer, and what may stand in a queue.
const APART: f64 = 0.010;
const LONGER: f64 = 0.040;
const QUEUE: Duration = Duration::from_millis(25);

/// Somebody sends, two watch; few packets, as an hour is long.
struct Call {
    simulation: Simulation,
    begin: Instant,
    sent: [Publication; 2],
    /// Picture and sound of each watcher.
    got: [[Watch; 2]; 2],
}

impl Call {
    fn new(seed: u64) -> Self {
        let mut simulation = Simulation::new(seed, certificate());
        let begin = simulation.now();
        let members = DRIFT.map(|drift| {
            let member = simulation.join_web_rtc(home(), certificate());
            simulation.drift(member, drift);
            member
        });
        let few = VideoPattern {
            every: ms(200),
            frame_bytes: 300,
            packet_bytes: 400,
            ..VideoPattern::default()
        };
        let slow = AudioPattern {
            every: ms(60),
            ..AudioPattern::default()
        };
        let voice = SendConfig {
            pattern: Pattern::Audio(slow),
            ..microphone(Some("1"), 50, "peer-1000")
        };
        let picture = simulation.publish(members[0], camera(Some("0"), 1000, 2, few));
        let sound = simulation.publish(members[0], voice);
        let got = [members[1], members[2]].map(|member| {
            [
                simulation.watch(member, picture.track, screen(Some("0"), 7000)),
                simulation.watch(member, sound.track, loudspeaker(Some("1"), 8000)),
            ]
        });
        simulation.run_for(ms(15_000));
        Self {
            simulation,
            begin,
            sent: [picture, sound],
            got,
        }
    }

    fn shown(&self, watch: Watch) -> &[Shown] {
        self.simulation.receiver(watch).viewer().shown()
    }

    /// How long the last of it was under way by the clocks at both ends, in seconds, up to a constant.
    fn way(&self, watch: Watch) -> f64 {
        let ways = self.shown(watch).iter().rev().take(10).map(|one| {
            let at = one.at.saturating_duration_since(self.begin).as_secs_f64();
            at - one.body.captured as f64 / 1e6
        });
        ways.fold(f64::MAX, f64::min)
    }

    /// How far the wall clock that reports give to a stream is from that of the camera, in seconds.
    fn offset(&self, watch: Watch) -> f64 {
        let last = self.shown(watch).last().expect("something was shown");
        let captured = NtpTime(u64::try_from((u128::from(last.body.captured) << 32) / 1_000_000).unwrap());
        let told = self
            .simulation
            .receiver(watch)
            .wall_time(last.timestamp)
            .expect("a report came");
        told.seconds_since(captured)
    }
}

fn call(seed: u64, minutes: u32) {
    let mut call = Call::new(seed);
    let ways = call.got.map(|got| got.map(|watch| call.way(watch)));
    let told = call.simulation.events().len();
    for minute in 1..=minutes {
        let before = call.got.map(|got| got.map(|watch| call.shown(watch).len()));
        call.simulation.run_for(MINUTE);
        for (watcher, got) in call.got.into_iter().enumerate() {
            let [pictures, sounds] = [0, 1].map(|kind| call.shown(got[kind]).len() - before[watcher][kind]);
            let at = format!("seed {seed}, minute {minute}, watcher {watcher}");
            assert!((299..=301).contains(&pictures), "{at}: {pictures} pictures");
            assert!((999..=1001).contains(&sounds), "{at}: {sounds} packets of sound");
            let apart = call.offset(got[0]) - call.offset(got[1]);
            assert!(apart.abs() < APART, "{at}: sound and picture are {apart} s apart");
            let drift = f64::from(DRIFT[watcher + 1] - DRIFT[0]) * 1e-6 * f64::from(minute) * 60.0;
            for (kind, watch) in got.into_iter().enumerate() {
                let longer = call.way(watch) - ways[watcher][kind] - drift;
                assert!(longer.abs() < LONGER, "{at}: the way has become {longer} s longer");
            }
            let stats = call.simulation.router.endpoint_stats(got[0].member.endpoint).unwrap();
            assert!(stats.queue_delay < QUEUE, "{at}: {:?} in the queue", stats.queue_delay);
            let granted = call
                .simulation
                .router
                .subscription_stats(got[0].subscription)
                .unwrap()
                .granted;
            assert_eq!(granted, Some(LayerTarget::BEST), "{at}");
        }
    }
    let changes = call.simulation.events()[told..]
        .iter()
        .filter(|event| matches!(event, Event::LayerChanged { .. } | Event::StreamState { .. }));
    assert_eq!(
        changes.count(),
        0,
        "seed {seed}: nothing has changed, and so nothing changes"
    );
    // Encodings are still related to each other.
    let now = call.simulation.now();
    let smallest = LayerTarget {
        spatial: 0,
        ..LayerTarget::BEST
    };
    call.simulation
        .router
        .set_layers(now, call.got[0][0].subscription, smallest);
    call.simulation.run_for(ms(5000));
    let sent = call.sent;
    come_to_rest(&mut call.simulation, &sent);
    for watch in call.got.into_iter().flatten() {
        assert_seamless(&call.simulation, watch, ms(40), seed);
    }
}

#[test]
fn some_minutes_of_clocks_that_drift_apart() {
    call(1, 4);
}

/// `cargo test -p althing-media-core --test it -- --ignored an_hour`
#[test]
#[ignore = "half a minute of processor time"]
fn an_hour_of_clocks_that_drift_apart() {
    for seed in 2..4 {
        call(seed, 60);
    }
}
