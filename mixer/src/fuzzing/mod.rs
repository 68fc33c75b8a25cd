//! The bodies of the fuzz targets: what a peer can make of a playout and of the codecs.
//!
//! As in `althing_media_core::fuzzing`: each takes any bytes and panics when something that must hold does not; they exist
//! under `cfg(fuzzing)` and in tests, which replay the seeds of `fuzz/seeds/` and some random bytes.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a body says what it has found")]

mod codec;
mod playout;

pub use codec::codec;
pub use playout::playout;

use crate::codec::Format;

/// The body of a target.
pub type Body = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Body); 2] = [("codec", codec), ("playout", playout)];

/// What a first byte chooses from.
const FORMATS: [Format; 7] = [
    Format::Opus { channels: 1 },
    Format::Opus { channels: 2 },
    Format::Pcmu,
    Format::Pcma,
    Format::G722,
    Format::L16 {
        rate: 48_000,
        channels: 2,
    },
    Format::L16 {
        rate: 44_100,
        channels: 1,
    },
];

/// Some payloads as they should be, for a fuzzer to spoil.
fn payloads(format: Format) -> Vec<Vec<u8>> {
    let mut encoder = format.encoder().expect("all of them exist");
    encoder.set_expected_loss(20);
    let channels = format.channels();
    let mut bytes = vec![0; 4_000];
    let mut pulse = 0.0_f32;
    (0..4_usize)
        .map(|number| {
            let pcm: Vec<f32> = (0..960 * channels)
                .map(|index| {
                    pulse = if (number * 960 + index / channels).is_multiple_of(400) {
                        0.7
                    } else {
                        pulse * 0.98
                    };
                    pulse
                })
                .collect();
            let len = encoder.encode(&pcm, &mut bytes).expect("20 ms are a frame");
            bytes[..len].to_vec()
        })
        .collect()
}

/// Bytes as a series of decisions: zeroes when they are used up.
#[derive(Debug)]
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of the real payloads with up to three bytes changed, or bytes as they are.
    fn payload(&mut self, real: &[Vec<u8>]) -> Vec<u8> {
        let choice = self.byte();
        if choice >= 0xc0 {
            let len = usize::from(self.byte());
            return self.take(len).to_vec();
        }
        let mut payload = real[usize::from(choice) % real.len()].clone();
        for _ in 0..(choice >> 4 & 3) {
            let (at, value) = (usize::from(self.word()), self.byte());
            let len = payload.len();
            payload[at % len] = value;
        }
        payload
    }
}

/// Sound that can be added to other sound: no infinity, nothing far beyond full scale.
fn check(sound: &[f32]) {
    let loudest = sound.iter().fold(0.0_f32, |loudest, value| loudest.max(value.abs()));
    assert!(
        sound.iter().all(|value| value.is_finite()) && loudest < 1_000.0,
        "{loudest}"
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_seed_passes() {
        for (name, body) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
            let files: Vec<_> = std::fs::read_dir(&folder)
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            assert!(files.len() > 3, "{name} has seeds");
            for path in files {
                let outcome = std::panic::catch_unwind(|| body(&std::fs::read(&path).unwrap()));
                assert!(outcome.is_ok(), "{name} fails on {}", path.display());
            }
        }
    }

    #[test]
    fn random_bytes_pass() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for (name, body) in TARGETS {
            for _ in 0..100 {
                let len = next() % 600;
                let bytes: Vec<u8> = (0..len).map(|_| next().to_be_bytes()[0]).collect();
                let outcome = std::panic::catch_unwind(|| body(&bytes));
                assert!(outcome.is_ok(), "{name} fails on {bytes:02x?}");
            }
        }
    }
}
