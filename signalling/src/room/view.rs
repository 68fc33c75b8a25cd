//! Which track feeds which slot.
//!
//! A view points to one participant and fills all its slots from that one, so that sound and picture belong together. It
//! stays with them as long as they publish, and then goes to who has begun last.

use std::collections::HashSet;

use althing_media_core::LayerTarget;
use althing_media_core::config::{SubscriptionId, TrackId};
use althing_media_core::payload::{Codec, MediaKind};

use super::model::Room;
use super::outcome::{Effect, RoomEvent};
use super::participant::{ConnectionId, Participant, ParticipantSid, Source, Track};

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
                // Views are not chosen one by one: who chooses their watchers is in none. Parts of the server mean the
                // members of the room alone, as each has a track of its own there.
                && (one.audience.only.is_none() || one.profile.permissions.service)
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

impl Room {
    /// The connection watches; its slots are added by [`Self::open`].
    pub fn watch(&mut self, id: ConnectionId, target: Target) {
        if let Some(connection) = self.connection_mut(id) {
            connection.view = Some(View::new(target));
        }
        self.update(&[id]);
    }

    /// Adds an outgoing stream to what the connection watches. Nothing happens when it does not watch.
    pub fn open(&mut self, id: ConnectionId, slot: Slot) {
        if let Some(view) = self.connection_mut(id).and_then(|one| one.view.as_mut()) {
            view.slots.push(Slot { source: None, ..slot });
        }
        self.update(&[id]);
    }

    /// Sets the best layers of an outgoing stream.
    pub fn set_layers(&mut self, id: ConnectionId, subscription: SubscriptionId, layers: LayerTarget) {
        let view = self.connection_mut(id).and_then(|one| one.view.as_mut());
        let slot = view.and_then(|view| view.slots.iter_mut().find(|slot| slot.subscription == subscription));
        if let Some(slot) = slot {
            slot.layers = layers;
            self.effects.push_back(Effect::SetLayers { subscription, layers });
            self.tell(RoomEvent::DemandChanged);
        }
    }

    /// What a watcher with this target would see now.
    #[must_use]
    pub fn preview(&self, target: &Target, kind: MediaKind) -> Option<&Track> {
        let publishers: Vec<&Participant> = self.participants.iter().filter(|one| one.publishes()).collect();
        target.track(target.choose(&publishers, None)?, kind)
    }

    /// Puts the right track behind every slot, after a change of who publishes.
    pub(super) fn update_views(&mut self) {
        let all = self
            .participants
            .iter()
            .flat_map(|one| &one.connections)
            .filter(|one| one.view.is_some());
        let all: Vec<ConnectionId> = all.map(|one| one.id).collect();
        self.update(&all);
    }

    /// The same for some connections. Looks at each of them, and once at all participants.
    fn update(&mut self, watchers: &[ConnectionId]) {
        let watchers: HashSet<ConnectionId> = watchers.iter().copied().collect();
        let publishers: Vec<&Participant> = self.participants.iter().filter(|one| one.publishes()).collect();
        let mut changes = Vec::new();
        for connection in self.participants.iter().flat_map(|one| &one.connections) {
            let Some(view) = connection.view.as_ref().filter(|_| watchers.contains(&connection.id)) else {
                continue;
            };
            let shown = view.target.choose(&publishers, view.shown.as_ref());
            let source = |slot: &Slot| {
                let track = view.target.track(shown?, slot.kind)?;
                slot.codecs.contains(&track.codec.codec).then_some(track.id)
            };
            let sources: Vec<Option<TrackId>> = view.slots.iter().map(source).collect();
            let shown = shown.map(|one| one.sid.clone());
            if shown != view.shown
                || view
                    .slots
                    .iter()
                    .zip(&sources)
                    .any(|(slot, source)| slot.source != *source)
            {
                changes.push((connection.id, shown, sources));
            }
        }
        changes
            .into_iter()
            .for_each(|(id, shown, sources)| self.show(id, shown, sources));
    }

    fn show(&mut self, id: ConnectionId, shown: Option<ParticipantSid>, sources: Vec<Option<TrackId>>) {
        let Some(view) = self.connection_mut(id).and_then(|one| one.view.as_mut()) else {
            return;
        };
        let mut effects = Vec::new();
        for (slot, source) in view
            .slots
            .iter_mut()
            .zip(sources)
            .filter(|(slot, source)| slot.source != *source)
        {
            slot.source = source;
            effects.push(Effect::SetSource {
                subscription: slot.subscription,
                source,
            });
        }
        let moved = view.shown != shown;
        view.shown.clone_from(&shown);
        self.effects.extend(effects);
        if moved {
            self.tell(RoomEvent::Shown(id, shown));
        }
    }
}
