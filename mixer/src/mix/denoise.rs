//! What is not speech is taken away: the recurrent network of RNNoise, by the crate `nnnoiseless`.
//!
//! It works on 10 ms at 48 kHz, adds 10 ms of delay, and costs more than a decoder: it is switched on per source, and is
//! the first thing that an overloaded mixer leaves out. The delay stays then, so that nothing jumps.

use std::fmt;

use nnnoiseless::DenoiseState;

use crate::mix::TICK;

/// Samples that the network takes at once, and its delay.
const FRAME: usize = DenoiseState::FRAME_SIZE;
/// The network's samples are 16 bit wide.
const SCALE: f32 = 32_768.0;

/// Noise suppression of one source, one network for each channel.
pub struct Denoise {
    channels: Vec<Channel>,
    /// Whether the network was heard at the end of the last tick.
    on: bool,
}

struct Channel {
    network: Box<DenoiseState<'static>>,
    /// The last frame, which the network gives out next.
    held: [f32; FRAME],
}

impl Denoise {
    /// For `channels` interleaved channels. Allocates; what follows does not.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        let channel = |_| Channel {
            network: DenoiseState::new(),
            held: [0.0; FRAME],
        };
        Self {
            channels: (0..channels).map(channel).collect(),
            on: false,
        }
    }

    /// Replaces a tick by the same without noise, or, when `on` is false, by the same as it was; both 10 ms late. From one
    /// to the other it fades within the tick.
    pub fn process(&mut self, pcm: &mut [f32], on: bool) {
        let count = self.channels.len();
        let (from, to) = (f32::from(u8::from(self.on)), f32::from(u8::from(on)));
        let (mut wet, mut at) = (from, 0);
        for frame in pcm.chunks_exact_mut(FRAME * count.max(1)) {
            let start = wet;
            wet = from + (to - from) * ((at + FRAME) as f32 / TICK as f32).min(1.0);
            for (number, channel) in self.channels.iter_mut().enumerate() {
                channel.process(frame.iter_mut().skip(number).step_by(count), start, wet);
            }
            at += FRAME;
        }
        self.on = on;
    }

    /// Forgets what is still to come: what follows has nothing to do with what was before.
    pub fn restart(&mut self) {
        for channel in &mut self.channels {
            channel.held.fill(0.0);
        }
    }
}

impl Channel {
    /// One frame; `from` and `to` say how much of it is the network's at its beginning and at its end.
    fn process<'a>(&mut self, samples: impl Iterator<Item = &'a mut f32>, from: f32, to: f32) {
        let (mut input, mut clean) = ([0.0; FRAME], [0.0; FRAME]);
        let late = self.held;
        let mut places: [Option<&mut f32>; FRAME] = [const { None }; FRAME];
        for ((sample, place), (held, input)) in samples.zip(&mut places).zip(self.held.iter_mut().zip(&mut input)) {
            *held = *sample;
            *input = *sample * SCALE;
            *place = Some(sample);
        }
        if from > 0.0 || to > 0.0 {
            self.network.process_frame(&mut clean, &input);
        }
        let step = (to - from) / FRAME as f32;
        let mut wet = from;
        for ((place, clean), late) in places.into_iter().zip(clean).zip(late) {
            wet += step;
            if let Some(sample) = place {
                *sample = wet * clean / SCALE + (1.0 - wet) * late;
            }
        }
    }
}

impl fmt::Debug for Denoise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Denoise({} channels)", self.channels.len())
    }
}
