//! L16: samples of sixteen bits as they are, in network order, channels in turn (RFC 3551 §4.5.11).

use super::sampled::{Waveform, to_16_bit, to_float};

/// One stream; no state.
#[derive(Debug)]
pub(super) struct L16 {
    pub(super) rate: u32,
    pub(super) channels: usize,
}

impl Waveform for L16 {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn samples(&self, bytes: usize) -> Option<usize> {
        let frame = 2 * self.channels;
        (bytes > 0 && bytes.is_multiple_of(frame)).then_some(bytes / frame)
    }

    fn decode(&mut self, payload: &[u8], out: &mut [f32]) {
        for (value, bytes) in out.iter_mut().zip(payload.as_chunks::<2>().0) {
            *value = to_float(i16::from_be_bytes(*bytes));
        }
    }

    fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..2 * pcm.len())?;
        for (bytes, value) in out.as_chunks_mut::<2>().0.iter_mut().zip(pcm) {
            *bytes = to_16_bit(*value).to_be_bytes();
        }
        Some(out.len())
    }

    fn reset(&mut self) {}
}
