//! What a client knows of the others, and what it must be told: the difference between that and the room.
//!
//! No change is queued: a client that is slow, or away for a while, is told the sum of all changes at once, so that the
//! number of its messages is bounded by time and not by how much happens.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use prost::Message as _;

use super::describe;
use super::wire::{Response, proto};
use crate::room::{Participant, ParticipantSid, Room};

/// Participants in one message, and what they may weigh together, in bytes: one participant weighs some hundred bytes,
/// with much metadata much more.
const PAGE: usize = 200;
const PAGE_BYTES: usize = 256 * 1024;

/// Changes are gathered for so long before a client is told of them: as many milliseconds as there are participants, within
/// these limits. What is told to all about all would grow with the square of the room otherwise.
const GATHER: Duration = Duration::from_millis(50);
const GATHER_AT_MOST: Duration = Duration::from_secs(1);

/// How long changes are gathered in a room of this size.
pub(super) fn gather(participants: usize) -> Duration {
    let time = Duration::from_millis(u64::try_from(participants).unwrap_or(u64::MAX));
    time.clamp(GATHER, GATHER_AT_MOST)
}

/// What one client knows.
#[derive(Debug)]
pub(super) struct Roster {
    own: ParticipantSid,
    known: HashMap<ParticipantSid, Known>,
    /// The revision of the room that the client knows.
    revision: Option<u64>,
    /// How many had left then.
    departures: Option<u64>,
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
            departures: None,
        }
    }

    /// The others, as the first message carries them: one page, the rest follows. The client knows itself then as well.
    pub(super) fn first(&mut self, room: &Room) -> Vec<proto::ParticipantInfo> {
        let own = room.participants().iter().find(|one| one.sid == self.own);
        self.known.extend(own.map(Known::of));
        let (mut page, mut bytes) = (Vec::new(), 0);
        let others = room.participants().iter().filter(|one| one.sid != self.own);
        for one in others.filter(|one| !one.profile.permissions.hidden).take(PAGE) {
            let info = describe::participant(one);
            bytes += info.encoded_len();
            if bytes > PAGE_BYTES {
                break;
            }
            page.push(info);
            self.known.extend([Known::of(one)]);
        }
        page
    }

    /// Forgets what the client was told: it may have missed it. Who has gone is still told to be gone.
    pub(super) fn restart(&mut self) {
        (self.revision, self.departures) = (None, None);
        self.known.values_mut().for_each(|known| known.stale = true);
    }

    /// Nothing has changed since the client was told.
    pub(super) fn is_current(&self, room: &Room) -> bool {
        self.revision == Some(room.revision())
    }

    /// What has changed, those who have gone first: someone who comes back must go before. Looks at each participant, but
    /// does no more than that with those who have not changed.
    pub(super) fn update(&mut self, room: &Room) -> Vec<Response> {
        let since = self.revision.replace(room.revision());
        if since == Some(room.revision()) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if self.departures.replace(room.departures()) != Some(room.departures()) {
            let present: HashSet<&ParticipantSid> = room.participants().iter().map(|one| &one.sid).collect();
            let gone = self.known.extract_if(|sid, _| !present.contains(sid));
            changes.extend(gone.map(|(sid, known)| known.gone(&sid)));
        }
        let changed = |one: &&Participant| since.is_none_or(|since| one.changed > since);
        for one in room.participants().iter().filter(changed) {
            if one.profile.permissions.hidden && one.sid != self.own {
                let hidden = self.known.remove(&one.sid);
                changes.extend(hidden.map(|known| known.gone(&one.sid)));
                continue;
            }
            let known = self.known.get(&one.sid);
            if known.is_none_or(|known| known.stale || known.version != one.version) {
                changes.push(describe::participant(one));
                self.known.extend([Known::of(one)]);
            }
        }
        pages(changes)
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
}

fn pages(changes: Vec<proto::ParticipantInfo>) -> Vec<Response> {
    let mut pages: Vec<Vec<proto::ParticipantInfo>> = Vec::new();
    let mut bytes = 0;
    for one in changes {
        let own = one.encoded_len();
        match pages
            .last_mut()
            .filter(|page| page.len() < PAGE && bytes + own <= PAGE_BYTES)
        {
            Some(page) => {
                bytes += own;
                page.push(one);
            }
            None => {
                bytes = own;
                pages.push(vec![one]);
            }
        }
    }
    let message = |participants| Response::Update(proto::ParticipantUpdate { participants });
    pages.into_iter().map(message).collect()
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

    fn gone(&self, sid: &ParticipantSid) -> proto::ParticipantInfo {
        describe::gone(&sid.0, &self.identity, self.version.wrapping_add(1))
    }
}
