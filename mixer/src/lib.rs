#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod codec;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod mix;
pub mod mixer;
mod pitch;
pub mod playout;
pub use althing_media_core::speakers::loudest as select;

pub use mixer::{
    Audience, ChannelConfig, ChannelId, Encoding, Input, ListenerConfig, ListenerId, MAX_OWN, MixedPacket, Mixer,
    MixerConfig, Own, SourceConfig, SourceId, UsageError,
};
