//! Every kind of file, with every codec that it holds: finished and unfinished, read by other people's programs.

use std::path::Path;

use althing_media_core::Codec;
use althing_recorder::container::{Container, Muxer, MuxerConfig};
use althing_recorder::{Frame, MediaTime};
use althing_testkit::media::{self, Clip};
use shiguredo_mp4::demux::{Fmp4FileDemuxer, Input};

use crate::tools::{Folder, Memory, checked, decodes, duration, format, frame, interleaved, mux, probe, run};

const SECOND: u64 = 1_000_000_000;

/// Frames as ffprobe should tell them: with pre-skip, sound begins a little before its time.
fn expected(clips: &[Clip], end: u64) -> Vec<(usize, i64, bool)> {
    let early = |track: usize| if clips[track].codec == Codec::Opus { 6 } else { 0 };
    let one = |(track, frame): (usize, Frame)| {
        let ms = i64::try_from(frame.at.0 / 1_000_000).unwrap();
        (track, ms - early(track), frame.keyframe)
    };
    interleaved(clips, end).into_iter().map(one).collect()
}

/// Finished and unfinished, the file plays, and has each frame at its time.
fn plays(container: Container, clips: &[Clip]) {
    let name = format!("{container:?}-{:?}", clips[0].codec);
    let folder = Folder::new(&name);
    let (before, after) = mux(container, clips, 4 * SECOND);
    let open = folder.write(&format!("open.{}", container.extension()), &before);
    let path = folder.write(&format!("finished.{}", container.extension()), &after);
    decodes(&open);
    decodes(&path);
    checked(container, &path);
    let seconds = duration(&path);
    assert!((3.95..4.1).contains(&seconds), "{name} says that it lasts {seconds} s");
    let (mut packets, said) = probe(&path);
    assert_eq!(said, "");
    let mut wanted = expected(clips, 4 * SECOND);
    packets.sort_by_key(|(stream, at, _)| (*stream, *at));
    wanted.sort_by_key(|(stream, at, _)| (*stream, *at));
    assert_eq!(packets.len(), wanted.len(), "{name}: frames");
    for (packet, wanted) in packets.iter().zip(&wanted) {
        let apart = (packet.1 - wanted.1).abs();
        assert!(
            packet.0 == wanted.0 && packet.2 == wanted.2 && apart <= 2,
            "{name}: {packet:?} for {wanted:?}"
        );
    }
    let (unfinished, _) = probe(&open);
    let end = unfinished.iter().map(|packet| packet.1).max().unwrap();
    assert!(end >= 3200, "{name}: only {end} ms are on the disk after 4 s");
    seeks(&path, container != Container::Ogg);
}

/// A player that jumps to 2.5 s has a picture at once.
fn seeks(path: &Path, video: bool) {
    let (path, stream) = (path.to_str().unwrap(), if video { "-frames:v" } else { "-frames:a" });
    let ended = run(
        "ffmpeg",
        &[
            "-nostdin", "-v", "error", "-ss", "2.5", "-i", path, stream, "1", "-f", "framecrc", "-",
        ],
    );
    let told = String::from_utf8_lossy(&ended.stdout);
    let frames = told.lines().filter(|line| !line.starts_with('#')).count();
    assert!(
        ended.stderr.is_empty() && frames > 0,
        "{path}: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn webm_with_vp8_and_sound() {
    plays(Container::WebM, &[media::video(Codec::Vp8, 2), media::audio(2)]);
}

#[test]
fn webm_with_vp9_and_sound() {
    plays(Container::WebM, &[media::video(Codec::Vp9, 2), media::audio(2)]);
}

#[test]
fn webm_with_av1_and_sound() {
    plays(Container::WebM, &[media::video(Codec::Av1, 2), media::audio(2)]);
}

#[test]
fn matroska_with_h264_and_sound() {
    plays(Container::Matroska, &[media::video(Codec::H264, 2), media::audio(2)]);
}

#[test]
fn mp4_with_vp9_and_sound() {
    plays(Container::Mp4, &[media::video(Codec::Vp9, 2), media::audio(2)]);
}

#[test]
fn mp4_with_av1_and_sound() {
    plays(Container::Mp4, &[media::video(Codec::Av1, 2), media::audio(2)]);
}

#[test]
fn mp4_with_h264_and_sound() {
    plays(Container::Mp4, &[media::video(Codec::H264, 2), media::audio(2)]);
}

#[test]
fn ogg_with_sound() {
    plays(Container::Ogg, &[media::audio(2)]);
}

/// Another implementation finds every frame, with its bytes, time and length.
#[test]
fn fragments_are_read_by_others() {
    let clips = [media::video(Codec::H264, 2), media::audio(2)];
    let (_, file) = mux(Container::Mp4, &clips, 4 * SECOND);
    let mut demuxer = Fmp4FileDemuxer::new();
    let mut wanted: [Vec<Frame>; 2] = Default::default();
    for (track, frame) in interleaved(&clips, 4 * SECOND) {
        wanted[track].push(frame);
    }
    let mut seen = [0, 0];
    // It gives what it has, and says what it needs for more.
    loop {
        if let Some(required) = demuxer.required_input() {
            let start = usize::try_from(required.position).unwrap().min(file.len());
            let end = required.size.map_or(file.len(), |size| (start + size).min(file.len()));
            let data = &file[start..end];
            demuxer.handle_input(Input {
                position: required.position,
                data,
            });
            continue;
        }
        let Some(sample) = demuxer.next_sample().unwrap() else {
            break;
        };
        let track = usize::try_from(sample.track.track_id).unwrap() - 1;
        let timescale = sample.track.timescale.get();
        let frame = &wanted[track][seen[track]];
        let at = usize::try_from(sample.data_offset).unwrap();
        assert_eq!(&file[at..at + sample.data_size], &frame.data[..]);
        assert_eq!(sample.timestamp, frame.at.units(timescale));
        assert_eq!(sample.keyframe, frame.keyframe);
        if let Some(next) = wanted[track].get(seen[track] + 1) {
            assert_eq!(sample.timestamp + u64::from(sample.duration), next.at.units(timescale));
        }
        seen[track] += 1;
    }
    assert_eq!(seen, [wanted[0].len(), wanted[1].len()]);
}

#[test]
fn silence_is_where_nothing_was_sent() {
    let clip = media::audio(2);
    let folder = Folder::new("gap");
    let mut muxer = Muxer::new(Container::Ogg, &[format(&clip)], &MuxerConfig::default()).unwrap();
    let mut file = Memory::default();
    // A second of sound, nothing for 5.5 s, a second of sound; the first begins late.
    for late in [SECOND / 4, SECOND / 4 * 27] {
        for coded in clip.frames.iter().take(50) {
            let at = MediaTime(coded.at + late);
            muxer
                .handle_frame(
                    0,
                    Frame {
                        at,
                        ..frame(coded, clip.codec)
                    },
                )
                .unwrap();
        }
    }
    muxer.finish();
    file.take(&mut muxer);
    let path = folder.write("gap.ogg", &file.bytes);
    decodes(&path);
    checked(Container::Ogg, &path);
    let seconds = duration(&path);
    assert!((7.7..7.8).contains(&seconds), "it lasts {seconds} s");
    // Decoded, what comes after the gap is where it was said.
    let name = path.to_str().unwrap();
    let silence = run(
        "ffmpeg",
        &[
            "-nostdin",
            "-v",
            "info",
            "-i",
            name,
            "-af",
            "silencedetect=n=-50dB:d=1",
            "-f",
            "null",
            "-",
        ],
    );
    let said = String::from_utf8_lossy(&silence.stderr).into_owned();
    let end = said
        .split("silence_end: ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let end: f64 = end
        .unwrap_or("none")
        .parse()
        .unwrap_or_else(|_| panic!("no silence: {said}"));
    assert!((end - 6.75).abs() < 0.04, "sound is back at {end} s");
}

#[test]
fn a_clock_that_drifts_is_followed() {
    let clip = media::audio(2);
    for parts in [-2_000_i64, 2_000] {
        let mut muxer = Muxer::new(Container::Ogg, &[format(&clip)], &MuxerConfig::default()).unwrap();
        let mut file = Memory::default();
        for coded in clip.repeated().take(5_000) {
            let at = coded
                .at
                .checked_add_signed(i64::try_from(coded.at).unwrap() / 1_000_000 * parts)
                .unwrap();
            muxer
                .handle_frame(
                    0,
                    Frame {
                        at: MediaTime(at),
                        ..frame(&coded, clip.codec)
                    },
                )
                .unwrap();
        }
        muxer.finish();
        file.take(&mut muxer);
        let folder = Folder::new("drift");
        let path = folder.write("drift.ogg", &file.bytes);
        checked(Container::Ogg, &path);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let wanted = 100.0 * (1.0 + parts as f64 / 1e6);
        let seconds = duration(&path);
        assert!((seconds - wanted).abs() < 0.05, "{seconds} s for {wanted} s");
    }
}

/// A camera that comes late is in its place, a pause is a pause.
#[test]
fn times_are_kept_over_late_starts_and_pauses() {
    let clips = [media::video(Codec::Vp9, 2), media::audio(2)];
    for container in [Container::WebM, Container::Mp4] {
        let folder = Folder::new(&format!("late-{container:?}"));
        let formats = [format(&clips[0]), format(&clips[1])];
        let mut muxer = Muxer::new(container, &formats, &MuxerConfig::default()).unwrap();
        let mut file = Memory::default();
        let mut wanted = [0, 0];
        for (track, frame) in interleaved(&clips, 12 * SECOND) {
            // The camera is there from 4 s to 6 s and from 10 s on.
            let at = frame.at.0 / SECOND;
            if track == 0 && !(4..6).contains(&at) && at < 10 {
                continue;
            }
            wanted[track] += 1;
            muxer.handle_frame(track, frame).unwrap();
            file.take(&mut muxer);
        }
        muxer.finish();
        file.take(&mut muxer);
        let path = folder.write(&format!("late.{}", container.extension()), &file.bytes);
        decodes(&path);
        checked(container, &path);
        let (packets, _) = probe(&path);
        for (track, count) in wanted.into_iter().enumerate() {
            assert_eq!(packets.iter().filter(|packet| packet.0 == track).count(), count);
        }
        let pictures: Vec<i64> = packets
            .iter()
            .filter(|packet| packet.0 == 0)
            .map(|packet| packet.1)
            .collect();
        assert_eq!((pictures[0], pictures[60]), (4000, 10_000), "{container:?}");
    }
}

/// However long the meeting, hanging up writes a few kilobytes.
#[test]
fn finishing_is_no_rewrite() {
    let clips = [media::video(Codec::Vp8, 2), media::audio(2)];
    for container in [Container::WebM, Container::Mp4] {
        let clips = if container == Container::Mp4 {
            [media::video(Codec::Vp9, 2), media::audio(2)]
        } else {
            clips.clone()
        };
        let formats = [format(&clips[0]), format(&clips[1])];
        let mut muxer = Muxer::new(container, &formats, &MuxerConfig::default()).unwrap();
        let mut file = Memory::default();
        let mut ahead = 0;
        // Half an hour: the same two seconds again and again.
        let frames = interleaved(&clips, 2 * SECOND);
        while ahead < 1800 * SECOND {
            for (track, frame) in &frames {
                let at = MediaTime(frame.at.0 + ahead);
                muxer.handle_frame(*track, Frame { at, ..frame.clone() }).unwrap();
            }
            file.take(&mut muxer);
            ahead += 2 * SECOND;
        }
        assert_eq!(file.patched, 0);
        let before = file.bytes.len();
        muxer.finish();
        file.take(&mut muxer);
        let appended = file.bytes.len() - before;
        assert!(
            appended < 64 << 10 && file.patched < 32 << 10,
            "{appended} and {}",
            file.patched
        );
        let folder = Folder::new(&format!("long-{container:?}"));
        let path = folder.write(&format!("long.{}", container.extension()), &file.bytes);
        let seconds = duration(&path);
        assert!((seconds - 1800.0).abs() < 0.1, "{seconds}");
        checked(container, &path);
    }
}
