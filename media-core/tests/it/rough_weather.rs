//! Networks that stop, hurry, double and mix up: nothing of it lasts.

use std::time::Duration;

use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::{Publication, Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms, small_pattern};

struct Call {
    simulation: Simulation,
    sent: [Publication; 2],
    /// Picture and sound.
    got: [Watch; 2],
}

fn call(seed: u64, up: LinkConfig, down: LinkConfig) -> Call {
    let mut simulation = Simulation::new(seed, certificate());
    let (from, to) = (
        simulation.join_web_rtc(up, certificate()),
        simulation.join_web_rtc(down, certificate()),
    );
    let both = |simulation: &Simulation| [from, to].iter().all(|one| simulation.peer(*one).is_connected());
    assert!(
        simulation.run_while(ms(20_000), |simulation| !both(simulation)),
        "seed {seed}"
    );
    let picture = simulation.publish(from, camera(Some("0"), 1000, 1, small_pattern()));
    let sound = simulation.publish(from, microphone(Some("1"), 50, "peer-1000"));
    let seen = simulation.watch(to, picture.track, screen(Some("0"), 7000));
    let heard = simulation.watch(to, sound.track, loudspeaker(Some("1"), 8000));
    simulation.run_for(ms(3000));
    Call {
        simulation,
        sent: [picture, sound],
        got: [seen, heard],
    }
}

impl Call {
    fn shown(&self) -> [usize; 2] {
        self.got
            .map(|watch| self.simulation.receiver(watch).viewer().shown().len())
    }

    /// What comes within so much time.
    fn comes(&mut self, time: Duration) -> [usize; 2] {
        let before = self.shown();
        self.simulation.run_for(time);
        let after = self.shown();
        [after[0] - before[0], after[1] - before[1]]
    }
}

/// The lid of the watcher's laptop is closed: nothing goes either way.
#[test]
fn after_a_sleep_there_is_the_present_and_not_the_past() {
    for seed in 0..4 {
        let mut call = call(seed, home(), home());
        let sleeper = call.got[0].member;
        let lid = |call: &mut Call, down| {
            let (up, back) = call.simulation.links_mut(sleeper);
            up.set_down(down);
            back.set_down(down);
        };
        for sleep in [5_000, 10_000] {
            lid(&mut call, true);
            call.simulation.run_for(ms(sleep));
            lid(&mut call, false);
            let burst = call.comes(ms(300));
            assert!(
                burst[1] < 60,
                "seed {seed}: {} packets of sound in 300 ms are the past",
                burst[1]
            );
            call.simulation.run_for(ms(3000));
            let [pictures, sounds] = call.comes(ms(2000));
            assert!(
                (50..=70).contains(&pictures),
                "seed {seed}: {pictures} pictures in 2 s after {sleep} ms"
            );
            assert!(
                (95..=105).contains(&sounds),
                "seed {seed}: {sounds} packets in 2 s after {sleep} ms"
            );
        }
    }
}

#[test]
fn packets_that_come_twice_and_in_disorder_are_one_stream() {
    let weather = LinkConfig {
        reorder: Chance::percent(10.0),
        hold: ms(100),
        duplicate: Chance::percent(10.0),
        jitter: ms(10),
        ..LinkConfig::delay(ms(20))
    };
    for seed in 10..16 {
        let mut call = call(seed, weather, weather);
        let [pictures, sounds] = call.comes(ms(5000));
        assert!(
            pictures > 130 && sounds > 240,
            "seed {seed}: {pictures} pictures, {sounds} packets of sound"
        );
        let sent = call.sent;
        come_to_rest(&mut call.simulation, &sent);
        for watch in call.got {
            assert_seamless(&call.simulation, watch, ms(40), seed);
        }
    }
}

/// Some packets come half a second late, when nobody waits for them any more.
#[test]
fn very_late_packets_do_no_harm() {
    let weather = LinkConfig {
        reorder: Chance::percent(3.0),
        hold: ms(600),
        ..LinkConfig::delay(ms(20))
    };
    for seed in 20..26 {
        let mut call = call(seed, weather, home());
        let [pictures, sounds] = call.comes(ms(10_000));
        assert!(
            pictures > 270 && sounds > 480,
            "seed {seed}: {pictures} pictures, {sounds} packets of sound"
        );
        let sent = call.sent;
        come_to_rest(&mut call.simulation, &sent);
        for watch in call.got {
            assert_seamless(&call.simulation, watch, ms(40), seed);
        }
    }
}
