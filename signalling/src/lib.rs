//! Rooms, session descriptions, access tokens, WHIP and WHEP (the latter under construction).
#![forbid(unsafe_code)]
pub mod room;
pub mod sdp;
pub mod token;
