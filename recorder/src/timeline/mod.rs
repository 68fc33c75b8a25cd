//! From a sender's media clock to the one clock of a recording.
//!
//! ```text
//!  RTP timestamp ──MediaClock──► sender's wall clock ──SenderWall──► since the recording began ──Slew──► MediaTime
//!  one per SSRC    (reports,      one per person       (least delay                       one per track
//!                   capture times)                      of the reports)
//!        └────────────── before the first report: by arrival, least delay ──────────────────┘
//! ```
//!
//! * Sender reports (RFC 3550 §6.4.1) and capture times relate the tracks of one person to each other exactly: a line through
//!   the last of them follows the drift of a sound card against the computer's clock.
//! * The reports of a person that came with the least delay of the last half minute relate that clock to ours, so that the
//!   tracks of all people share one, and the drift of a computer's clock is followed too. What is left is the least delay
//!   of the network: a person with a line of 100 ms is recorded 100 ms late, as he was heard.
//! * Corrections never step back: time in a track runs up to a tenth slower or faster until it is right.
//!
//! All is arithmetic; no clock is asked. What a peer says is believed as far as arrival bears it out.

mod least;
mod media;
mod slew;
mod wall;

pub use media::MediaClock;
pub use slew::{MAX_AHEAD, Slew};
pub use wall::SenderWall;

#[cfg(test)]
mod tests;
