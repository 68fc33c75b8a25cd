//! What all codecs without state of their own about loss share: another rate, and concealment.
//!
//! A [`Waveform`] turns bytes into samples at its own rate; [`SampledDecoder`] and [`SampledEncoder`] make a codec of it.

use std::fmt;

use super::conceal::Concealer;
use super::resample::Resampler;
use super::{CodecError, Decoder, Encoder, Format, GRAIN, MAX_SAMPLES, RATE};

/// A coding of samples, one direction of one stream.
pub(super) trait Waveform: Send + fmt::Debug {
    /// Samples per channel and second.
    fn rate(&self) -> u32;

    /// Samples per channel that `bytes` bytes hold; `None` when they hold no whole number, or nothing.
    fn samples(&self, bytes: usize) -> Option<usize>;

    /// Decodes into `out`, which has exactly the room.
    fn decode(&mut self, payload: &[u8], out: &mut [f32]);

    /// Encodes `pcm` at the own rate; gives the bytes, `None` when `out` is too small or the frame has no such length.
    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Option<usize>;

    /// Begins anew.
    fn reset(&mut self);
}

/// Decodes a [`Waveform`].
#[derive(Debug)]
pub(super) struct SampledDecoder<W> {
    format: Format,
    waveform: W,
    resampler: Option<Resampler>,
    native: Vec<f32>,
    concealer: Concealer,
    /// Delay of the resampler at [`RATE`].
    delay: usize,
}

impl<W: Waveform> SampledDecoder<W> {
    pub(super) fn new(format: Format, waveform: W) -> Result<Self, CodecError> {
        let (rate, channels) = (waveform.rate(), checked(format, waveform.rate())?);
        let max = MAX_SAMPLES * rate as usize / RATE as usize;
        let resampler = if rate == RATE {
            None
        } else {
            Some(Resampler::new(rate, RATE, channels, max)?)
        };
        Ok(Self {
            format,
            waveform,
            delay: resampler.as_ref().map_or(0, Resampler::delay),
            resampler,
            native: vec![0.0; max * channels],
            concealer: Concealer::new(channels),
        })
    }
}

impl<W: Waveform> Decoder for SampledDecoder<W> {
    fn format(&self) -> Format {
        self.format
    }

    fn channels(&self) -> usize {
        self.format.channels()
    }

    fn duration(&self, payload: &[u8]) -> Option<usize> {
        let samples = self.waveform.samples(payload.len())?;
        (samples <= self.native.len() / self.channels()).then(|| {
            self.resampler
                .as_ref()
                .map_or(samples, |resampler| resampler.becomes(samples))
        })
    }

    fn decode(&mut self, payload: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        let channels = self.channels();
        let samples = self.duration(payload).ok_or(CodecError::Malformed)?;
        let out = out.get_mut(..samples * channels).ok_or(CodecError::BufferTooSmall)?;
        let native = self.waveform.samples(payload.len()).ok_or(CodecError::Malformed)?;
        let native = &mut self.native[..native * channels];
        self.waveform.decode(payload, native);
        match &mut self.resampler {
            None => out.copy_from_slice(native),
            Some(resampler) => {
                resampler.process(native, out)?;
            }
        }
        self.concealer.on_decoded(out, self.delay);
        Ok(samples)
    }

    fn conceal(&mut self, samples: usize, out: &mut [f32]) -> usize {
        let channels = self.channels();
        let samples = samples.min(out.len() / channels).min(MAX_SAMPLES) / GRAIN * GRAIN;
        self.concealer.conceal(&mut out[..samples * channels]);
        samples
    }

    fn reset(&mut self) {
        self.waveform.reset();
        self.concealer.reset();
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }
}

/// Encodes a [`Waveform`].
#[derive(Debug)]
pub(super) struct SampledEncoder<W> {
    format: Format,
    waveform: W,
    resampler: Option<Resampler>,
    native: Vec<f32>,
}

impl<W: Waveform> SampledEncoder<W> {
    pub(super) fn new(format: Format, waveform: W) -> Result<Self, CodecError> {
        let (rate, channels) = (waveform.rate(), checked(format, waveform.rate())?);
        let resampler = if rate == RATE {
            None
        } else {
            Some(Resampler::new(RATE, rate, channels, MAX_SAMPLES)?)
        };
        let max = MAX_SAMPLES * rate as usize / RATE as usize + 1;
        Ok(Self {
            format,
            waveform,
            resampler,
            native: vec![0.0; max * channels],
        })
    }
}

impl<W: Waveform> Encoder for SampledEncoder<W> {
    fn format(&self) -> Format {
        self.format
    }

    fn channels(&self) -> usize {
        self.format.channels()
    }

    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Result<usize, CodecError> {
        let channels = self.channels();
        if pcm.is_empty() || !pcm.len().is_multiple_of(channels) || pcm.len() > MAX_SAMPLES * channels {
            return Err(CodecError::FrameLength);
        }
        let native = match &mut self.resampler {
            None => pcm,
            Some(resampler) => {
                let samples = resampler.process(pcm, &mut self.native)?;
                &self.native[..samples * channels]
            }
        };
        self.waveform.encode(native, out).ok_or(CodecError::BufferTooSmall)
    }

    fn reset(&mut self) {
        self.waveform.reset();
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }
}

/// The channels of a format that there is.
fn checked(format: Format, rate: u32) -> Result<usize, CodecError> {
    let channels = format.channels();
    let known = (1..=2).contains(&channels) && (8_000..=RATE).contains(&rate);
    if known {
        Ok(channels)
    } else {
        Err(CodecError::Unsupported)
    }
}

/// A 16-bit sample as sound.
pub(super) fn to_float(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// Sound as a 16-bit sample; what is too loud is cut.
#[expect(clippy::cast_possible_truncation, reason = "clamped to the range; NaN becomes 0")]
pub(super) fn to_16_bit(value: f32) -> i16 {
    (value * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}
