//! Encodes: a limiter and an encoder each, for all who hear the same, or for one listener alone.
//!
//! A decoder goes on from what it decoded before. When a listener goes from one encoder to another, the new one is started
//! with the last tick that the listener heard, which is then thrown away: so both ends remember about the same, and the
//! seam is not heard.

use althing_media_core::packet::Pool;
use bytes::Bytes;
use slab::Slab;

use crate::codec::{CodecError, Encoder};
use crate::mix::limit::Limiter;
use crate::mix::place::Layout;
use crate::mixer::config::Encoding;

/// Longest payload of one tick: samples of 16 bits at 48 kHz, two channels.
const MAX_PAYLOAD: usize = 4096;

/// All encodes of a mixer.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    active: Slab<Output>,
    /// For one listener, and not in use.
    spare: Vec<Output>,
    pool: Pool,
    /// Encoders that had to be made in the middle of a tick.
    pub(super) late: u64,
    pub(super) errors: u64,
}

impl Outputs {
    /// The encode of a channel for all who hear it in this encoding and are silent, with one member more.
    pub(super) fn join(&mut self, channel: usize, encoding: Encoding) -> Result<usize, CodecError> {
        for (slot, output) in &mut self.active {
            if let Some(home) = &mut output.home
                && home.channel == channel
                && output.encoding == encoding
            {
                home.members += 1;
                return Ok(slot);
            }
        }
        let mut output = Output::new(encoding)?;
        output.home = Some(Home {
            channel,
            members: 1,
            listening: 0,
            cold: true,
        });
        Ok(self.active.insert(output))
    }

    /// One member less.
    pub(super) fn part(&mut self, slot: usize) {
        if let Some(home) = self.active.get_mut(slot).and_then(|output| output.home.as_mut()) {
            home.members -= 1;
            if home.members == 0 {
                self.active.remove(slot);
            }
        }
    }

    /// Keeps `wanted` encodes in stock, those in use included, so that a tick need not make one.
    pub(super) fn stock(&mut self, encoding: Encoding, used: usize, wanted: usize) -> Result<(), CodecError> {
        let mut spare = 0;
        self.spare.retain(|output| {
            let mine = output.encoding == encoding;
            spare += usize::from(mine);
            !mine || used + spare <= wanted
        });
        for _ in (used + spare)..wanted {
            self.spare.push(Output::new(encoding)?);
        }
        // A tick puts back what it took, and no more.
        self.spare.reserve(wanted);
        self.active.reserve(self.spare.len());
        Ok(())
    }

    /// An encode for one listener, that goes on where the shared one has stopped.
    pub(super) fn take_own(&mut self, encoding: Encoding, home: usize) -> Result<usize, CodecError> {
        let mut own = if let Some(at) = self.spare.iter().position(|output| output.encoding == encoding) {
            self.spare.swap_remove(at)
        } else {
            self.late += 1;
            Output::new(encoding)?
        };
        if let Some(home) = self.active.get(home) {
            own.follow(home, &mut self.pool);
        }
        Ok(self.active.insert(own))
    }

    /// The listener goes back to the shared encode.
    pub(super) fn return_own(&mut self, own: usize, home: usize) {
        let Some(own) = self.active.try_remove(own) else { return };
        if let Some(output) = self.active.get_mut(home)
            && let Some(place) = &mut output.home
            && std::mem::replace(&mut place.cold, false)
        {
            output.follow(&own, &mut self.pool);
        }
        self.spare.push(own);
    }

    /// A new tick: nobody listens yet.
    pub(super) fn begin(&mut self) {
        for (_, output) in &mut self.active {
            if let Some(home) = &mut output.home {
                home.cold = home.listening == 0;
                home.listening = 0;
            }
        }
    }

    /// Somebody gets the shared encode in this tick.
    #[inline]
    pub(super) fn listen(&mut self, slot: usize) {
        if let Some(home) = self.active.get_mut(slot).and_then(|output| output.home.as_mut()) {
            home.listening += 1;
        }
    }

    /// Fills the shared encodes that somebody gets by `fill`, and encodes them; how many.
    pub(super) fn finish_shared(&mut self, mut fill: impl FnMut(usize, &mut Output)) -> u64 {
        let mut count = 0;
        for (_, output) in &mut self.active {
            if let Some(channel) = output
                .home
                .as_ref()
                .filter(|home| home.listening > 0)
                .map(|home| home.channel)
            {
                fill(channel, output);
                self.errors += u64::from(output.finish(&mut self.pool).is_err());
                count += 1;
            }
        }
        count
    }

    /// Fills the encode of one listener by `fill`, and encodes it.
    pub(super) fn finish_own(&mut self, slot: usize, fill: impl FnOnce(&mut Output)) {
        if let Some(output) = self.active.get_mut(slot) {
            fill(output);
            self.errors += u64::from(output.finish(&mut self.pool).is_err());
        }
    }

    /// What is encoded there.
    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&Output> {
        self.active.get(slot)
    }

    /// Whether anybody hears mono, and stereo.
    pub(super) fn layouts(&self) -> (bool, bool) {
        self.active.iter().fold((false, false), |(mono, stereo), (_, output)| {
            let is_mono = output.encoding.layout() == Layout::Mono;
            (mono || is_mono, stereo || !is_mono)
        })
    }
}

/// One encode.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) encoding: Encoding,
    /// `None` for plain samples.
    encoder: Option<Box<dyn Encoder>>,
    limiter: Limiter,
    /// This tick, or the last one before it is filled: what is encoded.
    pub(super) pcm: Vec<f32>,
    /// This tick encoded; empty when nothing need be sent.
    pub(super) payload: Bytes,
    /// Of a shared one.
    home: Option<Home>,
}

/// Where all listeners of a channel and an encoding are, as long as they are silent.
#[derive(Debug)]
struct Home {
    channel: usize,
    members: usize,
    /// Those who get it in this tick.
    listening: usize,
    /// Nobody got it in the last tick, so it was not encoded.
    cold: bool,
}

impl Output {
    fn new(encoding: Encoding) -> Result<Self, CodecError> {
        let encoder = match encoding {
            Encoding::Coded {
                format,
                bitrate,
                expected_loss,
            } => {
                let mut encoder = format.encoder()?;
                if let Some(bitrate) = bitrate {
                    encoder.set_bitrate(bitrate);
                }
                encoder.set_expected_loss(expected_loss);
                Some(encoder)
            }
            Encoding::Pcm(_) => None,
        };
        let layout = encoding.layout();
        Ok(Self {
            encoding,
            encoder,
            limiter: Limiter::new(layout.channels()),
            pcm: vec![0.0; layout.samples()],
            payload: Bytes::new(),
            home: None,
        })
    }

    /// Goes on where another output of the same encoding has stopped.
    fn follow(&mut self, other: &Self, pool: &mut Pool) {
        self.limiter.clone_from(&other.limiter);
        if let Some(encoder) = &mut self.encoder {
            encoder.reset();
            // Without a memory of what was, the seam may be heard: no more than that.
            let _ = encoder.encode(&other.pcm, pool.space(MAX_PAYLOAD));
        }
    }

    /// Limits and encodes what has been put into `pcm`.
    ///
    /// # Errors
    /// What the encoder says.
    fn finish(&mut self, pool: &mut Pool) -> Result<(), CodecError> {
        self.limiter.process(&mut self.pcm);
        self.payload = Bytes::new();
        if let Some(encoder) = &mut self.encoder {
            let len = encoder.encode(&self.pcm, pool.space(MAX_PAYLOAD))?;
            self.payload = pool.commit(len);
        }
        Ok(())
    }
}
