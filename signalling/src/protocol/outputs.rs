//! What a recording that the server API asks for may be like: files of what was sent, as it was sent, in the server's own
//! folder. Whatever else a request wants is refused by the name of its field, rather than done half.

use std::collections::BTreeSet;

use super::service::Outcome;
use super::twirp::{Code, Failure};
use super::wire::proto;
use crate::egress::Wanted;
use crate::room::TrackSid;

/// Why what a field asks for is not there.
const NO_ENCODING: &str = "What people send is recorded as it comes, without encoding it anew.";
const NO_LAYOUT: &str = "No picture is made of several: each track has a file of its own.";
const NO_STREAM: &str = "Nothing is sent to other servers.";
const NO_SEGMENTS: &str = "Playlists are a matter of the server's configuration.";
const NO_IMAGES: &str = "No images are made.";
const NO_WEBHOOKS: &str = "Those who are told of a recording stand in the server's configuration.";
const NO_UPLOAD: &str = "Where recordings lie stands in the server's configuration.";
const NO_TYPE: &str = "The type of a file follows from what is sent: leave it open.";
const NO_MANIFEST: &str = "A recording always has a manifest.";

/// The preset that means what is done anyway.
const AS_IT_COMES: i32 = proto::EncodingOptionsPreset::Passthrough as i32;

/// Says no to a field that asks for something.
fn refuse(asks: bool, field: &'static str, why: &str) -> Outcome<()> {
    let failure = || Failure::new(Code::Unimplemented, format!("`{field}`: {why}")).with("argument", field.to_owned());
    if asks { Err(failure()) } else { Ok(()) }
}

fn invalid(field: &'static str, why: &str) -> Failure {
    Failure::new(Code::InvalidArgument, format!("`{field}`: {why}")).with("argument", field.to_owned())
}

/// The parts that requests have in common.
struct Outputs<'a> {
    files: &'a [proto::EncodedFileOutput],
    streams: bool,
    segments: bool,
    images: bool,
    webhooks: bool,
    encoding: Option<&'static str>,
}

/// Those of a request: its types are its own, its fields the same in all.
macro_rules! outputs {
    ($request:expr, $options:ident) => {
        Outputs {
            files: &$request.file_outputs,
            streams: !$request.stream_outputs.is_empty(),
            segments: !$request.segment_outputs.is_empty(),
            images: !$request.image_outputs.is_empty(),
            webhooks: !$request.webhooks.is_empty(),
            encoding: $request.options.as_ref().and_then(|options| match options {
                $options::Preset(preset) => (*preset != AS_IT_COMES).then_some("preset"),
                $options::Advanced(_) => Some("advanced"),
            }),
        }
    };
}

/// An output of the old form, of which there is one at most.
macro_rules! old_output {
    ($request:expr, $output:ident) => {
        match &$request.output {
            Some($output::File(file)) => encoded(file)?,
            Some($output::Stream(_)) => refuse(true, "stream", NO_STREAM)?,
            Some($output::Segments(_)) => refuse(true, "segments", NO_SEGMENTS)?,
            None => {}
        }
    };
}

impl Outputs<'_> {
    fn check(&self) -> Outcome<()> {
        refuse(self.streams, "stream_outputs", NO_STREAM)?;
        refuse(self.segments, "segment_outputs", NO_SEGMENTS)?;
        refuse(self.images, "image_outputs", NO_IMAGES)?;
        refuse(self.webhooks, "webhooks", NO_WEBHOOKS)?;
        refuse(self.encoding.is_some(), self.encoding.unwrap_or_default(), NO_ENCODING)?;
        self.files.iter().try_for_each(encoded)
    }
}

fn encoded(file: &proto::EncodedFileOutput) -> Outcome<()> {
    use proto::encoded_file_output::Output;
    let upload = file.output.as_ref().map(|output| match output {
        Output::S3(_) => "s3",
        Output::Gcp(_) => "gcp",
        Output::Azure(_) => "azure",
        Output::AliOss(_) => "aliOSS",
    });
    refuse(upload.is_some(), upload.unwrap_or_default(), NO_UPLOAD)?;
    refuse(file.file_type != 0, "file_type", NO_TYPE)?;
    refuse(file.disable_manifest, "disable_manifest", NO_MANIFEST)
}

fn direct(file: &proto::DirectFileOutput) -> Outcome<()> {
    use proto::direct_file_output::Output;
    let upload = file.output.as_ref().map(|output| match output {
        Output::S3(_) => "s3",
        Output::Gcp(_) => "gcp",
        Output::Azure(_) => "azure",
        Output::AliOss(_) => "aliOSS",
    });
    refuse(upload.is_some(), upload.unwrap_or_default(), NO_UPLOAD)?;
    refuse(file.disable_manifest, "disable_manifest", NO_MANIFEST)
}

/// The whole room.
#[expect(deprecated, reason = "clients of today still fill the old fields")]
pub(super) fn room(request: &proto::RoomCompositeEgressRequest) -> Outcome<Wanted> {
    use proto::room_composite_egress_request::{Options, Output};
    refuse(!request.layout.is_empty(), "layout", NO_LAYOUT)?;
    refuse(!request.custom_base_url.is_empty(), "custom_base_url", NO_LAYOUT)?;
    refuse(
        request.video_only,
        "video_only",
        "Pictures are recorded with their sound.",
    )?;
    refuse(request.audio_mixing != 0, "audio_mixing", "All sound is mixed alike.")?;
    outputs!(request, Options).check()?;
    old_output!(request, Output);
    let audio_only = request.audio_only;
    Ok(Wanted::Room { audio_only })
}

/// One participant.
pub(super) fn participant(request: &proto::ParticipantEgressRequest) -> Outcome<Wanted> {
    use proto::participant_egress_request::Options;
    outputs!(request, Options).check()?;
    Ok(Wanted::Participant {
        identity: request.identity.clone(),
        screen_share: request.screen_share,
    })
}

/// Sound and pictures of a pair of tracks.
#[expect(deprecated, reason = "clients of today still fill the old fields")]
pub(super) fn track_composite(request: &proto::TrackCompositeEgressRequest) -> Outcome<Wanted> {
    use proto::track_composite_egress_request::{Options, Output};
    outputs!(request, Options).check()?;
    old_output!(request, Output);
    tracks([&request.audio_track_id, &request.video_track_id], "audio_track_id")
}

/// One track.
pub(super) fn track(request: &proto::TrackEgressRequest) -> Outcome<Wanted> {
    use proto::track_egress_request::Output;
    refuse(!request.webhooks.is_empty(), "webhooks", NO_WEBHOOKS)?;
    match &request.output {
        Some(Output::WebsocketUrl(_)) => refuse(true, "websocket_url", NO_STREAM)?,
        Some(Output::File(file)) => direct(file)?,
        None => {}
    }
    tracks([&request.track_id], "track_id")
}

/// The newer form of all of these.
pub(super) fn any(request: &proto::StartEgressRequest) -> Outcome<Wanted> {
    use proto::output::Config;
    use proto::start_egress_request::{Encoding, Source};
    let of = |wanted: fn(&Config) -> bool| request.outputs.iter().filter_map(|one| one.config.as_ref()).any(wanted);
    let outputs = Outputs {
        files: &[],
        streams: of(|config| matches!(config, Config::Stream(_))),
        segments: of(|config| matches!(config, Config::Segments(_))),
        images: of(|config| matches!(config, Config::Images(_))),
        webhooks: !request.webhooks.is_empty(),
        encoding: request.encoding.as_ref().and_then(|encoding| match encoding {
            Encoding::Preset(preset) => (*preset != AS_IT_COMES).then_some("preset"),
            Encoding::Advanced(_) => Some("advanced"),
        }),
    };
    outputs.check()?;
    let storage = request.storage.is_some() || request.outputs.iter().any(|one| one.storage.is_some());
    refuse(storage, "storage", NO_UPLOAD)?;
    for output in &request.outputs {
        if let Some(Config::File(file)) = &output.config {
            refuse(file.file_type != 0, "file_type", NO_TYPE)?;
            refuse(file.disable_manifest, "disable_manifest", NO_MANIFEST)?;
        }
    }
    match &request.source {
        Some(Source::Media(source)) => media(source),
        Some(Source::Template(_)) => Err(refuse(true, "template", NO_LAYOUT).err().unwrap_or_else(no_source)),
        Some(Source::Web(_)) => Err(refuse(true, "web", "No pages are recorded.")
            .err()
            .unwrap_or_else(no_source)),
        None => Err(no_source()),
    }
}

fn no_source() -> Failure {
    invalid("source", "It must say what is to be recorded.")
}

/// All sound, one participant, or some tracks.
fn media(source: &proto::MediaSource) -> Outcome<Wanted> {
    use proto::audio_route::Match;
    use proto::media_source::Video;
    let audio = source.audio.clone().unwrap_or_default();
    refuse(
        audio.routes.iter().any(|route| route.channel != 0),
        "channel",
        NO_ENCODING,
    )?;
    let (mut sids, mut people) = (Vec::new(), BTreeSet::new());
    for route in &audio.routes {
        match &route.r#match {
            Some(Match::TrackId(sid)) => sids.push(sid),
            Some(Match::ParticipantIdentity(identity)) => drop(people.insert(identity)),
            _ => refuse(true, "participant_kind", "Tracks and participants are chosen by name.")?,
        }
    }
    let video = source.video.as_ref();
    match video {
        Some(Video::VideoTrackId(sid)) => sids.push(sid),
        Some(Video::ParticipantVideo(video)) => {
            refuse(
                video.prefer_screen_share,
                "prefer_screen_share",
                "It is one or the other.",
            )?;
            people.insert(&video.identity);
        }
        None => {}
    }
    let one = people
        .first()
        .filter(|_| people.len() == 1 && sids.is_empty() && !audio.capture_all);
    match one {
        Some(identity) => Ok(Wanted::Participant {
            identity: (*identity).clone(),
            screen_share: false,
        }),
        None if audio.capture_all && people.is_empty() && sids.is_empty() => Ok(Wanted::Room { audio_only: true }),
        None if people.is_empty() && !audio.capture_all => tracks(sids, "media"),
        None => Err(
            refuse(true, "media", "It is all sound, one participant, or some tracks.")
                .err()
                .unwrap_or_else(no_source),
        ),
    }
}

fn tracks<'a>(sids: impl IntoIterator<Item = &'a String>, field: &'static str) -> Outcome<Wanted> {
    let sids = sids.into_iter().filter(|sid| !sid.is_empty());
    let sids: BTreeSet<TrackSid> = sids.map(|sid| TrackSid(sid.clone())).collect();
    if sids.is_empty() {
        return Err(invalid(field, "It must name a track."));
    }
    Ok(Wanted::Tracks(sids))
}
