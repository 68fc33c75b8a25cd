//! What a log can say. `docs/recording.md` describes each; a reader steps over what it does not know only by version.

use serde::{Deserialize, Serialize};

use crate::consent;
pub use crate::consent::PersonId;

/// The version of the log and the manifest: a reader of another one must not guess.
pub const VERSION: u32 = 1;

/// A track of a recording, numbered from 1 in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackNumber(pub u32);

/// One line of the log, but for its number, time and hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Entry {
    /// The first line.
    Opened {
        /// [`VERSION`].
        version: u32,
        /// The recording's name.
        recording: String,
        /// The room.
        room: String,
        /// When, in milliseconds since 1970.
        unix_ms: u64,
        /// What signatures are checked with, 32 bytes in hexadecimal.
        key: String,
        /// How long the media may be kept, in days; `None` until it is deleted on request.
        #[serde(skip_serializing_if = "Option::is_none")]
        keep_days: Option<u32>,
    },
    /// Time zero of all tracks.
    Started {
        /// When, in milliseconds since 1970.
        unix_ms: u64,
    },
    /// Somebody is there.
    PersonJoined {
        /// Who, from here on.
        person: PersonId,
        /// In the room.
        identity: String,
        /// As shown to others.
        name: String,
    },
    /// Somebody has gone.
    PersonLeft {
        /// Who.
        person: PersonId,
    },
    /// Something about consent: see [`consent::Event`].
    Consent(consent::Event),
    /// A track is there.
    TrackAdded {
        /// Which, from here on.
        track: TrackNumber,
        /// Whose.
        person: PersonId,
        /// Sound or pictures.
        kind: Kind,
        /// Camera, microphone, screen.
        source: String,
    },
    /// The track was muted or is heard again.
    TrackMuted {
        /// Which.
        track: TrackNumber,
        /// Now.
        muted: bool,
    },
    /// The format of a track from here on.
    Format {
        /// Which.
        track: TrackNumber,
        /// The codec's name.
        codec: String,
        /// Width in pixels, for pictures.
        #[serde(skip_serializing_if = "Option::is_none")]
        width: Option<u32>,
        /// Height in pixels, for pictures.
        #[serde(skip_serializing_if = "Option::is_none")]
        height: Option<u32>,
    },
    /// A file begins.
    FileBegun {
        /// Its name, in the recording's folder.
        file: String,
        /// What is in it; `None`: all sound, mixed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        track: Option<TrackNumber>,
        /// Its time zero, where its first frame is, in nanoseconds since that of the recording.
        from: u64,
    },
    /// A file is finished.
    FileEnded {
        /// Which.
        file: String,
        /// Where its last frame ends, in nanoseconds.
        until: u64,
    },
    /// A file cannot be written any more.
    FileFailed {
        /// Which.
        file: String,
        /// Why.
        problem: String,
    },
    /// A time without frames, in nanoseconds.
    Break {
        /// Of which track.
        track: TrackNumber,
        /// From.
        from: u64,
        /// Until.
        until: u64,
        /// Packets were lost; otherwise nothing was sent.
        lost: bool,
    },
    /// A track is gone.
    TrackRemoved {
        /// Which.
        track: TrackNumber,
    },
    /// Who speaks, the loudest first.
    Speakers {
        /// All of them.
        people: Vec<PersonId>,
    },
    /// A message to all.
    Chat {
        /// From whom. What those say who do not agree to be recorded is left out.
        person: PersonId,
        /// What.
        text: String,
    },
    /// Somebody marks the place.
    Chapter {
        /// Its name.
        title: String,
    },
    /// The last line of the recording itself.
    Closed {
        /// Packets that the recorder was too slow for.
        missed: u64,
    },
    /// Media were deleted. Comes after [`Self::Closed`].
    Deleted {
        /// When, in milliseconds since 1970.
        unix_ms: u64,
        /// Why.
        reason: DeleteReason,
        /// What was there.
        files: Vec<DeletedFile>,
    },
    /// What was deleted is gone from a store too. Comes after [`Self::Deleted`].
    Erased(Erased),
}

impl Entry {
    /// Whether the line is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        matches!(
            self,
            Self::Opened { .. }
                | Self::Started { .. }
                | Self::Consent(_)
                | Self::Closed { .. }
                | Self::Deleted { .. }
                | Self::Erased(_)
        )
    }
}

/// Sound or pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "there is sound and there are pictures")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// Why media were deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeleteReason {
    /// The days for which they could be kept are over.
    Expired,
    /// Somebody who may asked for it.
    Requested,
}

/// What is gone from a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Erased {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The store, without secrets.
    pub url: String,
    /// Names, as in the folder.
    pub files: Vec<String>,
}

/// A file that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeletedFile {
    /// Its name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hexadecimal.
    pub sha256: String,
}

impl DeletedFile {
    /// A file of that name, length and hash.
    #[must_use]
    pub fn new(file: String, bytes: u64, sha256: String) -> Self {
        Self { file, bytes, sha256 }
    }
}
