//! Sound through loss: sent again, sent along with later sound, and neither where it is of no use.

use althing_media_core::CodecParams;
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::preset::{
    OPUS, OPUS_WITH_RED, WATCHED_OPUS, WATCHED_OPUS_WITH_RED, loudspeaker, microphone,
};
use althing_testkit::peer::{ReceiveConfig, SendConfig};
use althing_testkit::simulation::{Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms};

/// What a browser's buffer of sound waits for, beyond the network: it grows to about this under loss.
const PLAYOUT: u64 = 160;

fn loses(percent: f64, each_way: u64) -> LinkConfig {
    LinkConfig {
        loss: Chance::percent(percent),
        ..LinkConfig::delay(ms(each_way))
    }
}

fn speaks(codec: CodecParams) -> SendConfig {
    SendConfig {
        codec,
        ..microphone(Some("0"), 50, "peer-50")
    }
}

fn listens(codec: CodecParams, nack: bool) -> ReceiveConfig {
    ReceiveConfig {
        codecs: vec![codec],
        nack,
        ..loudspeaker(Some("0"), 8000)
    }
}

struct Heard {
    /// Missed frames in a thousand.
    concealed: usize,
    redundant: u64,
    bytes: u64,
    packets: u64,
    recovered: u64,
    nacked: u64,
}

fn heard(simulation: &Simulation, watch: Watch) -> Heard {
    let receiver = simulation.receiver(watch);
    let (missed, all) = receiver.viewer().concealed(ms(20), ms(PLAYOUT));
    assert!(all > 1000, "{all} frames");
    let stats = receiver.stats();
    assert_eq!(stats.corrupt, 0);
    Heard {
        concealed: missed * 1000 / all,
        redundant: stats.redundant,
        bytes: stats.bytes,
        packets: stats.packets,
        recovered: stats.recovered,
        nacked: stats.nacked,
    }
}

/// One speaker and one listener, a virtual minute over ICE, DTLS and SRTP.
fn run(seed: u64, speaker: (SendConfig, LinkConfig), listener: (ReceiveConfig, LinkConfig)) -> (Heard, Heard) {
    let mut simulation = Simulation::new(seed, certificate());
    let from = simulation.join_web_rtc(speaker.1, certificate());
    let to = simulation.join_web_rtc(listener.1, certificate());
    let beside = simulation.join_web_rtc(home(), certificate());
    let both = |simulation: &Simulation| {
        [from, to, beside]
            .iter()
            .all(|one| simulation.peer(*one).is_connected())
    };
    assert!(
        simulation.run_while(ms(20_000), |simulation| !both(simulation)),
        "seed {seed}"
    );
    let sound = simulation.publish(from, speaker.0);
    let watch = simulation.watch(to, sound.track, listener.0);
    let other = simulation.watch(beside, sound.track, listens(WATCHED_OPUS_WITH_RED, true));
    simulation.run_for(ms(60_000));
    (heard(&simulation, watch), heard(&simulation, other))
}

#[test]
fn a_listener_at_ten_percent_loss_and_100_ms_hears_on() {
    let bad = loses(10.0, 50);
    for seed in 0..5 {
        let with = |codec, nack| run(seed, (speaks(OPUS), home()), (listens(codec, nack), bad));
        let (nothing, _) = with(WATCHED_OPUS, false);
        assert!(
            (60..140).contains(&nothing.concealed),
            "seed {seed}: {}",
            nothing.concealed
        );
        let (nack, _) = with(WATCHED_OPUS, true);
        assert!(nack.recovered > 100, "seed {seed}: {}", nack.recovered);
        assert!(nack.concealed < 30, "seed {seed}: {}", nack.concealed);
        let (red, beside) = with(WATCHED_OPUS_WITH_RED, false);
        assert!(red.redundant > 2000, "seed {seed}: {}", red.redundant);
        assert!(red.concealed < 10, "seed {seed}: {}", red.concealed);
        let (both, _) = with(WATCHED_OPUS_WITH_RED, true);
        assert!(both.concealed < 5, "seed {seed}: {}", both.concealed);
        assert_eq!(
            (beside.redundant, beside.concealed, beside.nacked),
            (0, 0, 0),
            "seed {seed}: who loses nothing gets nothing more"
        );
        assert!(beside.bytes / beside.packets < 90, "seed {seed}: plain sound");
        assert!(
            red.bytes / red.packets > 200,
            "seed {seed}: two packets along with each"
        );
    }
}

#[test]
fn what_the_speaker_loses_comes_with_what_follows() {
    for seed in 10..15 {
        let bad = loses(10.0, 100);
        let with = |codec| run(seed, (speaks(codec), bad), (listens(WATCHED_OPUS, true), home())).0;
        let (plain, red) = (with(OPUS), with(OPUS_WITH_RED));
        assert!(
            plain.concealed > 50,
            "seed {seed}: asking takes too long here: {}",
            plain.concealed
        );
        assert!(red.concealed < 20, "seed {seed}: {}", red.concealed);
        assert_eq!(red.redundant, 0, "seed {seed}: nobody behind sees it");
        assert!(red.bytes / red.packets < 90, "seed {seed}: plain sound");
    }
}

#[test]
fn what_the_speaker_loses_is_asked_for_where_that_is_quick() {
    for seed in 20..25 {
        let (heard, _) = run(
            seed,
            (speaks(OPUS), loses(10.0, 15)),
            (listens(WATCHED_OPUS, true), home()),
        );
        assert!(heard.concealed < 20, "seed {seed}: {}", heard.concealed);
    }
}

#[test]
fn what_comes_too_late_is_neither_asked_for_nor_sent() {
    let far = |from, to| {
        let mut simulation = Simulation::new(1, certificate());
        let (from, to) = (
            simulation.join_web_rtc(from, certificate()),
            simulation.join_web_rtc(to, certificate()),
        );
        let both = |simulation: &Simulation| [from, to].iter().all(|one| simulation.peer(*one).is_connected());
        assert!(simulation.run_while(ms(60_000), |simulation| !both(simulation)));
        let sound = simulation.publish(from, speaks(OPUS));
        let watch = simulation.watch(to, sound.track, listens(WATCHED_OPUS, true));
        simulation.run_for(ms(60_000));
        (simulation.sender(sound).stats(0).nacked, heard(&simulation, watch))
    };
    let (asked, _) = far(loses(5.0, 300), home());
    assert!(
        (2..80).contains(&asked),
        "{asked}: some of 150 are asked for, to see how long it takes"
    );
    let (asked, heard) = far(home(), loses(5.0, 400));
    assert_eq!(asked, 0);
    assert!(heard.nacked > 100, "the listener asks");
    assert_eq!(heard.recovered, 0, "and is not answered");
}

#[test]
fn redundant_sound_is_seamless_like_any_other() {
    for seed in 30..40 {
        let mut simulation = Simulation::new(seed, certificate());
        let (from, to) = (
            simulation.join_plain(home(), None),
            simulation.join_plain(loses(5.0, 20), None),
        );
        let sound = simulation.publish(
            from,
            SendConfig {
                codec: OPUS_WITH_RED,
                ..microphone(None, 50, "peer-50")
            },
        );
        let watch = simulation.watch(
            to,
            sound.track,
            ReceiveConfig {
                codecs: vec![WATCHED_OPUS_WITH_RED],
                ..loudspeaker(None, 8000)
            },
        );
        simulation.run_for(ms(20_000));
        come_to_rest(&mut simulation, &[sound]);
        let redundant = simulation.receiver(watch).stats().redundant;
        assert!(redundant > 300, "seed {seed}: {redundant}");
        assert_seamless(&simulation, watch, ms(0), seed);
    }
}
