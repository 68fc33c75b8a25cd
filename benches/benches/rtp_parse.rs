//! What it costs to read an RTP header: ours borrowed, `rtc-rtp` as a struct. Aim: 15 ns with four extensions.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use althing_media_core::packet::{Layout, Pt, RtpView, RtpWriter, Ssrc};
use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rtc_shared::marshal::Unmarshal;

/// A packet as Chromium sends it: MID, absolute send time, transport-wide number, audio level or orientation.
fn packet(extensions: usize, two_byte: bool) -> Vec<u8> {
    let mut buffer = [0; 1200];
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), true, 4711, 90_000, Ssrc(0x1234_5678));
    if two_byte {
        writer.use_two_byte();
    }
    let elements: [(u8, &[u8]); 4] = [(4, b"0"), (2, &[1, 2, 3]), (3, &[0, 9]), (13, &[0])];
    for (id, element) in &elements[..extensions] {
        writer.extension(*id, element);
    }
    writer.payload(&[0x5a; 1100]);
    let (_, len) = writer.finish().expect("1200 bytes are enough");
    buffer[..len].to_vec()
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rtp_parse");
    for (name, packet) in [
        ("no extension", packet(0, false)),
        ("4 one-byte extensions", packet(4, false)),
        ("4 two-byte extensions", packet(4, true)),
    ] {
        group.bench_function(format!("layout, {name}"), |bench| {
            bench.iter(|| Layout::parse(black_box(&packet)))
        });
        group.bench_function(format!("view and six fields, {name}"), |bench| {
            bench.iter(|| {
                let view = RtpView::parse(black_box(&packet)).expect("valid");
                (
                    view.seq(),
                    view.timestamp(),
                    view.ssrc(),
                    view.marker(),
                    view.extension(3),
                    view.payload().len(),
                )
            });
        });
        let shared = Bytes::from(packet);
        group.bench_function(format!("rtc-rtp, {name}"), |bench| {
            bench.iter_batched_ref(
                || shared.clone(),
                |bytes| rtc_rtp::Packet::unmarshal(black_box(bytes)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
