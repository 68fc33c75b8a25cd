//! How much each person takes of what a recording has for all: nobody uses it up by coming and going, or by publishing.
//!
//! A person is known by the identity here, which stays the same when somebody comes back. Who has tokens for many identities
//! is many people.

use std::collections::HashMap;

use super::entry::PersonId;
use super::{MAX_STAYS, MAX_TRACKS_EACH};

/// The shares of all; at most as many as there are people in a recording.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Those who are there.
    identities: HashMap<PersonId, String>,
    taken: HashMap<String, Share>,
}

#[derive(Debug, Default)]
struct Share {
    stays: u32,
    tracks: u32,
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
}
