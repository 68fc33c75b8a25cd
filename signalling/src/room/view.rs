//! Which track feeds which slot.
//!
//! A view points to one participant and fills all its slots from that one, so that sound and picture belong together. It
//! stays with them as long as they publish, and then goes to who has begun last.

use althing_media_core::LayerTarget;
use althing_media_core::config::{SubscriptionId, TrackId};
use althing_media_core::payload::{Codec, MediaKind};

use super::participant::{Participant, ParticipantSid, Source, Track};

/// What a watcher asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The identity of who is watched; `None` for whoever publishes.
    pub identity: Option<String>,
    /// The screen instead of the person.
    pub screen: bool,
}

/// What a connection watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What was asked for.
    pub target: Target,
    /// Who is shown now.
    pub shown: Option<ParticipantSid>,
    /// The outgoing streams.
    pub slots: Vec<Slot>,
}

/// One outgoing stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name in the router.
    pub subscription: SubscriptionId,
    /// Audio or video.
    pub kind: MediaKind,
    /// What the watcher can decode.
    pub codecs: Vec<Codec>,
    /// The best layers wanted.
    pub layers: LayerTarget,
    /// What feeds it.
    pub source: Option<TrackId>,
}

impl View {
    /// A view without slots.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            shown: None,
            slots: Vec::new(),
        }
    }
}

impl Target {
    /// Who is shown: `shown` while they publish, else who has begun last.
    pub(super) fn choose<'a>(
        &self,
        publishers: &[&'a Participant],
        shown: Option<&ParticipantSid>,
    ) -> Option<&'a Participant> {
        let wanted = |one: &&'a Participant| {
            self.identity
                .as_ref()
                .is_none_or(|identity| one.profile.identity == *identity)
                && one.publishing_since(self.screen).is_some()
        };
        let mut publishers = publishers.iter().copied().filter(wanted);
        let stays = publishers.clone().find(|one| Some(&one.sid) == shown);
        stays.or_else(|| {
            // Ties do not happen: each connection has its own number.
            let first = publishers.next()?;
            Some(publishers.fold(first, |latest, one| {
                if one.publishing_since(self.screen) > latest.publishing_since(self.screen) {
                    one
                } else {
                    latest
                }
            }))
        })
    }

    /// The track of `participant` for a slot of this kind, the latest of several.
    pub(super) fn track<'a>(&self, participant: &'a Participant, kind: MediaKind) -> Option<&'a Track> {
        let source = Source::of(kind, self.screen);
        participant
            .tracks()
            .filter(|track| track.kind == kind && track.source == source)
            .last()
    }
}
