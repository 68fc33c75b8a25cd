//! What the caller tells a recording: plain data, no behaviour.

use std::time::Duration;

use althing_media_core::payload::MediaKind;
use althing_media_core::{CodecParams, ExtensionMap, Ssrc};

use super::chain::Signer;
use super::entry::PersonId;

/// How a recording begins.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct RecordingConfig {
    /// Its name.
    pub name: String,
    /// The room.
    pub room: String,
    /// The time at `now`, in milliseconds since 1970.
    pub unix_ms: u64,
    /// How many days the media may be kept; `None`: until somebody asks.
    pub keep_days: Option<u32>,
    /// A file of a track is followed by another one after so long, at a keyframe that is asked for; `None`: one file.
    pub segment: Option<Duration>,
    /// Signs the log.
    pub signer: Signer,
    /// Who is there. They are asked; people are numbered from 1 in this order, then in the order of joining.
    pub people: Vec<Person>,
    /// Which of them wants it, by index: agrees with that.
    pub by: Option<usize>,
}

impl RecordingConfig {
    /// Of nobody yet, in no room, to be kept until somebody asks; `unix_ms`: see there.
    #[must_use]
    pub fn new(name: &str, unix_ms: u64, signer: Signer) -> Self {
        Self {
            name: name.to_owned(),
            room: String::new(),
            unix_ms,
            keep_days: None,
            segment: None,
            signer,
            people: Vec::new(),
            by: None,
        }
    }

    /// The same, wanted by this person, who agrees with that.
    #[must_use]
    pub fn by(mut self, person: Person) -> Self {
        self.by = Some(self.people.len());
        self.people.push(person);
        self
    }
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Person {
    /// Unique in the room.
    pub identity: String,
    /// As shown to others.
    pub name: String,
}

impl Person {
    /// Somebody with this identity and name.
    #[must_use]
    pub fn new(identity: &str, name: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// A track, as it is delivered to a peer in the router's process.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct TrackInfo {
    /// Whose.
    pub person: PersonId,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// Camera, microphone, screen: names its files.
    pub source: String,
    /// Under which its packets come.
    pub ssrc: Ssrc,
    /// What their payload types mean.
    pub codecs: Vec<CodecParams>,
    /// The ids of their extensions.
    pub extensions: ExtensionMap,
}
