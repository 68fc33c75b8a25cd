//! Who speaks: by the levels that come with packets of sound (RFC 6464), without decoding any.
//!
//! Each file is an idea of its own, without packets, sockets or clocks: they are told levels and times, and used by the
//! router, by signalling and by mixers. After the idea of Volfin and Cohen, *Dominant speaker identification for multipoint
//! videoconferencing* (2013): activity over three lengths of time, so that neither a cough nor a fan is a speaker.
//!
//! | file | one idea |
//! |---|---|
//! | [`voice`] | one microphone: is it speech, and how much of it lately |
//! | [`dominant`] | of several, who leads the conversation |
//! | [`last_n`] | whose pictures are shown when not all can be |
//! | [`loudest`] | whose sound is heard when not all can be |

pub mod dominant;
pub mod last_n;
pub mod loudest;
pub mod voice;

pub use dominant::Dominant;
pub use last_n::LastN;
pub use voice::{Activity, Voice};
