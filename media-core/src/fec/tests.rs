//! Packets are protected as a router sends them, some are lost, and what comes back is compared to the last bit.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::header::{Header, MAX_HEADER};
use super::parity::Parity;
use super::protector::{Leaving, Protector, Row};
use super::recovery::{Known, MAX_WAITING, Recovery};
use crate::packet::{Extension, ExtensionMap, Pt, RtpView, RtpWriter, SeqNo, Ssrc};

const SSRC: Ssrc = Ssrc(0x1234_5678);
const FIRST: u64 = 0x1_fff0;

fn extensions() -> ExtensionMap {
    ExtensionMap::new()
        .with(Extension::Mid, 4)
        .with(Extension::TransportCc, 3)
        .with(Extension::AbsSendTime, 2)
}

/// What differs from packet to packet.
#[derive(Debug, Clone)]
struct Shape {
    payload: Vec<u8>,
    pt: u8,
    marker: bool,
    padding: u8,
    csrcs: u32,
    named: bool,
    timestamp: u32,
}

fn shape() -> impl Strategy<Value = Shape> {
    let payload = vec(any::<u8>(), 0..60);
    let flags = (
        any::<bool>(),
        prop_oneof![Just(0_u8), 1..30_u8],
        0..4_u32,
        any::<bool>(),
    );
    (payload, 0..128_u8, flags, any::<u32>()).prop_map(|(payload, pt, (marker, padding, csrcs, named), timestamp)| {
        Shape {
            payload,
            pt,
            marker,
            padding,
            csrcs,
            named,
            timestamp,
        }
    })
}

/// The packet of `shape` as it is sent; or, when it is not `sent`, as it counts in sums: what is written as it leaves is zero.
fn packet(seq: u64, shape: &Shape, sent: bool) -> Vec<u8> {
    let mut buffer = [0; 400];
    let wire = SeqNo(seq).wire();
    let mut writer = RtpWriter::new(
        &mut buffer,
        Pt::new(shape.pt),
        shape.marker,
        wire,
        shape.timestamp,
        SSRC,
    );
    (0..shape.csrcs).for_each(|csrc| writer.csrc(Ssrc(csrc)));
    if shape.named {
        writer.extension(4, b"video");
    }
    writer.extension(3, &if sent { wire.to_be_bytes() } else { [0; 2] });
    writer.extension(2, &if sent { [1, 2, 3] } else { [0; 3] });
    writer.payload(&shape.payload);
    writer.padding(shape.padding);
    let (_, len) = writer.finish().expect("fits");
    buffer[..len].to_vec()
}

fn view(bytes: &[u8]) -> RtpView<'_> {
    RtpView::parse(bytes).expect("it was written")
}

/// The payload of an FEC packet.
fn payload(row: &Row) -> Bytes {
    let mut head = [0; MAX_HEADER];
    let len = row.header.write(row.parity.fixed(), &mut head);
    [&head[..len], row.parity.rest()].concat().into()
}

/// A row over all of `packets`.
fn row(packets: &[Vec<u8>]) -> Row {
    let mut parity = Parity::default();
    let base = view(&packets[0]).seq();
    let mut mask = 0;
    for packet in packets {
        parity.add(&view(packet), &extensions());
        mask |= 1 << view(packet).seq().wrapping_sub(base);
    }
    let header = Header { ssrc: SSRC, base, mask };
    Row { header, parity }
}

/// All that comes back when `has` packets have come, and then the FEC packets: numbers and bytes.
fn recovered(sent: &[Vec<u8>], rows: &[Bytes], has: impl Fn(usize) -> bool) -> Vec<(u64, Vec<u8>)> {
    let mut have: Vec<Option<Vec<u8>>> = (0..)
        .zip(sent)
        .map(|(n, packet)| has(n).then(|| packet.clone()))
        .collect();
    let (mut recovery, mut made) = (Recovery::default(), Vec::new());
    for fec in rows {
        let extend = |wire: u16| {
            let distance = wire.wrapping_sub(SeqNo(FIRST).wire());
            SeqNo(FIRST + u64::from(distance))
        };
        assert!(
            recovery.on_fec(Instant::now(), fec.clone(), SSRC, extend),
            "it was written"
        );
        let mut come = vec![None];
        while let Some(seq) = come.last().copied() {
            let known = |seq: SeqNo| match have.get(usize::try_from(seq.0 - FIRST).unwrap_or(usize::MAX)) {
                Some(Some(packet)) => Known::Exact(view(packet)),
                Some(None) => Known::Lacking,
                None => Known::Otherwise,
            };
            let Some(seq) = recovery.recover(seq, &extensions(), known) else {
                come.pop();
                continue;
            };
            let mut bytes = vec![0xee; recovery.made()];
            recovery.write(SSRC, seq, &mut bytes);
            have[usize::try_from(seq.0 - FIRST).expect("it was sent")] = Some(bytes.clone());
            made.push((seq.0, bytes));
            come.push(Some(seq));
        }
    }
    made.sort();
    made
}

fn plain(payload: &[u8]) -> Shape {
    Shape {
        payload: payload.to_vec(),
        pt: 96,
        marker: false,
        padding: 0,
        csrcs: 0,
        named: false,
        timestamp: 7,
    }
}

proptest! {
    #[test]
    fn any_one_of_a_row_comes_back_to_the_last_bit(shapes in vec(shape(), 1..40), lost: prop::sample::Index) {
        let sent: Vec<Vec<u8>> = (FIRST..).zip(&shapes).map(|(seq, shape)| packet(seq, shape, true)).collect();
        let lost = lost.index(sent.len());
        let back = recovered(&sent, &[payload(&row(&sent))], |n| n != lost);
        let seq = FIRST + lost as u64;
        prop_assert_eq!(back, [(seq, packet(seq, &shapes[lost], false))]);
    }

    #[test]
    fn any_bytes_are_no_danger(bytes in vec(any::<u8>(), 0..120), first in any::<u8>()) {
        // Of a kind that is spoken, to get further.
        let mut bytes = bytes;
        if let Some(fixed) = bytes.first_chunk_mut::<16>() {
            (fixed[0], fixed[8]) = (first & 0x3f, 1);
            fixed[12..].copy_from_slice(&SSRC.0.to_be_bytes());
        }
        let mut recovery = Recovery::default();
        let sent = packet(FIRST, &plain(b"x"), true);
        if recovery.on_fec(Instant::now(), bytes.into(), SSRC, |wire| SeqNo(0x1_0000 + u64::from(wire))) {
            let lacking = OnceCell::new();
            let known = |seq: SeqNo| if seq == *lacking.get_or_init(|| seq) { Known::Lacking } else { Known::Exact(view(&sent)) };
            prop_assert_eq!(recovery.recover(None, &extensions(), known), lacking.get().copied());
            let mut out = vec![0; recovery.made()];
            recovery.write(SSRC, SeqNo(FIRST), &mut out);
            prop_assert!(out.is_empty() || out[0] >> 6 == 2);
        }
    }
}

#[test]
fn a_row_by_hand() {
    // 0x8060: no extensions, PT 96; with the marker 0xe0. Payloads of three and two bytes.
    let (a, b) = (
        plain(&[1, 2, 3]),
        Shape {
            marker: true,
            timestamp: 5,
            ..plain(&[0x10, 0x20])
        },
    );
    let bare = |seq, shape: &Shape| {
        let mut buffer = [0; 40];
        let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), shape.marker, seq, shape.timestamp, SSRC);
        writer.payload(&shape.payload);
        let (_, len) = writer.finish().expect("fits");
        buffer[..len].to_vec()
    };
    let row = row(&[bare(9, &a), bare(11, &b)]);
    let expected = [
        0x00, 0x80, 0, 1, 0, 0, 0, 2, // recovery fields: no bits but M; 3 ^ 2; 7 ^ 5
        1, 0, 0, 0, 0x12, 0x34, 0x56, 0x78, // one stream
        0, 9, 0xd0, 0x00, // from 9 on: k, and packets 0 and 2
        0x11, 0x22, 3, // the sum of the payloads
    ];
    assert_eq!(payload(&row), &expected[..]);
}

/// Sends `count` packets in pictures of so many; all FEC packets, each behind how many packets it came.
fn protect(count: u64, picture: u64, share: f32) -> (Vec<Vec<u8>>, Vec<(u64, Row)>) {
    let mut protector = Protector::default();
    let (mut sent, mut rows) = (Vec::new(), Vec::new());
    for n in 0..count {
        let shape = Shape {
            marker: (n + 1) % picture == 0,
            ..plain(&n.to_be_bytes())
        };
        let bytes = packet(FIRST + n, &shape, true);
        let leaving = Leaving {
            seq: SeqNo(FIRST + n),
            packet: view(&bytes),
            discardable: false,
        };
        let made = protector.on_packet(leaving, &extensions(), share);
        for _ in 0..made {
            let row = protector.take().expect("it is ready");
            rows.push((n, row.clone()));
            protector.sent(row);
        }
        assert!(protector.take().is_none(), "no more than it said");
        sent.push(bytes);
    }
    (sent, rows)
}

#[test]
fn the_share_is_kept_and_nothing_waits_long() {
    for (picture, share) in [
        (1, 0.2),
        (2, 0.35),
        (3, 0.5),
        (8, 0.2),
        (9, 0.35),
        (30, 0.5),
        (200, 0.35),
    ] {
        let (_, rows) = protect(1000, picture, share);
        let wanted = 1000.0 * f64::from(share);
        let made = rows.len() as f64;
        assert!(
            (wanted * 0.97 - 4.0..=wanted + 4.0).contains(&made),
            "{picture}, {share}: {made}"
        );
        for (n, row) in &rows {
            let first = u64::from(row.header.base.wrapping_sub(SeqNo(FIRST).wire()));
            let age = n - first;
            assert!(age < 46, "{picture}, {share}: {age} packets after the first");
            assert!(row.header.mask >> (age + 1) == 0, "it is made when the last has gone");
        }
        let named = |at: u64| {
            let covers = |row: &Row| {
                let offset = (SeqNo(FIRST + at).wire()).wrapping_sub(row.header.base);
                offset < 109 && row.header.mask >> offset & 1 == 1
            };
            rows.iter().any(|(_, row)| covers(row))
        };
        let naked = (0..950).filter(|at| !named(*at)).count();
        assert_eq!(naked, 0, "{picture}, {share}");
    }
}

#[test]
fn one_lost_packet_of_many_comes_back_and_so_do_two_of_a_group() {
    // When a picture has shown how large they are: groups of eight with four sums.
    let (sent, rows) = protect(8 * 4, 8, 0.5);
    assert_eq!(rows.len(), 15);
    let fec: Vec<Bytes> = rows.iter().map(|(_, row)| payload(row)).collect();
    let protected = 8..30;
    for a in protected.clone() {
        assert_eq!(recovered(&sent, &fec, |n| n != a).len(), 1, "{a}");
        for without in 0..fec.len() {
            let fec: Vec<Bytes> = (0..)
                .zip(&fec)
                .filter(|(n, _)| *n != without)
                .map(|(_, fec)| fec.clone())
                .collect();
            assert_eq!(
                recovered(&sent, &fec, |n| n != a).len(),
                1,
                "{a}, without sum {without}"
            );
        }
        for b in a + 1..protected.end {
            assert_eq!(recovered(&sent, &fec, |n| n != a && n != b).len(), 2, "{a} and {b}");
        }
    }
}

#[test]
fn what_earns_half_is_protected_half_as_much() {
    let mut protector = Protector::default();
    let mut made = 0;
    for n in 0..400 {
        let bytes = packet(FIRST + n, &plain(b"picture"), true);
        let leaving = Leaving {
            seq: SeqNo(FIRST + n),
            packet: view(&bytes),
            discardable: n % 2 == 0,
        };
        made += protector.on_packet(leaving, &extensions(), 0.4);
    }
    assert!((115..=122).contains(&made), "{made} of 400 × 0.3");
}

#[test]
fn leaps_and_late_packets_are_left_alone() {
    let mut protector = Protector::default();
    let mut send = |seq: u64| {
        let bytes = packet(seq, &plain(b"picture"), true);
        let leaving = Leaving {
            seq: SeqNo(seq),
            packet: view(&bytes),
            discardable: false,
        };
        let made = protector.on_packet(leaving, &extensions(), 0.2);
        (0..made)
            .filter_map(|_| protector.take())
            .map(|row| (row.header.base, row.header.mask))
            .collect::<Vec<_>>()
    };
    assert_eq!(send(0x1_0100), []);
    assert_eq!(send(0x1_0200), [], "a leap: a new group");
    assert_eq!(send(0x1_0150), [], "late: in no group");
    assert_eq!(send(0x1_0201), []);
    assert_eq!(send(0x1_0203), []);
    assert_eq!(send(0x1_0205), [(0x0200, 0b10_1011)]);
}

#[test]
fn memory_has_bounds_and_the_newest_stay() {
    let sent: Vec<Vec<u8>> = (0..100)
        .map(|n| packet(FIRST + n, &plain(&n.to_be_bytes()), true))
        .collect();
    // Each FEC packet protects two that have not come, so that all wait.
    let fec: Vec<Bytes> = sent.chunks(2).map(|pair| payload(&row(pair))).collect();
    let mut recovery = Recovery::default();
    let whole = |wire: u16| SeqNo(FIRST + u64::from(wire.wrapping_sub(SeqNo(FIRST).wire())));
    let (start, looks) = (Instant::now(), Cell::new(0));
    let lacking = |_| {
        looks.set(looks.get() + 1);
        Known::Lacking
    };
    // Each twice: a copy takes no place.
    for (ms, fec) in (0..).zip(fec.iter().flat_map(|fec| [fec, fec])) {
        assert!(recovery.on_fec(start + Duration::from_millis(ms), fec.clone(), SSRC, whole));
        assert_eq!(recovery.recover(None, &extensions(), lacking), None);
        assert!(recovery.waiting() <= MAX_WAITING);
    }
    assert_eq!(
        (recovery.waiting(), looks.get()),
        (MAX_WAITING, 200),
        "only the newest is looked at"
    );
    let come = |n: u64, recovery: &mut Recovery| {
        let known = |seq: SeqNo| {
            if seq.0 == n {
                Known::Exact(view(&sent[0]))
            } else {
                Known::Lacking
            }
        };
        recovery.recover(Some(SeqNo(n)), &extensions(), known)
    };
    assert_eq!(come(FIRST, &mut recovery), None, "given up");
    assert_eq!(come(FIRST + 98, &mut recovery), Some(SeqNo(FIRST + 99)));
    assert_eq!(recovery.waiting(), MAX_WAITING - 1);
    let otherwise = |_| Known::Otherwise;
    assert_eq!(
        recovery.recover(Some(SeqNo(FIRST + 96)), &extensions(), otherwise),
        None
    );
    assert_eq!(recovery.waiting(), MAX_WAITING - 1, "two are missing, and may come");
    let one = |seq: SeqNo| {
        if seq.0 == FIRST + 96 {
            Known::Otherwise
        } else {
            Known::Exact(view(&sent[97]))
        }
    };
    assert_eq!(recovery.recover(Some(SeqNo(FIRST + 96)), &extensions(), one), None);
    assert_eq!(
        recovery.waiting(),
        MAX_WAITING - 2,
        "it has come otherwise: nothing is left to do"
    );
    recovery.expire(start + Duration::from_millis(93));
    assert_eq!(recovery.waiting(), 2, "of the four that came since, two are done");
    recovery.expire(start + Duration::from_secs(1));
    assert_eq!(recovery.waiting(), 0);
}
