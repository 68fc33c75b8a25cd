//! The index of recordings: what is listed, and what is due, without a look into thousands of folders.
//!
//! A cache in SQLite. The folders are the truth: a file that is missing, torn or of another version is made anew of their
//! manifests, and what a crash kept from it is found at the start by the folders' names. Readers open it for themselves and see
//! whole states, also while something is written (WAL).
//!
//! | file | one idea |
//! |---|---|
//! | this | the file, writing, what is due |
//! | `summary` | a recording in a few lines, made of its folder |
//! | `list` | pages of recordings |
//!
//! Not here: media, logs, who may list.

mod list;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, ToSql, params};

pub(super) use self::list::{Page, Query};
pub(super) use self::summary::Summary;

/// The version of the tables; a file of another one is made anew.
const VERSION: i64 = 1;
/// How long a write waits for another.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE recordings (
        name TEXT PRIMARY KEY, room TEXT NOT NULL, begun INTEGER NOT NULL, duration INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL, stored INTEGER NOT NULL DEFAULT 0, delete_at INTEGER, problem TEXT,
        written INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX by_time ON recordings (begun, name);
    CREATE INDEX by_room ON recordings (room, begun, name);
    CREATE INDEX by_end ON recordings (delete_at) WHERE delete_at IS NOT NULL AND state <> 'deleted';
    CREATE INDEX to_store ON recordings (name) WHERE stored = 0;
    CREATE TABLE people (
        recording TEXT NOT NULL, person INTEGER NOT NULL, identity TEXT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (recording, person)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE tracks (
        recording TEXT NOT NULL, track INTEGER NOT NULL, person INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
        PRIMARY KEY (recording, track)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE files (
        recording TEXT NOT NULL, file TEXT NOT NULL, track INTEGER, bytes INTEGER NOT NULL,
        PRIMARY KEY (recording, file)
    ) STRICT, WITHOUT ROWID;
";

/// How far a recording has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// People are asked.
    Asking,
    /// It is recorded.
    Recording,
    /// It is over, and being finished.
    Closing,
    /// It is finished, and not all of it in the store.
    Uploading,
    /// All is where it belongs.
    Ready,
    /// Its media were deleted.
    Deleted,
    /// It could not be finished.
    Failed,
}

impl State {
    /// As it is written down and listed.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Recording => "recording",
            Self::Closing => "closing",
            Self::Uploading => "uploading",
            Self::Ready => "ready",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
        }
    }
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    /// The folder of the recordings.
    recordings: PathBuf,
    /// There is a store to which recordings go.
    stores: bool,
    /// Opened with the first recording.
    writer: Mutex<Option<Connection>>,
}

impl Index {
    /// Of the recordings in a folder; there is no file before there is something to keep. `stores`: there is a store.
    pub(super) fn new(path: &Path, recordings: &Path, stores: bool) -> Self {
        Self {
            path: path.to_owned(),
            recordings: recordings.to_owned(),
            stores,
            writer: Mutex::new(None),
        }
    }

    /// Opens the file, or makes it anew of what is in the folder.
    ///
    /// # Errors
    ///
    /// When there can be no such file, or the folder cannot be read.
    pub(super) fn open(&self) -> io::Result<()> {
        self.writer().map(drop)
    }

    /// A recording begins.
    pub(super) fn begin(&self, name: &str, room: &str, unix_ms: u64) {
        self.write(|to| {
            to.execute(
                "INSERT OR REPLACE INTO recordings (name, room, begun, state) VALUES (?1, ?2, ?3, ?4)",
                params![name, room, number(unix_ms), State::Asking.as_str()],
            )
        });
    }

    /// A recording has come further.
    pub(super) fn set_state(&self, name: &str, state: State) {
        self.write(|to| {
            let sql = "UPDATE recordings SET state = ?2, problem = NULL WHERE name = ?1";
            to.execute(sql, params![name, state.as_str()])
        });
    }

    /// Something is wrong with a recording, or no longer.
    pub(super) fn set_problem(&self, name: &str, problem: Option<&str>) {
        self.write(|to| {
            to.execute(
                "UPDATE recordings SET problem = ?2 WHERE name = ?1",
                params![name, problem],
            )
        });
    }

    /// The store is to get what the folder has.
    pub(super) fn set_unstored(&self, name: &str) {
        self.write(|to| to.execute("UPDATE recordings SET stored = 0 WHERE name = ?1", params![name]));
    }

    /// The store has what the folder has.
    pub(super) fn set_stored(&self, name: &str) {
        let (before, after) = (State::Uploading.as_str(), State::Ready.as_str());
        self.write(|to| {
            let sql = "UPDATE recordings SET stored = 1, problem = NULL,
                state = CASE state WHEN ?2 THEN ?3 ELSE state END WHERE name = ?1";
            to.execute(sql, params![name, before, after])
        });
    }

    /// A recording is finished, or was changed: takes what its folder says now. Whether there is such a recording.
    pub(super) fn look_again(&self, name: &str) -> bool {
        let Some(summary) = Summary::of(&self.recordings.join(name)) else {
            return false;
        };
        self.write(|to| summary.put(to, self.stores));
        true
    }

    /// A recording cannot be finished.
    pub(super) fn set_failed(&self, name: &str, problem: &str) {
        // Our names begin with the time.
        let begun = name.split('-').next().and_then(|begun| begun.parse().ok()).unwrap_or(0);
        self.write(|to| {
            to.execute(
                "INSERT INTO recordings (name, room, begun, state, problem) VALUES (?1, '', ?2, ?3, ?4)
                    ON CONFLICT (name) DO UPDATE SET state = excluded.state, problem = excluded.problem",
                params![name, number(begun), State::Failed.as_str(), problem],
            )
        });
    }

    /// Recordings that were finished are known; gives those that are not, not finished, or whose manifest was written since.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub(super) fn unfinished(&self) -> io::Result<Vec<String>> {
        let there = names(&self.recordings)?;
        self.open()?;
        let known = self.read(|from| {
            let mut all = from.prepare(
                "SELECT name, iif(state IN ('uploading', 'ready', 'deleted'), written, NULL) FROM recordings",
            )?;
            let rows = all.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)))?;
            rows.collect::<rusqlite::Result<BTreeMap<_, _>>>()
        });
        let known = known.map_err(io::Error::other)?;
        for name in known.keys().filter(|name| !there.contains(*name)) {
            self.forget(name);
        }
        let finished = |name: &String| {
            let written = known.get(name).copied().flatten();
            written.is_some() && written == summary::written(&self.recordings.join(name))
        };
        Ok(there.into_iter().filter(|name| !finished(name)).collect())
    }

    /// Recordings whose time is over at `unix_ms`: all of them, so that those that cannot be deleted hold up no others.
    pub(super) fn due(&self, unix_ms: u64) -> Vec<String> {
        let sql = "SELECT name FROM recordings WHERE delete_at IS NOT NULL AND state <> 'deleted' AND delete_at <= ?1
            ORDER BY delete_at";
        self.column(sql, &[&number(unix_ms)])
    }

    /// Recordings that are over and not all in the store.
    pub(super) fn to_store(&self) -> Vec<String> {
        self.column(
            "SELECT name FROM recordings WHERE stored = 0 AND state IN ('uploading', 'ready', 'deleted')",
            &[],
        )
    }

    /// Reads from a connection of its own, so that nobody waits for who writes.
    fn read<T>(&self, read: impl Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let once = || {
            let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            connection.busy_timeout(PATIENCE)?;
            read(&connection)
        };
        match once() {
            Err(error) if self.is_broken(&error) => {
                let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                // Another reader may have made it anew meanwhile.
                match once() {
                    Err(error) if self.is_broken(&error) => {
                        tracing::warn!(%error, "the index of recordings is broken, and made anew");
                        *writer = None;
                        match self.make() {
                            Ok(made) => *writer = Some(made),
                            Err(error) => tracing::warn!(%error, "the index of recordings cannot be made anew"),
                        }
                        once()
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    fn forget(&self, name: &str) {
        self.write(|to| summary::remove(to, name));
    }

    fn column(&self, sql: &str, params: &[&dyn ToSql]) -> Vec<String> {
        if !self.path.exists() {
            return Vec::new();
        }
        let names = self.read(|from| {
            let mut rows = from.prepare(sql)?;
            rows.query_map(params, |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()
        });
        names.unwrap_or_else(|error| {
            tracing::warn!(%error, "the index of recordings cannot be read");
            Vec::new()
        })
    }

    /// Writes all or nothing. An index that is found to be broken is made anew of the folders.
    fn write<T>(&self, change: impl Fn(&Connection) -> rusqlite::Result<T>) {
        let written = self.writer().and_then(|mut writer| {
            let Some(connection) = writer.as_mut() else {
                return Ok(());
            };
            let Err(error) = in_one(connection, &change) else {
                return Ok(());
            };
            if !self.is_broken(&error) {
                return Err(io::Error::other(error));
            }
            tracing::warn!(%error, "the index of recordings is broken, and made anew");
            *writer = None;
            let made = writer.insert(self.make()?);
            in_one(made, &change).map(drop).map_err(io::Error::other)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the index of recordings cannot be written");
        }
    }

    /// The connection that writes.
    fn writer(&self) -> io::Result<MutexGuard<'_, Option<Connection>>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            let known = self.path.exists().then(|| connect(&self.path).and_then(check));
            *writer = Some(match known {
                Some(Ok(known)) => known,
                Some(Err(error)) if is_shut(&error) => return Err(io::Error::other(error)),
                _ => self.make()?,
            });
        }
        Ok(writer)
    }

    /// A new file, of what the folders say. It is made beside the old one: readers find the one or the other.
    fn make(&self) -> io::Result<Connection> {
        let beside = self.path.with_extension("new");
        remove(&beside)?;
        let made = create(&beside).map_err(io::Error::other).and_then(|mut made| {
            fill(&mut made, &self.recordings, self.stores)?;
            // All of it is in the one file now.
            made.close().map_err(|(_, error)| io::Error::other(error))
        });
        if let Err(error) = made {
            remove(&beside)?;
            return Err(error);
        }
        // Before the file: what is in there would be put into the new one.
        remove_sides(&self.path)?;
        fs::rename(&beside, &self.path)?;
        connect(&self.path).map_err(io::Error::other)
    }

    /// It will not get better by itself. A file that is there and cannot be opened may be good: there are too many open ones, or
    /// it is not ours to write.
    fn is_broken(&self, error: &rusqlite::Error) -> bool {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
            _ => is_shut(error) && !self.path.exists(),
        }
    }
}

/// It cannot be opened, at least not now, or not to be written.
fn is_shut(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::DatabaseBusy)
    )
}

/// Takes what the folders say.
fn fill(writer: &mut Connection, recordings: &Path, stores: bool) -> io::Result<()> {
    let names = names(recordings)?;
    let filled = in_one(writer, &|to: &Connection| {
        for name in &names {
            // What has no manifest, or a log that goes on behind it, is not finished: it is found by its name.
            let path = recordings.join(name);
            if let Some(summary) = Summary::of(&path).filter(|summary| summary.is_whole(&path)) {
                summary.put(to, stores)?;
            }
        }
        Ok(())
    });
    filled.map_err(io::Error::other)
}

fn in_one<T>(writer: &mut Connection, change: &dyn Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let transaction = writer.transaction()?;
    let value = change(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// An empty index.
fn create(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(connection)
}

fn remove(path: &Path) -> io::Result<()> {
    remove_file(path)?;
    remove_sides(path)
}

/// What SQLite has beside a file.
fn remove_sides(path: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        remove_file(Path::new(&file))?;
    }
    Ok(())
}

fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // The folders give back what a loss of power takes from it, except that one is about to be changed: nothing would look at it.
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// Is it whole, and ours?
fn check(connection: Connection) -> rusqlite::Result<Connection> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let whole: Option<String> = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .optional()?;
    if version == VERSION && whole.as_deref() == Some("ok") {
        return Ok(connection);
    }
    Err(rusqlite::Error::InvalidQuery)
}

/// The folders of recordings, by name.
fn names(recordings: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(recordings) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        // Ours are of plain letters.
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// SQLite has no numbers without sign.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
