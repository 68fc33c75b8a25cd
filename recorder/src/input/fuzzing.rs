//! The body of the fuzz target for frame assembly: any packets, in any order, at any time.
//!
//! It exists under `cfg(fuzzing)` (for `fuzz/`, see `cargo xtask fuzz`) and in tests, which replay the seeds.

use std::time::{Duration, Instant};

use althing_media_core::packet::{Pt, RtpWriter};
use althing_media_core::{Codec, Extension, ExtensionMap, NtpTime, Packet, RtpTime, Ssrc};
use bytes::Bytes;

use super::{Input, MAX_FRAME, Output};
use crate::timeline::{MAX_AHEAD, SenderWall};

const CODECS: [Codec; 8] = [
    Codec::Opus,
    Codec::Vp8,
    Codec::Vp9,
    Codec::H264,
    Codec::Av1,
    Codec::G722,
    Codec::Pcmu,
    Codec::Pcma,
];
const EXTENSION: u8 = 3;

/// Which codec, then packets: flags, sequence step, time steps, length, payload. What comes out begins with a keyframe,
/// rises in time without running away, and is no larger than it may be.
///
/// ```text
/// | codec | flags | seq step | timestamp step (2) | wait, ms | length (2) | payload … | flags | …
/// flags: 1 marker · 2 other SSRC · 4 next codec · 8 capture time · 16 sender report · 32 timeout
/// ```
pub fn frames(data: &[u8]) {
    run(data);
}

/// As [`frames`]; how many came out.
fn run(data: &[u8]) -> usize {
    let Some((first, mut rest)) = data.split_first() else {
        return 0;
    };
    let mut count = 0;
    let mut choice = usize::from(*first) % CODECS.len();
    let kind = CODECS[choice].kind();
    let start = Instant::now();
    let mut wall = SenderWall::new(start);
    let mut input = Input::new(kind, &ExtensionMap::new().with(Extension::AbsCaptureTime, EXTENSION));
    // What comes at once was captured before: the recording has run for a while.
    let (mut now, mut seq, mut timestamp, mut ssrc) = (start + Duration::from_secs(10), 0_u16, 0_u32, 1);
    let (mut begun, mut last) = (false, None);
    while let Some((head, after)) = rest.split_first_chunk::<7>() {
        let &[flags, step, t0, t1, wait, l0, l1] = head;
        let (payload, after) = after.split_at(usize::from(u16::from_be_bytes([l0, l1])).min(after.len()));
        rest = after;
        seq = seq.wrapping_add_signed(i16::from(step.cast_signed()));
        timestamp = timestamp.wrapping_add(u32::from(u16::from_be_bytes([t0, t1])) << (flags >> 6 << 3));
        now += Duration::from_millis(wait.into());
        ssrc ^= u32::from(flags & 2);
        choice = (choice + usize::from(flags & 4 != 0)) % CODECS.len();
        let ntp = NtpTime(u64::from(timestamp) << 24);
        if flags & 16 != 0 {
            input.handle_report(now, &mut wall, ntp, RtpTime(timestamp));
        }
        let mut buffer = vec![0; payload.len() + 64];
        let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), flags & 1 != 0, seq, timestamp, Ssrc(ssrc));
        if flags & 8 != 0 {
            writer.extension(EXTENSION, &ntp.0.to_be_bytes());
        }
        writer.payload(payload);
        let (_, len) = writer.finish().expect("there is room");
        buffer.truncate(len);
        let packet = Packet::parse(Bytes::from(buffer)).expect("we wrote it");
        input.handle_packet(now, &mut wall, CODECS[choice], packet);
        if flags & 32 != 0 {
            now += Duration::from_secs(1);
            input.handle_timeout(now, &wall);
        }
        if rest.len() < 7 {
            input.finish(now, &wall);
        }
        loop {
            match input.poll_output() {
                Output::Timeout(_) => break,
                Output::Frame(frame) => {
                    assert!(begun || frame.keyframe);
                    assert!(last < Some(frame.at), "time has stopped");
                    assert!(frame.at.since_start() <= now.saturating_duration_since(start) + MAX_AHEAD);
                    assert!(!frame.data.is_empty() && frame.data.len() <= 2 * MAX_FRAME);
                    (begun, last) = (true, Some(frame.at));
                    count += 1;
                }
                Output::Break(gap) => assert!(gap.from <= gap.until && last.is_some()),
                _ => {}
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::{frames, run};

    #[test]
    fn every_seed_passes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/frames");
        let files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert!(files.len() >= 6);
        for file in &files {
            let seed = std::fs::read(file).unwrap();
            assert!(run(&seed) > 0, "nothing comes of {}", file.display());
            // And near it: each byte changed in some way.
            for at in 0..seed.len().min(400) {
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                frames(&changed);
                frames(&changed[..at]);
            }
        }
    }

    #[test]
    fn random_bytes_pass() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for len in 0..600 {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_be_bytes()[0]
                })
                .collect();
            frames(&bytes);
        }
    }
}
