//! What a client knows of the others, and what it must be told: the difference between that and the room.
//!
//! No change is queued: a client that is slow, or away for a while, is told the sum of all changes at once, so that the
//! number of its messages is bounded by time and not by how much happens.

use std::collections::HashMap;

use super::describe;
use super::wire::{Response, proto};
use crate::room::{Participant, ParticipantSid, Room};

/// Participants in one message: some hundred bytes each.
const PAGE: usize = 200;

/// What one client knows.
#[derive(Debug)]
pub(super) struct Roster {
    own: ParticipantSid,
    known: HashMap<ParticipantSid, Known>,
    /// The revision of the room that the client knows.
    revision: Option<u64>,
}

#[derive(Debug)]
struct Known {
    identity: String,
    version: u32,
    /// Must be told again.
    stale: bool,
}

impl Roster {
    pub(super) fn new(own: ParticipantSid) -> Self {
        Self {
            own,
            known: HashMap::new(),
            revision: None,
        }
    }

    /// All others, as the first message carries them; the client knows itself then as well.
    pub(super) fn first(&mut self, room: &Room) -> Vec<proto::ParticipantInfo> {
        let own = room.participants().iter().find(|one| one.sid == self.own);
        self.known.extend(own.map(Known::of));
        let others: Vec<&Participant> = self.visible(room).filter(|one| one.sid != self.own).collect();
        self.known.extend(others.iter().map(|one| Known::of(one)));
        others.into_iter().map(describe::participant).collect()
    }

    /// Forgets what the client was told: it may have missed it. Who has gone is still told to be gone.
    pub(super) fn restart(&mut self) {
        self.revision = None;
        self.known.values_mut().for_each(|known| known.stale = true);
    }

    /// What has changed, those who have gone first: someone who comes back must go before.
    pub(super) fn update(&mut self, room: &Room) -> Vec<Response> {
        if self.revision.replace(room.revision()) == Some(room.revision()) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let present: HashMap<&ParticipantSid, &Participant> = self.visible(room).map(|one| (&one.sid, one)).collect();
        self.known.retain(|sid, known| {
            let stays = present.contains_key(sid);
            if !stays {
                let version = known.version.wrapping_add(1);
                changes.push(describe::gone(&sid.0, &known.identity, version));
            }
            stays
        });
        for one in room.participants().iter().filter(|one| present.contains_key(&one.sid)) {
            let known = self.known.get(&one.sid);
            if known.is_none_or(|known| known.stale || known.version != one.version) {
                changes.push(describe::participant(one));
                let (sid, known) = Known::of(one);
                self.known.insert(sid, known);
            }
        }
        let message = |page: &[proto::ParticipantInfo]| {
            let participants = page.to_vec();
            Response::Update(proto::ParticipantUpdate { participants })
        };
        changes.chunks(PAGE).map(message).collect()
    }

    /// What has changed of the client itself.
    pub(super) fn update_own(&mut self, room: &Room) -> Option<Response> {
        let own = room.participants().iter().find(|one| one.sid == self.own)?;
        let known = self.known.get(&own.sid);
        if known.is_some_and(|known| !known.stale && known.version == own.version) {
            return None;
        }
        self.known.extend([Known::of(own)]);
        let participants = vec![describe::participant(own)];
        Some(Response::Update(proto::ParticipantUpdate { participants }))
    }

    /// The client itself, and all who are not hidden.
    fn visible<'a>(&self, room: &'a Room) -> impl Iterator<Item = &'a Participant> + use<'a> {
        let own = self.own.clone();
        let seen = move |one: &&Participant| one.sid == own || !one.profile.permissions.hidden;
        room.participants().iter().filter(seen)
    }
}

impl Known {
    fn of(one: &Participant) -> (ParticipantSid, Self) {
        let known = Self {
            identity: one.profile.identity.clone(),
            version: one.version,
            stale: false,
        };
        (one.sid.clone(), known)
    }
}
