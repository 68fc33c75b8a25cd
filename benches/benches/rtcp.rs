//! What RTCP costs: transport-wide feedback written and read, per packet that it tells about; NACK; a compound packet.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use althing_media_core::packet::Ssrc;
use althing_media_core::rtcp::transport_cc::{self, Feedback};
use althing_media_core::rtcp::{self, Message, ReportBlock, nack, pli, rr, sdes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SENDER: Ssrc = Ssrc(1);
const MEDIA: Ssrc = Ssrc(2);

/// 100 packets of a camera at 5 ms: every tenth lost, as 50 ms of a bad line look.
fn arrivals() -> Vec<(u16, Option<i64>)> {
    (0..100)
        .map(|n| (n, (n % 10 != 3).then_some(i64::from(n) * 500)))
        .collect()
}

fn transport_feedback(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rtcp transport-cc");
    let (arrivals, mut buf) = (arrivals(), [0; 1200]);
    let feedback = Feedback {
        sender: SENDER,
        media: MEDIA,
        base_seq: 0,
        feedback_count: 0,
    };
    group.throughput(Throughput::Elements(100));
    group.bench_function("write, 100 packets", |bench| {
        bench.iter(|| transport_cc::write(&mut buf, &feedback, black_box(&arrivals).iter().copied()));
    });
    let len = transport_cc::write(&mut buf, &feedback, arrivals.iter().copied()).map_or(0, |written| written.len);
    group.bench_function("read, 100 packets", |bench| {
        bench.iter(|| match rtcp::messages(black_box(&buf[..len])).next() {
            Some(Ok(Message::TransportCc(report))) => report.packets().filter_map(|(_, at)| at).sum::<i64>(),
            other => panic!("{other:?}"),
        });
    });
    group.finish();
}

fn compound(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rtcp");
    let block = ReportBlock {
        ssrc: MEDIA,
        fraction_lost: 1,
        cumulative_lost: 2,
        highest_seq: 3,
        jitter: 4,
        last_sr: 5,
        delay_since_sr: 6,
    };
    let mut buf = [0; 1200];
    let mut len = rr::write(&mut buf, SENDER, &[block]).expect("room");
    len += sdes::write_cname(&mut buf[len..], SENDER, "somebody").expect("room");
    len += nack::write(&mut buf[len..], SENDER, MEDIA, [3, 5, 90].into_iter())
        .expect("room")
        .0;
    len += pli::write(&mut buf[len..], SENDER, MEDIA).expect("room");
    group.bench_function("read RR, SDES, NACK of 3, PLI", |bench| {
        bench.iter(|| {
            rtcp::messages(black_box(&buf[..len]))
                .map(|message| match message {
                    Ok(Message::ReceiverReport(report)) => report.blocks().map(|block| block.jitter).sum(),
                    Ok(Message::Nack(nack)) => nack.lost().map(u32::from).sum(),
                    Ok(Message::Pli(pli)) => pli.media.0,
                    _ => 0,
                })
                .sum::<u32>()
        });
    });
    let lost: Vec<u16> = (0..300).step_by(3).collect();
    group.bench_function("write NACK of 100", |bench| {
        bench.iter(|| nack::write(&mut buf, SENDER, MEDIA, black_box(&lost).iter().copied()));
    });
    group.finish();
}

criterion_group!(benches, transport_feedback, compound);
criterion_main!(benches);
