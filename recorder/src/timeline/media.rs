//! One stream's media clock: a line through its last reports, and where they are missing the arrival of its packets.

use std::collections::VecDeque;
use std::time::Instant;

use althing_media_core::{NtpTime, RtpTime};

use super::least::Least;
use super::wall::{SenderWall, Source, since};

/// Points of the line: more than a minute of reports every five seconds.
const MAX_POINTS: usize = 16;
/// Points closer to the one before say nothing new, in nanoseconds.
const MIN_SPACING: u64 = 400_000_000;
/// Points must span so much before a drift is read off them, in nanoseconds: what reports are off by, a millisecond or so,
/// would be taken for drift.
const MIN_SPAN: i64 = 8_000_000_000;
/// The most that a clock is believed to drift.
const MAX_DRIFT: f64 = 1e-3;
/// A point that is further off the line begins a new one, in nanoseconds.
const STEP: u64 = 250_000_000;
/// How much earlier than by arrival a picture may have been taken by its reports, and how much later, in nanoseconds.
/// Else the reports are not believed.
const BELIEVED: std::ops::RangeInclusive<i64> = -2_000_000_000..=500_000_000;
/// Packets later than this, in nanoseconds, are not late: the media clock has jumped.
const JUMP: i64 = 2_000_000_000;
/// After so long a silence, in nanoseconds, less is enough: some senders stop the media clock while they are muted.
const SILENCE: i64 = 1_000_000_000;
/// So much, in nanoseconds.
const JUMP_AFTER_SILENCE: i64 = 500_000_000;

/// The media clock of one SSRC.
#[derive(Debug)]
pub struct MediaClock {
    rate: i64,
    last: Option<i64>,
    last_arrival: Option<i64>,
    /// To the sender's wall clock, by its reports and by capture times.
    relations: [Relation; 2],
    delay: Least,
}

/// A line through the last points where both clocks are known.
#[derive(Debug, Default)]
struct Relation {
    /// Media time in units, the sender's wall clock in nanoseconds.
    points: VecDeque<(i64, i64)>,
    line: Option<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    units: f64,
    nanos: f64,
    slope: f64,
}

impl Line {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "hours in nanoseconds are exact to a microsecond"
    )]
    fn at(&self, units: i64) -> i64 {
        (self.nanos + (units as f64 - self.units) * self.slope) as i64
    }
}

impl MediaClock {
    /// A clock of `rate` Hz that nothing is known of.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self {
            rate: i64::from(rate.max(1)),
            last: None,
            last_arrival: None,
            relations: [Relation::default(), Relation::default()],
            delay: Least::default(),
        }
    }

    /// Its rate in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        u32::try_from(self.rate).unwrap_or(u32::MAX)
    }

    /// A sender report came at `arrival` (RFC 3550 §6.4.1): at `ntp` on the person's wall clock the media clock showed `rtp`.
    pub fn on_report(&mut self, wall: &mut SenderWall, arrival: Instant, ntp: NtpTime, rtp: RtpTime) {
        self.on_point(wall, Source::Reports, (arrival, ntp, rtp));
    }

    /// As [`Self::on_report`], for a packet with the time of its capture.
    pub fn on_capture_time(&mut self, wall: &mut SenderWall, arrival: Instant, ntp: NtpTime, rtp: RtpTime) {
        self.on_point(wall, Source::Captures, (arrival, ntp, rtp));
    }

    fn on_point(&mut self, wall: &mut SenderWall, source: Source, (arrival, ntp, rtp): (Instant, NtpTime, RtpTime)) {
        let nanos = wall.on_sample(source, arrival, ntp);
        let units = self.extend(rtp);
        self.last.get_or_insert(units);
        self.relations[source as usize].push(units, nanos, self.rate);
    }

    /// A packet with the timestamp `rtp` came at `arrival`. Wants each one before [`Self::target`] is asked, but for those
    /// that were overtaken by others: what comes again after a silence is as late as that was long, and no jump of the clock.
    pub fn on_arrival(&mut self, wall: &mut SenderWall, arrival: Instant, rtp: RtpTime) {
        let units = self.extend(rtp);
        self.last = Some(units);
        let arrival = since(wall.origin(), arrival);
        let by_arrival = self.learn(arrival, self.nanos(units));
        for source in Source::ALL {
            let Some(line) = self.relations[source as usize].line else {
                continue;
            };
            let nanos = line.at(units);
            let at = wall.place(source, nanos);
            if at.is_some_and(|at| BELIEVED.contains(&at.saturating_sub(by_arrival))) {
                wall.on_capture(source, arrival, nanos);
            }
        }
    }

    /// When what has the timestamp `rtp` was captured: in nanoseconds since the recording began, as well as is known now.
    pub fn target(&mut self, wall: &SenderWall, rtp: RtpTime) -> i64 {
        let units = self.extend(rtp);
        let by_arrival = self.nanos(units).saturating_add(self.delay.get().unwrap_or(0));
        for source in Source::ALL {
            let relation = &mut self.relations[source as usize];
            match relation.line.and_then(|line| wall.place(source, line.at(units))) {
                Some(at) if BELIEVED.contains(&at.saturating_sub(by_arrival)) => return at,
                Some(_) => *relation = Relation::default(),
                None => {}
            }
        }
        by_arrival
    }

    /// Whether [`Self::target`] is unlikely to learn better soon: reports are there, and their least delay is known.
    #[must_use]
    pub fn is_settled(&self, wall: &SenderWall, now: Instant) -> bool {
        let now = since(wall.origin(), now);
        let settled =
            |source: &Source| self.relations[*source as usize].line.is_some() && wall.is_settled(*source, now);
        Source::ALL.iter().any(settled)
    }

    /// Takes the delay of a packet, and gives when it was captured by arrival alone.
    fn learn(&mut self, arrival: i64, media: i64) -> i64 {
        let delay = arrival.saturating_sub(media);
        let silence = self.last_arrival.map_or(0, |last| arrival.saturating_sub(last));
        let jump = if silence > SILENCE { JUMP_AFTER_SILENCE } else { JUMP };
        let above = self.delay.get().map_or(0, |least| delay.saturating_sub(least));
        if above > jump {
            self.delay = Least::default();
            self.relations = Default::default();
        }
        self.delay.push(arrival, delay);
        self.last_arrival = Some(arrival);
        media.saturating_add(self.delay.get().unwrap_or(delay))
    }

    /// Media time from `earlier` to `later`, in nanoseconds; negative when they are the other way round.
    #[must_use]
    pub fn elapsed(&self, earlier: RtpTime, later: RtpTime) -> i64 {
        self.nanos(i64::from(later.since(earlier)))
    }

    fn nanos(&self, units: i64) -> i64 {
        i64::try_from(i128::from(units) * 1_000_000_000 / i128::from(self.rate)).unwrap_or(i64::MAX)
    }

    /// Media time that does not wrap, nearest to the last.
    fn extend(&self, rtp: RtpTime) -> i64 {
        let Some(last) = self.last else {
            return i64::from(rtp.0);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the low 32 bits are the wire's timestamp"
        )]
        let wire = RtpTime(last as u32);
        last.saturating_add(i64::from(rtp.since(wire)))
    }
}

impl Relation {
    fn push(&mut self, units: i64, nanos: i64, rate: i64) {
        if self.line.is_some_and(|line| line.at(units).abs_diff(nanos) > STEP) {
            self.points.clear();
        }
        if self
            .points
            .back()
            .is_some_and(|(_, before)| nanos.abs_diff(*before) < MIN_SPACING)
        {
            return;
        }
        if self.points.len() >= MAX_POINTS {
            self.points.pop_front();
        }
        self.points.push_back((units, nanos));
        self.fit(rate);
    }

    /// Least squares through the points; through their middle with the nominal rate while they span too little.
    #[expect(clippy::cast_precision_loss, reason = "differences of some minutes")]
    fn fit(&mut self, rate: i64) {
        let (Some(&(units0, nanos0)), Some(&(_, last))) = (self.points.front(), self.points.back()) else {
            return;
        };
        let count = self.points.len() as f64;
        let relative = || {
            self.points
                .iter()
                .map(|(units, nanos)| (units.saturating_sub(units0) as f64, nanos.saturating_sub(nanos0) as f64))
        };
        let sum = relative().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let middle = (sum.0 / count, sum.1 / count);
        let nominal = 1e9 / rate as f64;
        let mut slope = nominal;
        if last.saturating_sub(nanos0) >= MIN_SPAN {
            let (over, under) = relative().fold((0.0, 0.0), |(over, under), (units, nanos)| {
                let x = units - middle.0;
                (over + x * (nanos - middle.1), under + x * x)
            });
            if under > 0.0 {
                slope = (over / under).clamp(nominal * (1.0 - MAX_DRIFT), nominal * (1.0 + MAX_DRIFT));
            }
        }
        self.line = Some(Line {
            units: units0 as f64 + middle.0,
            nanos: nanos0 as f64 + middle.1,
            slope,
        });
    }
}
