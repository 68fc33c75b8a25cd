//! The bodies of the fuzz targets for files: any bytes to be recovered, any frames to be put into a file.
//!
//! They exist under `cfg(fuzzing)` (for `fuzz/`, see `cargo xtask fuzz`) and in tests, which replay the seeds.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a body says what it has found")]

use std::time::Duration;

use althing_media_core::Codec;
use bytes::Bytes;

use super::{Plan, plan};
use crate::container::{Container, Muxer, MuxerConfig, Output};
use crate::frame::{AudioFormat, Frame, MediaTime, TrackFormat, VideoFormat};

const CONTAINERS: [Container; 4] = [Container::WebM, Container::Matroska, Container::Mp4, Container::Ogg];

/// A file of which the first byte says the kind: what is planned for it lies inside it, and done once is enough.
pub fn recover(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else { return };
    let container = CONTAINERS[usize::from(*kind) % CONTAINERS.len()];
    let Some(plan) = planned(container, file) else { return };
    let recovered = apply(&plan, file);
    if plan.has_media {
        let again = planned(container, &recovered).expect("its beginning is as good as before");
        assert!(again.is_done(recovered.len() as u64), "{plan:?} and then {again:?}");
    }
}

/// Frames with any times, sizes and tracks, in any order: the file is one that needs no recovery, and one that is cut off
/// anywhere is recovered.
pub fn container(data: &[u8]) {
    let Some(([kind, cut], data)) = data.split_first_chunk() else {
        return;
    };
    let container = CONTAINERS[usize::from(*kind) % CONTAINERS.len()];
    let config = MuxerConfig {
        index: usize::from(*kind >> 4),
        fragment: Duration::from_millis(100),
        ..MuxerConfig::default()
    };
    let tracks = tracks(container);
    let mut muxer = Muxer::new(container, &tracks, &config).expect("a container that holds these");
    let mut file = Vec::new();
    let mut unfinished = Vec::new();
    // In Ogg, time costs bytes.
    let furthest = if container == Container::Ogg { 28 } else { 63 };
    let mut at = 0_u64;
    for step in data.chunks_exact(4) {
        let ahead = u64::from(step[1]) << (step[0] & 0x3f).min(furthest);
        at = if step[2] & 1 == 0 {
            at.saturating_add(ahead)
        } else {
            at.saturating_sub(ahead)
        };
        let frame = Frame {
            at: MediaTime(at),
            keyframe: step[2] & 2 != 0,
            duration: (step[2] & 4 != 0).then_some(Duration::from_millis(20)),
            data: Bytes::from(vec![step[3]; 1 + usize::from(step[3] >> 1) * usize::from(step[2] >> 3)]),
        };
        let track = usize::from(step[0] >> 6) % (tracks.len() + 1);
        assert_eq!(muxer.handle_frame(track, frame).is_ok(), track < tracks.len());
        write(&mut muxer, &mut file);
    }
    unfinished.clone_from(&file);
    muxer.finish();
    write(&mut muxer, &mut file);
    let plan = planned(container, &file).expect("a whole beginning");
    if plan.has_media {
        assert!(plan.is_done(file.len() as u64), "finished, and yet {plan:?}");
    }
    unfinished.truncate(unfinished.len() * usize::from(*cut) / 255);
    if let Some(plan) = planned(container, &unfinished) {
        let recovered = apply(&plan, &unfinished);
        let again = planned(container, &recovered).expect("a whole beginning");
        assert!(!plan.has_media || again.is_done(recovered.len() as u64));
    }
}

fn planned(container: Container, mut file: &[u8]) -> Option<Plan> {
    plan(container, &mut file).expect("bytes in memory can be read")
}

fn apply(plan: &Plan, file: &[u8]) -> Vec<u8> {
    let keep = usize::try_from(plan.keep).expect("it was in memory");
    let mut out = file[..keep].to_vec();
    out.extend_from_slice(&plan.append);
    for patch in &plan.patches {
        let at = usize::try_from(patch.at).expect("a place in the file");
        out[..keep][at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
    }
    out
}

fn write(muxer: &mut Muxer, file: &mut Vec<u8>) {
    while let Some(output) = muxer.poll_output() {
        match output {
            Output::Append(fragment) => fragment.pieces.slices().for_each(|slice| file.extend_from_slice(slice)),
            Output::Patch(patch) => {
                let at = usize::try_from(patch.at).expect("a place in the file");
                file[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
            }
        }
    }
}

fn tracks(container: Container) -> Vec<TrackFormat> {
    let audio = TrackFormat::Audio(AudioFormat {
        codec: Codec::Opus,
        channels: 2,
        sample_rate: 48_000,
        pre_skip: 312,
    });
    let video = TrackFormat::Video(VideoFormat {
        codec: Codec::Vp9,
        width: 320,
        height: 180,
        config: Bytes::from_static(&[0, 10, 0x82, 2, 2, 2, 0, 0]),
    });
    if container == Container::Ogg {
        vec![audio]
    } else {
        vec![audio, video]
    }
}
