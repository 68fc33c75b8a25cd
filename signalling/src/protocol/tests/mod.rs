//! Clients as tables of requests and of what they are told; the router is played by numbers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use althing_media_core::LayerTarget;
use althing_media_core::config::{EndpointId, SubscriptionId, TrackId};
use althing_media_core::payload::Codec;
use althing_media_core::speakers::Activity;
use althing_media_core::transport::{Fingerprint, FingerprintHash, IceCreds, LocalDescription, Setup};

use super::client::{Client, Step};
use super::describe;
use super::media::{Change, Changed, Proposal, Touch};
use super::sections::Plan;
use super::wire::{Request, Response, proto};
use crate::room::{NewTrack, Permissions, Profile, Room, RoomLimits, Source, TrackDetails, TrackSid};
use crate::sdp::{CodecSpec, Codecs, Description, Direction};

mod dual;
mod narrow;
mod thousand;

/// A room, the number that the router gave out last, and what it was asked for.
struct Stage {
    room: Room,
    last: u64,
    touches: Vec<Touch>,
    plans: Vec<Plan>,
    proposals: Vec<Proposal>,
    accepted: Vec<Change>,
}

fn profile(identity: &str) -> Profile {
    let permissions = Permissions {
        publish: true,
        subscribe: true,
        publish_data: true,
        ..Permissions::default()
    };
    Profile {
        identity: identity.to_owned(),
        permissions,
        ..Profile::default()
    }
}

/// Sections of an offer: kind, direction, track name.
type Line<'a> = (&'a str, &'a str, &'a str);

const POOL: [Line<'_>; 3] = [
    ("audio", "recvonly", ""),
    ("video", "recvonly", ""),
    ("application", "", ""),
];

fn offer(id: u32, ufrag: &str, lines: &[Line<'_>]) -> proto::SessionDescription {
    let mut sdp = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE".to_owned();
    (0..lines.len()).for_each(|mid| write!(sdp, " {mid}").unwrap());
    sdp += "\r\na=extmap-allow-mixed\r\n";
    for (mid, (kind, direction, track)) in lines.iter().enumerate() {
        let transport = format!(
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=mid:{mid}\r\n",
            ["AB"; 32].join(":")
        );
        match *kind {
            "audio" => sdp += "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\nc=IN IP4 0.0.0.0\r\n",
            "video" => sdp += "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\nc=IN IP4 0.0.0.0\r\n",
            _ => sdp += "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=sctp-port:5000\r\n",
        }
        sdp += &transport;
        match *kind {
            "audio" => {
                sdp += "a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
            }
            "video" => {
                sdp += "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\na=rtcp-fb:96 nack\r\na=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
            }
            _ => continue,
        }
        write!(
            sdp,
            "a=rtcp-mux\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na={direction}\r\n"
        )
        .unwrap();
        if !track.is_empty() {
            write!(sdp, "a=msid:- {track}\r\n").unwrap();
        }
        if *kind == "video" && *direction == "sendonly" {
            sdp += "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
        }
    }
    proto::SessionDescription {
        r#type: "offer".to_owned(),
        sdp,
        id,
        ..Default::default()
    }
}

fn local() -> LocalDescription {
    LocalDescription {
        ice: IceCreds {
            ufrag: "ours".to_owned(),
            pwd: "x".repeat(22),
        },
        ice_lite: true,
        fingerprint: Fingerprint::of(b"certificate", FingerprintHash::Sha256),
        setup: Setup::Passive,
        candidates: Vec::new(),
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            room: Room::new("hall", 1, RoomLimits::default()),
            last: 0,
            touches: Vec::new(),
            plans: Vec::new(),
            proposals: Vec::new(),
            accepted: Vec::new(),
        }
    }

    /// Joins with a pool of one audio and one video section; what it is told.
    fn join(&mut self, identity: &str) -> (Client, Vec<Response>) {
        self.join_with(&profile(identity), proto::JoinRequest::default())
    }

    fn join_with(&mut self, profile: &Profile, request: proto::JoinRequest) -> (Client, Vec<Response>) {
        let connection = self.room.join(Instant::now(), profile).unwrap();
        let sid = self.room.participant_of(connection).unwrap().sid.clone();
        let request = proto::JoinRequest {
            publisher_offer: Some(offer(1, "here", &POOL)),
            client_info: Some(proto::ClientInfo {
                protocol: 17,
                ..Default::default()
            }),
            ..request
        };
        let mut client = Client::new(connection, sid, Codecs::default(), false, &request);
        client.join(&mut self.room, request);
        let told = self.run(&mut client);
        let endpoint = client.endpoint.unwrap();
        self.room.attach(connection, endpoint);
        self.room.on_connected(endpoint);
        (client, told)
    }

    /// Carries out what a client wants; what it is told.
    fn run(&mut self, client: &mut Client) -> Vec<Response> {
        let mut told = Vec::new();
        while let Some(step) = client.poll() {
            match step {
                Step::Send(response) => told.push(*response),
                Step::Touch(touch) => self.touches.push(touch),
                Step::Lose => told.clear(),
                Step::End => break,
                Step::Negotiate(plan) => {
                    let changed = Changed {
                        endpoint: plan.change.endpoint.unwrap_or_else(|| EndpointId(self.next())),
                        local: local(),
                        tracks: plan.change.tracks.iter().map(|_| TrackId(self.next())).collect(),
                        subscriptions: plan.change.open.iter().map(|_| SubscriptionId(self.next())).collect(),
                    };
                    client.negotiated(&mut self.room, &plan, &changed);
                    self.plans.push(*plan);
                }
                Step::Propose(proposal) => {
                    let endpoint = proposal.endpoint.unwrap_or_else(|| EndpointId(self.next()));
                    self.proposals.push(proposal);
                    client.proposed(endpoint, &local());
                }
                Step::Accept(change) => {
                    let changed = Changed {
                        endpoint: change.endpoint.unwrap(),
                        local: local(),
                        tracks: Vec::new(),
                        subscriptions: change.open.iter().map(|_| SubscriptionId(self.next())).collect(),
                    };
                    client.answered(&mut self.room, &change, &changed);
                    self.accepted.push(*change);
                }
            }
        }
        told
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn ask(&mut self, client: &mut Client, request: Request) -> Vec<Response> {
        client.handle(&mut self.room, request);
        self.run(client)
    }

    fn sync(&mut self, client: &mut Client) -> Vec<Response> {
        client.sync(&mut self.room);
        self.run(client)
    }

    /// Announces and sends a camera in a fourth section; the name of the track.
    fn publish(&mut self, client: &mut Client) -> (TrackSid, Vec<Response>) {
        let told = self.ask(client, Request::AddTrack(camera()));
        let [Response::TrackPublished(published)] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(published.cid, "cam");
        let sid = TrackSid(published.track.as_ref().unwrap().sid.clone());
        assert!(sid.0.starts_with("TR_"));
        let lines = [POOL.as_slice(), &[("video", "sendonly", "cam")]].concat();
        let told = self.ask(client, Request::Offer(offer(2, "here", &lines)));
        (sid, told)
    }
}

fn camera() -> proto::AddTrackRequest {
    let layer = |quality, width, height| proto::VideoLayer {
        quality,
        width,
        height,
        ..Default::default()
    };
    proto::AddTrackRequest {
        cid: "cam".to_owned(),
        r#type: proto::TrackType::Video as i32,
        source: proto::TrackSource::Camera as i32,
        width: 1280,
        height: 720,
        layers: vec![layer(2, 1280, 720), layer(0, 320, 180), layer(1, 640, 360)],
        ..Default::default()
    }
}

/// The answer among messages: its sections, and whose tracks they carry.
fn answer(told: &[Response]) -> (Description, &proto::SessionDescription) {
    let found = told.iter().find_map(|one| match one {
        Response::Answer(answer) => Some(answer),
        _ => None,
    });
    let found = found.unwrap_or_else(|| panic!("no answer in {told:?}"));
    (Description::parse(&found.sdp).unwrap(), found)
}

fn directions(description: &Description) -> Vec<Direction> {
    let media = description
        .sections
        .iter()
        .filter(|section| section.kind.media().is_some());
    media.map(|section| section.direction).collect()
}

fn requirement(told: &[Response]) -> Option<(u32, u32)> {
    told.iter().find_map(|one| match one {
        Response::MediaSectionsRequirement(one) => Some((one.num_audios, one.num_videos)),
        _ => None,
    })
}

fn updated(told: &[Response]) -> Vec<&proto::ParticipantInfo> {
    let mut all = Vec::new();
    for one in told {
        if let Response::Update(update) = one {
            all.extend(&update.participants);
        }
    }
    all
}

#[test]
fn the_first_answer_is_silent_and_keeps_what_a_sender_needs() {
    let mut stage = Stage::new();
    let (_, told) = stage.join("ada");
    let Response::Join(join) = &told[0] else {
        panic!("{told:?}");
    };
    let me = join.participant.as_ref().unwrap();
    assert!(me.sid.starts_with("PA_") && me.permission.as_ref().unwrap().can_publish);
    assert!(join.room.as_ref().unwrap().sid.starts_with("RM_"));
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert_eq!(join.server_info.as_ref().unwrap().protocol, 17);
    assert!(join.enabled_publish_codecs[0].mime.starts_with("video/"));

    let (description, answer) = answer(&told);
    assert_eq!(answer.id, 1);
    assert_eq!(directions(&description), [Direction::Inactive; 2]);
    let uris: Vec<&str> = description.sections[1]
        .extensions
        .iter()
        .map(|line| line.uri.as_str())
        .collect();
    assert!(
        uris.contains(&"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
        "{uris:?}"
    );
    assert_eq!(description.sections[2].sctp_port, Some(5000));
    assert_eq!(description.bundle.len(), 3);
    assert!(!answer.sdp.contains("red/48000"));
}

#[test]
fn a_track_goes_from_one_to_the_other_and_back() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (mut ben, told) = stage.join("ben");
    assert!(requirement(&told).is_none());
    let (sid, told) = stage.publish(&mut ada);
    let (description, answered) = answer(&told);
    assert_eq!(answered.id, 2);
    assert_eq!(
        directions(&description),
        [Direction::Inactive, Direction::Inactive, Direction::RecvOnly]
    );
    let rids: Vec<&str> = description.sections[3]
        .rids
        .iter()
        .map(|line| line.rid.0.as_str())
        .collect();
    assert_eq!(rids, ["q", "h", "f"]);

    // The other is told who publishes, then to offer; one free section is enough.
    let told = stage.sync(&mut ben);
    let update = updated(&told);
    let info = update.iter().find(|one| one.identity == "ada").unwrap();
    assert_eq!(info.tracks[0].sid, sid.0);
    let qualities: Vec<i32> = info.tracks[0].codecs[0]
        .layers
        .iter()
        .map(|layer| layer.quality)
        .collect();
    assert_eq!(qualities, [0, 1, 2], "the lowest first");
    assert_eq!(requirement(&told), Some((0, 0)));
    assert!(stage.sync(&mut ben).is_empty(), "asked once");
    let told = stage.ask(&mut ben, Request::Offer(offer(2, "here", &POOL)));
    let (description, answered) = answer(&told);
    assert_eq!(directions(&description), [Direction::Inactive, Direction::SendOnly]);
    assert_eq!(answered.mid_to_track_id.get("1"), Some(&sid.0));
    let msid = description.sections[1].msid.clone().unwrap();
    assert_eq!((msid.stream, msid.track), (format!("{}|{}", ada.sid.0, sid.0), sid.0));
    assert_eq!(requirement(&told), None);

    // It goes away: an answer without it, and only the offer after that uses the section again.
    let lines = [POOL.as_slice(), &[("video", "inactive", "")]].concat();
    stage.ask(&mut ada, Request::Offer(offer(3, "here", &lines)));
    let told = stage.sync(&mut ben);
    assert!(
        updated(&told)
            .iter()
            .any(|one| one.identity == "ada" && one.tracks.is_empty())
    );
    assert_eq!(requirement(&told), Some((0, 0)));
    let lines = [lines.as_slice(), &[("video", "sendonly", "cam")]].concat();
    stage.ask(&mut ada, Request::AddTrack(camera()));
    stage.ask(&mut ada, Request::Offer(offer(4, "here", &lines)));
    let told = stage.ask(&mut ben, Request::Offer(offer(3, "here", &POOL)));
    let (description, answered) = answer(&told);
    assert_eq!(directions(&description), [Direction::Inactive; 2]);
    assert!(answered.mid_to_track_id.is_empty());
    assert_eq!(stage.plans.last().unwrap().change.close.len(), 1);
    assert_eq!(requirement(&told), Some((0, 0)));
    let told = stage.ask(&mut ben, Request::Offer(offer(4, "here", &POOL)));
    let (description, _) = answer(&told);
    assert_eq!(directions(&description), [Direction::Inactive, Direction::SendOnly]);
}

#[test]
fn too_few_sections_are_asked_for() {
    let mut stage = Stage::new();
    let (mut ben, _) = stage.join("ben");
    for name in ["ada", "cleo", "dora"] {
        let (mut client, _) = stage.join(name);
        stage.publish(&mut client);
    }
    let told = stage.sync(&mut ben);
    assert_eq!(requirement(&told), Some((0, 2)));
    let lines = [POOL.as_slice(), &[("video", "recvonly", ""), ("video", "recvonly", "")]].concat();
    let told = stage.ask(&mut ben, Request::Offer(offer(2, "here", &lines)));
    assert_eq!(answer(&told).1.mid_to_track_id.len(), 3);
    assert_eq!(requirement(&told), None);
}

#[test]
fn who_comes_later_gets_tracks_with_the_first_answer() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (_, told) = stage.join("ben");
    let Response::Join(join) = &told[0] else {
        panic!("{told:?}");
    };
    assert_eq!(join.other_participants[0].tracks[0].sid, sid.0);
    let (description, answered) = answer(&told);
    assert_eq!(directions(&description), [Direction::Inactive, Direction::SendOnly]);
    assert_eq!(answered.mid_to_track_id.len(), 1);
}

#[test]
fn other_protocols_publish_for_clients() {
    let mut stage = Stage::new();
    let (mut ben, _) = stage.join("ben");
    let whip = stage.room.join(Instant::now(), &profile("studio")).unwrap();
    stage.room.attach(whip, EndpointId(77));
    let track = NewTrack {
        id: TrackId(70),
        source: Source::Camera,
        codec: CodecSpec {
            codec: Codec::Vp8,
            h264: None,
        },
        rids: Vec::new(),
        sid: None,
        muted: false,
        details: TrackDetails::default(),
    };
    stage.room.publish(whip, track).unwrap();
    assert!(
        requirement(&stage.sync(&mut ben)).is_none(),
        "not before it is connected"
    );
    stage.room.on_connected(EndpointId(77));
    assert_eq!(requirement(&stage.sync(&mut ben)), Some((0, 0)));
    stage.ask(&mut ben, Request::Offer(offer(2, "here", &POOL)));
    assert_eq!(stage.plans.last().unwrap().change.open[0].source, TrackId(70));
}

#[test]
fn a_codec_that_is_not_offered_is_refused_once() {
    let mut stage = Stage::new();
    let (mut ben, _) = stage.join("ben");
    let whip = stage.room.join(Instant::now(), &profile("studio")).unwrap();
    stage.room.attach(whip, EndpointId(77));
    stage.room.on_connected(EndpointId(77));
    let track = NewTrack {
        id: TrackId(70),
        source: Source::Camera,
        codec: CodecSpec {
            codec: Codec::Av1,
            h264: None,
        },
        rids: Vec::new(),
        sid: None,
        muted: false,
        details: TrackDetails::default(),
    };
    stage.room.publish(whip, track).unwrap();
    assert_eq!(requirement(&stage.sync(&mut ben)), Some((0, 0)));
    let told = stage.ask(&mut ben, Request::Offer(offer(2, "here", &POOL)));
    assert!(
        told.iter().any(|one| matches!(one, Response::SubscriptionResponse(_))),
        "{told:?}"
    );
    assert_eq!(requirement(&told), None);
    assert!(stage.sync(&mut ben).is_empty());
}

#[test]
fn sizes_choose_encodings() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let settings = proto::ConnectionSettings {
        auto_subscribe: true,
        adaptive_stream: true,
        ..Default::default()
    };
    let request = proto::JoinRequest {
        connection_settings: Some(settings),
        ..Default::default()
    };
    let (mut ben, _) = stage.join_with(&profile("ben"), request);
    assert_eq!(stage.plans.last().unwrap().change.open[0].config.layers.spatial, 0);
    for (width, height, quality, disabled, spatial) in [
        (320, 180, 2, false, 0),
        (400, 216, 2, false, 0),
        (400, 217, 2, false, 1),
        (180, 320, 2, false, 0),
        (1920, 1080, 0, false, 255),
        (0, 0, 0, false, 0),
        (0, 0, 1, false, 1),
        (0, 0, 2, false, 255),
        (0, 0, 2, true, 255),
    ] {
        stage.touches.clear();
        let settings = proto::UpdateTrackSettings {
            track_sids: vec![sid.0.clone()],
            disabled,
            quality,
            width,
            height,
            ..Default::default()
        };
        assert!(stage.ask(&mut ben, Request::TrackSetting(settings)).is_empty());
        let paused = stage.touches.iter().any(|touch| matches!(touch, Touch::Pause(_, true)));
        assert_eq!(paused, disabled);
        let layers = stage.touches.iter().find_map(|touch| match touch {
            Touch::Layers(_, LayerTarget { spatial, .. }) => Some(*spatial),
            _ => None,
        });
        assert_eq!(layers, (!disabled).then_some(spatial), "{width}x{height} {quality}");
    }
}

#[test]
fn mute_is_told_and_only_by_the_owner() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, _) = stage.join("ben");
    let mute = proto::MuteTrackRequest {
        sid: sid.0,
        muted: true,
    };
    stage.ask(&mut ben, Request::Mute(mute.clone()));
    assert!(
        updated(&stage.sync(&mut ben))
            .iter()
            .all(|one| one.tracks.iter().all(|track| !track.muted))
    );
    stage.ask(&mut ada, Request::Mute(mute));
    let told = stage.sync(&mut ben);
    assert!(updated(&told)[0].tracks[0].muted);
}

#[test]
fn subscriptions_follow_wishes_and_permissions() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, told) = stage.join("ben");
    assert_eq!(answer(&told).1.mid_to_track_id.len(), 1);
    let update = |subscribe| proto::UpdateSubscription {
        track_sids: vec![sid.0.clone()],
        subscribe,
        ..Default::default()
    };
    let told = stage.ask(&mut ben, Request::Subscription(update(false)));
    assert_eq!(requirement(&told), Some((0, 0)));
    let told = stage.ask(&mut ben, Request::Offer(offer(2, "here", &POOL)));
    assert!(answer(&told).1.mid_to_track_id.is_empty());
    let told = stage.ask(&mut ben, Request::Subscription(update(true)));
    assert_eq!(requirement(&told), Some((0, 0)));
    stage.ask(&mut ben, Request::Offer(offer(3, "here", &POOL)));

    // The publisher lets only somebody else watch.
    let only = proto::SubscriptionPermission {
        all_participants: false,
        track_permissions: vec![proto::TrackPermission {
            participant_identity: "cleo".to_owned(),
            all_tracks: true,
            ..Default::default()
        }],
    };
    stage.ask(&mut ada, Request::SubscriptionPermission(only));
    assert_eq!(requirement(&stage.sync(&mut ben)), Some((0, 0)));
    let (_, told) = stage.join("cleo");
    assert_eq!(answer(&told).1.mid_to_track_id.len(), 1);
}

#[test]
fn another_codec_can_take_the_place_of_vp8() {
    let mut stage = Stage::new();
    for (name, announced) in [("", "video/VP9"), ("vp8", "video/VP9"), ("av1", "video/AV1")] {
        let (mut ada, _) = stage.join(&format!("who sends {name}"));
        ada.codecs.instead_of_vp8 = Some(Codec::Vp9);
        let list = describe::publishable(&ada.codecs);
        let list: Vec<&str> = list.iter().map(|one| one.mime.as_str()).collect();
        assert_eq!(list, ["video/VP9", "video/H264", "video/AV1", "audio/opus"]);
        let mut camera = camera();
        camera.simulcast_codecs = vec![proto::SimulcastCodec {
            codec: name.to_owned(),
            ..Default::default()
        }];
        let told = stage.ask(&mut ada, Request::AddTrack(camera));
        let [Response::TrackPublished(published)] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(published.track.as_ref().unwrap().mime_type, announced);
        let lines = [POOL.as_slice(), &[("video", "sendonly", "cam")]].concat();
        let told = stage.ask(&mut ada, Request::Offer(offer(2, "here", &lines)));
        // VP8 comes before it in the offer, and AV1 is not offered.
        let received = answer(&told).0.sections[3].formats[0].codec().unwrap();
        assert_eq!(received.codec, Codec::Vp9, "{name}");
    }
}

#[test]
fn rights_are_looked_at() {
    let mut stage = Stage::new();
    let mut listener = profile("listener");
    listener.permissions.sources = vec![Source::Microphone];
    listener.permissions.hidden = true;
    let (mut client, _) = stage.join_with(&listener, proto::JoinRequest::default());
    let told = stage.ask(&mut client, Request::AddTrack(camera()));
    let [Response::RequestResponse(refusal)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(refusal.reason, proto::request_response::Reason::NotAllowed as i32);
    let update = proto::UpdateParticipantMetadata {
        name: "Other".to_owned(),
        request_id: 7,
        ..Default::default()
    };
    let told = stage.ask(&mut client, Request::UpdateMetadata(update));
    let [Response::RequestResponse(refusal)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(
        (refusal.request_id, refusal.reason),
        (7, proto::request_response::Reason::NotAllowed as i32)
    );
    let (_, told) = stage.join("ada");
    let Response::Join(join) = &told[0] else {
        panic!("{told:?}");
    };
    assert!(join.other_participants.is_empty(), "hidden");
}

#[test]
fn metadata_is_told_to_all() {
    let mut stage = Stage::new();
    let mut changing = profile("ada");
    changing.permissions.update_own_metadata = true;
    changing.attributes.insert("hand".to_owned(), "up".to_owned());
    let (mut ada, _) = stage.join_with(&changing, proto::JoinRequest::default());
    let (mut ben, _) = stage.join("ben");
    let update = proto::UpdateParticipantMetadata {
        name: "Ada".to_owned(),
        metadata: "more".to_owned(),
        attributes: [("hand".to_owned(), String::new())].into(),
        request_id: 3,
    };
    let own = stage.ask(&mut ada, Request::UpdateMetadata(update));
    // The client knows its own change when it is confirmed: it may send it back with the next one.
    assert!(matches!(&own[1], Response::RequestResponse(one) if one.reason == 0 && one.request_id == 3));
    let others = stage.sync(&mut ben);
    for told in [&own[..1], &others] {
        let told = updated(told);
        let info = told.iter().find(|one| one.identity == "ada").unwrap();
        assert_eq!((info.name.as_str(), info.metadata.as_str()), ("Ada", "more"));
        assert!(info.attributes.is_empty());
    }
    assert!(
        updated(&stage.sync(&mut ada)).iter().all(|one| one.identity != "ada"),
        "told twice"
    );
}

#[test]
fn who_comes_back_is_told_all_again_and_may_restart_ice() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, _) = stage.join("ben");
    stage.sync(&mut ben);
    let cleo = stage.room.join(Instant::now(), &profile("cleo")).unwrap();
    stage.sync(&mut ben);
    stage.room.leave(cleo, crate::room::Departure::Left);
    ben.resume(&mut stage.room, 0);
    let told = stage.run(&mut ben);
    assert!(matches!(told[0], Response::Reconnect(_)));
    let update = updated(&told);
    let state = |identity: &str| update.iter().find(|one| one.identity == identity).map(|one| one.state);
    assert_eq!(state("cleo"), Some(proto::participant_info::State::Disconnected as i32));
    assert!(state("ada").is_some() && state("ben").is_some());
    let track = proto::TrackInfo {
        sid: sid.0,
        ..Default::default()
    };
    let state = |track: &proto::TrackInfo| proto::SyncState {
        publish_tracks: vec![proto::TrackPublishedResponse {
            track: Some(track.clone()),
            ..Default::default()
        }],
        ..Default::default()
    };
    assert!(stage.ask(&mut ada, Request::SyncState(state(&track))).is_empty());
    let told = stage.ask(&mut ben, Request::SyncState(state(&track)));
    assert!(
        matches!(&told[0], Response::Leave(leave) if leave.action == 2),
        "not ben's track: {told:?}"
    );

    let lines = [POOL.as_slice(), &[("video", "sendonly", "cam")]].concat();
    stage.ask(&mut ada, Request::Offer(offer(3, "here", &lines)));
    assert!(stage.plans.last().unwrap().change.remote.is_none());
    stage.ask(&mut ada, Request::Offer(offer(4, "anew", &lines)));
    assert!(stage.plans.last().unwrap().change.remote.is_some());
    assert!(
        stage.plans.last().unwrap().change.tracks.is_empty(),
        "the track is there already"
    );
}

#[test]
fn nonsense_ends_in_a_good_bye() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let bad = proto::SessionDescription {
        sdp: "nonsense".to_owned(),
        ..Default::default()
    };
    let told = stage.ask(&mut ada, Request::Offer(bad));
    assert!(matches!(&told[0], Response::Leave(leave) if leave.action == 2));
    let (mut ben, _) = stage.join("ben");
    let trickle = proto::TrickleRequest {
        candidate_init: "{".to_owned(),
        ..Default::default()
    };
    assert!(stage.ask(&mut ben, Request::Trickle(trickle)).is_empty());
    assert!(stage.touches.is_empty());
    let ping = proto::Ping { timestamp: 5, rtt: 1 };
    let told = stage.ask(&mut ben, Request::PingReq(ping));
    assert!(matches!(&told[0], Response::PongResp(pong) if pong.last_ping_timestamp == 5));
}

#[test]
fn many_who_come_at_once_are_told_in_pages() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    stage.sync(&mut ada);
    let now = Instant::now();
    for number in 0..999 {
        stage
            .room
            .join(
                now + Duration::from_millis(number),
                &profile(&format!("guest-{number}")),
            )
            .unwrap();
    }
    let told = stage.sync(&mut ada);
    assert_eq!(updated(&told).len(), 999);
    assert!(told.len() <= 5, "{} messages", told.len());
    assert!(stage.sync(&mut ada).is_empty());
}

#[test]
fn speakers_are_told_once_and_when_they_stop() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let told = stage.ask(
        &mut ada,
        Request::AddTrack(proto::AddTrackRequest {
            cid: "mic".to_owned(),
            ..Default::default()
        }),
    );
    assert!(matches!(told[0], Response::TrackPublished(_)));
    let lines = [POOL.as_slice(), &[("audio", "sendonly", "mic")]].concat();
    stage.ask(&mut ada, Request::Offer(offer(2, "here", &lines)));
    let track = stage.room.connection(ada.connection).unwrap().tracks[0].clone();
    let (mut ben, _) = stage.join("ben");
    stage.sync(&mut ben);
    let speakers = |told: &[Response]| -> Vec<(String, bool)> {
        told.iter()
            .filter_map(|one| match one {
                Response::SpeakersChanged(change) => Some(&change.speakers),
                _ => None,
            })
            .flatten()
            .map(|one| (one.sid.clone(), one.active))
            .collect()
    };
    let revision = stage.room.revision();
    for (level, muted, expected) in [
        (Some(20), false, Some(true)),
        (Some(20), false, None),
        (Some(10), false, Some(true)),
        (None, false, Some(false)),
        (None, false, None),
        (Some(20), true, None),
    ] {
        stage.room.mute(&track.sid, muted);
        stage.room.hear(
            Instant::now(),
            &level.into_iter().map(|level| (track.id, talks(level))).collect(),
        );
        let told = stage.sync(&mut ben);
        let expected: Vec<(String, bool)> = expected.into_iter().map(|active| (ada.sid.0.clone(), active)).collect();
        assert_eq!(speakers(&told), expected, "{level:?} {muted}");
        assert!(muted || updated(&told).is_empty());
    }
    assert_eq!(stage.room.revision(), revision + 1, "only the mute lasts");
    // Whose program asks for it is said to speak for a while.
    let speak = proto::simulate_scenario::Scenario::SpeakerUpdate(3);
    stage.ask(
        &mut ada,
        Request::Simulate(proto::SimulateScenario { scenario: Some(speak) }),
    );
    let start = Instant::now();
    for (after, expected) in [(0, Some(true)), (2, None), (4, Some(false))] {
        stage.room.hear(start + Duration::from_secs(after), &HashMap::new());
        let told = stage.sync(&mut ben);
        let expected: Vec<(String, bool)> = expected.into_iter().map(|active| (ada.sid.0.clone(), active)).collect();
        assert_eq!(speakers(&told), expected, "after {after} s");
    }
}

/// Somebody who has spoken for a second, `minus_dbov` below full scale.
fn talks(minus_dbov: u8) -> Activity {
    Activity {
        immediate: 90,
        medium: 5,
        long: 5,
        minus_dbov,
    }
}

#[test]
fn cameras_that_the_room_does_not_show_are_paused_unless_chosen() {
    let mut stage = Stage::new();
    stage.room = Room::new(
        "hall",
        1,
        RoomLimits {
            last_n: Some(1),
            ..RoomLimits::default()
        },
    );
    let (mut ada, _) = stage.join("ada");
    let (camera, _) = stage.publish(&mut ada);
    let (mut cleo, _) = stage.join("cleo");
    stage.sync(&mut cleo);
    let pictures = cleo.subscriptions();
    assert_eq!(pictures.len(), 1);
    let (mut ben, _) = stage.join("ben");
    stage.publish(&mut ben);
    let hear = |stage: &mut Stage, who: &Client, cleo: &mut Client| {
        let track = stage.room.connection(who.connection).unwrap().tracks[0].id;
        stage.touches.clear();
        stage.room.hear(Instant::now(), &[(track, talks(20))].into());
        stage.sync(cleo);
        let paused = stage.touches.iter().filter_map(|touch| match touch {
            Touch::Pause(id, paused) => Some((*id, *paused)),
            _ => None,
        });
        paused.collect::<Vec<_>>()
    };
    assert_eq!(hear(&mut stage, &ben, &mut cleo), [(pictures[0], true)]);
    assert_eq!(hear(&mut stage, &ben, &mut cleo), []);
    assert_eq!(hear(&mut stage, &ada, &mut cleo), [(pictures[0], false)]);
    stage.ask(
        &mut cleo,
        Request::Subscription(proto::UpdateSubscription {
            track_sids: vec![camera.0],
            subscribe: true,
            ..Default::default()
        }),
    );
    assert_eq!(hear(&mut stage, &ben, &mut cleo), [], "who is chosen by name stays");
}

#[test]
fn a_client_is_told_all_before_its_accident() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let simulate = |scenario| {
        Request::Simulate(proto::SimulateScenario {
            scenario: Some(scenario),
        })
    };
    let state = || Request::SyncState(proto::SyncState::default());
    let loses = |client: &mut Client| std::iter::from_fn(|| client.poll()).any(|step| matches!(step, Step::Lose));
    let told = proto::simulate_scenario::Scenario::DisconnectSignalOnResume(true);
    let silent = proto::simulate_scenario::Scenario::DisconnectSignalOnResumeNoMessages(true);
    stage.ask(&mut ada, simulate(told));
    ada.resume(&mut stage.room, 0);
    assert!(!loses(&mut ada), "lost before it was heard");
    ada.handle(&mut stage.room, state());
    assert!(loses(&mut ada), "not lost");
    stage.ask(&mut ada, simulate(silent));
    ada.resume(&mut stage.room, 0);
    assert!(ada.poll().is_none(), "something was said");
    ada.check(Instant::now());
    assert!(loses(&mut ada), "not lost without a word");
    ada.resume(&mut stage.room, 0);
    ada.handle(&mut stage.room, state());
    assert!(!loses(&mut ada), "more accidents than were asked for");
}

#[test]
fn a_client_that_migrates_comes_back_to_the_same_place() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let migration = proto::simulate_scenario::Scenario::Migration(true);
    ada.handle(
        &mut stage.room,
        Request::Simulate(proto::SimulateScenario {
            scenario: Some(migration),
        }),
    );
    let Some(Step::Send(told)) = ada.poll() else {
        panic!("told nothing");
    };
    assert!(matches!(*told, Response::Leave(leave) if leave.action == proto::leave_request::Action::Resume as i32));
    assert!(matches!(ada.poll(), Some(Step::Lose)), "the WebSocket goes on");
    assert!(ada.poll().is_none(), "the connection ends");
    ada.resume(&mut stage.room, 0);
    assert!(matches!(stage.run(&mut ada)[0], Response::Reconnect(_)));
}

#[test]
fn more_is_wanted_at_once_and_less_after_a_while() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, _) = stage.join("ben");
    let track = stage.room.connection(ada.connection).unwrap().tracks[0].clone();
    assert_eq!(stage.room.demand(&track), Some(255));
    let set = |quality, disabled| {
        Request::TrackSetting(proto::UpdateTrackSettings {
            track_sids: vec![sid.0.clone()],
            quality,
            disabled,
            ..Default::default()
        })
    };
    let enabled = |told: &[Response]| {
        told.iter().find_map(|one| match one {
            Response::SubscribedQualityUpdate(update) => Some(
                update.subscribed_codecs[0]
                    .qualities
                    .iter()
                    .filter(|one| one.enabled)
                    .count(),
            ),
            _ => None,
        })
    };
    assert_eq!(enabled(&stage.sync(&mut ada)), None, "all are sent from the start");
    stage.ask(&mut ben, set(0, false));
    assert_eq!(stage.room.demand(&track), Some(0));
    assert_eq!(enabled(&stage.sync(&mut ada)), None, "not yet");
    let now = Instant::now();
    ada.encodings(&stage.room, now + Duration::from_secs(4));
    assert_eq!(enabled(&stage.run(&mut ada)), None);
    ada.encodings(&stage.room, now + Duration::from_secs(6));
    assert_eq!(enabled(&stage.run(&mut ada)), Some(1));
    stage.ask(&mut ben, set(1, false));
    assert_eq!(enabled(&stage.sync(&mut ada)), Some(2));
    stage.ask(&mut ben, set(2, true));
    assert_eq!(stage.room.demand(&track), None);
}
