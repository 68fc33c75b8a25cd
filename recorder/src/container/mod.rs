//! Containers: frames of one or more tracks in, bytes of one file out. Sans-I/O.
//!
//! A [`Muxer`] gives whole fragments of at most a second (clusters, `moof` with `mdat`, pages) to be appended, so that what
//! lies on the disk is playable at every moment, and a program that dies loses no more than what waited for its fragment.
//! Room for an index and a duration is set aside at the start; at the end a few bytes are put there, and nothing is
//! rewritten. The memory of a muxer is bounded, whatever it is given: see [`MuxerConfig::index`] and [`MAX_FRAME`].
//!
//! | folder | one container | holds |
//! |---|---|---|
//! | [`webm`] | WebM and Matroska (RFC 9559) | Opus, VP8, VP9, AV1; Matroska also H.264 and G.711 |
//! | [`mp4`] | fragmented MP4 (ISO/IEC 14496-12) | Opus, VP9, AV1, H.264 |
//! | [`ogg`] | Ogg (RFC 3533, RFC 7845) | one track of Opus |
//!
//! [`hls`] makes playlists of the fragments of an MP4. Not here: files ([`crate::file`]), what to do after a crash
//! ([`crate::recover`]).

pub mod hls;
pub(crate) mod index;
mod interleave;
pub mod mp4;
pub mod ogg;
mod outbox;
mod pieces;
mod steady;
pub mod webm;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use althing_media_core::Codec;
use bytes::Bytes;

use crate::frame::{Frame, MediaTime, TrackFormat};

pub use pieces::Pieces;

/// The largest frame, in bytes. A key picture of 8K at a quality that no camera sends has a fraction of it.
pub const MAX_FRAME: usize = 32 << 20;
/// The most tracks of one file.
pub const MAX_TRACKS: usize = 64;
/// The longest that a fragment may be.
pub const MAX_FRAGMENT: Duration = Duration::from_secs(1);

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// The subset of Matroska that browsers play.
    WebM,
    /// Matroska, for what WebM does not hold.
    Matroska,
    /// Fragmented MP4.
    Mp4,
    /// Ogg with Opus.
    Ogg,
}

impl Container {
    /// How the names of such files end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Mp4 => "mp4",
            Self::Ogg => "ogg",
        }
    }

    /// The kind that a file's name tells.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let kinds = [Self::WebM, Self::Matroska, Self::Mp4, Self::Ogg];
        let extension = path.extension()?;
        kinds.into_iter().find(|kind| extension == kind.extension())
    }

    /// Whether it has a way to hold this codec.
    #[must_use]
    pub const fn holds(self, codec: Codec) -> bool {
        match codec {
            Codec::Opus => true,
            Codec::Vp8 => matches!(self, Self::WebM | Self::Matroska),
            Codec::Vp9 | Codec::Av1 => matches!(self, Self::WebM | Self::Matroska | Self::Mp4),
            Codec::H264 => matches!(self, Self::Matroska | Self::Mp4),
            Codec::Pcmu | Codec::Pcma => matches!(self, Self::Matroska),
            _ => false,
        }
    }
}

/// How a file is made.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by callers, with `..Default::default()`")]
pub struct MuxerConfig {
    /// The moment of the recording at which this file begins: its time zero. What is earlier goes there too.
    pub origin: MediaTime,
    /// How much goes into a fragment; at most [`MAX_FRAGMENT`].
    pub fragment: Duration,
    /// How long a fragment that is complete waits for tracks that come late. What is written is never older than a fragment
    /// and this. Not for Ogg, which has one track.
    pub settle: Duration,
    /// How many places to start the index can hold. Some 30 bytes each are set aside in the file, and in memory; in a
    /// recording with more places, they are further apart.
    pub index: usize,
}

impl Default for MuxerConfig {
    fn default() -> Self {
        Self {
            origin: MediaTime::ZERO,
            fragment: Duration::from_millis(500),
            settle: Duration::from_millis(250),
            index: 1024,
        }
    }
}

/// What is to be done to the file, in this order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Output {
    /// Write this behind all that is there, at once.
    Append(Fragment),
    /// Put this in the place of as many bytes that were written before.
    Patch(Patch),
}

/// A part of the file that is whole in itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fragment {
    /// What it is.
    pub kind: FragmentKind,
    /// Its bytes.
    pub pieces: Pieces,
    /// When its first frame is shown, since the file's time zero.
    pub start: MediaTime,
    /// When what follows begins, or its last frame ends where nothing was waiting, since the file's time zero.
    pub end: MediaTime,
    /// A player can start here.
    pub independent: bool,
}

/// The kinds of fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FragmentKind {
    /// The beginning of the file: everything up to the first media.
    Header,
    /// Media.
    Media,
    /// What stands behind the last media.
    Trailer,
}

/// Bytes that take the place of others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place and what belongs there")]
pub struct Patch {
    /// Where, in bytes from the beginning of the file.
    pub at: u64,
    /// What.
    pub bytes: Bytes,
}

/// Why there can be no such file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// This container has no way to hold this codec.
    Codec(Container, Codec),
    /// No track at all, more than [`MAX_TRACKS`], or more than one in Ogg.
    Tracks(usize),
    /// The decoder configuration of a track is missing or not one.
    Config(Codec),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec(container, codec) => write!(f, "{container:?} cannot hold {codec:?}"),
            Self::Tracks(count) => write!(f, "a file with {count} tracks"),
            Self::Config(codec) => write!(f, "no decoder configuration for {codec:?}"),
        }
    }
}

impl std::error::Error for FormatError {}

/// Why a frame was not taken: the caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// There is no track of this number.
    Track,
    /// It has no bytes, or more than [`MAX_FRAME`].
    Size,
    /// The file is finished.
    Finished,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Track => "no such track",
            Self::Size => "a frame without bytes, or too large",
            Self::Finished => "the file is finished",
        })
    }
}

impl std::error::Error for FrameError {}

/// Makes one file. Feed it with [`Self::handle_frame`]; after each call take all that [`Self::poll_output`] gives.
#[derive(Debug)]
pub struct Muxer {
    kind: Kind,
    tracks: usize,
    origin: MediaTime,
    finished: bool,
}

#[derive(Debug)]
enum Kind {
    WebM(Box<webm::WebM>),
    Mp4(Box<mp4::Mp4>),
    Ogg(Box<ogg::Ogg>),
}

impl Muxer {
    /// A file with these tracks, known by their numbers from 0 on.
    ///
    /// # Errors
    ///
    /// When the container cannot hold them.
    pub fn new(container: Container, tracks: &[TrackFormat], config: &MuxerConfig) -> Result<Self, FormatError> {
        if tracks.is_empty() || tracks.len() > MAX_TRACKS {
            return Err(FormatError::Tracks(tracks.len()));
        }
        if let Some(track) = tracks.iter().find(|track| !container.holds(track.codec())) {
            return Err(FormatError::Codec(container, track.codec()));
        }
        let mut config = *config;
        config.fragment = config.fragment.min(MAX_FRAGMENT);
        let kind = match container {
            Container::WebM => Kind::WebM(Box::new(webm::WebM::new(webm::DocType::WebM, tracks, &config)?)),
            Container::Matroska => Kind::WebM(Box::new(webm::WebM::new(webm::DocType::Matroska, tracks, &config)?)),
            Container::Mp4 => Kind::Mp4(Box::new(mp4::Mp4::new(tracks, &config)?)),
            Container::Ogg => Kind::Ogg(Box::new(ogg::Ogg::new(tracks, &config)?)),
        };
        Ok(Self {
            kind,
            tracks: tracks.len(),
            origin: config.origin,
            finished: false,
        })
    }

    /// Takes a frame of a track. Its bytes are shared, not copied, unless they are few. Frames of one track come in order;
    /// between tracks, some hundred milliseconds of disorder are put right.
    ///
    /// # Errors
    ///
    /// When there is no such track, the frame is empty or larger than [`MAX_FRAME`], or the file is finished.
    pub fn handle_frame(&mut self, track: usize, mut frame: Frame) -> Result<(), FrameError> {
        if self.finished {
            return Err(FrameError::Finished);
        }
        if track >= self.tracks {
            return Err(FrameError::Track);
        }
        if frame.data.is_empty() || frame.data.len() > MAX_FRAME {
            return Err(FrameError::Size);
        }
        frame.at = MediaTime(frame.at.0.saturating_sub(self.origin.0));
        match &mut self.kind {
            Kind::WebM(webm) => webm.handle_frame(track, frame),
            Kind::Mp4(mp4) => mp4.handle_frame(track, frame),
            Kind::Ogg(ogg) => ogg.handle_frame(frame),
        }
        Ok(())
    }

    /// Gives out what waits for its fragment to fill, for when nothing has come in a while.
    pub fn flush(&mut self) {
        match &mut self.kind {
            Kind::WebM(webm) => webm.flush(),
            Kind::Mp4(mp4) => mp4.flush(),
            Kind::Ogg(ogg) => ogg.flush(),
        }
    }

    /// Finishes the file: what waits, then the index and the duration. A second call does nothing.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        match &mut self.kind {
            Kind::WebM(webm) => webm.finish(),
            Kind::Mp4(mp4) => mp4.finish(),
            Kind::Ogg(ogg) => ogg.finish(),
        }
    }

    /// What is to be written, if there is something.
    pub fn poll_output(&mut self) -> Option<Output> {
        match &mut self.kind {
            Kind::WebM(webm) => webm.poll_output(),
            Kind::Mp4(mp4) => mp4.poll_output(),
            Kind::Ogg(ogg) => ogg.poll_output(),
        }
    }
}
