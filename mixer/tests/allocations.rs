//! A tick allocates nothing of its own: counted, not believed.
//!
//! A binary of its own, because the counting allocator is that of the whole process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "what the codec allocates is told")]

use std::time::{Duration, Instant};

use althing_media_core::packet::{Pool, RtpWriter};
use althing_media_core::{Packet, Pt, Ssrc};
use althing_mixer::codec::{Format, MAX_SAMPLES};
use althing_mixer::mix::TICK;
use althing_mixer::mix::denoise::Denoise;
use althing_mixer::mix::place::Layout;
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{Encoding, Input, ListenerConfig, Mixer, MixerConfig, SourceConfig};
use althing_testkit::alloc::{CountingAllocator, allocations_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const OPUS: Format = Format::Opus { channels: 1 };
const PT: Pt = Pt::new(111);
const PARTICIPANTS: usize = 20;
/// Each talks for a second, then the next one: everybody has begun and ended some times.
const WARM_UP: usize = 50 * PARTICIPANTS * 3;
const MEASURED: usize = 50 * PARTICIPANTS;

/// A second of a tone as Opus packets.
fn payloads() -> Vec<Vec<u8>> {
    let mut encoder = OPUS.encoder().unwrap();
    let payload = |tick: usize| {
        let sample = |at: usize| 0.1 * (at as f32 * 0.05).sin();
        let pcm: Vec<f32> = (tick * TICK..(tick + 1) * TICK).map(sample).collect();
        let mut payload = vec![0; 1500];
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(len);
        payload
    };
    (0..50).map(payload).collect()
}

/// Lies in the same kind of memory as a received one.
fn packet(pool: &mut Pool, payload: &[u8], tick: usize, loud: bool) -> Packet {
    let bytes = pool.space(1500);
    let (seq, timestamp) = (u16::try_from(tick).unwrap(), u32::try_from(tick * TICK).unwrap());
    let mut writer = RtpWriter::new(bytes, PT, false, seq, timestamp, Ssrc(1));
    writer.extension(1, &[if loud { 20 } else { 127 }]);
    writer.payload(payload);
    let (_, len) = writer.finish().unwrap();
    Packet::parse(pool.commit(len)).unwrap()
}

/// How often the codec itself allocates for a decoded frame.
fn codec(payloads: &[Vec<u8>]) -> u64 {
    let mut decoder = OPUS.decoder().unwrap();
    let mut out = vec![0.0; MAX_SAMPLES];
    let mut decode = |payload: &Vec<u8>| {
        allocations_during(|| decoder.decode(payload, &mut out).unwrap())
            .1
            .count
    };
    let first: u64 = payloads.iter().map(&mut decode).sum();
    let per_decode: u64 = payloads.iter().map(&mut decode).max().unwrap();
    let mut encoder = OPUS.encoder().unwrap();
    let (mut bytes, tone) = ([0; 1500], [0.05; TICK]);
    let encodes = (0..100).map(|_| {
        allocations_during(|| encoder.encode(&tone, &mut bytes).unwrap())
            .1
            .count
    });
    let per_encode = encodes.last().unwrap();
    println!(
        "Opus allocates {per_decode} times per decoded frame ({first} in its first second), {per_encode} per encoded"
    );
    per_decode
}

/// Packets in; samples out, mono and stereo: all but encoders.
#[test]
fn a_tick_allocates_nothing() {
    let payloads = payloads();
    let per_decode = codec(&payloads);
    let start = Instant::now();
    let mut mixer = Mixer::new(start, MixerConfig::default());
    let input = Input::Rtp {
        playout: PlayoutConfig {
            payload_type: PT,
            red: None,
            comfort_noise: None,
        },
        format: OPUS,
        level_id: Some(1),
    };
    let sources: Vec<_> = (0..PARTICIPANTS)
        .map(|_| mixer.add_source(&SourceConfig::new(input)).unwrap())
        .collect();
    for (number, source) in sources.iter().enumerate() {
        let layout = if number % 2 == 0 { Layout::Mono } else { Layout::Stereo };
        let config = ListenerConfig::new(Encoding::Pcm(layout), Ssrc(1), PT);
        mixer
            .add_listener(ListenerConfig {
                own: (*source).into(),
                ..config
            })
            .unwrap();
    }
    let (mut counted, mut packets, mut pool) = (0, 0, Pool::new());
    for tick in 0..WARM_UP + MEASURED {
        let now = start + Duration::from_millis(20) * u32::try_from(tick).unwrap();
        let talker = tick / 50 % PARTICIPANTS;
        let arriving: Vec<_> = (0..PARTICIPANTS)
            .map(|number| {
                packet(
                    &mut pool,
                    &payloads[tick % 50],
                    tick,
                    number == talker || number == talker / 2,
                )
            })
            .collect();
        let (got, allocations) = allocations_during(|| {
            for (source, packet) in sources.iter().zip(&arriving) {
                mixer.push(now, *source, packet);
            }
            mixer
                .tick(now)
                .map(|packet| packet.pcm.len())
                .filter(|len| *len >= TICK)
                .count()
        });
        packets += got;
        if tick >= WARM_UP {
            counted += allocations.count;
        }
    }
    let stats = mixer.stats();
    assert_eq!(packets, PARTICIPANTS * (WARM_UP + MEASURED));
    assert!(
        stats.encoded_own > 4000 && stats.pulled > 4000 && stats.late_encoders == 0,
        "{stats:?}"
    );
    let codec = per_decode * (MEASURED as u64) * 4;
    println!("{counted} allocations in {MEASURED} ticks");
    assert!(
        counted <= codec,
        "{counted} allocations, of which the codec's are {codec} at most"
    );
}

/// The same by Opus out: what is allocated is the codec's.
#[test]
fn encoding_allocates_what_the_codec_does() {
    let start = Instant::now();
    let mut mixer = Mixer::new(
        start,
        MixerConfig {
            level: None,
            ..MixerConfig::default()
        },
    );
    let source = mixer.add_source(&SourceConfig::new(Input::Pcm(Layout::Mono))).unwrap();
    for _ in 0..10 {
        mixer
            .add_listener(ListenerConfig::new(Encoding::of(OPUS), Ssrc(1), PT))
            .unwrap();
    }
    let mut encoder = OPUS.encoder().unwrap();
    let (mut ours, mut codec, mut pcm, mut bytes) = (0, 0, [0.0; TICK], [0; 1500]);
    for tick in 0..500 {
        let now = start + Duration::from_millis(20) * tick;
        pcm.iter_mut()
            .zip(0_u16..)
            .for_each(|(sample, at)| *sample = 0.1 * (f32::from(at) * 0.05).sin());
        mixer.push_pcm(source, &pcm).unwrap();
        let mut mixed = [0.0; TICK];
        let (count, allocations) = allocations_during(|| {
            let packets = mixer.tick(now).map(|packet| mixed.copy_from_slice(packet.pcm));
            packets.count()
        });
        assert_eq!(count, 10);
        let alone = allocations_during(|| encoder.encode(&mixed, &mut bytes).unwrap()).1;
        if tick >= 100 {
            ours += allocations.count;
            codec += alone.count;
        }
    }
    assert!(ours <= codec, "{ours} allocations, of which the encoder needs {codec}");
}

/// The library of the noise suppression keeps its plans per thread, without a lock: after the first tick nothing is made.
#[test]
fn noise_suppression_allocates_nothing() {
    let mut denoise = Denoise::new(1);
    let mut pcm: Vec<f32> = (0_u16..960).map(|at| 0.1 * (f32::from(at) * 0.05).sin()).collect();
    denoise.process(&mut pcm, true);
    let counts = (0..50).map(|_| allocations_during(|| denoise.process(&mut pcm, true)).1.count);
    let most = counts.max().unwrap();
    println!("noise suppression allocates {most} times per tick and channel");
    assert_eq!(most, 0, "after the first tick of a thread");
}
