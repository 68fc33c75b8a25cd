//! The way to one peer: what it carries, and when the next datagram may go.
//!
//! Before the peer has reported anything, nothing is held back: it may never report. It holds no packets.

use std::time::{Duration, Instant};

use super::{Estimator, Heard, Limits, OVERHEAD};
use crate::rtcp::{Bitrate, TransportCc};
use crate::send::Pacer;

/// What waits leaves within so many milliseconds, whatever the estimate says: later it is of no use.
const MAX_DELAY_MS: u64 = 250;
/// Length of a datagram that waits, as long as it is not written.
const USUAL_LEN: usize = 1200;

/// One peer's line.
#[derive(Debug)]
pub struct Line {
    estimator: Estimator,
    pacer: Pacer,
    /// The rate that goes with what is being sent.
    rate: Bitrate,
    /// The line is being probed; and a datagram of the probe may go now.
    probed: bool,
    padding: bool,
}

impl Line {
    /// A line that nothing is known of yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            estimator: Estimator::new(now, Limits::default()),
            pacer: Pacer::default(),
            rate: Limits::default().start,
            probed: false,
            padding: false,
        }
    }

    /// Whether a datagram may go at `now`, while `waiting` datagrams wait.
    ///
    /// # Errors
    /// The time to ask again.
    #[inline]
    pub fn ready(&mut self, now: Instant, waiting: usize) -> Result<(), Instant> {
        if self.estimator.rtt().is_none() {
            return Ok(());
        }
        let pacing = self.estimator.pacing(now);
        self.probed = pacing.probed;
        self.padding = false;
        let least = (waiting * USUAL_LEN * 8) as u64 * 1000 / MAX_DELAY_MS;
        self.rate = pacing.rate.max(Bitrate(least));
        self.pacer.ready(now, pacing.burst)?;
        self.padding = self.probed && waiting == 0;
        Ok(())
    }

    /// Whether the line is being probed, so that it should be asked again when the pacer lets go.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        self.probed
    }

    /// Whether [`Self::ready`] has found that nothing waits and something should be sent all the same: a probe.
    #[must_use]
    pub fn wants_padding(&self) -> bool {
        self.padding
    }

    /// A datagram of `len` bytes goes out, under a transport-wide number if it has one.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, seq: Option<u16>, len: usize) {
        if let Some(seq) = seq {
            self.estimator.on_sent(now, seq, len);
        }
        if self.estimator.rtt().is_some() {
            self.pacer.on_sent(now, len + OVERHEAD, self.rate);
        }
    }

    /// Takes the peer's feedback.
    pub fn on_feedback(&mut self, now: Instant, feedback: &TransportCc<'_>) -> Heard {
        self.estimator.on_feedback(now, feedback)
    }

    /// Takes the peer's own bound.
    pub fn on_remb(&mut self, bound: Bitrate) {
        self.estimator.on_remb(bound);
    }

    /// How much could be sent at all.
    pub fn set_wanted(&mut self, wanted: Bitrate) {
        self.estimator.set_wanted(wanted);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.estimator.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.estimator.next_timeout()
    }

    /// What the line carries; `None` before the peer has reported anything.
    #[must_use]
    pub fn estimate(&self) -> Option<Bitrate> {
        self.estimator.rtt().map(|_| self.estimator.target())
    }

    /// What stands in the queue of its slowest link.
    #[must_use]
    pub fn queue_delay(&self) -> Duration {
        self.estimator.queue_delay()
    }
}
