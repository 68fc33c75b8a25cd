//! What the tests share: a certificate, the usual network, and what must hold at the end of every run.

use std::sync::OnceLock;
use std::time::Duration;

use althing_media_core::transport::Certificate;
use althing_testkit::network::{Chance, LinkConfig};
use althing_testkit::peer::{Fault, VideoPattern};
use althing_testkit::simulation::{Publication, Simulation, Watch};

/// One for all tests: making one takes milliseconds.
pub(crate) fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Certificate::generate().unwrap())
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A network at home: nothing is lost, and nothing is exact.
pub(crate) fn home() -> LinkConfig {
    LinkConfig {
        jitter: ms(4),
        ..LinkConfig::delay(ms(15))
    }
}

/// What the issue asks to survive: 5 % loss and 50 ms each way.
pub(crate) fn lossy() -> LinkConfig {
    LinkConfig {
        loss: Chance::percent(5.0),
        ..LinkConfig::delay(ms(50))
    }
}

/// Few and small packets, so that thousands of runs are cheap.
pub(crate) fn small_pattern() -> VideoPattern {
    VideoPattern {
        frame_bytes: 150,
        packet_bytes: 120,
        ..VideoPattern::default()
    }
}

/// Stops the sources and waits until everything under way has arrived or been asked for again.
pub(crate) fn come_to_rest(simulation: &mut Simulation, publications: &[Publication]) {
    for publication in publications {
        simulation.sender_mut(*publication).set_muted(true);
    }
    simulation.run_for(ms(1200));
}

/// The same where a line may have been too narrow for a moment: pictures that came late, when no room was left for such, are
/// not there.
#[track_caller]
pub(crate) fn assert_seamless_but_thinned(simulation: &Simulation, watch: Watch, clock: Duration, seed: u64) {
    let thinned = simulation.receiver(watch).stats().empty > 0;
    assert_whole(simulation, watch, clock, seed, |fault| {
        thinned && matches!(fault, Fault::Skipped { .. })
    });
}

/// Holds for every stream at rest: nothing changed, nothing missing, nothing out of place; time like that of the
/// camera, up to `clock` (a switch between encodings that no report has related yet is placed by arrival).
#[track_caller]
pub(crate) fn assert_seamless(simulation: &Simulation, watch: Watch, clock: Duration, seed: u64) {
    assert_whole(simulation, watch, clock, seed, |_| false);
}

/// As [`assert_seamless_but_thinned`], for one in the router's process: time is that of the camera, and goes back with it where
/// another encoding begins late. The last pictures of the one before may be left in the middle then.
#[track_caller]
pub(crate) fn assert_exact(simulation: &Simulation, watch: Watch, clock: Duration, seed: u64) {
    let left = simulation.receiver(watch).stats().empty > 0;
    assert_whole(simulation, watch, clock, seed, |fault| match fault {
        Fault::TimestampBack { .. } => true,
        Fault::Skipped { .. } => left,
        _ => false,
    });
}

#[track_caller]
fn assert_whole(simulation: &Simulation, watch: Watch, clock: Duration, seed: u64, accepted: impl Fn(&Fault) -> bool) {
    let receiver = simulation.receiver(watch);
    let stats = receiver.stats();
    assert_eq!(stats.corrupt, 0, "seed {seed}: a payload was changed");
    assert_eq!(
        (stats.leaps, stats.lost, receiver.missing()),
        (0, 0, 0),
        "seed {seed}: gaps: {stats:?}"
    );
    let limit = i64::try_from(clock.as_micros()).unwrap();
    let mut faults = receiver.viewer().faults();
    faults.retain(|fault| match fault {
        Fault::ClockJump { media, capture, .. } => (media - capture).abs() > limit,
        fault => !accepted(fault),
    });
    assert_eq!(faults, [], "seed {seed}");
    let session = simulation.peer(watch.member).session.stats();
    assert_eq!(
        (session.unknown, session.malformed),
        (0, 0),
        "seed {seed}: packets that were not announced"
    );
}
