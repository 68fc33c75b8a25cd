//! Opus, judged by Debian's opus-tools: the same for the crate that is there by default and for libopus.

use opus_pure::{OggOpusReader, OggOpusWriter, OpusHead};

use super::{Decoder, Format, MAX_SAMPLES, judge};

/// What both decoders start with and the file tells to leave out.
const PRE_SKIP: usize = 312;

/// A voice: pulses at 110 Hz through two resonances, with pauses.
fn voice(samples: usize, channels: usize) -> Vec<f32> {
    let mut states = [[0.0_f32; 2]; 2];
    let mut pcm = Vec::with_capacity(samples * channels);
    for index in 0..samples {
        let speaks = index / 24_000 % 4 != 3;
        let mut value = if index % 436 == 0 && speaks { 0.02 } else { 0.0 };
        for (state, hz) in states.iter_mut().zip([600.0_f32, 1_700.0]) {
            let next = value + 1.97 * (std::f32::consts::TAU * hz / 48_000.0).cos() * state[0] - 0.97 * state[1];
            *state = [next, state[0]];
            value = next;
        }
        value = value.clamp(-0.9, 0.9);
        pcm.extend((0..channels).map(|channel| if channel == 0 { value } else { value * 0.5 }));
    }
    pcm
}

/// Signal to noise in dB of `heard` against `wanted`.
fn snr(heard: &[f32], wanted: &[f32]) -> f32 {
    let signal: f32 = wanted.iter().map(|value| value * value).sum();
    let noise: f32 = heard
        .iter()
        .zip(wanted)
        .map(|(heard, wanted)| (heard - wanted).powi(2))
        .sum();
    10.0 * (signal / noise.max(1e-12)).log10()
}

/// The payloads of an Opus file.
fn payloads(file: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = OggOpusReader::new(file).unwrap();
    reader.packets().map(|packet| packet.unwrap().data).collect()
}

fn decode(decoder: &mut dyn Decoder, payloads: &[Vec<u8>]) -> Vec<f32> {
    let mut out = vec![0.0; MAX_SAMPLES * decoder.channels()];
    let mut heard = Vec::new();
    for payload in payloads {
        let samples = decoder.decode(payload, &mut out).unwrap();
        assert_eq!(Some(samples), decoder.duration(payload));
        heard.extend_from_slice(&out[..samples * decoder.channels()]);
    }
    heard
}

#[test]
fn what_opusenc_writes_sounds_as_opusdec_has_it() {
    for channels in [1, 2] {
        let pcm = voice(96_000, channels);
        let pcm: Vec<i16> = pcm.iter().map(|value| super::sampled::to_16_bit(*value)).collect();
        for arguments in [
            &["--speech", "--bitrate", "16"][..],
            &["--bitrate", "32", "--framesize", "60"],
            &["--music", "--bitrate", "96", "--framesize", "10"],
        ] {
            let file = judge::opusenc(&pcm, channels, arguments);
            let mut decoder = Format::Opus { channels }.decoder().unwrap();
            let heard = decode(decoder.as_mut(), &payloads(&file));
            let wanted = judge::opusdec(&file);
            let ratio = snr(&heard[PRE_SKIP * channels..], &wanted);
            assert!(ratio > 60.0, "{channels} channels, {arguments:?}: {ratio} dB");
        }
    }
}

#[test]
fn what_we_write_opusdec_reads_the_same() {
    for channels in [1, 2] {
        for (bitrate, frame) in [(16_000, 960), (32_000, 2_880), (32_000, 480), (128_000, 960)] {
            let pcm = voice(96_000, channels);
            let mut encoder = Format::Opus { channels }.encoder().unwrap();
            encoder.set_bitrate(bitrate);
            let mut head = OpusHead::new(u8::try_from(channels).unwrap(), 48_000).unwrap();
            head.pre_skip = u16::try_from(PRE_SKIP).unwrap();
            let mut writer = OggOpusWriter::new(Vec::new(), head).unwrap();
            let (mut packet, mut written) = ([0; 1500], Vec::new());
            for piece in pcm.chunks_exact(frame * channels) {
                let len = encoder.encode(piece, &mut packet).unwrap();
                writer.write_packet(&packet[..len]).unwrap();
                written.push(packet[..len].to_vec());
            }
            let rate = written.iter().map(Vec::len).sum::<usize>() * 4;
            let aim = bitrate as usize;
            assert!(rate < aim * 13 / 10, "{rate} bit/s for {bitrate}");
            let wanted = judge::opusdec(&writer.finish().unwrap());
            let mut decoder = Format::Opus { channels }.decoder().unwrap();
            let heard = decode(decoder.as_mut(), &written);
            let ratio = snr(&heard[PRE_SKIP * channels..], &wanted);
            assert!(
                ratio > 60.0,
                "{channels} channels, {bitrate} bit/s, {frame}: {ratio} dB"
            );
            let loud = |sound: &[f32]| sound.iter().map(|value| value * value).sum::<f32>();
            let change = 10.0 * (loud(&wanted) / loud(&pcm)).log10();
            assert!(change.abs() < 3.0, "{bitrate}: {change} dB");
        }
    }
}

#[test]
fn a_stereo_stream_is_heard_in_mono_and_the_other_way_round() {
    for (sent, heard) in [(1, 2), (2, 1)] {
        let mut encoder = Format::Opus { channels: sent }.encoder().unwrap();
        let mut decoder = Format::Opus { channels: heard }.decoder().unwrap();
        let mut packet = [0; 1500];
        let payloads: Vec<Vec<u8>> = voice(48_000, sent)
            .chunks_exact(960 * sent)
            .map(|piece| {
                let len = encoder.encode(piece, &mut packet).unwrap();
                packet[..len].to_vec()
            })
            .collect();
        let sound = decode(decoder.as_mut(), &payloads);
        assert_eq!(sound.len(), 48_000 * heard);
        assert!(sound.iter().any(|value| value.abs() > 0.05));
    }
}

#[test]
fn redundancy_is_found_where_it_is_and_is_better_than_concealment() {
    let pcm = voice(240_000, 1);
    let mut encoder = Format::Opus { channels: 1 }.encoder().unwrap();
    encoder.set_bitrate(24_000);
    let mut plain = Vec::new();
    let mut packet = [0; 1500];
    for loss in [0, 20] {
        encoder.reset();
        encoder.set_expected_loss(loss);
        plain = pcm
            .chunks_exact(960)
            .map(|piece| {
                let len = encoder.encode(piece, &mut packet).unwrap();
                packet[..len].to_vec()
            })
            .collect();
        let decoder = Format::Opus { channels: 1 }.decoder().unwrap();
        let with = plain
            .iter()
            .filter(|payload| decoder.redundancy(payload) == 960)
            .count();
        assert!(
            if loss == 0 { with == 0 } else { with > plain.len() / 2 },
            "{loss} %: {with}"
        );
    }
    let mut wanted = Format::Opus { channels: 1 }.decoder().unwrap();
    let wanted = decode(wanted.as_mut(), &plain);
    let ratio = |repair: bool| {
        let mut decoder = Format::Opus { channels: 1 }.decoder().unwrap();
        let mut out = vec![0.0; MAX_SAMPLES];
        let mut heard = Vec::new();
        for (number, payload) in plain.iter().enumerate() {
            let samples = if number % 10 != 5 {
                decoder.decode(payload, &mut out).unwrap()
            } else if repair && decoder.redundancy(&plain[number + 1]) == 960 {
                decoder.decode_fec(&plain[number + 1], &mut out).unwrap()
            } else {
                decoder.conceal(960, &mut out)
            };
            heard.extend_from_slice(&out[..samples]);
        }
        snr(&heard, &wanted)
    };
    let (repaired, concealed) = (ratio(true), ratio(false));
    assert!(repaired > concealed + 3.0, "{repaired} dB, {concealed} dB");
}

/// The transform while nothing is lost, the model of the voice while it is: RFC 6716 §3.1 has CELT from configuration 16 on.
#[test]
fn the_way_follows_the_expected_loss_without_a_click() {
    let mut encoder = Format::Opus { channels: 1 }.encoder().unwrap();
    let mut decoder = Format::Opus { channels: 1 }.decoder().unwrap();
    let (mut packet, mut heard) = ([0; 1500], Vec::new());
    for number in 0..200_u16 {
        let expects_loss = number / 25 % 2 == 1;
        encoder.set_expected_loss(if expects_loss { 10 } else { 0 });
        let tone = |at| 0.1 * (std::f32::consts::TAU * 250.0 * f32::from(at) / 48_000.0).sin();
        // A whole number of periods in each frame.
        let pcm: Vec<f32> = (0..960_u16).map(tone).collect();
        let len = encoder.encode(&pcm, &mut packet).unwrap();
        // The first packet after a change may still be of the other way.
        let by_transform = packet[0] >> 3 >= 16;
        assert!(by_transform != expects_loss || number % 25 == 0, "packet {number}");
        heard.extend(decode(decoder.as_mut(), &[packet[..len].to_vec()]));
    }
    let bend = |w: &[f32]| (w[0] - 2.0 * w[1] + w[2]).abs();
    let steepest = heard[9_600..].windows(3).map(bend).fold(0.0, f32::max);
    assert!(steepest < 0.01, "{steepest}");
}
