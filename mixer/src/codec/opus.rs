//! Opus (RFC 6716) as RTP carries it (RFC 7587): by the crate `opus-pure`, or by `libopus` where that feature is on.

use althing_media_core::payload::opus as wire;

#[cfg(feature = "libopus")]
use super::libopus::{Decoding, Encoding};
#[cfg(not(feature = "libopus"))]
use super::opus_pure::{Decoding, Encoding};
use super::{CodecError, Decoder, Encoder, Format, GRAIN, MAX_SAMPLES};

/// What a conference spends on speech, per channel, in bits per second: as good as 32,000 with a model of the voice
/// (docs/mixer.md).
const BITRATE: i32 = 44_000;
/// Half of the top: costs what 4 costs, which others use; the steps above cost up to half more and are hardly heard at this rate.
const COMPLEXITY: i32 = 5;

/// Decodes Opus: mono and stereo streams alike into the channels that were asked for.
pub struct OpusDecoder {
    inner: Decoding,
    channels: usize,
}

impl OpusDecoder {
    /// For one stream; `channels` of the sound that comes out.
    ///
    /// # Errors
    /// When `channels` is neither 1 nor 2.
    pub fn new(channels: usize) -> Result<Self, CodecError> {
        Ok(Self {
            inner: Decoding::new(channels)?,
            channels,
        })
    }
}

impl Decoder for OpusDecoder {
    fn format(&self) -> Format {
        Format::Opus {
            channels: self.channels,
        }
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn duration(&self, payload: &[u8]) -> Option<usize> {
        wire::duration(payload).map(|samples| samples as usize)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        let samples = self.duration(payload).ok_or(CodecError::Malformed)?;
        let out = out
            .get_mut(..samples * self.channels)
            .ok_or(CodecError::BufferTooSmall)?;
        self.inner.decode(payload, samples, out)
    }

    fn redundancy(&self, next: &[u8]) -> usize {
        let Some(toc) = wire::Toc::parse(next).filter(|_| has_lbrr(next)) else {
            return 0;
        };
        toc.frame_duration() as usize
    }

    fn decode_fec(&mut self, next: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        let samples = self.redundancy(next);
        if samples == 0 {
            return Err(CodecError::NoRedundancy);
        }
        let out = out
            .get_mut(..samples * self.channels)
            .ok_or(CodecError::BufferTooSmall)?;
        self.inner.decode_fec(next, samples, out)
    }

    fn is_dtx(&self, payload: &[u8]) -> bool {
        wire::is_dtx(payload)
    }

    fn conceal(&mut self, samples: usize, out: &mut [f32]) -> usize {
        let room = (out.len() / self.channels).min(MAX_SAMPLES);
        let samples = samples.min(room) / GRAIN * GRAIN;
        let out = &mut out[..samples * self.channels];
        if self.inner.decode(&[], samples, out).is_err() {
            out.fill(0.0);
        }
        samples
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusDecoder")
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// Encodes Opus for speech, with in-band redundancy once a loss is expected.
///
/// Opus has two ways (RFC 6716 §2): by the transform of any sound (CELT), and by a model of the voice (SILK, below 8 kHz), which
/// costs several times as much at the rates of speech. The model is taken where only it will do: for redundancy, for pauses
/// (DTX), and below some 16 kbit/s.
pub struct OpusEncoder {
    inner: Encoding,
    channels: usize,
    /// What the voice is modelled for.
    expects_loss: bool,
    has_pauses: bool,
    wants_model: bool,
}

impl OpusEncoder {
    /// For one stream: 44 kbit/s a channel, complexity 5, no DTX.
    ///
    /// # Errors
    /// When `channels` is neither 1 nor 2.
    pub fn new(channels: usize) -> Result<Self, CodecError> {
        let mut inner = Encoding::new(channels)?;
        inner.set_bitrate(BITRATE * if channels == 2 { 2 } else { 1 });
        inner.set_complexity(COMPLEXITY);
        let mut encoder = Self {
            inner,
            channels,
            expects_loss: false,
            has_pauses: false,
            wants_model: false,
        };
        encoder.choose();
        Ok(encoder)
    }

    /// Models the voice below 64 kbit/s whatever is expected, as browsers do.
    pub fn set_voice_model(&mut self, on: bool) {
        self.wants_model = on;
        self.choose();
    }

    /// How hard the encoder tries, 0 to 10.
    pub fn set_complexity(&mut self, complexity: u8) {
        self.inner.set_complexity(i32::from(complexity.min(10)));
    }

    /// Sends almost nothing while nobody speaks.
    pub fn set_dtx(&mut self, on: bool) {
        self.inner.set_dtx(on);
        self.has_pauses = on;
        self.choose();
    }

    /// The way that does what was asked for.
    fn choose(&mut self) {
        let models = self.expects_loss || self.has_pauses || self.wants_model;
        self.inner.set_voice_model(models);
    }
}

impl Encoder for OpusEncoder {
    fn format(&self) -> Format {
        Format::Opus {
            channels: self.channels,
        }
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Result<usize, CodecError> {
        self.inner.encode(pcm, pcm.len() / self.channels, out)
    }

    fn set_bitrate(&mut self, bits: u32) {
        let bits = i32::try_from(bits).unwrap_or(i32::MAX).clamp(6_000, 510_000);
        self.inner.set_bitrate(bits);
    }

    fn set_expected_loss(&mut self, percent: u8) {
        self.inner.set_expected_loss(i32::from(percent.min(100)));
        self.expects_loss = percent > 0;
        self.choose();
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusEncoder")
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// Whether a packet carries a low bit-rate copy of the one before it (LBRR). Each channel's part of the first SILK frame
/// starts with an activity flag for each 20 ms, then this flag; at even odds the range coder leaves them as they are, most
/// significant bit first (RFC 6716 §4.2.3). Packets of code 3 count as having none.
fn has_lbrr(payload: &[u8]) -> bool {
    let Some(toc) = wire::Toc::parse(payload).filter(|toc| toc.config() < 16) else {
        return false;
    };
    let first = match toc.code() {
        0 | 1 => payload.get(1),
        // The length of the first frame takes two bytes from 252 on (RFC 6716 §3.2.1).
        2 => payload.get(if payload.get(1).is_some_and(|len| *len >= 252) {
            3
        } else {
            2
        }),
        _ => None,
    };
    let Some(&first) = first else { return false };
    let flags = toc.frame_duration().div_ceil(960) + 1;
    let channels = if toc.is_stereo() { 2 } else { 1 };
    (1..=channels).any(|channel| first >> (8 - flags * channel) & 1 != 0)
}
