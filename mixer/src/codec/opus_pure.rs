//! Opus by the crate `opus-pure`: no C, no build script.

use opus_pure::{Application, Error, OpusDecoder, OpusEncoder, Signal};

use super::{CodecError, RATE};

/// One decoder of the crate.
pub(super) struct Decoding(OpusDecoder);

impl Decoding {
    pub(super) fn new(channels: usize) -> Result<Self, CodecError> {
        let inner = OpusDecoder::new(RATE.cast_signed(), channels).map_err(|_| CodecError::Unsupported)?;
        Ok(Self(inner))
    }

    /// An empty payload is one that was lost.
    pub(super) fn decode(&mut self, payload: &[u8], samples: usize, out: &mut [f32]) -> Result<usize, CodecError> {
        self.0.decode(payload, samples, out).map_err(from_pure)
    }

    pub(super) fn decode_fec(&mut self, next: &[u8], samples: usize, out: &mut [f32]) -> Result<usize, CodecError> {
        self.0.decode_fec(next, samples, out).map_err(from_pure)
    }

    pub(super) fn reset(&mut self) {
        // Fails only on a decoder that `new` would have refused.
        let _ = self.0.reset_state();
    }
}

/// One encoder of the crate.
pub(super) struct Encoding(OpusEncoder);

impl Encoding {
    pub(super) fn new(channels: usize) -> Result<Self, CodecError> {
        let inner =
            OpusEncoder::new(RATE.cast_signed(), channels, Application::Voip).map_err(|_| CodecError::Unsupported)?;
        Ok(Self(inner))
    }

    pub(super) fn encode(&mut self, pcm: &[f32], samples: usize, out: &mut [u8]) -> Result<usize, CodecError> {
        self.0.encode(pcm, samples, out).map_err(from_pure)
    }

    pub(super) fn set_bitrate(&mut self, bits: i32) {
        self.0.bitrate_bps = bits;
    }

    pub(super) fn set_complexity(&mut self, complexity: i32) {
        self.0.complexity = complexity;
    }

    pub(super) fn set_dtx(&mut self, on: bool) {
        self.0.use_dtx = on;
    }

    pub(super) fn set_expected_loss(&mut self, percent: i32) {
        self.0.packet_loss_perc = percent;
        self.0.use_inband_fec = percent > 0;
    }

    /// Whether it may choose the model of the voice, as it does at the rates of speech.
    pub(super) fn set_voice_model(&mut self, on: bool) {
        self.0.signal_type = if on { None } else { Some(Signal::Music) };
    }

    pub(super) fn reset(&mut self) {
        // Fails only on an encoder that `new` would have refused.
        let _ = self.0.reset_state();
    }
}

fn from_pure(error: Error) -> CodecError {
    match error {
        Error::InvalidArgument(_) => CodecError::FrameLength,
        Error::BufferTooSmall { .. } => CodecError::BufferTooSmall,
        _ => CodecError::Malformed,
    }
}
