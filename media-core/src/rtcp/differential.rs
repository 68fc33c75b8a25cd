//! Both ways against `rtc-rtcp`: it reads what we write, we read what it writes, and both see the same.
//!
//! Known differences, all in transport-cc: it reads the reference time without its sign, refuses feedback that has no
//! delta, takes the reserved status for "received", and counts deltas for symbols past the packet count.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rtc_rtcp::extended_report::{DLRRReport, DLRRReportBlock, ExtendedReport, ReceiverReferenceTimeReportBlock};
use rtc_rtcp::goodbye::Goodbye;
use rtc_rtcp::packet::Packet;
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::receiver_report as their_rr;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report as their_sr;
use rtc_rtcp::source_description::{SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem};
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    SymbolTypeTcc, TransportLayerCc,
};
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};

use super::tests::{ROOM, arrivals, block, info, lost};
use super::*;
use crate::packet::Ssrc;

/// A message as plain data, whoever has read it.
#[derive(Debug, PartialEq)]
enum Plain {
    Sr(SenderInfo, Vec<ReportBlock>),
    Rr(u32, Vec<ReportBlock>),
    Sdes(Vec<(u32, u8, Vec<u8>)>),
    Bye(Vec<u32>, Vec<u8>),
    Nack(u32, u32, Vec<u16>),
    Pli(u32, u32),
    Fir(u32, Vec<(u32, u8)>),
    Remb(u32, u64, Vec<u32>),
    TransportCc(u32, u32, u8, Vec<(u16, Option<i64>)>),
    Xr(u32, Vec<u64>, Vec<(u32, u32, u32)>),
    Other,
}

fn ours(bytes: &[u8]) -> Vec<Plain> {
    messages(bytes)
        .map(|message| match message.expect("well formed") {
            Message::SenderReport(sr) => Plain::Sr(sr.info(), sr.blocks().collect()),
            Message::ReceiverReport(rr) => Plain::Rr(rr.sender.0, rr.blocks().collect()),
            Message::Sdes(sdes) => Plain::Sdes(
                sdes.items()
                    .map(|item| (item.ssrc.0, item.kind, item.text.to_vec()))
                    .collect(),
            ),
            Message::Bye(bye) => Plain::Bye(bye.ssrcs().map(|ssrc| ssrc.0).collect(), bye.reason.to_vec()),
            Message::Nack(nack) => Plain::Nack(nack.sender.0, nack.media.0, nack.lost().collect()),
            Message::Pli(pli) => Plain::Pli(pli.sender.0, pli.media.0),
            Message::Fir(fir) => Plain::Fir(fir.sender.0, fir.entries().map(|(ssrc, nr)| (ssrc.0, nr)).collect()),
            Message::Remb(remb) => Plain::Remb(remb.sender.0, remb.bitrate.0, remb.ssrcs().map(|s| s.0).collect()),
            Message::TransportCc(cc) => {
                Plain::TransportCc(cc.sender.0, cc.media.0, cc.feedback_count, cc.packets().collect())
            }
            Message::Xr(xr) => {
                let (mut times, mut answers) = (Vec::new(), Vec::new());
                for block in xr.blocks() {
                    match block {
                        xr::Block::ReceiverReferenceTime(ntp) => times.push(ntp.0),
                        xr::Block::Dlrr(dlrr) => {
                            answers.extend(dlrr.entries().map(|e| (e.ssrc.0, e.last_rr, e.delay_since_rr)));
                        }
                        xr::Block::Other { .. } => {}
                    }
                }
                Plain::Xr(xr.sender.0, times, answers)
            }
            Message::Ccfb(_) | Message::Other { .. } => Plain::Other,
        })
        .collect()
}

fn theirs(mut bytes: &[u8]) -> Vec<Plain> {
    let all = rtc_rtcp::packet::unmarshal(&mut bytes).expect("they read it");
    all.iter().map(|packet| plain(packet.as_ref())).collect()
}

fn plain(packet: &dyn Packet) -> Plain {
    let any = packet.as_any();
    if let Some(sr) = any.downcast_ref::<their_sr::SenderReport>() {
        let info = SenderInfo {
            ssrc: Ssrc(sr.ssrc),
            ntp: crate::time::NtpTime(sr.ntp_time),
            rtp: crate::time::RtpTime(sr.rtp_time),
            packets: sr.packet_count,
            octets: sr.octet_count,
        };
        Plain::Sr(info, sr.reports.iter().map(our_block).collect())
    } else if let Some(rr) = any.downcast_ref::<their_rr::ReceiverReport>() {
        Plain::Rr(rr.ssrc, rr.reports.iter().map(our_block).collect())
    } else if let Some(sdes) = any.downcast_ref::<SourceDescription>() {
        let items = sdes
            .chunks
            .iter()
            .flat_map(|chunk| chunk.items.iter().map(|item| (chunk.source, item)));
        Plain::Sdes(
            items
                .map(|(source, item)| (source, item.sdes_type as u8, item.text.to_vec()))
                .collect(),
        )
    } else if let Some(bye) = any.downcast_ref::<Goodbye>() {
        Plain::Bye(bye.sources.clone(), bye.reason.to_vec())
    } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
        let lost = nack.nacks.iter().flat_map(NackPair::packet_list).collect();
        Plain::Nack(nack.sender_ssrc, nack.media_ssrc, lost)
    } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
        Plain::Pli(pli.sender_ssrc, pli.media_ssrc)
    } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
        Plain::Fir(
            fir.sender_ssrc,
            fir.fir
                .iter()
                .map(|entry| (entry.ssrc, entry.sequence_number))
                .collect(),
        )
    } else if let Some(remb) = any.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
        #[expect(clippy::cast_possible_truncation, reason = "below 2^64 in every test")]
        let bitrate = remb.bitrate as u64;
        Plain::Remb(remb.sender_ssrc, bitrate, remb.ssrcs.clone())
    } else if let Some(cc) = any.downcast_ref::<TransportLayerCc>() {
        Plain::TransportCc(cc.sender_ssrc, cc.media_ssrc, cc.fb_pkt_count, their_packets(cc))
    } else if let Some(xr) = any.downcast_ref::<ExtendedReport>() {
        let (mut times, mut answers) = (Vec::new(), Vec::new());
        for block in &xr.reports {
            if let Some(time) = block.as_any().downcast_ref::<ReceiverReferenceTimeReportBlock>() {
                times.push(time.ntp_timestamp);
            }
            if let Some(dlrr) = block.as_any().downcast_ref::<DLRRReportBlock>() {
                answers.extend(
                    dlrr.reports
                        .iter()
                        .map(|report| (report.ssrc, report.last_rr, report.dlrr)),
                );
            }
        }
        Plain::Xr(xr.sender_ssrc, times, answers)
    } else {
        Plain::Other
    }
}

fn our_block(report: &ReceptionReport) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(report.ssrc),
        fraction_lost: report.fraction_lost,
        cumulative_lost: (report.total_lost << 8).cast_signed() >> 8,
        highest_seq: report.last_sequence_number,
        jitter: report.jitter,
        last_sr: report.last_sender_report,
        delay_since_sr: report.delay,
    }
}

fn their_block(block: &ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc.0,
        fraction_lost: block.fraction_lost,
        total_lost: block.cumulative_lost.cast_unsigned() & 0xff_ffff,
        last_sequence_number: block.highest_seq,
        jitter: block.jitter,
        last_sender_report: block.last_sr,
        delay: block.delay_since_sr,
    }
}

/// Their chunks and deltas, put together to one entry per packet.
fn their_packets(cc: &TransportLayerCc) -> Vec<(u16, Option<i64>)> {
    let symbols = cc.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => vec![run.packet_status_symbol; usize::from(run.run_length)],
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let mut deltas = cc.recv_deltas.iter();
    let mut at = i64::from((cc.reference_time << 8).cast_signed() >> 8) * 64_000;
    let packets = symbols
        .take(usize::from(cc.packet_status_count))
        .enumerate()
        .map(|(i, symbol)| {
            let time = (symbol != SymbolTypeTcc::PacketNotReceived).then(|| {
                at += deltas.next().expect("a delta for each packet that arrived").delta;
                at
            });
            (cc.base_sequence_number.wrapping_add(u16::try_from(i).unwrap()), time)
        });
    packets.collect()
}

fn both_read(bytes: &[u8]) {
    assert_eq!(ours(bytes), theirs(bytes));
}

fn both_read_theirs(packet: impl Packet + 'static) {
    let expected = plain(&packet);
    let bytes = rtc_rtcp::packet::marshal(&[Box::new(packet)]).expect("they write it");
    assert_eq!(ours(&bytes), [expected]);
}

/// A chunk of theirs with the deltas that it calls for.
fn their_chunk() -> impl Strategy<Value = (PacketStatusChunk, Vec<RecvDelta>)> {
    let symbol = |large: bool| {
        (0..if large { 3_u16 } else { 2 }, any::<i16>())
            .prop_map(|(symbol, delta)| (SymbolTypeTcc::from(symbol), delta))
    };
    let run = (symbol(true), 1..40_u16).prop_map(|(symbol, run_length)| {
        let chunk = RunLengthChunk {
            type_tcc: StatusChunkTypeTcc::RunLengthChunk,
            packet_status_symbol: symbol.0,
            run_length,
        };
        (
            PacketStatusChunk::RunLengthChunk(chunk),
            vec![symbol; usize::from(run_length)],
        )
    });
    let vector = |symbol_size: SymbolSizeTypeTcc, len: usize| {
        vec(symbol(symbol_size == SymbolSizeTypeTcc::TwoBit), len).prop_map(move |symbols| {
            let chunk = StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size,
                symbol_list: symbols.iter().map(|(symbol, _)| *symbol).collect(),
            };
            (PacketStatusChunk::StatusVectorChunk(chunk), symbols)
        })
    };
    prop_oneof![
        run,
        vector(SymbolSizeTypeTcc::OneBit, 14),
        vector(SymbolSizeTypeTcc::TwoBit, 7)
    ]
    .prop_map(|(chunk, symbols)| {
        let deltas = symbols.into_iter().filter_map(|(type_tcc_packet, delta)| {
            let delta = match type_tcc_packet {
                SymbolTypeTcc::PacketReceivedSmallDelta => i64::from(delta.to_be_bytes()[0]),
                SymbolTypeTcc::PacketReceivedLargeDelta => i64::from(delta),
                _ => return None,
            };
            Some(RecvDelta {
                type_tcc_packet,
                delta: delta * 250,
            })
        });
        (chunk, deltas.collect())
    })
}

proptest! {
    #[test]
    fn they_read_what_we_write(
        info in info(), blocks in vec(block(), 0..=MAX_COUNT), cname in "[a-z]{0,40}", reason in "[a-z]{0,40}",
        lost in lost(), rate in 0..1_u64 << 50, numbers in vec(any::<u32>().prop_map(Ssrc), 1..=MAX_COUNT), number: u8,
    ) {
        let (sender, media) = (info.ssrc, numbers[0]);
        let entries: Vec<_> = numbers.iter().map(|ssrc| (*ssrc, number)).collect();
        let mut buf = [0; ROOM];
        let mut len = sr::write(&mut buf, &info, &blocks).unwrap();
        len += rr::write(&mut buf[len..], sender, &blocks).unwrap();
        len += sdes::write_cname(&mut buf[len..], sender, &cname).unwrap();
        len += nack::write(&mut buf[len..], sender, media, lost.into_iter()).unwrap().0;
        len += pli::write(&mut buf[len..], sender, media).unwrap();
        len += fir::write(&mut buf[len..], sender, &entries).unwrap();
        len += remb::write(&mut buf[len..], sender, Bitrate(rate), &numbers).unwrap();
        len += bye::write(&mut buf[len..], &numbers, &reason).unwrap();
        both_read(&buf[..len]);
    }

    #[test]
    fn they_read_our_transport_feedback((base_seq, arrivals) in arrivals(), feedback_count: u8, room in 100..1500_usize) {
        let feedback = transport_cc::Feedback { sender: Ssrc(1), media: Ssrc(2), base_seq, feedback_count };
        let mut buf = [0; 1500];
        let written = transport_cc::write(&mut buf[..room], &feedback, arrivals.into_iter());
        prop_assume!(written.is_some());
        both_read(&buf[..written.unwrap().len]);
    }

    #[test]
    fn we_read_what_they_write(
        info in info(), blocks in vec(block(), 0..=MAX_COUNT), extension in vec(any::<u32>(), 0..3),
        items in vec((1..=7_u8, "[a-z]{0,40}"), 0..4), numbers in vec(any::<u32>(), 1..=MAX_COUNT), reason in "[a-z]{0,40}",
    ) {
        let profile_extensions = Bytes::from(extension.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>());
        let reports: Vec<_> = blocks.iter().map(their_block).collect();
        both_read_theirs(their_sr::SenderReport {
            ssrc: info.ssrc.0,
            ntp_time: info.ntp.0,
            rtp_time: info.rtp.0,
            packet_count: info.packets,
            octet_count: info.octets,
            reports: reports.clone(),
            profile_extensions: profile_extensions.clone(),
        });
        both_read_theirs(their_rr::ReceiverReport { ssrc: info.ssrc.0, reports, profile_extensions });
        let items: Vec<_> = items
            .into_iter()
            .map(|(kind, text)| SourceDescriptionItem { sdes_type: SdesType::from(kind), text: text.into() })
            .collect();
        let chunks = numbers.iter().map(|source| SourceDescriptionChunk { source: *source, items: items.clone() }).collect();
        both_read_theirs(SourceDescription { chunks });
        both_read_theirs(Goodbye { sources: numbers, reason: reason.into() });
    }

    #[test]
    fn we_read_their_feedback(
        sender_ssrc: u32, media_ssrc: u32, pairs in vec(any::<(u16, u16)>(), 1..50), numbers in vec(any::<(u32, u8)>(), 1..30),
        mantissa in 0..1_u32 << 18, exponent in 0..46_u8, ntp_timestamp: u64, answers in vec(any::<(u32, u32, u32)>(), 0..9),
    ) {
        let nacks = pairs.into_iter().map(|(packet_id, lost_packets)| NackPair { packet_id, lost_packets }).collect();
        both_read_theirs(TransportLayerNack { sender_ssrc, media_ssrc, nacks });
        both_read_theirs(PictureLossIndication { sender_ssrc, media_ssrc });
        let fir = numbers.iter().map(|(ssrc, nr)| FirEntry { ssrc: *ssrc, sequence_number: *nr }).collect();
        both_read_theirs(FullIntraRequest { sender_ssrc, media_ssrc, fir });
        let bitrate = f32::from(u16::try_from(mantissa >> 2).unwrap()) * 2_f32.powi(i32::from(exponent));
        let ssrcs = numbers.iter().map(|(ssrc, _)| *ssrc).collect();
        both_read_theirs(ReceiverEstimatedMaximumBitrate { sender_ssrc, bitrate, ssrcs });
        let reports = answers.into_iter().map(|(ssrc, last_rr, dlrr)| DLRRReport { ssrc, last_rr, dlrr }).collect();
        let reports: Vec<Box<dyn Packet>> =
            vec![Box::new(ReceiverReferenceTimeReportBlock { ntp_timestamp }), Box::new(DLRRReportBlock { reports })];
        both_read_theirs(ExtendedReport { sender_ssrc, reports });
    }

    #[test]
    fn we_read_their_transport_feedback(
        base_sequence_number: u16, reference_time in 0..1_u32 << 24, fb_pkt_count: u8, chunks in vec(their_chunk(), 1..60),
    ) {
        let (packet_chunks, deltas): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
        let packet_status_count = packet_chunks.iter().map(|chunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => run.run_length,
            PacketStatusChunk::StatusVectorChunk(vector) => u16::try_from(vector.symbol_list.len()).unwrap(),
        }).sum();
        both_read_theirs(TransportLayerCc {
            sender_ssrc: 1,
            media_ssrc: 2,
            base_sequence_number,
            packet_status_count,
            reference_time,
            fb_pkt_count,
            packet_chunks,
            recv_deltas: deltas.into_iter().flatten().collect(),
        });
    }
}
