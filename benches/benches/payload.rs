//! What one look at a payload costs, per codec, and what one rewritten picture id costs; beside rtc-rtp, which takes
//! the payload apart.

use std::hint::black_box;

use althing_media_core::payload::dependency_descriptor::{
    Descriptor, Indications, MAX_CHAINS, Mandatory, Structure, Template,
};
use althing_media_core::payload::picture_id::MAX_PREFIX;
use althing_media_core::payload::{Codec, DependencyState, Patch, peek, peek_with_descriptor};
use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use rtc_rtp::codec::h264::H264Packet;
use rtc_rtp::codec::vp8::Vp8Packet;
use rtc_rtp::codec::vp9::Vp9Packet;
use rtc_rtp::packetizer::Depacketizer;

const LEN: usize = 1150;

/// A payload of the usual length that starts with `start`.
fn payload(start: &[u8]) -> Bytes {
    let mut payload = start.to_vec();
    payload.resize(LEN, 0x55);
    Bytes::from(payload)
}

/// One packet of each codec as browsers send them.
fn payloads() -> [(&'static str, Codec, Bytes); 6] {
    [
        ("opus", Codec::Opus, payload(&[0x78])),
        ("vp8", Codec::Vp8, payload(&[0x90, 0xe0, 0x92, 0x34, 0x07, 0x20, 0x01])),
        ("vp9", Codec::Vp9, payload(&[0xe8, 0x92, 0x34, 0x30, 0x07])),
        ("h264 fragment", Codec::H264, payload(&[0x7c, 0x85, 0xb8])),
        (
            "h264 aggregate",
            Codec::H264,
            payload(&[
                0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 4, 0x68, 0xce, 0x3c, 0x80, 0, 3, 0x65, 0xb8, 0x40,
            ]),
        ),
        ("av1", Codec::Av1, payload(&[0x10, 0x34, 0x48])),
    ]
}

/// Three temporal layers, as browsers describe them.
fn structure() -> Structure {
    let template = |temporal, symbols, references, chain| {
        let mut chain_fdiffs = [0; MAX_CHAINS];
        chain_fdiffs[0] = chain;
        let indications = Indications::from_symbols(symbols).expect("known symbols");
        Template {
            spatial: 0,
            temporal,
            indications,
            references,
            chain_fdiffs,
        }
    };
    let templates = [
        template(0, "SSS", 0, 0),
        template(0, "SSS", 0b1000, 4),
        template(1, "-DS", 0b10, 2),
        template(2, "--D", 0b1, 1),
        template(2, "--D", 0b1, 3),
    ];
    Structure::new(0, 3, &templates, &[0, 0, 0], &[]).expect("a valid structure")
}

fn element(descriptor: Descriptor<'_>, structure: &Structure) -> Vec<u8> {
    let mut buffer = [0; 255];
    let len = descriptor.write_to(structure, &mut buffer).expect("it fits");
    buffer[..len].to_vec()
}

fn peeking(c: &mut Criterion) {
    let mut group = c.benchmark_group("payload peek");
    for (name, codec, payload) in payloads() {
        group.bench_function(name, |b| b.iter(|| peek(black_box(codec), black_box(&payload))));
    }
    let structure = structure();
    let mandatory = Mandatory {
        start_of_frame: true,
        end_of_frame: true,
        template_id: 0,
        frame_number: 7,
    };
    let key = element(
        Descriptor {
            attach: true,
            ..Descriptor::new(mandatory)
        },
        &structure,
    );
    let plain = element(
        Descriptor::new(Mandatory {
            template_id: 3,
            ..mandatory
        }),
        &structure,
    );
    let active = element(
        Descriptor {
            active: Some(0b111),
            ..Descriptor::new(mandatory)
        },
        &structure,
    );
    let av1 = payload(&[0x10, 0x34, 0x48]);
    let mut state = DependencyState::new();
    for (name, element) in [("key", key), ("template", plain), ("active targets", active)] {
        group.bench_function(format!("av1 with descriptor, {name}"), |b| {
            b.iter(|| peek_with_descriptor(Codec::Av1, black_box(&av1), Some(black_box(&element)), &mut state));
        });
    }
    group.finish();
}

fn patching(c: &mut Criterion) {
    let mut group = c.benchmark_group("payload patch");
    for (name, codec, payload) in payloads().into_iter().filter(|(name, ..)| name.starts_with("vp")) {
        let ids = peek(codec, &payload).ids;
        let patch = Patch {
            picture_id: 0x4321,
            tl0_pic_idx: 9,
        };
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut prefix = [0; MAX_PREFIX];
                let len = black_box(ids).write_patched(black_box(&payload), black_box(patch), &mut prefix);
                (len, prefix)
            });
        });
    }
    group.finish();
}

fn depacketize<D: Depacketizer + Default>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, payload: &Bytes) {
    group.bench_function(name, |b| {
        b.iter(|| D::default().depacketize(black_box(payload)).is_ok())
    });
}

fn peer(c: &mut Criterion) {
    let mut group = c.benchmark_group("payload depacketize, rtc-rtp");
    for (name, codec, payload) in payloads() {
        match codec {
            Codec::Vp8 => depacketize::<Vp8Packet>(&mut group, name, &payload),
            Codec::Vp9 => depacketize::<Vp9Packet>(&mut group, name, &payload),
            Codec::H264 => depacketize::<H264Packet>(&mut group, name, &payload),
            _ => {}
        }
    }
    group.finish();
}

criterion_group!(benches, peeking, patching, peer);
criterion_main!(benches);
