//! The room's tests: byte patterns of real senders, truncation, random bytes, and rtc-rtp as a second opinion.

use proptest::prelude::*;
use rtc_rtp::packetizer::{Depacketizer, Payloader};

use super::picture_id::MAX_PREFIX;
use super::*;

const CODECS: [Codec; 8] = [
    Codec::Opus,
    Codec::Pcmu,
    Codec::Pcma,
    Codec::G722,
    Codec::Vp8,
    Codec::Vp9,
    Codec::H264,
    Codec::Av1,
];

fn patched(codec: Codec, payload: &[u8], patch: Patch) -> Vec<u8> {
    let mut prefix = [0xee; MAX_PREFIX];
    let len = peek(codec, payload).ids.write_patched(payload, patch, &mut prefix);
    [&prefix[..len], &payload[len..]].concat()
}

mod vp8_payloads {
    use super::*;
    use crate::payload::vp8::{Descriptor, MAX_DESCRIPTOR};
    use rtc_rtp::codec::vp8::{Vp8Packet, Vp8Payloader};

    /// A browser's simulcast encoding with three temporal layers, first packet of a keyframe: 15-bit picture id 0x1234,
    /// `TL0PICIDX` 0xff, layer 0, `KEYIDX` absent; then the payload header and the start code.
    const KEYFRAME: [u8; 12] = [0x90, 0xe0, 0x92, 0x34, 0xff, 0x00, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a];

    #[test]
    fn keyframe_of_a_simulcast_encoding() {
        let info = peek(Codec::Vp8, &KEYFRAME);
        assert!(info.start_of_frame && info.keyframe && !info.discardable && !info.switch_up);
        assert_eq!(info.temporal, 0);
        assert_eq!(
            info.ids.picture_id().map(|id| (id.value(), id.bits())),
            Some((0x1234, 15))
        );
        assert_eq!(info.ids.tl0_pic_idx(), Some(0xff));
        assert_eq!(Descriptor::parse(&KEYFRAME).unwrap().len, 6);
    }

    #[test]
    fn table() {
        // Payload, start, keyframe, temporal layer, switch up, discardable.
        type Row = (&'static [u8], bool, bool, u8, bool, bool);
        let table: [Row; 10] = [
            (&[0x10, 0x00], true, true, 0, false, false),
            (&[0x10, 0x01], true, false, 0, false, false),
            (&[0x00, 0x00], false, false, 0, false, false),
            (&[0x11, 0x00], false, false, 0, false, false), // the second partition starts
            (&[0x30, 0x01], true, false, 0, false, true),   // N
            (&[0xb0, 0xe0, 0x80, 0x01, 0x07, 0xa0, 0x01], true, false, 2, true, true),
            (
                &[0x80, 0xe0, 0x80, 0x01, 0x07, 0x40, 0x00],
                false,
                false,
                1,
                false,
                false,
            ),
            (&[0x90, 0x80, 0x7f, 0x01], true, false, 0, false, false), // 7-bit picture id
            (&[0x90, 0x10, 0x3f, 0x00], true, true, 0, false, false),  // KEYIDX alone: no Y
            (&[0x10], true, false, 0, false, false),                   // nothing after the descriptor
        ];
        for (payload, start_of_frame, keyframe, temporal, switch_up, discardable) in table {
            let switch_to = u8::from(switch_up) << temporal;
            let expected = Info {
                start_of_frame,
                keyframe,
                temporal,
                switch_up,
                switch_to,
                discardable,
                ..Info::default()
            };
            let info = peek(Codec::Vp8, payload);
            assert_eq!(
                info,
                Info {
                    ids: info.ids,
                    ..expected
                },
                "{payload:x?}"
            );
        }
    }

    #[test]
    fn patch_keeps_the_width_and_all_else() {
        let patch = Patch {
            picture_id: 0x7fff,
            tl0_pic_idx: 3,
        };
        let mut expected = KEYFRAME;
        expected[2..5].copy_from_slice(&[0xff, 0xff, 0x03]);
        assert_eq!(patched(Codec::Vp8, &KEYFRAME, patch), expected);

        let table: [(&[u8], &[u8]); 5] = [
            (&[0x90, 0x80, 0x11, 0x01], &[0x90, 0x80, 0x7f, 0x01]),
            (&[0x90, 0x40, 0x11, 0x01], &[0x90, 0x40, 0x03, 0x01]),
            (&[0x90, 0xc0, 0x11, 0x22, 0x01], &[0x90, 0xc0, 0x7f, 0x03, 0x01]),
            (&[0x90, 0x20, 0x40, 0x01], &[0x90, 0x20, 0x40, 0x01]),
            (&[0x10, 0x01], &[0x10, 0x01]),
        ];
        for (from, to) in table {
            assert_eq!(patched(Codec::Vp8, from, patch), to, "{from:x?}");
        }
    }

    #[test]
    fn truncated_at_every_length() {
        for len in 0..6 {
            assert_eq!(Descriptor::parse(&KEYFRAME[..len]), None, "{len}");
            assert_eq!(peek(Codec::Vp8, &KEYFRAME[..len]), Info::default(), "{len}");
        }
        assert!(!peek(Codec::Vp8, &KEYFRAME[..6]).keyframe);
        assert!(peek(Codec::Vp8, &KEYFRAME[..7]).keyframe);
    }

    proptest! {
        #[test]
        fn agrees_with_rtc_rtp(payload in proptest::collection::vec(any::<u8>(), 4..40)) {
            let mut theirs = Vp8Packet::default();
            let bytes = bytes::Bytes::copy_from_slice(&payload);
            if let Ok(rest) = theirs.depacketize(&bytes) {
                let ours = Descriptor::parse(&payload).unwrap();
                prop_assert!(ours.len <= MAX_DESCRIPTOR);
                prop_assert_eq!(&payload[ours.len..], &rest[..]);
                prop_assert_eq!(ours.ids.picture_id().map_or(0, PictureId::value), theirs.picture_id);
                prop_assert_eq!(ours.ids.tl0_pic_idx().unwrap_or(0), theirs.tl0_pic_idx);
                prop_assert_eq!(ours.tid.unwrap_or(0), theirs.tid);
                prop_assert_eq!(ours.layer_sync, theirs.y == 1);
                prop_assert_eq!(ours.key_idx.unwrap_or(0), theirs.key_idx);
                prop_assert_eq!(ours.non_reference, theirs.n == 1);
                prop_assert_eq!(ours.starts_frame(), theirs.s == 1 && theirs.pid == 0);
            }
        }

        #[test]
        fn peeks_what_rtc_rtp_packetizes(
            frame in proptest::collection::vec(any::<u8>(), 1..4000),
            enable_picture_id: bool,
            pictures in 1..300_u16,
        ) {
            let mut payloader = Vp8Payloader::default();
            payloader.enable_picture_id = enable_picture_id;
            let small = bytes::Bytes::from_static(&[1]);
            for _ in 0..pictures {
                payloader.payload(1200, &small).unwrap();
            }
            let packets = payloader.payload(1200, &bytes::Bytes::from(frame.clone())).unwrap();
            for (index, packet) in packets.iter().enumerate() {
                let info = peek(Codec::Vp8, packet);
                prop_assert_eq!(info.start_of_frame, index == 0);
                prop_assert_eq!(info.keyframe, index == 0 && frame[0] & 1 == 0);
                prop_assert_eq!(
                    info.ids.picture_id().map(|id| (id.value(), id.bits())),
                    enable_picture_id.then_some((pictures, if pictures < 128 { 7 } else { 15 }))
                );
            }
        }
    }
}

mod vp9_payloads {
    use super::*;
    use crate::payload::vp9::Descriptor;
    use rtc_rtp::codec::vp9::{Vp9Packet, Vp9Payloader};

    /// First packet of a key picture of a browser's L3T3_KEY: picture id, layers, `TL0PICIDX`, a structure of three
    /// spatial layers with sizes and a picture group of four.
    const KEY_PICTURE: [u8; 32] = [
        0xaa, 0x92, 0x34, 0x10, 0x07, // I L B V, 15 bits, T0 U S0, tl0picidx 7
        0x58, // N_S 2, Y, G
        0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xd0, // three sizes
        0x04, 0x04, 0x04, 0x54, 0x01, 0x34, 0x02, 0x54, 0x01, // four pictures, each with one reference
        0x82, 0x49, 0x83, 0x42, 0x00, // the frame
    ];

    #[test]
    fn key_picture_of_k_svc() {
        let info = peek(Codec::Vp9, &KEY_PICTURE);
        assert!(info.start_of_frame && info.keyframe && info.switch_up && info.spatial_switch_up && !info.end_of_frame);
        assert_eq!((info.spatial, info.temporal), (0, 0));
        assert_eq!(info.switch_to, u8::MAX);
        assert_eq!(info.ids.picture_id().map(PictureId::value), Some(0x1234));
        assert_eq!(info.ids.tl0_pic_idx(), Some(7));
        let descriptor = Descriptor::parse(&KEY_PICTURE).unwrap();
        assert_eq!(descriptor.wire_len(&KEY_PICTURE), Some(27));
    }

    #[test]
    fn table() {
        let base = Info::default();
        let table: [(&[u8], Info); 8] = [
            (
                &[0x0c, 0x82],
                Info {
                    start_of_frame: true,
                    end_of_frame: true,
                    keyframe: true,
                    spatial_switch_up: true,
                    ..base
                },
            ),
            (
                &[0x48, 0x86],
                Info {
                    start_of_frame: true,
                    ..base
                },
            ),
            (
                &[0x00, 0x82],
                Info {
                    spatial_switch_up: true,
                    ..base
                },
            ), // a later packet of a keyframe
            // Flexible: layers without TL0PICIDX, and one reference.
            (
                &[0x79, 0x32, 0x02],
                Info {
                    start_of_frame: true,
                    spatial: 1,
                    temporal: 1,
                    switch_up: true,
                    switch_to: 0b10,
                    not_for_upper: true,
                    ..base
                },
            ),
            // An upper layer of a key picture: not inter-picture predicted, yet no keyframe.
            (
                &[0x38, 0x03],
                Info {
                    start_of_frame: true,
                    spatial: 1,
                    spatial_switch_up: true,
                    ..base
                },
            ),
            (
                &[0x60, 0x42, 0x09],
                Info {
                    spatial: 1,
                    temporal: 2,
                    ..base
                },
            ),
            (
                &[0x61, 0x42, 0x09],
                Info {
                    spatial: 1,
                    temporal: 2,
                    not_for_upper: true,
                    ..base
                },
            ),
            (&[0xc0, 0x11], base),
        ];
        for (payload, expected) in table {
            let info = peek(Codec::Vp9, payload);
            assert_eq!(
                info,
                Info {
                    ids: info.ids,
                    ..expected
                },
                "{payload:x?}"
            );
        }
    }

    #[test]
    fn patch_keeps_the_width_and_all_else() {
        let patch = Patch {
            picture_id: 0x0181,
            tl0_pic_idx: 0xfe,
        };
        let mut expected = KEY_PICTURE;
        expected[1..5].copy_from_slice(&[0x81, 0x81, 0x10, 0xfe]);
        assert_eq!(patched(Codec::Vp9, &KEY_PICTURE, patch), expected);

        let table: [(&[u8], &[u8]); 4] = [
            (&[0xa8, 0x11, 0x20, 0x33, 0x44], &[0xa8, 0x01, 0x20, 0xfe, 0x44]),
            (&[0xb8, 0x11, 0x20, 0x33, 0x44], &[0xb8, 0x01, 0x20, 0x33, 0x44]), // flexible: no TL0PICIDX
            (&[0x28, 0x20, 0x33, 0x44], &[0x28, 0x20, 0xfe, 0x44]),
            (&[0x08, 0x44], &[0x08, 0x44]),
        ];
        for (from, to) in table {
            assert_eq!(patched(Codec::Vp9, from, patch), to, "{from:x?}");
        }
    }

    #[test]
    fn truncated_at_every_length() {
        let whole = Descriptor::parse(&KEY_PICTURE);
        for len in 0..KEY_PICTURE.len() {
            let payload = &KEY_PICTURE[..len];
            let descriptor = Descriptor::parse(payload);
            assert_eq!(descriptor, if len < 5 { None } else { whole }, "{len}");
            assert_eq!(
                descriptor.and_then(|d| d.wire_len(payload)),
                (len >= 27).then_some(27),
                "{len}"
            );
        }
        assert_eq!(
            Descriptor::parse(&[0x50, 3, 3, 3]).unwrap().wire_len(&[0x50, 3, 3, 3]),
            None,
            "four references"
        );
    }

    proptest! {
        #[test]
        fn agrees_with_rtc_rtp(mut payload in proptest::collection::vec(any::<u8>(), 1..60), structure: bool) {
            if !structure {
                payload[0] &= !0x02;
            }
            let mut theirs = Vp9Packet::default();
            if let Ok(rest) = theirs.depacketize(&bytes::Bytes::copy_from_slice(&payload)) {
                let ours = Descriptor::parse(&payload).unwrap();
                prop_assert_eq!(ours.ids.picture_id().map(PictureId::value), theirs.i.then_some(theirs.picture_id));
                prop_assert_eq!(ours.ids.tl0_pic_idx(), (theirs.l && !theirs.f).then_some(theirs.tl0picidx));
                let layers = ours.layers.map(|l| (l.tid, l.switching_up, l.sid, l.inter_layer));
                prop_assert_eq!(layers, theirs.l.then_some((theirs.tid, theirs.u, theirs.sid, theirs.d)));
                prop_assert_eq!(
                    (ours.start_of_frame, ours.end_of_frame, ours.inter_picture, ours.not_for_upper),
                    (theirs.b, theirs.e, theirs.p, theirs.z)
                );
                // rtc-rtp takes the reserved bits behind `G` for `G`: structures are compared below.
                if !theirs.v {
                    prop_assert_eq!(ours.wire_len(&payload), Some(payload.len() - rest.len()));
                }
            }
        }

        #[test]
        fn skips_the_structure_as_rtc_rtp_does(
            sizes in proptest::option::of(0..8_u8),
            group in proptest::option::of(proptest::collection::vec((any::<u8>(), 0..4_u8), 0..256)),
        ) {
            let mut payload = vec![0x8a, 0x11];
            let flags = if sizes.is_some() { 0x10 } else { 0 } | if group.is_some() { 0x08 } else { 0 };
            payload.push(sizes.unwrap_or(2) << 5 | flags);
            if let Some(last) = sizes {
                payload.resize(payload.len() + 4 * (usize::from(last) + 1), 0x33);
            }
            if let Some(pictures) = &group {
                payload.push(u8::try_from(pictures.len()).unwrap());
                for (picture, references) in pictures {
                    payload.push(picture & 0xf0 | references << 2);
                    payload.resize(payload.len() + usize::from(*references), 0x01);
                }
            }
            let len = payload.len();
            payload.extend_from_slice(&[0x82, 0x49]);
            let rest = Vp9Packet::default().depacketize(&bytes::Bytes::copy_from_slice(&payload)).unwrap();
            prop_assert_eq!(payload.len() - rest.len(), len);
            prop_assert_eq!(Descriptor::parse(&payload).unwrap().wire_len(&payload), Some(len));
        }

        #[test]
        fn peeks_what_rtc_rtp_packetizes(frame in proptest::collection::vec(any::<u8>(), 1..4000), first: u16) {
            let first = first & 0x7fff;
            let mut payloader = Vp9Payloader::default();
            payloader.initial_picture_id_fn = Some(std::sync::Arc::new(move || first));
            let packets = payloader.payload(1200, &bytes::Bytes::from(frame)).unwrap();
            for (index, packet) in packets.iter().enumerate() {
                let info = peek(Codec::Vp9, packet);
                prop_assert_eq!(info.start_of_frame, index == 0);
                prop_assert_eq!(info.end_of_frame, index + 1 == packets.len());
                prop_assert_eq!(info.ids.picture_id().map(PictureId::value), Some(first));
                prop_assert_eq!(Descriptor::parse(packet).unwrap().wire_len(packet), Some(3));
            }
        }
    }
}

mod h264_payloads {
    use super::*;
    use rtc_rtp::codec::h264::H264Payloader;

    #[test]
    fn table() {
        // (payload, may start a picture, may start a keyframe, discardable)
        let table: [(&[u8], bool, bool, bool); 20] = [
            (&[0x67, 0x42, 0xe0, 0x1f], true, true, false),  // SPS
            (&[0x68, 0xce, 0x3c, 0x80], true, false, false), // PPS
            (&[0x06, 0x05, 0x10], true, false, false),       // SEI
            (&[0x09, 0x10], true, false, false),             // access unit delimiter
            (&[0x65, 0xb8, 0x40], true, true, false),        // IDR, first slice
            (&[0x65, 0x08, 0x40], false, false, false),      // IDR, a later slice
            (&[0x65], true, true, false),                    // cannot be told: taken for the first
            (&[0x61, 0xe0, 0x40], true, false, false),       // non-IDR, first slice
            (&[0x41, 0x1a, 0x40], false, false, false),      // non-IDR, a later slice
            (&[0x01, 0xe0, 0x40], true, false, true),        // no other picture refers to it
            (&[0x7c, 0x85, 0xb8], true, true, false),        // FU-A of an IDR slice, start
            (&[0x7c, 0x05, 0xb8], false, false, false),      // middle
            (&[0x7c, 0x45, 0xb8], false, false, false),      // end
            (&[0x7c, 0x87, 0x42], true, true, false),        // FU-A of an SPS, start
            (&[0x5c, 0x81, 0xe0], true, false, false),       // FU-A of a non-IDR slice, start
            (&[0x1c, 0x81, 0xe0], true, false, true),        // not referred to
            (&[0x1c, 0x01, 0xe0], false, false, true),       // middle of it
            (&[0x7c], false, false, false),                  // FU-A without its header
            (&[0x00, 0xff], false, false, false),
            (&[0x7f, 0xff], false, false, false),
        ];
        for (payload, start_of_frame, keyframe, discardable) in table {
            let expected = Info {
                start_of_frame,
                keyframe,
                discardable,
                ..Info::default()
            };
            assert_eq!(peek(Codec::H264, payload), expected, "{payload:x?}");
        }
    }

    #[test]
    fn aggregates() {
        let stap = |units: &[&[u8]]| {
            let mut payload = vec![0x78];
            for unit in units {
                payload.extend_from_slice(&u16::try_from(unit.len()).unwrap().to_be_bytes());
                payload.extend_from_slice(unit);
            }
            peek(Codec::H264, &payload)
        };
        let key = Info {
            start_of_frame: true,
            keyframe: true,
            ..Info::default()
        };
        let start = Info {
            start_of_frame: true,
            ..Info::default()
        };
        assert_eq!(stap(&[&[0x67, 0x42], &[0x68, 0xce], &[0x65, 0xb8]]), key);
        assert_eq!(stap(&[&[0x67, 0x42], &[0x68, 0xce]]), key, "parameter sets alone");
        assert_eq!(
            stap(&[&[0x09, 0x10], &[0x67, 0x42], &[0x68, 0xce]]),
            key,
            "a delimiter in front"
        );
        assert_eq!(stap(&[&[0x06, 0x01], &[0x61, 0xe0]]), start);
        assert_eq!(
            stap(&[&[0x06, 0x01], &[0x01, 0xe0]]),
            Info {
                discardable: true,
                ..start
            }
        );
        assert_eq!(
            stap(&[&[0x68, 0xce], &[0x01, 0xe0]]),
            start,
            "the parameter set is needed"
        );
        assert_eq!(stap(&[&[0x65, 0x08], &[0x65, 0x04]]), Info::default(), "later slices");
        assert_eq!(stap(&[&[], &[0x65, 0x88]]), Info::default(), "an empty unit in front");
        assert_eq!(
            peek(Codec::H264, &[0x78, 0x00, 0x09, 0x67]),
            Info::default(),
            "a size that lies"
        );
    }

    proptest! {
        #[test]
        fn peeks_what_rtc_rtp_packetizes(len in 1..4000_usize, idr: bool, parameters: bool) {
            let mut stream = Vec::new();
            if parameters {
                stream.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
            }
            stream.extend_from_slice(&[0, 0, 0, 1, if idr { 0x65 } else { 0x61 }, 0x88]);
            stream.resize(stream.len() + len, 0x55);
            let mut payloader = H264Payloader::default();
            let packets = payloader.payload(1200, &bytes::Bytes::from(stream)).unwrap();
            let infos: Vec<_> = packets.iter().map(|packet| peek(Codec::H264, packet)).collect();
            prop_assert!(infos[0].start_of_frame);
            prop_assert_eq!(infos[0].keyframe, idr || parameters);
            // The payloader puts the parameter sets into one STAP-A in front of the slice.
            let slice = usize::from(parameters);
            prop_assert_eq!(infos[slice].keyframe, idr);
            prop_assert!(infos[slice + 1..].iter().all(|info| !info.start_of_frame && !info.keyframe));
        }
    }
}

mod av1_payloads {
    use super::*;
    use crate::payload::av1::Header;
    use rtc_rtp::codec::av1::Av1Payloader;

    #[test]
    fn table() {
        // Payload, may start a frame, keyframe, layer.
        type Row = (&'static [u8], bool, bool, Option<(u8, u8)>);
        let table: [Row; 11] = [
            (&[0x18, 0x0a, 0x01], true, true, None), // sequence header alone
            (&[0x28, 0x02, 0x0a, 0x01, 0x34, 0x08, 0x10], true, true, Some((0, 1))), // and a frame of S1
            (&[0x10, 0x34, 0x48, 0x10], true, false, Some((2, 1))),
            (&[0x10, 0x30, 0x10], true, false, None),
            (&[0x90, 0x34, 0x48, 0x10], false, false, None), // the rest of an OBU: no header there
            (&[0xa0, 0x01, 0x55, 0x34, 0x48], false, false, Some((2, 1))),
            (&[0x98, 0x34], false, false, None),       // N with Z contradicts itself
            (&[0x10, 0x20, 0x10], false, false, None), // tile group
            (
                &[0x00, 0x02, 0x30, 0x11, 0x03, 0x34, 0x20, 0x11],
                true,
                false,
                Some((1, 0)),
            ), // W is 0
            (&[0x20, 0x7f, 0x30], true, false, None),  // a size that lies
            (&[0x00, 0x80, 0x80, 0x80, 0x80, 0x01, 0x34, 0x48], true, false, None), // a size beyond reason
        ];
        for (payload, start_of_frame, keyframe, layer) in table {
            let expected = Info {
                start_of_frame,
                keyframe,
                ..Info::default()
            };
            assert_eq!(peek(Codec::Av1, payload), expected, "{payload:x?}");
            assert_eq!(Header::parse(payload).unwrap().layer, layer, "{payload:x?}");
        }
        assert!(Header::parse(&[0x18, 0x0a, 0x01]).unwrap().has_sequence_header());
        assert_eq!(Header::parse(&[]), None);
    }

    proptest! {
        #[test]
        fn peeks_what_rtc_rtp_packetizes(len in 1..5000_usize, key: bool, layer in 0..32_u8) {
            // A temporal unit with sizes: sequence header, frame with extension.
            let mut unit = Vec::new();
            if key {
                unit.extend_from_slice(&[0x0a, 0x03, 1, 2, 3]);
            }
            unit.extend_from_slice(&[0x36, layer << 3]);
            let mut rest = len;
            while rest > 0x7f {
                unit.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
                rest >>= 7;
            }
            unit.push(u8::try_from(rest).unwrap());
            unit.resize(unit.len() + len, 0x55);
            let mut payloader = Av1Payloader::default();
            let packets = payloader.payload(1200, &bytes::Bytes::from(unit)).unwrap();
            for (index, packet) in packets.iter().enumerate() {
                let info = peek(Codec::Av1, packet);
                prop_assert_eq!(info.start_of_frame, index == 0);
                prop_assert_eq!(info.keyframe, index == 0 && key);
                let named = Header::parse(packet).unwrap().layer;
                prop_assert_eq!(named, (index == 0).then_some((layer >> 2, layer & 3)));
            }
        }
    }
}

#[test]
fn how_far_temporal_layers_rise() {
    let vp8 = |tid: u8, y: u8| peek(Codec::Vp8, &[0x90, 0x20, tid << 6 | y << 5, 0x01]);
    let vp9 = |tid: u8, u: u8| peek(Codec::Vp9, &[0x78, tid << 5 | u << 4, 0x02]);
    // Frame, layers carried so far, layers wanted, layers carried from here on.
    let table = [
        (vp8(1, 1), 0, 2, 1),
        (vp8(2, 1), 0, 1, 0),
        (vp8(2, 1), 1, 2, 2),
        (vp8(2, 0), 1, 2, 1),
        (vp8(1, 1), 2, 2, 2),
        (vp8(2, 1), 1, u8::MAX, 2),
        (vp9(1, 1), 0, 2, 1),
        (vp9(0, 1), 0, 2, 2),
        (vp9(0, 0), 0, 2, 0),
        (peek(Codec::Vp8, &[0x10, 0x00]), 0, 2, 2),
        (peek(Codec::Vp8, &[0x10, 0x00]), 0, u8::MAX, u8::MAX),
    ];
    for (info, limit, target, raised) in table {
        assert_eq!(info.raised(limit, target), raised, "{info:?} from {limit} to {target}");
    }
}

#[test]
fn sound_stands_alone() {
    for codec in CODECS.into_iter().filter(|codec| codec.kind() == MediaKind::Audio) {
        let info = peek(codec, &[0x78, 0x01]);
        assert!(
            info.start_of_frame && info.end_of_frame && info.keyframe && !info.discardable,
            "{codec:?}"
        );
    }
}

#[test]
fn padding_only_says_nothing() {
    for codec in CODECS {
        assert_eq!(peek(codec, &[]), Info::default(), "{codec:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes(payload in proptest::collection::vec(any::<u8>(), 0..80), picture_id: u16, tl0_pic_idx: u8) {
        for codec in CODECS {
            let info = peek(codec, &payload);
            prop_assert!(info.start_of_frame || !info.keyframe, "a keyframe starts a frame: {:?}", codec);
            let changed = patched(codec, &payload, Patch { picture_id, tl0_pic_idx });
            prop_assert_eq!(changed.len(), payload.len());
            let info_after = peek(codec, &changed);
            prop_assert_eq!(Info { ids: info.ids, ..info_after }, info, "only the numbers change: {:?}", codec);
            let mask = info.ids.picture_id().map_or(0, |id| (1 << id.bits()) - 1);
            prop_assert_eq!(info_after.ids.picture_id().map_or(0, PictureId::value), picture_id & mask);
            prop_assert_eq!(info_after.ids.tl0_pic_idx(), info.ids.tl0_pic_idx().map(|_| tl0_pic_idx));
        }
        let _ = opus::duration(&payload);
        if let Some(descriptor) = vp9::Descriptor::parse(&payload) {
            prop_assert!(descriptor.wire_len(&payload).is_none_or(|len| len <= payload.len()));
        }
    }
}
