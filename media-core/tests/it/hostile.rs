//! What others send wrongly, or to hurt, stays without effect on those who talk.

use std::time::Duration;

use althing_media_core::DropReason;
use althing_media_core::transport::{Protocol, Route};
use althing_testkit::Rng;
use althing_testkit::network::LinkConfig;
use althing_testkit::peer::VideoPattern;
use althing_testkit::peer::preset::{camera, screen};
use althing_testkit::simulation::{Simulation, router_socket};

use crate::stage::{assert_seamless, certificate, come_to_rest, home, ms, small_pattern};

/// A datagram that looks like something: a first byte of each protocol, then noise, then parts of what is valid.
fn junk(rng: &mut Rng, sample: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; rng.index(200)];
    rng.fill(&mut datagram);
    if rng.below(3) == 0 && !sample.is_empty() {
        datagram = sample.to_vec();
        for _ in 0..1 + rng.below(8) {
            let at = rng.index(datagram.len());
            datagram[at] ^= 1 << rng.below(8);
        }
        datagram.truncate(1 + rng.index(datagram.len()));
    }
    if let Some(first) = datagram.first_mut().filter(|_| rng.below(2) == 0) {
        *first = [0x00, 0x01, 0x16, 0x80, 0x90, 0xb0, 0x81][rng.index(7)];
    }
    if let Some(second) = datagram.get_mut(1).filter(|_| rng.below(2) == 0) {
        *second = [0x01, 96, 0xe0, 200, 201, 202, 203, 205, 206, 207][rng.index(10)];
    }
    datagram
}

/// One peer talks, one watches, a third belongs to the meeting and sends garbage.
#[test]
fn one_peers_garbage_disturbs_nobody() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let [publisher, watcher, vandal] = [0; 3].map(|_| simulation.join_plain(home(), None));
        let video = simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
        let watch = simulation.watch(watcher, video.track, screen(None, 7000));
        let other = simulation.publish(vandal, camera(None, 1, 1, small_pattern()));
        let victim = simulation.watch(watcher, other.track, screen(None, 9000));
        let back = simulation.watch(vandal, video.track, screen(None, 7000));
        let route = simulation.route(vandal);
        // Valid RTP and RTCP of the vandal's own streams, to be bent.
        let samples: [Vec<u8>; 4] = [
            {
                let mut rtp = vec![
                    0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x90, 0xe0, 0x80, 1, 1, 0, 0x10, 0, 0,
                ];
                rtp.resize(60, 7);
                rtp
            },
            vec![0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0x1b, 0x58, 0, 1, 0xff, 0xff],
            vec![0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x1b, 0x58],
            vec![0x81, 203, 0, 1, 0, 0, 0, 1],
        ];
        for _ in 0..300 {
            let sample = &samples[rng.index(4)];
            let datagram = junk(&mut rng, sample);
            simulation.inject(route, datagram);
            simulation.run_for(ms(7));
        }
        come_to_rest(&mut simulation, &[video, other]);
        assert_seamless(&simulation, watch, ms(0), seed);
        assert_eq!(simulation.receiver(watch).stats().corrupt, 0);
        let shown = simulation.receiver(watch).viewer().shown().len();
        assert!(shown >= 60, "seed {seed}: {shown} pictures");
        assert!(
            simulation.receiver(watch).viewer().longest_freeze() < ms(100),
            "seed {seed}"
        );
        let _ = (victim, back);
        assert!(
            simulation.router.stats().drops.total() > 50,
            "seed {seed}: garbage is counted"
        );
    }
}

/// Floods from addresses that nobody knows: nothing changes, nothing is answered, everything is counted.
#[test]
fn unknown_addresses_change_nothing() {
    let mut rng = Rng::new(1);
    let mut simulation = Simulation::new(1, certificate());
    let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
    let video = simulation.publish(publisher, camera(None, 1, 1, VideoPattern::default()));
    let watch = simulation.watch(watcher, video.track, screen(None, 7000));
    simulation.run_for(ms(1000));
    let before = simulation.router.stats();
    let count = 50_000;
    for number in 0..count {
        let [.., a, b, c] = u32::try_from(number).unwrap().to_be_bytes();
        let remote = ([203, a, b, c], 4000 + u16::from(c)).into();
        let route = Route {
            protocol: Protocol::Udp,
            local: router_socket(),
            remote,
        };
        let datagram = junk(&mut rng, &[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4]);
        simulation.inject(route, datagram);
    }
    let after = simulation.router.stats();
    assert_eq!(simulation.strays(), [], "nobody is answered");
    assert_eq!(
        (after.endpoints, after.tracks, after.subscriptions, after.routes),
        (before.endpoints, before.tracks, before.subscriptions, before.routes)
    );
    assert_eq!(after.drops.total() - before.drops.total(), count, "all are counted");
    assert!(after.drops.of(DropReason::UnknownSource) > 1000);
    assert!(after.drops.of(DropReason::UnknownProtocol) > 1000);
    simulation.run_for(ms(1000));
    come_to_rest(&mut simulation, &[video]);
    assert_seamless(&simulation, watch, Duration::ZERO, 1);
}

/// An encoder that begins anew with other SSRCs, for itself and its repair, gives the old ones back.
#[test]
fn a_stream_that_is_replaced_again_and_again_takes_no_more_places() {
    let mut simulation = Simulation::new(4, certificate());
    let publisher = simulation.join_plain(home(), None);
    simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
    let route = simulation.route(publisher);
    for number in 0..200_u32 {
        for (pt, ssrc) in [(96, 2 * number), (97, 2 * number + 1)] {
            let mut datagram = vec![0x80, pt, 0, 1, 0, 0, 0, 1];
            datagram.extend_from_slice(&(0x5000_0000 + ssrc).to_be_bytes());
            datagram.extend_from_slice(&[0, 1, 0x90, 0xe0, 0x80, 1, 1, 0, 0x10, 0, 0]);
            simulation.inject(route, datagram);
        }
    }
    assert_eq!(simulation.router.stats().drops.of(DropReason::LimitReached), 0);
}

/// Somebody sends RTP with a new SSRC in each packet: the table has a bound, and the picture stays.
#[test]
fn a_flood_of_ssrcs_has_a_bound() {
    let mut simulation = Simulation::new(2, certificate());
    let (publisher, watcher) = (simulation.join_plain(home(), None), simulation.join_plain(home(), None));
    let video = simulation.publish(publisher, camera(Some("0"), 1, 2, small_pattern()));
    let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
    simulation.run_for(ms(1000));
    let route = simulation.route(publisher);
    for ssrc in 0..20_000_u32 {
        let mut datagram = vec![0x80, 96, 0, 1, 0, 0, 0, 1];
        datagram.extend_from_slice(&(0x5000_0000 + ssrc).to_be_bytes());
        datagram.extend_from_slice(&[0x90, 0xe0, 0x80, 1, 1, 0, 0x10, 0, 0]);
        simulation.inject(route, datagram);
    }
    simulation.run_for(ms(1000));
    come_to_rest(&mut simulation, &[video]);
    assert_seamless(&simulation, watch, ms(40), 2);
    let drops = simulation.router.stats().drops;
    assert!(
        drops.of(DropReason::UnknownStream) + drops.of(DropReason::LimitReached) > 19_000,
        "{drops:?}"
    );
}

/// A watcher that asks for everything, all the time: it hurts itself only.
#[test]
fn a_storm_of_requests_is_bounded() {
    let mut simulation = Simulation::new(3, certificate());
    let [publisher, watcher, greedy] = [0; 3].map(|_| simulation.join_plain(LinkConfig::delay(ms(10)), None));
    let video = simulation.publish(publisher, camera(None, 1, 1, small_pattern()));
    let watch = simulation.watch(watcher, video.track, screen(None, 7000));
    simulation.watch(greedy, video.track, screen(None, 7000));
    simulation.run_for(ms(1000));
    let before = (
        simulation.datagrams_out(),
        simulation.sender(video).stats(0).keyframe_requests,
    );
    let route = simulation.route(greedy);
    for _ in 0..1000 {
        let seqs = (0..200_u16)
            .flat_map(|pair| [(7000 & 0x7fff) + pair * 17, 0xffff])
            .flat_map(u16::to_be_bytes);
        let mut nack = vec![0x81, 205];
        nack.extend_from_slice(&202_u16.to_be_bytes());
        nack.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0x1b, 0x58]);
        nack.extend(seqs);
        simulation.inject(route, nack);
        simulation.inject(route, vec![0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x1b, 0x58]);
        simulation.run_for(ms(1));
    }
    let keyframes = simulation.sender(video).stats(0).keyframe_requests - before.1;
    assert!(
        keyframes <= 5,
        "{keyframes} keyframe requests reached the publisher in one second"
    );
    let datagrams = simulation.datagrams_out() - before.0;
    assert!(datagrams < 3000, "{datagrams} datagrams in one second");
    come_to_rest(&mut simulation, &[video]);
    assert_seamless(&simulation, watch, ms(0), 3);
}

/// The same over ICE, DTLS and SRTP: junk under the addresses of those who talk, and from nowhere, from the first
/// handshake on.
#[test]
fn junk_does_not_keep_web_rtc_from_connecting() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut simulation = Simulation::new(seed, certificate());
        let publisher = simulation.join_web_rtc(home(), certificate());
        let watcher = simulation.join_web_rtc(home(), certificate());
        let video = simulation.publish(publisher, camera(Some("0"), 1000, 1, small_pattern()));
        let watch = simulation.watch(watcher, video.track, screen(Some("0"), 7000));
        let nowhere = Route {
            remote: ([203, 0, 113, 9], 9).into(),
            ..simulation.route(publisher)
        };
        let routes = [simulation.route(publisher), simulation.route(watcher), nowhere];
        for _ in 0..600 {
            let sample: &[u8] = match rng.below(3) {
                0 => &[
                    0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0x03, 0xe8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                ],
                1 => &[
                    0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0x1b, 0x58, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                    16,
                ],
                _ => &[
                    0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                ],
            };
            let datagram = junk(&mut rng, sample);
            simulation.inject(routes[rng.index(3)], datagram);
            simulation.run_for(ms(6));
        }
        assert!(
            simulation.peer(publisher).is_connected() && simulation.peer(watcher).is_connected(),
            "seed {seed}"
        );
        come_to_rest(&mut simulation, &[video]);
        assert_seamless(&simulation, watch, ms(60), seed);
        assert!(simulation.receiver(watch).viewer().shown().len() > 60, "seed {seed}");
        assert!(simulation.router.stats().drops.total() > 400, "seed {seed}");
    }
}
