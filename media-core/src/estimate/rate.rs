//! From signals to a rate: down at once when the queue grows, up again when it is empty, then slowly on
//! (after draft-ietf-rmcat-gcc-02 §5.5).
//!
//! What differs: after a decrease that was there to empty the queue the rate goes back to just below what the link was
//! seen to carry, instead of climbing there. It knows nothing of losses and probes but what it is told.

use super::trend::Signal;

/// What is kept of the measured rate when the queue grows: while it may be jitter, and when it is surely there.
const BETA: (f64, f64) = (0.95, 0.85);
/// A queue that is longer than the noise by this factor is surely there.
const NOISES: i64 = 3;
/// What is gone back to once the queue is empty, as a share of the measured rate.
const RETURN: f64 = 0.90;
/// A queue that is shorter is empty, in µs.
const EMPTY: i64 = 15_000;
/// A queue that is shorter may be nothing but jitter, in µs.
const SEEN: i64 = 8_000;
/// A queue that is longer is not added to, in µs.
const FULL: i64 = 25_000;
/// Far from the known capacity the rate grows by this share in a second.
const GROWTH: f64 = 0.15;
/// Near it by a packet each response time, but at least and at most by these shares in a second.
const NEAR: (f64, f64) = (0.01, 0.08);
/// Added to the round trip: the time that a change of rate takes to show, in µs.
const RESPONSE: i64 = 100_000;
/// Size of a packet by which the rate grows per response time, in bits.
const PACKET: f64 = 1200.0 * 8.0;
/// The rate does not grow beyond this factor of what arrives, and a little.
const PROVED: (f64, f64) = (1.5, 10_000.0);
/// Weight of a new measurement of the capacity.
const CAPACITY_WEIGHT: f64 = 0.3;
/// A rate above the known capacity by this factor means that it has grown.
const OUTGROWN: f64 = 1.06;
/// How long a queue may stand, and how long is waited for it to empty, in µs.
const PATIENCE: (i64, i64) = (500_000, 2_000_000);
/// Whoever fills the queue is thought to do so for this time, in µs.
const RIVAL: i64 = 10_000_000;
/// What is sent is above the rate by more than this factor: the sender has not followed (yet).
const OBEYED: f64 = 1.1;
/// If this share of what cannot become less arrives, the queue is not ours: a way that has become longer looks like that.
const PASSES: f64 = 0.97;
/// If less than this share arrives of what is less than was proved, the line has become narrower: a queue of 25 ms holds back a
/// twentieth of half a second.
const NARROWED: f64 = 0.92;
/// After a decrease nothing is tried for this time, in µs: what is free now may be what others have left for a moment.
const CALM: i64 = 4_000_000;
/// The least share of the measured rate that a long queue leaves.
const LEAST: f64 = 0.5;

/// Increases and decreases a rate, in bits per second.
#[derive(Debug)]
pub(super) struct Control {
    rate: f64,
    /// What the link was seen to carry, the last times that its queue grew.
    capacity: Option<f64>,
    /// What arrived when it was decreased last.
    measured: f64,
    /// Decreased, and waiting for the queue to empty.
    draining: bool,
    /// When the queue was given up.
    rival: Option<i64>,
    /// Since when the queue has been too long.
    standing: Option<i64>,
    updated: Option<i64>,
    decreased: Option<i64>,
}

/// What is known when the rate is decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// In µs.
    pub(super) now: i64,
    /// Of the delay.
    pub(super) signal: Signal,
    /// What stands in the queue, in µs.
    pub(super) standing: i64,
    /// How much the delay changes without a queue, in µs.
    pub(super) noise: i64,
    /// Round trip, in µs.
    pub(super) rtt: i64,
    /// What arrives, over half a second, corrected by what is lost by chance.
    pub(super) arriving: Option<f64>,
    /// The same over the last moments.
    pub(super) lately: Option<f64>,
    /// The same over the very last ones.
    pub(super) just_now: Option<f64>,
    /// What is sent, over half a second.
    pub(super) sent: Option<f64>,
    /// Too little is sent to prove anything.
    pub(super) idle: bool,
    /// Only sound is sent, which goes whatever the rate is.
    pub(super) bare: bool,
}

impl Input {
    /// Whether less is sent than could be, and passes.
    fn spares(&self) -> bool {
        self.idle && self.passes(NARROWED)
    }

    /// Whether this share of what is sent arrives.
    fn passes(&self, share: f64) -> bool {
        let passes = |(arriving, sent)| arriving > share * sent;
        self.arriving.zip(self.sent).is_none_or(passes)
    }
}

impl Control {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate,
            capacity: None,
            measured: 0.0,
            draining: false,
            rival: None,
            standing: None,
            updated: None,
            decreased: None,
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// The link was seen to carry `rate`.
    pub(super) fn proved(&mut self, rate: f64) {
        if rate > self.rate {
            self.rate = rate;
            self.draining = false;
        }
        if self.capacity.is_some_and(|capacity| rate > capacity * OUTGROWN) {
            self.capacity = None;
        }
    }

    /// The rate must not be above `rate`, for whatever reason.
    pub(super) fn limit(&mut self, rate: f64) {
        self.rate = self.rate.min(rate);
    }

    /// The rate must be between these.
    pub(super) fn clamp(&mut self, min: f64, max: f64) {
        self.rate = self.rate.clamp(min, max);
    }

    /// Whether the queue has not emptied, whatever we did: somebody else fills it. Told once.
    pub(super) fn gives_up(&mut self, input: &Input) -> bool {
        let waited = self.decreased.is_some_and(|at| input.now - at > PATIENCE.1);
        let given_up = self.draining && waited && !self.exceeds(input);
        if given_up {
            self.draining = false;
            self.rival = Some(input.now);
            self.rate = self.rate.max(RETURN * self.measured);
        }
        given_up
    }

    /// Whether the link has shown its limit since then.
    pub(super) fn has_decreased_since(&self, since: i64) -> bool {
        self.decreased.is_some_and(|at| at >= since)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether more may be tried: the last decrease has been made good and was long ago, the longer if the rate has not
    /// yet grown beyond what the link was seen to carry.
    pub(super) fn may_try(&self, now: i64) -> bool {
        let calm = if self.capacity.is_none() { CALM } else { 2 * CALM };
        !self.draining && self.decreased.is_none_or(|at| now - at > calm)
    }

    pub(super) fn update(&mut self, input: &Input) {
        let elapsed = self
            .updated
            .map_or(0, |updated| (input.now - updated).clamp(0, 1_000_000));
        self.updated = Some(input.now);
        match input.signal {
            // Who sends less than was proved fills no queue, unless the line has become narrower than even that: then it is a long
            // one, or something of it is lost.
            Signal::Over if input.standing > if input.spares() { 2 * FULL } else { SEEN } => self.decrease(input),
            Signal::Over if !input.spares() => {}
            Signal::Over | Signal::Normal if self.stands(input) || self.is_ignored(input) => self.decrease(input),
            Signal::Over | Signal::Under => {}
            Signal::Normal if self.draining => self.go_back(input),
            Signal::Normal => self.increase(input, elapsed as f64 / 1e6),
        }
    }

    /// Whether the queue neither grows nor shrinks, and is too long to be left alone.
    fn stands(&mut self, input: &Input) -> bool {
        let rival = self.rival.is_some_and(|at| input.now - at < RIVAL);
        if input.standing < FULL || self.draining || rival {
            self.standing = None;
            return false;
        }
        let since = *self.standing.get_or_insert(input.now);
        input.standing > 2 * FULL || input.now - since > PATIENCE.0
    }

    /// Whether the queue cannot empty because more is sent than the rate allows.
    fn is_ignored(&self, input: &Input) -> bool {
        // What was sent before the decrease is in the measure for half a second.
        let waited = self.decreased.is_none_or(|at| input.now - at > PATIENCE.1 / 2);
        self.draining && waited && input.standing > FULL && self.exceeds(input)
    }

    fn exceeds(&self, input: &Input) -> bool {
        input.sent.is_some_and(|sent| sent > self.rate * OBEYED) && !(input.bare && input.passes(PASSES))
    }

    fn decrease(&mut self, input: &Input) {
        // What came before may have come at a lower rate; only a queue that is surely there says that it is over.
        let others = [input.arriving, input.just_now].map(|rate| rate.filter(|_| input.standing <= FULL));
        let Some(measured) = others.into_iter().chain([input.lately]).flatten().reduce(f64::max) else {
            if self.waited(input) {
                self.decreased = Some(input.now);
                self.rate *= LEAST;
            }
            return;
        };
        if !self.waited(input) && measured > self.rate * 0.5 {
            return;
        }
        self.decreased = Some(input.now);
        self.draining = true;
        let measured = measured.min(self.rate * 1.5);
        self.measured = measured;
        self.capacity = Some(match self.capacity {
            Some(known) if (measured / known - 1.0).abs() < 0.15 => known + CAPACITY_WEIGHT * (measured - known),
            _ => measured,
        });
        let certain = ((input.standing - SEEN) as f64 / (NOISES * input.noise).max(1) as f64).clamp(0.0, 1.0);
        let excess = (input.standing - EMPTY).max(0) as f64 / 1e6;
        let keep = BETA.0 + certain * (BETA.1 - BETA.0) - excess;
        self.rate = self.rate.min(measured * keep.max(LEAST));
    }

    /// Whether the last decrease has had time to show.
    fn waited(&self, input: &Input) -> bool {
        self.decreased
            .is_none_or(|at| input.now - at >= input.rtt.clamp(50_000, 300_000) + RESPONSE)
    }

    fn go_back(&mut self, input: &Input) {
        if input.standing <= EMPTY {
            self.draining = false;
            self.rate = self.rate.max(RETURN * self.measured);
        }
    }

    fn increase(&mut self, input: &Input, elapsed: f64) {
        if input.idle || input.standing > FULL || input.bare && !input.passes(PASSES) {
            return;
        }
        let per_second = PACKET * 1e6 / (input.rtt + RESPONSE) as f64;
        let near = self.capacity.is_some_and(|capacity| self.rate > capacity * 0.9);
        let step = if near {
            per_second.clamp(self.rate * NEAR.0, self.rate * NEAR.1)
        } else {
            per_second.max(self.rate * GROWTH)
        };
        let proved = input
            .arriving
            .map_or(f64::INFINITY, |arriving| PROVED.0 * arriving + PROVED.1);
        let grown = self.rate + step * elapsed;
        if grown <= proved {
            self.rate = grown;
        }
        if self.capacity.is_some_and(|capacity| self.rate > capacity * OUTGROWN) {
            self.capacity = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM_INPUT: Input = Input {
        now: 0,
        signal: Signal::Normal,
        standing: 0,
        noise: 1000,
        rtt: 50_000,
        arriving: None,
        lately: None,
        just_now: None,
        sent: None,
        idle: false,
        bare: false,
    };

    /// Feedback every 50 ms for so many seconds; what arrives is what is sent, up to `capacity`.
    fn run(control: &mut Control, now: &mut i64, seconds: i64, input: Input) {
        for _ in 0..seconds * 20 {
            *now += 50_000;
            let arriving = input.arriving.map(|capacity| capacity.min(control.rate()));
            control.update(&Input {
                now: *now,
                arriving,
                lately: arriving,
                ..input
            });
        }
    }

    #[test]
    fn grows_while_nothing_is_wrong_but_not_when_idle() {
        let (mut control, mut now) = (Control::new(1e6), 0);
        let input = Input {
            arriving: Some(1e9),
            ..CALM_INPUT
        };
        run(&mut control, &mut now, 2, Input { idle: true, ..input });
        assert_eq!(control.rate(), 1e6);
        run(&mut control, &mut now, 2, input);
        assert!((1.2e6..1.5e6).contains(&control.rate()), "{}", control.rate());
        let arriving = Some(0.5e6);
        run(&mut control, &mut now, 20, Input { arriving, ..input });
        assert!(
            control.rate() < 1.5e6,
            "not far beyond what arrives: {}",
            control.rate()
        );
    }

    #[test]
    fn sound_that_does_not_pass_proves_nothing() {
        for (arriving, grows) in [(90e3, false), (119e3, true)] {
            let (mut control, mut now) = (Control::new(50e3), 0);
            for _ in 0..200 {
                now += 50_000;
                let input = Input {
                    now,
                    arriving: Some(arriving),
                    sent: Some(120e3),
                    bare: true,
                    ..CALM_INPUT
                };
                control.update(&input);
            }
            assert_eq!(control.rate() > 100e3, grows, "{arriving}: {}", control.rate());
        }
    }

    #[test]
    fn falls_at_once_drains_and_goes_back() {
        let (mut control, mut now) = (Control::new(3e6), 0);
        let over = Input {
            signal: Signal::Over,
            standing: 40_000,
            arriving: Some(2e6),
            lately: Some(2e6),
            ..CALM_INPUT
        };
        control.update(&over);
        let drained = control.rate();
        assert!((1.6e6..1.7e6).contains(&drained), "{drained}: 85 %, less for the queue");
        assert!(!control.may_try(10_000_000), "not before the queue is empty");
        control.update(&Input { now: 50_000, ..over });
        assert_eq!(control.rate(), drained, "once per round trip");
        now += 300_000;
        control.update(&Input {
            now,
            signal: Signal::Normal,
            standing: 5000,
            ..over
        });
        assert_eq!(control.rate(), 1.8e6);
        assert!(!control.may_try(now) && control.may_try(now + 2 * CALM + 1));
    }

    #[test]
    fn jitter_alone_costs_nothing() {
        let (mut control, mut now) = (Control::new(3e6), 0);
        let signal = Signal::Over;
        run(&mut control, &mut now, 5, Input { signal, ..CALM_INPUT });
        assert_eq!(control.rate(), 3e6);
    }

    #[test]
    fn a_short_queue_is_not_of_who_sends_little() {
        let little = Input {
            signal: Signal::Over,
            standing: 30_000,
            arriving: Some(0.4e6),
            lately: Some(0.4e6),
            sent: Some(0.4e6),
            idle: true,
            ..CALM_INPUT
        };
        for (input, kept) in [
            (little, true),
            (
                Input {
                    standing: 60_000,
                    ..little
                },
                false,
            ),
            (
                Input {
                    sent: Some(0.5e6),
                    ..little
                },
                false,
            ),
            (Input { idle: false, ..little }, false),
        ] {
            let mut control = Control::new(1e6);
            control.update(&input);
            assert_eq!(control.rate() == 1e6, kept, "{input:?}: {}", control.rate());
        }
    }

    #[test]
    fn a_sender_that_does_not_follow_is_not_taken_for_somebody_else() {
        let (mut control, mut now) = (Control::new(0.7e6), 0);
        let (arriving, sent) = (Some(0.6e6), Some(0.65e6));
        for _ in 0..200 {
            now += 50_000;
            let input = Input {
                now,
                standing: 150_000,
                arriving,
                lately: arriving,
                sent,
                ..CALM_INPUT
            };
            control.update(&input);
            assert!(!control.gives_up(&input));
        }
        assert!(control.rate() < 0.5e6, "{}", control.rate());
    }

    #[test]
    fn a_way_that_has_become_longer_is_not_waited_for_by_sound_alone() {
        let (mut control, mut now) = (Control::new(0.3e6), 0);
        let (arriving, sent) = (Some(51e3), Some(51e3));
        let mut given_up = false;
        for _ in 0..80 {
            now += 50_000;
            let input = Input {
                now,
                standing: 65_000,
                arriving,
                lately: arriving,
                sent,
                bare: true,
                ..CALM_INPUT
            };
            control.update(&input);
            let less = sent.map(|sent| sent * 0.9);
            assert!(
                !control.gives_up(&Input {
                    arriving: less,
                    ..input
                }),
                "some of it is lost: it is ours"
            );
            given_up |= control.gives_up(&input);
        }
        assert!(given_up, "within four seconds");
    }

    #[test]
    fn a_queue_that_others_fill_is_given_up() {
        let (mut control, mut now) = (Control::new(1e6), 0);
        let standing = 100_000;
        let arriving = Some(1e6);
        let input = Input {
            standing,
            arriving,
            ..CALM_INPUT
        };
        run(&mut control, &mut now, 1, input);
        assert!(control.rate() < 0.9e6, "it is tried to empty it");
        assert!(!control.gives_up(&Input { now, ..input }));
        run(&mut control, &mut now, 2, input);
        let later = Input { now, ..input };
        assert!(control.gives_up(&later) && !control.gives_up(&later), "told once");
        assert_eq!(control.rate(), 0.9e6);
        let accepted = Input { standing: 0, ..input };
        run(&mut control, &mut now, 2, accepted);
        assert!(control.rate() > 0.9e6);
    }
}
