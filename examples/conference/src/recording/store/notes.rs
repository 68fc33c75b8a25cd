//! The journal of one recording on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use althing_recorder::upload::{JOURNAL, Journal, Line, Sent};
use tokio::task::spawn_blocking;

/// What was sent of a recording, and the file that says so.
#[derive(Debug, Clone)]
pub(super) struct Notes(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Made with the first line.
    file: Option<File>,
    /// How much of the file is whole lines, in bytes.
    good: u64,
    journal: Journal,
}

/// What was sent of a recording, for who does not write: a line that is being written is left alone.
pub(super) fn read(recording: &Path) -> io::Result<Journal> {
    Ok(Journal::read(&fs::read(recording.join(JOURNAL))?)?.0)
}

impl Inner {
    fn append(&mut self, line: Line) -> io::Result<()> {
        let text = line.to_text();
        if let Some(file) = &mut self.file {
            // A disk that was full, or a crash, has left half a line there: nothing could be read behind it.
            if file.metadata()?.len() != self.good {
                file.set_len(self.good)?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
        }
        self.good += text.len() as u64;
        self.journal.note(line);
        Ok(())
    }
}

impl Notes {
    /// Reads what there is. A line without end, which a crash has left, does not count.
    pub(super) fn open(recording: &Path) -> io::Result<Self> {
        let path = recording.join(JOURNAL);
        let mut inner = Inner {
            file: None,
            journal: Journal::default(),
            good: 0,
            path,
        };
        match OpenOptions::new().read(true).append(true).open(&inner.path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                let (journal, good) = Journal::read(&bytes)?;
                (inner.file, inner.journal, inner.good) = (Some(file), journal, good as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Looks at it.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner).journal)
    }

    /// What was sent of a file.
    pub(super) fn sent(&self, file: &str) -> Sent {
        self.look(|journal| journal.sent(file).cloned().unwrap_or_default())
    }

    /// Appends a line, and forces it onto the disk: something that cannot be made good again may follow.
    pub(super) async fn note(&self, line: Line) -> io::Result<()> {
        let inner = self.0.clone();
        let noted = spawn_blocking(move || {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.file.is_none() {
                let created = OpenOptions::new().create(true).append(true).open(&inner.path)?;
                inner.file = Some(created);
            }
            inner.append(line)
        });
        noted.await.map_err(io::Error::other)?
    }
}
