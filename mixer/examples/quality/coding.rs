//! What each of the encoder's two ways makes of the mix of a conference, at several bit rates, without any loss; and its cost.
//!
//! Writes a folder for each scene and speech, with `clean.wav`, which was not encoded, and one file for each way and bit rate, with
//! the µs of processor time for each frame of 20 ms and the kbit/s that it took in its name.

use std::error::Error;
use std::f32::consts::TAU;
use std::fs;
use std::path::Path;

use althing_mixer::codec::{Decoder as _, Encoder as _, MAX_SAMPLES, OpusDecoder, OpusEncoder};

use crate::wav;

const TICK: usize = 960;
const KILOBITS: [u16; 5] = [24, 32, 40, 44, 48];
/// Below the voice, in amplitudes: 15 and 10 dB.
const NOISE: f32 = 0.18;
const MUSIC: f32 = 0.32;
/// Peaks of the loudest scene: an encoder must not be judged by what is cut off.
const PEAK: f32 = 0.7;

pub(crate) fn run(speeches: &[Vec<f32>], folder: &Path) -> Result<(), Box<dyn Error>> {
    for (number, speech) in speeches.iter().enumerate() {
        let next = &speeches[(number + 1) % speeches.len()];
        let alike = power(speech) / power(next);
        let other = |at: usize| next[at % next.len()] * alike;
        let (noise, music) = (
            scaled(&noise(speech.len()), NOISE * power(speech)),
            scaled(&music(speech.len()), MUSIC * power(speech)),
        );
        let scenes: [(&str, &dyn Fn(usize) -> f32); 4] = [
            ("one", &|_| 0.0),
            ("two", &other),
            ("noise", &|at| noise[at]),
            ("music", &|at| music[at]),
        ];
        for (scene, added) in scenes {
            let folder = folder.join(format!("{scene}-{number}"));
            fs::create_dir_all(&folder)?;
            let mix: Vec<f32> = speech.iter().enumerate().map(|(at, value)| value + added(at)).collect();
            let peak = mix.iter().fold(0.0, |peak: f32, value| peak.max(value.abs()));
            let mix: Vec<f32> = mix.iter().map(|value| value * PEAK / peak).collect();
            wav::write(&folder.join("clean.wav"), &mix)?;
            for kilobits in KILOBITS {
                for (way, models_voice) in [("voice", true), ("any", false)] {
                    let (heard, cost, took) = through(&mix, kilobits, models_voice)?;
                    println!("{scene} {number} {way} {kilobits} kbit/s: {cost:.0} µs, {took:.0} kbit/s");
                    wav::write(
                        &folder.join(format!("{way}-{kilobits}-{cost:.0}-{took:.0}.wav")),
                        &heard,
                    )?;
                }
            }
        }
    }
    Ok(())
}

/// What comes out of the decoder, µs of processor time for each frame, kbit/s.
fn through(pcm: &[f32], kilobits: u16, models_voice: bool) -> Result<(Vec<f32>, f64, f64), Box<dyn Error>> {
    let (mut encoder, mut decoder) = (OpusEncoder::new(1)?, OpusDecoder::new(1)?);
    encoder.set_bitrate(1000 * u32::from(kilobits));
    encoder.set_voice_model(models_voice);
    let (mut payload, mut out, mut heard) = ([0; 1500], vec![0.0; MAX_SAMPLES], Vec::new());
    let (mut spent, mut bytes, frames) = (0.0, 0, pcm.len() / TICK);
    for frame in pcm.chunks_exact(TICK) {
        let before = own_time()?;
        let len = encoder.encode(frame, &mut payload)?;
        spent += own_time()? - before;
        bytes += len;
        let samples = decoder.decode(&payload[..len], &mut out)?;
        heard.extend_from_slice(&out[..samples]);
    }
    Ok((
        heard,
        spent * 1e6 / frames as f64,
        bytes as f64 * 8.0 / 20.0 / frames as f64,
    ))
}

/// Mean amplitude.
fn power(sound: &[f32]) -> f32 {
    (sound.iter().map(|value| value * value).sum::<f32>() / sound.len() as f32).sqrt()
}

fn scaled(sound: &[f32], wanted: f32) -> Vec<f32> {
    let gain = wanted / power(sound);
    sound.iter().map(|value| value * gain).collect()
}

/// A fan: noise that falls off from 300 Hz on.
fn noise(samples: usize) -> Vec<f32> {
    let (mut state, mut low) = (0x9e37_79b9_7f4a_7c15_u64, 0.0);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let white = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        low += 0.04 * (white - low);
        low + 0.02 * white
    };
    (0..samples).map(next).collect()
}

/// Strings that are plucked: three notes of a chord at a time, each with eight partials that die away.
fn music(samples: usize) -> Vec<f32> {
    const CHORDS: [[f32; 3]; 4] = [
        [220.0, 277.2, 329.6],
        [196.0, 246.9, 392.0],
        [174.6, 261.6, 349.2],
        [164.8, 246.9, 329.6],
    ];
    let beat = 24_000;
    let note = |at: usize, hertz: f32| -> f32 {
        let time = (at % beat) as f32 / 48_000.0;
        let attack = (time * 200.0).min(1.0) * ((beat - at % beat) as f32 / 240.0).min(1.0);
        let partial = |number: f32| (TAU * hertz * number * time).sin() * (-time * (2.0 + number)).exp() / number;
        attack * (1_u8..9).map(|number| partial(f32::from(number))).sum::<f32>()
    };
    let sample = |at: usize| {
        CHORDS[at / beat % CHORDS.len()]
            .iter()
            .map(|hertz| note(at, *hertz))
            .sum()
    };
    (0..samples).map(sample).collect()
}

/// Processor time of this thread, in seconds.
fn own_time() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no figures")?.parse::<f64>()? / 1e9)
}
