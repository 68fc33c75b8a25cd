//! What was sent, line by line, and what it comes to.

use std::collections::BTreeMap;
use std::error::Error;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use super::parts::Parts;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Line {
    /// Where all this goes; the first line.
    Place {
        /// The store, without secrets.
        url: String,
    },
    /// An upload in parts begins; what was sent of an earlier one does not count any more.
    Begun {
        /// Which file.
        file: String,
        /// By which the store knows the upload.
        upload: String,
        /// The size of a part.
        part_bytes: u64,
    },
    /// The store has a part.
    Part {
        /// Of which file.
        file: String,
        /// Which, from 0.
        part: u64,
        /// Its length and hash.
        #[serde(flatten)]
        sent: SentPart,
    },
    /// The store has the whole file.
    Stored {
        /// Which.
        file: String,
        /// Its length and hash.
        #[serde(flatten)]
        stored: Stored,
    },
    /// What was sent is of no use: the store knows nothing of the upload, or has something else.
    Dropped {
        /// Of which file.
        file: String,
    },
    /// The file is no longer in the folder, only in the store.
    Removed {
        /// Which.
        file: String,
    },
    /// The file is no longer in the store.
    Erased {
        /// Which.
        file: String,
    },
}

/// A part that the store has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct SentPart {
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// What the store answered, to be told when all parts are put together.
    pub id: String,
}

/// A file that the store has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Stored {
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

/// What was sent of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The upload in parts that is going on: by which the store knows it, and how it is divided.
    pub upload: Option<(String, Parts)>,
    /// The parts of it that the store has.
    pub parts: BTreeMap<u64, SentPart>,
    /// The store has it whole.
    pub stored: Option<Stored>,
    /// It is only there.
    pub removed: bool,
}

/// A journal with a line that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to say")]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the journal of the upload has a line that cannot be read")
    }
}

impl Error for Damaged {}

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, damaged)
    }
}

/// All lines of a journal, taken together. As long as what it was made of: a few hundred bytes for each part.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Journal {
    place: Option<String>,
    files: BTreeMap<String, Sent>,
}

impl Journal {
    /// Reads a journal, and tells how many bytes of it are good: what a crash left of its last line is to be cut.
    ///
    /// # Errors
    ///
    /// When a line that has its end is none: what the store has cannot be told by what is around it.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), Damaged> {
        let (mut journal, mut good) = (Self::default(), 0);
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        for line in lines.map_while(|raw| raw.strip_suffix(b"\n")) {
            journal.note(serde_json::from_slice(line).map_err(|_| Damaged)?);
            good += line.len() + 1;
        }
        Ok((journal, good))
    }

    /// Takes a line.
    pub fn note(&mut self, line: Line) {
        match line {
            Line::Place { url } => self.place = Some(url),
            Line::Begun {
                file,
                upload,
                part_bytes,
            } => {
                let sent = self.files.entry(file).or_default();
                sent.upload = Some((upload, Parts::new(part_bytes)));
                sent.parts.clear();
            }
            Line::Part { file, part, sent } => {
                self.files.entry(file).or_default().parts.insert(part, sent);
            }
            Line::Stored { file, stored } => {
                *self.files.entry(file).or_default() = Sent {
                    stored: Some(stored),
                    ..Sent::default()
                };
            }
            Line::Dropped { file } => drop(self.files.insert(file, Sent::default())),
            Line::Removed { file } => self.files.entry(file).or_default().removed = true,
            Line::Erased { file } => drop(self.files.remove(&file)),
        }
    }

    /// The store that it tells of; `None` when nothing was sent yet.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// What was sent of a file.
    #[must_use]
    pub fn sent(&self, file: &str) -> Option<&Sent> {
        self.files.get(file)
    }

    /// All files of which the store has something, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Sent)> {
        self.files.iter().map(|(file, sent)| (file.as_str(), sent))
    }
}

impl Line {
    /// As it is appended, with its line feed.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Strings and numbers only: there is nothing that JSON could not say.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let file = || "t01-camera.webm".to_owned();
        let part = |part| Line::Part {
            file: file(),
            part,
            sent: SentPart {
                bytes: 10,
                sha256: "ab".to_owned(),
                id: format!("\"etag {part}\""),
            },
        };
        let begun = |upload: &str| Line::Begun {
            file: file(),
            upload: upload.to_owned(),
            part_bytes: 10,
        };
        let stored = Stored {
            bytes: 25,
            sha256: "cd".to_owned(),
        };
        vec![
            Line::Place {
                url: "s3://bucket".to_owned(),
            },
            begun("one"),
            part(1),
            Line::Dropped { file: file() },
            begun("two"),
            part(1),
            part(2),
            Line::Stored { file: file(), stored },
            Line::Removed { file: file() },
            Line::Erased { file: file() },
        ]
    }

    #[test]
    fn a_journal_comes_to_what_its_lines_say() {
        let after = |count: usize| {
            let text: String = lines()[..count].iter().map(Line::to_text).collect();
            let (journal, good) = Journal::read(text.as_bytes()).unwrap();
            assert_eq!(good, text.len());
            journal.sent("t01-camera.webm").cloned()
        };
        assert_eq!(after(1), None);
        assert_eq!(after(3).unwrap().parts.len(), 1);
        assert_eq!(
            after(4).unwrap(),
            Sent::default(),
            "what was dropped is not gone on with"
        );
        let two = after(7).unwrap();
        assert_eq!(two.upload.unwrap().0, "two");
        assert_eq!(two.parts.keys().copied().collect::<Vec<_>>(), [1, 2]);
        let stored = after(8).unwrap();
        assert!(stored.upload.is_none() && !stored.removed);
        assert_eq!(stored.stored.unwrap().bytes, 25);
        assert!(after(9).unwrap().removed);
        assert_eq!(after(10), None);
    }

    #[test]
    fn a_torn_line_is_cut_wherever_it_tears() {
        let whole: String = lines()[..6].iter().map(Line::to_text).collect();
        let torn = lines()[6].to_text();
        let expected = || Journal::read(whole.as_bytes()).unwrap().0;
        for cut in 0..torn.len() {
            let text = format!("{whole}{}", &torn[..cut]);
            assert_eq!(Journal::read(text.as_bytes()), Ok((expected(), whole.len())));
        }
        assert_ne!(
            Journal::read(format!("{whole}{torn}").as_bytes()).unwrap().0,
            expected()
        );
        let torn = format!("{whole}{}{torn}", &torn[..9]);
        assert_eq!(Journal::read(torn.as_bytes()), Err(Damaged), "others came behind it");
    }
}
