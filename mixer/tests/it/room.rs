//! A room in virtual time: mouths that say tones by RTP, ears that decode what they get.

use std::f32::consts::TAU;
use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Packet, Pt, Ssrc};
use althing_mixer::codec::{Decoder, Encoder, Format, MAX_SAMPLES, RATE};
use althing_mixer::mix::place::Ramp;
use althing_mixer::mix::{TICK, amplitude, decibels, minus_dbov};
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{Encoding, Input, ListenerConfig, ListenerId, Mixer, MixerConfig, Own, SourceConfig, SourceId};
use bytes::Bytes;

pub(crate) const MONO: Format = Format::Opus { channels: 1 };
pub(crate) const STEREO: Format = Format::Opus { channels: 2 };
pub(crate) const PT: Pt = Pt::new(111);
/// The id of the audio level extension.
pub(crate) const LEVEL: u8 = 1;

/// The input of a source of Opus packets that tell their level.
pub(crate) fn opus_input() -> Input {
    Input::Rtp {
        playout: PlayoutConfig {
            payload_type: PT,
            red: None,
            comfort_noise: None,
        },
        format: MONO,
        level_id: Some(LEVEL),
    }
}

/// Somebody who says a tone.
pub(crate) struct Mouth {
    pub(crate) source: SourceId,
    encoder: Box<dyn Encoder>,
    pub(crate) hertz: f32,
    /// Peaks of the tone; silence when there is none.
    pub(crate) dbfs: Option<f32>,
    said: Option<f32>,
    pub(crate) tells_level: bool,
    ssrc: Ssrc,
    seq: u16,
    samples: usize,
}

impl Mouth {
    /// The next 20 ms as a packet.
    pub(crate) fn packet(&mut self) -> Packet {
        let mut pcm = [0.0; TICK];
        // It begins and ends softly: clicks are to be the mixer's.
        if let Some(dbfs) = self.dbfs.or(self.said) {
            sine(self.hertz, dbfs, self.samples, &mut pcm);
            let gain = |said: Option<f32>| if said.is_some() { 1.0 } else { 0.0 };
            let (from, to) = (gain(self.said), gain(self.dbfs));
            Ramp { from, to }.apply(&mut pcm, 1);
        }
        self.said = self.dbfs;
        let level = minus_dbov(&pcm);
        let (mut payload, mut packet) = ([0; 1500], [0; 1500]);
        let len = self.encoder.encode(&pcm, &mut payload).unwrap();
        let timestamp = u32::try_from(self.samples).unwrap();
        let mut writer = RtpWriter::new(&mut packet, PT, false, self.seq, timestamp, self.ssrc);
        if self.tells_level {
            writer.extension(LEVEL, &[level]);
        }
        writer.payload(&payload[..len]);
        let (_, len) = writer.finish().unwrap();
        self.seq = self.seq.wrapping_add(1);
        self.samples += TICK;
        Packet::parse(Bytes::copy_from_slice(&packet[..len])).unwrap()
    }
}

/// Somebody who listens.
pub(crate) struct Ear {
    pub(crate) listener: ListenerId,
    decoder: Option<Box<dyn Decoder>>,
    channels: usize,
    /// What came out of the mixer as samples, and what came out of the decoder; interleaved.
    pub(crate) mixed: Vec<f32>,
    pub(crate) decoded: Vec<f32>,
    pub(crate) packets: Vec<(u16, u32, bool)>,
}

impl Ear {
    /// One channel of the last `ticks`.
    pub(crate) fn last(&self, decoded: bool, channel: usize, ticks: usize) -> Vec<f32> {
        let all = if decoded { &self.decoded } else { &self.mixed };
        let from = all.len() - ticks * TICK * self.channels;
        all[from..]
            .iter()
            .skip(channel)
            .step_by(self.channels)
            .copied()
            .collect()
    }

    /// How loud a tone was in the last half second before it was encoded, as peaks below full scale.
    pub(crate) fn hears(&self, hertz: f32) -> f32 {
        level_of(hertz, &self.last(false, 0, 25))
    }

    /// The same behind the decoder.
    pub(crate) fn hears_decoded(&self, hertz: f32) -> f32 {
        level_of(hertz, &self.last(true, 0, 25))
    }

    /// The steepest bend of the last `ticks`: a click bends much more than tones of some hundred hertz.
    pub(crate) fn bend(&self, decoded: bool, ticks: usize) -> f32 {
        let pcm = self.last(decoded, 0, ticks);
        let bends = pcm.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs());
        bends.fold(0.0, f32::max)
    }
}

/// A mixer, and who is in it.
pub(crate) struct Room {
    pub(crate) mixer: Mixer,
    pub(crate) now: Instant,
    pub(crate) mouths: Vec<Mouth>,
    pub(crate) ears: Vec<Ear>,
}

impl Room {
    /// Without levelling, so that tones keep their level.
    pub(crate) fn new() -> Self {
        Self::with(MixerConfig {
            level: None,
            ..MixerConfig::default()
        })
    }

    pub(crate) fn with(config: MixerConfig) -> Self {
        let now = Instant::now();
        Self {
            mixer: Mixer::new(now, config),
            now,
            mouths: Vec::new(),
            ears: Vec::new(),
        }
    }

    /// Somebody who can say a tone, and is silent at first; its number.
    pub(crate) fn mouth(&mut self, hertz: f32, config: &SourceConfig) -> usize {
        let source = self.mixer.add_source(config).unwrap();
        let number = self.mouths.len();
        // So that what the encoder adds is not taken for somebody's tone.
        let mut encoder = MONO.encoder().unwrap();
        encoder.set_bitrate(128_000);
        self.mouths.push(Mouth {
            source,
            encoder,
            hertz,
            dbfs: None,
            said: None,
            tells_level: true,
            ssrc: Ssrc(u32::try_from(number).unwrap() + 1),
            seq: 65_500,
            samples: 0,
        });
        number
    }

    /// Somebody who listens; its number.
    pub(crate) fn ear(&mut self, config: ListenerConfig) -> usize {
        let listener = self.mixer.add_listener(config).unwrap();
        let decoder = match config.encoding {
            Encoding::Coded { format, .. } => Some(format.decoder().unwrap()),
            _ => None,
        };
        self.ears.push(Ear {
            listener,
            decoder,
            channels: config.encoding.layout().channels(),
            mixed: Vec::new(),
            decoded: Vec::new(),
            packets: Vec::new(),
        });
        self.ears.len() - 1
    }

    /// An ear for Opus, for somebody who has a mouth or not.
    pub(crate) fn opus_ear(&mut self, mouth: Option<usize>) -> usize {
        self.ear(ListenerConfig {
            own: mouth.map_or(Own::NONE, |mouth| self.mouths[mouth].source.into()),
            ..ListenerConfig::new(Encoding::of(MONO), Ssrc(7), PT)
        })
    }

    /// Lets ticks pass.
    pub(crate) fn run(&mut self, ticks: usize) {
        let mut out = vec![0.0; 2 * MAX_SAMPLES];
        for _ in 0..ticks {
            for mouth in &mut self.mouths {
                let packet = mouth.packet();
                self.mixer.push(self.now, mouth.source, &packet);
            }
            for packet in self.mixer.tick(self.now) {
                let Some(ear) = self.ears.iter_mut().find(|ear| ear.listener == packet.listener) else {
                    continue;
                };
                ear.mixed.extend_from_slice(packet.pcm);
                ear.packets.push((packet.seq, packet.timestamp.0, packet.marker));
                if let Some(decoder) = &mut ear.decoder {
                    let samples = decoder.decode(&packet.payload, &mut out).unwrap();
                    assert_eq!(samples, TICK);
                    ear.decoded.extend_from_slice(&out[..samples * ear.channels]);
                }
            }
            self.now += Duration::from_millis(20);
        }
    }
}

/// A sine, from its sample `at` on.
pub(crate) fn sine(hertz: f32, dbfs: f32, at: usize, pcm: &mut [f32]) {
    for (sample, at) in pcm.iter_mut().zip(at..) {
        #[expect(clippy::cast_possible_truncation, reason = "a fraction")]
        let phase = (f64::from(hertz) / f64::from(RATE) * at as f64).fract() as f32;
        *sample = amplitude(dbfs) * (TAU * phase).sin();
    }
}

/// Peaks of one frequency in a signal of one channel, in dB below full scale: a single bin of a Fourier transform, with a
/// window whose side lobes are 90 dB down.
pub(crate) fn level_of(hertz: f32, pcm: &[f32]) -> f32 {
    let (mut real, mut imaginary, mut weight) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (at, sample) in pcm.iter().enumerate() {
        let turn = std::f64::consts::TAU * at as f64 / pcm.len() as f64;
        // Blackman-Harris.
        let window = 0.358_75 - 0.488_29 * turn.cos() + 0.141_28 * (2.0 * turn).cos() - 0.011_68 * (3.0 * turn).cos();
        let phase = std::f64::consts::TAU * f64::from(hertz) / f64::from(RATE) * at as f64;
        real += window * f64::from(*sample) * phase.cos();
        imaginary += window * f64::from(*sample) * phase.sin();
        weight += window / 2.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a figure in decibels")]
    let amplitude = (real.hypot(imaginary) / weight) as f32;
    decibels(amplitude.max(1e-10))
}
