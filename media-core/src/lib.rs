#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod config;
pub mod event;
pub mod packet;
pub mod payload;
pub mod rtcp;
pub mod stats;
pub mod time;
pub mod transport;

pub use config::{CodecParams, EndpointConfig, LayerTarget, RouterConfig, StreamIds, SubscriptionConfig, TrackConfig};
pub use event::{Event, Output, Transmit};
pub use packet::{Extension, ExtensionMap, Kind, Mid, Packet, Pt, Rid, RtpView, Ssrc};
pub use payload::{Codec, MediaKind};
pub use stats::DropReason;
pub use time::{NtpTime, RtpTime};
