//! A tick of the mixer: with silent listeners, and with talkers.
#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use althing_media_core::{Pt, Ssrc};
use althing_mixer::codec::Format;
use althing_mixer::mix::TICK;
use althing_mixer::mix::limit::Limiter;
use althing_mixer::mix::loudness::Meter;
use althing_mixer::mix::place::Layout;
use althing_mixer::{Encoding, Input, ListenerConfig, Mixer, MixerConfig, SourceConfig, SourceId};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const OPUS: Format = Format::Opus { channels: 1 };

/// A mixer with some who talk and listen, and some who only listen.
struct Room {
    mixer: Mixer,
    talkers: Vec<SourceId>,
    start: Instant,
    ticks: u32,
}

impl Room {
    fn new(talkers: usize, listeners: u32) -> Self {
        let start = Instant::now();
        let mut mixer = Mixer::new(start, MixerConfig::default());
        let listener = ListenerConfig::new(Encoding::of(OPUS), Ssrc(1), Pt::new(111));
        let mut talker = || {
            let source = mixer.add_source(&SourceConfig::new(Input::Pcm(Layout::Mono))).unwrap();
            let own = source.into();
            mixer.add_listener(ListenerConfig { own, ..listener }).unwrap();
            source
        };
        let talkers = (0..talkers).map(|_| talker()).collect();
        for _ in 0..listeners {
            mixer.add_listener(listener).unwrap();
        }
        let ticks = 0;
        let mut room = Self {
            mixer,
            talkers,
            start,
            ticks,
        };
        (0..100).for_each(|_| _ = room.tick());
        room
    }

    fn tick(&mut self) -> usize {
        let now = self.start + Duration::from_millis(20) * self.ticks;
        self.ticks += 1;
        let mut pcm = [0.0; TICK];
        pcm.iter_mut()
            .zip(0_u16..)
            .for_each(|(sample, at)| *sample = 0.1 * (f32::from(at) * 0.04).sin());
        for talker in &self.talkers {
            self.mixer.push_pcm(*talker, &pcm).unwrap();
        }
        self.mixer.tick(now).map(|packet| black_box(packet).payload.len()).sum()
    }
}

/// The difference between many listeners and few is what a silent listener costs.
fn ticks(c: &mut Criterion) {
    let mut group = c.benchmark_group("tick");
    group.sample_size(20);
    for (talkers, listeners) in [(1, 1), (1, 100), (1, 1000), (3, 100), (6, 100)] {
        let mut room = Room::new(talkers, listeners);
        group.throughput(Throughput::Elements(u64::from(listeners)));
        group.bench_function(format!("{talkers} talk, {listeners} listen"), |b| {
            b.iter(|| room.tick())
        });
    }
    group.finish();
}

/// What is done to a voice and to a sum.
fn stages(c: &mut Criterion) {
    let mut group = c.benchmark_group("stage");
    let sine = |amplitude: f32| {
        (0_u16..960)
            .map(|at| amplitude * (f32::from(at) * 0.04).sin())
            .collect::<Vec<f32>>()
    };
    let mut meter = Meter::default();
    let voice = sine(0.1);
    group.bench_function("loudness of a tick", |b| b.iter(|| meter.add(black_box(&voice), 1)));
    for (name, amplitude) in [("limiter at rest", 0.1), ("limiter at work", 2.0)] {
        let (mut limiter, sum) = (Limiter::new(1), sine(amplitude));
        let clone = || sum.clone();
        group.bench_function(name, |b| {
            b.iter_batched(clone, |mut sum| limiter.process(&mut sum), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, ticks, stages);
criterion_main!(benches);
