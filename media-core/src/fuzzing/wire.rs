//! RTP and RTCP: what is read can be written again and is then the same.

use std::collections::BTreeSet;

use super::choices::Choices;
use crate::packet::extension::AudioLevel;
use crate::packet::view::ExtensionForm;
use crate::packet::{Layout, RtpView, RtpWriter, Ssrc};
use crate::rtcp::transport_cc::{self as cc, Feedback, TransportCc};
use crate::rtcp::{self, Message, bye, fir, nack, pli, remb, rr, sr, xr};

/// Longer than anything that is written here.
const ROOM: usize = 70_000;
/// Times in transport-cc repeat after 2²⁴ units of 64 ms.
const CC_WRAP: i64 = (1 << 24) * 64_000;

/// Reads an RTP packet, writes it again, and reads that.
pub fn rtp(data: &[u8]) {
    let Ok(view) = RtpView::parse(data) else { return };
    check(&view);
    let mut buf = vec![0; ROOM];
    let mut writer = RtpWriter::new(
        &mut buf,
        view.pt(),
        view.marker(),
        view.seq(),
        view.timestamp(),
        view.ssrc(),
    );
    view.csrcs().for_each(|csrc| writer.csrc(csrc));
    if view.layout().extension_form() == ExtensionForm::TwoByte {
        writer.use_two_byte();
    }
    for (id, element) in view.extensions() {
        writer.extension(id, element);
    }
    writer.payload(view.payload());
    writer.padding(u8::try_from(view.padding()).expect("one byte on the wire"));
    let (header, len) = writer.finish().expect("room enough");
    let again = RtpView::parse(&buf[..len]).expect("what we write is valid");
    assert_eq!(again.layout().header_len(), header);
    assert!(again.extensions().eq(view.extensions()) && again.csrcs().eq(view.csrcs()));
    assert_eq!((again.payload(), again.padding()), (view.payload(), view.padding()));
    assert_eq!(
        (again.seq(), again.timestamp(), again.ssrc()),
        (view.seq(), view.timestamp(), view.ssrc())
    );
    // The layout over bytes that it is not from: wrong fields, no panic.
    let half = RtpView::with_layout(&data[..data.len() / 2], *view.layout());
    let _ = (half.payload(), half.extensions().count(), half.csrcs().count());
    let _ = view.layout().trim_padding(&data[..data.len() / 2]);
}

fn check(view: &RtpView<'_>) {
    assert_eq!(view.extensions().count(), view.layout().extension_count());
    for id in 0..=u8::MAX {
        let walked = view.extensions().find(|(known, _)| *known == id);
        assert_eq!(view.extension(id), walked.map(|(_, element)| element));
    }
}

/// Extension blocks in a frame that is right: first byte the form, then the block.
pub fn extension(data: &[u8]) {
    let Some((form, block)) = data.split_first() else {
        return;
    };
    let words = block.len() / 4;
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    packet.extend(if form & 1 == 0 { [0xbe, 0xde] } else { [0x10, form >> 4] });
    packet.extend(u16::try_from(words).unwrap_or(u16::MAX).to_be_bytes());
    packet.extend(&block[..words * 4]);
    packet.push(0x77);
    if let Ok(view) = RtpView::parse(&packet) {
        check(&view);
        assert_eq!(view.payload(), [0x77]);
        for (_, element) in view.extensions() {
            let _ = AudioLevel::parse(element);
        }
    }
    let _ = Layout::parse(&packet[..packet.len() / 2]);
}

/// Reads a compound packet; what has a writer is written again and read.
pub fn rtcp(data: &[u8]) {
    let mut room = vec![0; ROOM];
    let mut count = 0;
    for message in rtcp::messages(data) {
        count += 1;
        let Ok(message) = message else { continue };
        if let Some(len) = write_again(&message, &mut room) {
            let again = rtcp::messages(&room[..len]).next().expect("a message").expect("ours");
            compare(&message, &again);
        }
    }
    assert!(count <= data.len() / 4 + 1);
}

fn write_again(message: &Message<'_>, room: &mut [u8]) -> Option<usize> {
    match message {
        Message::SenderReport(report) => sr::write(room, &report.info(), &report.blocks().collect::<Vec<_>>()),
        Message::ReceiverReport(report) => rr::write(room, report.sender, &report.blocks().collect::<Vec<_>>()),
        Message::Bye(bye) => {
            let reason = std::str::from_utf8(bye.reason).unwrap_or_default();
            bye::write(room, &bye.ssrcs().collect::<Vec<_>>(), reason)
        }
        Message::Nack(nack) => nack::write(room, nack.sender, nack.media, nack.lost()).map(|(len, _)| len),
        Message::Pli(request) => pli::write(room, request.sender, request.media),
        Message::Fir(request) => fir::write(room, request.sender, &request.entries().collect::<Vec<_>>()),
        Message::Remb(remb) => remb::write(room, remb.sender, remb.bitrate, &remb.ssrcs().collect::<Vec<_>>()),
        Message::Sdes(sdes) => {
            assert!(sdes.cnames().count() <= sdes.items().count());
            None
        }
        Message::Xr(xr) => {
            for block in xr.blocks() {
                if let xr::Block::Dlrr(dlrr) = block {
                    dlrr.entries().for_each(drop);
                }
            }
            None
        }
        Message::TransportCc(report) => {
            feedback_again(report, room);
            None
        }
        Message::Ccfb(report) => {
            let packets: usize = report.blocks().map(|block| block.reports().count()).sum();
            assert!(packets * 2 <= room.len());
            None
        }
        Message::Other { .. } => None,
    }
}

fn compare(message: &Message<'_>, again: &Message<'_>) {
    match (message, again) {
        (Message::SenderReport(a), Message::SenderReport(b)) => {
            assert_eq!(a.info(), b.info());
            assert!(a.blocks().eq(b.blocks()));
        }
        (Message::ReceiverReport(a), Message::ReceiverReport(b)) => assert!(a.blocks().eq(b.blocks())),
        (Message::Bye(a), Message::Bye(b)) => assert!(a.ssrcs().eq(b.ssrcs())),
        // The pairs of others need not rise: the numbers are the same, their order may not be.
        (Message::Nack(a), Message::Nack(b)) => {
            assert!(a.lost().collect::<BTreeSet<_>>() == b.lost().collect::<BTreeSet<_>>());
        }
        (Message::Pli(a), Message::Pli(b)) => assert_eq!(a, b),
        (Message::Fir(a), Message::Fir(b)) => assert!(a.entries().eq(b.entries())),
        (Message::Remb(a), Message::Remb(b)) => {
            assert!(
                a.ssrcs().eq(b.ssrcs()) && b.bitrate <= a.bitrate && a.bitrate.0 - b.bitrate.0 <= a.bitrate.0 >> 17
            );
        }
        (a, b) => panic!("{a:?} became {b:?}"),
    }
}

fn feedback_again(report: &TransportCc<'_>, room: &mut [u8]) {
    assert_eq!(report.packets().count(), usize::from(report.packet_count));
    assert!(
        report
            .received()
            .eq(report.packets().filter_map(|(seq, at)| Some((seq, at?))))
    );
    let feedback = Feedback {
        sender: report.sender,
        media: report.media,
        base_seq: report.base_seq,
        feedback_count: report.feedback_count,
    };
    // More than half of the numbers at once do not rise any more.
    let packets = || report.packets().take(0x7fff);
    let written = cc::write(room, &feedback, packets());
    assert_eq!(written.is_some(), packets().any(|(_, at)| at.is_some()));
    let Some(written) = written else { return };
    let again = rtcp::messages(&room[..written.len]).next();
    let Some(Ok(Message::TransportCc(again))) = again else {
        panic!("{again:?}")
    };
    assert_same_times(again.packets(), packets().take(usize::from(written.packets)));
}

fn assert_same_times(told: impl Iterator<Item = (u16, Option<i64>)>, meant: impl Iterator<Item = (u16, Option<i64>)>) {
    let wrapped = |(seq, at): (u16, Option<i64>)| (seq, at.map(|at| (at.div_euclid(250) * 250).rem_euclid(CC_WRAP)));
    assert!(told.map(wrapped).eq(meant.map(wrapped)));
}

/// Arrivals of any kind into rooms of any size: each number is told once and with its time, until all are told.
pub fn transport_cc(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut room = vec![0; usize::from(choices.word() % 1500) + 64];
    let base_seq = choices.word();
    let (mut ahead, mut now) = (0_u16, i64::from(choices.word()) * 1_000_003);
    let mut arrivals = Vec::new();
    while !choices.is_empty() && ahead < 0x6000 {
        let at = match choices.below(8) {
            0 => None,
            1 => Some(i64::from(choices.word().cast_signed()) * 500),
            2 => Some(i64::from(choices.byte().cast_signed()) * 1000),
            _ => Some(i64::from(choices.byte()) * 100),
        };
        now += at.unwrap_or(0);
        arrivals.push((base_seq.wrapping_add(ahead), at.map(|_| now)));
        ahead += match choices.below(16) {
            0 => choices.word() % 0x2000 + 1,
            1 => u16::from(choices.byte()) + 1,
            _ => 1,
        };
    }
    let mut told = Vec::new();
    let mut feedback = Feedback {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq,
        feedback_count: 0,
    };
    let mut rest = &arrivals[..];
    while rest.iter().any(|(_, at)| at.is_some()) {
        let written = cc::write(&mut room, &feedback, rest.iter().copied()).expect("64 bytes tell one arrival");
        assert!(written.packets > 0 && written.len <= room.len());
        let message = rtcp::messages(&room[..written.len]).next();
        let Some(Ok(Message::TransportCc(report))) = message else {
            panic!("{message:?}")
        };
        assert_eq!(report.base_seq, feedback.base_seq);
        told.extend(report.packets());
        feedback.base_seq = feedback.base_seq.wrapping_add(written.packets);
        let next = feedback.base_seq;
        let first = rest.iter().position(|(seq, _)| seq.wrapping_sub(next) < 0x8000);
        rest = &rest[first.unwrap_or(rest.len())..];
    }
    let received = |all: Vec<(u16, Option<i64>)>| all.into_iter().filter(|(_, at)| at.is_some());
    assert!(
        told.iter()
            .map(|(seq, _)| seq.wrapping_sub(base_seq))
            .eq((0..=u16::MAX).take(told.len()))
    );
    assert_same_times(received(told), received(arrivals));
}
