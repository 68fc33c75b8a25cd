//! Each listener hears everyone but itself.

use althing_media_core::Ssrc;
use althing_mixer::mix::place::{Layout, Position};
use althing_mixer::{Encoding, ListenerConfig, Own, SourceConfig, UsageError};

use crate::room::{MONO, PT, Room, STEREO, opus_input};

/// Far enough from each other and from each other's multiples.
const TONES: [f32; 5] = [431.0, 683.0, 1013.0, 1327.0, 1609.0];

/// Five who talk and listen, and two who listen, by Opus both ways.
#[test]
fn everyone_but_oneself() {
    let mut room = Room::new();
    for hertz in TONES {
        let mouth = room.mouth(hertz, &SourceConfig::new(opus_input()));
        room.mouths[mouth].dbfs = Some(-20.0);
        // Many bits, so that what the codec adds is not taken for the own voice.
        let encoding = Encoding::Coded {
            format: MONO,
            bitrate: Some(128_000),
            expected_loss: 0,
        };
        let own = room.mouths[mouth].source.into();
        room.ear(ListenerConfig {
            own,
            ..ListenerConfig::new(encoding, Ssrc(7), PT)
        });
    }
    let silent = room.opus_ear(None);
    let stereo = room.ear(ListenerConfig::new(Encoding::of(STEREO), Ssrc(8), PT));
    room.run(150);
    for (number, ear) in room.ears.iter().enumerate() {
        for (tone, hertz) in TONES.into_iter().enumerate() {
            let (mixed, decoded) = (ear.hears(hertz), ear.hears_decoded(hertz));
            if tone == number {
                assert!(
                    mixed < -80.0 && decoded < -80.0,
                    "{number} hears itself: {mixed} and {decoded} dB"
                );
            } else {
                assert!((mixed + 20.0).abs() < 1.5, "{number} hears {tone} at {mixed} dB");
                assert!((decoded + 20.0).abs() < 3.0, "{number} hears {tone} at {decoded} dB");
            }
        }
    }
    let shared = |ear: usize| !room.mixer.listener_stats(room.ears[ear].listener).unwrap().own_encode;
    assert!(shared(silent) && shared(stereo) && !shared(0));
}

/// Also when all are mixed as samples, where nothing hides what is left of the own voice.
#[test]
fn nothing_is_left_of_the_own_voice() {
    let mut room = Room::new();
    for (hertz, position) in TONES.into_iter().zip([-1.0, -0.3, 0.0, 0.5, 1.0]) {
        let config = SourceConfig {
            position: Position(position),
            ..SourceConfig::new(opus_input())
        };
        let mouth = room.mouth(hertz, &config);
        room.mouths[mouth].dbfs = Some(-26.0);
        let own = room.mouths[mouth].source.into();
        for layout in [Layout::Mono, Layout::Stereo] {
            let encoding = Encoding::Pcm(layout);
            room.ear(ListenerConfig {
                own,
                ..ListenerConfig::new(encoding, Ssrc(1), PT)
            });
        }
    }
    room.run(100);
    // One who is alone in what it says hears nothing at all.
    for mouth in &mut room.mouths[1..] {
        mouth.dbfs = None;
    }
    room.run(100);
    for channel in [0, 1] {
        let rest = room.ears[1].last(false, channel, 25);
        let rest = rest.iter().fold(0.0_f32, |rest, sample| rest.max(sample.abs()));
        assert!(rest < 1e-6, "{rest} is left of the own voice");
    }
    assert!((room.ears[2].hears(TONES[0]) + 26.0).abs() < 1.5);
    // At the left, 3 dB more than in the middle; at the right nothing.
    let left = crate::room::level_of(TONES[0], &room.ears[3].last(false, 0, 25));
    let right = crate::room::level_of(TONES[0], &room.ears[3].last(false, 1, 25));
    assert!((left + 23.0).abs() < 1.5 && right < -100.0, "{left} and {right} dB");
}

/// Twenty at once at -9 dBFS: what is encoded stays below -1 dBFS.
#[test]
fn twenty_talkers_stay_under_the_ceiling() {
    let mut config = althing_mixer::MixerConfig {
        level: None,
        ..<_>::default()
    };
    config.select.loudest = 20;
    let mut room = Room::with(config);
    for number in 0_u8..20 {
        let mouth = room.mouth(250.0 + 63.0 * f32::from(number), &SourceConfig::new(opus_input()));
        room.mouths[mouth].dbfs = Some(-9.0);
    }
    let ear = room.opus_ear(None);
    room.run(100);
    let peak = room.ears[ear]
        .mixed
        .iter()
        .fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let peak = althing_mixer::mix::decibels(peak);
    assert!(peak < -1.0 && peak > -4.0, "{peak} dBFS");
    assert_eq!(room.mixer.stats().heard, 20);
}

/// Who was 26 dB quieter is as loud as the other after some seconds.
#[test]
fn quiet_and_loud_talkers_become_equal() {
    let mut room = Room::with(<_>::default());
    for (hertz, dbfs) in [(500.0, -32.0), (700.0, -8.0)] {
        let mouth = room.mouth(hertz, &SourceConfig::new(opus_input()));
        room.mouths[mouth].dbfs = Some(dbfs);
    }
    let ear = room.opus_ear(None);
    room.run(600);
    let (quiet, loud) = (room.ears[ear].hears(500.0), room.ears[ear].hears(700.0));
    assert!((quiet - loud).abs() < 2.0, "{quiet} and {loud} dB");
}

/// Who speaks and shares the sound of a screen hears neither, and goes on hearing both kinds of others.
#[test]
fn all_own_voices_are_left_out() {
    let mut room = Room::new();
    for hertz in TONES {
        let mouth = room.mouth(hertz, &SourceConfig::new(opus_input()));
        room.mouths[mouth].dbfs = Some(-20.0);
    }
    let voices = [0, 2, 3, 4].map(|mouth| room.mouths[mouth].source);
    let mut own = Own::NONE;
    for voice in voices {
        own.add(voice).unwrap();
        own.add(voice).unwrap();
    }
    assert_eq!(own.add(room.mouths[1].source), Err(UsageError::Full));
    let ear = room.ear(ListenerConfig {
        own,
        ..ListenerConfig::new(Encoding::Pcm(Layout::Mono), Ssrc(1), PT)
    });
    let heard = |room: &Room| TONES.map(|hertz| room.ears[ear].hears(hertz) > -60.0);
    room.run(100);
    assert_eq!(heard(&room), [false, true, false, false, false]);
    // The screen is shared no more, and another one speaks now.
    room.mixer.set_own(room.ears[ear].listener, voices[0].into()).unwrap();
    room.run(100);
    assert_eq!(heard(&room), [false, true, true, true, true]);
    // Who is silent with one of its voices is still without the others.
    room.mouths[0].dbfs = None;
    room.mixer.set_own(room.ears[ear].listener, own).unwrap();
    room.run(150);
    assert_eq!(heard(&room), [false, true, false, false, false]);
}
