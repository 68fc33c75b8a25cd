//! Recording: RTP packets of the repaired stream in, files out that are readable at every moment.
//!
//! The core is sans-I/O: frames, timeline and containers make bytes; where they go is the caller's business.
#![forbid(unsafe_code)]

pub mod container;
#[cfg(feature = "file")]
pub mod file;
pub mod frame;
pub mod input;
pub mod recover;
pub mod timeline;

pub use frame::{AudioFormat, Frame, MediaTime, TrackFormat, VideoFormat};
