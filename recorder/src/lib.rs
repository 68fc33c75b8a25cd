#![cfg_attr(feature = "file", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "file"),
    doc = "Recording: RTP packets of the repaired stream in, bytes of files out."
)]
#![forbid(unsafe_code)]

pub mod consent;
pub mod container;
#[cfg(feature = "file")]
pub mod file;
pub mod frame;
pub mod input;
pub mod recording;
pub mod recover;
pub mod timeline;
pub mod upload;

pub use frame::{AudioFormat, Frame, MediaTime, TrackFormat, VideoFormat};
