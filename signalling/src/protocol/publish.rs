//! What a client publishes: first it announces a track by name, then the track comes in an offer, and is there for the
//! others from then on.

use althing_media_core::payload::{Codec, MediaKind};

use super::client::Client;
use super::describe::{self, About};
use super::media::Changed;
use super::sections::{Expected, Plan};
use super::wire::{Response, proto};
use crate::room::{Encryption, LayerSize, MAX_FEATURES, NewTrack, Room, Source, TrackDetails, TrackSid};
use crate::sdp::{Reception, Red, Section};

/// Tracks that one client may have announced and not yet sent.
const MAX_ANNOUNCED: usize = 32;

/// Longest name of a track, in bytes.
const MAX_NAME: usize = 256;

/// Encodings that are described.
const MAX_LAYERS: usize = 3;

/// A track that has been announced and has not come yet.
#[derive(Debug, Clone)]
pub(super) struct Announced {
    pub(super) sid: TrackSid,
    /// The client's own name for it, which stands in the offer.
    cid: String,
    kind: MediaKind,
    source: Source,
    muted: bool,
    codec: Option<Codec>,
    details: TrackDetails,
}

impl Announced {
    /// The announced track that begins in this section. Some browsers give it another name: then
    /// it is the first of its kind.
    pub(super) fn find(all: &[Self], section: &Section, taken: &mut Vec<TrackSid>) -> Option<Expected> {
        let kind = section.kind.media()?;
        let name = section.msid.as_ref().map_or("", |msid| msid.track.as_str());
        let mut open = all.iter().filter(|one| one.kind == kind && !taken.contains(&one.sid));
        let found = open.clone().find(|one| one.cid == name).or_else(|| open.next())?;
        taken.push(found.sid.clone());
        Some(Expected {
            sid: found.sid.clone(),
            reception: found.reception(),
            encrypted: found.details.encryption != Encryption::None,
        })
    }

    fn reception(&self) -> Reception {
        use proto::AudioTrackFeature::{TfNoDtx, TfStereo};
        let has = |feature: proto::AudioTrackFeature| self.details.audio_features.contains(&(feature as i32));
        let red = self.details.redundancy();
        Reception {
            codec: self.codec,
            red: if red { Red::Preferred } else { Red::Refused },
            dtx: !has(TfNoDtx),
            stereo: has(TfStereo),
        }
    }

    fn about(&self) -> About<'_> {
        let usual = if self.kind == MediaKind::Audio {
            Codec::Opus
        } else {
            Codec::Vp8
        };
        let codec = self.codec.unwrap_or(usual);
        About {
            sid: &self.sid.0,
            kind: self.kind,
            source: self.source,
            muted: self.muted,
            codec,
            // Clients put the layers of the newer codecs into one stream.
            simulcast: self.details.layers.len() > 1 && !matches!(codec, Codec::Vp9 | Codec::Av1),
            details: &self.details,
        }
    }
}

impl Client {
    /// The client announces a track.
    pub(super) fn add_track(&mut self, room: &mut Room, request: proto::AddTrackRequest) {
        use proto::request_response::Reason;
        let kind = match request.r#type() {
            proto::TrackType::Audio => MediaKind::Audio,
            proto::TrackType::Video => MediaKind::Video,
            proto::TrackType::Data => return self.refuse(Reason::UnsupportedType, request),
        };
        // A second codec for a track that is there already is not taken.
        if !request.sid.is_empty() {
            return self.refuse(Reason::UnsupportedType, request);
        }
        let source = describe::read_source(request.source, kind);
        if !self.me(room).is_some_and(|me| me.profile.permissions.publishes(source)) {
            return self.refuse(Reason::NotAllowed, request);
        }
        if self.announced.len() >= MAX_ANNOUNCED || request.name.len() > MAX_NAME || request.cid.len() > MAX_NAME {
            return self.refuse(Reason::LimitExceeded, request);
        }
        let mut preferred = request
            .simulcast_codecs
            .first()
            .and_then(|one| describe::codec(&one.codec));
        // VP8 is also what clients send that name nothing.
        if kind == MediaKind::Video && preferred.is_none_or(|codec| codec == Codec::Vp8) {
            preferred = self.codecs.instead_of_vp8.or(preferred);
        }
        let allowed = |codec: &Codec| self.codecs.audio.contains(codec) || self.codecs.video.contains(codec);
        let announced = Announced {
            sid: room.new_track_sid(),
            cid: request.cid.clone(),
            kind,
            source,
            muted: request.muted,
            codec: preferred.filter(|codec| codec.kind() == kind).filter(allowed),
            details: details(&request),
        };
        let track = Some(announced.about().info());
        self.announced.push(announced);
        self.send(Response::TrackPublished(proto::TrackPublishedResponse {
            cid: request.cid,
            track,
        }));
    }

    fn refuse(&mut self, reason: proto::request_response::Reason, request: proto::AddTrackRequest) {
        self.respond(0, reason, Some(proto::request_response::Request::AddTrack(request)));
    }

    /// Tracks have come: they are there for the others now.
    pub(super) fn arrive(&mut self, room: &mut Room, plan: &Plan, changed: &Changed) {
        for (arrival, id) in plan.arrivals.iter().zip(&changed.tracks) {
            let agreed = plan.agreement.sections.iter().find(|agreed| agreed.mid == arrival.mid);
            let at = self.announced.iter().position(|one| one.sid == arrival.expected.sid);
            let (Some(agreed), Some(at)) = (agreed, at) else {
                continue;
            };
            let announced = self.announced.remove(at);
            let Some(codec) = agreed.codec() else {
                continue;
            };
            let track = NewTrack {
                id: *id,
                source: announced.source,
                codec,
                rids: agreed.rids.clone(),
                sid: Some(announced.sid),
                muted: announced.muted,
                details: announced.details,
            };
            // Rights were looked at when the track was announced; they may have been taken away meanwhile.
            if let Err(error) = room.publish(self.connection, track) {
                tracing::info!(participant = self.sid.0, %error, "a track is not published");
            }
        }
    }

    /// The client mutes or unmutes a track of its own.
    pub(super) fn mute(&mut self, room: &mut Room, mute: proto::MuteTrackRequest) {
        let sid = TrackSid(mute.sid);
        if let Some(announced) = self.announced.iter_mut().find(|one| one.sid == sid) {
            announced.muted = mute.muted;
        }
        let own = room.connection(self.connection);
        if own.is_some_and(|own| own.tracks.iter().any(|track| track.sid == sid)) {
            room.mute(&sid, mute.muted);
        }
    }

    pub(super) fn update_audio(&self, room: &mut Room, update: proto::UpdateLocalAudioTrack) {
        let sid = TrackSid(update.track_sid);
        let features = update.features.into_iter().take(MAX_FEATURES).collect();
        room.change_details(self.connection, &sid, |details| details.audio_features = features);
    }

    pub(super) fn update_video(&self, room: &mut Room, update: &proto::UpdateLocalVideoTrack) {
        let sid = TrackSid(update.track_sid.clone());
        room.change_details(self.connection, &sid, |details| {
            (details.width, details.height) = (update.width, update.height);
        });
    }
}

#[expect(deprecated, reason = "older clients write nothing else")]
fn details(request: &proto::AddTrackRequest) -> TrackDetails {
    use proto::AudioTrackFeature::{TfNoDtx, TfStereo};
    let first = request.simulcast_codecs.first().map(|codec| codec.layers.as_slice());
    let told = first.filter(|layers| !layers.is_empty()).unwrap_or(&request.layers);
    let mut told: Vec<&proto::VideoLayer> = told.iter().take(MAX_LAYERS).collect();
    told.sort_by_key(|layer| layer.quality);
    let size = |layer: &proto::VideoLayer| LayerSize {
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
    };
    let mut features: Vec<i32> = request.audio_features.iter().copied().take(MAX_FEATURES).collect();
    for (set, feature) in [(request.stereo, TfStereo), (request.disable_dtx, TfNoDtx)] {
        if set && !features.contains(&(feature as i32)) {
            features.push(feature as i32);
        }
    }
    TrackDetails {
        name: request.name.clone(),
        stream: request.stream.chars().take(MAX_NAME).collect(),
        width: request.width,
        height: request.height,
        layers: told.into_iter().map(size).collect(),
        encryption: describe::read_encryption(request.encryption()),
        audio_features: features,
        disable_red: request.disable_red,
    }
}
