//! Series of operations on what gives numbers to packets.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::choices::Choices;
use crate::config::{LayerTarget, SubscriptionId, TrackId};
use crate::forward::{Forwarder, Interest, LayerSet, Meta};
use crate::packet::{SeqNo, Ssrc};
use crate::payload::{Codec, MediaKind, peek};
use crate::send::Note;
use crate::send::log::SentLog;
use crate::send::note::Form;
use crate::time::RtpTime;

/// Packets of three encodings in any order, with switches, pauses, other sources and jumps: no number goes out twice
/// (SRTP depends on it), and what arrives in order and without gaps goes out so.
pub fn forward(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind = if choices.flag() {
        MediaKind::Audio
    } else {
        MediaKind::Video
    };
    let target = LayerTarget {
        spatial: choices.below(4),
        temporal: choices.below(4),
    };
    let mut forwarder = Forwarder::new(kind, Ssrc(u32::from(choices.word())), target);
    let mut all = LayerSet::default();
    (0..3).for_each(|encoding| all.insert(encoding));
    forwarder.set_live(all);
    let mut streams = [(0x1_0000_u64, 0_u32), (0x1_fff0, 0xffff_f000), (0x5_8000, 77)];
    let mut now = Instant::now();
    let mut used = HashSet::new();
    while !choices.is_empty() {
        now += Duration::from_millis(u64::from(choices.byte()));
        match choices.below(16) {
            0 => forwarder.set_target(LayerTarget {
                spatial: choices.below(4),
                temporal: choices.below(8),
            }),
            1 => forwarder.set_paused(choices.flag()),
            2 => forwarder.reset_source(),
            3 => forwarder.reset_encoding(choices.below(3)),
            4 => forwarder.interrupt(),
            5 => {
                let mut live = LayerSet::default();
                let bits = choices.byte();
                (0..3).filter(|n| bits >> n & 1 != 0).for_each(|n| live.insert(n));
                forwarder.set_live(live);
            }
            _ => {
                let encoding = choices.below(3);
                let stream = &mut streams[usize::from(encoding)];
                let step = choices.byte();
                stream.0 = match step {
                    0..200 => stream.0 + 1,
                    200..230 => stream.0.saturating_add_signed(i64::from(step) - 215),
                    230..250 => stream.0 + u64::from(step) * 3,
                    _ => stream.0 + u64::from(step) * 200,
                };
                stream.1 = stream.1.wrapping_add(u32::from(choices.byte()) * 30);
                let codec = if kind == MediaKind::Audio {
                    Codec::Opus
                } else {
                    Codec::Vp8
                };
                let payload_len = usize::from(choices.below(8));
                let payload = choices.take(payload_len);
                let meta = Meta {
                    encoding,
                    seq: SeqNo(stream.0),
                    timestamp: RtpTime(stream.1),
                    info: peek(codec, payload),
                    empty: payload.is_empty(),
                };
                let interest = forwarder.interest(&meta);
                if interest == Interest::Starts {
                    forwarder.start(now, &meta, codec.clock_rate(), choices.flag().then_some(RtpTime(5)));
                }
                if interest != Interest::None
                    && let Some(rewrite) = forwarder.forward(now, &meta)
                {
                    assert!(used.insert(rewrite.seq), "{} goes out twice", rewrite.seq.0);
                    assert!(!(rewrite.filler && rewrite.patch.is_some()));
                }
            }
        }
    }
}

/// Inserts and requests in any order: an answer is about the number that was asked for, and never without end.
pub fn history(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut log = SentLog::new(usize::from(choices.below(64)) + 1);
    let mut now = Instant::now();
    let mut next = SeqNo(0x1_0000 + u64::from(choices.word()));
    let mut answers = std::collections::HashMap::<SeqNo, u32>::new();
    while !choices.is_empty() {
        match choices.below(4) {
            0 => {
                let back = choices.byte();
                let rtt = Duration::from_millis(u64::from(choices.byte()));
                if let Some(note) = log.request(now, SubscriptionId(1), next.wire().wrapping_sub(u16::from(back)), rtt)
                {
                    assert!(note.form.is_again());
                    assert_eq!(note.seq.wire(), next.wire().wrapping_sub(u16::from(back)));
                    assert!(note.seq < next, "it was sent");
                    let count = answers.entry(note.seq).or_default();
                    *count += 1;
                    assert!(*count <= 10, "{} answers for one packet", *count);
                }
            }
            1 => now += Duration::from_millis(u64::from(choices.byte())),
            2 => {
                let _ = log.request(now, SubscriptionId(1), choices.word(), Duration::ZERO);
            }
            _ => {
                log.insert(
                    now,
                    &Note {
                        subscription: SubscriptionId(1),
                        track: TrackId(1),
                        encoding: 0,
                        form: if choices.below(8) == 0 {
                            Form::Filler
                        } else {
                            Form::Media
                        },
                        ends: false,
                        source: next,
                        seq: next,
                        timestamp: RtpTime(0),
                        patch: None,
                        frame_shift: 0,
                    },
                );
                next = next.plus(1);
            }
        }
    }
}
