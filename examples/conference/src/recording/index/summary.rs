//! A recording in a few lines, made of its manifest and the sizes of its files.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use althing_recorder::recording::chain::MAX_LINE;
use althing_recorder::recording::entry::Kind;
use althing_recorder::recording::folder::{LOG, MANIFEST};
use althing_recorder::recording::manifest::Manifest;
use althing_recorder::upload::{JOURNAL, Journal};
use rusqlite::{Connection, params};
use serde::Deserialize;

use super::{State, number};

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;
/// So much of the end of a log has its last line whole, in bytes.
const END: u64 = MAX_LINE as u64 + 1;

/// What the index knows of a recording that is finished.
#[derive(Debug)]
pub(in crate::recording) struct Summary {
    name: String,
    manifest: Manifest,
    /// The bytes of each file that is there, or in the store.
    sizes: Vec<(String, u64)>,
    /// When the manifest was written.
    written: i64,
}

impl Summary {
    /// Of a folder; `None` when it has no manifest that can be read.
    pub(super) fn of(path: &Path) -> Option<Self> {
        // Before it is read: what is written meanwhile shows as a later time.
        let written = written(path)?;
        let manifest: Manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST)).ok()?).ok()?;
        // Only sizes come of it.
        let journal = fs::read(path.join(JOURNAL))
            .ok()
            .and_then(|bytes| Journal::read(&bytes).ok());
        let journal = journal.unwrap_or_default().0;
        let size = |file: &str| {
            let stored = || Some(journal.sent(file)?.stored.as_ref()?.bytes);
            fs::metadata(path.join(file))
                .map(|there| there.len())
                .ok()
                .or_else(stored)
        };
        let files = manifest.tracks.iter().flat_map(|track| &track.files);
        let all = files.chain(&manifest.mix);
        let sizes = all.filter_map(|file| Some((file.file.clone(), size(&file.file)?)));
        Some(Self {
            name: path.file_name()?.to_str()?.to_owned(),
            sizes: sizes.collect(),
            written,
            manifest,
        })
    }

    /// Whether the manifest tells the last line of the log. One that was killed while it deleted has noted so in the log alone.
    pub(super) fn is_whole(&self, path: &Path) -> bool {
        let end = match end(&path.join(LOG)) {
            Ok(end) => end,
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        };
        #[derive(Deserialize)]
        struct Line {
            hash: String,
        }
        let last = end
            .strip_suffix(b"\n")
            .and_then(|end| end.rsplit(|byte| *byte == b'\n').next());
        let last = last.and_then(|last| serde_json::from_slice::<Line>(last).ok());
        last.is_some_and(|last| last.hash == self.manifest.log.hash)
    }

    /// Puts it in the place of what was known. `stores`: there is a store, which it has still to go to.
    pub(super) fn put(&self, to: &Connection, stores: bool) -> rusqlite::Result<()> {
        remove(to, &self.name)?;
        let (name, manifest) = (&self.name, &self.manifest);
        let state = match (manifest.deleted.is_empty(), stores) {
            (false, _) => State::Deleted,
            (true, true) => State::Uploading,
            (true, false) => State::Ready,
        };
        let duration = manifest.duration / 1_000_000;
        let end = manifest.unix_ms.saturating_add(duration);
        let delete_at = manifest.keep_days.map(|days| end.saturating_add(u64::from(days) * DAY));
        to.prepare(
            "INSERT INTO recordings (name, room, begun, duration, state, delete_at, written)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            name,
            manifest.room,
            number(manifest.unix_ms),
            number(duration),
            state.as_str(),
            delete_at.map(number),
            self.written,
        ])?;
        let mut people = to.prepare("INSERT OR REPLACE INTO people VALUES (?1, ?2, ?3, ?4)")?;
        for one in &manifest.people {
            people.execute(params![name, one.person.0, one.identity, one.name])?;
        }
        let mut tracks = to.prepare("INSERT OR REPLACE INTO tracks VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut files = to.prepare("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4)")?;
        for track in &manifest.tracks {
            let kind = match track.kind {
                Kind::Audio => "audio",
                Kind::Video => "video",
            };
            tracks.execute(params![name, track.track.0, track.person.0, kind, track.source])?;
        }
        let of_tracks = manifest.tracks.iter().flat_map(|track| {
            let number = Some(track.track.0);
            track.files.iter().map(move |file| (number, file))
        });
        // The mix is of no track.
        for (track, file) in of_tracks.chain(manifest.mix.iter().map(|file| (None, file))) {
            let size = self.sizes.iter().find(|(known, _)| *known == file.file);
            let bytes = size.map_or(0, |(_, bytes)| *bytes);
            files.execute(params![name, file.file, track, number(bytes)])?;
        }
        Ok(())
    }
}

/// The end of a log, which has its last line whole.
fn end(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end)?;
    Ok(end)
}

/// When the manifest of a recording was written, in nanoseconds since 1970.
pub(super) fn written(path: &Path) -> Option<i64> {
    let written = fs::metadata(path.join(MANIFEST)).ok()?.modified().ok()?;
    i64::try_from(written.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// Takes a recording out.
pub(super) fn remove(from: &Connection, name: &str) -> rusqlite::Result<()> {
    from.execute("DELETE FROM recordings WHERE name = ?1", [name])?;
    for table in ["people", "tracks", "files"] {
        from.execute(&format!("DELETE FROM {table} WHERE recording = ?1"), [name])?;
    }
    Ok(())
}
