//! Uploads into the memory of this program, whose parts may be small: what is sent when, going on, deleting. A server by others
//! is in `tests/store.rs`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_media_core::Codec;
use althing_recorder::container::Container;
use althing_recorder::file::{Disk, DiskConfig, Writer, WriterConfig};
use althing_recorder::recording::entry::DeleteReason;
use althing_recorder::recording::folder::{self, Folder, LOG, MANIFEST};
use althing_recorder::recording::{Manifest, Person, Recording, RecordingConfig, Signer};
use althing_recorder::upload::{JOURNAL, Journal, Line, Parts, Stored};
use althing_recorder::{Frame, MediaTime, TrackFormat, VideoFormat};
use axum::body::to_bytes;
use axum::http::header::{CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;

use super::file::Upload;
use super::notes::Notes;
use super::place::Place;
use super::{Store, StoreSettings, Told};
use crate::recording::range::serve_stored;

/// Larger than the rooms at the start of a WebM.
const PART: usize = 64 << 10;
const SECRET: [u8; 32] = [7; 32];
const MEDIA: &str = "t01-camera.webm";

struct Scene {
    folder: PathBuf,
    objects: Arc<InMemory>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Scene {
    /// A recording without media, which goes on.
    fn begin() -> (Self, Folder) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("althing-store-{}-{n}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        let scene = Self {
            folder: base.join("17-hall"),
            objects: Arc::new(InMemory::new()),
            told: Arc::default(),
        };
        let config = RecordingConfig::new("17-hall", 17, signer()).by(Person::new("ada", "Ada"));
        let disk = Arc::new(Disk::start(DiskConfig::default(), |_| ()).unwrap());
        let folder = Folder::create(&scene.folder, &disk, Recording::new(Instant::now(), config)).unwrap();
        (scene, folder)
    }

    /// One that is over, with this media.
    fn over(media: &[u8]) -> Self {
        let (scene, folder) = Self::begin();
        folder.finish(Instant::now(), 0).unwrap();
        fs::write(scene.media(), media).unwrap();
        scene
    }

    fn media(&self) -> PathBuf {
        self.folder.join(MEDIA)
    }

    /// A server that begins; it knows nothing of the one before.
    fn store(&self, keep_local: bool) -> Store {
        let settings: StoreSettings =
            toml::from_str(&format!("url = \"memory://\"\nkeep_local = {keep_local}")).unwrap();
        let told = self.told.clone();
        let tell = move |_: &Path, what| told.lock().unwrap().push(what);
        let place = Place::of(self.objects.clone());
        Store::at(place, Parts::new(PART as u64), &settings, SECRET, Arc::new(tell))
    }

    async fn settled(&self) {
        until(|| self.told.lock().unwrap().last() == Some(&Told::Settled)).await;
        self.told.lock().unwrap().clear();
    }

    fn journal(&self) -> Journal {
        Journal::read(&fs::read(self.folder.join(JOURNAL)).unwrap_or_default())
            .unwrap()
            .0
    }

    async fn object(&self, name: &str) -> Option<Bytes> {
        let object = object_store::path::Path::from("17-hall").join(name);
        Some(self.objects.get(&object).await.ok()?.bytes().await.unwrap())
    }

    async fn assert_same(&self, name: &str) {
        let local = fs::read(self.folder.join(name)).unwrap();
        assert!(
            self.object(name).await.is_some_and(|object| object == local),
            "{name} differs"
        );
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.folder.parent().unwrap());
    }
}

fn signer() -> Signer {
    Signer::from_seed(&SECRET).unwrap()
}

async fn until(done: impl Fn() -> bool) {
    let all = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("it never comes");
}

/// Bytes that differ from place to place.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_go_while_the_meeting_lasts_and_the_patched_first_one_at_the_end() {
    let (scene, folder) = Scene::begin();
    let store = scene.store(true);
    let following = store.follow(&scene.folder);
    let events = store.clone();
    let disk = Disk::start(DiskConfig::default(), move |event| events.handle_event(&event)).unwrap();
    let disk = Arc::new(disk);
    let format = TrackFormat::Video(VideoFormat {
        codec: Codec::Vp8,
        width: 640,
        height: 360,
        config: Bytes::new(),
    });
    let config = WriterConfig::new(Container::WebM);
    let mut writer = Writer::new(&disk, &scene.folder.join("t01-camera"), &[format], config).unwrap();
    let data: Bytes = noise(10_000).into();
    for n in 0..100 {
        let frame = Frame {
            at: MediaTime(n * 40_000_000),
            keyframe: n % 10 == 0,
            data: data.clone(),
            duration: None,
        };
        writer.handle_frame(0, frame).unwrap();
    }
    until(|| scene.journal().sent(MEDIA).is_some_and(|sent| sent.parts.len() >= 12)).await;
    assert!(
        !scene.journal().sent(MEDIA).unwrap().parts.contains_key(&0),
        "its rooms are empty yet"
    );
    assert!(scene.object(MEDIA).await.is_none());
    let early = fs::read(scene.media()).unwrap();

    writer.finish();
    until(|| scene.journal().sent(MEDIA).is_some_and(|sent| sent.stored.is_some())).await;
    scene.assert_same(MEDIA).await;
    assert_ne!(
        fs::read(scene.media()).unwrap()[..4096],
        early[..4096],
        "nothing was patched"
    );
    assert!(scene.object(MANIFEST).await.is_none(), "a manifest before the end");
    folder.finish(Instant::now(), 0).unwrap();
    drop(following);
    scene.settled().await;
    for name in [MEDIA, LOG, MANIFEST] {
        scene.assert_same(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_the_journal_is_sent_again_and_nothing_else() {
    let scene = Scene::over(&noise(5 * PART + 100));
    let mut lines = Vec::new();
    {
        // A server that is killed in the middle: here after all parts, before they are put together.
        let store = scene.store(true);
        store.settle(&scene.folder);
        scene.settled().await;
        let text = fs::read_to_string(scene.folder.join(JOURNAL)).unwrap();
        lines.extend(text.lines().map(|line| format!("{line}\n")));
    }
    let of = |kind: &'static str| {
        move |line: &&String| line.contains(&format!("\"type\":\"{kind}\"")) && line.contains(MEDIA)
    };
    assert_eq!(lines.iter().filter(of("part")).count(), 6);
    // The upload that the journal tells of is over in this store: one that goes on has the same parts.
    let objects: Arc<dyn super::place::Objects> = scene.objects.clone();
    let path = object_store::path::Path::from("17-hall").join(MEDIA);
    let upload = objects.create_multipart(&path).await.unwrap();
    let bytes = fs::read(scene.media()).unwrap();
    for (part, piece) in bytes.chunks(PART).take(5).enumerate() {
        let piece = Bytes::copy_from_slice(piece);
        objects.put_part(&path, &upload, part, piece.into()).await.unwrap();
    }
    objects.delete(&path).await.unwrap();
    let begun = lines.iter().find(of("begun")).unwrap();
    let old = begun.split("\"upload\":\"").nth(1).unwrap().split('"').next().unwrap();
    let begun = begun.replace(&format!("\"upload\":\"{old}\""), &format!("\"upload\":\"{upload}\""));
    let parts: String = lines.iter().filter(of("part")).map(String::as_str).collect();
    let torn = "{\"type\":\"part\",\"fi";
    fs::write(scene.folder.join(JOURNAL), format!("{}{begun}{parts}{torn}", lines[0])).unwrap();
    // Recovery has cut and patched the file meanwhile.
    let mut changed = bytes.clone();
    changed[100] ^= 1;
    changed.truncate(4 * PART + 50);
    fs::write(scene.media(), &changed).unwrap();

    let store = scene.store(true);
    store.settle(&scene.folder);
    scene.settled().await;
    let text = fs::read_to_string(scene.folder.join(JOURNAL)).unwrap();
    let sent: Vec<_> = text
        .lines()
        .skip(8)
        .filter(|line| line.contains("\"type\":\"part\""))
        .collect();
    assert_eq!(sent.len(), 2, "the first and the last: {sent:?}");
    assert!(
        sent[0].contains("\"part\":0,") && sent[1].contains("\"part\":4,"),
        "{sent:?}"
    );
    scene.assert_same(MEDIA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_leave_the_folder_when_they_are_proved_to_be_stored_and_the_store_when_deleted() {
    let scene = Scene::over(&noise(3 * PART));
    let store = scene.store(false);
    store.settle(&scene.folder);
    scene.settled().await;
    assert!(!scene.media().exists());
    assert_eq!(scene.object(MEDIA).await.unwrap().len(), 3 * PART);
    scene.assert_same(MANIFEST).await;
    // Who plays it gets it from there.
    let stored = store.stored(&scene.folder, MEDIA).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, "bytes=65530-65539".parse().unwrap());
    let answer = serve_stored(stored, "video/webm", &headers);
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.headers()[CONTENT_RANGE], "bytes 65530-65539/196608");
    let body = to_bytes(answer.into_body(), 100).await.unwrap();
    assert_eq!(body[..], noise(3 * PART)[65_530..65_540]);
    assert!(store.stored(&scene.folder, "t02-camera.webm").await.is_none());

    let manifest = || -> Manifest { serde_json::from_slice(&fs::read(scene.folder.join(MANIFEST)).unwrap()).unwrap() };
    folder::delete(&scene.folder, DeleteReason::Requested, signer(), 99).unwrap();
    assert!(
        store.stored(&scene.folder, MEDIA).await.is_none(),
        "what is deleted is played until it is erased"
    );
    let deleted = manifest().deleted;
    assert_eq!(
        (deleted.len(), deleted[0].bytes),
        (1, 3 * PART as u64),
        "what only the store has is told too"
    );
    store.settle(&scene.folder);
    scene.settled().await;
    assert!(scene.object(MEDIA).await.is_none());
    let log = fs::read_to_string(scene.folder.join(LOG)).unwrap();
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("\"type\":\"erased\"") && last.contains(MEDIA) && last.contains("signature"),
        "{last}"
    );
    for name in [LOG, MANIFEST] {
        scene.assert_same(name).await;
    }
    // Doing it again changes nothing.
    folder::delete(&scene.folder, DeleteReason::Requested, signer(), 100).unwrap();
    store.settle(&scene.folder);
    scene.settled().await;
    assert_eq!(fs::read_to_string(scene.folder.join(LOG)).unwrap(), log);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_an_upload_that_is_given_up_leave_the_store() {
    let scene = Scene::over(b"media");
    let store = scene.store(true);
    let means = &store.0.means;
    let notes = Notes::open(&scene.folder).unwrap();
    let upload = Upload::open(means, &notes, &scene.folder, MEDIA).unwrap();
    let id = means.place.objects.create_multipart(&upload.object).await.unwrap();
    let begun = Line::Begun {
        file: MEDIA.to_owned(),
        upload: id.clone(),
        part_bytes: PART as u64,
    };
    notes.note(begun.clone()).await.unwrap();
    let part = || {
        means
            .place
            .objects
            .put_part(&upload.object, &id, 0, Bytes::from_static(b"media").into())
    };
    part().await.unwrap();
    let refused = || object_store::Error::NotFound {
        path: MEDIA.to_owned(),
        source: "no such upload".into(),
    };
    upload.lost(refused()).await;
    assert_eq!(notes.sent(MEDIA).upload, None);
    assert!(part().await.is_err(), "its parts are still there");
    // As long as the store does not do it, it is not forgotten.
    notes.note(begun).await.unwrap();
    upload.lost(refused()).await;
    assert!(notes.sent(MEDIA).upload.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_sent_holds_up_the_manifest_alone() {
    let scene = Scene::over(b"media");
    // Longer than its parts may be many.
    let long = fs::File::create(scene.folder.join("t00-screen.webm")).unwrap();
    long.set_len(10_001).unwrap();
    let begun = Line::Begun {
        file: "t00-screen.webm".to_owned(),
        upload: "one".to_owned(),
        part_bytes: 1,
    };
    fs::write(scene.folder.join(JOURNAL), begun.to_text()).unwrap();
    scene.store(true).settle(&scene.folder);
    until(|| scene.told.lock().unwrap().len() == 2).await;
    let told = scene.told.lock().unwrap().clone();
    assert!(
        matches!(&told[..], [Told::Begins, Told::Rests(why)] if why.contains("t00-screen.webm is too long")),
        "{told:?}"
    );
    scene.assert_same(MEDIA).await;
    assert!(scene.object(MANIFEST).await.is_none() && scene.object(LOG).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_written_behind_half_of_one() {
    let scene = Scene::over(b"media");
    let place = || Line::Place {
        url: "memory://".to_owned(),
    };
    let dropped = || Line::Dropped { file: MEDIA.to_owned() };
    let notes = Notes::open(&scene.folder).unwrap();
    notes.note(place()).await.unwrap();
    // What a full disk has taken of a line.
    let path = scene.folder.join(JOURNAL);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&dropped().to_text().as_bytes()[..9]).unwrap();
    notes.note(dropped()).await.unwrap();
    let text = format!("{}{}", place().to_text(), dropped().to_text());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(scene.journal().sent(MEDIA).is_some());

    // One that has happened tells nothing for sure: nothing is cut, and nobody says that media are deleted that may be there.
    let damaged = format!("{{\"type\":\"par{text}");
    fs::write(&path, &damaged).unwrap();
    assert!(Notes::open(&scene.folder).is_err());
    let deleted = folder::delete(&scene.folder, DeleteReason::Requested, signer(), 99);
    assert_eq!(deleted.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert!(scene.media().exists());
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_another_store_is_left_alone() {
    let scene = Scene::over(b"media");
    let stored = Stored {
        bytes: 5,
        sha256: "ab".to_owned(),
    };
    let file = MEDIA.to_owned();
    let journal = ["memory://", "s3://another"].map(|url| {
        let lines = [
            Line::Place { url: url.to_owned() },
            Line::Stored {
                file: file.clone(),
                stored: stored.clone(),
            },
        ];
        lines.iter().map(Line::to_text).collect::<String>()
    });
    let store = scene.store(false);
    for (journal, ours) in journal.iter().zip([true, false]) {
        fs::write(scene.folder.join(JOURNAL), journal).unwrap();
        assert_eq!(store.stored(&scene.folder, MEDIA).await.is_some(), ours, "{journal}");
    }
    store.settle(&scene.folder);
    until(|| scene.told.lock().unwrap().len() == 2).await;
    let told = scene.told.lock().unwrap().clone();
    assert!(
        matches!(&told[..], [Told::Begins, Told::Rests(why)] if why.contains("s3://another")),
        "{told:?}"
    );
    assert!(scene.media().exists() && scene.object(MEDIA).await.is_none());
}
