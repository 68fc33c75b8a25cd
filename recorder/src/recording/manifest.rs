//! What a player wants to know of a recording, made of its log (`docs/recording.md` describes the JSON).
//!
//! Made at the end, or after a crash of what is left: the log is complete up to its last whole line, and the length of a
//! file that was not finished is what recovery finds. All times are nanoseconds since the recording's time zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::Log;
use super::entry::{DeletedFile, Entry, Kind, PersonId, TrackNumber, VERSION};
use crate::consent;
use crate::frame::MediaTime;

/// A recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Its name.
    pub recording: String,
    /// The room.
    pub room: String,
    /// Time zero, in milliseconds since 1970; that of the question when it did not come to be.
    pub unix_ms: u64,
    /// How long it is: up to the last frame.
    pub duration: u64,
    /// It was closed in order, not by a crash.
    pub complete: bool,
    /// Everybody who was there.
    pub people: Vec<PersonOf>,
    /// All tracks, those that were not recorded too.
    pub tracks: Vec<TrackOf>,
    /// All sound of those who agreed, mixed: its files, one after another.
    #[serde(default)]
    pub mix: Vec<FileOf>,
    /// Who spoke, from when on; the loudest first.
    pub speakers: Vec<At<Vec<PersonId>>>,
    /// What was written to all.
    pub chat: Vec<Message>,
    /// Marked places.
    pub chapters: Vec<At<String>>,
    /// Who agreed to what, and when.
    pub consent: Vec<At<consent::Event>>,
    /// Media that are not there any more.
    pub deleted: Vec<DeletedFile>,
    /// How many days the media may be kept.
    pub keep_days: Option<u32>,
    /// Packets that the recorder was too slow for.
    pub missed: u64,
    /// The log that all this was made of.
    pub log: LogOf,
}

/// Something from a moment on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a time and a thing")]
pub struct At<T> {
    /// When.
    pub at: u64,
    /// What.
    pub value: T,
}

/// From when until when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "an interval")]
pub struct Span {
    /// From.
    pub from: u64,
    /// Until; `None`: up to the end.
    pub until: Option<u64>,
}

/// Somebody who was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PersonOf {
    /// Who.
    pub person: PersonId,
    /// In the room.
    pub identity: String,
    /// As shown to others.
    pub name: String,
    /// When.
    pub stay: Span,
}

/// A track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrackOf {
    /// Which.
    pub track: TrackNumber,
    /// Whose.
    pub person: PersonId,
    /// Sound or pictures.
    pub kind: Kind,
    /// Camera, microphone, screen.
    pub source: String,
    /// When it was there.
    pub span: Span,
    /// What it was coded in, from when on.
    pub formats: Vec<At<FormatOf>>,
    /// When it was muted.
    pub mutes: Vec<Span>,
    /// When there are no frames because packets were lost.
    pub gaps: Vec<Span>,
    /// When there are no frames because none were sent.
    pub pauses: Vec<Span>,
    /// Its files, one after another.
    pub files: Vec<FileOf>,
}

/// A format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FormatOf {
    /// The codec's name.
    pub codec: String,
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileOf {
    /// Its name, in the folder of the manifest.
    pub file: String,
    /// Its time zero.
    pub from: u64,
    /// Where its last frame ends.
    pub until: u64,
    /// Why it ends early, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// When.
    pub at: u64,
    /// From whom.
    pub person: PersonId,
    /// What.
    pub text: String,
}

/// Where the proof is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogOf {
    /// Lines that are good.
    pub lines: u64,
    /// The hash of the last of them.
    pub hash: String,
    /// What its signatures are checked with.
    pub key: String,
}

impl Manifest {
    /// Makes it of a log. `length_of` tells, for a file that the log does not see finished, how long it is in its own time;
    /// `None` when there is no such file.
    #[must_use]
    pub fn of(log: &Log, length_of: &mut dyn FnMut(&str) -> Option<MediaTime>) -> Self {
        let mut manifest = Self {
            version: VERSION,
            ..Self::default()
        };
        let mut draft = Draft::default();
        for line in &log.lines {
            manifest.take(line.at, &line.entry, &mut draft);
            manifest.log.hash.clone_from(&line.hash);
        }
        manifest.log.lines = log.lines.len() as u64;
        for file in std::mem::take(&mut draft.open) {
            // Without length it is not there: nothing of it reached the disk.
            if let Some(length) = length_of(&file) {
                let files = draft.files().filter(|of| of.file == file);
                files.for_each(|of| of.until = of.from.saturating_add(length.0));
            }
        }
        manifest.mix = draft.mix;
        manifest.mix.retain(|file| file.until > file.from);
        manifest.tracks = draft.tracks.into_values().collect();
        for track in &mut manifest.tracks {
            track.files.retain(|file| file.until > file.from);
        }
        let files = manifest.tracks.iter().flat_map(|track| &track.files);
        manifest.duration = files.map(|file| file.until).max().unwrap_or(0);
        manifest
    }

    fn take(&mut self, at: u64, entry: &Entry, draft: &mut Draft) {
        match entry.clone() {
            Entry::Opened {
                recording,
                room,
                unix_ms,
                key,
                keep_days,
                ..
            } => {
                (self.recording, self.room, self.unix_ms, self.log.key) = (recording, room, unix_ms, key);
                self.keep_days = keep_days;
            }
            Entry::Started { unix_ms } => self.unix_ms = unix_ms,
            Entry::PersonJoined { person, identity, name } => self.people.push(PersonOf {
                person,
                identity,
                name,
                stay: Span { from: at, until: None },
            }),
            Entry::PersonLeft { person } => {
                let stays = self.people.iter_mut().filter(|of| of.person == person);
                stays.for_each(|of| of.stay.until = Some(at));
            }
            Entry::Consent(value) => self.consent.push(At { at, value }),
            Entry::Speakers { people: value } => self.speakers.push(At { at, value }),
            Entry::Chat { person, text } => self.chat.push(Message { at, person, text }),
            Entry::Chapter { title: value } => self.chapters.push(At { at, value }),
            Entry::Closed { missed } => (self.complete, self.missed) = (true, missed),
            Entry::Deleted { files, .. } => self.deleted.extend(files),
            entry => draft.take(at, entry),
        }
    }
}

/// Tracks, while the log is read.
#[derive(Debug, Default)]
struct Draft {
    tracks: BTreeMap<TrackNumber, TrackOf>,
    mix: Vec<FileOf>,
    /// Files that have begun and not ended.
    open: Vec<String>,
}

impl Draft {
    /// All files.
    fn files(&mut self) -> impl Iterator<Item = &mut FileOf> {
        let tracks = self.tracks.values_mut().flat_map(|track| &mut track.files);
        tracks.chain(&mut self.mix)
    }

    fn take(&mut self, at: u64, entry: Entry) {
        match entry {
            Entry::TrackAdded {
                track,
                person,
                kind,
                source,
            } => {
                let new = TrackOf {
                    track,
                    person,
                    kind,
                    source,
                    span: Span { from: at, until: None },
                    formats: Vec::new(),
                    mutes: Vec::new(),
                    gaps: Vec::new(),
                    pauses: Vec::new(),
                    files: Vec::new(),
                };
                self.tracks.insert(track, new);
            }
            Entry::FileEnded { file, until } => self.end_file(&file, Some(until), None),
            Entry::FileFailed { file, problem } => self.end_file(&file, None, Some(problem)),
            Entry::FileBegun { file, track, from } => {
                self.open.push(file.clone());
                let files = match track {
                    Some(track) => self.tracks.get_mut(&track).map(|track| &mut track.files),
                    None => Some(&mut self.mix),
                };
                if let Some(files) = files {
                    files.push(FileOf {
                        file,
                        from,
                        until: from,
                        problem: None,
                    });
                }
            }
            entry => self.change(at, entry),
        }
    }

    /// What happens to a track that is there.
    fn change(&mut self, at: u64, entry: Entry) {
        let (Entry::TrackRemoved { track: number }
        | Entry::TrackMuted { track: number, .. }
        | Entry::Format { track: number, .. }
        | Entry::Break { track: number, .. }) = entry
        else {
            return;
        };
        let Some(track) = self.tracks.get_mut(&number) else {
            return;
        };
        match entry {
            Entry::TrackMuted { muted: true, .. } => track.mutes.push(Span { from: at, until: None }),
            Entry::TrackMuted { .. } => {
                if let Some(mute) = track.mutes.last_mut() {
                    mute.until.get_or_insert(at);
                }
            }
            Entry::Format {
                codec, width, height, ..
            } => track.formats.push(At {
                at,
                value: FormatOf { codec, width, height },
            }),
            Entry::Break { from, until, lost, .. } => {
                let (until, list) = (Some(until), if lost { &mut track.gaps } else { &mut track.pauses });
                list.push(Span { from, until });
            }
            _ => track.span.until = Some(at),
        }
    }

    /// A file that failed is as long as what is left of it.
    fn end_file(&mut self, name: &str, until: Option<u64>, problem: Option<String>) {
        for file in self.files().filter(|file| file.file == name) {
            file.problem.clone_from(&problem);
            file.until = until.unwrap_or(file.until);
        }
        if until.is_some() {
            self.open.retain(|open| open != name);
        }
    }
}
