//! What comes from a publisher: one track, its encoded streams, what is missing of them.
//!
//! RFC 3550 §6.4 and §A (statistics), RFC 4585 (NACK, PLI), RFC 4588 (retransmission), RFC 8853 (simulcast). Knows
//! nothing of subscribers beyond their names.
//!
//! | file | one idea |
//! |---|---|
//! | [`track`] | a media section: codecs by payload type, encodings by RID, who listens |
//! | [`stream`] | one encoded stream: numbers, history, keyframes |
//! | [`loss`] | what is missing, when to ask |
//! | [`report`] | report blocks and the sender's clock |
//! | [`history`] | the last packets, one reference each |
//! | [`meter`] | how much a stream takes |
//! | [`arrival`] | transport-wide arrival times |
//! | [`keyframe`] | keyframe requests: merged, throttled, repeated |
//! | [`rtx`] | retransmissions unwrapped in place |
//! | [`red`] | redundant audio taken apart: what was lost comes back |

pub mod arrival;
pub mod history;
pub mod keyframe;
pub mod loss;
pub mod meter;
pub mod red;
pub mod report;
pub mod rtx;
pub mod stream;
pub mod track;

pub use stream::Stream;
pub use track::{PtUse, Track};
