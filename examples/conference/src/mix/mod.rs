//! The mix: one stream of sound instead of one of each person, for those who want it.
//!
//! A participant of that name is in every room. Who watches it by WHEP hears everybody. Who is in the room by the room
//! protocol chooses by its attribute `listen` = `mix`, and may watch the mix from then on: the common one, or, as long as it
//! publishes sound, one without itself. Nothing is decoded as long as nobody listens.
//!
//! | file | one idea |
//! |---|---|
//! | `room` | who is mixed, and who hears which mix |
//! | `thread` | the mixer and its clock |

mod room;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::HashMap;
use std::time::Duration;

use althing_mixer::select::SelectConfig;
use althing_signalling::Signalling;
use serde::Deserialize;
use tokio::task::{JoinHandle, JoinSet};

/// After so long a mix that has ended is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// How sound is mixed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MixSettings {
    /// There is a mix in every room.
    pub(crate) on: bool,
    /// The identity of who publishes it.
    pub(crate) identity: String,
    /// How many are heard at once.
    pub(crate) loudest: usize,
}

impl Default for MixSettings {
    fn default() -> Self {
        Self {
            on: false,
            identity: "mix".to_owned(),
            loudest: SelectConfig::default().loudest,
        }
    }
}

/// Looks after every room, until it is aborted.
pub(crate) fn start(signalling: Signalling, settings: MixSettings) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut begun = signalling.begun();
        let mut mixed: HashMap<String, _> = HashMap::new();
        let mut rooms = JoinSet::new();
        loop {
            mixed.retain(|_, task: &mut tokio::task::AbortHandle| !task.is_finished());
            while rooms.try_join_next().is_some() {}
            for room in signalling.rooms() {
                mixed.entry(room).or_insert_with_key(|room| {
                    rooms.spawn(room::serve(signalling.clone(), room.clone(), settings.clone()))
                });
            }
            tokio::select! {
                changed = begun.changed() => if changed.is_err() {
                    return;
                },
                // A room has ended, or its mix alone: then there is to be another one, but not in a busy loop.
                Some(_) = rooms.join_next() => tokio::time::sleep(AGAIN).await,
            }
        }
    })
}
