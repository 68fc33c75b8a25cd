use std::time::Duration;

use super::*;
use crate::payload::{Codec, peek};

/// A VP8 packet: 15-bit picture id, `TL0PICIDX`, temporal layer, start of a key or delta frame.
fn vp8(picture_id: u16, tl0: u8, tid: u8, key: bool) -> Info {
    let [high, low] = (0x8000 | picture_id).to_be_bytes();
    let payload = [0x90, 0xe0, high, low, tl0, tid << 6 | 0x20, u8::from(!key), 0, 0];
    peek(Codec::Vp8, &payload)
}

fn meta(encoding: u8, seq: u64, timestamp: u32, info: Info) -> Meta {
    Meta {
        encoding,
        seq: SeqNo(seq),
        timestamp: RtpTime(timestamp),
        info,
        empty: false,
    }
}

struct Subscriber {
    forwarder: Forwarder,
    now: Instant,
}

impl Subscriber {
    fn new(target: LayerTarget, live: &[u8]) -> Self {
        let mut forwarder = Forwarder::new(MediaKind::Video, Ssrc(0), target);
        let mut set = LayerSet::default();
        live.iter().for_each(|layer| set.insert(*layer));
        forwarder.set_live(set);
        Self {
            forwarder,
            now: Instant::now(),
        }
    }

    /// Sequence number, timestamp, picture id, `TL0PICIDX` as the receiver sees them.
    fn get(&mut self, meta: Meta) -> Option<(u16, u32, u16, u8)> {
        match self.forwarder.interest(&meta) {
            Interest::None => return None,
            Interest::Starts => self.forwarder.start(self.now, &meta, 90_000, None),
            Interest::Continues => {}
        }
        let rewrite = self.forwarder.forward(self.now, &meta)?;
        let patch = rewrite.patch.expect("VP8 has picture ids");
        Some((
            rewrite.seq.wire(),
            rewrite.timestamp.0,
            patch.picture_id,
            patch.tl0_pic_idx,
        ))
    }
}

#[test]
fn begins_with_a_keyframe_and_passes_numbers_through() {
    let mut subscriber = Subscriber::new(LayerTarget::BEST, &[0]);
    assert_eq!(subscriber.get(meta(0, 100, 9000, vp8(50, 7, 0, false))), None);
    assert_eq!(subscriber.forwarder.waits_for(), Some(0));
    assert_eq!(
        subscriber.get(meta(0, 101, 12_000, vp8(51, 8, 0, true))),
        Some((0, 12_000, 51, 8))
    );
    assert_eq!(
        subscriber.get(meta(0, 102, 15_000, vp8(52, 9, 0, false))),
        Some((1, 15_000, 52, 9))
    );
    assert_eq!(subscriber.forwarder.waits_for(), None);
}

#[test]
fn a_switch_is_seamless() {
    let mut subscriber = Subscriber::new(LayerTarget::BEST, &[0]);
    assert_eq!(
        subscriber.get(meta(0, 100, 9000, vp8(50, 7, 0, true))),
        Some((0, 9000, 50, 7))
    );
    let mut both = LayerSet::default();
    both.insert(0);
    both.insert(1);
    subscriber.forwarder.set_live(both);
    assert_eq!(subscriber.forwarder.waits_for(), Some(1));
    subscriber.now += Duration::from_millis(33);
    assert_eq!(
        subscriber.get(meta(1, 60_000, 777, vp8(3, 200, 0, false))),
        None,
        "no keyframe yet"
    );
    assert_eq!(
        subscriber.get(meta(0, 101, 12_000, vp8(51, 8, 0, false))),
        Some((1, 12_000, 51, 8))
    );
    subscriber.now += Duration::from_millis(33);
    assert_eq!(
        subscriber.get(meta(1, 60_001, 3_777, vp8(4, 201, 0, true))),
        Some((2, 14_970, 52, 9))
    );
    assert_eq!(
        subscriber.get(meta(0, 102, 15_000, vp8(52, 9, 0, false))),
        None,
        "the old encoding is left"
    );
    assert_eq!(
        subscriber.get(meta(1, 60_002, 6_777, vp8(5, 202, 0, false))),
        Some((3, 17_970, 53, 10))
    );
    subscriber.forwarder.set_target(LayerTarget {
        spatial: 0,
        temporal: u8::MAX,
    });
    assert_eq!(subscriber.forwarder.waits_for(), Some(0));
    assert_eq!(
        subscriber.get(meta(1, 60_003, 9_777, vp8(6, 203, 0, false))),
        Some((4, 20_970, 54, 11))
    );
}

#[test]
fn dropped_temporal_layers_leave_no_gap() {
    let mut subscriber = Subscriber::new(
        LayerTarget {
            spatial: 0,
            temporal: 0,
        },
        &[0],
    );
    let stream = [
        (0, true, Some((0, 100, 10))),
        (2, false, None),
        (1, false, None),
        (2, false, None),
        (0, false, Some((1, 101, 11))),
        (2, false, None),
        (1, false, None),
        (2, false, None),
        (0, false, Some((2, 102, 12))),
    ];
    let mut tl0 = 9;
    for (n, (tid, key, expected)) in (0_u16..).zip(stream) {
        tl0 += u8::from(tid == 0);
        let info = vp8(100 + n, tl0, tid, key);
        let got = subscriber.get(meta(0, 500 + u64::from(n), u32::from(n) * 3000, info));
        assert_eq!(got.map(|(seq, _, picture, tl0)| (seq, picture, tl0)), expected, "{n}");
    }
}

#[test]
fn a_late_packet_that_is_not_wanted_is_filled_in() {
    let mut subscriber = Subscriber::new(
        LayerTarget {
            spatial: 0,
            temporal: 0,
        },
        &[0],
    );
    subscriber.get(meta(0, 10, 0, vp8(1, 1, 0, true)));
    assert_eq!(
        subscriber.get(meta(0, 12, 6000, vp8(3, 2, 0, false))).map(|got| got.0),
        Some(2)
    );
    let late = meta(0, 11, 3000, vp8(2, 1, 2, false));
    let rewrite = subscriber
        .forwarder
        .forward(subscriber.now, &late)
        .expect("its number is taken");
    assert_eq!((rewrite.seq.wire(), rewrite.filler), (1, true));
}

#[test]
fn a_pause_closes_up_and_waits_for_a_keyframe() {
    let mut subscriber = Subscriber::new(LayerTarget::BEST, &[0]);
    subscriber.get(meta(0, 10, 0, vp8(1, 1, 0, true)));
    subscriber.forwarder.set_paused(true);
    assert_eq!(subscriber.get(meta(0, 11, 3000, vp8(2, 2, 0, true))), None);
    subscriber.forwarder.set_paused(false);
    subscriber.now += Duration::from_secs(10);
    assert_eq!(subscriber.get(meta(0, 300, 900_000, vp8(301, 45, 0, false))), None);
    assert_eq!(
        subscriber.get(meta(0, 301, 903_000, vp8(302, 46, 0, true))),
        Some((1, 903_000, 2, 2))
    );
}

#[test]
fn a_long_outage_starts_again_with_a_keyframe() {
    let mut subscriber = Subscriber::new(LayerTarget::BEST, &[0]);
    subscriber.get(meta(0, 10, 0, vp8(1, 1, 0, true)));
    assert_eq!(subscriber.get(meta(0, 2_000, 90_000, vp8(31, 2, 0, false))), None);
    assert_eq!(subscriber.forwarder.waits_for(), Some(0));
    assert_eq!(
        subscriber
            .get(meta(0, 2_001, 93_000, vp8(32, 3, 0, true)))
            .map(|got| (got.0, got.2)),
        Some((1, 2))
    );
}

/// A VP9 packet that is a whole frame of one of three spatial layers, with picture id and `TL0PICIDX`.
fn vp9(picture_id: u16, spatial: u8, key: bool) -> Info {
    let [high, low] = (0x8000 | picture_id).to_be_bytes();
    let inter_picture = if key { 0 } else { 0x40 };
    let flags = 0x80 | inter_picture | 0x20 | 0x08 | 0x04;
    peek(
        Codec::Vp9,
        &[flags, high, low, spatial << 1 | u8::from(spatial > 0), 7, 0, 0],
    )
}

#[test]
fn spatial_layers_that_are_left_out_leave_no_trace() {
    let target = LayerTarget {
        spatial: 1,
        temporal: u8::MAX,
    };
    let mut subscriber = Subscriber::new(target, &[0]);
    let mut got = Vec::new();
    for picture in 0..20_u16 {
        if picture == 10 {
            subscriber.forwarder.set_target(LayerTarget { spatial: 0, ..target });
        }
        for spatial in 0..3 {
            let seq = 100 + u64::from(picture) * 3 + u64::from(spatial);
            let info = vp9(500 + picture, spatial, picture == 0);
            got.extend(subscriber.get(meta(0, seq, u32::from(picture) * 3000, info)));
        }
    }
    let expected = (0..10).flat_map(|picture| [picture, picture]).chain(10..20);
    let expected: Vec<_> = (0_u16..)
        .zip(expected)
        .map(|(seq, picture)| (seq, u32::from(picture) * 3000, 500 + picture, 7))
        .collect();
    assert_eq!(got, expected);
    let now = subscriber.now;
    let mut ends = |seq, spatial| {
        let meta = meta(0, seq, 60_000, vp9(520, spatial, false));
        subscriber.forwarder.forward(now, &meta).map(|rewrite| rewrite.ends)
    };
    assert_eq!(
        [ends(160, 0), ends(161, 1)],
        [Some(true), None],
        "the marker moves down"
    );
    subscriber.forwarder.set_target(LayerTarget { spatial: 2, ..target });
    assert_eq!(
        subscriber.forwarder.waits_for(),
        Some(0),
        "the upper layers need a keyframe"
    );
}

/// A frame with a dependency descriptor goes in; its number as it is sent.
fn numbered(subscriber: &mut Subscriber, encoding: u8, seq: u64, frame: u16, keyframe: bool) -> Option<u16> {
    let info = Info {
        frame_number: Some(frame),
        keyframe,
        start_of_frame: true,
        ..Info::default()
    };
    let meta = meta(encoding, seq, u32::try_from(seq).unwrap() * 3000, info);
    if subscriber.forwarder.interest(&meta) == Interest::Starts {
        subscriber.forwarder.start(subscriber.now, &meta, 90_000, None);
    }
    let rewrite = subscriber.forwarder.forward(subscriber.now, &meta)?;
    Some(frame.wrapping_add(rewrite.frame_shift))
}

#[test]
fn frame_numbers_of_descriptors_go_on_across_a_switch() {
    let mut subscriber = Subscriber::new(LayerTarget::BEST, &[0, 1]);
    assert_eq!(numbered(&mut subscriber, 1, 10, 65_534, true), Some(65_534));
    assert_eq!(numbered(&mut subscriber, 1, 12, 0, false), Some(0), "wraps");
    assert_eq!(numbered(&mut subscriber, 1, 11, 65_535, false), Some(65_535), "late");
    subscriber.forwarder.set_target(LayerTarget::SMALLEST);
    assert_eq!(numbered(&mut subscriber, 0, 700, 5000, true), Some(1));
    assert_eq!(
        numbered(&mut subscriber, 0, 701, 5003, false),
        Some(4),
        "references are relative"
    );
}

#[test]
fn a_smaller_picture_that_has_begun_has_all_its_motion_again() {
    let mut subscriber = Subscriber::new(LayerTarget::BEST, &[0]);
    let (now, forwarder) = (subscriber.now, &mut subscriber.forwarder);
    // k-SVC: between keyframes no layer needs a lower one.
    let picture = |forwarder: &mut Forwarder, number: u32, temporal, keyframe| -> Vec<u8> {
        let layers = (0..3_u8).filter(|spatial| {
            let info = Info {
                spatial: *spatial,
                temporal,
                keyframe: keyframe && *spatial == 0,
                spatial_switch_up: keyframe,
                not_for_upper: !keyframe || *spatial == 2,
                start_of_frame: true,
                end_of_frame: true,
                ..Info::default()
            };
            let meta = meta(0, u64::from(number * 3) + u64::from(*spatial), number * 3000, info);
            if forwarder.interest(&meta) == Interest::Starts {
                forwarder.start(now, &meta, 90_000, None);
            }
            forwarder.forward(now, &meta).is_some()
        });
        layers.collect()
    };
    assert_eq!(picture(forwarder, 1, 0, true), [0, 1, 2]);
    assert_eq!(picture(forwarder, 2, 1, false), [2]);
    forwarder.set_granted(Some(LayerTarget {
        spatial: 1,
        ..LayerTarget::BEST
    }));
    assert_eq!(picture(forwarder, 3, 1, false), [], "slower at once");
    assert_eq!(picture(forwarder, 4, 0, false), [2]);
    assert_eq!(picture(forwarder, 5, 0, true), [0, 1], "smaller with the keyframe");
    assert_eq!(picture(forwarder, 6, 1, false), [1]);
}
