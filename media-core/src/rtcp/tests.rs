//! Every message: round trip, truncation at each length, hostile bytes. The other side's view is in `differential`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::packet::Ssrc;
use crate::time::{NtpTime, RtpTime};

/// Longer than any message that a test writes.
pub(super) const ROOM: usize = 4096;

prop_compose! {
    pub(super) fn block()(
        ssrc: u32, fraction_lost: u8, cumulative_lost in -0x80_0000..=0x7f_ffff_i32,
        highest_seq: u32, jitter: u32, last_sr: u32, delay_since_sr: u32,
    ) -> ReportBlock {
        ReportBlock { ssrc: Ssrc(ssrc), fraction_lost, cumulative_lost, highest_seq, jitter, last_sr, delay_since_sr }
    }
}

prop_compose! {
    pub(super) fn info()(ssrc: u32, ntp: u64, rtp: u32, packets: u32, octets: u32) -> SenderInfo {
        SenderInfo { ssrc: Ssrc(ssrc), ntp: NtpTime(ntp), rtp: RtpTime(rtp), packets, octets }
    }
}

/// Lost numbers in rising order: a start and the steps from one to the next.
pub(super) fn lost() -> impl Strategy<Value = Vec<u16>> {
    (any::<u16>(), vec(prop_oneof![3 => 1..20_u16, 1 => 1..300_u16], 1..100)).prop_map(|(start, steps)| {
        steps
            .into_iter()
            .scan(start, |seq, step| {
                *seq = seq.wrapping_add(step);
                Some(*seq)
            })
            .collect()
    })
}

/// Base sequence number and arrivals behind it: bursts, gaps, runs of loss, reordering, pauses. Less than half of the
/// sequence space, so that "later" has a meaning.
pub(super) fn arrivals() -> impl Strategy<Value = (u16, Vec<(u16, Option<i64>)>)> {
    let step = prop_oneof![20 => Just(1_u16), 2 => 2..30_u16, 1 => 30..9000_u16];
    let time = prop_oneof![
        10 => (0..20_000_i64).prop_map(Some),
        4 => Just(None),
        2 => (-30_000..100_000_i64).prop_map(Some),
        1 => (-8_000_000..8_000_000_i64).prop_map(Some),
    ];
    let start = -1_000_000_000_000..1_000_000_000_000_i64;
    (any::<u16>(), start, vec((step, time), 1..400)).prop_map(|(base, start, steps)| {
        let (mut ahead, mut now) = (0, start);
        let arrivals = steps.into_iter().map(|(step, time)| {
            let seq = base.wrapping_add(ahead);
            ahead += step;
            now += time.unwrap_or(0);
            (ahead, (seq, time.map(|_| now)))
        });
        (
            base,
            arrivals
                .take_while(|(ahead, _)| *ahead < 0x6000)
                .map(|(_, arrival)| arrival)
                .collect(),
        )
    })
}

/// The only message in `bytes`.
fn only(bytes: &[u8]) -> Message<'_> {
    let mut all = messages(bytes);
    let message = all.next().expect("one message").expect("well formed");
    assert!(all.next().is_none());
    message
}

macro_rules! read {
    ($bytes:expr, $kind:ident) => {
        match only($bytes) {
            Message::$kind(message) => message,
            other => panic!("{other:?}"),
        }
    };
}

/// Writes into every room from nothing to plenty: too small is `None`, and the smallest that fits is exactly used.
fn written(write: impl Fn(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buf = [0xa5; ROOM];
    let len = write(&mut buf).expect("plenty");
    assert_eq!(len % 4, 0, "whole words");
    for room in 0..len {
        assert_eq!(write(&mut [0; ROOM][..room]), None, "{room} of {len} bytes");
    }
    assert_eq!(write(&mut [0; ROOM][..len]), Some(len));
    buf[..len].to_vec()
}

/// Every prefix of a single message is an error, and the error ends the iteration.
fn refuses_prefixes(message: &[u8]) {
    for len in 1..message.len() {
        let mut all = messages(&message[..len]);
        assert!(matches!(all.next(), Some(Err(_))), "{len} of {} bytes", message.len());
        assert!(all.next().is_none());
    }
}

/// A length field that promises less than the fields need is an error too (or leaves out what is optional).
fn cut_inside(message: &[u8]) {
    for words in 0..message.len() / 4 - 1 {
        let mut cut = message[..(words + 1) * 4].to_vec();
        cut[2..4].copy_from_slice(&u16::try_from(words).unwrap().to_be_bytes());
        drain(&cut);
    }
}

/// Reads everything that can be read from `bytes`; how many items there were.
pub(super) fn drain(bytes: &[u8]) -> usize {
    let mut items = 0;
    for message in messages(bytes) {
        items += 1;
        items += match message {
            Ok(Message::SenderReport(sr)) => sr.blocks().count(),
            Ok(Message::ReceiverReport(rr)) => rr.blocks().count(),
            Ok(Message::Sdes(sdes)) => sdes.items().map(|item| item.text.len()).sum(),
            Ok(Message::Bye(bye)) => bye.ssrcs().count() + bye.reason.len(),
            Ok(Message::Nack(nack)) => nack.lost().count(),
            Ok(Message::Fir(fir)) => fir.entries().count(),
            Ok(Message::Remb(remb)) => remb.ssrcs().count(),
            Ok(Message::TransportCc(cc)) => {
                assert_eq!(cc.packets().count(), usize::from(cc.packet_count));
                assert!(cc.packets().filter_map(|(seq, at)| Some((seq, at?))).eq(cc.received()));
                cc.received().count()
            }
            Ok(Message::Ccfb(ccfb)) => ccfb.blocks().map(|block| block.reports().count()).sum(),
            Ok(Message::Xr(xr)) => xr
                .blocks()
                .map(|block| {
                    if let xr::Block::Dlrr(dlrr) = block {
                        dlrr.entries().count()
                    } else {
                        1
                    }
                })
                .sum(),
            Ok(Message::Pli(_) | Message::Other { .. }) | Err(_) => 0,
        };
    }
    items
}

proptest! {
    #[test]
    fn sender_report(info in info(), blocks in vec(block(), 0..=MAX_COUNT)) {
        let bytes = written(|buf| sr::write(buf, &info, &blocks));
        let report = read!(&bytes, SenderReport);
        prop_assert_eq!(report.info(), info);
        prop_assert_eq!(report.blocks().collect::<Vec<_>>(), blocks);
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
    }

    #[test]
    fn receiver_report(sender: u32, blocks in vec(block(), 0..=MAX_COUNT)) {
        let bytes = written(|buf| rr::write(buf, Ssrc(sender), &blocks));
        let report = read!(&bytes, ReceiverReport);
        prop_assert_eq!(report.sender, Ssrc(sender));
        prop_assert_eq!(report.blocks().collect::<Vec<_>>(), blocks);
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
    }

    #[test]
    fn names(ssrc: u32, cname in "[ -~]{0,255}") {
        let bytes = written(|buf| sdes::write_cname(buf, Ssrc(ssrc), &cname));
        let sdes = read!(&bytes, Sdes);
        prop_assert_eq!(sdes.cnames().collect::<Vec<_>>(), [(Ssrc(ssrc), cname.as_bytes())]);
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
    }

    #[test]
    fn goodbye(ssrcs in vec(any::<u32>().prop_map(Ssrc), 0..=MAX_COUNT), reason in "[ -~]{0,255}") {
        let bytes = written(|buf| bye::write(buf, &ssrcs, &reason));
        let bye = read!(&bytes, Bye);
        prop_assert_eq!(bye.ssrcs().collect::<Vec<_>>(), ssrcs);
        prop_assert_eq!(bye.reason, reason.as_bytes());
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
    }

    #[test]
    fn negative_acknowledgement(sender: u32, media: u32, lost in lost(), room in 0..600_usize) {
        let mut buf = [0xa5; ROOM];
        let (len, taken) = nack::write(&mut buf, Ssrc(sender), Ssrc(media), lost.iter().copied()).unwrap();
        prop_assert_eq!(taken, lost.len());
        let nack = read!(&buf[..len], Nack);
        prop_assert_eq!((nack.sender, nack.media), (Ssrc(sender), Ssrc(media)));
        prop_assert_eq!(nack.lost().collect::<Vec<_>>(), &lost[..]);
        refuses_prefixes(&buf[..len]);
        cut_inside(&buf[..len]);
        // In a smaller room, a prefix of it.
        match nack::write(&mut buf[..room], Ssrc(sender), Ssrc(media), lost.iter().copied()) {
            Some((len, taken)) => {
                prop_assert!(taken > 0 && len <= room);
                prop_assert_eq!(read!(&buf[..len], Nack).lost().collect::<Vec<_>>(), &lost[..taken]);
            }
            None => prop_assert!(room < 16),
        }
    }

    #[test]
    fn keyframe_requests(sender: u32, media: u32, entries in vec((any::<u32>().prop_map(Ssrc), any::<u8>()), 1..20)) {
        let bytes = written(|buf| pli::write(buf, Ssrc(sender), Ssrc(media)));
        prop_assert_eq!(read!(&bytes, Pli), Pli { sender: Ssrc(sender), media: Ssrc(media) });
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
        let bytes = written(|buf| fir::write(buf, Ssrc(sender), &entries));
        let fir = read!(&bytes, Fir);
        prop_assert_eq!(fir.sender, Ssrc(sender));
        prop_assert_eq!(fir.entries().collect::<Vec<_>>(), entries);
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
    }

    #[test]
    fn bitrate(sender: u32, bits in 0..64_u32, rate: u64, ssrcs in vec(any::<u32>().prop_map(Ssrc), 0..256)) {
        let rate = rate >> bits;
        let bytes = written(|buf| remb::write(buf, Ssrc(sender), Bitrate(rate), &ssrcs));
        let remb = read!(&bytes, Remb);
        prop_assert_eq!(remb.sender, Ssrc(sender));
        prop_assert!(remb.bitrate.0 <= rate && rate - remb.bitrate.0 <= rate >> 17, "{} for {}", remb.bitrate.0, rate);
        prop_assert_eq!(remb.ssrcs().collect::<Vec<_>>(), ssrcs);
        refuses_prefixes(&bytes);
        cut_inside(&bytes);
    }

    /// One message after another until all is told; each number comes out once, with its time.
    #[test]
    fn transport_feedback((base_seq, arrivals) in arrivals(), room in 24..1500_usize) {
        let mut told = Vec::new();
        let mut feedback = transport_cc::Feedback { sender: Ssrc(1), media: Ssrc(2), base_seq, feedback_count: 250 };
        let mut rest = &arrivals[..];
        while rest.iter().any(|(_, at)| at.is_some()) {
            let mut buf = [0xa5; 1500];
            let Some(written) = transport_cc::write(&mut buf[..room], &feedback, rest.iter().copied()) else {
                // A room so small that the gap before the next arrival fills it: skip the gap.
                prop_assert!(room < 40, "{} bytes", room);
                let (next, _) = *rest.iter().find(|(_, at)| at.is_some()).unwrap();
                while feedback.base_seq != next {
                    told.push((feedback.base_seq, None));
                    feedback.base_seq = feedback.base_seq.wrapping_add(1);
                }
                rest = &rest[rest.iter().position(|(seq, _)| *seq == next).unwrap()..];
                continue;
            };
            prop_assert!(written.packets > 0 && written.len <= room && written.len % 4 == 0);
            let bytes = &buf[..written.len];
            let cc = read!(bytes, TransportCc);
            prop_assert_eq!((cc.sender, cc.media, cc.base_seq), (Ssrc(1), Ssrc(2), feedback.base_seq));
            prop_assert_eq!((cc.packet_count, cc.feedback_count), (written.packets, feedback.feedback_count));
            let reference_range = 1_i64 << 24;
            let first = rest.iter().find_map(|(_, at)| *at).unwrap();
            let wraps = first.div_euclid(64_000).div_euclid(reference_range) * reference_range;
            let wraps = if i64::from(cc.reference) < 0 { wraps + reference_range } else { wraps };
            told.extend(cc.packets().map(|(seq, at)| (seq, at.map(|at| at + wraps * 64_000))));
            prop_assert!(cc.received().eq(cc.packets().filter_map(|(seq, at)| Some((seq, at?)))));
            refuses_prefixes(bytes);
            cut_inside(bytes);
            feedback.base_seq = feedback.base_seq.wrapping_add(written.packets);
            feedback.feedback_count = feedback.feedback_count.wrapping_add(1);
            let next = feedback.base_seq;
            rest = &rest[rest.iter().position(|(seq, _)| seq.wrapping_sub(next) < 0x8000).unwrap_or(rest.len())..];
        }
        let expected = arrivals.iter().filter_map(|(seq, at)| Some((*seq, (*at)?.div_euclid(250) * 250)));
        let received = told.iter().filter_map(|(seq, at)| Some((*seq, (*at)?)));
        prop_assert_eq!(received.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let numbers = told.iter().map(|(seq, _)| seq.wrapping_sub(base_seq));
        prop_assert!(numbers.eq((0..=u16::MAX).take(told.len())), "every number once, in order");
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        drain(&bytes);
    }

    /// Random bodies behind a header that is right, so that the parsers of all messages are reached.
    #[test]
    fn random_bodies_never_panic(packet_type in 199..=208_u8, count in 0..=31_u8, padded: bool, body in vec(any::<u8>(), 0..200)) {
        let words = body.len() / 4;
        let mut bytes = vec![0x80 | count | u8::from(padded) << 5, packet_type];
        bytes.extend(u16::try_from(words).unwrap().to_be_bytes());
        bytes.extend(&body[..words * 4]);
        drain(&bytes);
    }

    #[test]
    fn compound_and_reduced_size(info in info(), block in block(), lost in lost(), cut in 0..2000_usize) {
        let mut buf = [0; ROOM];
        let mut len = sr::write(&mut buf, &info, &[block]).unwrap();
        len += sdes::write_cname(&mut buf[len..], info.ssrc, "c").unwrap();
        len += nack::write(&mut buf[len..], info.ssrc, block.ssrc, lost.iter().copied()).unwrap().0;
        len += pli::write(&mut buf[len..], info.ssrc, block.ssrc).unwrap();
        let kinds: Vec<_> = messages(&buf[..len]).map(|message| message.map(|m| std::mem::discriminant(&m))).collect();
        prop_assert!(kinds.len() == 4 && kinds.iter().all(Result::is_ok));
        // Without the report in front it is as good (RFC 5506).
        prop_assert_eq!(messages(&buf[52..len]).filter(Result::is_ok).count(), 3);
        drain(&buf[..cut.min(len)]);
    }
}

#[test]
fn feedback_takes_the_shortest_chunks() {
    let every = |step: u16, count: u16| {
        (0..count)
            .map(|i| (i * step, Some(i64::from(i) * 1000)))
            .collect::<Vec<_>>()
    };
    let table: [(Vec<_>, &[u16], usize); 5] = [
        (every(1, 3), &[0x2003], 3),
        (every(1, 100), &[0x2064], 100),
        // Every other one lost: vectors of one bit, the last one not full.
        (every(2, 14), &[0b1010_1010_1010_1010, 0b1010_1010_1010_1010], 14),
        // A gap longer than one run holds.
        (
            every(9000, 2),
            &[0b1010_0000_0000_0000, 8191, 8999 - 13 - 8191, 0x2001],
            2,
        ),
        // A large delta among small ones: two bits each.
        (
            vec![(0, Some(0)), (1, Some(100_000)), (2, Some(100_000))],
            &[0b1101_1001_0000_0000],
            4,
        ),
    ];
    for (arrivals, chunks, deltas) in table {
        let feedback = transport_cc::Feedback {
            sender: Ssrc(1),
            media: Ssrc(2),
            base_seq: 0,
            feedback_count: 0,
        };
        let mut buf = [0; ROOM];
        let written = transport_cc::write(&mut buf, &feedback, arrivals.into_iter()).unwrap();
        let told = buf[20..]
            .as_chunks()
            .0
            .iter()
            .map(|chunk| u16::from_be_bytes(*chunk))
            .take(chunks.len());
        assert_eq!(told.collect::<Vec<_>>(), chunks);
        let body: usize = 2 * chunks.len() + deltas;
        assert_eq!(written.len, 20 + body.next_multiple_of(4));
    }
}

#[test]
fn feedback_ends_where_its_range_ends() {
    let feedback = transport_cc::Feedback {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq: 5,
        feedback_count: 0,
    };
    let mut buf = [0; 200];
    let late = [(5, Some(0)), (6, Some(8_200_000)), (7, Some(8_200_000))];
    let written = transport_cc::write(&mut buf, &feedback, late.into_iter()).unwrap();
    assert_eq!(written.packets, 1, "the second is more than 8.19 s later");
    let nothing = [(5, None), (6, None)];
    assert_eq!(transport_cc::write(&mut buf, &feedback, nothing.into_iter()), None);
    // Numbers that do not rise are left out.
    let disorder = [(7, Some(0)), (6, Some(250)), (7, Some(250)), (8, Some(500))];
    let written = transport_cc::write(&mut buf, &feedback, disorder.into_iter()).unwrap();
    let cc = read!(&buf[..written.len], TransportCc);
    assert_eq!(
        cc.packets().collect::<Vec<_>>(),
        [(5, None), (6, None), (7, Some(0)), (8, Some(500))]
    );
    // 65535 packets and not one more, whatever the room.
    let far = (0..=u16::MAX).map(|seq| (seq.wrapping_add(5), Some(0)));
    let written = transport_cc::write(&mut vec![0; 100_000], &feedback, far).unwrap();
    assert_eq!(written.packets, u16::MAX);
}

#[test]
fn hostile_counts_cost_no_more_than_their_bytes() {
    // 65535 packets promised, one chunk of seven: refused.
    let mut bytes = vec![
        0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0xd5, 0x55, 0, 0,
    ];
    assert!(matches!(messages(&bytes).next(), Some(Err(ParseError::Truncated))));
    // 8191 small deltas in a run, and no delta: refused.
    bytes[14..16].copy_from_slice(&8191_u16.to_be_bytes());
    bytes[20..22].copy_from_slice(&0x3fff_u16.to_be_bytes());
    assert!(matches!(messages(&bytes).next(), Some(Err(ParseError::Truncated))));
    // 8191 lost: true, and nothing received.
    bytes[20..22].copy_from_slice(&0x1fff_u16.to_be_bytes());
    let cc = read!(&bytes, TransportCc);
    assert_eq!((cc.packets().count(), cc.received().count()), (8191, 0));
    // The reserved symbol is refused where it counts, and ignored behind the last packet.
    bytes[14..16].copy_from_slice(&2_u16.to_be_bytes());
    bytes[20..22].copy_from_slice(&0b11_00_00_11_00_00_00_00_u16.to_be_bytes());
    assert!(read!(&bytes, TransportCc).packets().eq([(0, None), (1, None)]));
    bytes[20..22].copy_from_slice(&0b11_00_11_00_00_00_00_00_u16.to_be_bytes());
    assert!(matches!(messages(&bytes).next(), Some(Err(ParseError::Reserved))));
}

#[test]
fn padding_and_version_are_checked() {
    let padded = [0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
    assert_eq!(
        read!(&padded, Pli),
        Pli {
            sender: Ssrc(1),
            media: Ssrc(2)
        }
    );
    for (padding, error) in [
        (0, ParseError::Padding),
        (13, ParseError::Padding),
        (8, ParseError::Truncated),
    ] {
        let mut bytes = padded;
        bytes[15] = padding;
        assert_eq!(messages(&bytes).next().unwrap().unwrap_err(), error, "{padding}");
    }
    assert_eq!(
        messages(&[0xa0, 201, 0, 0]).next().unwrap().unwrap_err(),
        ParseError::Padding
    );
    assert_eq!(
        messages(&[0x41, 201, 0, 0]).next().unwrap().unwrap_err(),
        ParseError::Version
    );
    assert!(messages(&[]).next().is_none());
}

#[test]
fn what_nobody_speaks_is_named_and_passed_over() {
    // APP, then application layer feedback that is not REMB, then a PLI.
    let mut bytes = vec![0x83, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'];
    bytes.extend([0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, b'G', b'O', b'O', b'G']);
    bytes.extend([0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let all: Vec<_> = messages(&bytes).map(Result::unwrap).collect();
    assert!(matches!(
        all[..],
        [
            Message::Other {
                packet_type: 204,
                fmt: 3
            },
            Message::Other {
                packet_type: 206,
                fmt: 15
            },
            Message::Pli(_)
        ]
    ));
}

#[test]
fn loss_is_clamped_to_24_bits() {
    for (lost, expected) in [(i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000), (-1, -1)] {
        let block = ReportBlock {
            ssrc: Ssrc(1),
            fraction_lost: 0,
            cumulative_lost: lost,
            highest_seq: 0,
            jitter: 0,
            last_sr: 0,
            delay_since_sr: 0,
        };
        let bytes = written(|buf| rr::write(buf, Ssrc(1), &[block]));
        assert_eq!(
            read!(&bytes, ReceiverReport).blocks().next().unwrap().cumulative_lost,
            expected
        );
    }
}

#[test]
fn too_much_for_one_message_is_none() {
    let mut buf = [0; ROOM];
    assert_eq!(bye::write(&mut buf, &[Ssrc(1); MAX_COUNT + 1], ""), None);
    assert_eq!(bye::write(&mut buf, &[], &"x".repeat(256)), None);
    assert_eq!(sdes::write_cname(&mut buf, Ssrc(1), &"x".repeat(256)), None);
    assert_eq!(remb::write(&mut buf, Ssrc(1), Bitrate(1), &[Ssrc(1); 256]), None);
    assert_eq!(fir::write(&mut buf, Ssrc(1), &[]), None);
    assert_eq!(nack::write(&mut buf, Ssrc(1), Ssrc(2), std::iter::empty()), None);
}

#[test]
fn rates_beyond_64_bits_are_the_largest() {
    let mut bytes = written(|buf| remb::write(buf, Ssrc(1), Bitrate(u64::MAX), &[]));
    assert_eq!(read!(&bytes, Remb).bitrate, Bitrate(u64::MAX >> 46 << 46));
    bytes[17] = 0xff;
    assert_eq!(read!(&bytes, Remb).bitrate, Bitrate(u64::MAX));
}
