//! Whatever comes in: no panic, bounded memory, and the others' sound as if nothing had come.
//!
//! A binary of its own, because the memory that is looked at is that of the whole process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Packet, Pt, Ssrc};
use althing_mixer::codec::Format;
use althing_mixer::mix::TICK;
use althing_mixer::mix::limit::LOOK_AHEAD;
use althing_mixer::mix::place::Layout;
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{
    ChannelConfig, ChannelId, Encoding, Input, ListenerConfig, Mixer, MixerConfig, SourceConfig, SourceId,
};
use althing_testkit::rng::Rng;
use bytes::Bytes;

const OPUS: Format = Format::Opus { channels: 1 };
const PT: Pt = Pt::new(111);
const RED: Pt = Pt::new(63);
/// 20 ms, fifty times a second.
const MINUTE: u32 = 50 * 60;

/// A mixer with somebody on the floor who talks, and a listener there.
struct Victims {
    mixer: Mixer,
    source: SourceId,
    start: Instant,
    ticks: u32,
    /// What the limiter still holds of what was said.
    held: Vec<f32>,
}

impl Victims {
    fn new() -> Self {
        let start = Instant::now();
        let mut mixer = Mixer::new(
            start,
            MixerConfig {
                level: None,
                ..MixerConfig::default()
            },
        );
        let source = mixer.add_source(&SourceConfig::new(Input::Pcm(Layout::Mono))).unwrap();
        mixer.add_listener(listener(ChannelId::FLOOR)).unwrap();
        Self {
            mixer,
            source,
            start,
            ticks: 0,
            held: vec![0.0; LOOK_AHEAD],
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(20) * self.ticks
    }

    /// One tick, in which the floor must hear what is said there, late by what the limiter holds and else the same to the
    /// last bit; and nobody anything that is no number or too loud.
    fn tick(&mut self) {
        // Something that is different in each tick.
        let step = 1e-7 * f32::from(u16::try_from(self.ticks % 1000).unwrap());
        let said: Vec<f32> = (0..TICK).map(|at| step * at as f32 - 0.05).collect();
        self.mixer.push_pcm(self.source, &said).unwrap();
        let now = self.now();
        self.ticks += 1;
        for (number, packet) in self.mixer.tick(now).enumerate() {
            assert!(
                packet.pcm.iter().all(|sample| sample.abs() < 0.892),
                "tick {}",
                self.ticks
            );
            if number == 0 && self.ticks > 2 {
                let (first, rest) = packet.pcm.split_at(LOOK_AHEAD);
                assert!(
                    first == self.held && *rest == said[..TICK - LOOK_AHEAD],
                    "tick {}",
                    self.ticks
                );
            }
        }
        self.held = said[TICK - LOOK_AHEAD..].to_vec();
    }
}

fn listener(channel: ChannelId) -> ListenerConfig {
    ListenerConfig {
        channel,
        ..ListenerConfig::new(Encoding::Pcm(Layout::Mono), Ssrc(1), PT)
    }
}

fn opus(channel: ChannelId) -> SourceConfig {
    let input = Input::Rtp {
        playout: PlayoutConfig {
            payload_type: PT,
            red: Some(RED),
            comfort_noise: None,
        },
        format: OPUS,
        level_id: Some(1),
    };
    SourceConfig {
        channel,
        ..SourceConfig::new(input)
    }
}

/// Sends what no honest sender sends.
struct Attacker {
    rng: Rng,
    genuine: Vec<Vec<u8>>,
    ssrc: u32,
    seq: u16,
    timestamp: u32,
}

impl Attacker {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut encoder = OPUS.encoder().unwrap();
        let genuine = (0..64).map(|_| {
            let pcm: Vec<f32> = (0..TICK).map(|_| f32::from(rng.next_u16()) / 65_536.0 - 0.5).collect();
            let mut payload = vec![0; 1500];
            let len = encoder.encode(&pcm, &mut payload).unwrap();
            payload.truncate(len);
            payload
        });
        let genuine = genuine.collect();
        Self {
            rng,
            genuine,
            ssrc: 1,
            seq: 0,
            timestamp: 0,
        }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    fn packet(&mut self) -> Packet {
        let which = usize::try_from(self.rng.below(64)).unwrap();
        let mut payload = self.genuine[which].clone();
        match self.rng.below(8) {
            // Bits turned over.
            0 | 1 => {
                for _ in 0..=self.rng.below(8) {
                    let at = usize::try_from(self.rng.below(payload.len() as u64)).unwrap();
                    payload[at] ^= 1 << self.rng.below(8);
                }
            }
            2 => payload.truncate(usize::try_from(self.rng.below(payload.len() as u64)).unwrap()),
            // Anything.
            3 => {
                payload.resize(usize::try_from(self.rng.below(1200)).unwrap(), 0);
                payload
                    .iter_mut()
                    .for_each(|byte| *byte = u8::try_from(self.rng.below(256)).unwrap());
            }
            _ => {}
        }
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(960);
        if self.chance(20) {
            self.seq = self.rng.next_u16();
        }
        if self.chance(20) {
            self.timestamp = self.rng.next_u32();
        }
        if self.chance(100) {
            self.ssrc = self.rng.next_u32();
        }
        let pt = if self.chance(10) { RED } else { PT };
        let pt = if self.chance(50) {
            Pt::new(u8::try_from(self.rng.below(128)).unwrap())
        } else {
            pt
        };
        let marker = self.chance(5);
        let mut bytes = [0; 1500];
        let mut writer = RtpWriter::new(&mut bytes, pt, marker, self.seq, self.timestamp, Ssrc(self.ssrc));
        if !self.chance(10) {
            writer.extension(1, &[u8::try_from(self.rng.below(256)).unwrap()]);
        }
        writer.payload(&payload);
        let (_, len) = writer.finish().unwrap();
        Packet::parse(Bytes::copy_from_slice(&bytes[..len])).unwrap()
    }
}

/// Memory of the process in kilobytes; `None` where there is no such file.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// An hour of virtual time, with a packet a tick.
#[test]
fn an_hour_of_noise() {
    let mut room = Victims::new();
    let channel = ChannelConfig {
        name: "dark".to_owned(),
        over_floor: Some(<_>::default()),
    };
    let channel = room.mixer.add_channel(channel).unwrap();
    room.mixer.add_listener(listener(channel)).unwrap();
    let mut source = room.mixer.add_source(&opus(channel)).unwrap();
    let mut attacker = Attacker::new(1);
    let mut early = None;
    for tick in 0..60 * MINUTE {
        let now = room.now();
        for _ in 0..attacker.rng.below(3) {
            let packet = attacker.packet();
            room.mixer.push(now, source, &packet);
        }
        // Now and then hundreds at once, and another source.
        if tick % 5000 == 4999 {
            (0..300).for_each(|_| room.mixer.push(now, source, &attacker.packet()));
            room.mixer.remove_source(source);
            source = room.mixer.add_source(&opus(channel)).unwrap();
        }
        room.tick();
        if tick == 5 * MINUTE {
            early = memory();
        }
    }
    let stats = room.mixer.stats();
    assert!(stats.pulled > 300_000 && stats.encode_errors == 0, "{stats:?}");
    if let (Some(early), Some(late)) = (early, memory()) {
        assert!(late < early + 16 * 1024, "from {early} to {late} kB");
    }
}

/// A thousand sources a second come, say something, and go; some say something after they have gone.
#[test]
fn a_thousand_sources_a_second() {
    let mut room = Victims::new();
    let channel = ChannelConfig {
        name: "dark".to_owned(),
        over_floor: Some(<_>::default()),
    };
    let channel = room.mixer.add_channel(channel).unwrap();
    room.mixer.add_listener(listener(channel)).unwrap();
    let mut attacker = Attacker::new(2);
    let mut last = room.mixer.add_source(&opus(channel)).unwrap();
    for tick in 0..500 {
        let now = room.now();
        for _ in 0..20 {
            let source = room.mixer.add_source(&opus(channel)).unwrap();
            room.mixer.push(now, source, &attacker.packet());
            let gone = if tick % 2 == 0 {
                std::mem::replace(&mut last, source)
            } else {
                source
            };
            room.mixer.remove_source(gone);
            room.mixer.push(now, gone, &attacker.packet());
        }
        room.tick();
        assert!(room.mixer.stats().sources < 50);
    }
}
