//! Languages, announcements, levels that are told and levels that are not.

use std::time::Duration;

use althing_media_core::{RtpTime, Ssrc};
use althing_mixer::mix::duck::DuckConfig;
use althing_mixer::mix::place::Layout;
use althing_mixer::mix::sound::Sound;
use althing_mixer::{Audience, ChannelConfig, ChannelId, Encoding, ListenerConfig, SourceConfig, UsageError};

use crate::room::{PT, Room, opus_input};

const FLOOR: f32 = 500.0;
const INTERPRETER: f32 = 900.0;

#[test]
fn an_interpreted_meeting() {
    let mut room = Room::new();
    let over_floor = Some(DuckConfig::default());
    let channel = room
        .mixer
        .add_channel(ChannelConfig {
            name: "is".to_owned(),
            over_floor,
        })
        .unwrap();
    assert_eq!(room.mixer.channel("is"), Some(channel));
    assert_eq!(room.mixer.channel(""), Some(ChannelId::FLOOR));
    room.mouth(FLOOR, &SourceConfig::new(opus_input()));
    room.mouth(
        INTERPRETER,
        &SourceConfig {
            channel,
            ..SourceConfig::new(opus_input())
        },
    );
    let encoding = Encoding::Pcm(Layout::Mono);
    let config = ListenerConfig::new(encoding, Ssrc(1), PT);
    let (speaker, interpreter) = (room.mouths[0].source, room.mouths[1].source);
    let on_floor = room.ear(config);
    let in_channel = room.ear(ListenerConfig { channel, ..config });
    let speaker_in_channel = room.ear(ListenerConfig {
        channel,
        own: speaker.into(),
        ..config
    });
    let interpreter_on_floor = room.ear(ListenerConfig {
        own: interpreter.into(),
        ..config
    });
    let levels = |room: &Room, ear: usize| (room.ears[ear].hears(FLOOR), room.ears[ear].hears(INTERPRETER));
    let near = |(a, b): (f32, f32), (c, d): (f32, f32)| {
        let close = |is: f32, should: f32| {
            if should < -90.0 {
                is < -80.0
            } else {
                (is - should).abs() < 1.5
            }
        };
        assert!(close(a, c) && close(b, d), "{a} and {b} instead of {c} and {d} dB");
    };
    // Only the floor talks.
    room.mouths[0].dbfs = Some(-20.0);
    room.run(100);
    near(levels(&room, on_floor), (-20.0, -100.0));
    near(levels(&room, in_channel), (-20.0, -100.0));
    near(levels(&room, speaker_in_channel), (-100.0, -100.0));
    near(levels(&room, interpreter_on_floor), (-20.0, -100.0));
    // Both.
    room.mouths[1].dbfs = Some(-20.0);
    room.run(100);
    near(levels(&room, on_floor), (-20.0, -100.0));
    near(levels(&room, in_channel), (-38.0, -20.0));
    near(levels(&room, speaker_in_channel), (-100.0, -20.0));
    near(levels(&room, interpreter_on_floor), (-20.0, -100.0));
    // The interpreter hears the floor with all others: there is nothing of itself in it.
    let stats = |room: &Room, ear: usize| room.mixer.listener_stats(room.ears[ear].listener).unwrap();
    assert!(!stats(&room, interpreter_on_floor).own_encode && stats(&room, speaker_in_channel).own_encode);
    // The interpreter falls silent, and the floor comes back.
    room.mouths[1].dbfs = None;
    room.run(250);
    near(levels(&room, in_channel), (-20.0, -100.0));
    assert!(room.ears[in_channel].bend(false, 400) < 0.004);
    // Who goes over to another channel fades over.
    room.mouths[1].dbfs = Some(-20.0);
    room.run(50);
    room.mixer.set_channel(room.ears[on_floor].listener, channel).unwrap();
    room.run(50);
    near(levels(&room, on_floor), (-38.0, -20.0));
    assert!(room.ears[on_floor].bend(false, 60) < 0.004);
    assert_eq!(room.mixer.remove_channel(channel), Err(UsageError::InUse));
    assert_eq!(room.mixer.remove_channel(ChannelId::FLOOR), Err(UsageError::InUse));
    room.mixer.remove_source(interpreter);
    for ear in [on_floor, in_channel, speaker_in_channel] {
        room.mixer.remove_listener(room.ears[ear].listener);
    }
    room.mouths.remove(1);
    room.run(2);
    assert_eq!(room.mixer.remove_channel(channel), Ok(()));
    assert_eq!(room.mixer.remove_channel(channel), Err(UsageError::NoChannel));
}

#[test]
fn announcements_are_for_all_or_for_one() {
    let mut room = Room::new();
    let encoding = Encoding::of(crate::room::MONO);
    let ears = [1, 2].map(|ssrc| room.ear(ListenerConfig::new(encoding, Ssrc(ssrc), PT)));
    let tone = |hertz| Sound::tone(hertz, Duration::from_millis(800), -20.0);
    room.run(10);
    room.mixer
        .play(Audience::Channel(ChannelId::FLOOR), &tone(600.0))
        .unwrap();
    room.mixer
        .play(Audience::Listener(room.ears[ears[1]].listener), &tone(1000.0))
        .unwrap();
    room.run(35);
    for ear in ears {
        assert!((room.ears[ear].hears(600.0) + 20.0).abs() < 1.0);
    }
    let (other, one) = (room.ears[ears[0]].hears(1000.0), room.ears[ears[1]].hears(1000.0));
    assert!(other < -80.0 && (one + 20.0).abs() < 1.0, "{other} and {one} dB");
    room.run(60);
    assert!(
        room.ears[ears[1]]
            .last(false, 0, 10)
            .iter()
            .all(|sample| *sample == 0.0)
    );
    assert!(
        !room
            .mixer
            .listener_stats(room.ears[ears[1]].listener)
            .unwrap()
            .own_encode
    );
    for _ in 0..althing_mixer::mixer::MAX_SOUNDS {
        room.mixer
            .play(Audience::Channel(ChannelId::FLOOR), &tone(300.0))
            .unwrap();
    }
    assert_eq!(
        room.mixer.play(Audience::Channel(ChannelId::FLOOR), &tone(300.0)),
        Err(UsageError::Full)
    );
}

/// The first syllable of who begins to talk is there from its beginning: its energy is that of any later one, whether its
/// packets tell the level or not.
#[test]
fn no_first_syllable_is_lost() {
    for tells_level in [true, false] {
        let mut room = Room::new();
        room.mouth(500.0, &SourceConfig::new(opus_input()));
        room.mouths[0].tells_level = tells_level;
        let ear = room.ear(ListenerConfig::new(Encoding::Pcm(Layout::Mono), Ssrc(1), PT));
        room.run(100);
        let mut energies = Vec::new();
        for _ in 0..3 {
            room.mouths[0].dbfs = Some(-20.0);
            room.run(10);
            room.mouths[0].dbfs = None;
            room.run(90);
            let pcm = room.ears[ear].last(false, 0, 100);
            energies.push(pcm.iter().map(|sample| sample * sample).sum::<f32>());
        }
        // Ten ticks of a sine of amplitude 0.1.
        for energy in energies {
            assert!(
                (energy / 48.0 - 1.0).abs() < 0.12,
                "{energy} instead of 48, {tells_level}"
            );
        }
    }
}

#[test]
fn who_is_late_misses_time_and_not_more() {
    let mut room = Room::new();
    let ear = room.ear(ListenerConfig {
        seq: 65_535,
        timestamp: RtpTime(u32::MAX),
        ..ListenerConfig::new(Encoding::Pcm(Layout::Mono), Ssrc(1), PT)
    });
    room.run(2);
    // Too early: nothing. One tick late: two ticks.
    assert_eq!(room.mixer.tick(room.now - Duration::from_millis(1)).count(), 0);
    room.now += Duration::from_millis(20);
    room.run(1);
    room.now -= Duration::from_millis(20);
    room.run(1);
    assert_eq!(room.mixer.tick(room.now - Duration::from_millis(20)).count(), 0);
    // A second late.
    room.now += Duration::from_secs(1);
    room.run(1);
    let packets: Vec<_> = room.ears[ear]
        .packets
        .iter()
        .map(|(seq, time, _)| (*seq, *time))
        .collect();
    let ticks = |ticks: u32| u32::MAX.wrapping_add(960 * ticks);
    assert_eq!(
        packets,
        [
            (65_535, ticks(0)),
            (0, ticks(1)),
            (1, ticks(2)),
            (2, ticks(3)),
            (3, ticks(54))
        ]
    );
    assert_eq!(room.mixer.stats().missed_ticks, 50);
}

#[test]
fn who_had_no_listener_was_not_late() {
    let mut room = Room::new();
    let ear = room.ear(ListenerConfig::new(Encoding::Pcm(Layout::Mono), Ssrc(1), PT));
    room.run(1);
    room.now += Duration::from_secs(1);
    room.mixer.resume(room.now);
    room.run(1);
    let stats = room.mixer.stats();
    assert_eq!((stats.missed_ticks, stats.ticks_without_denoise), (0, 0));
    // Media time has passed all the same.
    let times: Vec<u32> = room.ears[ear].packets.iter().map(|(_, time, _)| *time).collect();
    assert!(times[1].wrapping_sub(times[0]) >= 48_000, "{times:?}");
}
