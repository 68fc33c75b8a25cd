//! Writes a recording of each kind into a folder: frames in, files out, with no network in between.
//!
//! ```sh
//! cargo run -p althing-recorder --example containers -- /tmp/recordings
//! ```
//!
//! The frames are those of clips that ffmpeg encodes; a server has them from its participants
//! (`althing_recorder::input`). Their brightness tells the time, so that a player's jumps can be judged by what it shows.
#![expect(
    clippy::print_stdout,
    reason = "talking to the person at the terminal is this program's job"
)]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use althing_media_core::Codec;
use althing_recorder::container::Container;
use althing_recorder::container::hls::PlaylistConfig;
use althing_recorder::file::{Disk, DiskConfig, Writer, WriterConfig};
use althing_recorder::{AudioFormat, Frame, MediaTime, TrackFormat, VideoFormat};
use althing_testkit::media::{self, Clip};

/// How long each recording is, in ns.
const LENGTH: u64 = 6_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: containers FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    // One thread writes all files. Dropping it at the end waits until they are written.
    let disk = Arc::new(Disk::start(DiskConfig::default(), |event| println!("{event}"))?);
    let sound = media::audio(2);
    for (name, container, picture) in [
        ("vp8", Container::WebM, Some(Codec::Vp8)),
        ("vp9", Container::WebM, Some(Codec::Vp9)),
        ("av1", Container::WebM, Some(Codec::Av1)),
        ("h264", Container::Matroska, Some(Codec::H264)),
        ("vp9", Container::Mp4, Some(Codec::Vp9)),
        ("av1", Container::Mp4, Some(Codec::Av1)),
        ("h264", Container::Mp4, Some(Codec::H264)),
        ("sound", Container::WebM, None),
        ("sound", Container::Mp4, None),
        ("sound", Container::Ogg, None),
    ] {
        let mut clips = vec![sound.clone()];
        clips.extend(picture.map(|codec| media::clock(codec, 6)));
        let formats: Vec<TrackFormat> = clips.iter().map(format).collect();
        let config = WriterConfig {
            playlist: Some(PlaylistConfig::default()),
            ..WriterConfig::new(container)
        };
        let mut writer = Writer::new(&disk, &folder.join(name), &formats, config)?;
        for (track, frame) in frames(&clips) {
            writer.handle_frame(track, frame)?;
        }
        writer.finish();
    }
    Ok(())
}

/// What a container has to know of a clip.
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

/// The frames of all clips, in the order in which they would have come.
fn frames(clips: &[Clip]) -> Vec<(usize, Frame)> {
    let mut frames = Vec::new();
    for (track, clip) in clips.iter().enumerate() {
        for coded in clip.repeated().take_while(|coded| coded.at < LENGTH) {
            let frame = Frame {
                at: MediaTime(coded.at),
                keyframe: coded.keyframe,
                duration: (clip.codec == Codec::Opus).then_some(Duration::from_nanos(coded.duration)),
                data: coded.data.into(),
            };
            frames.push((track, frame));
        }
    }
    frames.sort_by_key(|(_, frame)| frame.at);
    frames
}
