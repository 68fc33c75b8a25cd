//! The whole estimator, where no link is needed to see it. What it makes of links is in the scenarios of the testkit.
#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

use std::time::{Duration, Instant};

use super::*;
use crate::packet::Ssrc;
use crate::rtcp::transport_cc::{self, Feedback};
use crate::rtcp::{self, Message};

const MS: Duration = Duration::from_millis(1);

/// A sender, and a receiver that reports everything every 50 ms.
struct Pair {
    estimator: Estimator,
    now: Instant,
    seq: u16,
    unreported: Vec<(u16, Option<i64>)>,
    epoch: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            estimator: Estimator::new(now, Limits::default()),
            now,
            seq: 0,
            unreported: Vec::new(),
            epoch: now,
        }
    }

    /// Sends at `share` of the target for a while, over a wire that only delays.
    fn run(&mut self, time: Duration, share: f64, reports: bool) {
        let end = self.now + time;
        while self.now < end {
            for _ in 0..10 {
                self.now += 5 * MS;
                let _pacing = self.estimator.pacing(self.now);
                self.estimator.handle_timeout(self.now);
                let bytes = self.estimator.target().0 as f64 * share / 8.0 * 0.005;
                let len = (bytes as usize).saturating_sub(OVERHEAD).clamp(20, 60_000);
                self.estimator.on_sent(self.now, self.seq, len);
                let arrived = self.now - self.epoch + 20 * MS;
                self.unreported
                    .push((self.seq, i64::try_from(arrived.as_micros()).ok()));
                self.seq = self.seq.wrapping_add(1);
            }
            if reports {
                self.report();
            } else {
                self.unreported.clear();
            }
        }
    }

    fn report(&mut self) {
        let mut buf = [0; 1200];
        let feedback = Feedback {
            sender: Ssrc(1),
            media: Ssrc(2),
            base_seq: self.unreported[0].0,
            feedback_count: 0,
        };
        let written = transport_cc::write(&mut buf, &feedback, self.unreported.drain(..)).unwrap();
        let Some(Ok(Message::TransportCc(feedback))) = rtcp::messages(&buf[..written.len]).next() else {
            panic!("it was written as feedback");
        };
        self.estimator.on_feedback(self.now + 20 * MS, &feedback);
    }
}

#[test]
fn the_receiver_may_set_a_bound() {
    let mut pair = Pair::new();
    pair.estimator.on_remb(Bitrate(500_000));
    pair.run(10_000 * MS, 1.0, true);
    assert_eq!(pair.estimator.target(), Bitrate(500_000));
    pair.estimator.on_remb(Bitrate(1));
    pair.run(100 * MS, 1.0, true);
    assert_eq!(pair.estimator.target(), Limits::default().min);
    assert!(pair.estimator.rtt().is_some_and(|rtt| rtt < 80 * MS));
    assert_eq!(pair.estimator.queue_delay(), Duration::ZERO);
}

#[test]
fn never_above_the_highest() {
    let mut pair = Pair::new();
    pair.run(120_000 * MS, 1.0, true);
    assert_eq!(pair.estimator.target(), Limits::default().max);
}

#[test]
fn little_that_is_sent_proves_little() {
    let mut pair = Pair::new();
    pair.estimator.set_wanted(pair.now, Bitrate(100_000));
    pair.run(60_000 * MS, 0.3, true);
    assert!(
        pair.estimator.target() <= Bitrate(330_000),
        "{:?}",
        pair.estimator.target()
    );
}

#[test]
fn silence_lets_the_rate_fall_and_the_first_word_raises_it() {
    let mut pair = Pair::new();
    pair.run(10_000 * MS, 1.0, true);
    let before = pair.estimator.target();
    assert!(before > Bitrate(1_000_000));
    pair.run(900 * MS, 1.0, false);
    assert!(pair.estimator.target() >= before, "a second is not long");
    pair.run(4000 * MS, 1.0, false);
    let silent = pair.estimator.target();
    assert!(silent.0 < before.0 / 4, "{silent:?} of {before:?}");
    assert!(pair.estimator.is_silent());
    pair.run(100 * MS, 1.0, true);
    assert!(!pair.estimator.is_silent());
    let pacing = pair.estimator.pacing(pair.now);
    assert!(pacing.probed && pacing.rate.0 > before.0 / 2, "{pacing:?}");
}
