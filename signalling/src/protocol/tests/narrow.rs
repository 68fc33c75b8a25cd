//! A client with a narrow line: whom the router serves first, and what the client is told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use althing_media_core::config::SubscriptionId;
use althing_media_core::rtcp::Bitrate;

use super::{POOL, Stage, camera, offer, talks};
use crate::protocol::client::Client;
use crate::protocol::media::Touch;
use crate::protocol::wire::{Request, Response, proto};
use crate::room::TrackSid;

/// What was told of streams: the track, and whether it flows.
fn states(told: &[Response]) -> Vec<(String, bool)> {
    let updates = told.iter().filter_map(|one| match one {
        Response::StreamStateUpdate(update) => Some(&update.stream_states),
        _ => None,
    });
    let flows = |one: &proto::StreamStateInfo| one.state == proto::StreamState::Active as i32;
    updates
        .flatten()
        .map(|one| (one.track_sid.clone(), flows(one)))
        .collect()
}

/// The ranks that the router was told since the last time.
fn ranks(stage: &mut Stage) -> Vec<u8> {
    let touches = std::mem::take(&mut stage.touches);
    let ranks = touches.iter().filter_map(|touch| match touch {
        Touch::Rank(_, rank) => Some(*rank),
        _ => None,
    });
    ranks.collect()
}

fn hear(stage: &mut Stage, ben: &mut Client, who: Option<&Client>, now: Instant) {
    let track = who.and_then(|who| Some(stage.room.connection(who.connection)?.tracks.first()?.id));
    let heard: HashMap<_, _> = track.into_iter().map(|track| (track, talks(20))).collect();
    stage.room.hear(now, &heard);
    ben.follow_speakers(&stage.room, now);
    stage.run(ben);
}

#[test]
fn a_stream_that_waits_is_told_once_and_again_to_who_comes_back() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, _) = stage.join("ben");
    let subscription = ben.subscription(&sid).expect("it is watched");
    let tell = |stage: &mut Stage, ben: &mut Client, states: &[(SubscriptionId, bool)]| {
        ben.on_stream_states(&stage.room, states);
        self::states(&stage.run(ben))
    };
    let (waits, flows) = ([(subscription, false)], [(subscription, true)]);
    assert_eq!(tell(&mut stage, &mut ben, &flows), [], "it was not told to wait");
    assert_eq!(tell(&mut stage, &mut ben, &waits), [(sid.0.clone(), false)]);
    assert_eq!(tell(&mut stage, &mut ben, &waits), []);
    assert_eq!(
        tell(&mut stage, &mut ben, &[(SubscriptionId(999), false)]),
        [],
        "nobody's"
    );
    ben.resume(&mut stage.room, 0);
    stage.run(&mut ben);
    assert_eq!(tell(&mut stage, &mut ben, &waits), [(sid.0.clone(), false)]);
    assert_eq!(tell(&mut stage, &mut ben, &flows), [(sid.0, true)]);
}

#[test]
fn who_speaks_and_what_is_large_or_has_priority_comes_first() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, _) = stage.join("ben");
    let first = stage.plans.last().unwrap().change.open[0].rank;
    let settle = |stage: &mut Stage, ben: &mut Client, quality, priority| {
        let settings = proto::UpdateTrackSettings {
            track_sids: vec![sid.0.clone()],
            quality,
            priority,
            ..Default::default()
        };
        stage.ask(ben, Request::TrackSetting(settings));
        ranks(stage)[0]
    };
    let ranks_of = [(0, 0), (1, 0), (2, 0), (0, 9), (0, 1)];
    let ranks_of = ranks_of.map(|(quality, priority)| settle(&mut stage, &mut ben, quality, priority));
    assert!(ranks_of.is_sorted_by(|lower, higher| lower < higher), "{ranks_of:?}");
    assert_eq!(first, ranks_of[2], "large is usual");
    let now = Instant::now();
    hear(&mut stage, &mut ben, Some(&ada), now);
    let front = ranks(&mut stage)[0];
    assert!(front > ranks_of[4]);
    hear(&mut stage, &mut ben, None, now + Duration::from_secs(5));
    assert!(ranks(&mut stage).is_empty(), "a pause is not the end");
    hear(&mut stage, &mut ben, None, now + Duration::from_secs(11));
    assert_eq!(ranks(&mut stage), [ranks_of[4]]);
}

#[test]
fn a_screen_comes_before_faces() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let screen = proto::AddTrackRequest {
        source: proto::TrackSource::ScreenShare as i32,
        ..camera()
    };
    let told = stage.ask(&mut ada, Request::AddTrack(screen));
    let Response::TrackPublished(published) = &told[0] else {
        panic!("{told:?}");
    };
    let sid = TrackSid(published.track.as_ref().unwrap().sid.clone());
    let lines = [POOL.as_slice(), &[("video", "sendonly", "cam")]].concat();
    stage.ask(&mut ada, Request::Offer(offer(2, "here", &lines)));
    let (ben, _) = stage.join("ben");
    assert!(ben.subscription(&sid).is_some());
    let screen = stage.plans.last().unwrap().change.open[0].rank;
    let (mut cleo, _) = stage.join("cleo");
    stage.publish(&mut cleo);
    stage.join("dan");
    let mut ranks: Vec<u8> = stage
        .plans
        .last()
        .unwrap()
        .change
        .open
        .iter()
        .map(|one| one.rank)
        .collect();
    ranks.sort_unstable();
    assert_eq!(ranks.last(), Some(&screen));
}

#[test]
fn a_narrow_line_can_be_pretended() {
    let mut stage = Stage::new();
    let (mut ben, _) = stage.join("ben");
    let endpoint = ben.endpoint.unwrap();
    for (bits, most) in [(100_000, Some(Bitrate(100_000))), (0, None), (-1, None)] {
        let scenario = Some(proto::simulate_scenario::Scenario::SubscriberBandwidth(bits));
        stage.ask(&mut ben, Request::Simulate(proto::SimulateScenario { scenario }));
        assert_eq!(stage.touches.pop(), Some(Touch::Limit(endpoint, most)));
    }
}

#[test]
fn a_wished_frame_rate_chooses_temporal_layers() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    let (sid, _) = stage.publish(&mut ada);
    let (mut ben, _) = stage.join("ben");
    for (fps, temporal) in [
        (0, u8::MAX),
        (5, 0),
        (8, 0),
        (10, 1),
        (15, 1),
        (20, u8::MAX),
        (60, u8::MAX),
    ] {
        stage.touches.clear();
        let settings = proto::UpdateTrackSettings {
            track_sids: vec![sid.0.clone()],
            quality: proto::VideoQuality::High as i32,
            fps,
            ..Default::default()
        };
        stage.ask(&mut ben, Request::TrackSetting(settings));
        let layers = stage.touches.iter().find_map(|touch| match touch {
            Touch::Layers(_, layers) => Some(layers.temporal),
            _ => None,
        });
        assert_eq!(layers, Some(temporal), "{fps}");
    }
}
