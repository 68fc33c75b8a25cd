//! From a codec's rate to [`super::RATE`] and back, by the crate `rubato`.
//!
//! The ratio is fixed, so the filter is computed for exactly the positions that occur. Delays by half the filter: 24
//! samples of the lower rate. Not here: clock drift, which playout takes care of.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, Resizable as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use super::CodecError;

/// Length of the filter in samples of the source: passes up to nine tenths of the band.
const TAPS: usize = 48;
/// Samples held back beyond what the filter holds back, so that rounding never leaves one short.
const SPARE: usize = 2;

/// Changes the rate of one stream. Allocates only when it is made.
pub(super) struct Resampler {
    inner: Async<f32>,
    channels: usize,
    from: u64,
    to: u64,
    /// Samples per channel that were taken, modulo the point where they become a whole number.
    taken: u64,
    /// What came out of the filter and is not given yet, interleaved.
    ready: Vec<f32>,
    len: usize,
    held: usize,
}

impl Resampler {
    /// For pieces of at most `max` samples per channel.
    pub(super) fn new(from: u32, to: u32, channels: usize, max: usize) -> Result<Self, CodecError> {
        let common = gcd(from, to);
        let taps = if from > to {
            TAPS * from as usize / to as usize
        } else {
            TAPS
        };
        let parameters = SincInterpolationParameters::new(taps, WindowFunction::Blackman2)
            .oversampling_factor((to / common) as usize)
            .interpolation(SincInterpolationType::Nearest);
        let ratio = f64::from(to) / f64::from(from);
        let inner = Async::new_sinc(ratio, 1.0, &parameters, max, channels, FixedAsync::Input)
            .map_err(|_| CodecError::Unsupported)?;
        // The filter gives the first samples only when it has seen what follows them.
        let all = (max * to as usize).div_ceil(from as usize);
        let held = all.saturating_sub(inner.output_frames_next()) + SPARE;
        let room = inner.output_frames_max() + 2 * held;
        Ok(Self {
            inner,
            channels,
            from: u64::from(from / common),
            to: u64::from(to / common),
            taken: 0,
            ready: vec![0.0; room * channels],
            len: held,
            held,
        })
    }

    /// How many samples per channel the next `samples` per channel become; rounded so that whole seconds are whole.
    pub(super) fn becomes(&self, samples: usize) -> usize {
        let until = |taken: u64| taken * self.to / self.from;
        usize::try_from(until(self.taken + samples as u64) - until(self.taken)).unwrap_or(0)
    }

    /// Takes a piece and writes what it becomes to `out`; gives the samples per channel.
    ///
    /// # Errors
    /// When the piece is longer than was said, or `out` is too small.
    pub(super) fn process(&mut self, piece: &[f32], out: &mut [f32]) -> Result<usize, CodecError> {
        let channels = self.channels;
        let frames = piece.len() / channels;
        let becomes = self.becomes(frames);
        let out = out.get_mut(..becomes * channels).ok_or(CodecError::BufferTooSmall)?;
        if frames == 0 {
            return Ok(0);
        }
        self.inner.set_chunk_size(frames).map_err(|_| CodecError::FrameLength)?;
        let room = &mut self.ready[self.len * channels..];
        let room_frames = room.len() / channels;
        let input = InterleavedSlice::new(piece, channels, frames).map_err(|_| CodecError::FrameLength)?;
        let mut output = InterleavedSlice::new_mut(room, channels, room_frames).map_err(|_| CodecError::FrameLength)?;
        let (_, written) = self
            .inner
            .process_into_buffer(&input, &mut output, None)
            .map_err(|_| CodecError::FrameLength)?;
        self.len += written;
        // Rounding inside the filter is off by one at most, and that is spare.
        let given = becomes.min(self.len);
        out[..given * channels].copy_from_slice(&self.ready[..given * channels]);
        out[given * channels..].fill(0.0);
        self.ready.copy_within(given * channels..self.len * channels, 0);
        self.len -= given;
        self.taken = (self.taken + frames as u64) % self.from;
        Ok(becomes)
    }

    /// How much later sound comes out, in samples per channel of the rate that it is brought to.
    pub(super) fn delay(&self) -> usize {
        self.inner.output_delay() + self.held
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.inner.reset();
        self.ready.fill(0.0);
        (self.taken, self.len) = (0, self.held);
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_comes_out_where_the_delay_says() {
        for (from, to) in [
            (8_000, 48_000),
            (16_000, 48_000),
            (44_100, 48_000),
            (48_000, 8_000),
            (48_000, 44_100),
        ] {
            let mut resampler = Resampler::new(from, to, 1, 5_760).unwrap();
            let piece = from as usize / 100;
            let mut out = vec![0.0; to as usize / 100];
            let mut all = Vec::new();
            for number in 0..5 {
                let mut pcm = vec![0.0; piece];
                pcm[0] = if number == 1 { 1.0 } else { 0.0 };
                assert_eq!(resampler.process(&pcm, &mut out), Ok(out.len()), "{from} {to}");
                all.extend_from_slice(&out);
            }
            let peak = (0..all.len())
                .max_by(|a, b| all[*a].abs().total_cmp(&all[*b].abs()))
                .unwrap();
            let expected = to as usize / 100 + resampler.delay();
            assert!(peak.abs_diff(expected) <= 3, "{from} {to}: {peak} for {expected}");
            assert!(
                resampler.delay() * 1_000 <= to as usize * 4,
                "{from} {to}: {}",
                resampler.delay()
            );
        }
    }

    #[test]
    fn odd_pieces_add_up() {
        let mut resampler = Resampler::new(44_100, 48_000, 2, 512).unwrap();
        let mut out = vec![0.0; 2 * 600];
        let sum: usize = (0..441)
            .map(|_| resampler.process(&[0.1; 2 * 500], &mut out).unwrap())
            .sum();
        assert_eq!(sum, 500 * 480);
    }
}
