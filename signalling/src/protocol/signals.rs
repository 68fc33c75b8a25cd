//! What a client is told as it changes from moment to moment: who speaks, how good the connections are, and which
//! encodings of its own tracks somebody has a use for.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use althing_media_core::payload::MediaKind;

use super::client::Client;
use super::describe;
use super::wire::{Response, proto};
use crate::room::{ParticipantSid, Quality, Room, TrackSid};

/// An encoding that nobody wants is still sent for so long: somebody may want it again soon, and starting it costs a
/// keyframe.
const LOWER_AFTER: Duration = Duration::from_secs(5);

/// What one client was told.
#[derive(Debug, Default)]
pub(super) struct Signals {
    speaking: HashMap<ParticipantSid, u8>,
    qualities: HashMap<ParticipantSid, Quality>,
    encodings: HashMap<TrackSid, Encodings>,
}

/// What the client was told of one of its tracks.
#[derive(Debug, Clone, Copy)]
struct Encodings {
    /// The best that is wanted, 0 the lowest.
    best: u8,
    /// Less than that is wanted since then.
    less: Option<Instant>,
}

impl Client {
    /// Tells what has changed since the last time.
    pub(super) fn signal(&mut self, room: &Room) {
        self.speakers(room);
        self.qualities(room);
        self.encodings(room, Instant::now());
        self.follow_speakers(room, Instant::now());
    }

    fn speakers(&mut self, room: &Room) {
        let told = &mut self.signals.speaking;
        let mut speakers = Vec::new();
        let mut change = |sid: &ParticipantSid, level: u8| {
            speakers.push(proto::SpeakerInfo {
                sid: sid.0.clone(),
                level: f32::from(level) / 8.0,
                active: level > 0,
            });
        };
        let visible = room.participants().iter().filter(|one| !one.profile.permissions.hidden);
        for one in visible {
            if told.get(&one.sid).copied().unwrap_or_default() != one.speaking {
                change(&one.sid, one.speaking);
                told.insert(one.sid.clone(), one.speaking);
            }
        }
        told.retain(|_, level| *level > 0);
        forget(told, room);
        if !speakers.is_empty() {
            self.send(Response::SpeakersChanged(proto::SpeakersChanged { speakers }));
        }
    }

    /// Of itself and of those whom it watches.
    fn qualities(&mut self, room: &Room) {
        let mut told = std::mem::take(&mut self.signals.qualities);
        let sending: HashSet<&TrackSid> = self.sending().collect();
        let own = &self.sid;
        let mut updates = Vec::new();
        for one in room.participants() {
            let watched = one.sid == *own || one.tracks().any(|track| sending.contains(&track.sid));
            let Some(quality) = one.quality.filter(|_| watched) else {
                continue;
            };
            if told.insert(one.sid.clone(), quality) != Some(quality) {
                let (quality, score) = match quality {
                    Quality::Poor => (proto::ConnectionQuality::Poor, 2.0),
                    Quality::Good => (proto::ConnectionQuality::Good, 3.5),
                    Quality::Excellent => (proto::ConnectionQuality::Excellent, 4.5),
                };
                updates.push(proto::ConnectionQualityInfo {
                    participant_sid: one.sid.0.clone(),
                    quality: quality as i32,
                    score,
                });
            }
        }
        forget(&mut told, room);
        self.signals.qualities = told;
        if !updates.is_empty() {
            self.send(Response::ConnectionQuality(proto::ConnectionQualityUpdate { updates }));
        }
    }

    /// More is told at once, less only when it has been enough for a while. The lowest encoding goes on always, so that
    /// who comes has a picture soon.
    pub(super) fn encodings(&mut self, room: &Room, now: Instant) {
        let Some(own) = room.connection(self.connection) else {
            return;
        };
        let mut updates = Vec::new();
        let tracks = own
            .tracks
            .iter()
            .filter(|track| track.kind == MediaKind::Video && track.rids.len() > 1);
        let told = &mut self.signals.encodings;
        told.retain(|sid, _| own.tracks.iter().any(|track| track.sid == *sid));
        for track in tracks {
            let top = u8::try_from(track.rids.len() - 1).unwrap_or(u8::MAX);
            let wanted = room.demand(track).unwrap_or_default().min(top);
            let known = told
                .entry(track.sid.clone())
                .or_insert(Encodings { best: top, less: None });
            if wanted < known.best {
                let since = *known.less.get_or_insert(now);
                if now.saturating_duration_since(since) < LOWER_AFTER {
                    continue;
                }
            }
            known.less = None;
            if std::mem::replace(&mut known.best, wanted) != wanted {
                updates.push(update(&track.sid, describe::mime(track.codec.codec), wanted));
            }
        }
        updates.into_iter().for_each(|update| self.send(update));
    }
}

/// Forgets those who have gone, when there are many of them: a sid does not come back.
fn forget<V>(told: &mut HashMap<ParticipantSid, V>, room: &Room) {
    if told.len() > room.participants().len() {
        let present: HashSet<&ParticipantSid> = room.participants().iter().map(|one| &one.sid).collect();
        told.retain(|sid, _| present.contains(sid));
    }
}

#[expect(deprecated, reason = "older clients read nothing else")]
fn update(sid: &TrackSid, mime: &str, best: u8) -> Response {
    use proto::VideoQuality::{High, Low, Medium};
    let quality = |(index, quality): (u8, proto::VideoQuality)| proto::SubscribedQuality {
        quality: quality as i32,
        enabled: index <= best,
    };
    let qualities: Vec<_> = [(0, Low), (1, Medium), (2, High)].into_iter().map(quality).collect();
    let codec = mime.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    Response::SubscribedQualityUpdate(proto::SubscribedQualityUpdate {
        track_sid: sid.0.clone(),
        subscribed_qualities: qualities.clone(),
        subscribed_codecs: vec![proto::SubscribedCodec { codec, qualities }],
    })
}
