//! The index against folders that are made here: what it lists, what it finds again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{Index, Query, State};

struct Scene(PathBuf);

impl Scene {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("althing-index-{}-{n}", std::process::id()));
        fs::create_dir_all(base.join("recordings")).unwrap();
        Self(base)
    }

    fn folder(&self) -> PathBuf {
        self.0.join("recordings")
    }

    fn file(&self) -> PathBuf {
        self.0.join("recordings.db")
    }

    fn open(&self) -> Index {
        self.index(false)
    }

    fn index(&self, stores: bool) -> Index {
        let index = Index::new(&self.file(), &self.folder(), stores);
        index.open().unwrap();
        index
    }

    /// A finished recording that began at this second.
    fn record(&self, name: &str, room: &str, second: u64, keep_days: Option<u32>) {
        let folder = self.folder().join(name);
        fs::create_dir_all(&folder).unwrap();
        let manifest = json!({
            "version": 1, "recording": name, "room": room, "unix_ms": second * 1000, "duration": 5_000_000_000_u64,
            "complete": true,
            "people": [{"person": 1, "identity": "ada", "name": "Ada", "stay": {"from": 0, "until": null}}],
            "tracks": [{"track": 1, "person": 1, "kind": "audio", "source": "microphone", "span": {"from": 0, "until": null},
                "formats": [], "mutes": [], "gaps": [], "pauses": [],
                "files": [{"file": "t01-microphone.webm", "from": 0, "until": 5}]}],
            "speakers": [], "chat": [], "chapters": [], "consent": [], "deleted": [], "keep_days": keep_days, "missed": 0,
            "log": {"lines": 1, "hash": "", "key": ""}
        });
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        fs::write(folder.join("t01-microphone.webm"), [0; 1234]).unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn list(index: &Index, query: &Query) -> Value {
    serde_json::to_value(index.list(query).unwrap()).unwrap()
}

fn names(page: &Value) -> Vec<String> {
    let all = page["recordings"].as_array().unwrap();
    all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_hold_each_recording_once_newest_first() {
    let scene = Scene::new();
    for n in 0..25 {
        let room = if n % 5 == 0 { "hall" } else { "kitchen" };
        // Some begin at the same time.
        scene.record(&format!("r{n:02}"), room, 100 + n / 3, None);
    }
    let index = scene.open();
    let mut query = Query {
        limit: Some(7),
        ..Query::default()
    };
    let mut all = Vec::new();
    loop {
        let page = list(&index, &query);
        all.extend(names(&page));
        let Some(next) = page["next"].as_str() else { break };
        query.after = Some(next.to_owned());
    }
    let expected: Vec<_> = (0..25).rev().map(|n| format!("r{n:02}")).collect();
    assert_eq!(all, expected);
    let hall = Query {
        room: Some("hall".to_owned()),
        from: Some(101_000),
        until: Some(106_000),
        ..Query::default()
    };
    let page = list(&index, &hall);
    assert_eq!(names(&page), ["r15", "r10", "r05"]);
    assert_eq!(
        page["recordings"][0],
        json!({"name": "r15", "room": "hall", "begun": 105_000, "duration": 5000, "state": "ready", "people": ["ada"],
            "tracks": 1, "files": 1, "bytes": 1234})
    );
}

#[test]
fn a_recording_is_followed_from_the_question_to_its_end() {
    let scene = Scene::new();
    let index = scene.index(true);
    let state = |index: &Index| list(index, &Query::default())["recordings"][0]["state"].clone();
    index.begin("r", "hall", 1000);
    assert_eq!(state(&index), "asking");
    for known in [State::Recording, State::Closing] {
        index.set_state("r", known);
        assert_eq!(state(&index), known.as_str());
    }
    assert!(!index.look_again("r"), "there is no manifest yet");
    scene.record("r", "hall", 1, Some(2));
    assert_eq!(
        index.unfinished().unwrap(),
        ["r"],
        "a crash now leaves it to the next start"
    );
    assert!(index.look_again("r"));
    assert_eq!(
        (state(&index), index.to_store()),
        (json!("uploading"), vec!["r".to_owned()])
    );
    assert!(index.unfinished().unwrap().is_empty());
    scene.record("r", "hall", 1, Some(2));
    assert_eq!(index.unfinished().unwrap(), ["r"], "somebody has changed it");
    assert!(index.look_again("r") && index.unfinished().unwrap().is_empty());
    index.set_problem("r", Some("no bucket"));
    assert_eq!(list(&index, &Query::default())["recordings"][0]["problem"], "no bucket");
    index.set_stored("r");
    assert_eq!((state(&index), index.to_store().len()), (json!("ready"), 0));
    assert!(
        list(&index, &Query::default())["recordings"][0]
            .get("problem")
            .is_none()
    );
    // It began at second 1, is five seconds long and kept for two days.
    let end = 6000 + 2 * 86_400_000;
    assert_eq!((index.due(end - 1).len(), index.due(end)), (0, vec!["r".to_owned()]));
    fs::remove_dir_all(scene.folder().join("r")).unwrap();
    assert!(index.unfinished().unwrap().is_empty());
    assert!(
        names(&list(&index, &Query::default())).is_empty(),
        "what is gone is not listed"
    );
}

#[test]
fn all_that_are_due_are_told_however_many_there_are() {
    let scene = Scene::new();
    scene.record("r", "hall", 1, Some(1));
    let manifest = fs::read_to_string(scene.folder().join("r/manifest.json")).unwrap();
    for n in 0..1000 {
        let folder = scene.folder().join(format!("r{n}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("manifest.json"), &manifest).unwrap();
    }
    assert_eq!(scene.open().due(u64::MAX).len(), 1001);
}

#[test]
fn a_file_that_is_missing_torn_or_no_database_is_made_anew() {
    let scene = Scene::new();
    for n in 0..40 {
        scene.record(&format!("r{n:02}"), "hall", n, None);
    }
    let good = list(&scene.open(), &Query::default());
    assert_eq!(good["recordings"].as_array().unwrap().len(), 40);
    let whole = fs::read(scene.file()).unwrap();
    let noise = |at: usize| {
        let mut bytes = whole.clone();
        bytes.iter_mut().skip(at).step_by(7).for_each(|byte| *byte ^= 0x55);
        bytes
    };
    for bytes in [
        Vec::new(),
        b"no database".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        noise(0),
        noise(4096),
    ] {
        fs::write(scene.file(), bytes).unwrap();
        let index = scene.open();
        assert_eq!(list(&index, &Query::default()), good);
        index.begin("new", "hall", 1);
    }
    fs::remove_file(scene.file()).unwrap();
    assert_eq!(list(&scene.open(), &Query::default()), good);
}

#[test]
fn an_index_made_anew_leaves_out_what_was_being_deleted() {
    let scene = Scene::new();
    scene.record("r", "hall", 1, None);
    let log = scene.folder().join("r/events.jsonl");
    // The manifest tells of no line with a hash.
    for (text, whole) in [
        ("{\"hash\":\"\"}\n", true),
        ("{\"hash\":\"\"}\n{\"hash\":\"ab\"}\n", false),
        ("{\"ha", false),
    ] {
        fs::write(&log, text).unwrap();
        let _ = fs::remove_file(scene.file());
        let index = scene.open();
        assert_eq!(index.unfinished().unwrap().is_empty(), whole, "{text}");
    }
}

#[test]
fn one_that_breaks_while_it_is_used_is_made_anew() {
    let scene = Scene::new();
    scene.record("old", "hall", 1, None);
    let index = scene.open();
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", scene.file().display()));
    }
    // As a disk does that loses what it was given.
    fs::write(scene.file(), vec![0x55; 64 << 10]).unwrap();
    assert_eq!(names(&list(&index, &Query::default())), ["old"]);
    index.begin("new", "hall", 2000);
    assert_eq!(names(&list(&index, &Query::default())), ["new", "old"]);
}

#[test]
fn one_that_cannot_be_opened_just_now_is_kept() {
    let scene = Scene::new();
    let index = scene.open();
    index.begin("asked", "hall", 1);
    let kept = fs::read(scene.file()).unwrap();
    let broken = |code| {
        let error = rusqlite::ffi::Error::new(code);
        index.is_broken(&rusqlite::Error::SqliteFailure(error, None))
    };
    for code in [rusqlite::ffi::SQLITE_CANTOPEN, rusqlite::ffi::SQLITE_READONLY] {
        assert!(!broken(code), "{code}");
    }
    assert!(broken(rusqlite::ffi::SQLITE_CORRUPT));
    assert_eq!(fs::read(scene.file()).unwrap(), kept);
    fs::remove_file(scene.file()).unwrap();
    assert!(
        broken(rusqlite::ffi::SQLITE_CANTOPEN),
        "who is not there does not come back"
    );
}

#[test]
fn readers_see_whole_recordings_while_others_are_written() {
    let scene = Scene::new();
    let index = scene.open();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut most = 0;
                while !over.load(Ordering::Relaxed) {
                    let page = list(&index, &Query::default());
                    let all = page["recordings"].as_array().unwrap();
                    assert!(all.len() >= most, "a recording is gone");
                    most = all.len();
                    let part = |one: &&Value| {
                        one["state"] == "ready" && (one["files"] != 1 || one["people"] != json!(["ada"]))
                    };
                    assert_eq!(all.iter().find(part), None);
                }
            });
        }
        for n in 0..50 {
            let name = format!("r{n}");
            index.begin(&name, "hall", n);
            scene.record(&name, "hall", n, None);
            assert!(index.look_again(&name));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(names(&list(&index, &Query::default())).len(), 50);
}

/// The inside of the test below, as a process of its own that is killed.
#[test]
fn a_writer_that_is_killed_leaves_a_good_index() {
    const FOLDER: &str = "ALTHING_INDEX_OF_A_WRITER";
    if let Some(base) = std::env::var_os(FOLDER) {
        let base = Path::new(&base);
        let index = Index::new(&base.join("recordings.db"), &base.join("recordings"), false);
        for n in 0_u64.. {
            index.begin(&format!("r{n}"), "hall", n);
        }
    }
    let scene = Scene::new();
    scene.record("kept", "hall", 1, None);
    drop(scene.open());
    for _ in 0..3 {
        let name = "recording::index::tests::a_writer_that_is_killed_leaves_a_good_index";
        let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(FOLDER, &scene.0)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let written = || {
            rusqlite::Connection::open(scene.file())
                .and_then(|read| read.query_row("SELECT count(*) FROM recordings", [], |row| row.get::<_, i64>(0)))
        };
        let before = written().unwrap();
        let start = std::time::Instant::now();
        while written().unwrap() < before + 20 && start.elapsed().as_secs() < 60 {
            thread::sleep(std::time::Duration::from_millis(2));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        // Opened as it is, not made anew: what was written is there, though no folder knows of it.
        let index = scene.open();
        let all: BTreeSet<_> = names(&list(&index, &Query::default())).into_iter().collect();
        assert!(all.len() >= 20, "{all:?}");
        // Those without a folder are forgotten.
        assert!(index.unfinished().unwrap().is_empty());
        assert_eq!(names(&list(&index, &Query::default())), ["kept"]);
    }
}
