//! Packets as they lie in memory: borrowed views, shared buffers, in-place writing.
//!
//! RFC 3550 §5 (RTP header), RFC 8285 (header extensions), RFC 7983 (demultiplexing). This room knows bytes and
//! arithmetic; it does not know streams, peers or time.
//!
//! | file | one idea |
//! |---|---|
//! | [`demux`] | STUN, DTLS, RTP or RTCP, by the first bytes |
//! | [`ids`] | `Ssrc`, `Pt`, `Mid`, `Rid`: names that cannot be mixed up |
//! | [`seq`] | sequence numbers that do not wrap |
//! | [`view`] | a borrowed, bounds-checked RTP packet |
//! | [`extension`] | which extension has which id, and what its bytes mean |
//! | [`pool`] | where received packets live |
//! | [`shared`] | a received packet, immutable and shared |
//! | [`write`](mod@write) | the subscriber's own header in front of a shared payload |

pub mod demux;
pub mod extension;
pub mod ids;
pub mod pool;
pub mod seq;
pub mod shared;
pub mod view;
pub mod write;

pub use demux::Kind;
pub use extension::{Extension, ExtensionMap};
pub use ids::{Mid, Pt, Rid, Ssrc};
pub use pool::Pool;
pub use seq::{SeqExtender, SeqNo};
pub use shared::Packet;
pub use view::{Layout, ParseError, RtpView};
pub use write::RtpWriter;

#[cfg(test)]
mod tests;
