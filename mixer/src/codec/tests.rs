//! What all codecs have in common.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers, and measures that need no more than eight digits"
)]

use super::{CodecError, Format, MAX_SAMPLES};

const ALL: [Format; 8] = [
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
        channels: 2,
    },
    Format::L16 {
        rate: 8_000,
        channels: 1,
    },
];

/// `seconds` of a tone on all channels.
fn tone(hz: f32, samples: usize, channels: usize) -> Vec<f32> {
    (0..samples * channels)
        .map(|index| 0.4 * ((index / channels) as f32 * hz * std::f32::consts::TAU / 48_000.0).sin())
        .collect()
}

/// Amplitude of a tone in `sound`, and the rest's.
fn analyse(sound: &[f32], channels: usize, hz: f32) -> (f32, f32) {
    let (mut re, mut im, mut all) = (0.0_f64, 0.0_f64, 0.0_f64);
    let len = sound.len() / channels;
    for (index, frame) in sound.chunks_exact(channels).enumerate() {
        let phase = f64::from(hz) * std::f64::consts::TAU * index as f64 / 48_000.0;
        re += f64::from(frame[0]) * phase.cos();
        im += f64::from(frame[0]) * phase.sin();
        all += f64::from(frame[0] * frame[0]);
    }
    let amplitude = 2.0 * re.hypot(im) / len as f64;
    let rest = (all / len as f64 - amplitude * amplitude / 2.0).max(0.0);
    (amplitude as f32, (2.0 * rest).sqrt() as f32)
}

fn through(format: Format, frame: usize, pcm: &[f32]) -> Vec<f32> {
    let (mut encoder, mut decoder) = (format.encoder().unwrap(), format.decoder().unwrap());
    let mut payload = vec![0; 8_000];
    let mut out = vec![0.0; MAX_SAMPLES * format.channels()];
    let mut heard = Vec::new();
    for piece in pcm.chunks_exact(frame * format.channels()) {
        let len = encoder.encode(piece, &mut payload).unwrap();
        assert_eq!(decoder.duration(&payload[..len]), Some(frame), "{format:?}");
        let samples = decoder.decode(&payload[..len], &mut out).unwrap();
        assert_eq!(samples, frame, "{format:?}");
        heard.extend_from_slice(&out[..samples * format.channels()]);
    }
    heard
}

#[test]
fn a_tone_survives_every_codec() {
    for format in ALL {
        for frame in [480, 960] {
            let heard = through(format, frame, &tone(1_000.0, 48_000, format.channels()));
            let settled = &heard[9_600 * format.channels()..];
            let (amplitude, rest) = analyse(settled, format.channels(), 1_000.0);
            assert!((amplitude - 0.4).abs() < 0.03, "{format:?}: {amplitude}");
            // The logarithmic laws are at about 35 dB.
            let most = if matches!(format, Format::Opus { .. }) {
                0.03
            } else {
                0.012
            };
            assert!(rest < most, "{format:?}: {rest}");
        }
    }
}

#[test]
fn nothing_above_the_band_comes_back_as_something_else() {
    for format in [
        Format::Pcmu,
        Format::L16 {
            rate: 8_000,
            channels: 1,
        },
    ] {
        let heard = through(format, 960, &tone(6_000.0, 48_000, 1));
        let loudest = heard[9_600..]
            .iter()
            .fold(0.0, |loudest: f32, value| loudest.max(value.abs()));
        assert!(loudest < 0.002, "{format:?}: {loudest}");
    }
}

#[test]
fn what_no_codec_has_is_refused() {
    for channels in [0, 3] {
        assert_eq!(Format::Opus { channels }.decoder().err(), Some(CodecError::Unsupported));
        assert_eq!(Format::Opus { channels }.encoder().err(), Some(CodecError::Unsupported));
        let l16 = Format::L16 { rate: 48_000, channels };
        assert_eq!(l16.decoder().err(), Some(CodecError::Unsupported));
    }
    for rate in [0, 7_999, 96_000] {
        let l16 = Format::L16 { rate, channels: 1 };
        assert_eq!(l16.encoder().err(), Some(CodecError::Unsupported), "{rate}");
    }
}

#[test]
fn short_buffers_and_odd_frames_are_errors() {
    for format in ALL {
        let (mut encoder, mut decoder) = (format.encoder().unwrap(), format.decoder().unwrap());
        let pcm = tone(500.0, 960, format.channels());
        let mut payload = vec![0; 4_000];
        let len = encoder.encode(&pcm, &mut payload).unwrap();
        assert!(encoder.encode(&[], &mut payload).is_err(), "{format:?}");
        let mut short = vec![0.0; 959 * format.channels()];
        let error = decoder.decode(&payload[..len], &mut short);
        assert_eq!(error, Err(CodecError::BufferTooSmall), "{format:?}");
        assert_eq!(decoder.duration(&[]), None, "{format:?}");
        assert!(decoder.decode(&[], &mut short).is_err(), "{format:?}");
    }
}

#[test]
fn a_frame_made_up_follows_and_leads_back_without_a_step() {
    for format in ALL {
        let channels = format.channels();
        let (mut encoder, mut decoder) = (format.encoder().unwrap(), format.decoder().unwrap());
        let pcm = tone(310.0, 48_000, channels);
        let mut payload = vec![0; 8_000];
        let mut out = vec![0.0; MAX_SAMPLES * channels];
        let mut heard = Vec::new();
        for (number, piece) in pcm.chunks_exact(960 * channels).enumerate() {
            let len = encoder.encode(piece, &mut payload).unwrap();
            let samples = if number % 8 == 7 {
                decoder.conceal(960, &mut out)
            } else {
                decoder.decode(&payload[..len], &mut out).unwrap()
            };
            assert_eq!(samples, 960);
            heard.extend(out[..samples * channels].iter().step_by(channels).copied());
        }
        let step = 0.4 * std::f32::consts::TAU * 310.0 / 48_000.0;
        let settled = &heard[960 * 4..];
        let rough = settled
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
            / step;
        assert!(rough < 2.0, "{format:?}: {rough}");
        let loud = settled.iter().map(|value| value * value).sum::<f32>() / settled.len() as f32;
        // Opus makes up a tone more quietly than it was.
        assert!((0.19..0.3).contains(&loud.sqrt()), "{format:?}: {}", loud.sqrt());
    }
}
