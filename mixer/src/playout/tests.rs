//! A source, a line and a listener in virtual time; what is heard is looked at by the sample.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers, and measures that need no more than eight digits"
)]

use std::time::{Duration, Instant};

use althing_media_core::{Pt, RtpTime, Ssrc};
use bytes::Bytes;

use super::{Playout, PlayoutConfig, PlayoutStats, Pulled, Received};
use crate::codec::{Encoder, Format};

const TICK: usize = 960;
const TONE: f32 = 300.0;
/// The largest step of the tone from sample to sample.
const STEP: f32 = 0.5 * std::f32::consts::TAU * TONE / 48_000.0;
const L16: Format = Format::L16 {
    rate: 48_000,
    channels: 1,
};

/// Deterministic and good enough for a line.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What a line does to one packet: after how many microseconds it comes, or never.
type Line<'a> = &'a mut dyn FnMut(u16) -> Option<u64>;

/// A sender of one tone, packet by packet.
struct Sender {
    encoder: Box<dyn Encoder>,
    ssrc: u32,
    seq: u16,
    timestamp: u32,
    phase: f32,
    /// A voice instead of a tone: pulses that excite two resonances.
    voice: bool,
    resonances: [[f32; 2]; 2],
}

impl Sender {
    fn new(format: Format, ssrc: u32) -> Self {
        Self {
            encoder: format.encoder().unwrap(),
            ssrc,
            seq: u16::MAX - 20,
            timestamp: u32::MAX - 40_000,
            phase: 0.0,
            voice: false,
            resonances: [[0.0; 2]; 2],
        }
    }

    fn sample(&mut self) -> f32 {
        let turn = std::f32::consts::TAU;
        self.phase += turn * TONE / 48_000.0;
        let full = self.phase >= turn;
        self.phase %= turn;
        if !self.voice {
            return 0.5 * self.phase.sin();
        }
        let mut value = if full { 0.15 } else { 0.0 };
        for ([last, before], hz) in self.resonances.iter_mut().zip([700.0, 1_800.0]) {
            let next = value + 1.97 * (turn * hz / 48_000.0_f32).cos() * *last - 0.97 * *before;
            (*last, *before) = (next, *last);
            value = next;
        }
        value * 0.05
    }

    fn next(&mut self) -> Received {
        let channels = self.encoder.channels();
        let mut pcm = vec![0.0; TICK * channels];
        for frame in pcm.chunks_exact_mut(channels) {
            frame.fill(self.sample());
        }
        let mut payload = vec![0; 4000];
        let len = self.encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(len);
        let packet = Received {
            ssrc: Ssrc(self.ssrc),
            seq: self.seq,
            timestamp: RtpTime(self.timestamp),
            payload_type: Pt::new(96),
            marker: false,
            level: None,
            payload: payload.into(),
        };
        self.seq = self.seq.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.encoder.format().clock_rate() / 50);
        packet
    }
}

/// The listener: pulls every 20 ms, from 7 ms after the first packet was sent.
struct Listener {
    playout: Playout,
    start: Instant,
    ticks: u32,
    heard: Vec<f32>,
    pulled: Vec<Pulled>,
    /// On the line, the next to come last; and when the next one is sent.
    coming: Vec<(Duration, Received)>,
    sends_at: Duration,
}

impl Listener {
    fn new(format: Format) -> Self {
        let config = PlayoutConfig {
            payload_type: Pt::new(96),
            red: Some(Pt::new(97)),
            comfort_noise: Some(Pt::new(13)),
        };
        Self {
            playout: Playout::new(config, format.decoder().unwrap()),
            start: Instant::now(),
            ticks: 0,
            heard: Vec::new(),
            pulled: Vec::new(),
            coming: Vec::new(),
            sends_at: Duration::from_millis(7),
        }
    }

    fn tick_at(&self) -> Duration {
        Duration::from_millis(7) + Duration::from_millis(20) * self.ticks
    }

    fn pull(&mut self) {
        let channels = self.playout.channels();
        let mut out = vec![0.0; TICK * channels];
        let now = self.start + self.tick_at();
        self.pulled.push(self.playout.pull(now, &mut out));
        self.heard.extend_from_slice(&out);
        self.ticks += 1;
    }

    /// Sends `count` packets, one every `spacing`, over `line`, and pulls meanwhile.
    fn listen(&mut self, sender: &mut Sender, count: u32, spacing: Duration, line: Line<'_>) {
        for _ in 0..count {
            let packet = sender.next();
            if let Some(delay) = line(packet.seq) {
                let at = self.sends_at + Duration::from_micros(delay);
                let place = self.coming.partition_point(|(other, _)| *other > at);
                self.coming.insert(place, (at, packet));
            }
            self.sends_at += spacing;
            self.run();
        }
    }

    /// Lets time pass until the next packet is sent.
    fn run(&mut self) {
        while self.tick_at() < self.sends_at {
            let tick = self.tick_at();
            while let Some((at, packet)) = self.coming.pop_if(|(at, _)| *at <= tick) {
                self.playout.push(self.start + at, packet);
            }
            self.pull();
        }
    }

    /// The sender pauses.
    fn pause(&mut self, pause: Duration) {
        self.sends_at += pause;
        self.run();
    }

    fn stats(&self) -> PlayoutStats {
        self.playout.stats()
    }

    /// Of what was heard from this tick on: the largest step between neighbours, in steps of the tone.
    fn roughness(&self, from: usize) -> f32 {
        let heard = &self.heard[from * TICK..];
        let steps = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        steps.fold(0.0, f32::max) / STEP
    }

    fn rms(&self, ticks: std::ops::Range<usize>) -> f32 {
        let piece = &self.heard[ticks.start * TICK..ticks.end * TICK];
        (piece.iter().map(|value| value * value).sum::<f32>() / piece.len() as f32).sqrt()
    }
}

const EVERY_20_MS: Duration = Duration::from_millis(20);
const FULL: f32 = 0.353;

#[test]
fn a_clean_line_adds_at_most_40_ms_and_changes_nothing() {
    for (offset, format) in [
        (0, L16),
        (3_000, L16),
        (9_000, L16),
        (15_000, Format::Pcmu),
        (19_500, Format::G722),
    ] {
        let mut listener = Listener::new(format);
        let mut sender = Sender::new(format, 1);
        listener.listen(&mut sender, 200, EVERY_20_MS, &mut |_| Some(offset));
        let stats = listener.stats();
        assert!(stats.delay <= Duration::from_millis(40), "{stats:?}");
        assert_eq!((stats.lost, stats.late, stats.concealed), (0, 0, 0), "{stats:?}");
        assert_eq!((stats.accelerated, stats.expanded), (0, 0), "{stats:?}");
        assert!(
            listener.roughness(3) < 1.2,
            "{format:?} {offset}: {}",
            listener.roughness(3)
        );
        assert!((listener.rms(10..190) - FULL).abs() < 0.02);
        // The delay by ear: when the tone is first heard, from when it could have been.
        let first = listener.heard.iter().position(|value| value.abs() > 0.001).unwrap();
        let came = listener.start + Duration::from_millis(7) + Duration::from_micros(offset);
        let left = listener.start + Duration::from_millis(7) + Duration::from_secs_f32(first as f32 / 48_000.0);
        assert!(left.saturating_duration_since(came) <= Duration::from_millis(40));
    }
}

#[test]
fn ticks_of_10_ms_halve_what_they_cost() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    let (mut out, mut heard) = ([0.0; TICK / 2], Vec::new());
    for tick in 0..400_u32 {
        let now = listener.start + Duration::from_millis(10) * tick;
        if tick % 2 == 0 {
            listener.playout.push(now, sender.next());
        }
        listener.playout.pull(now, &mut out);
        heard.extend_from_slice(&out);
    }
    let stats = listener.stats();
    assert!(stats.delay <= Duration::from_millis(30), "{stats:?}");
    assert_eq!((stats.lost, stats.late, stats.concealed), (0, 0, 0), "{stats:?}");
    let steepest = heard
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max);
    assert!(steepest < 1.5 * STEP, "{steepest}");
}

#[test]
fn jitter_of_50_ms_costs_the_target_and_20_ms_at_most() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    let mut random = Random(7);
    let mut worst = Duration::ZERO;
    for round in 0..60 {
        listener.listen(&mut sender, 50, EVERY_20_MS, &mut |_| Some(random.below(50_000)));
        let stats = listener.stats();
        assert!(stats.target <= Duration::from_millis(75), "{stats:?}");
        if round > 5 {
            worst = worst.max(stats.delay.saturating_sub(stats.target));
        }
    }
    let stats = listener.stats();
    assert!(worst <= Duration::from_millis(20), "{worst:?} {stats:?}");
    assert_eq!(stats.lost, 0, "{stats:?}");
    assert!(stats.concealed < 48_000 * 60 / 100, "less than a hundredth: {stats:?}");
    assert!(listener.roughness(100) < 2.0, "{}", listener.roughness(100));
}

#[test]
fn a_drift_of_100_ppm_for_an_hour_is_followed_without_a_click() {
    for spacing in [Duration::from_nanos(19_998_000), Duration::from_nanos(20_002_000)] {
        let mut listener = Listener::new(L16);
        let mut sender = Sender::new(L16, 1);
        let mut last = PlayoutStats::default();
        for minute in 0..60 {
            // The sender's own time goes on: what it sends next begins where the last minute ended.
            listener.listen(&mut sender, 3_000, spacing, &mut |_| Some(2_000));
            last = listener.stats();
            assert!(last.delay <= Duration::from_millis(45), "{minute}: {last:?}");
            assert!(listener.roughness(3) < 1.5, "{minute}: {}", listener.roughness(3));
            assert!(listener.rms(50..2_900) > 0.34);
            listener.heard.clear();
            listener.pulled.clear();
        }
        assert_eq!((last.lost, last.resets), (0, 0), "{last:?}");
        let corrected = last.accelerated + last.expanded;
        // 360 ms were too many or too few.
        assert!((9_600..40_000).contains(&corrected), "{last:?}");
        assert!(last.concealed < 9_600, "{last:?}");
    }
}

#[test]
fn a_single_loss_is_bridged_and_a_burst_fades_without_a_click() {
    for format in [L16, Format::Pcma, Format::Opus { channels: 1 }] {
        let mut listener = Listener::new(format);
        let mut sender = Sender::new(format, 1);
        let mut sent = 0;
        listener.listen(&mut sender, 100, EVERY_20_MS, &mut |_| {
            sent += 1;
            (sent != 40 && !(60..65).contains(&sent)).then_some(1_000)
        });
        let stats = listener.stats();
        assert_eq!(stats.lost, 6, "{format:?} {stats:?}");
        assert!((5 * 960..=7 * 960).contains(&stats.concealed), "{format:?} {stats:?}");
        assert!(listener.roughness(3) < 2.0, "{format:?} {}", listener.roughness(3));
        assert!(listener.rms(63..64) < 0.33, "it fades");
        assert!((listener.rms(80..95) - FULL).abs() < 0.04, "and comes back");
    }
}

#[test]
fn what_comes_out_of_order_twice_or_too_late_is_sorted_out() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    let mut random = Random(3);
    // Learn the jitter first.
    listener.listen(&mut sender, 300, EVERY_20_MS, &mut |_| Some(random.below(60_000)));
    while let Some((at, packet)) = listener.coming.pop() {
        listener.playout.push(listener.start + at, packet);
    }
    let before = listener.stats();
    let mut packets: Vec<Received> = (0..8).map(|_| sender.next()).collect();
    let at = |listener: &Listener| listener.start + listener.tick_at();
    let late = packets.remove(2);
    for order in [1, 0, 0, 2, 4, 3, 5, 6] {
        listener.playout.push(at(&listener), packets[order].clone());
    }
    for _ in 0..30 {
        listener.pull();
    }
    listener.playout.push(at(&listener), late);
    let stats = listener.stats();
    assert_eq!(stats.duplicates, before.duplicates + 1);
    assert_eq!(stats.late, before.late + 1);
    assert_eq!(stats.lost, before.lost + 1);
}

#[test]
fn a_pause_of_the_sender_is_no_loss_and_the_delay_is_set_right_in_it() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    let mut random = Random(5);
    listener.listen(&mut sender, 200, EVERY_20_MS, &mut |_| Some(random.below(80_000)));
    let jittery = listener.stats();
    assert!(jittery.delay > Duration::from_millis(60), "{jittery:?}");
    for _ in 0..500 {
        // Packets that come at once, and pauses of 300 ms in the sender's time and in ours.
        listener.listen(&mut sender, 5, EVERY_20_MS, &mut |_| Some(0));
        sender.timestamp = sender.timestamp.wrapping_add(15 * 960);
        listener.pause(Duration::from_millis(300));
    }
    let stats = listener.stats();
    assert_eq!(stats.lost, jittery.lost, "{stats:?}");
    assert_eq!(stats.resets, 0);
    assert!(stats.target < Duration::from_millis(40), "{stats:?}");
    assert!(
        listener.roughness(jittery.received as usize) < 2.0,
        "{}",
        listener.roughness(200)
    );
    assert_eq!(listener.pulled.last(), Some(&Pulled::Silence));
}

#[test]
fn comfort_noise_of_rfc_3389_fills_pauses() {
    let format = Format::Pcmu;
    let mut listener = Listener::new(format);
    let mut sender = Sender::new(format, 1);
    listener.listen(&mut sender, 50, EVERY_20_MS, &mut |_| Some(0));
    let mut noise = sender.next();
    noise.payload_type = Pt::new(13);
    noise.payload = Bytes::from_static(&[40]);
    listener.playout.push(listener.start + listener.tick_at(), noise);
    listener.pause(Duration::from_millis(600));
    assert_eq!(listener.pulled.last(), Some(&Pulled::ComfortNoise));
    let level = 20.0 * listener.rms(60..80).log10();
    assert!((-47.0..-40.0).contains(&level), "{level}");
    sender.timestamp += 29 * 160;
    listener.listen(&mut sender, 50, EVERY_20_MS, &mut |_| Some(0));
    assert_eq!(listener.pulled.last(), Some(&Pulled::Sound));
    assert!(listener.roughness(3) < 1.6, "{}", listener.roughness(3));
    let stats = listener.stats();
    assert_eq!((stats.lost, stats.concealed), (0, 0), "{stats:?}");
    assert!(stats.comfort_noise > 25 * 960, "{stats:?}");
}

#[test]
fn another_ssrc_and_a_leap_of_the_clock_begin_anew_without_a_click() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    listener.listen(&mut sender, 60, EVERY_20_MS, &mut |_| Some(0));
    let mut other = Sender::new(L16, 2);
    other.timestamp = 5;
    other.phase = 2.0;
    listener.listen(&mut other, 60, EVERY_20_MS, &mut |_| Some(0));
    assert_eq!(listener.stats().resets, 1);
    other.timestamp = other.timestamp.wrapping_sub(0x7000_0000);
    other.phase = 1.0;
    listener.listen(&mut other, 60, EVERY_20_MS, &mut |_| Some(0));
    let stats = listener.stats();
    assert_eq!((stats.resets, stats.refused), (2, 1), "{stats:?}");
    assert!(listener.roughness(3) < 1.8, "{}", listener.roughness(3));
    assert!((listener.rms(140..165) - FULL).abs() < 0.02);
}

#[test]
fn a_clock_that_stood_still_is_no_silence() {
    for still in [500, 1_200, 2_000, 2_900, 3_500] {
        let mut listener = Listener::new(L16);
        let mut sender = Sender::new(L16, 1);
        listener.listen(&mut sender, 100, EVERY_20_MS, &mut |_| Some(2_000));
        // A process that was stopped: it goes on where it was, and so does its clock.
        listener.pause(Duration::from_millis(still));
        let from = listener.heard.len() / TICK;
        listener.listen(&mut sender, 300, EVERY_20_MS, &mut |_| Some(2_000));
        let silent = (from..from + 290)
            .filter(|tick| listener.rms(*tick..tick + 1) < 0.3)
            .count();
        assert!(silent <= 10, "{still} ms: {silent} ticks without sound");
        assert!(listener.roughness(3) < 1.5, "{still} ms: {}", listener.roughness(3));
        let delay = listener.stats().delay;
        assert!(delay < Duration::from_millis(150), "{still} ms: {delay:?}");
    }
}

#[test]
fn one_packet_from_another_clock_changes_nothing() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    listener.listen(&mut sender, 60, EVERY_20_MS, &mut |_| Some(0));
    let mut wild = sender.next();
    wild.timestamp = wild.timestamp.plus(0x4000_0000);
    listener.playout.push(listener.start + listener.tick_at(), wild);
    listener.listen(&mut sender, 60, EVERY_20_MS, &mut |_| Some(0));
    let stats = listener.stats();
    assert_eq!((stats.resets, stats.refused), (0, 1), "{stats:?}");
}

#[test]
fn a_source_that_was_skipped_comes_in_softly_and_in_time() {
    for format in [L16, Format::Opus { channels: 2 }] {
        let mut listener = Listener::new(format);
        let mut sender = Sender::new(format, 1);
        let channels = format.channels();
        for _ in 0..300 {
            let now = listener.start + listener.tick_at();
            listener.playout.push(now, sender.next());
            listener.playout.skip(now, TICK);
            listener.ticks += 1;
        }
        assert_eq!(listener.stats().lost, 0);
        for _ in 0..50 {
            let now = listener.start + listener.tick_at();
            listener.playout.push(now, sender.next());
            listener.pull();
        }
        let stats = listener.stats();
        assert!(stats.delay <= Duration::from_millis(40), "{stats:?}");
        assert_eq!((stats.lost, stats.late), (0, 0), "{stats:?}");
        let left: Vec<f32> = listener.heard.iter().step_by(channels).copied().collect();
        let rough = left
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
            / STEP;
        assert!(rough < 1.6, "{rough}");
        let loud = left[5 * TICK..].iter().map(|value| value * value).sum::<f32>() / (45 * TICK) as f32;
        assert!((loud.sqrt() - FULL).abs() < 0.03, "{}", loud.sqrt());
    }
}

#[test]
fn an_outage_is_followed_by_all_that_waited_and_then_caught_up() {
    let mut listener = Listener::new(L16);
    let mut sender = Sender::new(L16, 1);
    listener.listen(&mut sender, 100, EVERY_20_MS, &mut |_| Some(0));
    // Half a second in which all that is sent comes at its end.
    let mut number = 0;
    listener.listen(&mut sender, 25, EVERY_20_MS, &mut |_| {
        number += 1;
        Some(500_000 - 20_000 * (number - 1))
    });
    listener.listen(&mut sender, 100, EVERY_20_MS, &mut |_| Some(0));
    let during = listener.stats();
    assert_eq!((during.lost, during.late, during.overflow), (0, 0, 0), "{during:?}");
    assert!(during.delay > Duration::from_millis(150), "{during:?}");
    listener.listen(&mut sender, 1_500, EVERY_20_MS, &mut |_| Some(0));
    let stats = listener.stats();
    assert!(stats.delay < Duration::from_millis(45), "{stats:?}");
    assert!(stats.accelerated > 4_800, "{stats:?}");
    assert!(listener.roughness(3) < 2.0, "{}", listener.roughness(3));
}

/// Wraps payloads as RFC 2198 has it: each with the one before.
fn with_copies(packets: &[Received]) -> Vec<Received> {
    let mut wrapped = Vec::new();
    let mut last: Option<&Received> = None;
    for packet in packets {
        let mut payload = Vec::new();
        if let Some(last) = last {
            let offset = u16::try_from(packet.timestamp.since(last.timestamp)).unwrap();
            let len = u16::try_from(last.payload.len()).unwrap();
            let [high, low] = (offset << 2 | len >> 8).to_be_bytes();
            payload.extend([0x80 | 96, high, low, len.to_be_bytes()[1]]);
        }
        payload.push(96);
        payload.extend(last.iter().flat_map(|last| last.payload.iter().copied()));
        payload.extend_from_slice(&packet.payload);
        wrapped.push(Received {
            payload_type: Pt::new(97),
            payload: payload.into(),
            ..packet.clone()
        });
        last = Some(packet);
    }
    wrapped
}

#[test]
fn redundant_audio_repairs_single_losses() {
    let format = Format::Pcmu;
    let mut listener = Listener::new(format);
    let mut sender = Sender::new(format, 1);
    let packets: Vec<Received> = (0..1000).map(|_| sender.next()).collect();
    let mut dropped = 0;
    for (number, packet) in with_copies(&packets).into_iter().enumerate() {
        if number % 10 == 9 {
            dropped += 1;
        } else {
            listener.playout.push(listener.start + listener.tick_at(), packet);
        }
        listener.pull();
    }
    let stats = listener.stats();
    // The delay has to be learned from what copies bring.
    assert!(stats.recovered > dropped * 9 / 10, "{stats:?}");
    assert_eq!(stats.lost + 1, dropped, "the last one is not missed yet: {stats:?}");
    assert!(stats.concealed < 10 * 960, "{stats:?}");
    assert!(listener.roughness(3) < 1.8, "{}", listener.roughness(3));
}

#[test]
fn in_band_redundancy_of_opus_repairs_single_losses() {
    let format = Format::Opus { channels: 1 };
    let mut listener = Listener::new(format);
    let mut sender = Sender::new(format, 1);
    sender.encoder.set_bitrate(24_000);
    sender.encoder.set_expected_loss(20);
    sender.voice = true;
    let mut dropped = 0;
    listener.listen(&mut sender, 1000, EVERY_20_MS, &mut |seq| {
        let lost = seq % 10 == 9;
        dropped += u64::from(lost);
        (!lost).then_some(0)
    });
    let stats = listener.stats();
    assert!(stats.recovered > dropped * 8 / 10, "{dropped} dropped: {stats:?}");
}

#[test]
fn discontinuous_opus_is_noise_in_its_pauses_and_no_loss() {
    let format = Format::Opus { channels: 1 };
    let mut listener = Listener::new(format);
    let mut encoder = crate::codec::OpusEncoder::new(1).unwrap();
    encoder.set_dtx(true);
    encoder.set_complexity(9);
    let mut sender = Sender::new(format, 1);
    let mut random = Random(9);
    let (mut pauses, mut seq) = (false, 0_u16);
    for frame in 0..300_u32 {
        // A second of tone, then a room that hums very quietly.
        let mut pcm = vec![0.0; TICK];
        for value in &mut pcm {
            let noise = random.below(2_000) as f32 / 1_000.0 - 1.0;
            *value = noise * 0.000_2;
        }
        if frame < 50 {
            sender.next();
            for (index, value) in pcm.iter_mut().enumerate() {
                *value += 0.3 * ((frame as usize * TICK + index) as f32 * 0.05).sin();
            }
        }
        let mut payload = vec![0; 1500];
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        payload.truncate(len);
        // As browsers do: of packets that only say "pause", the first is sent.
        if len > 2 || !pauses {
            pauses = len <= 2;
            listener.playout.push(
                listener.start + listener.tick_at(),
                Received {
                    ssrc: Ssrc(1),
                    seq,
                    timestamp: RtpTime(frame * 960),
                    payload_type: Pt::new(96),
                    marker: false,
                    level: None,
                    payload: payload.into(),
                },
            );
            seq += 1;
        }
        listener.pull();
    }
    let stats = listener.stats();
    assert!(stats.received < 150, "{stats:?}");
    assert_eq!((stats.lost, stats.resets), (0, 0), "{stats:?}");
    assert!(stats.comfort_noise > 100 * 960, "{stats:?}");
    assert!(stats.concealed < 2_000, "{stats:?}");
}
