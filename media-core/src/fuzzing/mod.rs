//! The bodies of the fuzz targets: one function per door to the wire, and per state machine that remote input drives.
//!
//! Each takes any bytes and panics when something that must hold does not. They exist under `cfg(fuzzing)` (for
//! `fuzz/`, see `cargo xtask fuzz`) and in tests, which replay the seeds of `fuzz/seeds/` and some random bytes.
//!
//! | file | one idea |
//! |---|---|
//! | `choices` | bytes as a series of decisions |
//! | `wire` | RTP and RTCP |
//! | `payload` | payload formats and the dependency descriptor |
//! | `transport` | attributes of SDP, STUN, ClientHello, SRTP |
//! | `data` | data channels with a peer that has lost its manners |
//! | `fec` | FEC packets over packets of any content |
//! | `numbers` | series of operations on rewriting and on the log of what was sent |
//! | `router` | a whole router: plain RTP with subscribers, WebRTC from nowhere, a handshake that is tampered with |

#![expect(clippy::missing_panics_doc, reason = "a panic is how a body says what it has found")]

mod choices;
pub(crate) mod data;
mod fec;
mod numbers;
mod payload;
mod router;
mod transport;
mod wire;

pub use data::data;
pub use fec::fec;
pub use numbers::{forward, history};
pub use payload::{av1, dependency_descriptor, h264, opus, red, vp8, vp9};
pub use router::{datagram, handshake, plain};
pub use transport::{attribute, client_hello, srtp, stun};
pub use wire::{extension, rtcp, rtp, transport_cc};

/// The body of a target.
pub type Body = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Body); 22] = [
    ("attribute", attribute),
    ("client_hello", client_hello),
    ("data", data),
    ("datagram", datagram),
    ("extension", extension),
    ("fec", fec),
    ("forward", forward),
    ("handshake", handshake),
    ("history", history),
    ("payload_av1", av1),
    ("payload_dd", dependency_descriptor),
    ("payload_h264", h264),
    ("payload_opus", opus),
    ("payload_red", red),
    ("payload_vp8", vp8),
    ("payload_vp9", vp9),
    ("plain", plain),
    ("rtcp", rtcp),
    ("rtp", rtp),
    ("srtp", srtp),
    ("stun", stun),
    ("transport_cc", transport_cc),
];

#[cfg(test)]
mod tests;
