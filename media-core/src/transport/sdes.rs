//! SRTP keys in SDP: `a=crypto` (RFC 4568 §4, §6), for peers without DTLS.
//!
//! Reads and writes the attribute of one direction. One key, no lifetime worth counting, no MKI; session parameters
//! other than `WSH` (which is advice) are refused, since they would change how packets look.

use std::fmt;

use crate::transport::SrtpProfile;

/// Longest key and salt together, in bytes: AES-256 with a 12-byte salt.
const MAX_KEY: usize = 44;

/// The protection and master key of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct SdesKey {
    /// The crypto suite.
    pub profile: SrtpProfile,
    /// The master key, then the master salt.
    pub(super) bytes: [u8; MAX_KEY],
}

impl fmt::Debug for SdesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdesKey")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
