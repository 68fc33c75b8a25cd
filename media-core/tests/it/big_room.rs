//! A room with many microphones, of which only the loudest are forwarded.

use std::collections::HashMap;

use althing_media_core::config::LayerTarget;
use althing_media_core::{StageConfig, StageId};
use althing_testkit::network::{LinkConfig, Rate};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, loudspeaker, microphone, screen};
use althing_testkit::rng::Rng;
use althing_testkit::simulation::{Publication, Simulation, Watch};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms};

/// Quiet, and as loud as somebody who speaks.
const QUIET: u8 = 70;
const VOICE: u8 = 22;
const STAGE: StageId = StageId(7);

struct Room {
    simulation: Simulation,
    microphones: Vec<Publication>,
    /// What one listener gets of each.
    heard: Vec<Watch>,
}

/// Thirty people with open microphones, and one who listens; the `loudest` are heard.
fn room(seed: u64, loudest: Option<usize>) -> Room {
    let mut simulation = Simulation::new(seed, certificate());
    let listener = simulation.join_plain(home(), None);
    let (mut microphones, mut heard) = (Vec::new(), Vec::new());
    for number in 0..30 {
        let member = simulation.join_plain(home(), None);
        let sound = simulation.publish(member, microphone(None, 50, "peer"));
        simulation.sender_mut(sound).set_level(QUIET);
        let now = simulation.now();
        let stage = loudest.map(|loudest| (STAGE, StageConfig::new(loudest)));
        simulation.router.set_stage(now, sound.track, stage);
        heard.push(simulation.watch(listener, sound.track, loudspeaker(None, 8000 + number)));
        microphones.push(sound);
    }
    simulation.run_for(ms(1000));
    Room {
        simulation,
        microphones,
        heard,
    }
}

impl Room {
    fn set_level(&mut self, who: usize, level: u8) {
        self.simulation.sender_mut(self.microphones[who]).set_level(level);
    }

    /// The number of the last frame that `who` has sent.
    fn sent(&self, who: usize) -> u32 {
        self.simulation.sender(self.microphones[who]).stats(0).frames - 1
    }

    /// The numbers of the frames of `who` that have come.
    fn frames(&self, who: usize) -> Vec<u32> {
        let receiver = self.simulation.receiver(self.heard[who]);
        receiver.viewer().shown().iter().map(|shown| shown.body.frame).collect()
    }

    fn packets(&self) -> u64 {
        let receivers = self.heard.iter().map(|watch| self.simulation.receiver(*watch));
        receivers.map(|receiver| receiver.stats().packets).sum()
    }
}

#[test]
fn one_speaks_after_another_and_no_first_syllable_is_lost() {
    for seed in 0..5 {
        let mut room = room(seed, Some(3));
        assert_eq!(room.packets(), 0, "seed {seed}: nobody speaks");
        let mut rng = Rng::new(seed);
        for _ in 0..20 {
            let who = rng.index(30);
            let (first, before) = (room.sent(who) + 1, room.frames(who).len());
            room.set_level(who, VOICE);
            room.simulation.run_for(ms(2000));
            room.set_level(who, QUIET);
            let last = room.sent(who);
            room.simulation.run_for(ms(200));
            let frames = &room.frames(who)[before..];
            assert!(
                frames.first().is_some_and(|frame| *frame <= first),
                "seed {seed}: the beginning"
            );
            assert!(
                (first..=last).all(|frame| frames.contains(&frame)),
                "seed {seed}: all that was said"
            );
        }
        let microphones = room.microphones.clone();
        come_to_rest(&mut room.simulation, &microphones);
        for (who, watch) in room
            .heard
            .iter()
            .enumerate()
            .filter(|(who, _)| !room.frames(*who).is_empty())
        {
            let stats = *room.simulation.receiver(*watch).stats();
            assert_eq!(
                (stats.lost, stats.nacked, stats.leaps),
                (0, 0, 0),
                "seed {seed}: {who} has no gap"
            );
        }
    }
}

#[test]
fn many_at_once_cost_no_more_than_the_loudest() {
    let mut room = room(50, Some(3));
    for who in 0..30 {
        room.set_level(who, VOICE + u8::try_from(who % 10).unwrap());
    }
    room.simulation.run_for(ms(500));
    let before = room.packets();
    room.simulation.run_for(ms(10_000));
    let packets = room.packets() - before;
    assert!(
        (1450..=1550).contains(&packets),
        "{packets}: three of thirty voices are 1500 packets"
    );
    let voices: HashMap<usize, usize> = (0..30)
        .map(|who| (who, room.frames(who).len()))
        .filter(|(_, frames)| *frames > 400)
        .collect();
    assert_eq!(voices.len(), 3, "they do not take turns: {voices:?}");
    // Who is heard keeps its place against who is louder by less than 6 dB.
    assert!(voices.keys().all(|who| who % 10 <= 6), "the loudest: {voices:?}");
}

#[test]
fn off_the_stage_all_are_heard() {
    let mut room = room(60, None);
    let before = room.packets();
    room.simulation.run_for(ms(1000));
    let packets = room.packets() - before;
    assert!((1400..=1600).contains(&packets), "{packets}");
    let now = room.simulation.now();
    for sound in &room.microphones {
        room.simulation
            .router
            .set_stage(now, sound.track, Some((STAGE, StageConfig::new(2))));
    }
    room.simulation.run_for(ms(100));
    let before = room.packets();
    room.simulation.run_for(ms(1000));
    assert_eq!(room.packets(), before, "and on it who speaks");
    let now = room.simulation.now();
    for sound in &room.microphones {
        room.simulation.router.set_stage(now, sound.track, None);
    }
    room.simulation.run_for(ms(1000));
    for watch in &room.heard {
        assert_seamless(&room.simulation, *watch, ms(1200), 60);
    }
}

#[test]
fn who_is_not_heard_takes_no_room_of_a_line() {
    let mut simulation = Simulation::new(70, certificate());
    // Thirty microphones at once would take more than all of it.
    let line = LinkConfig {
        rate: Some(Rate::bits(1_000_000)),
        ..LinkConfig::delay(ms(25))
    };
    let listener = simulation.join_web_rtc(line, certificate());
    for number in 0..30 {
        let member = simulation.join_plain(home(), None);
        let sound = simulation.publish(member, microphone(None, 50, "peer"));
        simulation.sender_mut(sound).set_level(QUIET);
        let now = simulation.now();
        simulation
            .router
            .set_stage(now, sound.track, Some((STAGE, StageConfig::new(1))));
        let mid = number.to_string();
        simulation.watch(listener, sound.track, loudspeaker(Some(&mid), 8000 + number));
    }
    let pattern = VideoPattern {
        frame_bytes: 1500,
        ..VideoPattern::default()
    };
    let member = simulation.join_plain(home(), None);
    let video = simulation.publish(member, camera(None, 1, 1, pattern));
    let watch = simulation.watch(listener, video.track, screen(Some("v"), 7000));
    simulation.run_for(ms(15_000));
    let stats = simulation.router.subscription_stats(watch.subscription).unwrap();
    assert_eq!(stats.granted, Some(LayerTarget::BEST));
}
