//! What is heard, judged by signals instead of ears; in virtual time.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod channels;
mod cost;
mod mix_minus;
mod room;
mod seams;
