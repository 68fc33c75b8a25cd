#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod addresses;
mod config;
mod driver;
mod engine;
mod handover;
mod local;
mod net;
mod reply;
mod sockets;
mod stats;
mod sys;
mod tcp;
mod udp;
mod worker;

pub use addresses::network_address;
pub use config::{EventSink, MAX_WORKERS, NetConfig};
pub use engine::{Engine, Seat};
pub use local::{LocalPacket, LocalPeer};
pub use net::{Net, ShutdownError, StartError};
pub use reply::{Gone, Reply};
pub use stats::NetStats;
pub use worker::{CommandError, Worker};
