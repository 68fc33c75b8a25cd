//! Nothing clicks: when somebody comes, goes, is muted, moves, begins to talk and hears an encode of its own.

use althing_media_core::Ssrc;
use althing_mixer::mix::place::{Layout, Position};
use althing_mixer::{Encoding, ListenerConfig, SourceConfig};

use crate::room::{PT, Room, opus_input};

/// A step of 1 % of full scale bends by as much; tones of 200 to 300 Hz at -20 dBFS by 0.0004.
const CLICK: f32 = 0.003;
/// Behind a codec there is noise as well.
const CODED_CLICK: f32 = 0.01;

/// The steepest bend, before and behind the codec, in the ticks around what `happens`.
fn around(room: &mut Room, ear: usize, what: &str, happens: impl FnOnce(&mut Room)) {
    room.run(20);
    happens(room);
    room.run(30);
    let (mixed, coded) = (room.ears[ear].bend(false, 40), room.ears[ear].bend(true, 40));
    assert!(mixed < CLICK, "{what}: {mixed}");
    assert!(coded < CODED_CLICK, "{what}, behind the codec: {coded}");
}

#[test]
fn coming_and_going_is_not_heard_as_a_click() {
    let mut room = Room::new();
    for hertz in [210.0, 270.0] {
        let mouth = room.mouth(hertz, &SourceConfig::new(opus_input()));
        room.mouths[mouth].dbfs = Some(-20.0);
    }
    let ear = room.opus_ear(None);
    room.run(50);
    let second = room.mouths[1].source;
    around(&mut room, ear, "mute", |room| {
        room.mixer.set_muted(second, true).unwrap()
    });
    let rest = room.ears[ear].hears(270.0);
    assert!(rest < -75.0, "{rest} dB");
    around(&mut room, ear, "unmute", |room| {
        room.mixer.set_muted(second, false).unwrap()
    });
    assert!(room.ears[ear].hears(270.0) > -22.0);
    around(&mut room, ear, "louder", |room| {
        room.mixer.set_gain(second, 6.0).unwrap()
    });
    assert!((room.ears[ear].hears(270.0) + 14.0).abs() < 1.5);
    around(&mut room, ear, "left", |room| {
        room.mixer.set_position(second, Position(-1.0)).unwrap()
    });
    around(&mut room, ear, "leave", |room| {
        room.mixer.remove_source(second);
        room.run(1);
        room.mouths.remove(1);
    });
    let rest = room.ears[ear].hears(270.0);
    assert!(rest < -75.0, "{rest} dB");
    assert_eq!(room.mixer.stats().sources, 1);
    around(&mut room, ear, "join", |room| {
        let mouth = room.mouth(240.0, &SourceConfig::new(opus_input()));
        room.mouths[mouth].dbfs = Some(-20.0);
    });
    assert!(room.ears[ear].hears(240.0) > -22.0);
}

/// Somebody listens to another, begins to talk, and is silent again: twice the decoder gets the packets of another
/// encoder, and what it hears of the other goes on.
#[test]
fn the_seam_between_two_encoders_is_not_heard() {
    let mut room = Room::new();
    for hertz in [250.0, 700.0] {
        room.mouth(hertz, &SourceConfig::new(opus_input()));
    }
    room.mouths[0].dbfs = Some(-20.0);
    let ear = room.opus_ear(Some(1));
    let other = room.opus_ear(None);
    room.run(50);
    let own = |room: &Room| room.mixer.listener_stats(room.ears[ear].listener).unwrap().own_encode;
    assert!(!own(&room));
    around(&mut room, ear, "begins to talk", |room| {
        room.mouths[1].dbfs = Some(-20.0)
    });
    assert!(own(&room));
    assert!(room.ears[ear].hears_decoded(700.0) < -80.0 && room.ears[other].hears_decoded(700.0) > -23.0);
    around(&mut room, ear, "falls silent", |room| {
        room.mouths[1].dbfs = None;
        room.run(60);
    });
    assert!(!own(&room));
    assert!(room.ears[ear].hears_decoded(250.0) > -23.0);
    let seqs: Vec<u16> = room.ears[ear].packets.iter().map(|packet| packet.0).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    assert!(
        room.ears[ear]
            .packets
            .windows(2)
            .all(|pair| pair[1].1 == pair[0].1.wrapping_add(960))
    );
    assert!(
        room.ears[ear]
            .packets
            .iter()
            .enumerate()
            .all(|(at, packet)| packet.2 == (at == 0))
    );
}

/// The queue of a source of samples runs dry and is filled again.
#[test]
fn samples_that_stop_fade_out() {
    let mut room = Room::new();
    let source = room
        .mixer
        .add_source(&SourceConfig::new(althing_mixer::Input::Pcm(Layout::Mono)))
        .unwrap();
    let ear = room.ear(ListenerConfig::new(Encoding::Pcm(Layout::Mono), Ssrc(1), PT));
    let (mut pcm, mut at) = ([0.0; 960], 0);
    for tick in 0..200 {
        // In the middle of a tick, too.
        let samples = match tick % 40 {
            30 => 500,
            31..=35 => 0,
            _ => 960,
        };
        crate::room::sine(250.0, -14.0, at, &mut pcm[..samples]);
        at += samples;
        assert_eq!(room.mixer.push_pcm(source, &pcm[..samples]), Ok(samples));
        room.run(1);
    }
    let bend = room.ears[ear].bend(false, 200);
    assert!(bend < CLICK, "{bend}");
    assert!(room.ears[ear].hears(250.0) > -20.0);
    // More than 200 ms is not taken.
    let taken = room.mixer.push_pcm(source, &[0.1; 48_000]).unwrap();
    assert_eq!(taken, 9600);
    assert_eq!(room.mixer.source_stats(source).unwrap().overrun, 38_400);
    assert_eq!(room.mixer.push_pcm(source, &[f32::NAN; 960]), Ok(0));
}
