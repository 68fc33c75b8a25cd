//! Rooms as tables of calls and what must come of them.

use std::time::{Duration, Instant};

use althing_media_core::LayerTarget;
use althing_media_core::config::{EndpointId, SubscriptionId, TrackId};
use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::speakers::Activity;

use super::model::{CONNECT_TIMEOUT, NewTrack};
use super::*;
use crate::sdp::CodecSpec;

struct Stage {
    room: Room,
    now: Instant,
}

fn profile(identity: &str) -> Profile {
    let permissions = Permissions {
        publish: true,
        subscribe: true,
        ..Permissions::default()
    };
    Profile {
        identity: identity.to_owned(),
        permissions,
        ..Profile::default()
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            room: Room::new(
                "assembly",
                1,
                RoomLimits {
                    participants: 3,
                    connections: 3,
                    ..RoomLimits::default()
                },
            ),
            now: Instant::now(),
        }
    }

    /// Publishes video as track `id` on an endpoint of the same number, and audio as `id + 1`.
    fn publisher(&mut self, identity: &str, id: u64) -> ConnectionId {
        let connection = self.room.join(self.now, &profile(identity)).unwrap();
        assert!(self.room.attach(connection, EndpointId(id)));
        for (id, codec, source) in [
            (id, Codec::Vp8, Source::Camera),
            (id + 1, Codec::Opus, Source::Microphone),
        ] {
            let codec = CodecSpec { codec, h264: None };
            self.room
                .publish(
                    connection,
                    NewTrack {
                        id: TrackId(id),
                        source,
                        codec,
                        rids: vec![],
                        sid: None,
                        muted: false,
                        details: TrackDetails::default(),
                    },
                )
                .unwrap();
        }
        connection
    }

    /// Watches with the video stream `id` and the audio stream `id + 1`.
    fn watcher(&mut self, identity: &str, target: Option<&str>, id: u64) -> ConnectionId {
        let connection = self.room.join(self.now, &profile(identity)).unwrap();
        let target = Target {
            identity: target.map(str::to_owned),
            screen: false,
        };
        self.room.watch(connection, target);
        assert!(self.room.attach(connection, EndpointId(id)));
        for (id, kind, codec) in [
            (id, MediaKind::Video, Codec::Vp8),
            (id + 1, MediaKind::Audio, Codec::Opus),
        ] {
            let subscription = SubscriptionId(id);
            let slot = Slot {
                subscription,
                kind,
                codecs: vec![codec],
                layers: LayerTarget::BEST,
                source: None,
            };
            self.room.open(connection, slot);
        }
        connection
    }

    /// Sources that were set since the last call.
    fn sources(&mut self) -> Vec<(u64, Option<u64>)> {
        let mut sources = Vec::new();
        while let Some(effect) = self.room.poll_effect() {
            if let Effect::SetSource { subscription, source } = effect {
                sources.push((subscription.0, source.map(|track| track.0)));
            }
        }
        sources
    }

    fn events(&mut self) -> Vec<RoomEvent> {
        std::iter::from_fn(|| self.room.poll_event()).collect()
    }
}

#[test]
fn a_watcher_gets_who_publishes() {
    let mut stage = Stage::new();
    stage.publisher("ada", 10);
    stage.watcher("bob", None, 50);
    assert_eq!(stage.sources(), [], "not before media flows");
    stage.room.on_connected(EndpointId(10));
    assert_eq!(stage.sources(), [(50, Some(10)), (51, Some(11))]);
    stage.watcher("eve", Some("ada"), 60);
    assert_eq!(stage.sources(), [(60, Some(10)), (61, Some(11))]);
}

#[test]
fn a_watcher_waits_and_moves_on() {
    let mut stage = Stage::new();
    let watcher = stage.watcher("bob", None, 50);
    assert_eq!(stage.sources(), []);
    stage.publisher("ada", 10);
    stage.room.on_connected(EndpointId(10));
    assert_eq!(stage.sources(), [(50, Some(10)), (51, Some(11))]);
    stage.publisher("eve", 20);
    stage.room.on_connected(EndpointId(20));
    assert_eq!(stage.sources(), [], "stays with ada");
    stage.events();
    stage.room.on_disconnected(EndpointId(10));
    assert_eq!(stage.sources(), [(50, Some(20)), (51, Some(21))]);
    let eve = stage.room.participants().last().unwrap().sid.clone();
    assert!(stage.events().contains(&RoomEvent::Shown(watcher, Some(eve))));
    stage.room.on_disconnected(EndpointId(20));
    assert_eq!(stage.sources(), [(50, None), (51, None)]);
}

#[test]
fn who_chooses_their_watchers_is_in_no_view() {
    let mut stage = Stage::new();
    let ada = stage.publisher("ada", 10);
    stage.room.on_connected(EndpointId(10));
    stage.watcher("bob", Some("ada"), 50);
    assert_eq!(stage.sources(), [(50, Some(10)), (51, Some(11))]);
    stage.room.set_audience(ada, Audience { only: Some(Vec::new()) });
    assert_eq!(stage.sources(), [(50, None), (51, None)]);
    stage.room.set_audience(ada, Audience::default());
    assert_eq!(stage.sources(), [(50, Some(10)), (51, Some(11))]);
}

#[test]
fn a_named_target_is_no_other() {
    let mut stage = Stage::new();
    stage.watcher("bob", Some("eve"), 50);
    stage.publisher("ada", 10);
    stage.room.on_connected(EndpointId(10));
    assert_eq!(stage.sources(), []);
    stage.publisher("eve", 20);
    stage.room.on_connected(EndpointId(20));
    assert_eq!(stage.sources(), [(50, Some(20)), (51, Some(21))]);
}

#[test]
fn who_comes_back_replaces_the_old_connection() {
    let mut stage = Stage::new();
    let old = stage.publisher("ada", 10);
    stage.room.on_connected(EndpointId(10));
    stage.watcher("bob", None, 50);
    stage.sources();
    stage.publisher("ada", 20);
    assert_eq!(stage.sources(), [], "the old one stays until the new one works");
    stage.room.on_connected(EndpointId(20));
    let effects: Vec<Effect> = std::iter::from_fn(|| stage.room.poll_effect()).collect();
    let source = |subscription, track| Effect::SetSource {
        subscription: SubscriptionId(subscription),
        source: Some(TrackId(track)),
    };
    let closed = Effect::Close {
        connection: old,
        endpoints: vec![EndpointId(10)],
    };
    assert_eq!(
        effects,
        [source(50, 20), source(51, 21), closed],
        "straight from one to the other"
    );
    assert_eq!(stage.room.participants().len(), 2);
}

#[test]
fn a_screen_is_watched_apart() {
    let mut stage = Stage::new();
    stage.publisher("ada", 10);
    stage.room.on_connected(EndpointId(10));
    let screen = stage.room.join(stage.now, &profile("ada")).unwrap();
    stage.room.attach(screen, EndpointId(30));
    let codec = CodecSpec {
        codec: Codec::Vp8,
        h264: None,
    };
    let track = NewTrack {
        id: TrackId(30),
        source: Source::ScreenShare,
        codec,
        rids: vec![],
        sid: None,
        muted: false,
        details: TrackDetails::default(),
    };
    stage.room.publish(screen, track).unwrap();
    stage.room.on_connected(EndpointId(30));
    stage.watcher("bob", Some("ada"), 50);
    assert_eq!(stage.sources(), [(50, Some(10)), (51, Some(11))]);
    let target = Target {
        identity: Some("ada".to_owned()),
        screen: true,
    };
    assert_eq!(
        stage.room.preview(&target, MediaKind::Video).map(|track| track.id),
        Some(TrackId(30))
    );
    assert_eq!(stage.room.preview(&target, MediaKind::Audio), None);
}

#[test]
fn rights_and_limits() {
    let mut stage = Stage::new();
    let mut listener = profile("listener");
    listener.permissions.publish = false;
    let connection = stage.room.join(stage.now, &listener).unwrap();
    let codec = CodecSpec {
        codec: Codec::Opus,
        h264: None,
    };
    let track = NewTrack {
        id: TrackId(1),
        source: Source::Microphone,
        codec,
        rids: vec![],
        sid: None,
        muted: false,
        details: TrackDetails::default(),
    };
    let error = stage.room.publish(connection, track.clone()).unwrap_err();
    assert_eq!(error, PublishError::NotAllowed(Source::Microphone));
    listener.permissions = Permissions {
        publish: true,
        sources: vec![Source::Camera],
        ..Permissions::default()
    };
    let connection = stage.room.join(stage.now, &listener).unwrap();
    assert!(stage.room.publish(connection, track.clone()).is_err());
    assert_eq!(
        stage.room.publish(ConnectionId(999), track).unwrap_err(),
        PublishError::NoConnection
    );

    stage.room.join(stage.now, &listener).unwrap();
    assert_eq!(
        stage.room.join(stage.now, &listener).unwrap_err(),
        JoinError::TooManyConnections
    );
    stage.room.join(stage.now, &profile("a")).unwrap();
    stage.room.join(stage.now, &profile("b")).unwrap();
    assert_eq!(
        stage.room.join(stage.now, &profile("c")).unwrap_err(),
        JoinError::RoomFull
    );
    assert!(stage.room.is_full_for("c"));
    assert!(!stage.room.is_full_for("b"), "who is here may come again");
}

#[test]
fn what_never_connects_is_closed() {
    let mut stage = Stage::new();
    stage.publisher("ada", 10);
    stage.publisher("bob", 20);
    stage.room.on_connected(EndpointId(20));
    stage
        .room
        .handle_timeout(stage.now + CONNECT_TIMEOUT - Duration::from_millis(1));
    assert_eq!(stage.room.participants().len(), 2);
    stage.room.handle_timeout(stage.now + CONNECT_TIMEOUT);
    assert_eq!(stage.room.participants().len(), 1);
    let Some(Effect::Close { endpoints, .. }) = stage.room.poll_effect() else {
        panic!("nothing is closed");
    };
    assert_eq!(endpoints, [EndpointId(10)]);
    stage.room.on_disconnected(EndpointId(20));
    assert!(stage.room.is_empty());
}

#[test]
fn events_tell_the_whole_story() {
    let mut stage = Stage::new();
    let ada = stage.publisher("ada", 10);
    let sid = stage.room.participants()[0].sid.clone();
    assert!(sid.0.starts_with("PA_") && sid.0.len() == 15);
    assert_eq!(
        stage.events(),
        [RoomEvent::Began, RoomEvent::ParticipantJoined(sid.clone())]
    );
    stage.room.on_connected(EndpointId(10));
    stage.room.on_connected(EndpointId(10));
    let mut published: Vec<Track> = stage.room.participants()[0].tracks().cloned().collect();
    let tracks: Vec<TrackSid> = published.iter().map(|track| track.sid.clone()).collect();
    assert_eq!(
        stage.events(),
        [
            RoomEvent::ParticipantActive(sid.clone()),
            RoomEvent::TrackPublished(sid.clone(), tracks[0].clone()),
            RoomEvent::TrackPublished(sid.clone(), tracks[1].clone()),
        ]
    );
    stage.room.mute(&tracks[0], true);
    stage.room.mute(&tracks[0], true);
    assert_eq!(
        stage.room.poll_effect(),
        Some(Effect::Mute {
            track: TrackId(10),
            muted: true
        })
    );
    assert_eq!(stage.room.poll_effect(), None);
    assert_eq!(
        stage.events(),
        [RoomEvent::TrackMuted(sid.clone(), tracks[0].clone(), true)]
    );
    stage.room.leave(ada, Departure::Removed);
    stage.room.leave(ada, Departure::Left);
    published[0].muted = true;
    let events = stage.events();
    let [unpublished @ .., RoomEvent::ParticipantLeft(gone, Departure::Removed)] = events.as_slice() else {
        panic!("{events:?}");
    };
    let expected: Vec<RoomEvent> = published
        .into_iter()
        .map(|track| RoomEvent::TrackUnpublished(sid.clone(), Box::new(track)))
        .collect();
    assert_eq!(unpublished, expected);
    assert!(gone.sid == sid && gone.reached && gone.connections.is_empty());
}

#[test]
fn a_room_lasts_a_while_after_the_last_one_has_left_and_begins_anew_after_that() {
    let mut stage = Stage::new();
    let mut now = stage.now;
    stage.room.handle_timeout(now + Duration::from_secs(1_000_000));
    assert!(stage.events().is_empty() && !stage.room.lasts(), "it has not begun");
    let ada = stage.publisher("ada", 10);
    let first = stage.room.sid().to_owned();
    stage.room.set_metadata("agenda".to_owned());
    stage.room.configure(RoomSettings {
        max_participants: 1,
        ..RoomSettings::default()
    });
    assert_eq!(stage.room.join(now, &profile("bob")), Err(JoinError::RoomFull));
    stage.room.on_connected(EndpointId(10));
    now += Duration::from_secs(3600);
    stage.room.handle_timeout(now);
    stage.room.leave(ada, Departure::Left);
    stage.events();

    // Somebody comes back in time, and the wait begins from the start.
    stage.room.handle_timeout(now);
    now += DEPARTURE_TIMEOUT - Duration::from_secs(1);
    stage.room.handle_timeout(now);
    let ada = stage.publisher("ada", 20);
    stage.room.leave(ada, Departure::Left);
    stage.room.handle_timeout(now);
    now += DEPARTURE_TIMEOUT - Duration::from_secs(1);
    stage.room.handle_timeout(now);
    assert!(stage.room.lasts() && stage.room.sid() == first);
    stage.events();
    now += Duration::from_secs(1);
    stage.room.handle_timeout(now);
    stage.room.handle_timeout(now);
    assert_eq!(stage.events(), [RoomEvent::Ended(EndReason::Idle)]);
    assert!(!stage.room.lasts());

    stage.publisher("bob", 30);
    assert_eq!(stage.events()[0], RoomEvent::Began);
    assert!(stage.room.lasts() && stage.room.sid() != first);
    assert_eq!((stage.room.metadata(), stage.room.max_participants()), ("", None));
}

#[test]
fn a_room_that_was_made_waits_longer_and_a_deleted_one_not_at_all() {
    let mut stage = Stage::new();
    stage.room.begin(stage.now);
    stage.room.begin(stage.now);
    let settings = RoomSettings {
        empty_timeout: 7,
        departure_timeout: 3,
        ..RoomSettings::default()
    };
    assert_eq!(stage.room.timeouts(), Timeouts::default());
    stage.room.configure(settings);
    for (second, lasts) in [(0, true), (6, true), (7, false)] {
        stage.room.handle_timeout(stage.now + Duration::from_secs(second));
        assert_eq!(stage.room.lasts(), lasts, "after {second} s");
    }
    assert_eq!(stage.events(), [RoomEvent::Began, RoomEvent::Ended(EndReason::Idle)]);

    let ada = stage.publisher("ada", 10);
    stage.events();
    stage.room.end(EndReason::Deleted);
    stage.room.end(EndReason::Deleted);
    let events = stage.events();
    let [
        RoomEvent::ParticipantLeft(gone, Departure::RoomDeleted),
        RoomEvent::Ended(EndReason::Deleted),
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert!(!gone.reached && stage.room.connection(ada).is_none());
}

#[test]
fn layers_are_remembered_and_told() {
    let mut stage = Stage::new();
    let watcher = stage.watcher("bob", None, 50);
    let layers = LayerTarget {
        spatial: 1,
        temporal: 0,
    };
    stage.room.set_layers(watcher, SubscriptionId(50), layers);
    stage.room.set_layers(watcher, SubscriptionId(99), layers);
    assert_eq!(
        stage.room.poll_effect(),
        Some(Effect::SetLayers {
            subscription: SubscriptionId(50),
            layers
        })
    );
    assert_eq!(stage.room.poll_effect(), None);
    assert_eq!(
        stage.room.connection(watcher).unwrap().view.as_ref().unwrap().slots[0].layers,
        layers
    );
}

#[test]
fn of_what_is_wanted_again_and_again_only_the_last_counts() {
    let mute = |track, muted| Effect::Mute {
        track: TrackId(track),
        muted,
    };
    let source = |subscription, source: Option<u64>| Effect::SetSource {
        subscription: SubscriptionId(subscription),
        source: source.map(TrackId),
    };
    let layers = |subscription| Effect::SetLayers {
        subscription: SubscriptionId(subscription),
        layers: LayerTarget::BEST,
    };
    for (new, old, superseded) in [
        (mute(1, true), mute(1, false), true),
        (mute(1, true), mute(2, true), false),
        (source(1, None), source(1, Some(5)), true),
        (source(1, None), source(2, None), false),
        (layers(1), layers(1), true),
        (layers(1), source(1, None), false),
        (
            Effect::RemoveTrack { track: TrackId(1) },
            Effect::RemoveTrack { track: TrackId(1) },
            false,
        ),
    ] {
        assert_eq!(new.supersedes(&old), superseded, "{new:?} after {old:?}");
    }
}

/// Somebody who has spoken for a second.
fn speech() -> Activity {
    Activity {
        immediate: 90,
        medium: 5,
        long: 5,
        minus_dbov: 20,
    }
}

#[test]
fn cameras_of_those_who_spoke_last_are_shown() {
    let mut stage = Stage::new();
    stage.room.limits.last_n = Some(1);
    for (identity, id) in [("ada", 10), ("bob", 20), ("cid", 30)] {
        stage.publisher(identity, id);
        stage.room.on_connected(EndpointId(id));
    }
    let shown = |room: &Room| {
        let seen = |viewer: &Participant, owner: &Participant| {
            let camera = owner.tracks().find(|track| track.kind == MediaKind::Video).unwrap();
            let sound = owner.tracks().find(|track| track.kind == MediaKind::Audio).unwrap();
            assert!(room.shows(&viewer.sid, &owner.sid, sound), "sound is never left out");
            let screen = Track {
                source: Source::ScreenShare,
                ..camera.clone()
            };
            assert!(room.shows(&viewer.sid, &owner.sid, &screen), "nor are screens");
            room.shows(&viewer.sid, &owner.sid, camera)
        };
        let all = room.participants();
        let row = |viewer: &Participant| {
            let others = all
                .iter()
                .filter(|owner| owner.sid != viewer.sid && seen(viewer, owner));
            others
                .map(|owner| owner.profile.identity.clone())
                .collect::<Vec<_>>()
                .join(" ")
        };
        all.iter().map(row).collect::<Vec<_>>()
    };
    let hear = |stage: &mut Stage, track: u64| {
        stage.room.hear(stage.now, &[(TrackId(track), speech())].into());
        shown(&stage.room)
    };
    assert_eq!(
        hear(&mut stage, 99),
        ["bob", "ada", "ada"],
        "who came first, and nobody himself"
    );
    stage.events();
    assert_eq!(hear(&mut stage, 21), ["bob", "ada", "bob"]);
    assert!(stage.events().contains(&RoomEvent::Speaking));
    assert_eq!(stage.room.leader(), Some(&stage.room.participants()[1].sid));
    assert_eq!(hear(&mut stage, 31), ["cid", "cid", "bob"]);
    assert_eq!(hear(&mut stage, 99), ["cid", "cid", "bob"], "silence changes nothing");
}

#[test]
fn microphones_enter_the_stage_where_only_the_loudest_are_heard() {
    let mut stage = Stage::new();
    stage.publisher("ada", 10);
    let entered = |stage: &mut Stage| {
        let effects = std::iter::from_fn(|| stage.room.poll_effect());
        let entered = |effect| match effect {
            Effect::EnterStage { track, stage } => Some((track.0, stage.1.loudest)),
            _ => None,
        };
        effects.filter_map(entered).collect::<Vec<_>>()
    };
    assert_eq!(entered(&mut stage), []);
    stage.room.limits.loudest = Some(5);
    stage.publisher("bob", 20);
    assert_eq!(entered(&mut stage), [(21, 5)]);
}
