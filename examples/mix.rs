//! Mixes WAV files to one, offline: equally loud, side by side, and without clipping; much faster than they last.
//!
//! ```text
//! mix OUT.wav IN.wav [IN.wav …]
//! ```
//!
//! Files of 16 bits, mono or stereo, at any rate from 8 to 48 kHz; what comes out is stereo at 48 kHz. The clock of the
//! mixer is whatever it is told, so here it is the position in the files.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use althing_media_core::{Pt, Ssrc};
use althing_mixer::codec::{Decoder, Format};
use althing_mixer::mix::place::{Layout, Position};
use althing_mixer::mix::{RATE, TICK_TIME};
use althing_mixer::{Encoding, Input, ListenerConfig, Mixer, MixerConfig, SourceConfig, SourceId};

/// A file that is being read.
struct Reader {
    source: SourceId,
    /// Brings the samples to 48 kHz: a WAV file is L16 with its bytes the other way round.
    decoder: Box<dyn Decoder>,
    samples: Vec<u8>,
    /// Where the next piece begins, and bytes of a piece of 20 ms.
    at: usize,
    piece: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, inputs @ ..] = &arguments[..] else {
        return Err("mix OUT.wav IN.wav [IN.wav …]".into());
    };
    let begun = Instant::now();
    let mut config = MixerConfig::default();
    config.select.loudest = inputs.len();
    let mut mixer = Mixer::new(begun, config);
    let mut readers = Vec::new();
    for (number, path) in (0_u8..).zip(inputs) {
        // From left to right.
        let position = Position((2.0 * f32::from(number) + 1.0) / inputs.len() as f32 - 1.0);
        readers.push(open(&mut mixer, path, position).map_err(|error| format!("{path}: {error}"))?);
    }
    mixer.add_listener(ListenerConfig::new(Encoding::Pcm(Layout::Stereo), Ssrc(0), Pt::new(0)))?;

    let (mut mixed, mut pcm) = (Vec::new(), vec![0.0; 2 * 5760]);
    // One tick more than there is sound, for what the limiter holds.
    let mut last = false;
    while !last {
        last = readers.iter().all(|reader| reader.at == reader.samples.len());
        for reader in readers.iter_mut().filter(|reader| reader.at < reader.samples.len()) {
            let end = (reader.at + reader.piece).min(reader.samples.len());
            let len = reader.decoder.decode(&reader.samples[reader.at..end], &mut pcm)? * reader.decoder.channels();
            mixer.push_pcm(reader.source, &pcm[..len])?;
            reader.at = end;
        }
        let now = mixer.next_tick();
        for packet in mixer.tick(now) {
            mixed.extend(packet.pcm.iter().flat_map(|sample| to_16_bits(*sample).to_le_bytes()));
        }
    }
    fs::write(out, wav(&mixed))?;
    let lasts = Duration::from_secs_f64(mixed.len() as f64 / 4.0 / f64::from(RATE));
    println!("{lasts:.1?} mixed in {:.1?}", begun.elapsed());
    Ok(())
}

/// Reads a file, and makes a source of it.
fn open(mixer: &mut Mixer, path: &str, position: Position) -> Result<Reader, Box<dyn Error>> {
    let file = fs::read(path)?;
    let (head, format) = (chunk(&file, b"RIFF")?, |chunk: &[u8], at: usize| {
        u16::from_le_bytes([chunk[at], chunk[at + 1]])
    });
    let head = head.strip_prefix(b"WAVE").ok_or("this is no WAV file")?;
    let description = chunk(head, b"fmt ")?.get(..16).ok_or("its description is too short")?;
    let (channels, rate, bits) = (format(description, 2), &description[4..8], format(description, 14));
    // 1 is plain, 0xfffe is described at greater length.
    if !matches!(format(description, 0), 1 | 0xfffe) || bits != 16 || !matches!(channels, 1 | 2) {
        return Err("only 16 bits, mono or stereo".into());
    }
    let rate = u32::from_le_bytes(rate.try_into()?);
    let channels = usize::from(channels);
    let decoder = Format::L16 { rate, channels }.decoder()?;
    let layout = if channels == 1 { Layout::Mono } else { Layout::Stereo };
    let config = SourceConfig {
        position,
        ..SourceConfig::new(Input::Pcm(layout))
    };
    let samples = chunk(head, b"data")?
        .chunks_exact(2)
        .flat_map(|sample| [sample[1], sample[0]]);
    Ok(Reader {
        source: mixer.add_source(&config)?,
        decoder,
        samples: samples.collect(),
        at: 0,
        piece: rate as usize * TICK_TIME.as_millis() as usize / 1000 * channels * 2,
    })
}

/// The content of the first chunk of that name; cut off where the file ends.
fn chunk<'a>(mut file: &'a [u8], name: &[u8; 4]) -> Result<&'a [u8], Box<dyn Error>> {
    while let Some((head, rest)) = file.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head[..4] == name[..] {
            return Ok(&rest[..size.min(rest.len())]);
        }
        file = rest.get(size.next_multiple_of(2)..).unwrap_or_default();
    }
    Err(format!("it has no part {:?}", String::from_utf8_lossy(name)).into())
}

/// A WAV file of stereo samples.
fn wav(samples: &[u8]) -> Vec<u8> {
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let mut file = [&b"RIFF"[..], &size(36 + samples.len()), b"WAVEfmt ", &size(16)].concat();
    file.extend([1, 0, 2, 0]);
    file.extend([RATE.to_le_bytes(), (4 * RATE).to_le_bytes()].concat());
    file.extend([4, 0, 16, 0]);
    file.extend([&b"data"[..], &size(samples.len()), samples].concat());
    file
}

/// The limiter has left nothing above full scale.
#[expect(clippy::cast_possible_truncation, reason = "within the range of i16")]
fn to_16_bits(sample: f32) -> i16 {
    (sample * 32_767.0).round() as i16
}
