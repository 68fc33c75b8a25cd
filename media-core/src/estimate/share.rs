//! One budget over all pictures that one peer is sent: first the least for everybody, then better ones, by rank.
//!
//! It knows rates and ranks, no packets: what is measured, paused or sent in another layer is the router's affair. Sound
//! is not divided: it goes always, and the budget is what it leaves.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::LayerTarget;
use crate::rtcp::Bitrate;

/// Steps of one stream, at most: four temporal layers of the lowest picture, two of each of three others.
pub const MAX_STEPS: usize = 10;
/// A better picture than the present one must fit with this much to spare, in percent of its rate; the present one may
/// stay as long as it fits at all.
pub const TO_SPARE: u64 = 10;
/// The lowest picture that flows may go on with this much of its rate, in percent.
const PRESSED: u64 = 70;
/// After a fall nothing better is tried for this time, at first and at most.
const WAIT: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(64));
/// What falls within this time after it has risen was not ripe: the wait doubles.
const TRIAL: Duration = Duration::from_secs(15);

/// One of the ways in which a stream can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The layers that pass.
    pub layers: LayerTarget,
    /// What they take together.
    pub rate: Bitrate,
}

/// A stream that wants its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<Id> {
    /// Whose.
    pub id: Id,
    /// Higher ranks are served first.
    pub rank: u8,
    /// It may not become better now than it is.
    pub held: bool,
    /// What goes along with it for repair before it is asked for, in percent of its rate.
    pub ahead: u8,
    steps: SmallVec<[Step; MAX_STEPS]>,
    /// What is sent now, as an index.
    current: Option<usize>,
    granted: Option<usize>,
}

impl<Id> Claim<Id> {
    /// A claim without steps, which asks for nothing.
    #[must_use]
    pub fn new(id: Id, rank: u8, held: bool) -> Self {
        Self {
            id,
            rank,
            held,
            ahead: 0,
            steps: SmallVec::new(),
            current: None,
            granted: None,
        }
    }

    /// Adds a better way to send it than those before; beyond [`MAX_STEPS`] there are none.
    pub fn push(&mut self, layers: LayerTarget, rate: Bitrate) {
        if self.steps.len() < MAX_STEPS {
            // What is better takes no less, whatever was measured.
            let rate = self.best().map_or(rate, |before| before.rate.max(rate));
            self.steps.push(Step { layers, rate });
        }
    }

    /// Tells what the stream may be sent with now; `None` for nothing at all.
    pub fn set_current(&mut self, current: Option<LayerTarget>) {
        let order = |layers: LayerTarget| (layers.spatial, layers.temporal);
        let at_most = |current| move |step: &Step| order(step.layers) <= order(current);
        self.current = current.map(|current| self.steps.iter().rposition(at_most(current)).unwrap_or(0));
    }

    /// What a step takes with all that goes along.
    fn cost(&self, step: Step) -> u64 {
        step.rate.0 + step.rate.0 * u64::from(self.ahead) / 100
    }

    /// What the best way there is takes with all that goes along.
    #[must_use]
    pub fn wished(&self) -> u64 {
        self.best().map_or(0, |step| self.cost(step))
    }

    /// The best way there is.
    #[must_use]
    pub fn best(&self) -> Option<Step> {
        self.steps.last().copied()
    }

    /// The answer: how the stream may be sent; `None` when it may not.
    #[must_use]
    pub fn granted(&self) -> Option<Step> {
        self.steps.get(self.granted?).copied()
    }

    /// It may be sent as well as is wished for.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        self.granted.map_or(0, |granted| granted + 1) == self.steps.len()
    }

    fn taken(&self) -> u64 {
        self.granted().map_or(0, |step| self.cost(step))
    }

    /// Takes the next better step if there is room for it.
    fn rise(&mut self, room: &mut Room) -> bool {
        let next = self.granted.map_or(0, |granted| granted + 1);
        let Some(step) = self.steps.get(next).copied() else {
            return false;
        };
        let all = self.cost(step);
        let more = all.saturating_sub(self.taken());
        let fits = match self.current {
            // The last picture is given up late: an estimate wavers, and a pause is worse than a moment of too much.
            Some(_) if next == 0 => room.has(more * PRESSED / 100),
            Some(current) if next <= current => room.taken + more <= room.all.saturating_add(room.loose),
            current => {
                let same = current.is_some_and(|current| self.steps[current].layers.spatial == step.layers.spatial);
                (same || !self.held) && room.has(more + all * room.spare / 100)
            }
        };
        if fits {
            self.granted = Some(next);
            room.taken += more;
        }
        fits
    }
}

/// What is left of a budget.
struct Room {
    all: u64,
    taken: u64,
    /// What is sent now may take so much too much.
    loose: u64,
    /// What is better than what is sent now must leave so much of its rate, in percent.
    spare: u64,
}

impl Room {
    fn has(&self, rate: u64) -> bool {
        self.taken.saturating_add(rate) <= self.all
    }
}

/// Divides what `budget` leaves for pictures, where what is sent now may take `loose` percent more; what all that is
/// granted takes together.
///
/// First everybody gets the lowest picture, by rank; then, rank by rank, all of the same rank one step after another what
/// is better. Of two with the same rank who flows is before who does not, then who has the lower name. Costs a sort of
/// `claims` and a look at each for every step that is granted; no allocation.
pub fn divide<Id: Ord + Copy>(budget: Bitrate, loose: u64, claims: &mut [Claim<Id>]) -> Bitrate {
    claims.sort_unstable_by_key(|claim| (Reverse(claim.rank), claim.current.is_none(), claim.id));
    // Where there is enough for all, nobody seeks more than that: there is nothing to prove it with.
    let wished: u64 = claims.iter().map(Claim::wished).sum();
    let mut room = Room {
        all: budget.0,
        taken: 0,
        loose: percent(budget, loose),
        spare: if wished <= budget.0 { 0 } else { TO_SPARE },
    };
    for claim in claims.iter_mut() {
        claim.granted = None;
        claim.rise(&mut room);
    }
    for equals in claims.chunk_by_mut(|one, other| one.rank == other.rank) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for claim in equals.iter_mut().filter(|claim| claim.granted.is_some()) {
                moved |= claim.rise(&mut room);
            }
        }
    }
    Bitrate(room.taken)
}

fn percent(rate: Bitrate, percent: u64) -> u64 {
    (u128::from(rate.0) * u128::from(percent) / 100)
        .try_into()
        .unwrap_or(u64::MAX)
}

/// [`divide`], with what goes ahead of requests, or without it where that would pause somebody or there is no room for all of it;
/// `present`: it goes along now. What all take together, and whether it goes along from now on. Costs the same once more where
/// it is wished for.
pub fn divide_ahead<Id: Ord + Copy>(
    budget: Bitrate,
    loose: u64,
    present: bool,
    claims: &mut [Claim<Id>],
) -> (Bitrate, bool) {
    let with = divide(budget, loose, claims);
    if claims.iter().all(|claim| claim.ahead == 0) {
        return (with, true);
    }
    let kept: SmallVec<[_; 16]> = claims.iter().map(|claim| (claim.ahead, claim.granted)).collect();
    claims.iter_mut().for_each(|claim| claim.ahead = 0);
    let without = divide(budget, loose, claims);
    let pauses =
        |(claim, (_, granted)): (&Claim<Id>, &(u8, Option<usize>))| claim.granted.is_some() && granted.is_none();
    let most = budget
        .0
        .saturating_add(if present { percent(budget, loose) } else { 0 });
    // Both divisions have left them in the same order.
    if with.0 > most || claims.iter().zip(&kept).any(pauses) {
        return (without, false);
    }
    for (claim, (ahead, granted)) in claims.iter_mut().zip(kept) {
        (claim.ahead, claim.granted) = (ahead, granted);
    }
    (with, true)
}

/// Gives everybody at least the lowest picture with all its motion, whatever it takes: while little is known of a line,
/// after [`divide`].
pub fn begin<Id>(claims: &mut [Claim<Id>]) -> Bitrate {
    for claim in claims.iter_mut() {
        let lowest = claim.steps.first().map(|step| step.layers.spatial);
        let whole = |step: &Step| Some(step.layers.spatial) == lowest;
        claim.granted = claim.granted.max(claim.steps.iter().rposition(whole));
    }
    Bitrate(claims.iter().map(Claim::taken).sum())
}

/// Keeps one stream from going up and down all the time.
#[derive(Debug, Default, Clone, Copy)]
pub struct Patience {
    risen: Option<Instant>,
    fallen: Option<Instant>,
    wait: Duration,
}

impl Patience {
    /// Whether a better picture may be tried.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.fallen
            .is_none_or(|at| now.saturating_duration_since(at) >= self.wait)
    }

    /// Another spatial layer is granted from now on; `None` for none.
    pub fn on_change(&mut self, now: Instant, before: Option<u8>, after: Option<u8>) {
        if after > before {
            self.risen = Some(now);
        } else if after < before {
            let unripe = self
                .risen
                .is_some_and(|at| now.saturating_duration_since(at) < TRIAL + self.wait);
            self.wait = if unripe && !self.wait.is_zero() {
                (self.wait * 2).min(WAIT.1)
            } else {
                WAIT.0
            };
            self.fallen = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u8 = u8::MAX;

    /// Three pictures, of which the two upper ones can go without the upper temporal layer; the answer as an index.
    fn claim(id: u8, rank: u8, current: Option<u8>) -> Claim<u8> {
        let mut claim = Claim::new(id, rank, false);
        for (spatial, temporal, rate) in [(0, ALL, 150), (1, 0, 350), (1, ALL, 500), (2, 0, 1000), (2, ALL, 1500)] {
            claim.push(LayerTarget { spatial, temporal }, Bitrate(rate));
        }
        claim.current = current.map(usize::from);
        claim
    }

    fn answers(budget: u64, mut claims: Vec<Claim<u8>>) -> Vec<Option<usize>> {
        let taken = divide(Bitrate(budget), 0, &mut claims);
        let pressed: u64 = claims.iter().map(|claim| claim.steps[0].rate.0).max().unwrap_or(0) * (100 - PRESSED) / 100;
        assert!(taken.0 <= budget + pressed, "{taken:?} of {budget}");
        claims.sort_by_key(|claim| claim.id);
        claims.iter().map(|claim| claim.granted).collect()
    }

    fn granted(budget: u64, claims: &[(u8, Option<u8>)]) -> Vec<Option<usize>> {
        let claims = (0..)
            .zip(claims)
            .map(|(id, (rank, current))| claim(id, *rank, *current));
        answers(budget, claims.collect())
    }

    #[test]
    fn the_lowest_for_everybody_before_a_better_one_for_anybody() {
        assert_eq!(granted(100, &[(0, None)]), [None]);
        assert_eq!(granted(400, &[(0, None), (0, None)]), [Some(0), Some(0)]);
        assert_eq!(granted(800, &[(0, Some(0)), (0, Some(0))]), [Some(1), Some(1)]);
        assert_eq!(granted(10_000, &[(0, None), (0, None)]), [Some(4), Some(4)]);
    }

    #[test]
    fn who_speaks_has_a_good_picture_before_others_have_a_better_one() {
        assert_eq!(granted(200, &[(0, Some(0)), (1, None)]), [None, Some(0)]);
        assert_eq!(
            granted(950, &[(0, Some(2)), (1, Some(0)), (0, Some(2))]),
            [Some(0), Some(2), Some(0)],
            "the lowest for all, and what is left for the one"
        );
        assert_eq!(
            granted(2600, &[(0, Some(2)), (1, Some(4)), (0, Some(2))]),
            [Some(2), Some(4), Some(2)]
        );
    }

    #[test]
    fn what_is_sent_stays_as_long_as_it_fits_and_better_needs_room() {
        assert_eq!(granted(500, &[(0, Some(2))]), [Some(2)]);
        assert_eq!(granted(549, &[(0, Some(1))]), [Some(1)]);
        assert_eq!(granted(550, &[(0, Some(1))]), [Some(2)]);
        assert_eq!(granted(1500, &[(0, Some(1))]), [Some(4)], "enough for all is enough");
        assert_eq!(
            granted(499, &[(0, Some(4))]),
            [Some(1)],
            "down at once, as far as it takes"
        );
        assert_eq!(
            granted(110, &[(0, Some(0))]),
            [Some(0)],
            "the last one is given up late"
        );
        assert_eq!(granted(100, &[(0, Some(0))]), [None]);
        assert_eq!(granted(150, &[(0, None)]), [None], "to begin again needs room");
    }

    #[test]
    fn what_the_line_carries_may_stay_though_it_is_not_proved() {
        for (loose, expected) in [(0, 1), (15, 2)] {
            let mut claims = [claim(0, 0, Some(2))];
            divide(Bitrate(440), loose, &mut claims);
            assert_eq!(claims[0].granted, Some(expected));
        }
    }

    #[test]
    fn what_goes_ahead_pauses_nobody_and_waits_for_room() {
        // Plain, the lowest takes 150; with what goes ahead 225.
        for (budget, present, expected) in [
            (155, false, (Some(0), false)),
            (155, true, (Some(0), false)),
            (200, false, (Some(0), false)),
            (200, true, (Some(0), true)),
            (225, false, (Some(0), true)),
            (100, true, (None, true)),
            (2000, false, (Some(3), true)),
        ] {
            let mut claims = [claim(0, 0, Some(0)), claim(1, 0, None)];
            claims[0].ahead = 50;
            let (taken, ahead) = divide_ahead(Bitrate(budget), 15, present, &mut claims[..1]);
            assert_eq!((claims[0].granted, ahead), expected, "{budget}");
            assert_eq!(taken.0, claims[0].taken(), "{budget}");
        }
        let mut claims = [claim(0, 0, Some(0)), claim(1, 0, None)];
        claims.iter_mut().for_each(|claim| claim.ahead = 50);
        assert_eq!(divide_ahead(Bitrate(400), 0, true, &mut claims), (Bitrate(300), false));
    }

    #[test]
    fn who_waits_does_not_drive_out_who_flows_unless_the_rank_is_higher() {
        assert_eq!(granted(290, &[(0, None), (0, Some(0))]), [None, Some(0)]);
        assert_eq!(granted(290, &[(1, None), (0, Some(0))]), [Some(0), Some(0)]);
        assert_eq!(granted(200, &[(1, None), (0, Some(0))]), [Some(0), None]);
    }

    #[test]
    fn who_is_held_may_gain_pictures_a_second_but_not_size() {
        let held = |current| Claim {
            held: true,
            ..claim(0, 0, current)
        };
        assert_eq!(answers(10_000, vec![held(Some(0))]), [Some(0)]);
        assert_eq!(answers(10_000, vec![held(Some(1))]), [Some(2)]);
        assert_eq!(answers(10_000, vec![held(None)]), [None]);
    }

    #[test]
    fn a_beginning_is_low_and_smooth() {
        let mut claims = [claim(0, 0, None), Claim::new(1, 0, false)];
        claims[1].push(
            LayerTarget {
                spatial: 1,
                temporal: 0,
            },
            Bitrate(300),
        );
        claims[1].push(
            LayerTarget {
                spatial: 1,
                temporal: ALL,
            },
            Bitrate(700),
        );
        assert_eq!(begin(&mut claims), Bitrate(850));
        assert_eq!([claims[0].granted, claims[1].granted], [Some(0), Some(1)]);
        assert!(!claims[0].is_satisfied() && claims[1].is_satisfied());
    }

    #[test]
    fn the_present_is_found_among_steps_that_have_changed() {
        let mut claim = claim(0, 0, None);
        for (spatial, temporal, index) in [(0, 0, 0), (0, ALL, 0), (1, 1, 1), (1, ALL, 2), (7, ALL, 4)] {
            claim.set_current(Some(LayerTarget { spatial, temporal }));
            assert_eq!(claim.current, Some(index), "{spatial} {temporal}");
        }
        let mut nothing = Claim::new(0, 0, false);
        nothing.set_current(Some(LayerTarget::BEST));
        assert_eq!(
            (divide(Bitrate(1000), 0, &mut [nothing.clone()]), nothing.granted()),
            (Bitrate(0), None)
        );
    }

    #[test]
    fn who_falls_again_soon_waits_longer() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::default();
        assert!(patience.is_over(start));
        patience.on_change(at(0), Some(2), Some(1));
        assert!(!patience.is_over(at(3)) && patience.is_over(at(4)));
        patience.on_change(at(4), Some(1), Some(2));
        patience.on_change(at(6), Some(2), Some(0));
        assert!(!patience.is_over(at(13)) && patience.is_over(at(14)));
        let mut now = 14;
        for _ in 0..5 {
            patience.on_change(at(now), Some(0), Some(1));
            patience.on_change(at(now + 1), Some(1), None);
            now += 100;
        }
        assert!(patience.is_over(at(now)), "a minute is the longest");
        patience.on_change(at(now), None, Some(1));
        patience.on_change(at(now + 200), Some(1), Some(0));
        assert!(patience.is_over(at(now + 204)), "it went well for long");
    }
}
