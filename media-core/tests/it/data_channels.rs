//! Data channels of real sessions: ICE, DTLS, SCTP, through the router.

use std::collections::HashMap;

use althing_media_core::transport::DataEvent;
use althing_media_core::{
    DataChannelConfig, DataChannelId, DataKind, DropReason, EndpointId, Event, SendDataError, UsageError,
};
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::simulation::{Member, Simulation};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms};

/// Some peers, connected, each with a channel that it has made; how router and peer call it.
fn meeting(
    seed: u64,
    network: LinkConfig,
    config: &DataChannelConfig,
    size: usize,
) -> (Simulation, Vec<(Member, DataChannelId, DataChannelId)>) {
    let mut simulation = Simulation::new(seed, certificate());
    let members: Vec<_> = (0..size)
        .map(|_| simulation.join_web_rtc(network, certificate()))
        .collect();
    let now = simulation.now();
    let theirs: Vec<_> = members
        .iter()
        .map(|member| {
            let transport = simulation.peer_mut(*member).transport_mut();
            transport.open_data_channel(now, config.clone()).unwrap()
        })
        .collect();
    simulation.run_for(ms(10_000));
    let ours: HashMap<EndpointId, DataChannelId> = simulation
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::DataChannelOpened {
                endpoint,
                channel,
                config: told,
                by_peer: true,
            } if **told == *config => Some((*endpoint, *channel)),
            _ => None,
        })
        .collect();
    let meeting = members.iter().zip(theirs);
    let meeting = meeting
        .map(|(member, theirs)| (*member, ours[&member.endpoint], theirs))
        .collect();
    for member in members {
        let told = simulation.peer_mut(member).take_data();
        assert!(
            matches!(told[..], [DataEvent::Opened { by_peer: false, .. }]),
            "seed {seed}: {told:?}"
        );
    }
    (simulation, meeting)
}

/// What a member was sent since the last call.
fn taken(simulation: &mut Simulation, member: Member) -> Vec<Vec<u8>> {
    let events = simulation.peer_mut(member).take_data().into_iter();
    let data = events.filter_map(|event| match event {
        DataEvent::Received { data, .. } => Some(data.to_vec()),
        _ => None,
    });
    data.collect()
}

fn bad() -> LinkConfig {
    LinkConfig {
        loss: Chance::percent(10.0),
        jitter: ms(10),
        ..LinkConfig::delay(ms(25))
    }
}

#[test]
fn long_messages_pass_between_peers_through_loss() {
    for seed in 0..3 {
        let (mut simulation, members) = meeting(seed, bad(), &DataChannelConfig::new("_reliable"), 3);
        let message = |number: u8| vec![number; 64_000];
        let (from, _, channel) = members[0];
        for number in 0..4 {
            let transport = simulation.peer_mut(from).transport_mut();
            transport
                .send_data(channel, DataKind::Binary, &message(number))
                .unwrap();
        }
        // What a room does: everything to everybody else.
        let mut passed = 0;
        for _ in 0..1200 {
            simulation.run_for(ms(50));
            let now = simulation.now();
            let fresh: Vec<_> = simulation.events()[passed..].to_vec();
            passed += fresh.len();
            for event in fresh {
                if let Event::DataReceived {
                    endpoint, kind, data, ..
                } = event
                {
                    assert_eq!(endpoint, from.endpoint);
                    for (to, channel, _) in &members[1..] {
                        simulation
                            .router
                            .send_data(now, to.endpoint, *channel, kind, &data)
                            .unwrap();
                    }
                }
            }
        }
        for (member, channel, _) in &members[1..] {
            let received = taken(&mut simulation, *member);
            assert_eq!(received, (0..4).map(message).collect::<Vec<_>>(), "seed {seed}");
            assert_eq!(
                simulation.router.data_buffered(member.endpoint, *channel),
                Some(0),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn lossy_channels_lose() {
    let (mut simulation, members) = meeting(9, bad(), &DataChannelConfig::lossy("_lossy"), 1);
    let (member, channel, _) = members[0];
    for number in 0..1000_u32 {
        let now = simulation.now();
        let sent = simulation
            .router
            .send_data(now, member.endpoint, channel, DataKind::Binary, &number.to_be_bytes());
        sent.unwrap();
        simulation.run_for(ms(5));
    }
    simulation.run_for(ms(3000));
    let received = taken(&mut simulation, member).len();
    assert!((850..950).contains(&received), "{received}");
}

#[test]
fn a_peer_that_does_not_answer_is_refused_more_and_told_when_it_does() {
    let (mut simulation, members) = meeting(3, home(), &DataChannelConfig::new("bulk"), 1);
    let (member, channel, _) = members[0];
    simulation.links_mut(member).1.set_down(true);
    let mut sent = 0;
    let refused = loop {
        let now = simulation.now();
        match simulation
            .router
            .send_data(now, member.endpoint, channel, DataKind::Binary, &[1; 30_000])
        {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused, sent), (SendDataError::Full, 34));
    simulation.run_for(ms(5000));
    let writable = Event::DataWritable {
        endpoint: member.endpoint,
        channel,
    };
    assert!(!simulation.events().contains(&writable));
    simulation.links_mut(member).1.set_down(false);
    simulation.run_for(ms(20_000));
    assert!(simulation.events().contains(&writable));
    assert_eq!(taken(&mut simulation, member).len(), sent);
}

#[test]
fn a_caller_that_cannot_follow_holds_a_peer_back() {
    let (mut simulation, members) = meeting(4, home(), &DataChannelConfig::new("bulk"), 1);
    let (member, _, channel) = members[0];
    let now = simulation.now();
    simulation.router.hold_data(now, member.endpoint, true);
    let received = |simulation: &Simulation| {
        let data = |event: &&Event| matches!(event, Event::DataReceived { .. });
        simulation.events().iter().filter(data).count()
    };
    let mut sent = 0;
    for _ in 0..200 {
        let transport = simulation.peer_mut(member).transport_mut();
        sent += usize::from(transport.send_data(channel, DataKind::Binary, &[1; 20_000]).is_ok());
        simulation.run_for(ms(50));
    }
    assert_eq!(received(&simulation), 0);
    assert!(sent * 20_000 < 2_000_000, "the peer could send {sent}");
    let now = simulation.now();
    simulation.router.hold_data(now, member.endpoint, false);
    simulation.run_for(ms(20_000));
    assert_eq!(received(&simulation), sent);
}

#[test]
fn channels_of_the_server_and_agreed_ones() {
    let mut simulation = Simulation::new(5, certificate());
    let member = simulation.join_web_rtc(home(), certificate());
    let now = simulation.now();
    let agreed = DataChannelConfig {
        negotiated: Some(100),
        ..DataChannelConfig::new("_reliable")
    };
    // Before there is a session.
    let ours = [DataChannelConfig::lossy("_lossy"), agreed.clone()].map(|config| {
        simulation
            .router
            .open_data_channel(now, member.endpoint, config)
            .unwrap()
    });
    let transport = simulation.peer_mut(member).transport_mut();
    let theirs = transport.open_data_channel(now, agreed).unwrap();
    simulation.run_for(ms(3000));
    let now = simulation.now();
    for (channel, data) in [(ours[0], "on ours"), (ours[1], "as agreed")] {
        simulation
            .router
            .send_data(now, member.endpoint, channel, DataKind::Text, data.as_bytes())
            .unwrap();
    }
    simulation.run_for(ms(1000));
    assert_eq!(
        taken(&mut simulation, member),
        [b"on ours".to_vec(), b"as agreed".to_vec()]
    );
    // Closed from either side.
    let now = simulation.now();
    simulation.router.close_data_channel(now, member.endpoint, ours[0]);
    simulation.peer_mut(member).transport_mut().close_data_channel(theirs);
    simulation.run_for(ms(1000));
    for channel in ours {
        let closed = Event::DataChannelClosed {
            endpoint: member.endpoint,
            channel,
        };
        assert!(simulation.events().contains(&closed));
        let now = simulation.now();
        let sent = simulation
            .router
            .send_data(now, member.endpoint, channel, DataKind::Text, b"");
        assert_eq!(sent, Err(SendDataError::NoChannel));
    }
}

#[test]
fn what_a_caller_may_do_wrong() {
    let mut simulation = Simulation::new(6, certificate());
    let (plain, member) = (
        simulation.join_plain(home(), None),
        simulation.join_web_rtc(home(), certificate()),
    );
    let (now, router) = (simulation.now(), &mut simulation.router);
    let config = DataChannelConfig::new("chat");
    let open = |router: &mut althing_media_core::Router, endpoint, config: &DataChannelConfig| {
        router.open_data_channel(now, endpoint, config.clone())
    };
    assert_eq!(open(router, plain.endpoint, &config), Err(UsageError::NotWebRtc));
    assert_eq!(open(router, EndpointId(77), &config), Err(UsageError::NoEndpoint));
    let wrong = DataChannelConfig {
        negotiated: Some(5000),
        ..config.clone()
    };
    assert_eq!(open(router, member.endpoint, &wrong), Err(UsageError::InvalidConfig));
    let channel = open(router, member.endpoint, &config).unwrap();
    let mut send = |endpoint, channel| router.send_data(now, endpoint, channel, DataKind::Text, b"hi");
    assert_eq!(send(member.endpoint, channel), Err(SendDataError::NotOpen));
    assert_eq!(send(member.endpoint, DataChannelId(99)), Err(SendDataError::NoChannel));
    assert_eq!(send(plain.endpoint, channel), Err(SendDataError::NoChannel));
    assert_eq!(send(EndpointId(77), channel), Err(SendDataError::NoEndpoint));
}

#[test]
fn media_does_not_mind_data() {
    let (mut simulation, members) = meeting(8, home(), &DataChannelConfig::new("files"), 2);
    let (publisher, watcher) = (members[0].0, members[1].0);
    let video = simulation.publish(publisher, camera(Some("0"), 1000, 1, VideoPattern::default()));
    let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
    for _ in 0..100 {
        let now = simulation.now();
        let (_, channel, _) = members[1];
        let _ = simulation
            .router
            .send_data(now, watcher.endpoint, channel, DataKind::Binary, &[3; 20_000]);
        simulation.run_for(ms(40));
    }
    come_to_rest(&mut simulation, &[video]);
    assert_seamless(&simulation, watch, ms(0), 8);
    assert!(taken(&mut simulation, watcher).len() > 90);
    assert_eq!(simulation.router.stats().drops.of(DropReason::DataRejected), 0);
}
