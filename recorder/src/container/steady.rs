//! Sound without holes: what a player plays that counts samples and does not look at times.
//!
//! Chromium plays the packets of a file one after another, whatever their times say: behind every pause of a sender that sends
//! nothing while nobody speaks (DTX), all sound would come too early. So what is missing is filled with empty packets of Opus,
//! for which a decoder plays what it thinks was there, or silence; and of a sender whose clock is fast, a packet is left out now
//! and then. Both when time and samples are 20 ms apart, as in Ogg, where there is no other way.
//!
//! Not here: other codecs, whose frames go through as they are.

use std::time::Duration;

use althing_media_core::Codec;
use althing_media_core::payload::opus;
use bytes::Bytes;

use crate::frame::{Frame, MediaTime, TrackFormat};

/// How far time and samples may be apart, in nanoseconds.
const TOLERANCE: u64 = 20_000_000;
/// The longest hole that is filled, with some 6 kB: a minute. A player has to jump over a longer one.
const LONGEST_FILL: u64 = 60 * 1_000_000_000;
/// One of the frames that empty packets consist of: 2.5 ms, in nanoseconds.
const EMPTY_FRAME: u64 = 2_500_000;
/// So many of them are the longest packet, 120 ms.
const MOST_FRAMES: u8 = 48;

/// A packet of so many frames of 2.5 ms, without bytes: one length for all, which is zero (RFC 6716 §3.2.5).
pub(super) fn empty(count: u8) -> [u8; 2] {
    // Configuration 28: CELT, full band, 2.5 ms. Its toc ends in 3: any number of frames.
    [28 << 3 | 3, count.min(MOST_FRAMES)]
}

/// One track.
#[derive(Debug)]
pub(super) struct Steady {
    opus: bool,
    /// Where a player is who has played all packets; nothing before the first one.
    heard: Option<u64>,
}

impl Steady {
    pub(super) fn new(format: &TrackFormat) -> Self {
        Self {
            opus: format.codec() == Codec::Opus,
            heard: None,
        }
    }

    /// Gives the frame to `take`, behind what fills the hole before it; or leaves it out.
    pub(super) fn place(&mut self, frame: Frame, mut take: impl FnMut(Frame)) {
        let Some(samples) = self.opus.then(|| opus::duration(&frame.data)).flatten() else {
            return take(frame);
        };
        let at = frame.at.0;
        let mut heard = self.heard.unwrap_or(at);
        if heard > at.saturating_add(TOLERANCE) {
            return;
        }
        let hole = at.saturating_sub(heard);
        if hole > LONGEST_FILL {
            heard = at;
        } else if hole >= TOLERANCE {
            while at - heard >= EMPTY_FRAME {
                let frames = (at - heard) / EMPTY_FRAME;
                let count = u8::try_from(frames).unwrap_or(MOST_FRAMES).min(MOST_FRAMES);
                let length = u64::from(count) * EMPTY_FRAME;
                take(Frame {
                    at: MediaTime(heard),
                    keyframe: true,
                    duration: Some(Duration::from_nanos(length)),
                    data: Bytes::copy_from_slice(&empty(count)),
                });
                heard += length;
            }
        }
        self.heard = Some(heard.saturating_add(u64::from(samples) * 1_000_000 / 48));
        take(frame);
    }
}

#[cfg(test)]
mod tests {
    use althing_media_core::payload::opus::duration;

    use super::*;
    use crate::frame::AudioFormat;

    const OPUS: AudioFormat = AudioFormat {
        codec: Codec::Opus,
        channels: 1,
        sample_rate: 48_000,
        pre_skip: 0,
    };
    /// 20 ms of CELT.
    const PACKET: &[u8] = &[31 << 3, 1, 2, 3];

    /// When which packets are played, in ms, by their times and by counting.
    fn played(times: &[u64]) -> Vec<(u64, u64)> {
        let mut steady = Steady::new(&TrackFormat::Audio(OPUS));
        let (mut counted, mut seen) = (times[0] * 48, Vec::new());
        for at in times {
            let frame = Frame {
                at: MediaTime(at * 1_000_000),
                keyframe: true,
                duration: None,
                data: Bytes::from_static(PACKET),
            };
            steady.place(frame, |frame| {
                if *frame.data == *PACKET {
                    seen.push((frame.at.0 / 1_000_000, counted / 48));
                }
                counted += u64::from(duration(&frame.data).unwrap());
            });
        }
        seen
    }

    #[test]
    fn who_counts_samples_is_never_far_from_the_time() {
        for (name, times) in [
            ("no hole", (0..50).map(|n| n * 20).collect::<Vec<_>>()),
            ("silence that is not sent", vec![7, 27, 427, 827, 847, 1247, 61_247]),
            ("a slow clock", (0..2000).map(|n| n * 20 + n / 50).collect()),
            ("a fast clock", (0..2000).map(|n| n * 20 - n / 50).collect()),
        ] {
            let seen = played(&times);
            assert!(
                seen.len() >= times.len() - 3,
                "{name}: {} of {}",
                seen.len(),
                times.len()
            );
            for (at, counted) in seen {
                assert!(
                    at.abs_diff(counted) <= 21,
                    "{name}: what belongs at {at} ms comes at {counted}"
                );
            }
        }
    }

    #[test]
    fn a_jump_is_not_filled() {
        let mut steady = Steady::new(&TrackFormat::Audio(OPUS));
        let mut taken = 0;
        for at in [0, u64::MAX, 5, u64::MAX - 7] {
            let data = Bytes::from_static(PACKET);
            let at = MediaTime(at);
            let frame = Frame {
                at,
                keyframe: true,
                duration: None,
                data,
            };
            steady.place(frame, |_| taken += 1);
        }
        assert!(taken <= 4);
    }
}
