//! One file on its way: parts that are settled while it grows, the rest when it is finished.
//!
//! A part is in memory while it is read, hashed and sent, and holds one of few permits for that time; nothing else is kept.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path as FilePath;
use std::sync::Arc;

use althing_recorder::upload::{Line, Parts, SentPart, Stored};
use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::notes::Notes;
use super::place::{self, Place};

/// What all uploads share.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) place: Place,
    pub(super) parts: Parts,
    /// One for each part that may be in memory.
    pub(super) permits: Arc<Semaphore>,
}

/// Why an upload rests. It is tried again.
#[derive(Debug)]
#[non_exhaustive]
pub(super) enum Failure {
    /// The store, or the way to it.
    Store(Error),
    /// The disk.
    Disk(io::Error),
    /// What the store has is not what it was sent.
    Differs(String),
    /// The file has more parts than stores take.
    TooLong(String),
    /// Earlier files of the recording are in another store.
    Elsewhere(String),
    /// What was deleted cannot be told in the log.
    Log(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => f.write_str(&place::problem(error)),
            Self::Disk(error) => write!(f, "the disk: {error}"),
            Self::Differs(file) => write!(f, "what the store has of {file} is not what it was sent"),
            Self::TooLong(file) => write!(f, "{file} is too long for parts of this size"),
            Self::Elsewhere(url) => write!(
                f,
                "the recording is stored at {url}, which is not the store of the settings"
            ),
            Self::Log(problem) => write!(f, "the log of the recording: {problem}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// One file.
pub(super) struct Upload<'a> {
    pub(super) means: &'a Means,
    pub(super) notes: &'a Notes,
    pub(super) name: &'a str,
    pub(super) object: Path,
    file: Arc<File>,
    len: u64,
}

impl<'a> Upload<'a> {
    /// The file as long as it is now.
    pub(super) fn open(
        means: &'a Means,
        notes: &'a Notes,
        recording: &FilePath,
        name: &'a str,
    ) -> Result<Self, Failure> {
        let file = File::open(recording.join(name))?;
        Ok(Self {
            means,
            notes,
            name,
            object: means.place.object(recording, name),
            len: file.metadata()?.len(),
            file: Arc::new(file),
        })
    }

    /// Sends what will not change any more of a file that grows.
    pub(super) async fn send_settled(&self) -> Result<(), Failure> {
        let known = self.notes.sent(self.name);
        let parts = known.upload.as_ref().map_or(self.means.parts, |(_, parts)| *parts);
        for part in parts.settled(self.len).filter(|part| !known.parts.contains_key(part)) {
            let (upload, parts) = self.begin().await?;
            let _permit = self.permit().await;
            let (bytes, hash, _) = self.read(parts.range(part, self.len), None).await?;
            self.send_part(&upload, part, bytes, &hash).await?;
        }
        Ok(())
    }

    /// Sends what is missing of a file that is finished.
    pub(super) async fn send(&self) -> Result<(), Failure> {
        let known = self.notes.sent(self.name);
        let stored = if known.upload.is_none() && self.means.parts.count(self.len) == 1 {
            let _permit = self.permit().await;
            let (bytes, hash, _) = self.read(0..self.len, None).await?;
            self.means.place.objects.put(&self.object, bytes.into()).await?;
            hash
        } else {
            self.send_parts().await?
        };
        let there = self.means.place.objects.head(&self.object).await?;
        if there.size != self.len {
            self.drop_upload().await?;
            return Err(Failure::Differs(self.name.to_owned()));
        }
        let stored = Stored {
            bytes: self.len,
            sha256: stored,
        };
        let file = self.name.to_owned();
        Ok(self.notes.note(Line::Stored { file, stored }).await?)
    }

    /// Whether the file is still the one that is stored.
    pub(super) async fn is_stored(&self) -> Result<bool, Failure> {
        let Some(stored) = self.notes.sent(self.name).stored else {
            return Ok(false);
        };
        if stored.bytes != self.len || self.len > self.means.parts.size() {
            return Ok(stored.bytes == self.len);
        }
        let _permit = self.permit().await;
        let (_, hash, _) = self.read(0..self.len, None).await?;
        Ok(hash == stored.sha256)
    }

    /// Reads back what the store has, and compares.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let stored = self.notes.sent(self.name).stored;
        let mut whole = Context::new(&SHA256);
        let parts = self.means.parts;
        for part in 0..parts.count(self.len) {
            let range = parts.range(part, self.len);
            if range.is_empty() {
                continue;
            }
            let _permit = self.permit().await;
            whole.update(&self.means.place.objects.get_range(&self.object, range).await?);
        }
        if stored.is_none_or(|stored| stored.sha256 != hex(&whole.finish())) {
            self.drop_upload().await?;
            return Err(Failure::Differs(self.name.to_owned()));
        }
        Ok(())
    }

    /// All parts in order, so that the hash of the whole comes of it; those that the store has are only read. The first one has
    /// its last bytes now.
    async fn send_parts(&self) -> Result<String, Failure> {
        let (upload, parts) = self.begin().await?;
        if self.len > parts.longest() {
            return Err(Failure::TooLong(self.name.to_owned()));
        }
        let known = self.notes.sent(self.name).parts;
        let mut ids = Vec::new();
        let mut whole = Context::new(&SHA256);
        for part in 0..parts.count(self.len) {
            let _permit = self.permit().await;
            let (bytes, hash, through) = self.read(parts.range(part, self.len), Some(whole)).await?;
            whole = through;
            let id = match known.get(&part) {
                Some(sent) if sent.bytes == bytes.len() as u64 && sent.sha256 == hash => sent.id.clone(),
                _ => self.send_part(&upload, part, bytes, &hash).await?,
            };
            ids.push(object_store::multipart::PartId { content_id: id });
        }
        let objects = &self.means.place.objects;
        if let Err(error) = objects.complete_multipart(&self.object, &upload, ids).await {
            // It may be done, and only the answer to an earlier try was lost.
            let there = matches!(error, Error::NotFound { .. })
                && objects
                    .head(&self.object)
                    .await
                    .is_ok_and(|there| there.size == self.len);
            if !there {
                return Err(self.lost(error).await);
            }
        }
        Ok(hex(&whole.finish()))
    }

    /// The upload in parts that is going on, or a new one.
    async fn begin(&self) -> Result<(String, Parts), Failure> {
        if let Some(upload) = self.notes.sent(self.name).upload {
            return Ok(upload);
        }
        let upload = self.means.place.objects.create_multipart(&self.object).await?;
        let begun = Line::Begun {
            file: self.name.to_owned(),
            upload: upload.clone(),
            part_bytes: self.means.parts.size(),
        };
        if let Err(error) = self.notes.note(begun).await {
            // Nobody will know of it.
            self.abort(&upload).await?;
            return Err(error.into());
        }
        Ok((upload, self.means.parts))
    }

    async fn send_part(&self, upload: &String, part: u64, bytes: Bytes, hash: &str) -> Result<String, Failure> {
        let number = usize::try_from(part).unwrap_or(usize::MAX);
        let len = bytes.len() as u64;
        let objects = &self.means.place.objects;
        let id = match objects.put_part(&self.object, upload, number, bytes.into()).await {
            Ok(id) => id.content_id,
            Err(error) => return Err(self.lost(error).await),
        };
        let sent = SentPart {
            bytes: len,
            sha256: hash.to_owned(),
            id: id.clone(),
        };
        let file = self.name.to_owned();
        self.notes.note(Line::Part { file, part, sent }).await?;
        Ok(id)
    }

    /// Gives up an upload that the store knows nothing of, so that the next try begins anew.
    pub(super) async fn lost(&self, error: Error) -> Failure {
        let gone = matches!(error, Error::NotFound { .. }) || place::is_refused(&error);
        if gone && let Err(failure) = self.drop_upload().await {
            return failure;
        }
        Failure::Store(error)
    }

    /// Begins anew with the next try. The parts that the store has are given up there first: else they lie there, and cost, for
    /// ever.
    async fn drop_upload(&self) -> Result<(), Failure> {
        if let Some((upload, _)) = self.notes.sent(self.name).upload {
            self.abort(&upload).await?;
        }
        let file = self.name.to_owned();
        Ok(self.notes.note(Line::Dropped { file }).await?)
    }

    /// Takes the parts of an upload out of the store, if it knows of it.
    async fn abort(&self, upload: &String) -> Result<(), Failure> {
        place::gone(self.means.place.objects.abort_multipart(&self.object, upload).await)?;
        Ok(())
    }

    async fn permit(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // Nobody closes it.
        self.means.permits.acquire().await.ok()
    }

    /// Bytes of the file, their hash, and `through`, which they go through too.
    async fn read(&self, range: Range<u64>, through: Option<Context>) -> Result<(Bytes, String, Context), Failure> {
        let file = self.file.clone();
        let read = spawn_blocking(move || {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, range.start)?;
            let mut through = through.unwrap_or_else(|| Context::new(&SHA256));
            through.update(&bytes);
            let hash = hex(&digest(&SHA256, &bytes));
            Ok::<_, io::Error>((Bytes::from(bytes), hash, through))
        });
        Ok(read.await.map_err(io::Error::other)??)
    }
}

fn hex(digest: &Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
