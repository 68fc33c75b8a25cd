//! Recordings: who may ask for one, who agrees, where they lie.
//!
//! | request | who | |
//! |---|---|---|
//! | `POST /recordings/{room}` | a token with `roomRecord` or `roomAdmin` for the room | all who are there are asked |
//! | `POST /recordings/{room}/answer` | each of them, with their own token | `{"agrees": true}` |
//! | `GET /recordings/{room}` | who may be in the room | what is recorded now, of whom |
//! | `POST /recordings/{room}/chapters` | as for the beginning | `{"title": "…"}`: marks the place |
//! | `GET /recordings/{room}/live/live.m3u8` | who may be in the room | what is recorded now, to watch (HLS) |
//! | `DELETE /recordings/{room}` | as for the beginning | the end |
//! | `GET /recordings` | a token with `roomRecord`, and `roomList` or the room | which recordings there are |
//!
//! A participant named by [`RecordingSettings::identity`] is in the room meanwhile, takes nobody's place, and tells all by its
//! attribute `althing.recording` whether it `asks` or is `running`. Not one byte of media reaches the disk before everybody who is
//! there has answered, and never one of who has not agreed.
//!
//! The server API asks for recordings by its calls about "egress" (`docs/protocol.md`), and knows those that began here as well.
//!
//! | file | one idea |
//! |---|---|
//! | `http` | the requests |
//! | `room` | who is there, and what they send |
//! | `egress` | what the server API asks for, and what it is told |
//! | `thread` | what is written |
//! | `keep` | what becomes of recordings that are over |
//! | `index` | all of them in a few lines, to be listed |
//! | `mix` | all sound that is written, as one |
//! | `live`, `watch`, `audience` | what an audience watches meanwhile, how it is served, and waited for |
//! | `store` | what of them goes into a bucket |
//! | `archive` | what is kept, for who plays it |
//! | `range`, `stream` | parts of files |

mod archive;
mod audience;
mod egress;
mod http;
mod index;
mod keep;
mod live;
mod mix;
mod range;
mod room;
mod store;
mod stream;
mod thread;
mod watch;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::Signer;
use althing_signalling::Signalling;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;

use self::audience::Audience;
pub(crate) use self::http::routes;
use self::index::Index;
use self::store::{Store, StoreSettings};
use self::thread::Status;

/// How often it is looked for recordings whose time is over.
const LOOK_FOR_OLD: Duration = Duration::from_secs(3600);
/// The secret that signs logs, in the data folder.
const SECRET: &str = "recorder.key";
/// The folder of the recordings, in the data folder.
const FOLDER: &str = "recordings";
/// What is known of them all, in the data folder.
const INDEX: &str = "recordings.db";
/// Rooms whose last live recording can still be watched to its end.
const MAX_SHOWN: usize = 1000;
/// By which the participant who records tells all how it stands. Nobody but parts of the server can have it.
const ATTRIBUTE: &str = "althing.recording";
/// And this, where only some are recorded, whom: their identities in JSON.
const OF: &str = "althing.recording.of";

/// How meetings are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecordingSettings {
    /// The identity of who records.
    pub(crate) identity: String,
    /// After how many days media are deleted; without it, when somebody deletes them.
    pub(crate) keep_days: Option<u32>,
    /// Where they are stored beside the folder.
    pub(crate) store: Option<StoreSettings>,
    /// All sound is also written as one file.
    pub(crate) mix: bool,
    /// A file is followed by another one after so many minutes.
    pub(crate) segment_minutes: Option<NonZeroU32>,
    /// One picture with all sound is shown to whoever may be in the room, while it is recorded. Publishers are asked for H.264.
    pub(crate) live: bool,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            identity: "recorder".to_owned(),
            keep_days: None,
            store: None,
            mix: true,
            segment_minutes: None,
            live: false,
        }
    }
}

/// All recordings of the server.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Shared>);

struct Shared {
    signalling: Signalling,
    settings: RecordingSettings,
    folder: PathBuf,
    secret: [u8; 32],
    index: Arc<Index>,
    store: Option<Store>,
    /// Made with the first recording.
    disk: Mutex<Option<Arc<Disk>>>,
    running: Mutex<HashMap<String, Running>>,
    /// Each room's last recording that was shown live; at most [`MAX_SHOWN`].
    shown: Mutex<HashMap<String, Audience>>,
    closed: AtomicBool,
}

/// The recording of one room.
struct Running {
    wishes: mpsc::Sender<Wish>,
    status: Receiver<Status>,
}

/// What somebody wants of a recording that is there.
enum Wish {
    Answer(String, bool),
    Chapter(String),
    Stop,
}

impl Recorder {
    /// Finishes what a crash has left, deletes what is too old, and goes on to look for that.
    ///
    /// # Errors
    ///
    /// When there is a data folder with recordings that cannot be read.
    pub(crate) fn start(signalling: Signalling, data: &Path, settings: RecordingSettings) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        let secret = secret(&data.join(SECRET), folder.exists())?;
        let index = Arc::new(Index::new(&data.join(INDEX), &folder, settings.store.is_some()));
        let store = settings
            .store
            .as_ref()
            .map(|store| Store::open(store, secret, keep::told(&index)));
        let recorder = Self(Arc::new(Shared {
            signalling,
            settings,
            secret,
            index,
            store: store.transpose().map_err(io::Error::other)?,
            folder,
            disk: Mutex::new(None),
            running: Mutex::new(HashMap::new()),
            shown: Mutex::new(HashMap::new()),
            closed: AtomicBool::new(false),
        }));
        recorder.recover()?;
        if let Some(orders) = recorder.0.signalling.egress_orders() {
            tokio::spawn(egress::serve(Arc::downgrade(&recorder.0), orders));
        }
        let shared = Arc::downgrade(&recorder.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_FOR_OLD).await;
                let Some(shared) = shared.upgrade() else { return };
                let _ = tokio::task::spawn_blocking(move || Self(shared).expire()).await;
            }
        });
        Ok(recorder)
    }

    /// Ends all recordings, begins no more, and waits until they are finished, not longer than `patience`.
    pub(crate) async fn close(&self, patience: Duration) {
        self.0.closed.store(true, Ordering::Relaxed);
        let mut running = Vec::new();
        for one in self.running().values() {
            // Who has so many wishes waiting is told by the end of the room.
            let _ = one.wishes.try_send(Wish::Stop);
            running.push(one.status.clone());
        }
        let all = async {
            for mut status in running {
                // Its sender is dropped when everything is written.
                while status.changed().await.is_ok() {}
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("the disk is slow: recordings are finished at the next start");
        }
    }

    fn signer(&self) -> io::Result<Signer> {
        Signer::from_seed(&self.0.secret).map_err(io::Error::other)
    }

    fn disk(&self) -> io::Result<Arc<Disk>> {
        let mut disk = self.0.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = disk.as_ref() {
            return Ok(disk.clone());
        }
        let store = self.0.store.clone();
        let started = Disk::start(DiskConfig::default(), move |event| {
            tracing::info!("{event}");
            if let Some(store) = &store {
                store.handle_event(&event);
            }
        })?;
        Ok(disk.insert(Arc::new(started)).clone())
    }

    /// The audience of a room finds what is shown there.
    fn show(&self, room: &str, audience: Audience) {
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() >= MAX_SHOWN && !shown.contains_key(room) {
            let over = shown.keys().find(|room| !self.running().contains_key(*room)).cloned();
            let _ = over.map(|room| shown.remove(&room));
        }
        shown.insert(room.to_owned(), audience);
    }

    fn shown(&self, room: &str) -> Option<Audience> {
        let shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.get(room).cloned()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret of this server: from its file, which is made with the first recording. `wanted`: there are recordings already.
fn secret(path: &Path, wanted: bool) -> io::Result<[u8; 32]> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            let problem = format!("{} is not the 32 bytes that sign recordings", path.display());
            io::Error::new(io::ErrorKind::InvalidData, problem)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if wanted {
                tracing::warn!(path = %path.display(), "the secret of earlier recordings is lost: they cannot be deleted by the server");
            }
            let mut secret = [0; 32];
            aws_lc_rs::rand::fill(&mut secret).map_err(|_| io::Error::other("the system gives no random numbers"))?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
