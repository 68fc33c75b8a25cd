//! Opus by the reference library, `libopus`, through the crate `opus`. Behind the feature `libopus`; needs cmake and a C
//! compiler to build.
//!
//! The same door as `opus-pure` has, so that [`super::OpusDecoder`] and [`super::OpusEncoder`] do not know which it is.

use opus::{Application, Bitrate, Channels, Error, ErrorCode, Signal};

use super::{CodecError, RATE};

/// One decoder of the library.
pub(super) struct Decoding {
    inner: opus::Decoder,
    channels: usize,
}

impl Decoding {
    pub(super) fn new(channels: usize) -> Result<Self, CodecError> {
        let inner = opus::Decoder::new(RATE, named(channels)?).map_err(from_opus)?;
        Ok(Self { inner, channels })
    }

    pub(super) fn decode(&mut self, payload: &[u8], samples: usize, out: &mut [f32]) -> Result<usize, CodecError> {
        let out = &mut out[..samples * self.channels];
        self.inner.decode_float(payload, out, false).map_err(from_opus)
    }

    pub(super) fn decode_fec(&mut self, next: &[u8], samples: usize, out: &mut [f32]) -> Result<usize, CodecError> {
        let out = &mut out[..samples * self.channels];
        self.inner.decode_float(next, out, true).map_err(from_opus)
    }

    pub(super) fn reset(&mut self) {
        // Fails only on a decoder that does not exist.
        let _ = self.inner.reset_state();
    }
}

/// One encoder of the library. Settings are within what the library takes, so that setting them does not fail.
pub(super) struct Encoding(opus::Encoder);

impl Encoding {
    pub(super) fn new(channels: usize) -> Result<Self, CodecError> {
        let inner = opus::Encoder::new(RATE, named(channels)?, Application::Voip).map_err(from_opus)?;
        Ok(Self(inner))
    }

    pub(super) fn encode(&mut self, pcm: &[f32], _samples: usize, out: &mut [u8]) -> Result<usize, CodecError> {
        self.0.encode_float(pcm, out).map_err(from_opus)
    }

    pub(super) fn set_bitrate(&mut self, bits: i32) {
        let _ = self.0.set_bitrate(Bitrate::Bits(bits));
    }

    pub(super) fn set_complexity(&mut self, complexity: i32) {
        let _ = self.0.set_complexity(complexity);
    }

    pub(super) fn set_dtx(&mut self, on: bool) {
        let _ = self.0.set_dtx(on);
    }

    pub(super) fn set_expected_loss(&mut self, percent: i32) {
        let _ = self.0.set_packet_loss_perc(percent);
        let _ = self.0.set_inband_fec(percent > 0);
    }

    /// Whether it may choose the model of the voice, as it does at the rates of speech.
    pub(super) fn set_voice_model(&mut self, on: bool) {
        let _ = self.0.set_signal(if on { Signal::Auto } else { Signal::Music });
    }

    pub(super) fn reset(&mut self) {
        let _ = self.0.reset_state();
    }
}

fn named(channels: usize) -> Result<Channels, CodecError> {
    match channels {
        1 => Ok(Channels::Mono),
        2 => Ok(Channels::Stereo),
        _ => Err(CodecError::Unsupported),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` wants it")]
fn from_opus(error: Error) -> CodecError {
    match error.code() {
        ErrorCode::BadArg => CodecError::FrameLength,
        ErrorCode::BufferTooSmall => CodecError::BufferTooSmall,
        _ => CodecError::Malformed,
    }
}
