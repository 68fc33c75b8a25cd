//! The mixer alone: packets in, packets out, in one thread, without sockets.

use std::error::Error;
use std::time::{Duration, Instant};

use althing_media_core::packet::Pool;
use althing_media_core::{Packet, Ssrc};
use althing_mixer::codec::MAX_SAMPLES;
use althing_mixer::mix::denoise::Denoise;
use althing_mixer::mix::level::{self, Leveller};
use althing_mixer::mix::limit::Limiter;
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{Encoding, Input, ListenerConfig, Mixer, MixerConfig, SourceConfig};

use crate::talk::{LEVEL, OPUS, PT, Talk};

/// Ticks before it is measured, and measured: 2 and 5 s.
const TICKS: (u32, u32) = (100, 250);
/// After so long no other cell is begun.
const LIMIT: Duration = Duration::from_secs(50);

/// What is said in the first column of a table.
const OPUS_BY: &str = if cfg!(feature = "libopus") {
    "libopus"
} else {
    "opus-pure"
};

/// All participants talk and listen by Opus. Takes [`LIMIT`] at most, and one cell.
pub(crate) fn tables() -> Result<(), Box<dyn Error>> {
    let (talk, start) = (Talk::new()?, Instant::now());
    println!("The mixer alone, {OPUS_BY}: µs of processor time per participant and 20 ms (and % of a core in all)\n");
    println!(
        "| participants | none talks | 1 talks | 3 talk | 10 talk, all heard | all talk, 6 heard | all talk, all heard |"
    );
    println!("|---|---|---|---|---|---|---|");
    for participants in [10, 50, 100, 500, 1000] {
        let mut row = format!("| {participants} |");
        let cases = [
            (0, 6),
            (1, 6),
            (3, 6),
            (10, 10),
            (participants, 6),
            (participants, participants),
        ];
        for (talkers, loudest) in cases {
            // A thousand encodes in a tick take seconds each to measure, and are more than a core does.
            let cell = if loudest > 100 || start.elapsed() > LIMIT {
                " – |".to_owned()
            } else {
                let cost = measure(&talk, participants, talkers, loudest)?;
                let share = cost * f64::from(participants) / 20_000.0 * 100.0;
                format!(" {cost:.2} ({share:.1} %) |")
            };
            row.push_str(&cell);
        }
        println!("{row}");
    }
    println!("\nOne voice, {OPUS_BY}, µs of processor time per 20 ms\n\n| | |\n|---|---|");
    voice(&talk)
}

/// One cell.
pub(crate) fn one(participants: u32, talkers: u32, loudest: u32) -> Result<(), Box<dyn Error>> {
    let cost = measure(&Talk::new()?, participants, talkers, loudest)?;
    println!("{cost:.2} µs per participant and 20 ms");
    Ok(())
}

/// What each thing costs that is done to one voice.
fn voice(talk: &Talk) -> Result<(), Box<dyn Error>> {
    let (mut decoder, mut encoder) = (OPUS.decoder()?, OPUS.encoder()?);
    let (mut sound, mut bytes) = (vec![0.0; MAX_SAMPLES], [0; 1500]);
    let mut said = Vec::new();
    let decode = timed(talk.payloads(), |payload| {
        let samples = decoder.decode(payload, &mut sound).unwrap_or(0);
        said.push(sound[..samples].to_vec());
    })?;
    let encode = timed(said.iter(), |pcm| _ = encoder.encode(pcm, &mut bytes))?;
    let mut leveller = Leveller::new(level::TARGET);
    let level = timed(said.iter(), |pcm| _ = leveller.tick(pcm, 1))?;
    let (mut quiet, mut limiter) = (Denoise::new(1), Limiter::new(1));
    let mut pieces = said.clone();
    let limit = timed(pieces.iter_mut(), |pcm| limiter.process(pcm))?;
    let denoise = timed(said.iter_mut(), |pcm| quiet.process(pcm, true))?;
    let rows = [
        ("decoding", decode),
        ("encoding", encode),
        ("levelling", level),
        ("limiter", limit),
        ("noise suppression", denoise),
    ];
    rows.iter().for_each(|(name, cost)| println!("| {name} | {cost:.1} |"));
    Ok(())
}

/// Microseconds for each.
fn timed<T>(all: impl ExactSizeIterator<Item = T>, each: impl FnMut(T)) -> Result<f64, Box<dyn Error>> {
    let (count, before) = (all.len(), own_time()?);
    all.for_each(each);
    Ok((own_time()? - before) * 1e6 / count as f64)
}

/// Microseconds per participant and tick.
fn measure(talk: &Talk, participants: u32, talkers: u32, loudest: u32) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let mut config = MixerConfig::default();
    config.select.loudest = loudest as usize;
    let mut mixer = Mixer::new(start, config);
    let mut sources = Vec::new();
    for number in 0..participants {
        let input = Input::Rtp {
            playout: PlayoutConfig {
                payload_type: PT,
                red: None,
                comfort_noise: None,
            },
            format: OPUS,
            level_id: Some(LEVEL),
        };
        let source = mixer.add_source(&SourceConfig::new(input))?;
        let listener = ListenerConfig::new(Encoding::of(OPUS), Ssrc(number), PT);
        mixer.add_listener(ListenerConfig {
            own: source.into(),
            ..listener
        })?;
        sources.push(source);
    }
    let (mut pool, mut out, mut spent, mut sent) = (Pool::new(), [0; 1500], 0.0, 0);
    for tick in 0..TICKS.0 + TICKS.1 {
        let now = start + Duration::from_millis(20) * tick;
        let packets: Vec<_> = (0..participants)
            .map(|who| {
                let len = talk.write(who, tick, who < talkers, pool.space(1500));
                pool.commit(len)
            })
            .collect();
        let before = own_time()?;
        for (source, bytes) in sources.iter().zip(packets) {
            let packet = Packet::parse(bytes).map_err(|error| format!("{error:?}"))?;
            mixer.push(now, *source, &packet);
        }
        for packet in mixer.tick(now) {
            sent += usize::from(packet.write(&mut out).is_some());
        }
        if tick >= TICKS.0 {
            spent += own_time()? - before;
        }
    }
    if sent < (participants * TICKS.1) as usize {
        return Err("not everybody got something in each tick".into());
    }
    Ok(spent * 1e6 / f64::from(participants * TICKS.1))
}

/// Processor time of this thread, in seconds.
fn own_time() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no figures")?.parse::<f64>()? / 1e9)
}
