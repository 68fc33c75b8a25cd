//! Recordings in a store of objects (`[recording.store]`), beside the folder: what is settled goes there while the meeting lasts.
//!
//! ```text
//!  folder of a recording ──► settled parts, while it grows ──► the rest, when it is over ──► log, manifest ──► media may go
//!        │                                                                                             │
//!        └ upload.jsonl says what was sent: whoever is killed goes on there                deleted: out of the store as well
//! ```
//!
//! A task for each recording; what goes wrong is told and tried again, from a second to a minute later, for ever. Nobody waits
//! for it. In memory are [`StoreSettings::parallel`] parts, whatever there is to send.
//!
//! | file | one idea |
//! |---|---|
//! | this | which recordings there are to send, and when |
//! | `place` | a bucket, and what it says when it is wrong |
//! | `line` | HTTP to it |
//! | `folder` | one recording: order, removing, erasing |
//! | `file` | one file: parts, checksums, going on |
//! | `notes` | the journal on the disk |

mod file;
mod folder;
mod line;
mod notes;
mod place;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use althing_recorder::file::Event;
use althing_recorder::recording;
use althing_recorder::upload::Parts;
use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::path::Path as ObjectPath;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use self::file::{Failure, Means};
use self::folder::Folder;
use self::place::Place;
pub(crate) use self::place::{PlaceError, StoreSettings};

/// How often a recording that goes on is looked at: a part of 8 MiB takes 2.5 Mbit/s half a minute.
const LOOK: Duration = Duration::from_secs(2);
/// The first rest after something went wrong; each is twice as long as the one before.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How many pieces are fetched at a time for those who watch what is only in the store; each is as long as the longest answer to
/// a range.
const READS: usize = 32;

/// What becomes of a recording's upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// There is something to send, or to erase.
    Begins,
    /// It rests: why.
    Rests(String),
    /// It goes on after a rest.
    GoesOn,
    /// The store has what the folder has, or what is deleted is erased.
    Settled,
}

/// Is told what becomes of uploads, by the folder of the recording; of one recording in the order in which it happens.
pub(super) type Tell = Arc<dyn Fn(&Path, Told) + Send + Sync>;

/// The store.
#[derive(Clone)]
pub(super) struct Store(Arc<Shared>);

struct Shared {
    means: Means,
    keep_local: bool,
    secret: [u8; 32],
    /// One for each recording that may be settled at a time; those that go on are not counted.
    turns: Semaphore,
    /// One for each piece that may be on its way to somebody who watches.
    reads: Arc<Semaphore>,
    tasks: Mutex<HashMap<PathBuf, watch::Sender<Wanted>>>,
    /// Held while the beginning or the end of a task is told, which may take as long as the disk: others may ask for `tasks`.
    order: Mutex<()>,
    tell: Tell,
}

/// What is known of a recording that a task is at.
#[derive(Debug, Clone, Default)]
struct Wanted {
    live: bool,
    /// Files that are finished, by name.
    finished: BTreeSet<String>,
    /// How often it was asked to look again.
    asked: u64,
}

impl Store {
    /// Opens the store; nothing is sent yet. `secret` signs what is erased.
    pub(super) fn open(settings: &StoreSettings, secret: [u8; 32], tell: Tell) -> Result<Self, PlaceError> {
        let place = Place::open(settings)?;
        let parts = Parts::new(settings.part_bytes());
        Ok(Self::at(place, parts, settings, secret, tell))
    }

    fn at(place: Place, parts: Parts, settings: &StoreSettings, secret: [u8; 32], tell: Tell) -> Self {
        Self(Arc::new(Shared {
            means: Means {
                place,
                parts,
                permits: Arc::new(Semaphore::new(settings.parallel)),
            },
            keep_local: settings.keep_local,
            secret,
            turns: Semaphore::new(settings.parallel),
            reads: Arc::new(Semaphore::new(READS)),
            tasks: Mutex::new(HashMap::new()),
            order: Mutex::new(()),
            tell,
        }))
    }

    /// A recording begins; what is returned is dropped when it is over and everything is written. Waits for the disk.
    pub(super) fn follow(&self, recording: &Path) -> Following {
        self.want(recording, |wanted| wanted.live = true);
        Following(self.clone(), recording.to_owned())
    }

    /// Brings the store to what the folder of a recording is that is over, or was deleted. Waits for the
    /// disk.
    pub(super) fn settle(&self, recording: &Path) {
        self.want(recording, |_| ());
    }

    /// Takes what the disk tells of files.
    pub(super) fn handle_event(&self, event: &Event) {
        let (Event::Finished { path, .. } | Event::Failed { path, .. }) = event else {
            return;
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        if let Some(wanted) = self.tasks().get(folder) {
            wanted.send_modify(|wanted| {
                wanted.finished.insert(name.to_string_lossy().into_owned());
            });
        }
    }

    /// A file of a recording, if the store has it; none of one that is deleted, also before the store has erased it.
    pub(super) async fn stored(&self, recording: &Path, file: &str) -> Option<StoredFile> {
        let place = &self.0.means.place;
        let (path, name, url) = (recording.to_owned(), file.to_owned(), place.url.clone());
        let stored = spawn_blocking(move || {
            let journal = notes::read(&path).ok()?;
            // One of another store says nothing of what this one has.
            let stored = journal.sent(&name)?.stored.clone();
            let stored = stored.filter(|_| journal.place() == Some(&url))?;
            recording::folder::to_erase(&path).ok()?.is_none().then_some(stored)
        });
        let stored = stored.await.ok()??;
        Some(StoredFile {
            bytes: stored.bytes,
            sha256: stored.sha256,
            object: place.object(recording, file),
            place: place.clone(),
            reads: self.0.reads.clone(),
        })
    }

    /// Tells the task of a recording what is wanted, and starts it if there is none.
    fn want(&self, recording: &Path, change: impl FnOnce(&mut Wanted)) {
        let change = |wanted: &mut Wanted| {
            wanted.asked += 1;
            change(wanted);
        };
        let _order = self.order();
        (self.0.tell)(recording, Told::Begins);
        let mut tasks = self.tasks();
        if let Some(wanted) = tasks.get(recording) {
            wanted.send_modify(change);
            return;
        }
        let mut first = Wanted::default();
        change(&mut first);
        let (sender, wanted) = watch::channel(first);
        tasks.insert(recording.to_owned(), sender);
        tokio::spawn(self.clone().run(recording.to_owned(), wanted));
    }

    async fn run(self, path: PathBuf, mut wanted: watch::Receiver<Wanted>) {
        let (mut rest, mut problem) = (FIRST_REST, None);
        let mut folder = None;
        loop {
            let now = wanted.borrow_and_update().clone();
            let pause = match self.turn(&path, &now, &mut folder).await {
                Ok(()) => {
                    rest = FIRST_REST;
                    if problem.take().is_some() {
                        tracing::info!(path = %path.display(), "the upload of a recording goes on");
                        self.tell(&path, Told::GoesOn).await;
                    }
                    if !now.live && self.is_done(&path, &now).await {
                        tracing::debug!(path = %path.display(), "a recording is stored");
                        return;
                    }
                    LOOK
                }
                Err(failure) => {
                    let text = failure.to_string();
                    if problem.as_ref() != Some(&text) {
                        tracing::warn!(path = %path.display(), problem = text, "the upload of a recording rests");
                        self.tell(&path, Told::Rests(text.clone())).await;
                        problem = Some(text);
                    }
                    let pause = rest;
                    rest = (rest * 2).min(LONGEST_REST);
                    pause
                }
            };
            // Its sender lives as long as the task.
            let _ = tokio::time::timeout(pause, wanted.changed()).await;
        }
    }

    async fn turn(&self, path: &Path, wanted: &Wanted, folder: &mut Option<Folder>) -> Result<(), Failure> {
        let shared = &self.0;
        let _turn = if wanted.live {
            None
        } else {
            shared.turns.acquire().await.ok()
        };
        let folder = match folder {
            Some(folder) => folder,
            None => folder.insert(Folder::open(
                path,
                shared.means.clone(),
                shared.keep_local,
                shared.secret,
            )?),
        };
        if wanted.live {
            folder.follow(|name| wanted.finished.contains(name)).await
        } else {
            folder.settle().await
        }
    }

    /// Whether nothing more was asked for meanwhile; then the task is over.
    async fn is_done(&self, path: &Path, wanted: &Wanted) -> bool {
        let (store, path, seen) = (self.clone(), path.to_owned(), wanted.asked);
        let done = spawn_blocking(move || {
            // Nobody can ask for more before it is told.
            let _order = store.order();
            let mut tasks = store.tasks();
            let asked = tasks.get(&path).map(|sender| sender.borrow().asked);
            let done = asked == Some(seen);
            if done {
                tasks.remove(&path);
                drop(tasks);
                (store.0.tell)(&path, Told::Settled);
            }
            done
        });
        // It is cut short with the server alone.
        done.await.unwrap_or(true)
    }

    /// Tells what becomes of an upload; the task goes on when it is told.
    async fn tell(&self, path: &Path, told: Told) {
        let (store, path) = (self.clone(), path.to_owned());
        // What fails is told there.
        let _ = spawn_blocking(move || (store.0.tell)(&path, told)).await;
    }

    fn order(&self) -> MutexGuard<'_, ()> {
        self.0.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<PathBuf, watch::Sender<Wanted>>> {
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that the store has.
#[derive(Debug)]
pub(super) struct StoredFile {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    object: ObjectPath,
    place: Place,
    reads: Arc<Semaphore>,
}

impl StoredFile {
    /// Bytes of it.
    pub(super) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        // Nobody closes it.
        let _permit = self.reads.acquire().await.ok();
        let read = self.place.objects.get_range(&self.object, range).await;
        read.map_err(|error| {
            let problem = place::problem(&error);
            tracing::warn!(object = %self.object, problem, "a stored file cannot be read");
            io::Error::other(problem)
        })
    }
}

/// A recording that goes on.
pub(super) struct Following(Store, PathBuf);

impl Drop for Following {
    fn drop(&mut self) {
        // A server that ends has no tasks any more; the next start looks for what is left.
        if let Some(wanted) = self.0.tasks().get(&self.1) {
            wanted.send_modify(|wanted| {
                wanted.live = false;
                wanted.asked += 1;
            });
        }
    }
}
