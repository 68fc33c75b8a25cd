//! What the tests of Althing stand on, in virtual time and from a seed: never part of a product.
//!
//! | room | one idea |
//! |---|---|
//! | [`clock`] | time that passes only when a test says so |
//! | [`rng`] | the same luck on every machine |
//! | [`network`] | a bad network, sans-I/O: loss, bursts, delay, jitter, reordering, duplication, a slow link with a queue |
//! | [`congestion`] | bad lines and what the estimator makes of them |
//! | [`peer`] | participants in the test's own process: synthetic cameras, critical viewers |
//! | [`simulation`] | a router, its peers and the networks between them |
//! | [`client`] | a peer on a real socket, by WHIP or WHEP to a running server |
//! | [`media`] | real media: clips that ffmpeg encodes, taken apart into frames |
//! | [`scratch`] | folders that belong to one test |
//! | [`alloc`] | an allocator that counts, per thread |
//!
//! Programs: `network` runs the scenarios of [`congestion`]; `relay` is the network emulator between real browsers and a real server (UDP); `subscribers` measures what
//! a packet costs a running server.
#![deny(unsafe_code)]

pub mod alloc;
pub mod client;
pub mod clock;
pub mod congestion;
pub mod media;
pub mod network;
pub mod peer;
pub mod rng;
pub mod scratch;
pub mod simulation;

pub use clock::Clock;
pub use network::{Chance, Link, LinkConfig, Rate};
pub use peer::Peer;
pub use rng::Rng;
pub use simulation::Simulation;
