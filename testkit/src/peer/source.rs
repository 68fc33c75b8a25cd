//! Synthetic cameras and microphones: when there is a frame, which layer it is in, how long it is. No packets, no RTP.

use std::time::{Duration, Instant};

use crate::rng::Rng;

/// How a synthetic camera behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoPattern {
    /// Time between frames.
    pub every: Duration,
    /// Mean bytes of a frame of the lowest encoding; each encoding above has twice as many.
    pub frame_bytes: usize,
    /// Every frame has exactly its mean: packets per second are then known beforehand.
    pub even: bool,
    /// Longest body of a packet, in bytes.
    pub packet_bytes: usize,
    /// Temporal layers, 1 to 3.
    pub temporal_layers: u8,
    /// A keyframe at least every so many frames; `None` only when asked.
    pub keyframe_every: Option<u32>,
}

impl Default for VideoPattern {
    fn default() -> Self {
        Self {
            every: Duration::from_nanos(33_333_333),
            frame_bytes: 2000,
            even: false,
            packet_bytes: 1100,
            temporal_layers: 3,
            keyframe_every: None,
        }
    }
}

/// How a synthetic microphone behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioPattern {
    /// Time between packets.
    pub every: Duration,
    /// Bytes of a packet's body.
    pub bytes: usize,
    /// Audio level that is said to the router, in -dBov.
    pub minus_dbov: u8,
}

impl Default for AudioPattern {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(20),
            bytes: 80,
            minus_dbov: 30,
        }
    }
}

/// A camera or a microphone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// VP8-shaped frames.
    Video(VideoPattern),
    /// Opus-shaped packets.
    Audio(AudioPattern),
}

impl Pattern {
    /// Time between frames.
    #[must_use]
    pub fn every(&self) -> Duration {
        match self {
            Self::Video(video) => video.every,
            Self::Audio(audio) => audio.every,
        }
    }
}

/// One frame of one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Counted from 0.
    pub number: u32,
    /// The frame that it needs; itself for a keyframe.
    pub reference: u32,
    /// Temporal layer.
    pub temporal: u8,
    /// Refers to the base layer only.
    pub sync: bool,
    /// Nobody refers to it.
    pub non_reference: bool,
    /// Needs no other.
    pub keyframe: bool,
    /// Bytes of all its packets' bodies.
    pub bytes: usize,
}

/// The frames of one encoding, one after another.
#[derive(Debug, Clone)]
pub struct FrameSource {
    pattern: Pattern,
    encoding: u8,
    rng: Rng,
    /// Position in the temporal pattern; 0 is the base layer.
    phase: u8,
    since_keyframe: u32,
    wanted: bool,
    last_base: u32,
    last_middle: u32,
}

impl FrameSource {
    /// Starts with a keyframe.
    #[must_use]
    pub fn new(pattern: Pattern, encoding: u8, rng: Rng) -> Self {
        Self {
            pattern,
            encoding,
            rng,
            phase: 0,
            since_keyframe: 0,
            wanted: true,
            last_base: 0,
            last_middle: 0,
        }
    }

    /// The next frame will be a keyframe.
    pub fn request_keyframe(&mut self) {
        self.wanted = true;
    }

    /// The frame that is captured as `number`.
    pub fn next_frame(&mut self, number: u32) -> Frame {
        let video = match self.pattern {
            Pattern::Video(video) => video,
            Pattern::Audio(audio) => return Frame::sound(number, audio.bytes),
        };
        let keyframe = self.wanted || video.keyframe_every.is_some_and(|every| self.since_keyframe >= every);
        if keyframe {
            (self.wanted, self.phase, self.since_keyframe) = (false, 0, 0);
        }
        self.since_keyframe += 1;
        let (temporal, sync, reference) = match (video.temporal_layers, self.phase) {
            (..=1, _) | (_, 0) => (0, false, self.last_base),
            (2, _) => (1, true, self.last_base),
            (_, 1) => (2, true, self.last_base),
            (_, 2) => (1, true, self.last_base),
            _ => (2, false, self.last_middle),
        };
        let top = video.temporal_layers.saturating_sub(1);
        let mean = video.frame_bytes << self.encoding;
        let size = if video.even {
            mean
        } else {
            mean / 2 + self.rng.index(mean)
        };
        let frame = Frame {
            number,
            reference: if keyframe { number } else { reference },
            temporal,
            sync,
            non_reference: top > 0 && temporal == top,
            keyframe,
            bytes: if keyframe && !video.even { size * 4 } else { size },
        };
        match temporal {
            0 => (self.last_base, self.last_middle) = (number, number),
            1 => self.last_middle = number,
            _ => {}
        }
        self.phase = match video.temporal_layers {
            ..=1 => 0,
            2 => (self.phase + 1) % 2,
            _ => (self.phase + 1) % 4,
        };
        frame
    }
}

impl Frame {
    fn sound(number: u32, bytes: usize) -> Self {
        Self {
            number,
            reference: number,
            temporal: 0,
            sync: false,
            non_reference: false,
            keyframe: false,
            bytes,
        }
    }
}

/// When frames are due: a steady beat that does not drift.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    start: Instant,
    every: Duration,
    count: u32,
}

impl Beat {
    /// The first is due at `start`.
    #[must_use]
    pub fn new(start: Instant, every: Duration) -> Self {
        Self { start, every, count: 0 }
    }

    /// When the next is due.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        self.start + self.every * self.count
    }

    /// The number of one that is due at `now`; call until `None`.
    pub fn take_due(&mut self, now: Instant) -> Option<u32> {
        if self.next_timeout() > now {
            return None;
        }
        self.count += 1;
        Some(self.count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_temporal_layers() {
        let pattern = Pattern::Video(VideoPattern::default());
        let mut source = FrameSource::new(pattern, 0, Rng::new(1));
        let frames: Vec<Frame> = (0..8).map(|number| source.next_frame(number)).collect();
        assert_eq!(
            frames.iter().map(|f| f.temporal).collect::<Vec<_>>(),
            [0, 2, 1, 2, 0, 2, 1, 2]
        );
        assert_eq!(
            frames.iter().map(|f| f.reference).collect::<Vec<_>>(),
            [0, 0, 0, 2, 0, 4, 4, 6]
        );
        assert_eq!(frames.iter().map(|f| f.keyframe).filter(|key| *key).count(), 1);
        source.request_keyframe();
        let key = source.next_frame(8);
        assert_eq!((key.keyframe, key.temporal, key.reference), (true, 0, 8));
        assert_eq!(source.next_frame(9).reference, 8);
    }

    #[test]
    fn a_keyframe_every_n_and_even_frames() {
        let video = VideoPattern {
            keyframe_every: Some(3),
            temporal_layers: 1,
            even: true,
            ..VideoPattern::default()
        };
        let mut source = FrameSource::new(Pattern::Video(video), 1, Rng::new(1));
        let frames: Vec<Frame> = (0..7).map(|number| source.next_frame(number)).collect();
        assert_eq!(
            frames.iter().map(|f| f.keyframe).collect::<Vec<_>>(),
            [true, false, false, true, false, false, true]
        );
        assert!(frames.iter().all(|f| f.bytes == 4000));
    }

    #[test]
    fn the_beat_does_not_drift() {
        let start = Instant::now();
        let mut beat = Beat::new(start, Duration::from_nanos(33_333_333));
        for number in 0..300 {
            assert_eq!(beat.take_due(beat.next_timeout()), Some(number));
        }
        assert_eq!(beat.next_timeout() - start, Duration::from_nanos(33_333_333) * 300);
        assert_eq!(beat.take_due(start), None);
    }
}
