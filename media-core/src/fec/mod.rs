//! Lost packets made again from others: FlexFEC (draft-ietf-payload-flexible-fec-scheme-03, in SDP `flexfec-03`), which is
//! what libwebrtc speaks. RFC 8627, which came of it, has another header.
//!
//! An FEC packet is the exclusive-or of some media packets of one stream, and says which. Whoever lacks one of them, and has
//! the others, makes it anew, to the last bit. Here are formats and sums; when repair is worth its rate is decided in
//! [`crate::send::demand`].
//!
//! What is written as a packet leaves (transport-wide number, time of sending, its offset) counts as zero in the sums, on
//! both sides, as in libwebrtc (`docs/rfc.md`): a packet that is made anew has zeros there.
//!
//! | file | one idea |
//! |---|---|
//! | [`header`] | which packets an FEC packet protects: 15, 46 or 109 bits |
//! | [`parity`] | the sum of packets, and the packet that is left of it |
//! | [`protector`] | which FEC packets are made over an outgoing stream |
//! | [`recovery`] | FEC packets that wait for what they protect |

pub mod header;
pub mod parity;
pub mod protector;
pub mod recovery;

#[cfg(test)]
mod tests;

pub use header::Header;
pub use parity::Parity;
pub use protector::Protector;
pub use recovery::Recovery;
