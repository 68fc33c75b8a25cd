//! Some pictures, encoded by ffmpeg.

use std::process::{Command, Stdio};

use althing_media_core::Codec;
use bytes::Bytes;

/// A short film.
pub(crate) struct Coded {
    /// As the encoder gave them: H.264 with start codes, AV1 with temporal delimiters.
    pub(crate) frames: Vec<Vec<u8>>,
    /// What ffmpeg writes into the configuration box of an MP4; empty for VP8.
    pub(crate) config: Bytes,
}

impl Coded {
    pub(crate) fn new(codec: Codec) -> Self {
        let (encoder, format): (&[&str], &str) = match codec {
            Codec::Vp8 => (&["libvpx", "-deadline", "realtime", "-b:v", "600k"], "ivf"),
            Codec::Vp9 => (
                &["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "600k"],
                "ivf",
            ),
            Codec::H264 => (
                &[
                    "libx264",
                    "-preset",
                    "ultrafast",
                    "-tune",
                    "zerolatency",
                    "-slices",
                    "3",
                ],
                "h264",
            ),
            _ => (
                &["libsvtav1", "-preset", "10", "-svtav1-params", "pred-struct=1"],
                "ivf",
            ),
        };
        let path = std::env::temp_dir().join(format!("althing-input-{}-{codec:?}", std::process::id()));
        let path_text = path.to_string_lossy().into_owned();
        let source = "testsrc2=size=318x178:rate=10:duration=2,format=yuv420p";
        let mut arguments = vec!["-f", "lavfi", "-i", source, "-g", "10", "-c:v"];
        arguments.extend_from_slice(encoder);
        arguments.extend_from_slice(&["-f", format, &path_text]);
        ffmpeg(&arguments);
        let bytes = std::fs::read(&path).expect("was written");
        let frames = if format == "ivf" {
            ivf(&bytes)
        } else {
            access_units(&bytes)
        };
        let copy = [
            "-i",
            &path_text,
            "-c",
            "copy",
            "-movflags",
            "empty_moov",
            "-f",
            "mp4",
            "-",
        ];
        let config = match codec {
            Codec::Vp8 => Bytes::new(),
            // The box has version and flags in front.
            Codec::Vp9 => find_box(&ffmpeg(&copy), b"vpcC").slice(4..),
            Codec::H264 => find_box(&ffmpeg(&copy), b"avcC"),
            _ => find_box(&ffmpeg(&copy), b"av1C"),
        };
        let _ = std::fs::remove_file(&path);
        Self { frames, config }
    }
}

fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(arguments);
    let output = command.stderr(Stdio::piped()).output().expect("ffmpeg runs");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The content of the first box of that kind.
fn find_box(file: &[u8], kind: &[u8; 4]) -> Bytes {
    let at = file.windows(4).position(|four| four == kind).expect("the box is there");
    let size = file[at - 4..]
        .first_chunk()
        .map(|size| u32::from_be_bytes(*size))
        .expect("has a size");
    Bytes::copy_from_slice(&file[at + 4..at - 4 + usize::try_from(size).expect("small")])
}

fn ivf(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[32..];
    let mut frames = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<12>() {
        let size = header
            .first_chunk()
            .map(|size| u32::from_le_bytes(*size))
            .expect("four bytes");
        let (frame, after) = after.split_at(usize::try_from(size).expect("small"));
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

/// NAL units behind start codes.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = stream
        .windows(3)
        .enumerate()
        .filter(|(_, three)| **three == [0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let unit = &stream[start + 3..end];
            let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
            &unit[..unit.len() - zeros]
        })
        .collect()
}

/// One picture each; a picture ends before the first slice of the next, or before its parameter sets.
fn access_units(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut pictures: Vec<Vec<u8>> = Vec::new();
    let mut has_slices = true;
    for unit in units(stream) {
        let slice = matches!(unit[0] & 0x1f, 1..=5);
        let begins = !slice || unit[1] & 0x80 != 0;
        if has_slices && begins {
            pictures.push(Vec::new());
            has_slices = false;
        }
        has_slices |= slice;
        let picture = pictures.last_mut().expect("has begun");
        picture.extend_from_slice(&[0, 0, 0, 1]);
        picture.extend_from_slice(unit);
    }
    pictures
}

/// `frame` as files hold it.
pub(crate) fn in_a_file(codec: Codec, frame: &[u8]) -> Vec<u8> {
    match codec {
        Codec::H264 => units(frame)
            .iter()
            .flat_map(|unit| {
                u32::try_from(unit.len())
                    .expect("small")
                    .to_be_bytes()
                    .into_iter()
                    .chain(unit.iter().copied())
            })
            .collect(),
        Codec::Av1 => frame.strip_prefix(&[0x12, 0x00]).unwrap_or(frame).to_vec(),
        _ => frame.to_vec(),
    }
}
