//! A disk that is full, gone, forbidden or slow: who records is told and never waits, and what was written is readable.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use althing_media_core::Codec;
use althing_recorder::Frame;
use althing_recorder::container::{Container, MAX_FRAME};
use althing_recorder::file::{Disk, DiskConfig, Event, Operation, Sync, Taken, Writer, WriterConfig};
use althing_testkit::media::{self, Clip};

use crate::tools::{Folder, checked, decodes, format, interleaved, probe};

const SECOND: u64 = 1_000_000_000;
/// Where the process with a limit records.
const LIMITED: &str = "ALTHING_TEST_LIMITED";

fn disk(sync: Sync) -> (Arc<Disk>, Receiver<Event>) {
    let (tell, told) = channel();
    let config = DiskConfig {
        sync,
        ..DiskConfig::default()
    };
    let disk = Disk::start(config, move |event| drop(tell.send(event))).unwrap();
    (Arc::new(disk), told)
}

fn clips(container: Container) -> Vec<Clip> {
    let codec = match container {
        Container::WebM => Codec::Vp8,
        Container::Mp4 => Codec::Vp9,
        Container::Matroska => Codec::H264,
        _ => return vec![media::audio(2)],
    };
    vec![media::video(codec, 2), media::audio(2)]
}

fn writer(disk: &Arc<Disk>, base: &Path, container: Container, clips: &[Clip]) -> Writer {
    let formats: Vec<_> = clips.iter().map(format).collect();
    Writer::new(disk, base, &formats, WriterConfig::new(container)).unwrap()
}

/// The process that may not write more than 100 kB into a file; the test below starts it.
#[test]
#[ignore = "is started by `a_full_disk_leaves_what_was_written` with a limit"]
fn limited() {
    let base = std::env::var(LIMITED).expect("started by the test");
    let base = Path::new(&base);
    let (disk, told) = disk(Sync::EachFragment);
    for container in [Container::WebM, Container::Mp4, Container::Ogg] {
        let clips = clips(container);
        let mut writer = writer(&disk, base, container, &clips);
        for (track, frame) in interleaved(&clips, 60 * SECOND) {
            writer.handle_frame(track, frame).unwrap();
            while disk.queued() > 0 {
                std::thread::yield_now();
            }
        }
        assert!(writer.is_failed());
        let (track, frame) = interleaved(&clips, SECOND).remove(0);
        assert_eq!(writer.handle_frame(track, frame), Ok(Taken::Failed));
        writer.finish();
        let failed = loop {
            match told.recv().unwrap() {
                Event::Created { .. } => {}
                other => break other,
            }
        };
        let text = failed.to_string();
        let Event::Failed {
            path,
            operation,
            cause,
            end,
        } = failed
        else {
            panic!("{text}")
        };
        assert_eq!(
            (operation, cause.kind()),
            (Operation::Write, std::io::ErrorKind::FileTooLarge)
        );
        assert!(text.starts_with(path.to_str().unwrap()), "{text}");
        assert!(end.0 > SECOND, "{text}");
    }
}

#[test]
fn a_full_disk_leaves_what_was_written() {
    let folder = Folder::new("full");
    let base = folder.join("limited");
    let shell = "trap '' XFSZ; ulimit -f 200; exec \"$0\" --exact disk::limited --ignored";
    let ended = Command::new("sh")
        .args(["-c", shell])
        .arg(std::env::current_exe().unwrap())
        .env(LIMITED, &base)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    for container in [Container::WebM, Container::Mp4, Container::Ogg] {
        let path = base.with_extension(container.extension());
        let len = std::fs::metadata(&path).unwrap().len();
        assert!((50_000..=200 * 1024).contains(&len), "{len} bytes");
        decodes(&path);
        checked(container, &path);
        let (packets, said) = probe(&path);
        assert!(said.is_empty() && packets.len() > 50, "{said}");
    }
}

#[test]
fn a_folder_that_vanishes_is_told() {
    let folder = Folder::new("vanish");
    let (disk, told) = disk(Sync::Never);
    let clips = clips(Container::WebM);
    for moved in [false, true] {
        let inside = folder.join("inside");
        std::fs::create_dir(&inside).unwrap();
        let mut writer = writer(&disk, &inside.join("talk"), Container::WebM, &clips);
        for (track, frame) in interleaved(&clips, 10 * SECOND) {
            if track == 0 && frame.at.0 == 5 * SECOND {
                while disk.queued() > 0 {
                    std::thread::yield_now();
                }
                if moved {
                    std::fs::rename(&inside, folder.join("elsewhere")).unwrap();
                } else {
                    std::fs::remove_dir_all(&inside).unwrap();
                }
            }
            writer.handle_frame(track, frame).unwrap();
        }
        assert!(matches!(told.recv().unwrap(), Event::Created { .. }));
        let failed = told.recv().unwrap();
        let text = failed.to_string();
        assert!(
            matches!(
                failed,
                Event::Failed {
                    operation: Operation::Find,
                    ..
                }
            ),
            "{text}"
        );
        assert!(text.contains("talk.webm is no longer in its place"), "{text}");
    }
    let path = folder.join("elsewhere/talk.webm");
    decodes(&path);
    checked(Container::WebM, &path);
}

#[test]
fn a_place_that_is_forbidden_is_told() {
    let (disk, told) = disk(Sync::EachFragment);
    let clips = clips(Container::Ogg);
    // Nobody may create a file there, not even root.
    let mut writer = writer(&disk, Path::new("/sys/talk"), Container::Ogg, &clips);
    let failed = told.recv().unwrap();
    let text = failed.to_string();
    assert!(
        matches!(
            failed,
            Event::Failed {
                operation: Operation::Create,
                ..
            }
        ),
        "{text}"
    );
    assert!(text.starts_with("/sys/talk.ogg cannot be created: "), "{text}");
    let (track, frame) = interleaved(&clips, SECOND).remove(0);
    assert_eq!(writer.handle_frame(track, frame), Ok(Taken::Failed));
}

#[test]
fn a_slow_disk_costs_frames_and_nobody_waits() {
    let folder = Folder::new("slow");
    // The thread stands still in the first event, as it would in a system call.
    let (go, wait) = channel::<()>();
    let config = DiskConfig {
        sync: Sync::Never,
        queue: 200_000,
    };
    let disk = Arc::new(Disk::start(config, move |_| _ = wait.recv()).unwrap());
    let clips = clips(Container::Matroska);
    let mut writer = writer(&disk, &folder.join("slow"), Container::Matroska, &clips);
    let mut go = Some(go);
    let (mut resumed, mut written) = ([None, None], [0, 0]);
    for (track, frame) in interleaved(&clips, 30 * SECOND) {
        if frame.at.0 >= 20 * SECOND && go.take().is_some() {
            while disk.queued() > 0 {
                std::thread::yield_now();
            }
        }
        let keyframe = frame.keyframe;
        match writer.handle_frame(track, frame).unwrap() {
            Taken::Written => {
                written[track] += 1;
                if go.is_none() {
                    resumed[track].get_or_insert(keyframe);
                }
            }
            other => assert_eq!(other, Taken::Dropped),
        }
        assert!(
            disk.queued() < config.queue + 100_000,
            "the queue holds {} bytes",
            disk.queued()
        );
    }
    assert_eq!(
        resumed,
        [Some(true), Some(true)],
        "both go on, the picture at a keyframe"
    );
    assert!(writer.dropped() > 500);
    writer.finish();
    drop(disk);
    let path = folder.join("slow.mkv");
    decodes(&path);
    let (packets, _) = probe(&path);
    let found = |track| packets.iter().filter(|packet| packet.0 == track).count();
    assert_eq!(found(0), written[0]);
    // Of sound, what was left out is filled with silence.
    assert!(found(1) > written[1], "{} packets, {written:?} frames", found(1));
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let folder = Folder::new("refused");
    let (disk, _told) = disk(Sync::Never);
    let clips = clips(Container::WebM);
    let mut writer = writer(&disk, &folder.join("refused"), Container::WebM, &clips);
    let (_, frame) = interleaved(&clips, SECOND).remove(0);
    assert!(writer.handle_frame(2, frame.clone()).is_err());
    for len in [0, MAX_FRAME + 1] {
        let data = vec![0; len].into();
        assert!(writer.handle_frame(0, Frame { data, ..frame.clone() }).is_err());
    }
}
