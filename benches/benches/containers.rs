//! What recording costs: five minutes of a camera of 2.5 Mbit/s with sound, into each kind of file; what `ffmpeg -c copy`
//! needs for the same streams; and how long hanging up takes after an hour.
//!
//! 100 tracks of 2.5 Mbit/s are 31 MB/s: a throughput of 62 MB/s would be half a core.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::Codec;
use althing_recorder::container::{Container, Muxer, MuxerConfig, Output};
use althing_recorder::file::{Disk, DiskConfig, Sync, Writer, WriterConfig};
use althing_recorder::{AudioFormat, Frame, MediaTime, TrackFormat, VideoFormat};
use althing_testkit::media::{self, Clip};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SECOND: u64 = 1_000_000_000;
const MINUTES_5: u64 = 300 * SECOND;
const HOUR: u64 = 3600 * SECOND;

struct Meeting {
    formats: [TrackFormat; 2],
    /// Two seconds, in the order of time.
    frames: Vec<(usize, Frame)>,
}

impl Meeting {
    fn new(codec: Codec) -> Self {
        let clips = [media::video_of(codec, 2, (1280, 720), 2500), media::audio(2)];
        let mut frames: Vec<(usize, Frame)> = Vec::new();
        for (track, clip) in clips.iter().enumerate() {
            frames.extend(clip.frames.iter().filter(|coded| coded.at < 2 * SECOND).map(|coded| {
                let frame = Frame {
                    at: MediaTime(coded.at),
                    keyframe: coded.keyframe,
                    duration: (track == 1).then_some(Duration::from_nanos(coded.duration)),
                    data: coded.data.clone().into(),
                };
                (track, frame)
            }));
        }
        frames.sort_by_key(|(_, frame)| frame.at);
        Self {
            formats: clips.each_ref().map(format),
            frames,
        }
    }

    fn bytes(&self, length: u64) -> u64 {
        let round: usize = self.frames.iter().map(|(_, frame)| frame.data.len()).sum();
        round as u64 * (length / (2 * SECOND))
    }

    /// The same two seconds over and over; the bytes are shared.
    fn play(&self, length: u64, mut take: impl FnMut(usize, Frame)) {
        for round in 0..length / (2 * SECOND) {
            for (track, frame) in &self.frames {
                let at = MediaTime(frame.at.0 + round * 2 * SECOND);
                take(*track, Frame { at, ..frame.clone() });
            }
        }
    }
}

fn format(clip: &Clip) -> TrackFormat {
    if clip.codec == Codec::Opus {
        return TrackFormat::Audio(AudioFormat {
            codec: clip.codec,
            channels: 1,
            sample_rate: 48_000,
            pre_skip: 312,
        });
    }
    TrackFormat::Video(VideoFormat {
        codec: clip.codec,
        width: clip.size.0,
        height: clip.size.1,
        config: clip.config.clone().into(),
    })
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containers");
    fs::create_dir_all(&folder).expect("a folder that can be written");
    folder
}

fn record(meeting: &Meeting, container: Container, base: &Path, sync: Sync) {
    let _ = fs::remove_file(base.with_extension(container.extension()));
    let config = DiskConfig { sync, queue: 64 << 20 };
    let disk = Arc::new(Disk::start(config, |_| {}).expect("a thread"));
    let mut writer = Writer::new(&disk, base, &meeting.formats, WriterConfig::new(container)).expect("it holds these");
    meeting.play(MINUTES_5, |track, frame| {
        while !disk.has_room() {
            std::thread::yield_now();
        }
        writer.handle_frame(track, frame).expect("a good frame");
    });
    writer.finish();
}

fn to_disk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("five minutes to disk");
    group.sample_size(10);
    let folder = folder();
    for (container, codec) in [(Container::WebM, Codec::Vp8), (Container::Mp4, Codec::H264)] {
        let meeting = Meeting::new(codec);
        group.throughput(Throughput::Bytes(meeting.bytes(MINUTES_5)));
        let base = folder.join("ours");
        group.bench_function(format!("{container:?}"), |bench| {
            bench.iter(|| record(&meeting, container, &base, Sync::Never));
        });
        let source = base.with_extension(container.extension());
        record(&meeting, container, &base, Sync::Never);
        let copy = folder.join("copy").with_extension(container.extension());
        let flags: &[&str] = if container == Container::Mp4 {
            &["-movflags", "frag_keyframe+empty_moov"]
        } else {
            &[]
        };
        group.bench_function(format!("{container:?}, ffmpeg -c copy"), |bench| {
            bench.iter(|| {
                let mut command = Command::new("ffmpeg");
                command
                    .args(["-nostdin", "-v", "error", "-y", "-i"])
                    .arg(&source)
                    .args(["-c", "copy"])
                    .args(flags);
                let ended = command
                    .arg(&copy)
                    .status()
                    .expect("ffmpeg is needed: `cargo xtask setup` installs it");
                assert!(ended.success());
            });
        });
    }
    group.finish();
    fs::remove_dir_all(folder).expect("our own folder");
}

fn in_memory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("five minutes in memory");
    group.sample_size(10);
    for (container, codec) in [(Container::WebM, Codec::Vp8), (Container::Mp4, Codec::H264)] {
        let meeting = Meeting::new(codec);
        group.throughput(Throughput::Bytes(meeting.bytes(MINUTES_5)));
        group.bench_function(format!("{container:?}"), |bench| {
            bench.iter(|| {
                let mut muxer =
                    Muxer::new(container, &meeting.formats, &MuxerConfig::default()).expect("it holds these");
                meeting.play(MINUTES_5, |track, frame| {
                    muxer.handle_frame(track, frame).expect("a good frame");
                    while let Some(output) = muxer.poll_output() {
                        black_box(output);
                    }
                });
            });
        });
    }
    group.finish();
}

/// From the last frame to a file that is finished and synced.
fn hang_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hang up after an hour");
    group.sample_size(10);
    let folder = folder();
    for (container, codec) in [(Container::WebM, Codec::Vp8), (Container::Mp4, Codec::H264)] {
        let meeting = Meeting::new(codec);
        let path = folder.join("hour");
        let recorded = || {
            let mut muxer = Muxer::new(container, &meeting.formats, &MuxerConfig::default()).expect("it holds these");
            let mut len = 0;
            meeting.play(HOUR, |track, frame| {
                muxer.handle_frame(track, frame).expect("a good frame");
                while let Some(output) = muxer.poll_output() {
                    if let Output::Append(fragment) = output {
                        len += fragment.pieces.len() as u64;
                    }
                }
            });
            // As long as the recording; what is in it does not matter for what is put into its rooms.
            let file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .open(&path)
                .expect("a file");
            file.set_len(len).expect("a long file");
            (muxer, file, len)
        };
        group.bench_function(format!("{container:?}"), |bench| {
            bench.iter_batched(
                recorded,
                |(muxer, file, len)| finish(muxer, &file, len),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    fs::remove_dir_all(folder).expect("our own folder");
}

fn finish(mut muxer: Muxer, file: &File, mut len: u64) -> Duration {
    let start = Instant::now();
    muxer.finish();
    while let Some(output) = muxer.poll_output() {
        match output {
            Output::Append(fragment) => {
                file.write_all_at(&fragment.pieces.to_vec(), len).expect("room");
                len += fragment.pieces.len() as u64;
            }
            Output::Patch(patch) => file.write_all_at(&patch.bytes, patch.at).expect("room"),
            other => panic!("{other:?}"),
        }
    }
    file.sync_all().expect("a disk");
    start.elapsed()
}

criterion_group!(benches, in_memory, to_disk, hang_up);
criterion_main!(benches);
