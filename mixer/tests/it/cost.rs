//! What is not done: decoding who is silent, encoding what is encoded already.

use std::time::Duration;

use althing_media_core::Ssrc;
use althing_mixer::{Encoding, ListenerConfig, SourceConfig};

use crate::room::{MONO, PT, Room, STEREO, opus_input};

#[test]
fn only_the_loud_are_decoded_and_the_silent_share_one_encode() {
    let mut room = Room::new();
    for number in 0_u8..20 {
        let mouth = room.mouth(300.0 + 50.0 * f32::from(number), &SourceConfig::new(opus_input()));
        room.opus_ear(Some(mouth));
    }
    for mouth in [3, 7, 11] {
        room.mouths[mouth].dbfs = Some(-20.0);
    }
    let stereo = ListenerConfig::new(Encoding::of(STEREO), Ssrc(1), PT);
    let slow = Encoding::Coded {
        format: MONO,
        bitrate: Some(16_000),
        expected_loss: 0,
    };
    let slow = ListenerConfig::new(slow, Ssrc(2), PT);
    for config in [stereo, stereo, slow, slow] {
        room.ear(config);
    }
    room.run(50);
    let before = room.mixer.stats();
    room.run(100);
    let after = room.mixer.stats();
    assert_eq!((after.heard, after.talkers), (3, 3));
    assert_eq!(after.pulled - before.pulled, 300, "three sources");
    assert_eq!(
        after.encoded_shared - before.encoded_shared,
        300,
        "mono, stereo, mono at 16 kbit/s"
    );
    assert_eq!(after.encoded_own - before.encoded_own, 300, "three who talk");
    assert_eq!((after.late_encoders, after.encode_errors), (0, 0));
    let bytes = |ear: usize| room.mixer.listener_stats(room.ears[ear].listener).unwrap().bytes;
    assert!(bytes(22) * 3 < bytes(0) * 2, "{} and {} bytes", bytes(22), bytes(0));
    // Those who are silent get the very same bytes.
    let now = room.now;
    let payloads: Vec<_> = room.mixer.tick(now).map(|packet| packet.payload).collect();
    assert_eq!(payloads.len(), 24);
    let same = payloads
        .iter()
        .filter(|payload| payload.as_ptr() == payloads[0].as_ptr())
        .count();
    assert_eq!(same, 17);
}

/// Who does not tell its level is decoded all the time, and heard when it is loud.
#[test]
fn who_tells_no_level_is_measured() {
    let mut room = Room::new();
    for hertz in [400.0, 700.0, 1100.0] {
        let mouth = room.mouth(hertz, &SourceConfig::new(opus_input()));
        room.mouths[mouth].tells_level = false;
    }
    let ear = room.opus_ear(None);
    room.mouths[1].dbfs = Some(-20.0);
    room.run(100);
    let stats = room.mixer.stats();
    assert_eq!((stats.heard, stats.pulled), (1, 300));
    assert!(room.ears[ear].hears(700.0) > -22.0);
    let minus_dbov = |mouth: usize| room.mixer.source_stats(room.mouths[mouth].source).unwrap().minus_dbov;
    assert!(minus_dbov(0) > 90 && minus_dbov(1).abs_diff(23) < 2);
}

/// Too much to do: noise suppression goes first, then levelling, then talkers; and all comes back.
#[test]
fn overload_sheds_in_order() {
    let mut room = Room::with(<_>::default());
    for hertz in [300.0, 500.0, 700.0, 900.0] {
        let config = SourceConfig {
            denoise: true,
            ..SourceConfig::new(opus_input())
        };
        let mouth = room.mouth(hertz, &config);
        room.mouths[mouth].dbfs = Some(-20.0);
    }
    room.opus_ear(None);
    let mut run = |ticks: usize, took: u64| {
        for _ in 0..ticks {
            room.run(1);
            room.mixer.took(Duration::from_millis(took));
        }
        let stats = room.mixer.stats();
        let shed = (
            stats.ticks_without_denoise,
            stats.ticks_without_level,
            stats.ticks_with_fewer_talkers,
        );
        (stats.heard, shed)
    };
    assert_eq!(run(50, 1), (4, (0, 0, 0)));
    assert_eq!(run(12, 18), (3, (9, 6, 3)));
    assert_eq!(run(3, 18).0, 1);
    let (heard, shed) = run(1300, 1);
    assert_eq!(heard, 4);
    assert_eq!(run(50, 1), (4, shed), "nothing is left out any more");
}
