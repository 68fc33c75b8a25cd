//! What the caller says: names, and the settings of rooms, channels, sources and listeners.

use std::fmt;

use althing_media_core::{Pt, RtpTime, Ssrc};

use crate::codec::{CodecError, Format};
use crate::mix::duck::DuckConfig;
use crate::mix::level;
use crate::mix::place::{Layout, Position};
use crate::mixer::table::SLOT_BITS;
use crate::playout::PlayoutConfig;
use crate::select::SelectConfig;

/// Channels of one mixer, at most.
pub const MAX_CHANNELS: usize = 64;
/// Sounds that are played to one channel or one listener at once, at most.
pub const MAX_SOUNDS: usize = 8;
/// Own voices of one listener, at most: a microphone, the sound of a shared screen, and as many again.
pub const MAX_OWN: usize = 4;

/// Names a source. Never given twice by one mixer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub(super) u64);

/// Names a listener. Never given twice by one mixer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub(super) u64);

/// Names a channel. Never given twice by one mixer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub(super) u64);

impl ChannelId {
    /// The channel that is always there: what is said in the room.
    pub const FLOOR: Self = Self(1 << SLOT_BITS);
}

/// Settings of a mixer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixerConfig {
    /// Who is heard, in each channel for itself.
    pub select: SelectConfig,
    /// Where talkers are brought, in LUFS; `None` leaves everybody as loud as they come.
    pub level: Option<f32>,
    /// Sources at once, at most: each holds some 100 kB.
    pub max_sources: usize,
    /// Listeners at once, at most.
    pub max_listeners: usize,
}

impl Default for MixerConfig {
    fn default() -> Self {
        Self {
            select: SelectConfig::default(),
            level: Some(level::TARGET),
            max_sources: 2000,
            max_listeners: 5000,
        }
    }
}

/// A channel beside the floor, such as one language of an interpreted meeting: what its own sources say, over the floor.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelConfig {
    /// For people and [`Mixer::channel`](super::Mixer::channel).
    pub name: String,
    /// How much of the floor is heard beneath; `None`: nothing.
    pub over_floor: Option<DuckConfig>,
}

/// Where a source's sound comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Input {
    /// RTP packets, by [`Mixer::push`](super::Mixer::push).
    Rtp {
        /// Payload types and delays.
        playout: PlayoutConfig,
        /// What is in the payload.
        format: Format,
        /// The id of the audio level extension (RFC 6464), as negotiated. A source that does not tell its level is decoded
        /// all the time, to be measured.
        level_id: Option<u8>,
    },
    /// Samples at 48 kHz, by [`Mixer::push_pcm`](super::Mixer::push_pcm).
    Pcm(Layout),
}

/// Settings of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceConfig {
    /// Where its sound comes from.
    pub input: Input,
    /// The channel that it speaks into.
    pub channel: ChannelId,
    /// In dB, beside what levelling does.
    pub gain: f32,
    /// Where stereo listeners hear it.
    pub position: Position,
    /// Whether it is brought to the loudness of [`MixerConfig::level`].
    pub level: bool,
    /// Whether noise is taken away: 10 ms more delay, and processor time.
    pub denoise: bool,
}

impl SourceConfig {
    /// Somebody in the middle of the room, with levelling and without noise suppression.
    #[must_use]
    pub const fn new(input: Input) -> Self {
        Self {
            input,
            channel: ChannelId::FLOOR,
            gain: 0.0,
            position: Position(0.0),
            level: true,
            denoise: false,
        }
    }
}

/// What a listener gets. Listeners of one channel with equal encodings share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Encoded.
    Coded {
        /// The codec.
        format: Format,
        /// Bits per second; `None` leaves it to the codec's own setting.
        bitrate: Option<u32>,
        /// Loss to protect against, in percent.
        expected_loss: u8,
    },
    /// Samples at 48 kHz, in [`MixedPacket::pcm`](super::MixedPacket::pcm) only.
    Pcm(Layout),
}

impl Encoding {
    /// A codec with its own bit rate and no redundancy.
    #[must_use]
    pub const fn of(format: Format) -> Self {
        Self::Coded {
            format,
            bitrate: None,
            expected_loss: 0,
        }
    }

    /// The channels of the sound.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        match self {
            Self::Coded { format, .. } if format.channels() == 2 => Layout::Stereo,
            Self::Coded { .. } => Layout::Mono,
            Self::Pcm(layout) => *layout,
        }
    }
}

/// A listener's own voices, which it does not hear: at most [`MAX_OWN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Own {
    /// Those that are there come first.
    voices: [Option<SourceId>; MAX_OWN],
}

impl Own {
    /// Hears everybody.
    pub const NONE: Self = Self {
        voices: [None; MAX_OWN],
    };

    /// One voice more; one that is there already stays.
    ///
    /// # Errors
    /// [`UsageError::Full`].
    pub fn add(&mut self, voice: SourceId) -> Result<(), UsageError> {
        let place = self
            .voices
            .iter_mut()
            .find(|place| place.is_none_or(|known| known == voice));
        *place.ok_or(UsageError::Full)? = Some(voice);
        Ok(())
    }

    /// All of them.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = SourceId> {
        self.voices.iter().map_while(|voice| *voice)
    }
}

impl From<SourceId> for Own {
    fn from(voice: SourceId) -> Self {
        let mut own = Self::NONE;
        own.voices[0] = Some(voice);
        own
    }
}

/// Settings of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The channel that it hears.
    pub channel: ChannelId,
    /// Its own voices, which it does not hear.
    pub own: Own,
    /// What it gets.
    pub encoding: Encoding,
    /// In its RTP headers.
    pub ssrc: Ssrc,
    /// In its RTP headers.
    pub payload_type: Pt,
    /// Number of its first packet; should be random (RFC 3550 §5.1).
    pub seq: u16,
    /// Timestamp of its first packet; should be random (RFC 3550 §5.1).
    pub timestamp: RtpTime,
}

impl ListenerConfig {
    /// Hears the floor, and says nothing.
    #[must_use]
    pub const fn new(encoding: Encoding, ssrc: Ssrc, payload_type: Pt) -> Self {
        Self {
            channel: ChannelId::FLOOR,
            own: Own::NONE,
            encoding,
            ssrc,
            payload_type,
            seq: 0,
            timestamp: RtpTime(0),
        }
    }
}

/// To whom a sound is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Audience {
    /// All who hear a channel; those who hear the floor beneath another one hear it there.
    Channel(ChannelId),
    /// One listener.
    Listener(ListenerId),
}

/// The caller asked for what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageError {
    /// No such source, or it is gone.
    NoSource,
    /// No such listener, or it is gone.
    NoListener,
    /// No such channel, or it is gone.
    NoChannel,
    /// The channel has sources or listeners, or is the floor.
    InUse,
    /// There is no room for another one: see [`MixerConfig`], [`MAX_CHANNELS`], [`MAX_SOUNDS`], [`MAX_OWN`].
    Full,
    /// There is no such codec.
    Codec(CodecError),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => f.write_str("no such source"),
            Self::NoListener => f.write_str("no such listener"),
            Self::NoChannel => f.write_str("no such channel"),
            Self::InUse => f.write_str("the channel is in use"),
            Self::Full => f.write_str("there is no room for another one"),
            Self::Codec(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UsageError {}

impl From<CodecError> for UsageError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}
