//! Other people's programs, and how their files are made here.

use std::path::{Path, PathBuf};
use std::process::{Command, Output as Ended};
use std::time::Duration;

use althing_media_core::Codec;
use althing_recorder::container::{Container, Muxer, MuxerConfig, Output};
use althing_recorder::{AudioFormat, Frame, MediaTime, TrackFormat, VideoFormat};
use althing_testkit::media::{Clip, Coded};
use althing_testkit::scratch::Scratch;
use bytes::Bytes;

/// A folder of a test's own.
pub(crate) struct Folder(Scratch);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(env!("CARGO_TARGET_TMPDIR"), name);
        std::fs::create_dir_all(&scratch.0).unwrap();
        Self(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.0
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Runs a program that the tests need.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Ended {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed ({error}): `cargo xtask setup` installs it"))
}

/// ffmpeg decodes all of it and says nothing.
pub(crate) fn decodes(path: &Path) {
    let path = path.to_str().unwrap();
    let ended = run("ffmpeg", &["-nostdin", "-v", "warning", "-i", path, "-f", "null", "-"]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.is_empty(), "{path}: {said}");
}

/// A packet as ffprobe sees it: its stream, when it is shown in ms, and whether a decoder can start there.
pub(crate) type Probed = (usize, i64, bool);

/// The packets of a file, and what ffprobe complained of.
pub(crate) fn probe(path: &Path) -> (Vec<Probed>, String) {
    let path = path.to_str().unwrap();
    let entries = "packet=stream_index,pts_time,flags";
    let ended = run(
        "ffprobe",
        &["-v", "error", "-show_entries", entries, "-of", "csv=p=0", path],
    );
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{path} does not open: {said}");
    let text = String::from_utf8(ended.stdout).unwrap();
    let packets = text.lines().filter_map(|line| {
        let mut fields = line.split(',');
        let stream = fields.next()?.parse().ok()?;
        let seconds: f64 = fields.next()?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a test")]
        Some((
            stream,
            (seconds * 1000.0).round() as i64,
            fields.next()?.starts_with('K'),
        ))
    });
    (packets.collect(), said)
}

/// How long a file says that it is, in seconds.
pub(crate) fn duration(path: &Path) -> f64 {
    let path = path.to_str().unwrap();
    let ended = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
            path,
        ],
    );
    String::from_utf8_lossy(&ended.stdout).trim().parse().unwrap_or(0.0)
}

/// The checkers for a kind of file find nothing wrong.
pub(crate) fn checked(container: Container, path: &Path) {
    let name = path.to_str().unwrap();
    match container {
        Container::WebM | Container::Matroska => {
            let info = run("mkvinfo", &[name]);
            let said = String::from_utf8_lossy(&info.stdout);
            assert!(info.status.success() && said.contains("+ Cluster"), "{said}");
            // It ends with 1 when it has warned of something.
            let other = format!("{name}.merged");
            let merged = run("mkvmerge", &["-q", "-o", &other, name]);
            let _ = std::fs::remove_file(other);
            assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stdout));
        }
        Container::Ogg => {
            let info = run("opusinfo", &[name]);
            let said = String::from_utf8_lossy(&info.stdout) + String::from_utf8_lossy(&info.stderr);
            assert!(
                info.status.success() && !said.contains("WARNING") && !said.contains("ERROR"),
                "{said}"
            );
        }
        _ => {}
    }
}

/// The format of a clip.
pub(crate) fn format(clip: &Clip) -> TrackFormat {
    if clip.codec == Codec::Opus {
        return TrackFormat::Audio(AudioFormat {
            codec: Codec::Opus,
            channels: 1,
            sample_rate: 48_000,
            pre_skip: 312,
        });
    }
    TrackFormat::Video(VideoFormat {
        codec: clip.codec,
        width: clip.size.0,
        height: clip.size.1,
        config: Bytes::from(clip.config.clone()),
    })
}

/// A coded frame as the recorder has it.
pub(crate) fn frame(coded: &Coded, codec: Codec) -> Frame {
    Frame {
        at: MediaTime(coded.at),
        keyframe: coded.keyframe,
        duration: (codec == Codec::Opus).then_some(Duration::from_nanos(coded.duration)),
        data: Bytes::from(coded.data.clone()),
    }
}

/// The frames of all clips in the order of time, each with the number of its track, up to `end` ns.
pub(crate) fn interleaved(clips: &[Clip], end: u64) -> Vec<(usize, Frame)> {
    let mut frames: Vec<(usize, Frame)> = Vec::new();
    for (track, clip) in clips.iter().enumerate() {
        let until = clip.repeated().take_while(|coded| coded.at < end);
        frames.extend(until.map(|coded| (track, frame(&coded, clip.codec))));
    }
    frames.sort_by_key(|(_, frame)| frame.at);
    frames
}

/// A file in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    /// How many bytes were written in the place of others.
    pub(crate) patched: usize,
}

impl Memory {
    pub(crate) fn take(&mut self, muxer: &mut Muxer) {
        while let Some(output) = muxer.poll_output() {
            match output {
                Output::Append(fragment) => fragment
                    .pieces
                    .slices()
                    .for_each(|slice| self.bytes.extend_from_slice(slice)),
                Output::Patch(patch) => {
                    let at = usize::try_from(patch.at).unwrap();
                    self.bytes[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
                    self.patched += patch.bytes.len();
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A file of these clips, as it is before it is finished and after.
pub(crate) fn mux(container: Container, clips: &[Clip], end: u64) -> (Vec<u8>, Vec<u8>) {
    let formats: Vec<TrackFormat> = clips.iter().map(format).collect();
    let mut muxer = Muxer::new(container, &formats, &MuxerConfig::default()).unwrap();
    let mut file = Memory::default();
    for (track, frame) in interleaved(clips, end) {
        muxer.handle_frame(track, frame).unwrap();
        file.take(&mut muxer);
    }
    let before = file.bytes.clone();
    muxer.finish();
    file.take(&mut muxer);
    (before, file.bytes)
}
