//! Audio mixing for conferences: RTP or PCM in per source, one mixed stream out per listener.
//!
//! Sans-I/O: no clock, socket, thread, lock or file inside. It does not route packets; `althing-media-core` does.
#![forbid(unsafe_code)]

pub mod codec;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod mix;
pub mod mixer;
mod pitch;
pub mod playout;
pub mod select;

pub use mixer::{
    Audience, ChannelConfig, ChannelId, Encoding, Input, ListenerConfig, ListenerId, MixedPacket, Mixer, MixerConfig,
    SourceConfig, SourceId, UsageError,
};
