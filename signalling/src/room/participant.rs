//! One participant, and what belongs to them: connections, tracks, rights.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Instant;

use althing_media_core::Rid;
use althing_media_core::config::{EndpointId, TrackId};
use althing_media_core::payload::MediaKind;

use super::data::DataTrack;
use super::view::View;
use crate::sdp::CodecSpec;
use crate::token::Claims;

/// The name of a participant for one stay in the room, as `PA_…`. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParticipantSid(pub String);

/// The name of a track, as `TR_…`. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackSid(pub String);

/// One connection within its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Who comes in, as their token says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Unique in the room.
    pub identity: String,
    /// What others see.
    pub name: String,
    /// Anything that the application tells.
    pub metadata: String,
    /// The same as pairs.
    pub attributes: BTreeMap<String, String>,
    /// What they may do.
    pub permissions: Permissions,
}

/// What a participant may do in the room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    /// Send tracks.
    pub publish: bool,
    /// Receive tracks.
    pub subscribe: bool,
    /// Send data.
    pub publish_data: bool,
    /// The sources that they may publish; empty means all.
    pub sources: Vec<Source>,
    /// Change their own name, metadata and attributes.
    pub update_own_metadata: bool,
    /// Not shown to others.
    pub hidden: bool,
    /// Part of the server, such as a recorder: takes nobody's place, and no room is kept for its sake. No token says so.
    pub service: bool,
}

/// Where a track comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Source {
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen.
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
    /// None of these: who watches a person does not see it, but who asks for the track by its name.
    Other,
}

/// One participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Their name for this stay.
    pub sid: ParticipantSid,
    /// Who they are.
    pub profile: Profile,
    /// Their connections, the oldest first.
    pub connections: Vec<Connection>,
    /// Grows with every change that others can see.
    pub version: u32,
    /// The room's [revision](super::Room::revision) when that happened last.
    pub changed: u64,
    /// When they came.
    pub joined: Instant,
    /// Media could flow at some time.
    pub reached: bool,
    /// Who may watch what they publish.
    pub audience: Audience,
    /// What their program can do, for the programs of the others.
    pub features: Features,
    /// How loudly they speak, in eighths of full scale; 0 when they do not.
    pub speaking: u8,
    /// Said to speak until then.
    pub pretends_to_speak: Option<Instant>,
    /// How good their connection is, when it was measured.
    pub quality: Option<Quality>,
}

/// Why someone has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Departure {
    /// They have left.
    Left,
    /// The same identity has come in anew.
    Replaced,
    /// Somebody who may do so has sent them away.
    Removed,
    /// The room has ended.
    RoomDeleted,
    /// The server stops.
    Shutdown,
    /// What they and we believe of their connection does not fit together.
    Mismatch,
    /// Media has never flowed.
    NotConnected,
    /// Their messages do not come any more.
    Silent,
    /// Media does not flow any more.
    MediaLost,
}

/// How good a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Quality {
    /// Pictures and sound suffer.
    Poor,
    /// Something is lost now and then.
    Good,
    /// Nothing to complain of.
    Excellent,
}

/// What a program says of itself for the programs of the others: carried along, not understood here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// Version of what such programs say to each other.
    pub protocol: i32,
    /// Numbers of abilities, at most [`MAX_FEATURES`].
    pub capabilities: Vec<i32>,
}

/// Most entries of a list that is carried along.
pub const MAX_FEATURES: usize = 32;

/// Who may watch the tracks of a participant; everybody at first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience {
    /// Only these may; `None`: everybody.
    pub only: Option<Vec<Admission>>,
}

/// What one participant may watch of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The name for the stay, or empty when the identity counts.
    pub sid: String,
    /// The identity, or empty when the name for the stay counts.
    pub identity: String,
    /// The tracks; `None`: all.
    pub tracks: Option<Vec<TrackSid>>,
}

impl Audience {
    /// Whether `watcher` may watch the track.
    #[must_use]
    pub fn admits(&self, watcher: &Participant, track: &TrackSid) -> bool {
        let admits = |one: &Admission| {
            let named = if one.sid.is_empty() {
                one.identity == watcher.profile.identity
            } else {
                one.sid == watcher.sid.0
            };
            named && one.tracks.as_ref().is_none_or(|tracks| tracks.contains(track))
        };
        self.only.as_ref().is_none_or(|only| only.iter().any(admits))
    }
}

/// One transport of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name in the room.
    pub id: ConnectionId,
    /// Its endpoints in the router: one, or two for a client that receives on the first and sends on the second. It is
    /// active when the first one is connected, and over when one of them is disconnected.
    pub endpoints: Vec<EndpointId>,
    /// How far it has come.
    pub state: ConnectionState,
    /// What it publishes.
    pub tracks: Vec<Track>,
    /// What it watches.
    pub view: Option<View>,
    /// The data tracks that it publishes.
    pub data_tracks: Vec<DataTrack>,
    /// The data tracks that it receives, and the numbers that stand for them in the packets to it.
    pub data_subscriptions: BTreeMap<TrackSid, u16>,
    /// The best encodings that it has a use for, by track, when it says so.
    pub(super) demand: BTreeMap<TrackSid, u8>,
    pub(super) since: Instant,
    /// Rises with each connection that becomes active: the greatest is the latest.
    pub(super) active_order: u64,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Nothing has flowed yet.
    Joining,
    /// Media can flow.
    Active,
}

/// What a participant publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its name.
    pub sid: TrackSid,
    /// Its name in the router.
    pub id: TrackId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Where it comes from.
    pub source: Source,
    /// What it is coded with.
    pub codec: CodecSpec,
    /// The encodings of simulcast, the lowest first; empty without.
    pub rids: Vec<Rid>,
    /// The publisher has muted it.
    pub muted: bool,
    /// What the publisher tells about it.
    pub details: TrackDetails,
}

/// What a publisher tells about a track: not needed to carry it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackDetails {
    /// A name for people.
    pub name: String,
    /// Tracks with the same word are played in lip sync.
    pub stream: String,
    /// Width of the largest encoding, in pixels; 0 when not known.
    pub width: u32,
    /// Height of the largest encoding, in pixels; 0 when not known.
    pub height: u32,
    /// The encodings or spatial layers, the lowest first; empty when not told.
    pub layers: Vec<LayerSize>,
    /// Payloads are encrypted for the receivers.
    pub encryption: Encryption,
    /// Properties of sound, as numbers that are carried along; at most [`MAX_FEATURES`].
    pub audio_features: Vec<i32>,
    /// No redundant coding of sound is wanted.
    pub disable_red: bool,
}

impl TrackDetails {
    /// Whether sound may come with redundancy (RFC 2198). Not what is encrypted from end to end: the whole payload would be,
    /// so that nobody on the way could take it apart.
    #[must_use]
    pub fn redundancy(&self) -> bool {
        !self.disable_red && self.encryption == Encryption::None
    }
}

/// The size of one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerSize {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// In bits per second.
    pub bitrate: u32,
}

/// How payloads are encrypted end to end: nothing to us but a word for the receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Encryption {
    /// Not.
    #[default]
    None,
    /// AES-GCM.
    Gcm,
    /// In some other way.
    Custom,
}

/// Why a track is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// There is no such connection (any more).
    NoConnection,
    /// The participant may not publish, or not from this source.
    NotAllowed(Source),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => f.write_str("The connection has been closed."),
            Self::NotAllowed(source) => {
                write!(
                    f,
                    "The access token does not allow to publish a track of the source {}.",
                    source.as_str()
                )
            }
        }
    }
}

impl Error for PublishError {}

/// Attributes whose names begin so tell what parts of the server are: nobody else can have them.
pub const RESERVED: &str = "althing.";

impl Profile {
    /// Takes away what this participant cannot have.
    pub(super) fn keep_to_oneself(&mut self) {
        if !self.permissions.service {
            self.attributes.retain(|key, _| !key.starts_with(RESERVED));
        }
    }

    /// What a token says; `None` when it names nobody.
    #[must_use]
    pub fn of(claims: &Claims) -> Option<Self> {
        let grant = &claims.video;
        Some(Self {
            identity: claims.identity()?.to_owned(),
            name: claims.name.clone(),
            metadata: claims.metadata.clone(),
            attributes: claims.attributes.clone(),
            permissions: Permissions {
                publish: grant.publishes(),
                subscribe: grant.subscribes(),
                publish_data: grant.publishes_data(),
                sources: grant
                    .can_publish_sources
                    .iter()
                    .filter_map(|name| Source::parse(name))
                    .collect(),
                update_own_metadata: grant.can_update_own_metadata,
                hidden: grant.hidden,
                service: false,
            },
        })
    }
}

impl Permissions {
    /// Whether a track of this source may be published.
    #[must_use]
    pub fn publishes(&self, source: Source) -> bool {
        self.publish && (self.sources.is_empty() || self.sources.contains(&source))
    }
}

impl Source {
    /// As tokens and adapters write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Microphone => "microphone",
            Self::ScreenShare => "screen_share",
            Self::ScreenShareAudio => "screen_share_audio",
            Self::Other => "other",
        }
    }

    /// Reads what [`Self::as_str`] writes.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Camera,
            Self::Microphone,
            Self::ScreenShare,
            Self::ScreenShareAudio,
        ]
        .into_iter()
        .find(|source| source.as_str() == name)
    }

    /// The source of a track of this kind, from a screen or from a person.
    #[must_use]
    pub fn of(kind: MediaKind, screen: bool) -> Self {
        match (kind, screen) {
            (MediaKind::Audio, false) => Self::Microphone,
            (MediaKind::Audio, true) => Self::ScreenShareAudio,
            (_, false) => Self::Camera,
            (_, true) => Self::ScreenShare,
        }
    }

    /// It comes from a screen.
    #[must_use]
    pub fn is_screen(self) -> bool {
        matches!(self, Self::ScreenShare | Self::ScreenShareAudio)
    }
}

impl Participant {
    /// Tracks that others can watch: those of active connections.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.connections
            .iter()
            .filter(|one| one.is_active())
            .flat_map(|one| &one.tracks)
    }

    /// Media can flow on one of the connections.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.connections.iter().any(Connection::is_active)
    }

    /// Has tracks that others can watch.
    #[must_use]
    pub fn publishes(&self) -> bool {
        self.tracks().next().is_some()
    }

    /// When the latest of the connections that publish became active, for comparison only.
    pub(super) fn publishing_since(&self, screen: bool) -> Option<u64> {
        let publishes = |one: &&Connection| one.tracks.iter().any(|track| track.source.is_screen() == screen);
        self.connections
            .iter()
            .filter(|one| one.is_active())
            .filter(publishes)
            .map(|one| one.active_order)
            .max()
    }
}

impl Connection {
    /// The endpoint that others' tracks are sent to, once there is one.
    #[must_use]
    pub fn endpoint(&self) -> Option<EndpointId> {
        self.endpoints.first().copied()
    }

    /// Media can flow.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == ConnectionState::Active
    }
}
