//! The names that RTP gives to things, as types of their own so that they cannot be mixed up.

use std::fmt;

/// Longest `Mid` or `Rid` that is kept, in bytes: what a one-byte header extension can carry (RFC 8285 §4.2).
pub const MAX_NAME: usize = 16;

/// Synchronization source (RFC 3550 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// Payload type, 0 to 127 (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pt(u8);

impl Pt {
    /// Keeps the low seven bits of `value`.
    #[must_use]
    pub const fn new(value: u8) -> Self {
        Self(value & 0x7f)
    }

    /// The number, 0 to 127.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// A short ASCII name held inline: no allocation, `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    len: u8,
    bytes: [u8; MAX_NAME],
}

impl Name {
    /// Takes 1 to 16 bytes of visible ASCII without white space; `None` otherwise.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > MAX_NAME || !name.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut bytes = [0; MAX_NAME];
        bytes[..name.len()].copy_from_slice(name);
        Some(Self {
            len: u8::try_from(name.len()).ok()?,
            bytes,
        })
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Identifies a media section: `a=mid` in SDP and the `sdes:mid` header extension (RFC 9143 §15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(pub Name);

/// Identifies one encoding of a simulcast track (RFC 8851, RFC 8852).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rid(pub Name);

impl Mid {
    /// See [`Name::new`].
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        Name::new(name.as_bytes()).map(Self)
    }
}

impl Rid {
    /// See [`Name::new`].
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        Name::new(name.as_bytes()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bounds() {
        assert!(Mid::new("").is_none());
        assert!(Mid::new("seventeen-letters").is_none());
        assert!(Mid::new("a b").is_none());
        assert_eq!(Mid::new("0").map(|mid| mid.0.to_string()), Some("0".to_owned()));
    }
}
