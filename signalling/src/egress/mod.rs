//! Recordings as the server API knows them ("egress"): what is asked for, how far each has come, what came of it.
//!
//! ```text
//!  StartRoomCompositeEgress, … ─► EgressOrder ─► accepted ─► EgressJob: tell(Active), tell(Complete(files))
//!  a recording that began otherwise ────────────────────────►      │
//!  StopEgress ─► EgressJob::stopped                                └─► ListEgress, webhooks, who is in the room
//! ```
//!
//! Whoever records takes the orders ([`Signalling::egress_orders`](crate::Signalling::egress_orders)) and tells how each job
//! stands. Not here: recording itself, who has to agree to it, where files lie.
//!
//! | file | one idea |
//! |---|---|
//! | this | what is asked for, and who carries it out |
//! | `table` | all jobs, and what the protocol says of each |

mod table;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{oneshot, watch};

pub(crate) use self::table::{Egresses, StopError};
use crate::hub::Hub;
use crate::protocol::wire::proto;
use crate::room::{Participant, Source, Track, TrackSid};
use althing_media_core::payload::MediaKind;

/// Orders that wait for whoever records; more are refused.
pub(crate) const MAX_ORDERS: usize = 64;

/// What of a room is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wanted {
    /// All of it.
    Room {
        /// But no pictures.
        audio_only: bool,
    },
    /// One participant.
    Participant {
        /// Who.
        identity: String,
        /// Their screen with its sound, instead of camera and microphone.
        screen_share: bool,
    },
    /// Some tracks.
    Tracks(BTreeSet<TrackSid>),
}

impl Wanted {
    /// Whether this track is.
    #[must_use]
    pub fn takes(&self, owner: &Participant, track: &Track) -> bool {
        match self {
            Self::Room { audio_only } => !audio_only || track.kind == MediaKind::Audio,
            Self::Participant { identity, screen_share } => {
                let screen = matches!(track.source, Source::ScreenShare | Source::ScreenShareAudio);
                owner.profile.identity == *identity && screen == *screen_share
            }
            Self::Tracks(sids) => sids.contains(&track.sid),
        }
    }

    /// Whether anything of this participant may be, so that they have to be asked.
    #[must_use]
    pub fn concerns(&self, one: &Participant) -> bool {
        match self {
            Self::Room { .. } => true,
            Self::Participant { identity, .. } => one.profile.identity == *identity,
            Self::Tracks(sids) => one.tracks().any(|track| sids.contains(&track.sid)),
        }
    }
}

/// Somebody wants something recorded. Dropping it refuses.
pub struct EgressOrder {
    hub: Weak<Hub>,
    room: String,
    wanted: Wanted,
    request: proto::egress_info::Request,
    reply: oneshot::Sender<Answer>,
}

/// How the caller of an order hears of it.
pub(crate) type Reply = oneshot::Receiver<Answer>;

/// What is known of it once it is accepted; or a status, and one sentence.
type Answer = Result<Box<proto::EgressInfo>, (StatusCode, String)>;

impl EgressOrder {
    pub(crate) fn new(
        hub: Weak<Hub>,
        room: &str,
        wanted: Wanted,
        request: proto::egress_info::Request,
    ) -> (Self, Reply) {
        let (reply, answer) = oneshot::channel();
        let order = Self {
            hub,
            room: room.to_owned(),
            wanted,
            request,
            reply,
        };
        (order, answer)
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// What of it.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// It will be done.
    #[must_use]
    pub fn accept(self) -> EgressJob {
        let (job, info) = EgressJob::open(self.hub, &self.room, self.request);
        // Who has hung up finds it in the list.
        let _ = info.map(|info| self.reply.send(Ok(Box::new(info))));
        job
    }

    /// It cannot be done: a status of HTTP for the sort of problem, and one sentence.
    pub fn refuse(self, status: StatusCode, sentence: String) {
        let _ = self.reply.send(Err((status, sentence)));
    }
}

/// A recording, in the hands of who makes it. One that is dropped before its end has failed.
pub struct EgressJob {
    hub: Weak<Hub>,
    id: String,
    stop: watch::Receiver<bool>,
}

impl EgressJob {
    /// Begins one and tells of it.
    pub(crate) fn open(
        hub: Weak<Hub>,
        room: &str,
        request: proto::egress_info::Request,
    ) -> (Self, Option<proto::EgressInfo>) {
        let opened = hub.upgrade().map(|hub| hub.open_egress(room, request));
        let (info, stop) = opened.unzip();
        let job = Self {
            hub,
            id: info.as_ref().map(|info| info.egress_id.clone()).unwrap_or_default(),
            stop: stop.unwrap_or_else(|| watch::channel(true).1),
        };
        (job, info)
    }

    /// Its name, as `EG_…`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Says how far it has come. What is told after the end, or again, is not told any further.
    pub fn tell(&self, progress: Progress) {
        if let Some(hub) = self.hub.upgrade() {
            hub.tell_egress(&self.id, progress);
        }
    }

    /// Waits until somebody wants it to end.
    pub async fn stopped(&mut self) {
        // Without sender there is nobody left to want it.
        let _ = self.stop.wait_for(|stop| *stop).await;
    }
}

impl Drop for EgressJob {
    fn drop(&mut self) {
        self.tell(Progress::Failed("It was given up.".to_owned()));
    }
}

/// How far a recording has come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Everybody has answered, and it has begun.
    Active,
    /// It has ended, and its files are being finished.
    Ending,
    /// Its files are ready.
    Complete(Files),
    /// It did not come to be; why.
    Aborted(String),
    /// It has broken off; why.
    Failed(String),
}

/// What has come of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct Files {
    /// All files of media.
    pub files: Vec<FileResult>,
    /// Where it is told what is in them.
    pub manifest: String,
}

/// A file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct FileResult {
    /// Its name.
    pub name: String,
    /// When its first frame was, since 1970.
    pub from: Duration,
    /// How long it is.
    pub duration: Duration,
    /// In bytes.
    pub size: u64,
}

impl fmt::Debug for EgressOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressOrder")
            .field("room", &self.room)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EgressJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressJob")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
