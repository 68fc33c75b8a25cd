//! Networks that stop, hurry, double and mix up: nothing of it lasts.

use std::time::Duration;

use althing_media_core::Event;
use althing_media_core::config::LayerTarget;
use althing_media_core::event::DisconnectReason;
use althing_testkit::network::{Chance, LinkConfig, Rate};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::simulation::{Member, Publication, Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms, small_pattern};

struct Call {
    simulation: Simulation,
    sent: [Publication; 2],
    /// Picture and sound.
    got: [Watch; 2],
}

fn call(seed: u64, up: LinkConfig, down: LinkConfig) -> Call {
    call_of(seed, (up, down), (1, small_pattern()))
}

fn call_of(seed: u64, (up, down): (LinkConfig, LinkConfig), (encodings, pattern): (u8, VideoPattern)) -> Call {
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
    let picture = simulation.publish(from, camera(Some("0"), 1000, encodings, pattern));
    let sound = simulation.publish(from, microphone(Some("1"), 50, "peer-1000"));
    let mut call = Call {
        got: watch(&mut simulation, to, [picture, sound]),
        simulation,
        sent: [picture, sound],
    };
    call.simulation.run_for(ms(3000));
    call
}

fn watch(simulation: &mut Simulation, who: Member, [picture, sound]: [Publication; 2]) -> [Watch; 2] {
    [
        simulation.watch(who, picture.track, screen(Some("0"), 7000)),
        simulation.watch(who, sound.track, loudspeaker(Some("1"), 8000)),
    ]
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

/// Who sends or who watches is suspended, for less than consent lasts: its clocks stand still, and the camera goes on
/// where it was.
#[test]
fn who_slept_goes_on_where_the_call_is() {
    for seed in 0..4 {
        let mut call = call(seed, home(), home());
        for sleeper in [call.sent[0].member, call.got[0].member] {
            call.simulation.sleep(sleeper, ms(25_000));
            call.simulation.run_for(ms(25_000));
            let [_, sounds] = call.comes(ms(300));
            assert!(
                sounds < 60,
                "seed {seed}: {sounds} packets of sound in 300 ms are the past"
            );
            call.simulation.run_for(ms(3000));
            let [pictures, sounds] = call.comes(ms(2000));
            assert!((50..=70).contains(&pictures), "seed {seed}: {pictures} pictures in 2 s");
            assert!((95..=105).contains(&sounds), "seed {seed}: {sounds} packets in 2 s");
        }
    }
}

/// A minute is more than consent lasts: nothing more is sent to who sleeps, and who wakes up comes in anew.
#[test]
fn who_slept_for_a_minute_comes_again_and_nobody_else_notices() {
    for seed in 0..3 {
        let mut call = call(seed, home(), home());
        let (sleeper, sent) = (call.got[0].member, call.sent);
        let other = call.simulation.join_web_rtc(home(), certificate());
        let awake = watch(&mut call.simulation, other, sent);
        call.simulation.run_for(ms(2000));
        call.simulation.sleep(sleeper, ms(60_000));
        call.simulation.run_for(ms(32_000));
        let lost = Event::Disconnected {
            endpoint: sleeper.endpoint,
            reason: DisconnectReason::ConsentLost,
        };
        assert!(call.simulation.events().contains(&lost), "seed {seed}");
        let before = call.simulation.links_mut(sleeper).1.stats().sent;
        call.simulation.run_for(ms(28_000));
        let more = call.simulation.links_mut(sleeper).1.stats().sent - before;
        assert_eq!(more, 0, "seed {seed}: sent without consent");
        let now = call.simulation.now();
        call.simulation.router.remove_endpoint(now, sleeper.endpoint);
        let woken = call.simulation.join_web_rtc(home(), certificate());
        call.got = watch(&mut call.simulation, woken, sent);
        let [pictures, sounds] = call.comes(ms(1500));
        assert!(
            pictures > 15 && sounds > 25,
            "seed {seed}: {pictures} pictures, {sounds} packets of sound"
        );
        come_to_rest(&mut call.simulation, &sent);
        for watch in awake.into_iter().chain(call.got) {
            assert_seamless(&call.simulation, watch, ms(40), seed);
        }
        let freeze = call.simulation.receiver(awake[0]).viewer().longest_freeze();
        assert!(freeze < ms(150), "seed {seed}: {freeze:?}");
    }
}

/// From the network at home to one on the road, and back: another address, and a line that is slower and longer.
#[test]
fn a_handover_is_followed() {
    let road = LinkConfig {
        rate: Some(Rate::bits(500_000)),
        ..LinkConfig::delay(ms(80))
    };
    // About 200, 400 and 800 kbit/s.
    let pattern = VideoPattern {
        frame_bytes: 700,
        packet_bytes: 1000,
        ..VideoPattern::default()
    };
    for seed in 0..4 {
        let mut call = call_of(seed, (home(), home()), (3, pattern));
        let mover = call.got[0].member;
        let granted = |call: &Call| {
            let id = call.got[0].subscription;
            call.simulation.router.subscription_stats(id).unwrap().granted
        };
        let handover = |call: &mut Call, line: LinkConfig| {
            call.simulation.hand_over(mover, line);
            // The client's next check, which comes from there, may take 5 s.
            call.simulation.run_for(ms(9000));
        };
        call.simulation.run_for(ms(5000));
        assert_eq!(granted(&call), Some(LayerTarget::BEST), "seed {seed}");
        handover(&mut call, road);
        let before = *call.simulation.links_mut(mover).1.stats();
        let [pictures, sounds] = call.comes(ms(10_000));
        assert!(pictures > 100, "seed {seed}: {pictures} pictures in 10 s");
        assert!(sounds > 490, "seed {seed}: {sounds} packets of sound in 10 s");
        let after = *call.simulation.links_mut(mover).1.stats();
        let packets = u32::try_from(after.delivered - before.delivered).unwrap();
        let mean = (after.queue_delay_sum - before.queue_delay_sum) / packets;
        assert!(mean < ms(60), "seed {seed}: a queue of {mean:?}");
        assert_ne!(granted(&call), Some(LayerTarget::BEST), "seed {seed}");
        handover(&mut call, home());
        call.simulation.run_for(ms(10_000));
        assert_eq!(granted(&call), Some(LayerTarget::BEST), "seed {seed}");
        let [pictures, sounds] = call.comes(ms(2000));
        assert!(
            pictures > 50 && sounds > 95,
            "seed {seed}: {pictures} pictures, {sounds} packets of sound"
        );
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
