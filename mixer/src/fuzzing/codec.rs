//! Decoders: any payloads in any order, with losses between.

use super::{Choices, FORMATS, check, payloads};
use crate::codec::{GRAIN, MAX_SAMPLES};

/// What one input may ask for.
const STEPS: usize = 64;

/// The first byte chooses the codec; then payloads, concealment, redundancy and new beginnings as they come.
pub fn codec(data: &[u8]) {
    let mut choices = Choices(data);
    let format = FORMATS[usize::from(choices.byte()) % FORMATS.len()];
    let real = payloads(format);
    let mut decoder = format.decoder().expect("all of them exist");
    let channels = decoder.channels();
    let mut out = vec![0.0; MAX_SAMPLES * channels];
    for _ in 0..STEPS {
        if choices.is_empty() {
            return;
        }
        match choices.byte() % 8 {
            0 => decoder.reset(),
            1 => {
                let asked = usize::from(choices.byte()) * GRAIN / 4;
                let made = decoder.conceal(asked, &mut out);
                assert!(made <= asked && made.is_multiple_of(GRAIN));
                check(&out[..made * channels]);
            }
            2 => {
                let payload = choices.payload(&real);
                let promised = decoder.redundancy(&payload);
                assert!(promised <= MAX_SAMPLES);
                if let Ok(samples) = decoder.decode_fec(&payload, &mut out) {
                    assert_eq!(samples, promised);
                    check(&out[..samples * channels]);
                }
            }
            3 => {
                // A buffer that is too small is an error, or suffices.
                let payload = choices.payload(&real);
                let room = usize::from(choices.word()) % out.len();
                if let Ok(samples) = decoder.decode(&payload, &mut out[..room]) {
                    assert!(samples * channels <= room);
                }
            }
            _ => {
                let payload = choices.payload(&real);
                let duration = decoder.duration(&payload);
                assert!(duration.is_none_or(|samples| samples <= MAX_SAMPLES));
                if let Ok(samples) = decoder.decode(&payload, &mut out) {
                    assert_eq!(Some(samples), duration);
                    check(&out[..samples * channels]);
                }
            }
        }
    }
}
