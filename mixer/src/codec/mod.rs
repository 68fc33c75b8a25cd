//! Codecs behind two traits: bytes of one RTP payload to sound and back.
//!
//! Inside the mixer, sound is `f32` between -1 and 1, interleaved, at [`RATE`]; each codec brings its own rate there and
//! back. Lengths are in samples per channel at [`RATE`] everywhere. Not here: which packet is decoded when
//! (`playout`), payload type numbers, SDP.

mod comfort_noise;
mod conceal;
mod g711;
mod g722;
#[cfg(test)]
mod judge;
mod l16;
#[cfg(feature = "libopus")]
mod libopus;
mod opus;
#[cfg(not(feature = "libopus"))]
mod opus_pure;
#[cfg(test)]
mod opus_tests;
mod resample;
mod sampled;
#[cfg(test)]
mod tests;

use std::fmt;

use self::g711::{G711, Law};
use self::g722::G722;
use self::l16::L16;
use self::sampled::{SampledDecoder, SampledEncoder};

pub use self::comfort_noise::ComfortNoise;
pub use self::opus::{OpusDecoder, OpusEncoder};

/// The rate of all sound inside the mixer, in Hz.
pub const RATE: u32 = 48_000;

/// The longest payload that is decoded, in samples per channel at [`RATE`]: 120 ms, as RFC 6716 §3.2.5 has it for Opus.
pub const MAX_SAMPLES: usize = 5_760;

/// The smallest piece that is concealed, in samples per channel at [`RATE`]: 2.5 ms, the shortest frame of Opus.
pub const GRAIN: usize = 120;

/// Turns the payloads of one stream into sound. Keeps state from packet to packet, so payloads go in in order.
///
/// After the first packets a call allocates nothing but what the codec's own library does.
pub trait Decoder: Send + fmt::Debug {
    /// What is decoded.
    fn format(&self) -> Format;

    /// Channels of the sound that comes out, 1 or 2.
    fn channels(&self) -> usize;

    /// How long `payload` lasts, in samples per channel at [`RATE`], without decoding it: `None` when it is malformed or
    /// longer than [`MAX_SAMPLES`].
    fn duration(&self, payload: &[u8]) -> Option<usize>;

    /// Decodes `payload` into the front of `out` (interleaved; [`MAX_SAMPLES`] times the channels always suffices) and
    /// gives the number of samples per channel. The sound joins what came before without a step, be it decoded or
    /// concealed.
    ///
    /// # Errors
    /// When the payload is malformed, or when `out` is too small; conceal instead.
    fn decode(&mut self, payload: &[u8], out: &mut [f32]) -> Result<usize, CodecError>;

    /// How much of what was lost just before `next` it carries a copy of, in samples per channel: 0 when it has none.
    fn redundancy(&self, next: &[u8]) -> usize {
        let _ = next;
        0
    }

    /// Decodes what `next`, the payload after the lost one, carries of the lost one: the last [`Self::redundancy`]
    /// samples before it. Then `next` itself is decoded as usual.
    ///
    /// # Errors
    /// When `next` carries nothing or is malformed, or when `out` is too small; conceal instead.
    fn decode_fec(&mut self, next: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        let _ = (next, out);
        Err(CodecError::NoRedundancy)
    }

    /// The payload says only that silence or noise goes on (DTX).
    fn is_dtx(&self, payload: &[u8]) -> bool {
        let _ = payload;
        false
    }

    /// Goes on without a payload: fills `samples` (a multiple of [`GRAIN`], at most [`MAX_SAMPLES`]) per channel with what
    /// best continues the sound: a voice that goes on and fades, or after a pause the noise of the room. Gives the samples
    /// per channel written, fewer only when `out` is smaller.
    fn conceal(&mut self, samples: usize, out: &mut [f32]) -> usize;

    /// Forgets everything: the next payload is the first of a new stream.
    fn reset(&mut self);
}

/// Turns sound into the payloads of one stream.
pub trait Encoder: Send + fmt::Debug {
    /// What comes out.
    fn format(&self) -> Format;

    /// Channels of the sound that goes in, 1 or 2.
    fn channels(&self) -> usize;

    /// Encodes one frame (interleaved at [`RATE`]; 10 or 20 ms, and whatever else the codec takes) into the front of
    /// `out`; gives the bytes written. 0 means that nothing need be sent (DTX).
    ///
    /// # Errors
    /// When the codec has no frame of this length, or when `out` is too small.
    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Result<usize, CodecError>;

    /// Aims at `bits` per second from the next frame on; codecs with one rate only do nothing.
    fn set_bitrate(&mut self, bits: u32) {
        let _ = bits;
    }

    /// Expects this share of packets to be lost, in percent, and spends on in-band redundancy accordingly; codecs without
    /// do nothing.
    fn set_expected_loss(&mut self, percent: u8) {
        let _ = percent;
    }

    /// Forgets everything: the next frame is the first of a new stream.
    fn reset(&mut self);
}

/// A codec with what its RTP payload format leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Opus (RFC 6716, RFC 7587). The channels are those of the sound with us; streams of either kind are understood.
    Opus {
        /// 1 or 2.
        channels: usize,
    },
    /// G.711 by the µ-law, mono.
    Pcmu,
    /// G.711 by the A-law, mono.
    Pcma,
    /// G.722 at 64 kbit/s, mono.
    G722,
    /// Samples of 16 bits.
    L16 {
        /// Samples per channel and second, 8,000 to 48,000.
        rate: u32,
        /// 1 or 2.
        channels: usize,
    },
}

impl Format {
    /// The rate of the RTP clock in Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus { .. } => 48_000,
            // G.722 as well, by an old mistake that has become the rule (RFC 3551 §4.5.2).
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::L16 { rate, .. } => rate,
        }
    }

    /// Channels of the sound with us.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Opus { channels } | Self::L16 { channels, .. } => channels,
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
        }
    }

    /// A decoder for one stream.
    ///
    /// # Errors
    /// When there is no such codec: channels other than 1 and 2, a rate out of range.
    pub fn decoder(self) -> Result<Box<dyn Decoder>, CodecError> {
        match self {
            Self::Opus { channels } => Ok(Box::new(OpusDecoder::new(channels)?)),
            Self::Pcmu => Ok(Box::new(SampledDecoder::new(self, G711(Law::Mu))?)),
            Self::Pcma => Ok(Box::new(SampledDecoder::new(self, G711(Law::A))?)),
            Self::G722 => Ok(Box::new(SampledDecoder::new(self, G722::new())?)),
            Self::L16 { rate, channels } => Ok(Box::new(SampledDecoder::new(self, L16 { rate, channels })?)),
        }
    }

    /// An encoder for one stream, with the settings that suit a conference.
    ///
    /// # Errors
    /// When there is no such codec: channels other than 1 and 2, a rate out of range.
    pub fn encoder(self) -> Result<Box<dyn Encoder>, CodecError> {
        match self {
            Self::Opus { channels } => Ok(Box::new(OpusEncoder::new(channels)?)),
            Self::Pcmu => Ok(Box::new(SampledEncoder::new(self, G711(Law::Mu))?)),
            Self::Pcma => Ok(Box::new(SampledEncoder::new(self, G711(Law::A))?)),
            Self::G722 => Ok(Box::new(SampledEncoder::new(self, G722::new())?)),
            Self::L16 { rate, channels } => Ok(Box::new(SampledEncoder::new(self, L16 { rate, channels })?)),
        }
    }
}

/// Why a codec did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// No such codec: a rate or a number of channels that it does not have.
    Unsupported,
    /// The payload is none of this codec, or longer than [`MAX_SAMPLES`].
    Malformed,
    /// The payload carries no copy of what came before it.
    NoRedundancy,
    /// The frame has a length that the codec does not have.
    FrameLength,
    /// The buffer for the result is too small.
    BufferTooSmall,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "no such codec",
            Self::Malformed => "malformed payload",
            Self::NoRedundancy => "the payload carries no redundancy",
            Self::FrameLength => "no frame of this length",
            Self::BufferTooSmall => "buffer too small",
        })
    }
}

impl std::error::Error for CodecError {}
