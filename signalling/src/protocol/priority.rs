//! A client whose line has not enough for all that it watches: what is served first, and what it is told of the rest.
//!
//! The router divides; it is told ranks. Who speaks, or has spoken in the last seconds, and a shared screen come first, then
//! what the client has given a priority, then what it shows large.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use althing_media_core::config::SubscriptionId;
use althing_media_core::payload::MediaKind;
use althing_media_core::rtcp::Bitrate;

use super::client::{Client, Step};
use super::media::Touch;
use super::wire::{Response, proto};
use crate::room::{Participant, ParticipantSid, Room, Source, Track, TrackSid};

/// Who has spoken stays in front for so long: people pause.
const STAYS: Duration = Duration::from_secs(10);

/// Ranks of one kind lie below that of the next: size (two bits), priority (four), speaker or screen.
const PRIORITY: u8 = 1 << 2;
const FRONT: u8 = 1 << 6;
/// Priorities that are told apart.
const PRIORITIES: u32 = 15;

/// What one client's line does.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Who has been heard last when.
    spoke: HashMap<ParticipantSid, Instant>,
    /// Tracks that it was told to be waiting for room.
    waiting: HashSet<TrackSid>,
}

/// Who is served first: the higher. `priority` is the client's, 1 the highest, 0 for none; `size` the wished encoding.
pub(super) fn rank(owner: &Participant, track: &Track, priority: u32, size: u8) -> u8 {
    composed(owner.speaking > 0, track, priority, size)
}

fn composed(speaks: bool, track: &Track, priority: u32, size: u8) -> u8 {
    if track.kind != MediaKind::Video {
        return 0;
    }
    let front = track.source == Source::ScreenShare || speaks;
    let priority = match priority {
        0 => 0,
        priority => u8::try_from(PRIORITIES + 1 - priority.min(PRIORITIES)).unwrap_or(0),
    };
    u8::from(front) * FRONT + priority * PRIORITY + size.min(PRIORITY - 1)
}

impl Client {
    /// Has the router follow who speaks.
    pub(super) fn follow_speakers(&mut self, room: &Room, now: Instant) {
        let mut changed: Vec<&Participant> = Vec::new();
        let spoke = &mut self.shares.spoke;
        for one in room.participants().iter().filter(|one| one.speaking > 0) {
            if spoke.insert(one.sid.clone(), now).is_none() {
                changed.push(one);
            }
        }
        let late = |at: &Instant| now.saturating_duration_since(*at) > STAYS;
        let gone: Vec<ParticipantSid> = spoke
            .iter()
            .filter(|(_, at)| late(at))
            .map(|(sid, _)| sid.clone())
            .collect();
        for sid in gone {
            spoke.remove(&sid);
            changed.extend(room.participants().iter().find(|one| one.sid == sid));
        }
        let tracks = changed
            .iter()
            .flat_map(|one| one.tracks())
            .filter(|track| track.kind == MediaKind::Video);
        for track in tracks {
            self.rank_anew(room, &track.sid);
        }
    }

    /// Tells the router the rank of a track that is sent to the client.
    pub(super) fn rank_anew(&mut self, room: &Room, sid: &TrackSid) {
        let all = room.participants().iter();
        let mut tracks = all.flat_map(|one| one.tracks().map(move |track| (one, track)));
        let Some((owner, track)) = tracks.find(|(_, track)| track.sid == *sid) else {
            return;
        };
        if let Some(subscription) = self.subscription(sid) {
            let (priority, size) = (self.wishes.priority(sid), self.wishes.layers(track).spatial);
            let rank = composed(self.shares.spoke.contains_key(&owner.sid), track, priority, size);
            self.steps.push_back(Step::Touch(Touch::Rank(subscription, rank)));
        }
    }

    /// The line has room for these streams, or has not: what has changed is told.
    pub(super) fn on_stream_states(&mut self, room: &Room, states: &[(SubscriptionId, bool)]) {
        let carried: HashMap<SubscriptionId, TrackSid> = self
            .sending()
            .filter_map(|sid| Some((self.subscription(sid)?, sid.clone())))
            .collect();
        let mut told = Vec::new();
        for (subscription, flows) in states {
            let Some(sid) = carried.get(subscription) else { continue };
            let waiting = &mut self.shares.waiting;
            let changed = if *flows {
                waiting.remove(sid)
            } else {
                waiting.insert(sid.clone())
            };
            let publishes = |one: &&Participant| one.tracks().any(|track| track.sid == *sid);
            let owner = room.participants().iter().find(publishes).filter(|_| changed);
            told.extend(owner.map(|owner| proto::StreamStateInfo {
                participant_sid: owner.sid.0.clone(),
                track_sid: sid.0.clone(),
                state: if *flows {
                    proto::StreamState::Active
                } else {
                    proto::StreamState::Paused
                } as i32,
            }));
        }
        let carried: HashSet<&TrackSid> = carried.values().collect();
        self.shares.waiting.retain(|sid| carried.contains(sid));
        if !told.is_empty() {
            let update = proto::StreamStateUpdate { stream_states: told };
            self.send(Response::StreamStateUpdate(update));
        }
    }

    /// The client wants to be sent no more than so many bits per second, 0 for as much as there is: an accident on demand.
    pub(super) fn pretend_narrow(&mut self, bits: i64) {
        let most = u64::try_from(bits).ok().filter(|bits| *bits > 0).map(Bitrate);
        let receiving = self.downlink.as_ref().and_then(|downlink| downlink.endpoint());
        if let Some(endpoint) = receiving.or(self.endpoint) {
            self.steps.push_back(Step::Touch(Touch::Limit(endpoint, most)));
        }
    }
}
