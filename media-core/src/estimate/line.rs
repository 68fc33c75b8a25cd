//! The way to one peer: what it carries, and when the next datagram may go.
//!
//! Before the peer has reported anything, nothing is held back: it may never report. It holds no packets.

use std::time::{Duration, Instant};

use super::by_stream::ByStream;
use super::{Estimator, Heard, Limits, OVERHEAD};
use crate::payload::MediaKind;
use crate::rtcp::{Bitrate, Ccfb, TransportCc};
use crate::send::Pacer;

/// What waits leaves within so many milliseconds, whatever the estimate says: later it is of no use.
const MAX_DELAY_MS: u64 = 250;
/// A peer that has reported nothing for so long will not do it: all is sent to it.
const MAX_SILENCE: Duration = Duration::from_secs(2);
/// What is divided of what was proved, in percent, on a line that has shown no limit: a little more is tried with pictures.
const TRUST: u64 = 130;
/// A peer that has fallen silent may come back within this time, and is sent what it was.
const PATIENCE: Duration = Duration::from_secs(10);
/// Length of a datagram that waits, as long as it is not written.
const USUAL_LEN: usize = 1200;
/// What is sent again takes at most this share of the rate, over so long: where more is lost than that makes good, sending again
/// only loses more.
const AGAIN: (u64, Duration) = (50, Duration::from_secs(1));

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
    /// When what was asked for again has passed at its share of the rate.
    again: Option<Instant>,
    /// When the first numbered datagram went.
    begun: Option<Instant>,
    /// The budget is never above this.
    most: Option<Bitrate>,
    /// What was sent, for a peer that tells of it by SSRC (RFC 8888).
    by_stream: Option<ByStream>,
}

/// What can be divided among streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// All together, on the wire.
    pub rate: Bitrate,
    /// It is more than a first guess.
    pub settled: bool,
    /// Nothing has been heard for long.
    pub gone: bool,
    /// There is no queue: what is sent is carried, whatever was proved.
    pub calm: bool,
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
            again: None,
            begun: None,
            most: None,
            by_stream: None,
        }
    }

    /// It is another line from now on, of which nothing is known.
    pub fn begin_anew(&mut self, now: Instant) {
        let rtt = self.estimator.rtt();
        *self = Self {
            most: self.most,
            by_stream: self.by_stream.take(),
            ..Self::new(now)
        };
        // It reports; so there is no need to send without measure until it does.
        if let Some(rtt) = rtt {
            self.estimator.assume_rtt(rtt);
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

    /// Whether a datagram of `kind` that the peer has asked for again may go. Sound may take twice as much, so that pictures do not
    /// take all of it.
    #[must_use]
    pub fn may_repeat(&self, now: Instant, kind: MediaKind) -> bool {
        let span = match kind {
            MediaKind::Audio => AGAIN.1 * 2,
            MediaKind::Video => AGAIN.1,
        };
        self.again.is_none_or(|at| at <= now + span)
    }

    /// A datagram of so many bytes that the peer has asked for again has gone. Before it has reported anything none is counted.
    pub fn on_repeat(&mut self, now: Instant, len: usize) {
        let Some(rate) = self.estimate() else { return };
        let nanos = ((len + OVERHEAD) as u64 * 8_000_000_000 * 100 / AGAIN.0).checked_div(rate.0);
        let begin = self.again.map_or(now, |at| at.max(now));
        self.again = Some(begin + Duration::from_nanos(nanos.unwrap_or(0)));
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

    /// An RTP datagram goes out, under a transport-wide number if it has one.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, seq: Option<u16>, datagram: &[u8]) {
        let len = datagram.len();
        let seq = match &mut self.by_stream {
            Some(by_stream) => by_stream.on_sent(datagram),
            None => seq,
        };
        if let Some(seq) = seq {
            self.begun.get_or_insert(now);
            self.estimator.on_sent(now, seq, len);
        }
        if self.estimator.rtt().is_some() {
            self.pacer.on_sent(now, len + OVERHEAD, self.rate);
        }
    }

    /// Takes the peer's feedback; `None` when it tells by SSRC already.
    pub fn on_feedback(&mut self, now: Instant, feedback: &TransportCc<'_>) -> Option<Heard> {
        let counts = self.by_stream.is_none();
        counts.then(|| self.estimator.on_feedback(now, feedback))
    }

    /// Takes feedback by SSRC (RFC 8888) of a peer that has told nothing by transport-wide numbers: what is sent after the first
    /// message is known when the next one comes.
    pub fn on_ccfb(&mut self, now: Instant, feedback: &Ccfb<'_>) -> Option<Heard> {
        if self.estimator.rtt().is_none() {
            self.by_stream.get_or_insert_default();
        }
        let reports = self.by_stream.as_mut()?.reports(feedback);
        if reports.is_empty() {
            return None;
        }
        Some(self.estimator.on_reports(now, feedback.micros(), reports))
    }

    /// Takes the peer's own bound.
    pub fn on_remb(&mut self, bound: Bitrate) {
        self.estimator.on_remb(bound);
    }

    /// How much could be sent at all.
    pub fn set_wanted(&mut self, now: Instant, wanted: Bitrate) {
        self.estimator.set_wanted(now, wanted);
    }

    /// Whether only sound is sent, which goes whatever the line carries.
    pub fn set_bare(&mut self, bare: bool) {
        self.estimator.set_bare(bare);
    }

    /// What may be divided among streams; `None` where that should stay as it is: who has fallen silent may come back, and
    /// then a moment passes until it is known again what the line carries.
    #[must_use]
    pub fn budget(&self, now: Instant) -> Option<Budget> {
        let away = self.estimator.silent_for(now).is_some_and(|since| since < PATIENCE);
        if away || self.estimator.is_trying_again(now) {
            return None;
        }
        let most = self.most.unwrap_or(Bitrate(u64::MAX));
        let easy = if self.estimator.is_easy(now) { TRUST } else { 100 };
        let known = self
            .estimate()
            .map(|rate| (Bitrate(rate.0 * easy / 100), self.estimator.is_settled(now)));
        let mute = self
            .begun
            .is_some_and(|at| now.saturating_duration_since(at) > MAX_SILENCE);
        let (rate, settled) = known.unwrap_or((Bitrate(if mute { u64::MAX } else { 0 }), mute));
        Some(Budget {
            rate: rate.min(most),
            settled: settled || self.most.is_some(),
            gone: self.estimator.silent_for(now).is_some(),
            calm: self.most.is_none() && self.estimator.is_calm(),
        })
    }

    /// Has the budget never be above `most`, whatever the line carries; `None` takes that back.
    pub fn set_most(&mut self, most: Option<Bitrate>) {
        self.most = most;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_takes_half_of_the_rate_and_sound_is_not_behind_pictures() {
        let now = Instant::now();
        let mut line = Line::new(now);
        let repeat = |line: &mut Line, now: Instant, kind: MediaKind| {
            let mut count = 0;
            while count < 1000 && line.may_repeat(now, kind) {
                line.on_repeat(now, USUAL_LEN);
                count += 1;
            }
            count
        };
        assert_eq!(repeat(&mut line, now, MediaKind::Video), 1000, "nothing is known yet");
        line.estimator.assume_rtt(Duration::from_millis(50));
        // A second of 150 kbit/s, and one more.
        assert_eq!(repeat(&mut line, now, MediaKind::Video), 16);
        assert!((14..=16).contains(&repeat(&mut line, now, MediaKind::Audio)));
        let later = now + Duration::from_millis(500);
        assert!(!line.may_repeat(later, MediaKind::Video) && line.may_repeat(later, MediaKind::Audio));
        assert!(repeat(&mut line, now + Duration::from_secs(4), MediaKind::Video) > 10);
    }
}
