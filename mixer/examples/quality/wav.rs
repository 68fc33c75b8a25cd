//! WAV files of 16-bit mono at 48 kHz, and no other.

use std::error::Error;
use std::fs;
use std::path::Path;

/// The samples of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let file = fs::read(path)?;
    let data = file.windows(4).position(|four| four == b"data").ok_or("no WAV file")?;
    let samples = file.get(data + 8..).unwrap_or_default().as_chunks::<2>().0;
    Ok(samples
        .iter()
        .map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32_768.0)
        .collect())
}

/// A file with these samples.
pub(crate) fn write(path: &Path, sound: &[f32]) -> Result<(), Box<dyn Error>> {
    let len = u32::try_from(sound.len() * 2).unwrap_or(u32::MAX);
    let mut file = [&b"RIFF"[..], &(len + 36).to_le_bytes(), b"WAVEfmt "].concat();
    for word in [16_u32, 0x0001_0001, 48_000, 96_000, 0x0010_0002] {
        file.extend(word.to_le_bytes());
    }
    file.extend(b"data");
    file.extend(len.to_le_bytes());
    for value in sound {
        #[expect(clippy::cast_possible_truncation, reason = "clamped to the range")]
        let sample = (value * 32_768.0).clamp(-32_768.0, 32_767.0) as i16;
        file.extend(sample.to_le_bytes());
    }
    Ok(fs::write(path, file)?)
}
