//! The room in the words of the protocol: participants, tracks, rights, codecs.

use std::time::{Duration, Instant};

use althing_media_core::payload::{Codec, MediaKind};

use super::data_tracks;
use super::wire::proto;
use crate::hub::unix_now;
use crate::room::{Departure, Encryption, LayerSize, Participant, Permissions, Room, Source, Track, TrackDetails};

/// The generation of the protocol that we speak. From 18 on, clients with a single connection open their data channels
/// with fixed numbers instead of announcing them.
pub(super) const PROTOCOL: i32 = 17;

/// Clients switch features by this number: what they are told is which server they are tested against.
pub(super) const COMPATIBLE_VERSION: &str = "1.13.5";

/// About ourselves.
pub(super) fn server_info() -> proto::ServerInfo {
    proto::ServerInfo {
        version: COMPATIBLE_VERSION.to_owned(),
        protocol: PROTOCOL,
        debug_info: concat!("althing ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Default::default()
    }
}

/// The room as a whole.
pub(crate) fn room(room: &Room) -> proto::Room {
    let created = since_1970(room.began());
    let count = |wanted: fn(&Participant) -> bool| {
        let visible = room.participants().iter().filter(|one| !one.profile.permissions.hidden);
        u32::try_from(visible.filter(|one| wanted(one)).count()).unwrap_or(u32::MAX)
    };
    proto::Room {
        sid: room.sid().to_owned(),
        name: room.name().to_owned(),
        metadata: room.metadata().to_owned(),
        empty_timeout: seconds(room.timeouts().empty),
        departure_timeout: seconds(room.timeouts().departure),
        max_participants: room
            .max_participants()
            .map_or(0, |most| u32::try_from(most).unwrap_or(u32::MAX)),
        creation_time: whole(created.as_secs()),
        creation_time_ms: millis(created),
        num_participants: count(|_| true),
        num_publishers: count(|one| one.tracks().next().is_some()),
        active_recording: room.recorded(),
        ..Default::default()
    }
}

/// One participant, with all their tracks.
pub(crate) fn participant(one: &Participant) -> proto::ParticipantInfo {
    use proto::participant_info::State;
    let joined = since_1970(Some(one.joined));
    let tracks: Vec<_> = one.tracks().map(track).collect();
    proto::ParticipantInfo {
        sid: one.sid.0.clone(),
        identity: one.profile.identity.clone(),
        name: one.profile.name.clone(),
        metadata: one.profile.metadata.clone(),
        attributes: one.profile.attributes.clone().into_iter().collect(),
        state: if one.is_active() { State::Active } else { State::Joined } as i32,
        is_publisher: !tracks.is_empty(),
        tracks,
        permission: Some(permission(&one.profile.permissions)),
        version: one.version,
        joined_at: whole(joined.as_secs()),
        joined_at_ms: millis(joined),
        data_tracks: one.data_tracks().map(data_tracks::info).collect(),
        client_protocol: one.features.protocol,
        capabilities: one.features.capabilities.clone(),
        ..Default::default()
    }
}

/// One who has gone.
pub(super) fn gone(sid: &str, identity: &str, version: u32) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: sid.to_owned(),
        identity: identity.to_owned(),
        state: proto::participant_info::State::Disconnected as i32,
        version,
        ..Default::default()
    }
}

/// How something is encrypted end to end.
pub(super) fn encryption(encryption: Encryption) -> proto::encryption::Type {
    match encryption {
        Encryption::None => proto::encryption::Type::None,
        Encryption::Gcm => proto::encryption::Type::Gcm,
        Encryption::Custom => proto::encryption::Type::Custom,
    }
}

/// Reads what [`encryption`] writes.
pub(super) fn read_encryption(encryption: proto::encryption::Type) -> Encryption {
    match encryption {
        proto::encryption::Type::None => Encryption::None,
        proto::encryption::Type::Gcm => Encryption::Gcm,
        proto::encryption::Type::Custom => Encryption::Custom,
    }
}

/// Why someone has gone.
pub(crate) fn disconnect_reason(why: Departure) -> proto::DisconnectReason {
    use proto::DisconnectReason as Reason;
    match why {
        Departure::Left => Reason::ClientInitiated,
        Departure::Replaced => Reason::DuplicateIdentity,
        Departure::Removed => Reason::ParticipantRemoved,
        Departure::RoomDeleted => Reason::RoomDeleted,
        Departure::Shutdown => Reason::ServerShutdown,
        Departure::Mismatch => Reason::StateMismatch,
        Departure::NotConnected => Reason::JoinFailure,
        Departure::Silent => Reason::SignalClose,
        Departure::MediaLost => Reason::MediaFailure,
    }
}

/// The same, from the words of the protocol.
pub(super) fn departure(reason: proto::DisconnectReason) -> Departure {
    use proto::DisconnectReason as Reason;
    match reason {
        Reason::DuplicateIdentity => Departure::Replaced,
        Reason::ServerShutdown => Departure::Shutdown,
        Reason::ParticipantRemoved => Departure::Removed,
        Reason::RoomDeleted => Departure::RoomDeleted,
        Reason::StateMismatch => Departure::Mismatch,
        Reason::JoinFailure => Departure::NotConnected,
        Reason::SignalClose => Departure::Silent,
        Reason::MediaFailure => Departure::MediaLost,
        _ => Departure::Left,
    }
}

/// What someone may do.
fn permission(permissions: &Permissions) -> proto::ParticipantPermission {
    proto::ParticipantPermission {
        can_subscribe: permissions.subscribe,
        can_publish: permissions.publish,
        can_publish_data: permissions.publish_data,
        can_publish_sources: permissions.sources.iter().map(|one| source(*one) as i32).collect(),
        hidden: permissions.hidden,
        can_update_metadata: permissions.update_own_metadata,
        ..Default::default()
    }
}

/// One track that is there.
pub(crate) fn track(track: &Track) -> proto::TrackInfo {
    let kind = track.kind;
    let simulcast = track.rids.len() > 1;
    let about = About {
        sid: &track.sid.0,
        kind,
        source: track.source,
        muted: track.muted,
        codec: track.codec.codec,
        simulcast,
        details: &track.details,
    };
    let mut info = about.info();
    if info.codecs.first().is_some_and(|codec| codec.layers.is_empty()) && kind == MediaKind::Video {
        let count = track.rids.len().max(1);
        let layers = layers(&vec![LayerSize::default(); count]);
        info.codecs
            .iter_mut()
            .for_each(|codec| codec.layers.clone_from(&layers));
    }
    info
}

/// What is known of a track, there already or announced.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) sid: &'a str,
    pub(super) kind: MediaKind,
    pub(super) source: Source,
    pub(super) muted: bool,
    pub(super) codec: Codec,
    pub(super) simulcast: bool,
    pub(super) details: &'a TrackDetails,
}

impl About<'_> {
    #[expect(deprecated, reason = "older clients read nothing else")]
    pub(super) fn info(&self) -> proto::TrackInfo {
        use proto::AudioTrackFeature::{TfNoDtx, TfStereo};
        use proto::video_layer::Mode;
        let video = self.kind == MediaKind::Video;
        let details = self.details;
        let has = |feature: proto::AudioTrackFeature| details.audio_features.contains(&(feature as i32));
        let layers = if video { layers(&details.layers) } else { Vec::new() };
        let mode = match self.codec {
            _ if !video => Mode::Unused,
            Codec::Vp9 | Codec::Av1 if !self.simulcast => Mode::MultipleSpatialLayersPerStream,
            _ => Mode::OneSpatialLayerPerStream,
        };
        let stream = match (details.stream.as_str(), self.source.is_screen()) {
            ("", true) => "screen",
            ("", false) => "camera",
            (stream, _) => stream,
        };
        proto::TrackInfo {
            sid: self.sid.to_owned(),
            r#type: kind(self.kind) as i32,
            name: details.name.clone(),
            muted: self.muted,
            width: details.width,
            height: details.height,
            simulcast: self.simulcast,
            disable_dtx: has(TfNoDtx),
            source: source(self.source) as i32,
            layers: layers.clone(),
            mime_type: mime(self.codec).to_owned(),
            codecs: vec![proto::SimulcastCodecInfo {
                mime_type: mime(self.codec).to_owned(),
                layers,
                video_layer_mode: mode as i32,
                ..Default::default()
            }],
            stereo: has(TfStereo),
            disable_red: video || !details.redundancy(),
            encryption: encryption(details.encryption) as i32,
            stream: stream.to_owned(),
            audio_features: details.audio_features.clone(),
            ..Default::default()
        }
    }
}

/// Encodings, the lowest first, by the names of their qualities: of one only, it is the best.
fn layers(sizes: &[LayerSize]) -> Vec<proto::VideoLayer> {
    use proto::VideoQuality::{High, Low, Medium};
    let qualities: &[proto::VideoQuality] = if sizes.len() == 1 {
        &[High]
    } else {
        &[Low, Medium, High]
    };
    let layer = |(index, (size, quality)): (usize, (&LayerSize, &proto::VideoQuality))| proto::VideoLayer {
        quality: *quality as i32,
        width: size.width,
        height: size.height,
        bitrate: size.bitrate,
        spatial_layer: i32::try_from(index).unwrap_or_default(),
        rid: match (sizes.len(), index) {
            (1, _) => String::new(),
            (_, 0) => "q".to_owned(),
            (_, 1) => "h".to_owned(),
            _ => "f".to_owned(),
        },
        ..Default::default()
    };
    sizes.iter().zip(qualities).enumerate().map(layer).collect()
}

/// The codecs that clients may publish in. Video begins with what every receiver can decode, as we do not convert: clients
/// take the first one when they have no wish of their own.
pub(super) fn publishable(codecs: &crate::sdp::Codecs) -> Vec<proto::Codec> {
    let mut video = vec![Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1];
    video.retain(|one| codecs.video.contains(one));
    // Clients that are told nothing else send VP8; where it is not in the list, the first.
    let first = codecs.instead_of(Codec::Vp8);
    if first != Codec::Vp8 {
        video.retain(|one| *one != Codec::Vp8);
        video.sort_by_key(|one| *one != first);
    }
    let audio = codecs.audio.iter().copied().filter(|one| *one == Codec::Opus);
    let codec = |codec: Codec| proto::Codec {
        mime: mime(codec).to_owned(),
        fmtp_line: String::new(),
    };
    video.into_iter().chain(audio).map(codec).collect()
}

/// A codec as a media type.
pub(super) fn mime(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "audio/opus",
        Codec::Pcmu => "audio/PCMU",
        Codec::Pcma => "audio/PCMA",
        Codec::G722 => "audio/G722",
        Codec::H264 => "video/H264",
        Codec::Vp9 => "video/VP9",
        Codec::Av1 => "video/AV1",
        _ => "video/VP8",
    }
}

/// A codec by the name that clients use, with the media type in front or without.
pub(super) fn codec(name: &str) -> Option<Codec> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let known = [
        Codec::Opus,
        Codec::Pcmu,
        Codec::Pcma,
        Codec::G722,
        Codec::Vp8,
        Codec::H264,
        Codec::Vp9,
        Codec::Av1,
    ];
    known.into_iter().find(|codec| {
        let own = mime(*codec).rsplit('/').next().unwrap_or_default();
        own.eq_ignore_ascii_case(name)
    })
}

/// Audio or video.
fn kind(kind: MediaKind) -> proto::TrackType {
    match kind {
        MediaKind::Audio => proto::TrackType::Audio,
        _ => proto::TrackType::Video,
    }
}

/// Where a track comes from.
fn source(source: Source) -> proto::TrackSource {
    match source {
        Source::Camera => proto::TrackSource::Camera,
        Source::Microphone => proto::TrackSource::Microphone,
        Source::ScreenShare => proto::TrackSource::ScreenShare,
        Source::ScreenShareAudio => proto::TrackSource::ScreenShareAudio,
        Source::Other => proto::TrackSource::Unknown,
    }
}

/// The source that a number names.
pub(super) fn source_of(source: proto::TrackSource) -> Option<Source> {
    match source {
        proto::TrackSource::Camera => Some(Source::Camera),
        proto::TrackSource::Microphone => Some(Source::Microphone),
        proto::TrackSource::ScreenShare => Some(Source::ScreenShare),
        proto::TrackSource::ScreenShareAudio => Some(Source::ScreenShareAudio),
        proto::TrackSource::Unknown => None,
    }
}

/// The same, read; what is unknown is taken for what is usual.
pub(super) fn read_source(number: i32, kind: MediaKind) -> Source {
    match (proto::TrackSource::try_from(number), kind) {
        (Ok(proto::TrackSource::ScreenShare), MediaKind::Video) => Source::ScreenShare,
        (Ok(proto::TrackSource::ScreenShareAudio), MediaKind::Audio) => Source::ScreenShareAudio,
        _ => Source::of(kind, false),
    }
}

/// A moment of the monotonic clock on the wall.
fn since_1970(moment: Option<Instant>) -> Duration {
    let age = moment.map_or(Duration::ZERO, |moment| moment.elapsed());
    unix_now().saturating_sub(age)
}

/// In milliseconds, as messages carry it.
pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

pub(crate) fn whole(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
