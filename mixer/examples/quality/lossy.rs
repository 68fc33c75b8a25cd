//! Speech over a bad line: what is heard by way of [`Playout`], with and without redundancy, and by way of a plain buffer.
//!
//! Writes a folder for each line, with `clean.wav` and one file for each way and each percentage of loss, with the mean delay in ms in
//! its name. All ways get the same packets at the same times. Of two plain buffers, one holds all for as long as the playout without
//! redundancy does on average, the other one has been told the line: as long as all need but those few that the playout, too, means
//! to leave late.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use althing_media_core::payload::red;
use althing_media_core::{Pt, RtpTime, Ssrc};
use althing_mixer::codec::{Encoder as _, Format, MAX_SAMPLES, OpusEncoder};
use althing_mixer::playout::{Playout, PlayoutConfig, PlayoutStats, Received};

use crate::wav;

const OPUS: Format = Format::Opus { channels: 1 };
const PT: Pt = Pt::new(111);
const RED: Pt = Pt::new(63);
const TICK: usize = 960;
const FRAME: Duration = Duration::from_millis(20);
/// What is said before it is judged, in packets: 5 s, the end of the same speech. A call is longer than what it takes to get to
/// know a line, and a plain buffer need not.
const LEAD_IN: usize = 250;
/// Lines for each percentage of loss: which words are hit matters as much as how many.
const LINES: u64 = 4;
/// Mean of the jitter, which falls off exponentially: one packet in twenty is later than 30 ms.
const JITTER_MS: f64 = 10.0;
/// The part of the packets that may be late, in thousandths: what the playout aims at.
const LATE: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Plain,
    Told,
    Playout { fec: bool, red: bool },
}

const WAYS: [(&str, Way); 6] = [
    ("plain", Way::Plain),
    ("told", Way::Told),
    ("playout", Way::Playout { fec: false, red: false }),
    ("fec", Way::Playout { fec: true, red: false }),
    ("red", Way::Playout { fec: false, red: true }),
    ("both", Way::Playout { fec: true, red: true }),
];

pub(crate) fn run(speech: &[f32], folder: &Path, losses: &[u8]) -> Result<(), Box<dyn Error>> {
    let lead_in = speech.len().checked_sub(LEAD_IN * TICK).ok_or("speech is too short")?;
    let speech = [&speech[lead_in..], speech].concat();
    let frames = encode(&speech, 0)?;
    let perfect = vec![Some(Duration::ZERO); frames.len()];
    for line_number in 0..LINES {
        let folder = folder.join(line_number.to_string());
        fs::create_dir_all(&folder)?;
        let keep = |name: &str, heard: &[f32]| wav::write(&folder.join(name), &heard[LEAD_IN * TICK..]);
        keep("clean.wav", &plain(&frames, &perfect, FRAME)?)?;
        for percent in losses {
            let seed = 1000 * line_number + u64::from(*percent) + 1;
            let arrivals = line(frames.len(), f64::from(*percent) / 100.0, seed);
            let (.., delay) = playout(&frames, &arrivals, false)?;
            for (name, way) in WAYS {
                let (heard, stats, delay) = match way {
                    Way::Plain => (plain(&frames, &arrivals, delay)?, PlayoutStats::default(), delay),
                    Way::Told => {
                        let delay = needed(&arrivals);
                        (plain(&frames, &arrivals, delay)?, PlayoutStats::default(), delay)
                    }
                    Way::Playout { fec, red } => {
                        let frames = encode(&speech, if fec { (*percent).max(5) } else { 0 })?;
                        playout(&frames, &arrivals, red)?
                    }
                };
                let milliseconds = (delay.as_secs_f64() * 1e3).round();
                keep(&format!("{name}-{percent}-{milliseconds}.wav"), &heard)?;
                println!(
                    "{percent} % {name}: delay {milliseconds} ms, lost {}, recovered {}, late {}; concealed {} ms, left out {}, put in {}",
                    stats.lost,
                    stats.recovered,
                    stats.late,
                    stats.concealed / 48,
                    stats.accelerated / 48,
                    stats.expanded / 48
                );
            }
        }
    }
    Ok(())
}

/// The packets of a sender at 32 kbit/s that expects `loss` percent to be lost, and otherwise encodes as browsers do.
fn encode(speech: &[f32], loss: u8) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut encoder = OpusEncoder::new(1)?;
    encoder.set_voice_model(true);
    encoder.set_bitrate(32_000);
    encoder.set_expected_loss(loss);
    let mut bytes = [0; 1500];
    let mut frames = Vec::new();
    for pcm in speech.chunks_exact(TICK) {
        let len = encoder.encode(pcm, &mut bytes)?;
        frames.push(bytes[..len].to_vec());
    }
    Ok(frames)
}

/// How long each packet is on its way; `None` when it never comes.
fn line(packets: usize, loss: f64, seed: u64) -> Vec<Option<Duration>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    };
    (0..packets)
        .map(|_| {
            let (lost, jitter) = (random() < loss, -JITTER_MS * (1.0 - random() * 0.999).ln());
            (!lost).then(|| Duration::from_secs_f64(jitter / 1e3))
        })
        .collect()
}

/// The delay that all keep within but [`LATE`].
fn needed(arrivals: &[Option<Duration>]) -> Duration {
    let mut come: Vec<Duration> = arrivals.iter().copied().flatten().collect();
    come.sort_unstable();
    let within = come.len() - come.len() * LATE / 1000;
    come.get(within.saturating_sub(1)).copied().unwrap_or_default()
}

/// A fixed delay and concealment: what comes later than it is due is as good as lost.
fn plain(frames: &[Vec<u8>], arrivals: &[Option<Duration>], delay: Duration) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut decoder = OPUS.decoder()?;
    let mut out = vec![0.0; MAX_SAMPLES];
    let mut heard = Vec::new();
    for (frame, arrival) in frames.iter().zip(arrivals) {
        let samples = match arrival.filter(|late| *late <= delay) {
            Some(_) => decoder.decode(frame, &mut out)?,
            None => decoder.conceal(TICK, &mut out),
        };
        heard.extend_from_slice(&out[..samples]);
    }
    Ok(heard)
}

fn playout(
    frames: &[Vec<u8>],
    arrivals: &[Option<Duration>],
    red: bool,
) -> Result<(Vec<f32>, PlayoutStats, Duration), Box<dyn Error>> {
    let config = PlayoutConfig {
        payload_type: PT,
        red: Some(RED),
        comfort_noise: None,
    };
    let mut playout = Playout::new(config, OPUS.decoder()?);
    let start = Instant::now();
    let mut coming = Vec::new();
    for (number, arrival) in (0_u32..).zip(arrivals) {
        if let Some(delay) = arrival {
            coming.push((start + FRAME * number + *delay, number));
        }
    }
    coming.sort();
    let mut coming = coming.into_iter().peekable();
    let (mut heard, mut out, mut delays) = (Vec::new(), [0.0; TICK], Duration::ZERO);
    for tick in 0..frames.len() + 10 {
        let now = start + FRAME * u32::try_from(tick)? + Duration::from_millis(7);
        while let Some((at, number)) = coming.next_if(|(at, _)| *at <= now) {
            let own = &frames[number as usize];
            let before = number.checked_sub(1).map(|before| &frames[before as usize]);
            let copy = before
                .filter(|_| red)
                .and_then(|copy| Some((red::header(PT, 960, copy.len())?, copy)));
            let (payload_type, payload) = match copy {
                None => (PT, own.clone()),
                Some((header, copy)) => (RED, [&header[..], &red::primary_header(PT), copy, own].concat()),
            };
            let packet = Received {
                ssrc: Ssrc(1),
                seq: u16::try_from(number & 0xffff)?,
                timestamp: RtpTime(960 * number),
                payload_type,
                marker: false,
                level: None,
                payload: payload.into(),
            };
            playout.push(at, packet);
        }
        playout.pull(now, &mut out);
        heard.extend_from_slice(&out);
        if tick >= LEAD_IN {
            delays += playout.stats().delay;
        }
    }
    let delay = delays / u32::try_from(frames.len() + 10 - LEAD_IN)?;
    Ok((heard, playout.stats(), delay))
}
