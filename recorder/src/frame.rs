//! What goes from the input to the containers: the frames of one track, the format that they are in, the time they have.
//!
//! A container needs to know nothing of RTP, the input nothing of files. Neither is here, nor any parsing.

use std::time::Duration;

use althing_media_core::Codec;
use bytes::Bytes;

/// A moment of a recording: nanoseconds since it began, on the one clock that all of its tracks share.
///
/// An `u64` of nanoseconds lasts 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// The beginning.
    pub const ZERO: Self = Self(0);

    /// So long after the beginning; the last moment that can be told when it is later than that.
    #[must_use]
    pub fn new(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long after the beginning.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// How long after `earlier`; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(Self::new(duration).0))
    }

    /// In units of a clock of `rate` Hz, to the nearest: 1000 gives milliseconds, 90 000 the ticks of a video track.
    #[must_use]
    pub fn units(self, rate: u32) -> u64 {
        let units = (u128::from(self.0) * u128::from(rate) + 500_000_000) / 1_000_000_000;
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

/// One frame of one track, in decode order; conferences send no frame that is shown later than a following one, so that
/// is the order of display too.
///
/// Times rise strictly within a track. The bytes are what Matroska, WebM and MP4 hold alike:
///
/// | codec | `data` |
/// |---|---|
/// | Opus | one packet (RFC 6716 §3) |
/// | VP8 | one frame (RFC 6386 §9) |
/// | VP9 | one superframe: all spatial layers of a picture, with an index if there is more than one |
/// | H.264 | one access unit, each NAL unit behind its length in four bytes; parameter sets stay in keyframes (`avc3`) |
/// | AV1 | one temporal unit: OBUs with their sizes, without temporal delimiter; the sequence header stays in keyframes |
/// | G.711, G.722 | the samples of one packet |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When it is shown or heard.
    pub at: MediaTime,
    /// A decoder can start here. Always for sound.
    pub keyframe: bool,
    /// How long it lasts, where the codec says so (Opus); a picture lasts until the next one.
    pub duration: Option<Duration>,
    /// The coded bytes, never empty.
    pub data: Bytes,
}

/// What a decoder and a container have to know of a track before its first frame, and from the frame on that changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is sound and there are pictures")]
pub enum TrackFormat {
    /// Sound.
    Audio(AudioFormat),
    /// Pictures.
    Video(VideoFormat),
}

impl TrackFormat {
    /// The codec.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self {
            Self::Audio(audio) => audio.codec,
            Self::Video(video) => video.codec,
        }
    }
}

/// The format of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFormat {
    /// Opus, G.711, G.722.
    pub codec: Codec,
    /// 1 or 2.
    pub channels: u8,
    /// Samples per second and channel: 48 000 for Opus.
    pub sample_rate: u32,
    /// Samples at 48 kHz that a decoder leaves out after it was started (RFC 7845 §4.2). Opus out of RTP begins in the
    /// middle of speech, so nothing but the decoder's own settling is left out; 0 for other codecs.
    pub pre_skip: u16,
}

/// The format of pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFormat {
    /// VP8, VP9, H.264, AV1.
    pub codec: Codec,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// The decoder configuration record that MP4 puts into a box and Matroska into `CodecPrivate`, without any box header:
    /// `avcC` (ISO/IEC 14496-15 §5.3.3.1), `av1C` (AV1 in ISO-BMFF §2.3), `vpcC` (VP in ISO-BMFF, the eight bytes after
    /// version and flags; not what Matroska wants for VP9, where it is optional). Empty for VP8.
    pub config: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_go_to_the_nearest() {
        let at = MediaTime::new(Duration::from_micros(1_500));
        assert_eq!((at.units(1000), at.units(90_000), at.units(48_000)), (2, 135, 72));
        let hour = MediaTime::new(Duration::from_secs(3600));
        assert_eq!(hour.units(90_000), 324_000_000);
        assert_eq!(MediaTime(u64::MAX).units(u32::MAX), u64::MAX, "told as late as can be");
    }

    #[test]
    fn what_is_not_later_is_no_time_away() {
        let (early, late) = (MediaTime(5), MediaTime(9));
        assert_eq!(
            (late.since(early), early.since(late)),
            (Duration::from_nanos(4), Duration::ZERO)
        );
        assert_eq!(early.plus(Duration::MAX), MediaTime(u64::MAX));
    }
}
