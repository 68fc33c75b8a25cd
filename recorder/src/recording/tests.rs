//! A room in virtual time: what is recorded, what is written down, what nobody can change.

use std::time::Duration;

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Codec, CodecParams, ExtensionMap, Pt};

use super::*;
use crate::container::Container;
use crate::recording::chain::Fault;

const VIDEO: CodecParams = params(Codec::Vp8, 96);
const OPUS: CodecParams = params(Codec::Opus, 111);

const fn params(codec: Codec, pt: u8) -> CodecParams {
    CodecParams::new(codec, Pt::new(pt))
}

pub(super) fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).expect("a seed")
}

fn person(identity: &str) -> Person {
    Person::new(identity, &identity.to_uppercase())
}

/// A room with its recording, and all that came of it.
pub(super) struct Room {
    start: Instant,
    now: Instant,
    recording: Recording,
    log: String,
    frames: Vec<(String, Frame)>,
    files: Vec<(String, Container)>,
    wishes: usize,
    seq: u16,
}

impl Room {
    fn new(people: &[&str], by: Option<usize>) -> Self {
        let now = Instant::now();
        let config = RecordingConfig {
            name: "standup".to_owned(),
            room: "kitchen".to_owned(),
            unix_ms: 1_700_000_000_000,
            keep_days: Some(30),
            segment: None,
            signer: signer(),
            people: people.iter().map(|identity| person(identity)).collect(),
            by,
        };
        let mut room = Self {
            start: now,
            now,
            recording: Recording::new(now, config),
            log: String::new(),
            frames: Vec::new(),
            files: Vec::new(),
            wishes: 0,
            seq: 0,
        };
        room.drain();
        room
    }

    fn drain(&mut self) {
        loop {
            match self.recording.poll_output() {
                Output::Log { line, .. } => self.log.push_str(&line),
                Output::Begin { file, container, .. } => self.files.push((file, container)),
                Output::Frame { file, frame } => self.frames.push((file, frame)),
                Output::Feedback(_) => self.wishes += 1,
                Output::Finish { .. } => {}
                Output::Timeout(_) => return,
            }
        }
    }

    fn add(&mut self, person: u32, ssrc: u32, codecs: &[CodecParams]) -> TrackNumber {
        let info = TrackInfo {
            person: PersonId(person),
            kind: codecs[0].codec.kind(),
            source: if codecs[0].codec == Codec::Opus {
                "microphone"
            } else {
                "Camera/.."
            }
            .to_owned(),
            ssrc: Ssrc(ssrc),
            codecs: codecs.to_vec(),
            extensions: ExtensionMap::new(),
        };
        self.recording
            .handle_track_added(self.now, info)
            .expect("there is room")
    }

    /// Lets time pass, in which each SSRC sends a keyframe or a packet of sound every 20 ms.
    fn run(&mut self, milliseconds: u64, senders: &[(u32, CodecParams)]) {
        for _ in 0..milliseconds / 20 {
            self.now += Duration::from_millis(20);
            self.seq = self.seq.wrapping_add(1);
            for (ssrc, codec) in senders {
                let vp8 = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0];
                let payload: &[u8] = if codec.codec == Codec::Opus {
                    &[0x78, 1, 2]
                } else {
                    &vp8
                };
                let time =
                    u32::try_from((self.now - self.start).as_millis()).unwrap() * codec.codec.clock_rate() / 1000;
                let mut buffer = [0; 100];
                let mut writer = RtpWriter::new(&mut buffer, codec.pt, true, self.seq, time, Ssrc(*ssrc));
                writer.payload(payload);
                let (_, len) = writer.finish().unwrap();
                self.recording
                    .handle_packet(self.now, &Bytes::copy_from_slice(&buffer[..len]));
            }
            self.drain();
        }
    }

    fn end(&mut self) -> Manifest {
        self.recording.stop(self.now, 3);
        self.drain();
        let log = Log::read(self.log.as_bytes(), Some(&signer().public_key()));
        assert_eq!(log.fault, None);
        Manifest::of(&log, &mut |_| None)
    }

    fn frames_of(&self, file: &str) -> usize {
        self.frames.iter().filter(|(name, _)| name == file).count()
    }
}

#[test]
fn nothing_is_recorded_before_all_have_answered_and_nothing_of_who_declines() {
    let mut room = Room::new(&["ada", "bob", "eve"], Some(0));
    room.add(1, 11, &[VIDEO]);
    room.add(2, 12, &[VIDEO]);
    room.add(3, 13, &[OPUS]);
    let all = [(11, VIDEO), (12, VIDEO), (13, OPUS)];
    room.run(2000, &all);
    room.recording.handle_answer(room.now, PersonId(2), true);
    room.run(2000, &all);
    room.recording.handle_chat(room.now, PersonId(1), "not yet");
    assert_eq!((room.frames.len(), room.files.len(), room.wishes), (0, 0, 0));
    let before = room.now - Duration::from_millis(1);
    room.recording.handle_answer(room.now, PersonId(3), false);
    room.recording
        .handle_chat(before, PersonId(1), "not yet, but read later");
    room.run(2000, &all);
    room.recording.handle_chat(room.now, PersonId(1), "hello");
    room.recording.handle_chat(room.now, PersonId(3), "leave me out");
    room.recording.handle_speakers(room.now, &[PersonId(3), PersonId(2)]);
    room.recording.handle_chapter(room.now, "the budget");
    let manifest = room.end();
    let names: Vec<_> = room.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["t01-camera---", "t02-camera---"]);
    assert!(room.frames_of("t01-camera---") >= 99, "{}", room.frames.len());
    assert_eq!(
        manifest.unix_ms, 1_700_000_004_000,
        "time zero is when the last one answered"
    );
    assert!(manifest.complete && manifest.duration < 2_100_000_000);
    assert_eq!((manifest.missed, manifest.keep_days), (3, Some(30)));
    assert!(manifest.tracks[2].files.is_empty());
    assert_eq!(manifest.chat.len(), 1);
    assert_eq!(manifest.speakers[0].value, [PersonId(2)]);
    assert_eq!(manifest.chapters[0].value, "the budget");
    assert_eq!(manifest.consent.len(), 6, "{:?}", manifest.consent);
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    assert!(!room.log.contains("leave me out") && !room.log.contains("not yet"));
}

#[test]
fn who_withdraws_is_recorded_up_to_then() {
    let mut room = Room::new(&["ada", "bob"], Some(0));
    room.add(1, 11, &[OPUS]);
    let track = room.add(2, 12, &[OPUS]);
    let all = [(11, OPUS), (12, OPUS)];
    room.recording.handle_answer(room.now, PersonId(2), true);
    room.run(1000, &all);
    room.recording.handle_answer(room.now, PersonId(2), false);
    room.run(1000, &all);
    let (one, two) = (room.frames_of("t01-microphone"), room.frames_of("t02-microphone"));
    assert!(one >= 99 && (49..=50).contains(&two), "{one} {two}");
    let before = room.now - Duration::from_millis(1);
    room.recording.handle_answer(room.now, PersonId(2), true);
    room.recording.handle_chat(before, PersonId(2), "between me and them");
    room.recording.handle_chat(room.now, PersonId(2), "for all");
    room.run(1000, &all);
    room.recording.handle_track_muted(room.now, track, true);
    room.run(400, &[(11, OPUS)]);
    room.recording.handle_track_muted(room.now, track, false);
    room.run(100, &all);
    room.recording.handle_leave(room.now, PersonId(2));
    room.run(200, &all);
    let manifest = room.end();
    let files = &manifest.tracks[1].files;
    assert_eq!(files.len(), 2, "what was agreed to later is a file of its own");
    assert!(
        files[0].until <= 1_020_000_000 && files[1].from >= 2_000_000_000,
        "{files:?}"
    );
    assert_eq!(manifest.tracks[1].mutes.len(), 1);
    let said: Vec<_> = manifest.chat.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(said, ["for all"]);
    assert!(manifest.people[1].stay.until.is_some());
}

#[test]
fn a_late_track_is_in_its_place_and_codecs_may_change() {
    let h264 = params(Codec::H264, 102);
    let mut room = Room::new(&["ada"], Some(0));
    room.add(1, 11, &[OPUS]);
    room.run(5000, &[(11, OPUS)]);
    room.add(1, 12, &[VIDEO, h264]);
    room.run(1000, &[(11, OPUS), (12, VIDEO)]);
    let payload = [
        24, 0, 10, 0x67, 0x42, 0xc0, 0x1f, 0xf4, 0x02, 0x80, 0x2d, 0xc8, 0x80, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88,
    ];
    let mut buffer = [0; 100];
    room.seq += 1;
    room.now += Duration::from_millis(20);
    let mut writer = RtpWriter::new(&mut buffer, h264.pt, true, room.seq, 6020 * 90, Ssrc(12));
    writer.payload(&payload);
    let (_, len) = writer.finish().unwrap();
    room.recording
        .handle_packet(room.now, &Bytes::copy_from_slice(&buffer[..len]));
    room.drain();
    let manifest = room.end();
    let files: Vec<_> = manifest.tracks[1]
        .files
        .iter()
        .map(|file| (file.file.as_str(), file.from))
        .collect();
    assert_eq!(files[0].0, "t02-camera---.webm");
    assert!(files[0].1.abs_diff(5_020_000_000) < 2_000_000, "{files:?}");
    assert_eq!(room.files[2], ("t02-camera----2".to_owned(), Container::Mp4));
    let formats: Vec<_> = manifest.tracks[1]
        .formats
        .iter()
        .map(|format| format.value.codec.as_str())
        .collect();
    assert_eq!(formats, ["vp8", "h264"]);
}

#[test]
fn every_change_of_the_log_shows() {
    let mut room = Room::new(&["ada", "bob"], Some(0));
    room.recording.handle_answer(room.now, PersonId(2), true);
    room.recording
        .handle_chat(room.now, PersonId(1), r#"a trap: ","hash":"00" "#);
    room.recording.handle_chapter(room.now, "two");
    room.end();
    let key = signer().public_key();
    let whole = Log::read(room.log.as_bytes(), Some(&key));
    let lines: Vec<&str> = room.log.split_inclusive('\n').collect();
    assert_eq!((whole.lines.len(), whole.len), (lines.len(), room.log.len()));
    // Each line left out, doubled, exchanged with the next.
    for n in 0..lines.len() - 1 {
        let mut changed = lines.clone();
        changed.remove(n);
        assert_eq!(
            Log::read(changed.concat().as_bytes(), Some(&key)).fault,
            Some(Fault::OutOfOrder)
        );
        let mut changed = lines.clone();
        changed.insert(n, lines[n]);
        assert_eq!(
            Log::read(changed.concat().as_bytes(), Some(&key)).fault,
            Some(Fault::OutOfOrder)
        );
        let mut changed = lines.clone();
        changed.swap(n, n + 1);
        assert_eq!(
            Log::read(changed.concat().as_bytes(), Some(&key)).fault,
            Some(Fault::OutOfOrder)
        );
    }
    // Each byte changed: the log is good up to its line at most.
    for at in 0..room.log.len() {
        let mut changed = room.log.clone().into_bytes();
        changed[at] ^= 1;
        let read = Log::read(&changed, Some(&key));
        assert!(read.fault.is_some(), "byte {at}");
        assert!(read.len <= at);
    }
    // Cut at each byte: a crash.
    for len in 0..room.log.len() {
        let read = Log::read(&room.log.as_bytes()[..len], Some(&key));
        assert!(read.fault.is_none() || read.fault == Some(Fault::Torn), "{len}");
    }
    // Written anew from the beginning, by somebody without the key.
    let mut forged = Chain::new(Signer::from_seed(&[8; 32]).unwrap());
    let text: String = whole
        .lines
        .iter()
        .filter_map(|line| forged.line(MediaTime(line.at), &line.entry))
        .collect();
    assert_eq!(
        Log::read(text.as_bytes(), None).fault,
        Some(Fault::Unsigned),
        "it names another key"
    );
    assert_eq!(Log::read(text.as_bytes(), Some(&key)).lines.len(), 0);
}

#[test]
fn a_track_that_never_stops_changing_is_told_so_often_and_no_more() {
    let mut room = Room::new(&["ada"], Some(0));
    let track = room.add(1, 11, &[VIDEO]);
    for n in 0..20_000 {
        room.recording.handle_track_muted(room.now, track, n % 2 == 0);
        room.drain();
    }
    assert!(room.log.lines().count() < 5_100);
    room.end();
}

#[test]
fn a_file_that_failed_is_told_and_the_track_goes_on_later() {
    let mut room = Room::new(&["ada"], Some(0));
    room.add(1, 11, &[OPUS]);
    room.run(1000, &[(11, OPUS)]);
    room.recording.request_keyframe("t01-microphone");
    room.recording.request_keyframe("another");
    room.drain();
    assert_eq!(room.wishes, 1);
    room.recording.handle_file_failed("t01-microphone", "no space left");
    room.run(9000, &[(11, OPUS)]);
    assert_eq!(room.files.len(), 1);
    room.run(3000, &[(11, OPUS)]);
    let manifest = room.end();
    assert_eq!(room.files.len(), 2);
    let files = &manifest.tracks[0].files;
    // How long the first one is, only the disk can tell.
    assert_eq!((files.len(), files[0].file.as_str()), (1, "t01-microphone-2.webm"));
    assert!(files[0].from >= 11_000_000_000);
    assert!(room.log.contains("no space left"));
}

#[test]
fn nobody_uses_up_what_there_is_for_all() {
    let mut room = Room::new(&["ada", "eve"], Some(0));
    let info = |person| TrackInfo {
        person,
        kind: MediaKind::Audio,
        source: "microphone".to_owned(),
        ssrc: Ssrc(person.0),
        codecs: vec![OPUS],
        extensions: ExtensionMap::new(),
    };
    let (mut eve, mut tracks, mut stays) = (Some(PersonId(2)), 0, 1);
    while let Some(id) = eve {
        tracks += (0..30)
            .filter(|_| room.recording.handle_track_added(room.now, info(id)).is_some())
            .count();
        room.recording.handle_leave(room.now, id);
        room.drain();
        eve = room.recording.handle_join(room.now, &person("eve"));
        stays += u32::from(eve.is_some());
    }
    assert_eq!((stays, tracks), (MAX_STAYS, MAX_TRACKS_EACH as usize));
    assert!(room.recording.handle_track_added(room.now, info(PersonId(1))).is_some());
    assert!(room.recording.handle_join(room.now, &person("bob")).is_some());
}

#[test]
fn who_writes_without_end_fills_neither_the_log_nor_the_manifest() {
    let mut room = Room::new(&["ada", "eve", "bob"], None);
    for person in 1..=3 {
        room.recording.handle_answer(room.now, PersonId(person), true);
    }
    for _ in 0..20 {
        room.recording
            .handle_chat(room.now, PersonId(2), &"\u{1}".repeat(MAX_TEXT));
    }
    for _ in 0..MAX_MESSAGES_EACH + 50 {
        room.recording.handle_chat(room.now, PersonId(3), "x");
    }
    // Who goes and comes back is the same.
    room.recording.handle_leave(room.now, PersonId(2));
    let again = room.recording.handle_join(room.now, &person("eve")).expect("few stays");
    room.recording.handle_answer(room.now, again, true);
    room.recording.handle_chat(room.now, again, &"\u{1}".repeat(MAX_TEXT));
    room.recording.handle_chat(room.now, PersonId(1), "hello");
    room.drain();
    let chat = room.end().chat;
    let of = |wanted: u32| chat.iter().filter(|one| one.person == PersonId(wanted)).count();
    assert_eq!((of(1), of(2), of(3)), (1, 10, MAX_MESSAGES_EACH as usize));
    assert_eq!(of(again.0), 0);
}

#[test]
fn the_mix_is_a_file_of_its_own_that_a_crash_does_not_lose() {
    let mut room = Room::new(&["ada"], None);
    let packet = |milliseconds| Frame {
        at: MediaTime::new(Duration::from_millis(milliseconds)),
        keyframe: true,
        duration: Some(Duration::from_millis(20)),
        data: Bytes::from_static(&[0x78, 1, 2]),
    };
    room.recording.handle_mix(room.now, packet(0));
    room.drain();
    assert!(room.files.is_empty(), "before anybody agreed");
    room.recording.handle_answer(room.now, PersonId(1), true);
    for at in [40, 60] {
        room.recording.handle_mix(room.now, packet(at));
    }
    room.recording.handle_file_failed("mix", "full");
    room.recording.handle_mix(room.now, packet(80));
    room.now += Duration::from_secs(11);
    room.recording.handle_mix(room.now, packet(11_000));
    room.drain();
    assert_eq!(
        room.files,
        [("mix".to_owned(), Container::Ogg), ("mix-2".to_owned(), Container::Ogg)]
    );
    let log = Log::read(room.log.as_bytes(), None);
    let crashed = Manifest::of(&log, &mut |_| Some(MediaTime::new(Duration::from_millis(500))));
    let until = |file: &manifest::FileOf| (file.file.clone(), file.from / 1_000_000, file.until / 1_000_000);
    assert_eq!(until(&crashed.mix[1]), ("mix-2.ogg".to_owned(), 11_000, 11_500));
    let whole = room.end();
    assert_eq!(
        whole.mix.iter().map(until).collect::<Vec<_>>(),
        [("mix-2.ogg".to_owned(), 11_000, 11_020)]
    );
    room.recording.handle_mix(room.now, packet(11_020));
    room.drain();
    assert_eq!(room.frames_of("mix-2"), 1, "after the end");
}

#[test]
fn a_long_meeting_is_files_one_after_another() {
    let mut room = Room::new(&["ada"], Some(0));
    room.recording.segment = Some(Duration::from_secs(2));
    room.add(1, 11, &[VIDEO]);
    room.add(1, 12, &[OPUS]);
    room.run(7000, &[(11, VIDEO), (12, OPUS)]);
    let manifest = room.end();
    for track in &manifest.tracks {
        let files = &track.files;
        assert!(files.len() >= 3, "{files:?}");
        for pair in files.windows(2) {
            assert!(
                (2_000..2_100).contains(&((pair[1].from - pair[0].from) / 1_000_000)),
                "{files:?}"
            );
            assert!(pair[1].from.abs_diff(pair[0].until) < 40_000_000, "a hole: {files:?}");
        }
    }
}
