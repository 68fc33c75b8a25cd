//! Recovers files on a disk: one, or all of a folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Plan, Source, plan};
use crate::container::{Container, hls};
use crate::frame::MediaTime;

/// How deep folders are searched.
const MAX_DEPTH: u32 = 8;
/// The largest playlist that is looked at: one of a day has a third of it.
const MAX_PLAYLIST: u64 = 16 << 20;

/// What was done to a file.
#[derive(Debug)]
pub struct Recovered {
    /// Which.
    pub path: PathBuf,
    /// How it is now, or why it could not be looked at.
    pub outcome: io::Result<Outcome>,
}

/// How a file is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was finished before; nothing was changed.
    Finished,
    /// It was closed: cut by this many bytes, and now lasts until then.
    Repaired {
        /// Bytes of a fragment that was not whole.
        cut: u64,
        /// When the last frame ends.
        end: MediaTime,
    },
    /// There is no media in it, or not even a beginning. It was left as it is.
    Empty,
    /// Somebody records into it. It was left as it is.
    InUse,
}

/// Recovers all recordings in a folder and the folders in it, tells of each. Links are not followed; files of other kinds
/// are stepped over.
///
/// # Errors
///
/// When the folder itself cannot be read. A folder in it, or a file, that cannot be read is told like the others.
pub fn directory(path: &Path, tell: &mut dyn FnMut(Recovered)) -> io::Result<()> {
    folder(path, MAX_DEPTH, tell)
}

fn folder(path: &Path, depth: u32, tell: &mut dyn FnMut(Recovered)) -> io::Result<()> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && depth > 0 {
            if let Err(error) = folder(&path, depth - 1, tell) {
                tell(Recovered {
                    path,
                    outcome: Err(error),
                });
            }
        } else if kind.is_file() {
            let outcome = if path.extension().is_some_and(|extension| extension == "m3u8") {
                playlist(&path)
            } else if Container::of(&path).is_some() {
                file(&path)
            } else {
                continue;
            };
            tell(Recovered { path, outcome });
        }
    }
    Ok(())
}

/// Recovers one recording.
///
/// # Errors
///
/// When it cannot be opened, read or written, or its name is that of no container.
pub fn file(path: &Path) -> io::Result<Outcome> {
    let container = Container::of(path).ok_or(io::ErrorKind::InvalidFilename)?;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            let outcome = open_file(&file, container);
            // Not left to closing: a process that is being started may hold the same description a moment longer.
            file.unlock()?;
            outcome
        }
        Err(TryLockError::WouldBlock) => Ok(Outcome::InUse),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Recovers a file that is open, and whose lock the caller has.
pub(crate) fn open_file(file: &File, container: Container) -> io::Result<Outcome> {
    let len = file.metadata()?.len();
    let Some(plan) = plan(container, &mut OpenFile { file, len })? else {
        return Ok(Outcome::Empty);
    };
    if !plan.has_media {
        return Ok(Outcome::Empty);
    }
    if plan.is_done(len) {
        return Ok(Outcome::Finished);
    }
    apply(file, &plan)?;
    Ok(Outcome::Repaired {
        cut: len.saturating_sub(plan.keep),
        end: plan.end,
    })
}

/// Each step leaves a file that the next run would take up again.
fn apply(file: &File, plan: &Plan) -> io::Result<()> {
    file.set_len(plan.keep)?;
    // Where the disk is full, the file does without what belongs at its end: what was set aside at its beginning is there.
    if file.write_all_at(&plan.append, plan.keep).is_err() {
        file.set_len(plan.keep)?;
    }
    file.sync_data()?;
    for patch in &plan.patches {
        file.write_all_at(&patch.bytes, patch.at)?;
    }
    file.sync_all()
}

/// Ends a playlist that was live.
fn playlist(path: &Path) -> io::Result<Outcome> {
    if fs::metadata(path)?.len() > MAX_PLAYLIST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let Some(text) = hls::close(&fs::read_to_string(path)?) else {
        return Ok(Outcome::Finished);
    };
    replace(path, text.as_bytes())?;
    Ok(Outcome::Repaired {
        cut: 0,
        end: MediaTime::ZERO,
    })
}

/// Puts a file in the place of another at once: whoever reads gets the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(beside, path)
}

struct OpenFile<'a> {
    file: &'a File,
    len: u64,
}

impl Source for OpenFile<'_> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while got < buf.len() {
            match self.file.read_at(&mut buf[got..], at.saturating_add(got as u64)) {
                Ok(0) => break,
                Ok(len) => got += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }
}
