//! Clients that receive on a connection of its own: what they are offered, and what becomes of their answers.

use super::*;
use crate::sdp::{Reception, SectionKind, Wish, answer_growing};

/// Joins with two connections; what it is told.
fn join(stage: &mut Stage, identity: &str) -> (Client, Vec<Response>) {
    let connection = stage.room.join(Instant::now(), &profile(identity)).unwrap();
    let sid = stage.room.participant_of(connection).unwrap().sid.clone();
    let request = proto::JoinRequest::default();
    let mut client = Client::new(connection, sid, Codecs::default(), true, &request);
    client.join(&mut stage.room, request);
    let told = stage.run(&mut client);
    let endpoint = EndpointId(stage.last);
    stage.room.attach(connection, endpoint);
    stage.room.on_connected(endpoint);
    (client, told)
}

/// The offer among messages.
fn offered(told: &[Response]) -> (Description, &proto::SessionDescription) {
    let found = told.iter().find_map(|one| match one {
        Response::Offer(offer) => Some(offer),
        _ => None,
    });
    let found = found.unwrap_or_else(|| panic!("no offer in {told:?}"));
    (Description::parse(&found.sdp).unwrap(), found)
}

fn offers(told: &[Response]) -> bool {
    told.iter().any(|one| matches!(one, Response::Offer(_)))
}

/// As a client answers that can decode `codecs`.
fn answer_to(offer: &proto::SessionDescription, codecs: &Codecs) -> Request {
    let description = Description::parse(&offer.sdp).unwrap();
    let agreement = answer_growing(&description, codecs, |section| {
        if section.direction.sends() {
            Wish::Receive(Reception::default())
        } else {
            Wish::Inactive
        }
    });
    let client = LocalDescription {
        ice_lite: false,
        setup: Setup::Active,
        ..local()
    };
    Request::Answer(proto::SessionDescription {
        r#type: "answer".to_owned(),
        sdp: agreement.unwrap().describe(&client, 1).to_string(),
        id: offer.id,
        ..Default::default()
    })
}

/// Answers the offer among messages; what follows.
fn agree(stage: &mut Stage, client: &mut Client, told: &[Response]) -> Vec<Response> {
    let (_, offer) = offered(told);
    stage.ask(client, answer_to(offer, &Codecs::default()))
}

fn leave_of(told: &[Response]) -> Option<proto::leave_request::Action> {
    told.iter().find_map(|one| match one {
        Response::Leave(leave) => Some(leave.action()),
        _ => None,
    })
}

#[test]
fn is_offered_data_channels_at_once_and_tracks_when_there_are_some() {
    let mut stage = Stage::new();
    let (mut ada, told) = join(&mut stage, "ada");
    let Response::Join(welcome) = &told[0] else {
        panic!("{told:?}");
    };
    assert!(welcome.subscriber_primary && welcome.fast_publish);
    let (description, first) = offered(&told);
    assert_eq!((first.id, description.sections.len()), (1, 1));
    assert!(description.sections[0].is_data() && description.ice_lite);

    let (mut ben, _) = stage.join("ben");
    let (camera, _) = stage.publish(&mut ben);
    assert!(!offers(&stage.sync(&mut ada)), "one offer at a time");
    let told = agree(&mut stage, &mut ada, &told);
    let known = told.iter().position(|one| matches!(one, Response::Update(_)));
    let offer = told.iter().position(|one| matches!(one, Response::Offer(_)));
    // What was told before counts as well.
    assert!(offer.is_some() && known.is_none_or(|known| Some(known) < offer));
    let (description, second) = offered(&told);
    assert_eq!(second.id, 2);
    assert_eq!(second.mid_to_track_id.get("1"), Some(&camera.0));
    let section = &description.sections[1];
    assert_eq!(
        (&section.kind, section.direction),
        (&SectionKind::Video, Direction::SendOnly)
    );
    let msid = section.msid.as_ref().unwrap();
    assert!(msid.stream.starts_with("PA_") && msid.stream.ends_with(&camera.0) && msid.track == camera.0);

    stage.accepted.clear();
    assert!(!offers(&agree(&mut stage, &mut ada, &told)));
    let change = &stage.accepted[0];
    assert_eq!(change.open.len(), 1);
    assert!(change.remote.is_none(), "it has told the same before");
    assert_eq!(change.open[0].config.stream.ssrc, section.ssrcs[0].ssrc);
    assert_eq!(ada.subscriptions().len(), 1);
    let settings = proto::UpdateTrackSettings {
        track_sids: vec![camera.0],
        disabled: true,
        ..Default::default()
    };
    stage.ask(&mut ada, Request::TrackSetting(settings));
    assert_eq!(stage.touches, [Touch::Pause(ada.subscriptions()[0], true)]);
}

#[test]
fn a_freed_section_rests_for_one_offer() {
    let mut stage = Stage::new();
    let (mut ada, told) = join(&mut stage, "ada");
    let (mut ben, _) = stage.join("ben");
    stage.publish(&mut ben);
    let told = agree(&mut stage, &mut ada, &told);
    agree(&mut stage, &mut ada, &told);
    let subscription = ada.subscriptions()[0];

    stage.room.leave(ben.connection, crate::room::Departure::Left);
    let (mut cleo, _) = stage.join("cleo");
    stage.publish(&mut cleo);
    let told = stage.sync(&mut ada);
    assert_eq!(stage.proposals.last().unwrap().close, [subscription]);
    let (description, _) = offered(&told);
    assert_eq!(directions(&description), [Direction::Inactive, Direction::SendOnly]);
    agree(&mut stage, &mut ada, &told);

    let (mut dora, _) = stage.join("dora");
    stage.publish(&mut dora);
    let told = stage.sync(&mut ada);
    let (description, offer) = offered(&told);
    assert_eq!(directions(&description), [Direction::SendOnly, Direction::SendOnly]);
    assert_eq!(offer.mid_to_track_id.len(), 2);
}

#[test]
fn a_track_that_it_cannot_decode_is_refused_for_good() {
    let mut stage = Stage::new();
    let (mut ada, told) = join(&mut stage, "ada");
    let (mut ben, _) = stage.join("ben");
    let (camera, _) = stage.publish(&mut ben);
    let told = agree(&mut stage, &mut ada, &told);
    let deaf = Codecs {
        video: vec![Codec::H264],
        ..Codecs::default()
    };
    let (_, offer) = offered(&told);
    let told = stage.ask(&mut ada, answer_to(offer, &deaf));
    let refused = told.iter().find_map(|one| match one {
        Response::SubscriptionResponse(refused) => Some(refused.track_sid.clone()),
        _ => None,
    });
    assert_eq!(refused, Some(camera.0));
    assert!(ada.subscriptions().is_empty() && !offers(&stage.sync(&mut ada)));

    let (mut cleo, _) = stage.join("cleo");
    stage.publish(&mut cleo);
    let told = stage.sync(&mut ada);
    let (description, _) = offered(&told);
    let dead: Vec<bool> = description.sections.iter().map(|section| section.rejected).collect();
    assert_eq!(dead, [false, true, false], "a refused section is not used again");
}

#[test]
fn sends_on_its_other_connection() {
    let mut stage = Stage::new();
    let (mut ada, told) = join(&mut stage, "ada");
    agree(&mut stage, &mut ada, &told);
    let (mut ben, _) = stage.join("ben");
    stage.publish(&mut ben);
    let (sid, told) = stage.publish(&mut ada);
    let (description, answered) = answer(&told);
    assert_eq!(
        directions(&description),
        [Direction::Inactive, Direction::Inactive, Direction::RecvOnly]
    );
    assert!(answered.mid_to_track_id.is_empty(), "nothing is sent there");
    let own = stage.room.participant_of(ada.connection).unwrap();
    assert_eq!(own.tracks().map(|track| &track.sid).collect::<Vec<_>>(), [&sid]);
    assert_ne!(stage.plans.last().unwrap().change.endpoint, Some(EndpointId(1)));
}

#[test]
fn who_comes_back_is_offered_all_again_with_new_ice() {
    let mut stage = Stage::new();
    let (mut ada, told) = join(&mut stage, "ada");
    let (_, first) = offered(&told);
    ada.resume(&mut stage.room, 0);
    let told = stage.run(&mut ada);
    assert!(matches!(told[0], Response::Reconnect(_)));
    assert!(stage.proposals.last().unwrap().restart);
    let (_, second) = offered(&told);
    assert!(second.id > first.id);
    let late = answer_to(first, &Codecs::default());
    stage.ask(&mut ada, late);
    assert!(stage.accepted.is_empty(), "an answer to an offer that is no more");
    agree(&mut stage, &mut ada, &told);
    assert_eq!(stage.accepted.len(), 1);
}

#[test]
fn who_does_not_answer_begins_anew() {
    let mut stage = Stage::new();
    let (mut ada, told) = join(&mut stage, "ada");
    ada.check(Instant::now() + Duration::from_secs(14));
    assert_eq!(leave_of(&stage.run(&mut ada)), None);
    ada.check(Instant::now() + Duration::from_secs(16));
    assert_eq!(
        leave_of(&stage.run(&mut ada)),
        Some(proto::leave_request::Action::Reconnect)
    );
    let (mut ben, _) = join(&mut stage, "ben");
    let (_, offer) = offered(&told);
    let told = stage.ask(
        &mut ben,
        Request::Answer(proto::SessionDescription {
            sdp: "v=0\r\n".to_owned(),
            id: offer.id,
            ..Default::default()
        }),
    );
    assert_eq!(leave_of(&told), Some(proto::leave_request::Action::Reconnect));
}
