//! Recordings on a disk: finished, left by a crash, deleted.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Codec, CodecParams, ExtensionMap, MediaKind, Pt, Ssrc};
use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::chain::Fault;
use althing_recorder::recording::entry::{DeleteReason, Erased};
use althing_recorder::recording::folder::{Folder, LOG, MANIFEST, State, delete, expire, note_erased, recover};
use althing_recorder::recording::{Log, Manifest, Person, PersonId, Recording, RecordingConfig, Signer, TrackInfo};
use althing_recorder::upload::{JOURNAL, Line, Stored};
use althing_testkit::scratch::Scratch;

const OPUS: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));
const BEGAN: u64 = 1_700_000_000_000;
const DAY: u64 = 86_400_000;

fn signer() -> Signer {
    Signer::from_seed(&[3; 32]).unwrap()
}

fn key() -> String {
    signer().public_key()
}

/// Three seconds of silence by two people, of whom the second has not answered for two.
fn record(path: &Path, disk: &Arc<Disk>) -> (Folder, Instant) {
    let start = Instant::now();
    let mut config = RecordingConfig::new("standup", BEGAN, signer()).by(Person::new("ada", "Ada"));
    config.people.push(Person::new("bob", "Bob"));
    config.keep_days = Some(2);
    let mut folder = Folder::create(path, disk, Recording::new(start, config)).unwrap();
    for n in [1, 2] {
        let microphone = TrackInfo {
            person: PersonId(n),
            kind: MediaKind::Audio,
            source: "microphone".to_owned(),
            ssrc: Ssrc(n),
            codecs: vec![OPUS],
            extensions: ExtensionMap::new(),
        };
        folder.recording().handle_track_added(start, microphone);
    }
    let mut now = start;
    for n in 0..150_u16 {
        now = start + Duration::from_millis(20) * n.into();
        if n == 100 {
            let media = fs::read_dir(path).unwrap().count() - 1;
            assert_eq!(media, 0, "nothing but the log before consent");
            folder.recording().handle_answer(now, PersonId(2), true);
        }
        for ssrc in [1, 2] {
            let mut packet = [0; 64];
            let mut writer = RtpWriter::new(&mut packet, OPUS.pt, n == 0, n, u32::from(n) * 960, Ssrc(ssrc));
            writer.payload(&[0xf8, 0xff, 0xfe]);
            let (_, len) = writer.finish().unwrap();
            folder.recording().handle_packet(now, &packet[..len].to_vec().into());
        }
        folder.drain().unwrap();
    }
    (folder, now)
}

fn disk() -> Arc<Disk> {
    Arc::new(Disk::start(DiskConfig::default(), |_| ()).unwrap())
}

fn manifest(path: &Path) -> Manifest {
    serde_json::from_slice(&fs::read(path.join(MANIFEST)).unwrap()).unwrap()
}

fn log(path: &Path) -> Log {
    Log::read(&fs::read(path.join(LOG)).unwrap(), Some(&key()))
}

#[test]
fn a_recording_is_finished_kept_and_deleted_with_proof() {
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "folder-finished");
    let disk = disk();
    let (folder, now) = record(&place.0, &disk);
    assert_eq!(recover(&place.0, Some(&key())).unwrap(), State::InUse);
    folder.finish(now, 0).unwrap();
    drop(disk);
    let told = manifest(&place.0);
    assert!(told.complete && told.duration > 950_000_000, "{told:?}");
    assert_eq!(told.tracks.iter().map(|track| track.files.len()).sum::<usize>(), 2);
    assert_eq!(told.unix_ms, BEGAN + 2000);
    assert_eq!(recover(&place.0, Some(&key())).unwrap(), State::Complete);
    assert_eq!(manifest(&place.0), told, "nothing is changed by that");

    assert!(!expire(&place.0, signer(), BEGAN + 2 * DAY).unwrap(), "not yet");
    assert!(place.0.join("t01-microphone.webm").exists());
    assert!(expire(&place.0, signer(), BEGAN + 2 * DAY + 10_000).unwrap());
    let names: Vec<_> = fs::read_dir(&place.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let after = manifest(&place.0);
    assert_eq!(after.deleted.len(), 2);
    assert!(
        after
            .deleted
            .iter()
            .all(|file| file.bytes > 100 && file.sha256.len() == 64)
    );
    let proof = log(&place.0);
    assert_eq!(proof.fault, None);
    assert!(proof.lines.last().is_some_and(|line| line.signature.is_some()));
    assert_eq!(
        delete(&place.0, DeleteReason::Requested, signer(), BEGAN).unwrap(),
        State::Complete
    );
    assert_eq!(
        log(&place.0).lines.len(),
        proof.lines.len(),
        "there was nothing left to delete"
    );
}

#[test]
fn what_a_crash_leaves_is_finished() {
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "folder-crash");
    let disk = disk();
    let (folder, _) = record(&place.0, &disk);
    // The process dies: no file is closed, no manifest is written, the last line is torn.
    drop(folder);
    drop(disk);
    assert!(!place.0.join(MANIFEST).exists());
    let mut torn = fs::read(place.0.join(LOG)).unwrap();
    torn.extend_from_slice(br#"{"n":12,"at":3"#);
    fs::write(place.0.join(LOG), &torn).unwrap();
    assert_eq!(recover(&place.0, Some(&key())).unwrap(), State::Complete);
    let told = manifest(&place.0);
    assert!(!told.complete);
    // A second, less what waited for its fragment.
    assert!(
        (100_000_000..1_010_000_000).contains(&told.duration),
        "{}",
        told.duration
    );
    assert_eq!(told.tracks.iter().map(|track| track.files.len()).sum::<usize>(), 2);
    assert_eq!(log(&place.0).fault, None, "the torn line is gone");
    delete(&place.0, DeleteReason::Requested, signer(), BEGAN).unwrap();
    assert_eq!(manifest(&place.0).deleted.len(), 2);
}

#[test]
fn a_deletion_that_was_cut_short_is_completed() {
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "folder-half");
    let disk = disk();
    let (folder, now) = record(&place.0, &disk);
    folder.finish(now, 0).unwrap();
    drop(disk);
    let file = place.0.join("t01-microphone.webm");
    let media = fs::read(&file).unwrap();
    // Captions that only the store has any more.
    let stored = Line::Stored {
        file: "captions-de.vtt".to_owned(),
        stored: Stored {
            bytes: 5,
            sha256: "ab".to_owned(),
        },
    };
    fs::write(place.0.join(JOURNAL), stored.to_text()).unwrap();
    delete(&place.0, DeleteReason::Requested, signer(), BEGAN).unwrap();
    let deleted = manifest(&place.0).deleted;
    assert!(deleted.iter().any(|file| file.file == "captions-de.vtt"), "{deleted:?}");
    fs::write(&file, media).unwrap();
    recover(&place.0, Some(&key())).unwrap();
    assert!(!file.exists());
    // As a full disk has left it.
    let mut torn = fs::read(place.0.join(LOG)).unwrap();
    torn.extend_from_slice(br#"{"n":12,"at":3"#);
    fs::write(place.0.join(LOG), &torn).unwrap();
    let erased = Erased {
        unix_ms: BEGAN,
        url: "s3://bucket".to_owned(),
        files: vec!["t01-microphone.webm".to_owned()],
    };
    let lines = log(&place.0).lines.len();
    assert_eq!(note_erased(&place.0, signer(), erased).unwrap(), State::Complete);
    let after = log(&place.0);
    assert_eq!((after.fault, after.lines.len()), (None, lines + 1));
}

#[test]
fn a_log_that_was_changed_is_told() {
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "folder-changed");
    let disk = disk();
    let (folder, now) = record(&place.0, &disk);
    folder.finish(now, 0).unwrap();
    drop(disk);
    let text = fs::read_to_string(place.0.join(LOG)).unwrap();
    fs::write(place.0.join(LOG), text.replace("agreed", "declined")).unwrap();
    let state = recover(&place.0, Some(&key())).unwrap();
    assert!(
        matches!(state, State::Damaged(Fault::Changed | Fault::Unreadable)),
        "{state:?}"
    );
    let empty = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "folder-foreign");
    fs::create_dir(&empty.0).unwrap();
    assert_eq!(recover(&empty.0, None).unwrap(), State::Foreign);
}

#[test]
fn a_log_too_long_to_be_read_is_not_cut() {
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), "folder-long");
    let disk = disk();
    let (folder, now) = record(&place.0, &disk);
    folder.finish(now, 0).unwrap();
    drop(disk);
    let long = (1 << 30) + 1;
    let log = fs::OpenOptions::new().append(true).open(place.0.join(LOG)).unwrap();
    log.set_len(long).unwrap();
    assert!(recover(&place.0, Some(&key())).is_err());
    assert!(delete(&place.0, DeleteReason::Requested, signer(), BEGAN).is_err());
    assert_eq!(log.metadata().unwrap().len(), long);
}
