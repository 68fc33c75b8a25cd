//! Real media through the input: encoded by ffmpeg, cut into packets by another implementation, put together by ours.
//!
//! Each frame is compared byte by byte with what was encoded, and with what the other implementation puts together; the
//! decoder configuration with what ffmpeg writes into an MP4 of the same stream.

mod coded;

use std::time::{Duration, Instant};

use althing_media_core::packet::{Pt, RtpWriter};
use althing_media_core::{Codec, ExtensionMap, Packet, Ssrc};
use althing_recorder::input::{Input, Output};
use althing_recorder::timeline::SenderWall;
use althing_recorder::{Frame, TrackFormat};
use bytes::Bytes;
use rtc_rtp::codec::av1::{Av1Depacketizer, Av1Payloader};
use rtc_rtp::codec::h264::{H264Packet, H264Payloader};
use rtc_rtp::codec::vp8::{Vp8Packet, Vp8Payloader};
use rtc_rtp::codec::vp9::{Vp9Packet, Vp9Payloader};
use rtc_rtp::packetizer::{Depacketizer, Payloader};

use coded::Coded;

const MTU: usize = 700;
/// The first timestamp: it wraps soon.
const FIRST: u32 = 4_294_900_000;
/// Pictures per second, as `coded` makes them.
const RATE: u32 = 10;

fn payloader(codec: Codec) -> Box<dyn Payloader> {
    match codec {
        Codec::Vp8 => {
            let mut payloader = Vp8Payloader::default();
            payloader.enable_picture_id = true;
            Box::new(payloader)
        }
        Codec::Vp9 => Box::<Vp9Payloader>::default(),
        Codec::H264 => Box::<H264Payloader>::default(),
        _ => Box::<Av1Payloader>::default(),
    }
}

/// The other implementation's bytes of one frame.
fn depacketized(codec: Codec, payloads: &[Bytes]) -> Vec<u8> {
    let mut other: Box<dyn Depacketizer> = match codec {
        Codec::Vp8 => Box::<Vp8Packet>::default(),
        Codec::Vp9 => Box::<Vp9Packet>::default(),
        Codec::H264 => Box::<H264Packet>::default(),
        _ => Box::<Av1Depacketizer>::default(),
    };
    payloads
        .iter()
        .flat_map(|payload| other.depacketize(payload).expect("its own packets"))
        .collect()
}

/// The packets of `coded`, and the payloads of each frame.
fn packets(codec: Codec, coded: &Coded) -> (Vec<Packet>, Vec<Vec<Bytes>>) {
    let mut payloader = payloader(codec);
    let (mut packets, mut payloads) = (Vec::new(), Vec::new());
    let mut seq = 65_500_u16;
    for (n, frame) in (0_u32..).zip(&coded.frames) {
        let own = payloader.payload(MTU, &Bytes::from(frame.clone())).expect("a frame");
        for (index, payload) in own.iter().enumerate() {
            let mut buffer = [0; MTU + 64];
            let (marker, at) = (index + 1 == own.len(), FIRST.wrapping_add(n * 90_000 / RATE));
            let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), marker, seq, at, Ssrc(1));
            writer.payload(payload);
            let (_, len) = writer.finish().expect("fits");
            packets.push(Packet::parse(Bytes::copy_from_slice(&buffer[..len])).expect("valid"));
            seq = seq.wrapping_add(1);
        }
        payloads.push(own);
    }
    (packets, payloads)
}

/// When a packet comes, of a sender that sends each picture at once.
fn arrival(start: Instant, packet: &Packet, n: u32) -> Instant {
    let units = packet.view().timestamp().wrapping_sub(FIRST);
    start + Duration::from_millis(u64::from(units) / 90) + Duration::from_micros(100) * n
}

/// All that comes out of `packets`, each third changed with its neighbour.
fn record(codec: Codec, packets: &[Packet]) -> (Vec<TrackFormat>, Vec<Frame>) {
    let start = Instant::now();
    let mut wall = SenderWall::new(start);
    let mut input = Input::new(codec.kind(), &ExtensionMap::new());
    let (mut formats, mut frames) = (Vec::new(), Vec::new());
    let mut order: Vec<&Packet> = packets.iter().collect();
    for pair in order.chunks_exact_mut(3).skip(1) {
        pair.swap(1, 2);
    }
    for (n, packet) in (0_u32..).zip(order) {
        let now = arrival(start, packet, n);
        input.handle_packet(now, &mut wall, codec, packet.clone());
        loop {
            match input.poll_output() {
                Output::Format(format) => formats.push(format),
                Output::Frame(frame) => frames.push(frame),
                Output::Timeout(_) => break,
                Output::WantKeyframe if n == 0 => {}
                output => panic!("{output:?}"),
            }
        }
    }
    (formats, frames)
}

fn check(codec: Codec) {
    let coded = Coded::new(codec);
    assert!(coded.frames.len() >= 15, "{}", coded.frames.len());
    let (packets, payloads) = packets(codec, &coded);
    let (formats, frames) = record(codec, &packets);
    let [TrackFormat::Video(format)] = &formats[..] else {
        panic!("{formats:?}");
    };
    assert_eq!((format.codec, format.width, format.height), (codec, 318, 178));
    assert_eq!(format.config, coded.config, "decoder configuration");
    assert_eq!(frames.len(), coded.frames.len());
    for (n, frame) in frames.iter().enumerate() {
        let truth = coded::in_a_file(codec, &coded.frames[n]);
        assert!(frame.data[..] == truth[..], "frame {n} differs from what was encoded");
        let other = depacketized(codec, &payloads[n]);
        assert!(
            frame.data[..] == coded::in_a_file(codec, &other)[..],
            "frame {n} differs from the other implementation's"
        );
        assert_eq!(frame.keyframe, n % 10 == 0, "frame {n}");
    }
    hostile(codec, &packets);
}

/// Bits turned, packets cut short, left out, repeated: no panic, and what comes out begins with a keyframe.
fn hostile(codec: Codec, packets: &[Packet]) {
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..40 {
        let damaged: Vec<Packet> = packets
            .iter()
            .filter_map(|packet| {
                let mut bytes = packet.bytes().to_vec();
                match random() % 12 {
                    0 => return None,
                    1 => bytes.truncate(13 + usize::try_from(random() % 40).expect("small")),
                    2 | 3 => {
                        let at = 12 + usize::try_from(random()).unwrap_or_default() % (bytes.len() - 12).min(24);
                        bytes[at] ^= 1 << (random() % 8);
                    }
                    _ => {}
                }
                Packet::parse(bytes.into()).ok()
            })
            .collect();
        let start = Instant::now();
        let mut wall = SenderWall::new(start);
        let mut input = Input::new(codec.kind(), &ExtensionMap::new());
        let (mut begun, mut last) = (false, None);
        for (n, packet) in (0_u32..).zip(damaged) {
            let now = arrival(start, &packet, n);
            input.handle_packet(now, &mut wall, codec, packet);
            loop {
                match input.poll_output() {
                    Output::Timeout(_) => break,
                    Output::Frame(frame) => {
                        assert!(begun || frame.keyframe);
                        assert!(last < Some(frame.at));
                        (begun, last) = (true, Some(frame.at));
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn vp8() {
    check(Codec::Vp8);
}

#[test]
fn vp9() {
    check(Codec::Vp9);
}

#[test]
fn h264() {
    check(Codec::H264);
}

#[test]
fn av1() {
    check(Codec::Av1);
}
