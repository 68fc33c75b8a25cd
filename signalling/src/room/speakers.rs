//! Who speaks in a room, whose pictures are shown for it, and which microphones are heard.
//!
//! What speech is and who leads is decided in [`althing_media_core::speakers`]; here it is told of participants.

use std::collections::HashMap;
use std::time::Instant;

use althing_media_core::config::{StageConfig, StageId, TrackId};
use althing_media_core::payload::MediaKind;
use althing_media_core::speakers::{Activity, Dominant, LastN};

use super::model::Room;
use super::outcome::{Effect, RoomEvent};
use super::participant::{Participant, ParticipantSid, Source, Track};

/// How loudly one speaks who is only said to, in dB below full scale.
const PRETENDED: Activity = Activity {
    immediate: 100,
    medium: 5,
    long: 15,
    minus_dbov: 2,
};

/// Who has spoken in a room.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    dominant: Dominant<ParticipantSid>,
    last: LastN<ParticipantSid>,
    /// Those with cameras whose pictures come first, one more than one participant is shown.
    shown: Vec<ParticipantSid>,
}

impl Room {
    /// What was heard lately in tracks; those that are not named are silent.
    pub fn hear(&mut self, now: Instant, heard: &HashMap<TrackId, Activity>) {
        let mut changed = false;
        let mut activities = Vec::with_capacity(self.participants.len());
        for one in &mut self.participants {
            let tracks = one.connections.iter().flat_map(|one| &one.tracks);
            let own = tracks
                .filter(|track| !track.muted)
                .filter_map(|track| heard.get(&track.id));
            let pretended = one.pretends_to_speak.filter(|until| now < *until).map(|_| PRETENDED);
            let loudest = |activity: &Activity| {
                (
                    activity.speaks(),
                    activity.immediate,
                    127 - activity.minus_dbov.min(127),
                )
            };
            // Who only pretends is shown to speak, and decides nothing.
            let real = own.copied().max_by_key(loudest);
            let activity = real
                .into_iter()
                .chain(pretended)
                .max_by_key(loudest)
                .unwrap_or_default();
            let level = if activity.speaks() {
                eighths(activity.minus_dbov)
            } else {
                0
            };
            changed |= std::mem::replace(&mut one.speaking, level) != level;
            activities.push(real.unwrap_or_default());
        }
        let all = self.participants.iter().map(|one| &one.sid).zip(activities);
        if let Some(leader) = self.speakers.dominant.decide(all) {
            self.speakers.last.lead(leader);
        }
        changed |= self.choose_pictures();
        if changed {
            self.tell(RoomEvent::Speaking);
        }
    }

    /// Who led the conversation last, and leads it until somebody else does.
    #[must_use]
    pub fn leader(&self) -> Option<&ParticipantSid> {
        self.speakers.dominant.leader()
    }

    /// Whether `viewer` is shown this track of `owner`, as far as the room leaves pictures out: cameras of those who have not
    /// spoken lately.
    #[must_use]
    pub fn shows(&self, viewer: &ParticipantSid, owner: &ParticipantSid, track: &Track) -> bool {
        let Some(n) = self.limits.last_n.filter(|_| track.source == Source::Camera) else {
            return true;
        };
        let mut others = self.speakers.shown.iter().filter(|one| *one != viewer).take(n);
        // Before anything was decided, everybody is shown.
        self.speakers.shown.is_empty() && n > 0 || others.any(|one| one == owner)
    }

    /// Decides anew whose pictures come first; whether that has changed.
    fn choose_pictures(&mut self) -> bool {
        let Some(n) = self.limits.last_n else { return false };
        let present = &self.participants;
        self.speakers
            .last
            .retain(|sid| present.iter().any(|one| one.sid == *sid));
        let films = |one: &&Participant| one.tracks().any(|track| track.source == Source::Camera && !track.muted);
        let cameras: Vec<&ParticipantSid> = present.iter().filter(films).map(|one| &one.sid).collect();
        let shown = self.speakers.last.select(n.saturating_add(1), &cameras);
        let shown: Vec<ParticipantSid> = shown.into_iter().cloned().collect();
        std::mem::replace(&mut self.speakers.shown, shown.clone()) != shown
    }

    /// A track has come: of microphones perhaps only the loudest are heard.
    pub(super) fn enter_stage(&mut self, track: TrackId, source: Source, kind: MediaKind) {
        let microphone = source == Source::Microphone && kind == MediaKind::Audio;
        if let Some(loudest) = self.limits.loudest.filter(|_| microphone) {
            let stage = (StageId(self.seed), StageConfig::new(loudest));
            self.effects.push_back(Effect::EnterStage { track, stage });
        }
    }
}

/// A level in eighths of full scale.
fn eighths(minus_dbov: u8) -> u8 {
    let level = 10_f32.powf(f32::from(minus_dbov) / -20.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 8")]
    let eighths = (level * 8.0).ceil().clamp(1.0, 8.0) as u8;
    eighths
}
