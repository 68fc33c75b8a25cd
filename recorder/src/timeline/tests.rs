//! An hour in virtual time: what drifts, what the network does, and where frames end up.

use std::time::{Duration, Instant};

use althing_media_core::{NtpTime, RtpTime};

use super::{MediaClock, SenderWall, Slew};
use crate::frame::MediaTime;

/// How far from the truth a frame may be placed, and how far apart two frames of the same moment, in seconds.
const SKEW: f64 = 0.040;

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        let unit = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

/// How a person's machine and line are.
#[derive(Clone, Copy)]
struct Person {
    /// The computer's clock against ours.
    wall_ppm: f64,
    /// How far off it is, in seconds.
    wall_offset: f64,
    /// The least delay of the line, and how much more it may be, in seconds.
    delay: f64,
    jitter: f64,
    loss: f64,
}

/// One track.
#[derive(Clone, Copy)]
struct Media {
    rate: f64,
    interval: f64,
    /// The device's clock against the computer's.
    ppm: f64,
    /// What encoding takes before the packet leaves.
    encoding: f64,
    report_every: f64,
    first: u32,
    /// When it begins and how often it is muted for seven seconds.
    begins: f64,
    mutes_every: f64,
}

const SOUND: Media = Media {
    rate: 48_000.0,
    interval: 0.020,
    ppm: 200.0,
    encoding: 0.002,
    report_every: 5.0,
    first: 4_294_000_000,
    begins: 0.0,
    mutes_every: 300.0,
};

const CAMERA: Media = Media {
    rate: 90_000.0,
    interval: 1.0 / 30.0,
    ppm: 0.0,
    encoding: 0.015,
    report_every: 1.0,
    first: 77,
    begins: 300.0,
    mutes_every: 500.0,
};

/// Moments at which something arrives, in order.
enum Arrives {
    Frame { captured: f64 },
    Report { sent: f64 },
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "wraps, as media clocks do"
)]
fn rtp(media: &Media, captured: f64) -> RtpTime {
    // The device counts from when it was opened, by its own clock.
    RtpTime(
        media
            .first
            .wrapping_add((captured * media.rate * (1.0 + media.ppm * 1e-6)) as u64 as u32),
    )
}

fn ntp(person: &Person, at: f64) -> NtpTime {
    let wall = at * (1.0 + person.wall_ppm * 1e-6) + person.wall_offset;
    NtpTime::from_unix(Duration::from_secs_f64(1_700_000_000.0 + wall))
}

/// What arrives of one track, and when.
fn events(person: &Person, media: &Media, seconds: f64, random: &mut Random) -> Vec<(f64, Arrives)> {
    let mut events = Vec::new();
    let mut at = media.begins;
    while at < seconds {
        let muted = (at - media.begins) % media.mutes_every > media.mutes_every - 7.0;
        if !muted && random.unit() >= person.loss {
            let delay = media.encoding + person.delay + random.unit() * person.jitter;
            events.push((at + delay, Arrives::Frame { captured: at }));
        }
        at += media.interval;
    }
    let mut at = media.begins + media.report_every / 2.0;
    while at < seconds {
        if random.unit() >= person.loss {
            let delay = person.delay + random.unit() * person.jitter;
            events.push((at + delay, Arrives::Report { sent: at }));
        }
        at += media.report_every * (0.5 + random.unit());
    }
    events
}

/// A track as it is recorded.
struct Recorded {
    media: Media,
    clock: MediaClock,
    slew: Slew,
    last: Option<RtpTime>,
    placed: Option<MediaTime>,
    /// How late frames were against the truth, in seconds, least and most, in each second.
    errors: Vec<(f64, f64)>,
}

impl Recorded {
    fn new(media: Media) -> Self {
        Self {
            media,
            clock: MediaClock::new(if media.rate > 50_000.0 { 90_000 } else { 48_000 }),
            slew: Slew::new(),
            last: None,
            placed: None,
            errors: vec![(f64::MAX, f64::MIN); 3601],
        }
    }

    fn frame(&mut self, person: &Person, wall: &mut SenderWall, now: Instant, captured: f64) {
        let time = rtp(&self.media, captured);
        if self.last.is_some_and(|last| time.since(last) <= 0) {
            // The reorder buffer has put them in order.
            return;
        }
        self.clock.on_arrival(wall, now, time);
        let target = self.clock.target(wall, time);
        let elapsed = self.last.map(|last| self.clock.elapsed(last, time));
        let Some(at) = self.slew.place(wall.origin(), now, target, elapsed) else {
            panic!("{captured} is nowhere");
        };
        assert!(self.placed < Some(at), "never back");
        (self.last, self.placed) = (Some(time), Some(at));
        // Nobody can see the least delay of a line.
        let error = at.since_start().as_secs_f64() - captured - person.delay;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 3601")]
        let second = &mut self.errors[captured as usize];
        *second = (second.0.min(error), second.1.max(error));
    }
}

/// Plays the tracks of one person. Gives how far from the truth any frame was at most, and how far apart frames of the same
/// second were, in seconds.
fn play(person: &Person, tracks: [Media; 2], seconds: f64, seed: u64) -> (f64, f64) {
    let mut random = Random(seed);
    let mut all: Vec<_> = (0..2)
        .zip(&tracks)
        .flat_map(|(track, media)| {
            let events = events(person, media, seconds, &mut random);
            events.into_iter().map(move |(at, event)| (at, track, event))
        })
        .collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    let origin = Instant::now();
    let mut wall = SenderWall::new(origin);
    let mut tracks = tracks.map(Recorded::new);
    for (arrival, track, event) in all {
        let now = origin + Duration::from_secs_f64(arrival);
        let track: &mut Recorded = &mut tracks[track];
        match event {
            Arrives::Report { sent } => {
                let time = rtp(&track.media, sent);
                track.clock.on_report(&mut wall, now, ntp(person, sent), time);
            }
            Arrives::Frame { captured } => track.frame(person, &mut wall, now, captured),
        }
    }
    let seconds = tracks[0].errors.iter().zip(&tracks[1].errors);
    let seconds = seconds.map(|(one, other)| (one.0.min(other.0), one.1.max(other.1)));
    seconds
        .filter(|(early, late)| early <= late)
        .fold((0.0, 0.0), |worst: (f64, f64), (early, late)| {
            (worst.0.max(early.abs()).max(late.abs()), worst.1.max(late - early))
        })
}

#[test]
fn an_hour_with_drift_jitter_loss_mutes_and_a_late_camera() {
    let people = [(0.0, 0.0, 0.0), (200.0, 7200.0, 0.1), (-200.0, -0.3, 0.1)];
    for (seed, (wall_ppm, wall_offset, loss)) in (1..).zip(people) {
        let person = Person {
            wall_ppm,
            wall_offset,
            delay: 0.050,
            jitter: 0.030,
            loss,
        };
        let (worst, apart) = play(&person, [SOUND, CAMERA], 3600.0, seed);
        assert!(
            worst < SKEW && apart < SKEW,
            "person {seed}: {worst} s, {apart} s apart"
        );
    }
}

#[test]
fn without_reports_arrival_is_enough_to_stay_near() {
    let person = Person {
        wall_ppm: 0.0,
        wall_offset: 0.0,
        delay: 0.030,
        jitter: 0.030,
        loss: 0.02,
    };
    let origin = Instant::now();
    let mut wall = SenderWall::new(origin);
    let mut random = Random(9);
    let (mut clock, mut slew) = (MediaClock::new(48_000), Slew::new());
    let mut last = None;
    for n in 0..180_000_u32 {
        let captured = f64::from(n) * 0.020;
        let now = origin + Duration::from_secs_f64(captured + person.delay + random.unit() * person.jitter);
        let time = rtp(&SOUND, captured);
        clock.on_arrival(&mut wall, now, time);
        let target = clock.target(&wall, time);
        let elapsed = last.map(|last| clock.elapsed(last, time));
        let at = slew.place(origin, now, target, elapsed).expect("is placed");
        last = Some(time);
        let error = (at.since_start().as_secs_f64() - captured - person.delay).abs();
        assert!(error < SKEW, "{captured}: {error}");
    }
}

/// A sender that stops its media clock while muted, one whose clock is set, one that lies.
#[test]
fn what_jumps_is_where_it_arrives() {
    let origin = Instant::now();
    let at = |seconds: f64| origin + Duration::from_secs_f64(seconds);
    let honest = Person {
        wall_ppm: 0.0,
        wall_offset: 0.0,
        delay: 0.0,
        jitter: 0.0,
        loss: 0.0,
    };
    let mut wall = SenderWall::new(origin);
    let (mut clock, mut slew) = (MediaClock::new(48_000), Slew::new());
    let mut place = |clock: &mut MediaClock, wall: &mut SenderWall, arrival: f64, units: u32, elapsed: Option<i64>| {
        clock.on_arrival(wall, at(arrival), RtpTime(units));
        let target = clock.target(wall, RtpTime(units));
        let placed = slew.place(origin, at(arrival), target, elapsed);
        placed.map(|placed| placed.since_start().as_secs_f64())
    };
    clock.on_report(&mut wall, at(0.0), ntp(&honest, 0.0), RtpTime(0));
    let near = |placed: Option<f64>, truth: f64| placed.is_some_and(|placed| (placed - truth).abs() < 0.050);
    assert!(near(place(&mut clock, &mut wall, 1.0, 48_000, None), 1.0));
    // Muted for nine seconds, the media clock stood still.
    assert!(near(place(&mut clock, &mut wall, 10.0, 48_960, Some(20_000_000)), 10.0));
    // A report that says it was an hour ago.
    clock.on_report(&mut wall, at(11.0), ntp(&honest, -3600.0), RtpTime(96_000));
    assert!(near(
        place(&mut clock, &mut wall, 11.02, 96_960, Some(1_000_000_000)),
        11.0
    ));
    // Wild timestamps.
    for (n, units) in [u32::MAX / 2, 5, u32::MAX, 1 << 30, 0].into_iter().enumerate() {
        let arrival = 12.0 + f64::from(u8::try_from(n).expect("few")) * 0.02;
        let placed = place(&mut clock, &mut wall, arrival, units, None);
        assert!(
            placed.is_none_or(|placed| placed < arrival + 1.1),
            "{arrival}: {placed:?}"
        );
    }
}
