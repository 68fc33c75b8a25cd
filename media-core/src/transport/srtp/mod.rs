//! SRTP and SRTCP (RFC 3711, RFC 7714): protection of packets, without any negotiation.
//!
//! | file | one idea |
//! |---|---|
//! | `keys` | master keys and what is derived from them |
//! | `gcm` | the two AEAD profiles |
//! | `cm80` | AES128_CM_HMAC_SHA1_80 |
//! | `replay` | what was seen, and the rollover counter of what comes |
//! | `context` | one direction of a session |
//!
//! Not here: MKI, re-keying while a session runs, key derivation rates, unencrypted SRTCP.

mod cm80;
mod context;
mod gcm;
mod keys;
mod replay;
#[cfg(test)]
mod tests;

pub use context::{MAX_SSRCS, Opener, Sealer};
pub use keys::MasterKey;
pub use replay::WINDOW;
