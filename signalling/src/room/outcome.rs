//! What comes out of a room: effects for its router, events for those who watch it as a whole. Plain data.

use althing_media_core::LayerTarget;
use althing_media_core::config::{EndpointId, StageConfig, StageId, SubscriptionId, TrackId};

use super::lifetime::EndReason;
use super::participant::{ConnectionId, Departure, Participant, ParticipantSid, Track, TrackSid};

/// What the room's router must do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Feed an outgoing stream from this track, or from none.
    SetSource {
        /// Which stream.
        subscription: SubscriptionId,
        /// Its new source.
        source: Option<TrackId>,
    },
    /// Carry these layers at best.
    SetLayers {
        /// Which stream.
        subscription: SubscriptionId,
        /// The layers.
        layers: LayerTarget,
    },
    /// Stop or resume forwarding of a track.
    Mute {
        /// Which track.
        track: TrackId,
        /// Stop.
        muted: bool,
    },
    /// Of this track and the others on its stage only the loudest are heard.
    EnterStage {
        /// Which track.
        track: TrackId,
        /// The stage, and how many are heard there.
        stage: (StageId, StageConfig),
    },
    /// Forget a track.
    RemoveTrack {
        /// Which track.
        track: TrackId,
    },
    /// The connection is over: forget it, and remove its endpoints.
    Close {
        /// Which connection.
        connection: ConnectionId,
        /// Its endpoints.
        endpoints: Vec<EndpointId>,
    },
}

/// What has happened, for those who watch the room as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// The room is there.
    Began,
    /// The room is over; whoever was there has left before.
    Ended(EndReason),
    /// Someone has come.
    ParticipantJoined(ParticipantSid),
    /// Media can flow to or from someone.
    ParticipantActive(ParticipantSid),
    /// Someone has gone: what they were, without connections, and why.
    ParticipantLeft(Box<Participant>, Departure),
    /// There is a track to watch.
    TrackPublished(ParticipantSid, TrackSid),
    /// A track is gone: what it was.
    TrackUnpublished(ParticipantSid, Box<Track>),
    /// A track was muted or unmuted.
    TrackMuted(ParticipantSid, TrackSid, bool),
    /// Someone's name, metadata, rights or audience, or what is told about a track, has changed.
    ParticipantChanged(ParticipantSid),
    /// What is told about the room has changed.
    RoomChanged,
    /// Someone speaks, or does no longer.
    Speaking,
    /// Someone's connection has become better or worse.
    QualityChanged,
    /// Other encodings are wanted.
    DemandChanged,
    /// A watcher is shown someone else, or nobody.
    Shown(ConnectionId, Option<ParticipantSid>),
}

impl Effect {
    /// Nobody needs the earlier one any more once this one is to be done.
    #[must_use]
    pub fn supersedes(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::SetSource { subscription: new, .. }, Self::SetSource { subscription: old, .. })
            | (Self::SetLayers { subscription: new, .. }, Self::SetLayers { subscription: old, .. }) => new == old,
            (Self::Mute { track: new, .. }, Self::Mute { track: old, .. }) => new == old,
            _ => false,
        }
    }
}

impl RoomEvent {
    /// Whose appearance has changed for the others.
    #[must_use]
    pub fn changes(&self) -> Option<&ParticipantSid> {
        match self {
            Self::ParticipantJoined(sid)
            | Self::ParticipantActive(sid)
            | Self::ParticipantChanged(sid)
            | Self::TrackPublished(sid, _)
            | Self::TrackUnpublished(sid, _)
            | Self::TrackMuted(sid, _, _) => Some(sid),
            _ => None,
        }
    }

    /// It changes who is there or what there is to watch, and not only how it goes.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::Speaking | Self::QualityChanged | Self::DemandChanged | Self::Shown(..)
        )
    }
}
