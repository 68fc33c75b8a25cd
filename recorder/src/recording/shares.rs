//! How much each person takes of what a recording has for all: nobody uses it up by coming and going, or by publishing.
//!
//! A person is known by the identity here, which stays the same when somebody comes back. Who has tokens for many identities
//! is many people.

use std::collections::HashMap;

use super::entry::PersonId;
use super::{MAX_CHAT, MAX_CHAT_EACH, MAX_MESSAGES_EACH, MAX_STAYS, MAX_TRACKS_EACH};

/// What a message takes beside its text, in bytes: in the log and in the manifest.
const AROUND: u64 = 128;

/// The shares of all; at most as many as there are people in a recording.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Those who are there.
    identities: HashMap<PersonId, String>,
    taken: HashMap<String, Share>,
    /// Bytes of the chat of all.
    chat: u64,
}

#[derive(Debug, Default)]
struct Share {
    stays: u32,
    tracks: u32,
    messages: u32,
    /// Bytes of the chat.
    chat: u64,
}

impl Shares {
    /// Somebody comes; false when they came too often.
    pub(super) fn enter(&mut self, person: PersonId, identity: &str) -> bool {
        let share = self.taken.entry(identity.to_owned()).or_default();
        let may = share.stays < MAX_STAYS;
        if may {
            share.stays += 1;
            self.identities.insert(person, identity.to_owned());
        }
        may
    }

    /// Somebody goes.
    pub(super) fn leave(&mut self, person: PersonId) {
        self.identities.remove(&person);
    }

    /// One more track of somebody who is there; false when there were too many.
    pub(super) fn take_track(&mut self, person: PersonId) -> bool {
        let identity = self.identities.get(&person);
        let share = identity.and_then(|identity| self.taken.get_mut(identity));
        let share = share.filter(|share| share.tracks < MAX_TRACKS_EACH);
        share.map(|share| share.tracks += 1).is_some()
    }

    /// One more message of somebody who is there; false when there were too many, or too long ones, or of all together. What
    /// counts is its text as JSON has it: a control character is six there.
    pub(super) fn take_message(&mut self, person: PersonId, text: &str) -> bool {
        let identity = self.identities.get(&person);
        let Some(share) = identity.and_then(|identity| self.taken.get_mut(identity)) else {
            return false;
        };
        let bytes = serde_json::to_string(text).map_or(u64::MAX, |json| json.len() as u64 + AROUND);
        let (each, all) = (share.chat.saturating_add(bytes), self.chat.saturating_add(bytes));
        let may = share.messages < MAX_MESSAGES_EACH && each <= MAX_CHAT_EACH && all <= MAX_CHAT;
        if may {
            share.messages += 1;
            (share.chat, self.chat) = (each, all);
        }
        may
    }
}
