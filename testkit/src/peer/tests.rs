//! Two sessions with nothing but a network between them: what a viewer sees when no router is there.

use std::time::{Duration, Instant};

use althing_media_core::config::LayerTarget;
use althing_media_core::packet::{Extension, ExtensionMap, Pt, Ssrc};
use althing_media_core::time::NtpTime;
use althing_media_core::{Codec, CodecParams, StreamIds};

use super::*;
use crate::clock::Clock;
use crate::network::{Chance, Link, LinkConfig};

const VIDEO: StreamIds = StreamIds::new(Ssrc(100)).with_rtx(Some(Ssrc(101)));
const AUDIO: StreamIds = StreamIds::new(Ssrc(200));
const VP8: CodecParams = CodecParams {
    codec: Codec::Vp8,
    pt: Pt::new(96),
    rtx: Some(Pt::new(97)),
    red: None,
    fec: None,
};
const OPUS: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));

fn sends(codec: CodecParams, stream: StreamIds, pattern: Pattern) -> SendConfig {
    SendConfig {
        mid: None,
        codec,
        extensions: ExtensionMap::new().with(Extension::AudioLevel, 1),
        pattern,
        encodings: vec![EncodingConfig { rid: None, stream }],
        cname: "camera".to_owned(),
    }
}

fn receives(codec: CodecParams, stream: StreamIds) -> ReceiveConfig {
    ReceiveConfig {
        mid: None,
        stream,
        codecs: vec![codec],
        extensions: ExtensionMap::new(),
        cname: "camera".to_owned(),
        nack: true,
        ccfb: false,
        pli: true,
        view: true,
        layers: LayerTarget::BEST,
    }
}

/// A publisher and a watcher; ten virtual seconds.
fn watch(seed: u64, network: LinkConfig) -> (Session, Session) {
    let mut clock = Clock::new();
    let wall = NtpTime::from_unix(Duration::from_secs(1_800_000_000));
    let mut publisher = Session::new(clock.now(), seed, wall);
    let mut watcher = Session::new(clock.now(), seed + 1, wall);
    publisher.send(clock.now(), sends(VP8, VIDEO, Pattern::Video(VideoPattern::default())));
    publisher.send(clock.now(), sends(OPUS, AUDIO, Pattern::Audio(AudioPattern::default())));
    watcher.receive(receives(VP8, VIDEO));
    watcher.receive(receives(OPUS, AUDIO));
    let (mut down, mut up) = (Link::new(seed, network), Link::new(seed + 1, network));
    let end = clock.now() + Duration::from_secs(10);
    while clock.now() < end {
        let now = clock.now();
        if now + Duration::from_secs(1) > end {
            // Time to repair what the last frames have lost.
            publisher.sender_mut(0).unwrap().set_muted(true);
        }
        publisher.handle_timeout(now);
        watcher.handle_timeout(now);
        while let Some(packet) = publisher.poll_packet() {
            down.handle_input(now, packet);
        }
        while let Some(packet) = down.poll_output(now) {
            watcher.handle_packet(now, &packet);
        }
        while let Some(packet) = watcher.poll_packet() {
            up.handle_input(now, packet);
        }
        while let Some(packet) = up.poll_output(now) {
            publisher.handle_packet(now, &packet);
        }
        let sessions = [publisher.next_timeout(), watcher.next_timeout()];
        let links = [up.next_timeout(), down.next_timeout()].into_iter().flatten();
        clock.advance_to(sessions.into_iter().chain(links).fold(end, Instant::min));
    }
    (publisher, watcher)
}

#[test]
fn a_good_network_shows_everything() {
    let (publisher, watcher) = watch(1, LinkConfig::delay(Duration::from_millis(20)));
    let [video, audio] = watcher.receivers() else {
        panic!("two streams")
    };
    let sent = publisher.senders()[0].stats(0);
    assert_eq!((sent.frames, sent.keyframes), (271, 1));
    assert_eq!(video.viewer().shown().len(), 271);
    assert_eq!(video.viewer().faults(), []);
    assert!(video.viewer().longest_freeze() < Duration::from_millis(40));
    assert_eq!(
        (
            audio.stats().packets,
            audio.stats().corrupt,
            audio.viewer().faults().len()
        ),
        (499, 0, 0)
    );
    assert_eq!((video.stats().lost, video.missing(), video.stats().nacked), (0, 0, 0));
    assert!(sent.reports >= 9 && video.stats().sender_reports >= 9);
    assert_eq!((watcher.stats().unknown, watcher.stats().malformed), (0, 0));
}

#[test]
fn lost_packets_come_again() {
    let network = LinkConfig {
        loss: Chance::percent(5.0),
        ..LinkConfig::delay(Duration::from_millis(50))
    };
    for seed in 0..20 {
        let (publisher, watcher) = watch(seed, network);
        let video = &watcher.receivers()[0];
        assert!(video.stats().recovered > 10, "{:?}", video.stats());
        assert_eq!(video.stats().lost, 0, "seed {seed}");
        assert!(publisher.senders()[0].stats(0).retransmitted >= u32::try_from(video.stats().recovered).unwrap());
        assert_eq!(video.viewer().faults(), []);
        assert!(
            video.viewer().longest_freeze() < Duration::from_millis(500),
            "seed {seed}"
        );
    }
}

#[test]
fn both_media_clocks_mean_the_same_wall_clock() {
    let (_, watcher) = watch(3, LinkConfig::default());
    for receiver in watcher.receivers() {
        for shown in receiver.viewer().shown() {
            let wall = receiver.wall_time(shown.timestamp).unwrap();
            let captured = NtpTime(u64::try_from((u128::from(shown.body.captured) << 32) / 1_000_000).unwrap());
            assert!(wall.seconds_since(captured).abs() < 0.000_1);
        }
    }
}

#[test]
fn a_viewer_sees_what_a_bad_router_does() {
    let packets = |tamper: &dyn Fn(usize, &mut Vec<u8>) -> bool| {
        let now = Instant::now();
        let mut publisher = Session::new(now, 5, NtpTime::from_unix(Duration::from_secs(1)));
        let mut watcher = Session::new(now, 6, NtpTime::from_unix(Duration::from_secs(1)));
        publisher.send(now, sends(VP8, VIDEO, Pattern::Video(VideoPattern::default())));
        watcher.receive(receives(VP8, VIDEO));
        publisher.handle_timeout(now + Duration::from_secs(3));
        let mut count = 0;
        while let Some(mut packet) = publisher.poll_packet() {
            if tamper(count, &mut packet) {
                watcher.handle_packet(now, &packet);
            }
            count += 1;
        }
        let video = &watcher.receivers()[0];
        (*video.stats(), video.missing(), video.viewer().faults())
    };
    let (stats, missing, faults) = packets(&|_, _| true);
    assert_eq!((stats.corrupt, missing, faults.len()), (0, 0, 0));
    assert_eq!(packets(&|n, _| n != 20).1, 1, "a gap");
    let (stats, ..) = packets(&|n, packet| {
        let last = packet.len() - 1;
        packet[last] ^= u8::from(n == 20);
        true
    });
    assert_eq!(stats.corrupt, 1, "a changed byte");
    let (.., faults) = packets(&|n, packet| {
        packet[4] ^= if n == 20 { 1 } else { 0 };
        true
    });
    assert!(!faults.is_empty(), "another timestamp");
    let (.., faults) = packets(&|n, packet| {
        packet[12 + 4] ^= if n >= 60 { 1 } else { 0 };
        true
    });
    assert!(
        faults.iter().any(|fault| matches!(fault, Fault::BaseLayerIndex { .. })),
        "{faults:?}"
    );
    let (.., faults) = packets(&|n, packet| {
        packet[12 + 3] ^= if n >= 60 { 1 } else { 0 };
        true
    });
    assert!(!faults.is_empty(), "other picture ids");
}
