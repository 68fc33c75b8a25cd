//! Signals in, figures out.
#![expect(clippy::cast_possible_truncation, reason = "signals are computed in f64")]

use std::f32::consts::TAU;
use std::time::Duration;

use super::denoise::Denoise;
use super::duck::{Duck, DuckConfig};
use super::level::{Leveller, TARGET};
use super::limit::{LOOK_AHEAD, Limiter};
use super::loudness::Meter;
use super::place::{Layout, Position, Ramp, Voice};
use super::sound::{Playing, Sound};
use super::*;

/// A sine that goes on from tick to tick.
fn sine(hertz: f32, dbfs: f32, tick: usize) -> Vec<f32> {
    let sample = |at: usize| {
        let phase = (f64::from(hertz) / f64::from(RATE) * at as f64).fract() as f32;
        amplitude(dbfs) * (TAU * phase).sin()
    };
    (tick * TICK..(tick + 1) * TICK).map(sample).collect()
}

/// Amplitude of one frequency in a signal of one channel (a single bin of a Fourier transform, Hann window).
fn level_of(hertz: f32, pcm: &[f32]) -> f32 {
    let (mut real, mut imaginary, mut weight) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (at, sample) in pcm.iter().enumerate() {
        let window = 0.5 - 0.5 * (std::f64::consts::TAU * at as f64 / pcm.len() as f64).cos();
        let phase = std::f64::consts::TAU * f64::from(hertz) / f64::from(RATE) * at as f64;
        real += window * f64::from(*sample) * phase.cos();
        imaginary += window * f64::from(*sample) * phase.sin();
        weight += window / 2.0;
    }
    decibels((real.hypot(imaginary) / weight) as f32)
}

/// Noise of peak amplitude 1.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

fn interleave(left: &[f32], right: &[f32]) -> Vec<f32> {
    left.iter().zip(right).flat_map(|(l, r)| [*l, *r]).collect()
}

/// The signals 1 and 2 of EBU Tech 3341, and the calibration of BS.1770-4.
#[test]
fn loudness_of_known_signals() {
    for (dbfs, channels, lufs) in [(-23.0, 2, -23.0), (-33.0, 2, -33.0), (0.0, 1, -3.01)] {
        let hertz = if channels == 1 { 997.0 } else { 1000.0 };
        let mut meter = Meter::default();
        for tick in 0..150 {
            let mono = sine(hertz, dbfs, tick);
            let pcm = if channels == 2 { interleave(&mono, &mono) } else { mono };
            assert_eq!(meter.momentary().is_some(), tick >= 20, "{tick}");
            meter.add(&pcm, channels);
        }
        for measured in [meter.momentary(), meter.short_term()] {
            assert!((measured.unwrap() - lufs).abs() < 0.1, "{measured:?} instead of {lufs}");
        }
    }
    let mut meter = Meter::default();
    (0..200).for_each(|_| meter.add(&[0.0; TICK], 1));
    assert_eq!((meter.momentary(), meter.short_term()), (None, None));
}

/// Words of 400 ms with pauses of 200 ms in which there is some noise, at three levels: after ten seconds all are equally
/// loud, the pauses are not raised to the level of speech, and within the next seconds the gain hardly moves.
#[test]
fn talkers_become_equal_and_pauses_stay_quiet() {
    for dbfs in [-31.0, -23.0, -5.0] {
        let mut leveller = Leveller::new(TARGET);
        let mut noise = Noise(1);
        let (mut meter, mut lowest, mut highest) = (Meter::default(), f32::MAX, f32::MIN);
        for tick in 0..1000 {
            let word = tick % 30 < 20;
            let mut pcm = if word { sine(700.0, dbfs, tick) } else { vec![0.0; TICK] };
            pcm.iter_mut()
                .for_each(|sample| *sample += amplitude(dbfs - 40.0) * noise.next());
            let ramp = leveller.tick(&pcm, 1);
            assert!((decibels(ramp.to) - decibels(ramp.from)).abs() < 0.21, "slowly");
            if tick >= 500 {
                ramp.apply(&mut pcm, 1);
                meter.add(&pcm, 1);
                lowest = lowest.min(leveller.gain());
                highest = highest.max(leveller.gain());
            }
        }
        let loudness = meter.short_term().unwrap();
        assert!((loudness - TARGET).abs() < 1.5, "{dbfs} dBFS became {loudness} LUFS");
        assert!(highest - lowest < 1.0, "{lowest} to {highest} dB");
    }
}

#[test]
fn silence_and_noise_are_not_raised() {
    let mut leveller = Leveller::new(TARGET);
    let mut noise = Noise(1);
    for _ in 0..1000 {
        let pcm: Vec<f32> = (0..TICK).map(|_| amplitude(-60.0) * noise.next()).collect();
        assert_eq!(leveller.tick(&pcm, 1), Ramp::steady(1.0));
    }
    assert_eq!(leveller.loudness(), None);
}

/// Twenty voices of -12 dBFS: no sample above -1 dBFS, and the sum stays a sum, not clipped.
#[test]
fn twenty_talkers_stay_under_the_ceiling() {
    for layout in [Layout::Mono, Layout::Stereo] {
        let mut limiter = Limiter::new(layout.channels());
        let mut peak = 0.0_f32;
        let mut heard = Vec::new();
        for tick in 0..300 {
            let mut sum = vec![0.0; layout.samples()];
            for talker in 0_u8..20 {
                // Words of different length, so that the sum rises and falls as talk does; then all at once.
                let word = tick >= 150 || (tick / (9 + usize::from(talker))) % 2 == 0;
                let pcm = sine(
                    200.0 + 170.0 * f32::from(talker),
                    if word { -12.0 } else { -80.0 },
                    tick,
                );
                let position = Position(f32::from(talker) / 10.0 - 1.0);
                Voice::moving(&pcm, Layout::Mono, position, position).add_to(&mut sum, layout);
            }
            limiter.process(&mut sum);
            peak = sum.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
            if tick >= 200 {
                heard.extend(sum.iter().step_by(layout.channels()));
            }
        }
        assert!(decibels(peak) < -1.0, "{} dBFS", decibels(peak));
        assert!(decibels(peak) > -6.0, "{} dBFS: it takes away too much", decibels(peak));
        // Between two voices there is nothing: clipping would put its distortion there.
        let (voice, between) = (level_of(1050.0, &heard), level_of(1135.0, &heard));
        assert!(voice - between > 45.0, "{voice} dB and {between} dB");
    }
}

/// A quiet steady tone under the talk of twenty must not breathe with it.
#[test]
fn the_limiter_does_not_pump() {
    let mut limiter = Limiter::new(1);
    let mut levels = Vec::new();
    for tick in 0..500 {
        let mut sum = sine(5000.0, -30.0, tick);
        for talker in 0_u8..20 {
            let word = (tick / (5 + usize::from(talker))) % 3 != 0;
            let pcm = sine(150.0 + 37.0 * f32::from(talker), if word { -15.0 } else { -90.0 }, tick);
            Voice::moving(&pcm, Layout::Mono, Position(0.0), Position(0.0)).add_to(&mut sum, Layout::Mono);
        }
        limiter.process(&mut sum);
        if tick >= 200 {
            levels.push(level_of(5000.0, &sum));
        }
    }
    let steps = levels.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    let step = steps.fold(0.0_f32, f32::max);
    let (low, high) = levels.iter().fold((f32::MAX, f32::MIN), |(low, high), level| {
        (low.min(*level), high.max(*level))
    });
    assert!(high < -31.0, "it works: {high} dB");
    assert!(step < 2.0, "{step} dB from one tick to the next");
    assert!(high - low < 4.5, "{low} to {high} dB");
}

#[test]
fn a_quiet_sum_is_only_late_and_a_single_peak_leaves_no_trace() {
    let mut limiter = Limiter::new(2);
    let mut noise = Noise(7);
    let mut input: Vec<f32> = (0..2 * TICK * 60).map(|_| 0.5 * noise.next()).collect();
    input[2 * TICK * 3 + 500] = 20.0;
    input[2 * TICK * 3 + 900] = f32::NAN;
    input[2 * TICK * 4] = f32::INFINITY;
    let output: Vec<f32> = input
        .chunks(2 * TICK)
        .flat_map(|tick| {
            let mut tick = tick.to_vec();
            limiter.process(&mut tick);
            tick
        })
        .collect();
    let same = |tick: usize| {
        (tick * 2 * TICK..(tick + 1) * 2 * TICK)
            .all(|at| output[at] == at.checked_sub(2 * LOOK_AHEAD).map_or(0.0, |at| input[at]))
    };
    assert!(same(0) && same(1) && same(2), "only late");
    assert!(output.iter().all(|sample| sample.abs() < 0.892), "peak and no number");
    assert!(same(59), "{} dB", limiter.reduction());
}

#[test]
fn what_was_added_can_be_taken_out() {
    for layout in [Layout::Mono, Layout::Stereo] {
        for own_layout in [Layout::Mono, Layout::Stereo] {
            let mut noise = Noise(3);
            let own: Vec<f32> = (0..own_layout.samples()).map(|_| noise.next()).collect();
            let others: Vec<f32> = (0..layout.samples()).map(|_| noise.next()).collect();
            let voice = Voice::moving(&own, own_layout, Position(-1.0), Position(0.7));
            let mut sum = others.clone();
            voice.add_to(&mut sum, layout);
            assert_ne!(sum, others);
            voice.take_from(&mut sum, layout);
            let rest = sum.iter().zip(&others).map(|(sum, other)| (sum - other).abs());
            assert!(rest.fold(0.0_f32, f32::max) < 1e-6);
        }
    }
}

#[test]
fn places_keep_the_power_and_move_without_a_step() {
    for step in -10_i8..=10 {
        let (left, right) = Position(f32::from(step) / 10.0).gains();
        assert!((left.powi(2) + right.powi(2) - 2.0).abs() < 1e-5, "{step}");
    }
    assert_eq!(Position(f32::NAN).gains(), (1.0, 1.0));
    assert_eq!(Position(-9.0).gains(), Position(-1.0).gains());
    let pcm = vec![1.0; TICK];
    let mut sum = vec![0.0; 2 * TICK];
    Voice::moving(&pcm, Layout::Mono, Position(-1.0), Position(1.0)).add_to(&mut sum, Layout::Stereo);
    let steps = sum.windows(3).map(|pair| (pair[2] - pair[0]).abs());
    assert!(steps.fold(0.0_f32, f32::max) < 0.01);
    assert!(sum[0] > 1.4 && sum[1] < 0.01 && sum[2 * TICK - 2] < 0.01 && sum[2 * TICK - 1] > 1.4);
}

#[test]
fn the_floor_goes_down_and_comes_back() {
    let mut duck = Duck::new(DuckConfig::default());
    let mut gains = Vec::new();
    for tick in 0..200 {
        let ramp = duck.tick((10..50).contains(&tick));
        assert_eq!(gains.last().copied().unwrap_or(1.0), ramp.from, "no step");
        gains.push(ramp.to);
    }
    let level = |tick: usize| decibels(gains[tick]);
    assert_eq!(level(9), 0.0);
    assert!((level(14) + 18.0).abs() < 0.01, "down in 100 ms: {} dB", level(14));
    assert!(
        (level(124) + 18.0).abs() < 0.01,
        "and held for 1.5 s: {} dB",
        level(124)
    );
    assert!(
        level(126) > -18.0 && level(160) < -1.0,
        "{} and {} dB",
        level(126),
        level(160)
    );
    assert_eq!(level(170), 0.0, "back in 0.8 s");
    let mut deep = Duck::new(DuckConfig {
        depth: 100.0,
        ..DuckConfig::default()
    });
    (0..10).for_each(|_| _ = deep.tick(true));
    assert_eq!(deep.tick(true), Ramp::steady(0.0));
}

#[test]
fn tones_come_and_go_without_a_click() {
    let tone = Sound::tone(1000.0, Duration::from_millis(250), -20.0);
    let sound = tone.then(&Sound::silence(Duration::from_millis(50))).then(&tone);
    assert_eq!(sound.duration(), Duration::from_millis(550));
    let mut playing = Playing::new(sound);
    let (mut pcm, mut more, mut ticks) = (Vec::new(), true, 0);
    while more {
        let mut tick = [9.0; TICK];
        more = playing.read(&mut tick);
        pcm.extend(tick);
        ticks += 1;
    }
    assert_eq!(ticks, 28);
    assert!((level_of(1000.0, &pcm[480..11_520]) + 20.0).abs() < 0.2);
    let steepest = pcm
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0_f32, f32::max);
    assert!(steepest < 0.1 * TAU * 1000.0 / 48_000.0 + 1e-4, "{steepest}");
    assert_eq!(
        Sound::new(vec![f32::NAN, 1.0]).duration(),
        Sound::new(vec![0.0; 2]).duration()
    );
}

/// White noise is taken away; switching it off and on gives the same, late, and no click.
#[test]
fn noise_goes_and_comes_back_without_a_click() {
    let mut denoise = Denoise::new(1);
    let mut noise = Noise(5);
    let mut input: Vec<f32> = Vec::new();
    let mut output: Vec<f32> = Vec::new();
    for tick in 0..150 {
        let mut pcm: Vec<f32> = (0..TICK).map(|_| 0.02 * noise.next()).collect();
        input.extend(&pcm);
        denoise.process(&mut pcm, (50..100).contains(&tick));
        output.extend(pcm);
    }
    let power = |pcm: &[f32]| minus_dbov(pcm);
    assert_eq!(input[..TICK * 49], output[480..TICK * 49 + 480], "off: only late");
    assert_eq!(
        input[TICK * 110..TICK * 149],
        output[TICK * 110 + 480..TICK * 149 + 480],
        "off again"
    );
    let (before, within) = (power(&output[..TICK * 49]), power(&output[TICK * 80..TICK * 99]));
    assert!(within >= before + 12, "-{before} and -{within} dBov");
}

#[test]
fn levels_as_rfc_6464_counts_them() {
    assert_eq!(minus_dbov(&sine(1000.0, 0.0, 0)), 3);
    assert_eq!(minus_dbov(&sine(1000.0, -40.0, 0)), 43);
    assert_eq!(
        (minus_dbov(&[1.0; 960]), minus_dbov(&[0.0; 960]), minus_dbov(&[])),
        (0, 127, 127)
    );
}
