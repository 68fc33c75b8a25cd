//! Finds the lag at which a voice repeats itself: what concealment, acceleration and expansion cut by.
//!
//! Coarse on a mix of the channels at an eighth of the rate, then fine at the full rate around the best. No allocation.
//! Not a pitch tracker: a multiple of the period serves as well.

/// The shortest lag, in samples per channel at 48 kHz: 2.5 ms, a voice of 400 Hz.
pub(crate) const MIN_LAG: usize = 120;
/// The longest lag: 15 ms, a voice of 67 Hz.
pub(crate) const MAX_LAG: usize = 720;
/// How much of the sound is compared: 10 ms.
pub(crate) const WINDOW: usize = 480;

const DECIMATION: usize = 8;
const COARSE: usize = (MAX_LAG + WINDOW) / DECIMATION;

/// Where the sound is most like itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lag {
    /// In samples per channel.
    pub(crate) samples: usize,
    /// How alike, up to 1; a change of loudness counts as a difference.
    pub(crate) similarity: f32,
    /// Mean square of the compared window.
    pub(crate) energy: f32,
}

/// The lag between [`MIN_LAG`] and `max` for which `sound` (interleaved), seen [`WINDOW`] from its start, is most like
/// itself seen that much later. `None` when `sound` is shorter than [`MIN_LAG`] and a window.
pub(crate) fn find(sound: &[f32], channels: usize, max: usize) -> Option<Lag> {
    let samples = sound.len() / channels;
    let max = max.min(MAX_LAG).min(samples.checked_sub(WINDOW)?);
    if max < MIN_LAG {
        return None;
    }
    let mut coarse = [0.0_f32; COARSE];
    let len = (max + WINDOW) / DECIMATION;
    for (out, piece) in coarse[..len].iter_mut().zip(sound.chunks_exact(DECIMATION * channels)) {
        *out = piece.iter().sum();
    }
    let coarse = &coarse[..len];
    let window = WINDOW / DECIMATION;
    let candidates = MIN_LAG / DECIMATION..=max / DECIMATION;
    let (best, _) = candidates
        .filter(|lag| lag + window <= len)
        .map(|lag| (lag, similarity(&coarse[..window], &coarse[lag..lag + window]).0))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let around = best * DECIMATION;
    let window = WINDOW * channels;
    (around.saturating_sub(DECIMATION).max(MIN_LAG)..=(around + DECIMATION).min(max))
        .map(|samples| {
            let from = samples * channels;
            let (similarity, energy) = similarity(&sound[..window], &sound[from..from + window]);
            Lag {
                samples,
                similarity,
                energy,
            }
        })
        .max_by(|a, b| a.similarity.total_cmp(&b.similarity))
}

/// Twice the correlation of two pieces by the sum of their energies, and the mean square of the first. Silence is like
/// anything.
#[expect(clippy::cast_precision_loss, reason = "a window's length")]
fn similarity(one: &[f32], other: &[f32]) -> (f32, f32) {
    let (mut cross, mut first, mut second) = ([0.0_f32; 8], [0.0_f32; 8], [0.0_f32; 8]);
    for (a, b) in one.chunks_exact(8).zip(other.chunks_exact(8)) {
        for lane in 0..8 {
            cross[lane] += a[lane] * b[lane];
            first[lane] += a[lane] * a[lane];
            second[lane] += b[lane] * b[lane];
        }
    }
    let [cross, first, second]: [f32; 3] = [cross, first, second].map(|lanes| lanes.iter().sum());
    let sum = first + second;
    let similarity = if sum > 1e-9 { 2.0 * cross / sum } else { 1.0 };
    (similarity, first / one.len() as f32)
}

/// Weight of the new sound at `index` of `len`: raised cosine, so that neither end has a corner.
#[expect(clippy::cast_precision_loss, reason = "both are at most some hundreds")]
pub(crate) fn weight(index: usize, len: usize) -> f32 {
    let phase = (index as f32 + 0.5) / len as f32;
    0.5 - 0.5 * (phase * std::f32::consts::PI).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buzz of `period` samples on each channel: a pulse train through a soft resonance.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn buzz(period: usize, channels: usize) -> Vec<f32> {
        (0..1500 * channels)
            .map(|index| {
                let phase = (index / channels % period) as f32;
                0.4 * (-phase / 60.0).exp() * (phase * 0.13).cos()
            })
            .collect()
    }

    #[test]
    fn the_period_of_a_buzz_or_a_multiple_is_found() {
        for channels in [1, 2] {
            for period in [130, 217, 300, 411, 503, 719] {
                let lag = find(&buzz(period, channels), channels, MAX_LAG).unwrap();
                assert_eq!(lag.samples % period, 0, "{period}: {lag:?}");
                assert!(lag.similarity > 0.999, "{lag:?}");
            }
        }
    }

    #[test]
    fn too_little_sound_is_none() {
        assert_eq!(find(&[0.5; WINDOW + MIN_LAG - 1], 1, MAX_LAG), None);
        assert!(find(&[0.0; WINDOW + MIN_LAG], 1, MAX_LAG).is_some());
    }
}
