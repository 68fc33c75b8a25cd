#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod config;
pub mod endpoint;
pub mod estimate;
pub mod event;
pub mod fec;
pub mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod packet;
pub mod payload;
pub mod receive;
pub mod router;
pub mod rtcp;
pub mod send;
pub mod speakers;
pub mod stats;
pub mod time;
pub mod transport;

pub use config::{
    CodecParams, EndpointConfig, EndpointId, LayerTarget, LocalAddress, RouterConfig, StageConfig, StageId, StreamIds,
    SubscriptionConfig, SubscriptionId, TrackConfig, TrackId,
};
pub use event::{Delivery, Event, Output, Transmit};
pub use packet::{Extension, ExtensionMap, Kind, Mid, Packet, Pt, Rid, RtpView, Ssrc};
pub use payload::{Codec, MediaKind};
pub use router::{Router, UsageError};
pub use stats::DropReason;
pub use time::{NtpTime, RtpTime};
pub use transport::{DataChannelConfig, DataChannelId, DataKind, Reliability, SendDataError};
