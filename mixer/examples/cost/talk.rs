//! Something like speech: noise, shaped and in syllables, as Opus packets; and silence.

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Pt, Ssrc};
use althing_mixer::codec::{CodecError, Encoder as _, Format, OpusEncoder};
use althing_mixer::mix::{TICK, minus_dbov};
use althing_testkit::rng::Rng;

pub(crate) const OPUS: Format = Format::Opus { channels: 1 };
pub(crate) const PT: Pt = Pt::new(111);
/// The id of the audio level extension.
pub(crate) const LEVEL: u8 = 1;

/// Payloads of 20 ms with their levels.
pub(crate) struct Talk {
    speech: Vec<(Vec<u8>, u8)>,
    silence: Vec<(Vec<u8>, u8)>,
}

impl Talk {
    pub(crate) fn new() -> Result<Self, CodecError> {
        Ok(Self {
            speech: encode(0.3)?,
            silence: encode(0.0)?,
        })
    }

    /// Ten times what is said by one talker.
    pub(crate) fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let all = self.speech.len();
        (0..10 * all).map(move |at| &self.speech[at % all].0[..])
    }

    /// Writes the packet of one participant in one tick; its length.
    pub(crate) fn write(&self, who: u32, tick: u32, talks: bool, buffer: &mut [u8]) -> usize {
        let payloads = if talks { &self.speech } else { &self.silence };
        // Not all say the same at the same time.
        let (payload, level) = &payloads[(tick as usize + 37 * who as usize) % payloads.len()];
        let seq = u16::try_from(tick & 0xffff).unwrap_or(0);
        let mut writer = RtpWriter::new(buffer, PT, tick == 0, seq, tick.wrapping_mul(960), Ssrc(1000 + who));
        writer.extension(LEVEL, &[*level]);
        writer.payload(payload);
        writer.finish().map_or(0, |(_, len)| len)
    }
}

/// Two seconds.
fn encode(loudness: f32) -> Result<Vec<(Vec<u8>, u8)>, CodecError> {
    let mut encoder = OpusEncoder::new(1)?;
    // As browsers do: it costs who decodes as much as it will.
    encoder.set_voice_model(true);
    encoder.set_bitrate(32_000);
    let (mut rng, mut low, mut payload) = (Rng::new(1), 0.0_f32, [0; 1500]);
    let mut payloads = Vec::new();
    for tick in 0..100_u16 {
        let pcm: Vec<f32> = (0..TICK)
            .map(|at| {
                let time = f32::from(tick) * 0.02 + at as f32 / 48_000.0;
                let syllable = (time * 4.0 * std::f32::consts::PI).sin().abs();
                let pitch = (time * 130.0 * std::f32::consts::TAU).sin().powi(9);
                low += 0.1 * (f32::from(rng.next_u16()) / 32_768.0 - 1.0 - low);
                loudness * syllable * (0.7 * pitch + 0.6 * low)
            })
            .collect();
        let len = encoder.encode(&pcm, &mut payload)?;
        payloads.push((payload[..len].to_vec(), minus_dbov(&pcm)));
    }
    Ok(payloads)
}
