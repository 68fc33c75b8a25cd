//! What a client wants to watch, and how large.

use std::collections::{BTreeMap, HashMap, HashSet};

use althing_media_core::LayerTarget;
use althing_media_core::payload::MediaKind;

use super::priority;
use super::wire::proto;
use crate::room::{Participant, Room, Track, TrackSid};

/// Tracks that one client may name: more are not remembered.
const MAX_NAMED: usize = 4096;

/// Shorter edges of the lowest and the middle encoding, in pixels, where the publisher does not tell.
const USUAL_EDGES: [u32; 2] = [180, 360];

/// Pictures a second of the lowest temporal layer, and with the next one, as cameras usually send; with all of them there are
/// twice as many again. A little more is good enough.
const USUAL_FPS: [u32; 2] = [9, 17];

/// What one client wants.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// All tracks, unless it says otherwise.
    auto: bool,
    /// The client will tell sizes: it starts with the smallest.
    adaptive: bool,
    chosen: HashMap<TrackSid, bool>,
    settings: HashMap<TrackSid, Setting>,
    /// Cameras that the room does not show now, unless the client has chosen them by name.
    hidden: HashSet<TrackSid>,
}

/// How a track is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    disabled: bool,
    quality: proto::VideoQuality,
    /// Of the element that shows it, in pixels; 0 when the quality counts.
    width: u32,
    height: u32,
    /// Pictures a second; 0 when all are wanted.
    fps: u32,
    /// 1 the highest; 0 when none was given.
    priority: u32,
}

impl Wishes {
    pub(super) fn new(auto: bool, adaptive: bool) -> Self {
        Self {
            auto,
            adaptive,
            ..Self::default()
        }
    }

    /// All that `me` wants and may watch now, with whose it is.
    pub(super) fn wanted<'a>(&'a self, room: &'a Room, me: &'a Participant) -> Vec<(&'a Participant, &'a Track)> {
        if !me.profile.permissions.subscribe {
            return Vec::new();
        }
        let others = room.participants().iter().filter(|one| one.sid != me.sid);
        let visible = others.filter(|one| !one.profile.permissions.hidden);
        let tracks = visible.flat_map(|one| one.tracks().map(move |track| (one, track)));
        let wanted =
            |(owner, track): &(&Participant, &Track)| self.chooses(&track.sid) && owner.audience.admits(me, &track.sid);
        tracks.filter(wanted).collect()
    }

    /// The best encodings of video that the client has a use for now.
    pub(super) fn demand(&self, wanted: &[(&Participant, &Track)]) -> BTreeMap<TrackSid, u8> {
        let video = wanted.iter().filter(|(_, track)| track.kind == MediaKind::Video);
        let shown = video.filter(|(_, track)| !self.pauses(&track.sid));
        shown
            .map(|(_, track)| (track.sid.clone(), self.layers(track).spatial))
            .collect()
    }

    /// The client wants the tracks, or does not want them any more.
    pub(super) fn choose(&mut self, names: impl Iterator<Item = String>, subscribe: bool) {
        for name in names {
            let sid = TrackSid(name);
            if self.chosen.len() < MAX_NAMED || self.chosen.contains_key(&sid) {
                self.chosen.insert(sid, subscribe);
            }
        }
    }

    /// Remembers how tracks are wanted.
    pub(super) fn set(&mut self, settings: &proto::UpdateTrackSettings) {
        let setting = Setting {
            disabled: settings.disabled,
            quality: settings.quality(),
            width: settings.width,
            height: settings.height,
            fps: settings.fps,
            priority: settings.priority,
        };
        for name in &settings.track_sids {
            let sid = TrackSid(name.clone());
            if self.settings.len() < MAX_NAMED || self.settings.contains_key(&sid) {
                self.settings.insert(sid, setting);
            }
        }
    }

    /// Forgets what was said about tracks that are gone.
    pub(super) fn prune(&mut self, room: &Room) {
        if self.chosen.len() + self.settings.len() < MAX_NAMED / 2 {
            return;
        }
        let all = room.participants().iter().flat_map(Participant::tracks);
        let present: HashSet<&TrackSid> = all.map(|track| &track.sid).collect();
        self.chosen.retain(|sid, _| present.contains(sid));
        self.settings.retain(|sid, _| present.contains(sid));
    }

    /// Looks which cameras the room shows; those for which that has changed.
    pub(super) fn look(&mut self, room: &Room, me: &Participant) -> Vec<TrackSid> {
        let tracks = room
            .participants()
            .iter()
            .flat_map(|one| one.tracks().map(move |track| (one, track)));
        let hidden = |(owner, track): &(&Participant, &Track)| {
            owner.sid != me.sid
                && !room.shows(&me.sid, &owner.sid, track)
                && !self.chosen.get(&track.sid).is_some_and(|it| *it)
        };
        let hidden: HashSet<TrackSid> = tracks.filter(hidden).map(|(_, track)| track.sid.clone()).collect();
        let before = std::mem::replace(&mut self.hidden, hidden);
        before.symmetric_difference(&self.hidden).cloned().collect()
    }

    /// The client does not want to see the track for now, or the room does not show it.
    pub(super) fn pauses(&self, sid: &TrackSid) -> bool {
        self.settings.get(sid).is_some_and(|setting| setting.disabled) || self.hidden.contains(sid)
    }

    /// The best layers that the client has a use for.
    pub(super) fn layers(&self, track: &Track) -> LayerTarget {
        let best = LayerTarget::BEST;
        if track.kind != MediaKind::Video {
            return best;
        }
        let spatial = match self.settings.get(&track.sid) {
            None if self.adaptive => 0,
            None => best.spatial,
            Some(setting) if setting.width > 0 && setting.height > 0 => {
                covering(track, setting.width.min(setting.height))
            }
            Some(setting) => match setting.quality {
                proto::VideoQuality::Low => 0,
                proto::VideoQuality::Medium => 1,
                _ => best.spatial,
            },
        };
        let fps = self.settings.get(&track.sid).map_or(0, |setting| setting.fps);
        let temporal = match fps {
            0 => best.temporal,
            fps => u8::try_from(USUAL_FPS.iter().filter(|usual| **usual < fps).count()).unwrap_or(best.temporal),
        };
        let temporal = if usize::from(temporal) < USUAL_FPS.len() {
            temporal
        } else {
            best.temporal
        };
        LayerTarget { spatial, temporal }
    }

    /// The priority that the client has given to a track: 1 the highest, 0 for none.
    pub(super) fn priority(&self, sid: &TrackSid) -> u32 {
        self.settings.get(sid).map_or(0, |setting| setting.priority)
    }

    /// Whether a track is served before others: the higher.
    pub(super) fn rank(&self, owner: &Participant, track: &Track) -> u8 {
        priority::rank(owner, track, self.priority(&track.sid), self.layers(track).spatial)
    }

    fn chooses(&self, sid: &TrackSid) -> bool {
        self.chosen.get(sid).copied().unwrap_or(self.auto)
    }
}

/// The smallest encoding that fills an element whose shorter edge is `edge`; a fifth less is good enough.
fn covering(track: &Track, edge: u32) -> u8 {
    let told = track.details.layers.iter().map(|size| size.width.min(size.height));
    let told: Vec<u32> = told.filter(|edge| *edge > 0).collect();
    let edges = if told.is_empty() { USUAL_EDGES.to_vec() } else { told };
    let covers = |own: &u32| own.saturating_mul(6) / 5 >= edge;
    let index = edges.iter().position(covers);
    index.and_then(|index| u8::try_from(index).ok()).unwrap_or(u8::MAX)
}
