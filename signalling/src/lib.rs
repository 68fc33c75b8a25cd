#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod egress;
pub mod room;
pub mod sdp;
pub mod token;
pub mod webhook;

mod body;
mod guest;
mod http;
mod hub;
mod insider;
mod media;
mod problem;
mod protocol;
mod server;
mod session;

pub use guest::{Guest, GuestError, GuestTransport};
pub use insider::{Followed, Insider, Said};
pub use server::{Counts, EventQueue, Signalling, SignallingConfig, event_queue};
