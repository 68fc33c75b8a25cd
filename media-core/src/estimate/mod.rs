//! How much a peer can be sent: bandwidth estimation on the sending side, from transport-wide feedback or that of RFC 8888.
//!
//! draft-ietf-rmcat-gcc-02 (delay), draft-holmer-rmcat-transport-wide-cc-extensions-01 (feedback),
//! draft-alvestrand-rmcat-remb-03 (an upper bound); `docs/congestion.md` says what differs and why. It sends nothing,
//! schedules nothing and chooses no layers: it is told what was sent and what came of it, and gives rates.
//!
//! ```text
//!  on_sent ─► feedback  history ──┬─► group ─► trend      is the queue growing? ─┐
//!  on_feedback ───────────────────┼─► queue_delay         how long is it?       ─┼─► rate ─► target
//!                                 ├─► throughput          how much arrives?     ─┤
//!                                 ├─► loss                does rate cause loss? ─┤
//!                                 └─► probe               did more pass?        ─┘
//! ```
//!
//! [`mod@line`] puts the estimator and the pacer together for one peer.
//!
//! All rates are of bytes on the wire, the headers of IPv4 and UDP among them: what a link carries. An estimator holds
//! a kilobyte or two, and 16 bytes for each packet under way, at most [`MAX_SENT`](feedback::MAX_SENT). No allocation
//! per packet once it has seen the rate.

mod by_stream;
pub mod feedback;
mod group;
pub mod line;
mod loss;
mod probe;
mod queue_delay;
mod rate;
pub mod share;
mod throughput;
mod trend;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use self::feedback::{Arrival, History, Report, Told};
use self::group::Groups;
pub use self::line::Line;
use self::loss::Losses;
use self::probe::Probes;
use self::queue_delay::QueueDelay;
use self::rate::{Control, Input};
use self::throughput::Throughput;
use self::trend::{Signal, Trend};
use crate::rtcp::{Bitrate, TransportCc};
use crate::send::pacer;

/// Bytes that IPv4 and UDP add to a datagram.
pub const OVERHEAD: usize = 28;
/// Round trip assumed before the first feedback, in µs.
const INITIAL_RTT: i64 = 100_000;
/// Slots of ten ms over which rates are taken: as a rule, and when the queue grows.
const USUAL: i64 = 50;
const LATELY: i64 = 16;
const JUST_NOW: i64 = 8;
/// Less sent than this share of the target proves nothing.
const BUSY: f64 = 0.8;
/// Silence after which the link may be gone, in µs, and the time from one cut to the next.
const SILENCE: i64 = 1_000_000;
const CUT_INTERVAL: i64 = 500_000;
/// Packets that nothing is heard of, at least, before that is called silence.
const MIN_UNKNOWN: u64 = 10;
/// What a cut leaves.
const CUT: f64 = 0.7;
/// Media is sent at this factor of the target, so that a large picture does not wait for the next; the first on a line that has
/// shown its limit, below a rate at which each packet stands in the queue for so long that sound should not wait behind two.
const PACING: (f64, f64) = (1.1, 1.25);
const NARROW: u64 = 600_000;
/// A probe is sent more evenly than media.
const PROBE_BURST: Duration = Duration::from_millis(1);
/// What may go at once of what is wanted, on a line that carries all of it and has no queue: a usual picture, whole, at 30 a
/// second. One system call sends it; in shorter bursts the same packets cost almost twice the processor time.
const PICTURE: Duration = Duration::from_millis(33);
/// A queue below this is none, in µs.
const AMPLE_QUEUE: i64 = 10_000;
/// A limit that was seen counts for this time, in µs.
const LIMIT_FORGOTTEN: i64 = 10_000_000;
/// The probes of the start are over after this time, in µs.
const FIRST_GUESS: i64 = 1_000_000;
/// More than is wanted need not be proved, but some.
const ROOM: f64 = 1.25;
/// A line that has shown a queue within this time, in µs, is near its limit, or others use it too: a short probe would find
/// what they need.
const UNTOUCHED: i64 = 3_000_000;
/// Of what each probe of such a line finds so much more than the rate is believed, in bits per second, while the next one asks for
/// twice as much as the last, until one does not pass: others keep what they have, and who has little of a line gains as much as
/// who has a lot of it.
const CAUTIOUS: f64 = 200_000.0;
/// A queue that is longer is not probed, in µs.
const CALM: i64 = 30_000;

/// Between which rates an estimate lies, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Never below: below it there is no use in sending at all.
    pub min: Bitrate,
    /// The first guess.
    pub start: Bitrate,
    /// Never above.
    pub max: Bitrate,
}

impl Default for Limits {
    /// From 30 kbit/s (one voice) over 300 kbit/s to 50 Mbit/s.
    fn default() -> Self {
        Self {
            min: Bitrate(30_000),
            start: Bitrate(300_000),
            max: Bitrate(50_000_000),
        }
    }
}

/// What a feedback message has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Packets that have arrived.
    pub arrived: usize,
    /// Packets that are now known to be lost; negative when more have turned up after all.
    pub lost: i64,
    /// It is the first word after a silence of a second or more, in which much was sent: nothing has arrived for that long.
    pub revived: bool,
}

/// How to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How quickly, everything together.
    pub rate: Bitrate,
    /// What may go at once, in time at this rate.
    pub burst: Duration,
    /// The link is being probed: when there is nothing to send, send padding.
    pub probed: bool,
}

/// Estimates what one peer can be sent.
#[derive(Debug)]
pub struct Estimator {
    epoch: Instant,
    limits: Limits,
    history: History,
    groups: Groups,
    trend: Trend,
    queue: QueueDelay,
    sending: Throughput,
    arriving: Throughput,
    losses: Losses,
    control: Control,
    probes: Probes,
    /// What the receiver says that it can take.
    bound: Option<f64>,
    wanted: f64,
    /// Only sound is sent.
    bare: bool,
    rtt: Option<i64>,
    /// When the rate was cut for silence, and what it was before.
    cut: Option<(i64, f64)>,
    heard: i64,
    first_heard: Option<i64>,
    /// After a silence.
    heard_again: Option<i64>,
    /// When a queue was seen last.
    queued: Option<i64>,
    begun: bool,
    /// The probe that is under way was due although a queue is seen now and then.
    cautious: bool,
    /// Used and kept by `on_feedback`.
    arrivals: Vec<Arrival>,
}

impl Estimator {
    /// An estimator that knows nothing yet.
    #[must_use]
    pub fn new(now: Instant, limits: Limits) -> Self {
        Self {
            epoch: now,
            limits,
            history: History::default(),
            groups: Groups::default(),
            trend: Trend::default(),
            queue: QueueDelay::default(),
            sending: Throughput::default(),
            arriving: Throughput::default(),
            losses: Losses::default(),
            control: Control::new(limits.start.0 as f64),
            probes: Probes::default(),
            bound: None,
            wanted: limits.max.0 as f64,
            bare: false,
            rtt: None,
            cut: None,
            heard: 0,
            first_heard: None,
            heard_again: None,
            queued: None,
            begun: false,
            cautious: false,
            arrivals: Vec::new(),
        }
    }

    /// A datagram of `len` bytes goes out under a transport-wide number, each one more than the last.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, seq: u16, len: usize) {
        let at = self.micros(now);
        if !std::mem::replace(&mut self.begun, true) {
            self.probes.begin(self.control.rate());
            self.heard = at;
        }
        let size = u16::try_from(len + OVERHEAD).unwrap_or(u16::MAX);
        let cluster = self.probes.on_sent(size);
        let seq = self.history.on_sent(at, seq, size, cluster);
        if cluster != 0 {
            self.probes.numbered(seq);
        }
        self.sending.count(at, size);
    }

    /// Takes what the peer has received. Costs some ten ns per packet, and tens of µs five times a second while there is
    /// loss.
    pub fn on_feedback(&mut self, now: Instant, feedback: &TransportCc<'_>) -> Heard {
        self.take(now, |history, arrivals| history.on_feedback(feedback, arrivals))
    }

    /// Takes what the peer says of single packets, in the order in which they were sent, in a message made at `reference` µs of
    /// its clock. Costs the same.
    fn on_reports(&mut self, now: Instant, reference: i64, reports: &[(u16, Report)]) -> Heard {
        self.take(now, |history, arrivals| {
            history.on_reports((reference, reports), arrivals)
        })
    }

    fn take(&mut self, now: Instant, read: impl FnOnce(&mut History, &mut Vec<Arrival>) -> Told) -> Heard {
        let at = self.micros(now);
        let mut arrivals = std::mem::take(&mut self.arrivals);
        arrivals.clear();
        let told = read(&mut self.history, &mut arrivals);
        self.heard = at;
        self.first_heard.get_or_insert(at);
        if let Some(latest) = arrivals.iter().map(|packet| packet.sent).max() {
            let sample = (at - latest).max(0);
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
        self.queue.on_arrivals(&arrivals);
        if self.queue.standing() > AMPLE_QUEUE {
            self.queued = Some(at);
        }
        let mut signal = None;
        for packet in &arrivals {
            self.arriving.count(packet.arrived, packet.size);
            self.probes.on_arrival(packet);
            if let Some(change) = self.groups.on_arrival(packet) {
                self.probes.on_jitter(change.delay);
                self.trend.on_change(&change);
                if self.trend.signal() == Signal::Over {
                    signal = Some(Signal::Over);
                }
            }
        }
        let bytes = arrivals.iter().map(|packet| u64::from(packet.size)).sum();
        let heard = Heard {
            arrived: arrivals.len(),
            lost: told.lost,
            revived: self.is_silent(),
        };
        // What a cut line has lost says nothing about what it loses when it is there.
        let lost = if heard.revived { 0 } else { told.lost };
        let fresh = self.losses.on_feedback(at, bytes, heard.arrived as u64, lost);
        self.arrivals = arrivals;
        self.on_heard(at);
        self.decide(at, signal.unwrap_or_else(|| self.trend.signal()), fresh);
        while let Some(rate) = self.probes.result(told.reported) {
            let most = if self.cautious {
                self.control.rate() + CAUTIOUS
            } else {
                f64::INFINITY
            };
            self.control.proved(rate.min(most));
        }
        self.keep_bounds();
        self.look_further(at);
        heard
    }

    /// The receiver can take no more than this.
    pub fn on_remb(&mut self, bound: Bitrate) {
        self.bound = Some(bound.0 as f64);
        self.keep_bounds();
    }

    /// How much could be sent at all if the link carried it. More is not sought.
    pub fn set_wanted(&mut self, now: Instant, wanted: Bitrate) {
        self.wanted = wanted.0 as f64;
        let at = self.micros(now);
        // Where nothing is sent nothing is heard, and nobody else would look.
        if self.begun && at - self.heard > SILENCE {
            self.look_further(at);
        }
    }

    /// Whether only sound is sent, or what else goes whatever the rate is: then the rate is not what is tried, and what is lost of
    /// it tells nothing of chance.
    pub fn set_bare(&mut self, bare: bool) {
        self.bare = bare;
    }

    /// Whether nothing speaks against sending somewhat more than was proved: no queue, and no limit seen for long. Short
    /// probes say too little of a line that jitters, and not every peer can be sent padding.
    #[must_use]
    pub fn is_easy(&self, now: Instant) -> bool {
        let recent = (self.micros(now) - LIMIT_FORGOTTEN).max(0);
        let limited = self.control.has_decreased_since(recent) || self.queued.is_some_and(|at| at >= recent);
        self.is_calm() && self.is_settled(now) && !limited
    }

    /// Whether the line carries what is sent: no queue.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.trend.signal() == Signal::Normal && self.queue.standing() < AMPLE_QUEUE
    }

    /// Whether nothing has been heard for so long that the rate was cut: since when.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        let since = self.micros(now).saturating_sub(self.heard);
        self.cut.map(|_| Duration::from_micros(since.unsigned_abs()))
    }

    /// Whether something has been heard again only just now, so that what was known before has not been tried yet.
    #[must_use]
    pub fn is_trying_again(&self, now: Instant) -> bool {
        let soon = |at: &i64| self.micros(now) - at < FIRST_GUESS;
        self.heard_again
            .is_some_and(|at| soon(&at) && !self.control.has_decreased_since(at))
    }

    /// Whether the first guess has been followed by something better: by a second of reports, or by a queue.
    #[must_use]
    pub fn is_settled(&self, now: Instant) -> bool {
        self.first_heard
            .is_some_and(|first| self.micros(now) - first > FIRST_GUESS)
            || self.control.has_decreased_since(0)
    }

    /// Does what is due at `now`: when nothing is heard, the rate falls.
    pub fn handle_timeout(&mut self, now: Instant) {
        let at = self.micros(now);
        if self.silent_until().is_none_or(|due| due > at) {
            return;
        }
        let before = self.cut.map_or_else(|| self.control.rate(), |(_, before)| before);
        self.cut = Some((at, before));
        self.probes.stop();
        let rate = (self.control.rate() * CUT).max(self.limits.min.0 as f64);
        self.control.limit(rate);
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.silent_until()
            .map(|at| self.epoch + Duration::from_micros(at.unsigned_abs()))
    }

    /// Nothing is heard, although much was sent.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.cut.is_some()
    }

    /// What can be sent, in all.
    #[must_use]
    pub fn target(&self) -> Bitrate {
        self.bitrate(self.control.rate())
    }

    /// How to send now. Ask before each packet or burst.
    pub fn pacing(&mut self, now: Instant) -> Pacing {
        let at = self.micros(now);
        let limit = (self.wanted * ROOM).min(self.bound.unwrap_or(f64::INFINITY));
        let target = self.target();
        let limit = limit.min(self.limits.max.0 as f64);
        if limit > self.control.rate()
            && let Some(probe) = self.probes.sending(at, limit)
        {
            return Pacing {
                rate: to_bitrate(probe.rate).max(target),
                burst: PROBE_BURST,
                probed: true,
            };
        }
        let even = target.0 < NARROW && !self.is_easy(now);
        let factor = if even { PACING.0 } else { PACING.1 };
        Pacing {
            rate: to_bitrate(target.0 as f64 * factor),
            burst: self.burst(),
            probed: false,
        }
    }

    /// A usual picture of what is wanted, where the line has room for it.
    fn burst(&self) -> Duration {
        let rate = self.control.rate();
        if rate < self.wanted || self.queue.standing() >= AMPLE_QUEUE {
            return pacer::BURST;
        }
        PICTURE.mul_f64(self.wanted / rate).max(pacer::BURST)
    }

    /// What stands in the queue of the slowest link, as far as it is seen.
    #[must_use]
    pub fn queue_delay(&self) -> Duration {
        Duration::from_micros(self.queue.standing().unsigned_abs())
    }

    /// What the round trip is thought to be before the first feedback.
    pub fn assume_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(i64::try_from(rtt.as_micros()).unwrap_or(INITIAL_RTT));
    }

    /// From sending a packet to hearing of it, smoothed; `None` before the first feedback.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.map(|rtt| Duration::from_micros(rtt.unsigned_abs()))
    }

    fn decide(&mut self, now: i64, signal: Signal, fresh_losses: bool) {
        let sent = self.sending.rate(USUAL);
        let idle = sent.is_none_or(|sent| sent < BUSY * self.control.rate());
        let verdict = self.losses.verdict();
        // Sound that overfills a line loses the same share of the same rate all the time, as if it were by chance.
        let overrun = self.bare && !idle;
        let passing = if overrun { 1.0 } else { 1.0 - verdict.inherent.min(0.5) };
        let mut input = Input {
            now,
            signal,
            standing: self.queue.standing(),
            noise: self.queue.noise(),
            rtt: self.rtt.unwrap_or(INITIAL_RTT),
            arriving: self.arriving.rate(USUAL).map(|rate| rate / passing),
            lately: self.arriving.rate(LATELY).map(|rate| rate / passing),
            just_now: self.arriving.rate(JUST_NOW).map(|rate| rate / passing),
            sent,
            idle,
            bare: self.bare,
        };
        if self.control.gives_up(&input) {
            self.queue.accept();
            input.standing = self.queue.standing();
        }
        self.control.update(&input);
        if let Some(capacity) = verdict.capacity.filter(|_| fresh_losses) {
            self.control.limit(capacity);
        }
        if signal == Signal::Over {
            self.probes.stop();
        }
    }

    fn keep_bounds(&mut self) {
        let (min, max) = (self.limits.min.0 as f64, self.limits.max.0 as f64);
        self.control.clamp(min, self.bound.unwrap_or(max).clamp(min, max));
    }

    /// Probes when more is wanted than known, and nothing speaks against it.
    fn look_further(&mut self, now: i64) {
        // Old news is no news.
        let stale = now - self.heard > SILENCE && self.cut.is_none();
        let calm = stale || self.trend.signal() == Signal::Normal && self.queue.standing() < CALM;
        let alone = self.queued.is_none_or(|at| now - at > UNTOUCHED);
        let rate = self.control.rate();
        let free = alone && self.control.may_try(now);
        let overdue = !self.control.is_draining() && self.probes.is_overdue(now);
        if calm && (free || overdue) && rate < self.wanted && self.probes.now_and_then(now, rate) {
            self.cautious = !free;
        }
    }

    /// After silence: what passed before may pass again.
    fn on_heard(&mut self, now: i64) {
        if let Some((_, before)) = self.cut.take() {
            self.heard_again = Some(now);
            self.probes.plan(before);
            self.cautious = false;
        }
    }

    fn silent_until(&self) -> Option<i64> {
        let (oldest, count) = self.history.unknown()?;
        // Who never reports is not judged by it, and the last packet before a pause may be lost.
        if self.rtt.is_none() || count < MIN_UNKNOWN {
            return None;
        }
        let patience = SILENCE.max(3 * self.rtt.unwrap_or(INITIAL_RTT));
        let due = oldest.max(self.heard) + patience;
        Some(self.cut.map_or(due, |(at, _)| due.max(at + CUT_INTERVAL)))
    }

    fn bitrate(&self, rate: f64) -> Bitrate {
        to_bitrate(rate).clamp(self.limits.min, self.limits.max)
    }

    fn micros(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(i64::MAX)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below the bound"
)]
fn to_bitrate(rate: f64) -> Bitrate {
    Bitrate(rate as u64)
}
