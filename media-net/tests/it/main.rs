//! The sockets and workers from outside, on loopback, with an engine that echoes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod engine;
mod lifecycle;
mod local;
mod router;
mod stray;
mod tcp;
mod trains;
