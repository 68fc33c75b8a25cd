//! The packet path allocates nothing in steady state: counted, not believed.
//!
//! A binary of its own, because the counting allocator is that of the whole process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::{Duration, Instant};

use althing_media_core::transport::{Certificate, PlainKeys, SdesKey, SrtpProfile};
use althing_media_core::{Output, Pt, Router};
use althing_testkit::alloc::{Allocations, CountingAllocator, allocations_during};
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::preset::{WATCHED_VP8_WITH_FEC, camera, loudspeaker, microphone, screen, with_fec};
use althing_testkit::peer::{ReceiveConfig, VideoPattern};
use althing_testkit::simulation::{Member, Simulation};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const WATCHERS: u32 = 10;
/// Virtual time until queues, tables and the pool have their final size: longer than the history of a stream.
const WARM_UP: Duration = Duration::from_secs(20);
/// Virtual time without feedback before it is measured, as there is none then.
const SILENCE: Duration = Duration::from_secs(6);
/// Virtual time that is measured: two rounds of reports, and some dozens of other timers.
const MEASURED: Duration = Duration::from_secs(3);

struct Measured {
    received: usize,
    sent: usize,
    /// FEC packets among them.
    fec: usize,
    allocations: Allocations,
}

/// A camera and a microphone to ten watchers who join by `join`; then the router alone, fed with what the publisher
/// sends in three seconds.
fn measure(join: impl FnMut(&mut Simulation) -> Member) -> Measured {
    measure_with(join, |number| screen(Some("0"), 7000 + 10 * number))
}

fn measure_with(mut join: impl FnMut(&mut Simulation) -> Member, watches: impl Fn(u32) -> ReceiveConfig) -> Measured {
    let certificate = Certificate::generate().unwrap();
    let mut simulation = Simulation::new(1, &certificate);
    let publisher = join(&mut simulation);
    let pattern = VideoPattern {
        frame_bytes: 8000,
        keyframe_every: Some(30),
        ..VideoPattern::default()
    };
    let video = simulation.publish(publisher, camera(Some("0"), 1000, 2, pattern));
    let audio = simulation.publish(publisher, microphone(Some("1"), 50, "peer-1000"));
    let watchers: Vec<Member> = (0..WATCHERS).map(|_| join(&mut simulation)).collect();
    for (number, &watcher) in (0..).zip(&watchers) {
        simulation.watch(watcher, video.track, watches(number));
        simulation.watch(watcher, audio.track, loudspeaker(Some("1"), 8000 + 10 * number));
    }
    simulation.run_for(WARM_UP);
    // From now on watchers report nothing: what then waits for the pacer grows once.
    for watcher in watchers {
        simulation.links_mut(watcher).0.set_down(true);
    }
    simulation.run_for(SILENCE);
    let route = simulation.route(publisher);
    let start = simulation.now();
    let mut inputs = inputs(&mut simulation, publisher, start);
    let router = &mut simulation.router;
    let (mut buf, mut sent, mut deadline) = (vec![0; 2048], (0, 0), None);
    let ((), allocations) = allocations_during(|| {
        for (at, datagram) in &mut inputs {
            while let Some(due) = deadline.filter(|due| *due <= *at) {
                router.handle_timeout(due);
                deadline = drain(router, due, &mut buf, &mut sent);
            }
            router.handle_datagram(*at, route, datagram);
            deadline = drain(router, *at, &mut buf, &mut sent);
        }
    });
    Measured {
        received: inputs.len(),
        sent: sent.0,
        fec: sent.1,
        allocations,
    }
}

/// What the publisher sends from `start` on, by the time of sending.
fn inputs(simulation: &mut Simulation, publisher: Member, start: Instant) -> Vec<(Instant, Vec<u8>)> {
    let (mut now, mut inputs, mut buf) = (start, Vec::new(), vec![0; 2048]);
    let peer = simulation.peer_mut(publisher);
    while now < start + MEASURED {
        peer.handle_timeout(now);
        while let Some(transmit) = peer.poll_output(now, &mut buf) {
            inputs.push((now, buf[..transmit.len].to_vec()));
        }
        now = peer.next_timeout().unwrap().max(now + Duration::from_micros(1));
    }
    inputs
}

/// Polls until there is nothing more; counts the datagrams, and FEC packets among them, and gives the deadline.
fn drain(router: &mut Router, now: Instant, buf: &mut [u8], sent: &mut (usize, usize)) -> Option<Instant> {
    loop {
        match router.poll_output(now, buf) {
            Output::Transmit(_) => {
                sent.0 += 1;
                sent.1 += usize::from(buf[0] >> 6 == 2 && WATCHED_VP8_WITH_FEC.fec == Some(Pt::new(buf[1])));
            }
            Output::Timeout(at) => return at,
            _ => {}
        }
    }
}

/// Media packets make nothing; what is due once a second may make little, but not by the packet.
#[track_caller]
fn assert_nothing(measured: &Measured) {
    assert!(measured.received > 2000, "{} datagrams came in", measured.received);
    assert!(
        measured.sent > measured.received * 5,
        "{} datagrams went out",
        measured.sent
    );
    assert_eq!(
        measured.allocations.count, 0,
        "{:?}, {} datagrams out",
        measured.allocations, measured.sent
    );
}

#[test]
fn plain_rtp() {
    assert_nothing(&measure(|simulation| {
        simulation.join_plain(LinkConfig::default(), None)
    }));
}

#[test]
fn plain_rtp_with_keys() {
    for profile in [
        SrtpProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmSha1_80,
    ] {
        let keys = PlainKeys {
            local: SdesKey::generate(1, profile),
            remote: SdesKey::generate(1, profile),
        };
        assert_nothing(&measure(|simulation| {
            simulation.join_plain(LinkConfig::default(), Some(&keys))
        }));
    }
}

#[test]
fn web_rtc() {
    let certificate = Certificate::generate().unwrap();
    let network = LinkConfig::delay(Duration::from_millis(1));
    assert_nothing(&measure(|simulation| simulation.join_web_rtc(network, &certificate)));
}

/// Ten watchers far away on lines that lose, each with FEC packets of its own.
#[test]
fn web_rtc_with_fec() {
    let certificate = Certificate::generate().unwrap();
    let mut joined = 0;
    let measured = measure_with(
        |simulation| {
            joined += 1;
            let network = match joined {
                1 => LinkConfig::delay(Duration::from_millis(1)),
                _ => LinkConfig {
                    loss: Chance::percent(5.0),
                    ..LinkConfig::delay(Duration::from_millis(100))
                },
            };
            simulation.join_web_rtc(network, &certificate)
        },
        |number| {
            let mut config = screen(Some("0"), 7000 + 10 * number);
            config.stream = with_fec(config.stream);
            config.codecs = vec![WATCHED_VP8_WITH_FEC];
            config
        },
    );
    assert!(measured.fec > 500, "{} FEC packets", measured.fec);
    assert_nothing(&measured);
}
