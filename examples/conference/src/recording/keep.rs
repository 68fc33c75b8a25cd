//! What becomes of recordings that are over, and of those that a crash has left: finished, known to the index, sent to the store,
//! deleted when their time is over.

use std::io;
use std::path::Path;
use std::sync::Arc;

use althing_recorder::recording::folder::{self, State as FolderState};
use tokio::task::spawn_blocking;

use super::index::{Index, State};
use super::store::{Following, Tell, Told};
use super::{Recorder, unix_ms};

/// A recording that goes on, as far as the index and the store have to know of it.
pub(super) struct Kept {
    recorder: Recorder,
    name: String,
    /// Dropped when everything is written.
    _following: Option<Following>,
}

impl Kept {
    /// A recording begins, in the folder at `path`.
    pub(super) async fn begin(recorder: &Recorder, path: &Path, room: &str, unix_ms: u64) -> Self {
        let following = match recorder.0.store.clone() {
            Some(store) => {
                let path = path.to_owned();
                spawn_blocking(move || store.follow(&path)).await.ok()
            }
            None => None,
        };
        let kept = Self {
            recorder: recorder.clone(),
            name: name(path),
            _following: following,
        };
        let room = room.to_owned();
        kept.note(move |index, name| index.begin(name, &room, unix_ms)).await;
        kept
    }

    /// It has come further.
    pub(super) async fn set_state(&self, state: State) {
        self.note(move |index, name| index.set_state(name, state)).await;
    }

    /// Everything is written.
    pub(super) async fn end(self) {
        self.note(|index, name| {
            if !index.look_again(name) {
                index.set_failed(name, "It has broken off.");
            }
        })
        .await;
    }

    async fn note(&self, note: impl FnOnce(&Index, &str) + Send + 'static) {
        let (index, name) = (self.recorder.0.index.clone(), self.name.clone());
        // What fails is told there.
        let _ = spawn_blocking(move || note(&index, &name)).await;
    }
}

impl Recorder {
    /// Finishes what a crash has left. What was finished before is not looked at.
    pub(super) fn recover(&self) -> io::Result<()> {
        if !self.0.folder.exists() {
            return Ok(());
        }
        let (index, key) = (&self.0.index, self.signer()?.public_key());
        for name in index.unfinished()? {
            let path = self.0.folder.join(&name);
            let problem = match folder::recover(&path, Some(&key)) {
                Ok(FolderState::Complete) => None,
                Ok(state) => Some(format!("The folder is {state:?}.")),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = &problem {
                tracing::warn!(path = %path.display(), problem, "a recording cannot be finished");
            }
            if !index.look_again(&name) {
                index.set_failed(&name, problem.as_deref().unwrap_or("It has no manifest."));
            }
        }
        self.expire();
        Ok(())
    }

    /// Deletes recordings whose time is over. Sends what an index that was made anew has found to be sent, too.
    pub(super) fn expire(&self) {
        for name in self.0.index.due(unix_ms()) {
            let expired = self.change(&name, |path| folder::expire(path, self.signer()?, unix_ms()));
            match expired {
                Ok(true) => tracing::info!(name, "a recording was deleted, as its time is over"),
                Ok(false) => {}
                Err(error) => tracing::warn!(name, %error, "a recording cannot be deleted"),
            }
        }
        if self.0.store.is_some() {
            self.0.index.to_store().iter().for_each(|name| self.settle(name));
        }
    }

    /// Changes the folder of a recording that is over, and tells index and store. If the server is killed meanwhile, the next
    /// start looks at the folder again.
    pub(super) fn change<T>(&self, name: &str, change: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        self.0.index.set_state(name, State::Closing);
        let changed = change(&self.0.folder.join(name));
        if self.0.index.look_again(name) {
            self.settle(name);
        }
        changed
    }

    /// The store gets what the folder of a recording that is over has.
    fn settle(&self, name: &str) {
        if let Some(store) = &self.0.store {
            store.settle(&self.0.folder.join(name));
        }
    }
}

/// Writes what becomes of uploads into the index.
pub(super) fn told(index: &Arc<Index>) -> Tell {
    let index = index.clone();
    Arc::new(move |path, told| {
        let name = name(path);
        match told {
            Told::Begins => index.set_unstored(&name),
            Told::Rests(problem) => index.set_problem(&name, Some(&problem)),
            Told::GoesOn => index.set_problem(&name, None),
            Told::Settled => index.set_stored(&name),
        }
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
