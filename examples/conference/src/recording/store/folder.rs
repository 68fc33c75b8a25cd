//! One recording on its way: media first, then what else there is, log and manifest last; and out again when it was deleted.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use althing_recorder::container::Container;
use althing_recorder::recording::Signer;
use althing_recorder::recording::entry::Erased;
use althing_recorder::recording::folder::{self, LOG, MANIFEST, State};
use althing_recorder::upload::{JOURNAL, Line};
use object_store::ObjectStoreExt as _;
use tokio::task::spawn_blocking;

use super::file::{Failure, Means, Upload};
use super::notes::Notes;
use super::place;
use crate::recording::unix_ms;

/// A recording.
pub(super) struct Folder {
    path: PathBuf,
    means: Means,
    notes: Notes,
    keep_local: bool,
    secret: [u8; 32],
}

impl Folder {
    /// Reads what was sent of it.
    pub(super) fn open(path: &Path, means: Means, keep_local: bool, secret: [u8; 32]) -> Result<Self, Failure> {
        let notes = Notes::open(path)?;
        if let Some(url) = notes.look(|journal| journal.place().map(str::to_owned))
            && url != means.place.url
        {
            return Err(Failure::Elsewhere(url));
        }
        Ok(Self {
            path: path.to_owned(),
            means,
            notes,
            keep_local,
            secret,
        })
    }

    /// Sends what is settled of a recording that goes on; whole files of those that `is_finished` tells.
    pub(super) async fn follow(&self, is_finished: impl Fn(&str) -> bool) -> Result<(), Failure> {
        for name in self.files().await?.iter().filter(|name| is_media(name)) {
            if self.notes.sent(name).stored.is_some() {
                continue;
            }
            let upload = self.upload(name).await?;
            if is_finished(name) {
                upload.send().await?;
            } else {
                upload.send_settled().await?;
            }
        }
        Ok(())
    }

    /// Brings the store to what the folder is, now that the recording is over.
    pub(super) async fn settle(&self) -> Result<(), Failure> {
        let path = self.path.clone();
        let ready = spawn_blocking(move || {
            if !path.join(MANIFEST).exists() {
                // Its log could not be written to the end.
                folder::recover(&path, None)?;
            }
            folder::to_erase(&path)
        });
        if let Some(deleted) = ready.await.map_err(io::Error::other)?? {
            self.erase(deleted).await?;
        } else {
            // One that cannot be sent holds up no others.
            let mut sent = Ok(());
            for name in self.files().await?.iter().filter(|name| !is_last(name)) {
                sent = sent.and(self.send(name).await);
            }
            sent?;
        }
        // Who finds a manifest finds all that it tells of.
        for name in [LOG, MANIFEST] {
            self.send(name).await?;
        }
        if !self.keep_local {
            self.remove_media().await?;
        }
        Ok(())
    }

    /// Sends a file, unless the store has it as it is.
    async fn send(&self, name: &str) -> Result<(), Failure> {
        let upload = self.upload(name).await?;
        if !upload.is_stored().await? {
            upload.send().await?;
        }
        Ok(())
    }

    /// Takes media out of the folder that the store has; each is read back first.
    async fn remove_media(&self) -> Result<(), Failure> {
        for name in self.files().await?.iter().filter(|name| is_media(name)) {
            self.upload(name).await?.check().await?;
            self.notes.note(Line::Removed { file: name.clone() }).await?;
            fs::remove_file(self.path.join(name))?;
        }
        Ok(())
    }

    /// Takes media out of the store, and says so in the log. `names` were deleted; the journal may know of more, and what was
    /// stored in the moment of a crash it does not know.
    async fn erase(&self, mut names: BTreeSet<String>) -> Result<(), Failure> {
        if self.notes.look(|journal| journal.place().is_none()) {
            return Ok(());
        }
        self.notes.look(|journal| {
            let media = journal.files().filter(|(name, _)| folder::holds_media(Path::new(name)));
            names.extend(media.map(|(name, _)| name.to_owned()));
        });
        if names.is_empty() {
            return Ok(());
        }
        let objects = &self.means.place.objects;
        for name in &names {
            let object = self.means.place.object(&self.path, name);
            if let Some((upload, _)) = self.notes.sent(name).upload {
                place::gone(objects.abort_multipart(&object, &upload).await)?;
            }
            place::gone(objects.delete(&object).await)?;
        }
        let erased = Erased {
            unix_ms: unix_ms(),
            url: self.means.place.url.clone(),
            files: names.iter().cloned().collect(),
        };
        let (path, secret) = (self.path.clone(), self.secret);
        let noted = spawn_blocking(move || {
            let signer = Signer::from_seed(&secret).map_err(io::Error::other)?;
            folder::note_erased(&path, signer, erased)
        });
        match noted.await.map_err(io::Error::other)?? {
            State::Complete => {}
            state => return Err(Failure::Log(format!("{state:?}"))),
        }
        for file in names {
            self.notes.note(Line::Erased { file }).await?;
        }
        tracing::info!(path = %self.path.display(), "the media of a recording are erased in the store");
        Ok(())
    }

    async fn upload<'a>(&'a self, name: &'a str) -> Result<Upload<'a>, Failure> {
        if self.notes.look(|journal| journal.place().is_none()) {
            let url = self.means.place.url.clone();
            self.notes.note(Line::Place { url }).await?;
        }
        Upload::open(&self.means, &self.notes, &self.path, name)
    }

    /// All files but our own, in order.
    async fn files(&self) -> io::Result<Vec<String>> {
        let path = self.path.clone();
        spawn_blocking(move || files(&path)).await.map_err(io::Error::other)?
    }
}

fn files(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        if let Ok(name) = name
            && entry.file_type()?.is_file()
            && name != JOURNAL
            && !name.ends_with(".new")
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn is_media(name: &str) -> bool {
    Container::of(Path::new(name)).is_some()
}

fn is_last(name: &str) -> bool {
    name == LOG || name == MANIFEST
}
