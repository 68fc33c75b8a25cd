//! Session descriptions: read an offer, answer it, write the answer; and the same from the other side.
//!
//! RFC 8866 (syntax), RFC 9429 (JSEP), RFC 9143 (BUNDLE), RFC 8853 (simulcast), RFC 8840 (fragments), RFC 9725 §4.4 (what
//! WHIP needs of them), RFC 8841 (data channels). No `a=crypto`; what is neither media nor data is rejected.
//!
//! ```text
//!   text --parse--> Description --answer(codecs, wish)--> Agreement --describe(local)--> Description --to_string--> text
//!                                                             |
//!                                                             +-- tracks(), subscriptions(): what the router is told
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | `raw` | lines with numbers; the only file that knows the syntax crate |
//! | [`description`] | the model |
//! | `parse`, `write` | lines to model, model to lines |
//! | [`codec`] | formats and codecs |
//! | [`simulcast`] | encodings and their order |
//! | [`mod@answer`] | what of an offer is accepted |
//! | [`mod@offer`] | what a client asks for |
//! | [`agreement`] | what both settle; the bridge to the router |
//! | [`fragment`] | candidates that come later |

pub mod agreement;
pub mod answer;
pub mod codec;
pub mod description;
pub mod fragment;
pub mod offer;
mod parse;
mod raw;
pub mod simulcast;
mod write;

#[cfg(test)]
mod tests;

pub use agreement::{Agreed, Agreement, NegotiationError, Outgoing, Role};
pub use answer::{Reception, Red, Wish, answer, answer_growing};
pub use codec::{CodecSpec, Codecs, Format, H264Profile};
pub use description::{Description, Direction, MAX_SECTIONS, Msid, Section, SectionKind};
pub use fragment::Fragment;
pub use offer::{Lane, OfferedMedia, OfferedStream, accept, offer, offer_to_send};
pub use raw::{MAX_SDP_LEN, SdpError};
