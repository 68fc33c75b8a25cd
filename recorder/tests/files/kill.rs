//! A process that records is killed a hundred times, at any moment: each file opens, plays to within a second of the
//! kill, and is closed by recovery.
//!
//! The process writes much faster than real time and says up to when it has given frames, each time the disk's thread has
//! taken all of them: so the last thing that it said is true however busy the machine is. It never ends by itself: what it
//! says waits in a pipe, and it may have given its last frame before a test that is short of processor time kills it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use althing_media_core::Codec;
use althing_recorder::container::Container;
use althing_recorder::file::{Disk, DiskConfig, Sync, Writer, WriterConfig};
use althing_recorder::recover::{self, Outcome};
use althing_testkit::Rng;
use althing_testkit::media::{self, Clip};

use crate::tools::{Folder, decodes, format, interleaved, probe};

/// Where the process records that is to be killed.
const RECORDS: &str = "ALTHING_TEST_RECORDS";
const KILLS: u64 = 100;
/// So many processes at a time.
const LANES: u64 = 5;
/// The longest that a process records, in ns of media.
const LONGEST: u64 = 10_000_000_000;
/// What may be lost, in ms.
const LOST: i64 = 1000;

fn kinds() -> [(Container, Vec<Clip>); 4] {
    let sound = media::audio(2);
    [
        (Container::WebM, vec![media::video(Codec::Vp8, 2), sound.clone()]),
        (Container::Matroska, vec![media::video(Codec::H264, 2), sound.clone()]),
        (Container::Mp4, vec![media::video(Codec::Vp9, 2), sound.clone()]),
        (Container::Ogg, vec![sound]),
    ]
}

/// The process that is killed; the test below starts it.
#[test]
#[ignore = "is started by `a_hundred_kills` and killed by it"]
fn records() {
    let folder = std::env::var(RECORDS).expect("started by the test");
    let config = DiskConfig {
        sync: Sync::Never,
        ..DiskConfig::default()
    };
    let disk = Arc::new(Disk::start(config, |_| {}).unwrap());
    let mut frames = Vec::new();
    let mut writers: Vec<Writer> = Vec::new();
    for (number, (container, clips)) in kinds().into_iter().enumerate() {
        let formats: Vec<_> = clips.iter().map(format).collect();
        let base = Path::new(&folder).join("talk");
        writers.push(Writer::new(&disk, &base, &formats, WriterConfig::new(container)).unwrap());
        frames.extend(
            interleaved(&clips, LONGEST)
                .into_iter()
                .map(|(track, frame)| (number, track, frame)),
        );
    }
    frames.sort_by_key(|(.., frame)| frame.at);
    let mut out = std::io::stdout();
    for (number, track, frame) in frames {
        let at = frame.at.0 / 1_000_000;
        writers[number].handle_frame(track, frame).unwrap();
        if disk.queued() > 0 {
            disk.wait();
        }
        writeln!(out, "at {at}").unwrap();
    }
    // Files that are dropped would be closed in good order. Nothing is ever sent: this returns when the test is dead.
    let _ = std::io::stdin().read(&mut [0]);
}

/// Starts the process, kills it after so many lines, and gives the last moment that it told, in ms.
fn killed_after(lines: usize, folder: &Path) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::records", "--ignored", "--nocapture"])
        .env(RECORDS, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut told = told.filter_map(|line| line.strip_prefix("at ")?.parse::<i64>().ok());
    let mut last = told.by_ref().take(lines).last().expect("it records");
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said until it was dead.
    for at in told {
        last = at;
    }
    last
}

#[test]
fn a_hundred_kills() {
    let folder = Folder::new("kill");
    // Made before the processes need them.
    drop(kinds());
    thread::scope(|scope| {
        for lane in 0..LANES {
            let folder = &folder;
            scope.spawn(move || {
                let mut rng = Rng::new(lane);
                for number in (0..KILLS).filter(|number| number % LANES == lane) {
                    let place = folder.join(number.to_string());
                    std::fs::create_dir(&place).unwrap();
                    let lines = 350 + rng.index(2000);
                    let at = killed_after(lines, &place);
                    let looked_at = usize::try_from(number / LANES % 4).unwrap();
                    survived(&place, at, looked_at);
                    std::fs::remove_dir_all(&place).unwrap();
                }
            });
        }
    });
}

/// All four files are good up to a second before `at`; one of them as others see it, too.
fn survived(place: &Path, at: i64, looked_at: usize) {
    let kinds = [Container::WebM, Container::Matroska, Container::Mp4, Container::Ogg];
    for (number, container) in kinds.into_iter().enumerate() {
        let path = place.join("talk").with_extension(container.extension());
        let plays_to = |complaints: bool| {
            let (packets, said) = probe(&path);
            assert!(complaints || said.is_empty(), "{}: {said}", path.display());
            packets.iter().map(|packet| packet.1).max().unwrap_or(0)
        };
        if number == looked_at {
            // A fragment may have been cut in the middle: that it says so is no wonder.
            let end = plays_to(true);
            assert!(
                end >= at - LOST,
                "{}: killed at {at} ms, plays to {end} ms",
                path.display()
            );
        }
        let Outcome::Repaired { end, .. } = recover::file(&path).unwrap() else {
            panic!("{}: killed at {at} ms, and no media in it", path.display())
        };
        let end = i64::try_from(end.0 / 1_000_000).unwrap();
        assert!(
            end >= at - LOST,
            "{}: killed at {at} ms, recovered to {end} ms",
            path.display()
        );
        assert_eq!(recover::file(&path).unwrap(), Outcome::Finished);
        if number == looked_at && at % 5 == 0 {
            let end = plays_to(false);
            assert!(
                end >= at - LOST,
                "{}: killed at {at} ms, plays to {end} ms",
                path.display()
            );
            decodes(&path);
        }
    }
}
