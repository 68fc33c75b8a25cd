//! A playout: packets with any numbers at any time, pulled and skipped in any order.

use std::time::{Duration, Instant};

use althing_media_core::{Pt, RtpTime, Ssrc};
use bytes::Bytes;

use super::{Choices, FORMATS, check, payloads};
use crate::codec::MAX_SAMPLES;
use crate::playout::{Playout, PlayoutConfig, Pulled, Received};

/// What one input may ask for.
const STEPS: usize = 200;
const OWN: u8 = 96;
const RED: u8 = 97;
const NOISE: u8 = 13;

/// The first byte chooses the codec and the length of a tick; then steps.
///
/// A packet follows the one before it unless a step has moved the numbers.
pub fn playout(data: &[u8]) {
    let mut choices = Choices(data);
    let first = choices.byte();
    let format = FORMATS[usize::from(first) % FORMATS.len()];
    let tick = if first & 0x80 == 0 { 960 } else { 480 };
    let real = payloads(format);
    let config = PlayoutConfig {
        payload_type: Pt::new(OWN),
        red: Some(Pt::new(RED)),
        comfort_noise: Some(Pt::new(NOISE)),
    };
    let mut playout = Playout::new(config, format.decoder().expect("all of them exist"));
    let mut out = vec![0.0; tick * playout.channels()];
    let units = format.clock_rate() / 50;
    let mut now = Instant::now();
    let (mut seq, mut timestamp, mut ssrc, mut last) = (0_u16, 0_u32, 1, Bytes::new());
    for _ in 0..STEPS {
        if choices.is_empty() {
            break;
        }
        let push = |payload_type: u8, payload: Bytes, marker: bool| Received {
            ssrc: Ssrc(ssrc),
            seq,
            timestamp: RtpTime(timestamp),
            payload_type: Pt::new(payload_type),
            marker,
            level: None,
            payload,
        };
        match choices.byte() {
            0..0x60 => {
                last = choices.payload(&real).into();
                playout.push(now, push(OWN, last.clone(), false));
                (seq, timestamp) = (seq.wrapping_add(1), timestamp.wrapping_add(units));
            }
            0x60..0x70 => {
                // With a copy of the one before, or of something else.
                let payload = choices.payload(&real);
                let mut bytes = vec![0x80 | OWN, choices.byte(), 0, 0, OWN];
                let len = last.len().min(1_023);
                bytes[2..4].copy_from_slice(&u16::try_from(len).unwrap_or(0).to_be_bytes());
                bytes[2] |= choices.byte() & 0xfc;
                bytes.extend_from_slice(&last[..len]);
                bytes.extend_from_slice(&payload);
                last = payload.into();
                playout.push(now, push(RED, bytes.into(), false));
                (seq, timestamp) = (seq.wrapping_add(1), timestamp.wrapping_add(units));
            }
            0x70 => playout.push(now, push(NOISE, choices.take(5).to_vec().into(), true)),
            0x71 => playout.push(now, push(RED, choices.payload(&real).into(), true)),
            0x72 => playout.push(now, push(choices.byte(), last.clone(), true)),
            0x73 => seq = seq.wrapping_add(choices.word()),
            0x74 => timestamp = timestamp.wrapping_add(u32::from(choices.word()) * units / 16),
            0x75 => timestamp = timestamp.wrapping_add(u32::from(choices.word()) << 16),
            0x76 => ssrc = u32::from(choices.byte() & 3),
            0x77 => now += Duration::from_millis(u64::from(choices.word())),
            0x78..0x80 => seq = seq.wrapping_sub(1),
            0x80..0xa0 => {
                playout.skip(now, tick);
                now += Duration::from_millis(tick as u64 / 48);
            }
            _ => {
                let pulled = playout.pull(now, &mut out);
                check(&out);
                assert!(pulled != Pulled::Silence || out.iter().all(|value| *value == 0.0));
                now += Duration::from_millis(tick as u64 / 48);
            }
        }
        let stats = playout.stats();
        assert!(stats.target <= Duration::from_millis(520), "{stats:?}");
        assert!(
            stats.lost < 3_000 * STEPS as u64 && stats.concealed < (MAX_SAMPLES * 2 * STEPS) as u64,
            "{stats:?}"
        );
    }
}
