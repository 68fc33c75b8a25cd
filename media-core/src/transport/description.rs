//! What two peers tell each other in SDP before the first datagram: ICE credentials, certificate fingerprint, DTLS role.
//!
//! RFC 8839 §5.4 (ufrag, pwd), RFC 8842 §5 (setup, fingerprint), RFC 8122 §5 (fingerprint). Plain data; the SDP text
//! itself is the business of signalling.

use std::fmt;

use aws_lc_rs::digest;

use crate::transport::Candidate;

/// Longest digest that a [`Fingerprint`] holds, in bytes: SHA-512.
const MAX_DIGEST: usize = 64;
/// Shortest and longest user fragment (RFC 8839 §5.4), in bytes.
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
/// Shortest and longest password (RFC 8839 §5.4), in bytes.
const PWD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// What we tell the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDescription {
    /// Our ICE user fragment and password.
    pub ice: IceCreds,
    /// We only answer checks (`a=ice-lite`).
    pub ice_lite: bool,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
    /// Our DTLS role: as configured until the peer's is known, then what follows from both.
    pub setup: Setup,
    /// Where we can be reached.
    pub candidates: Vec<Candidate>,
}

/// What the peer told us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDescription {
    /// The peer's ICE user fragment and password.
    pub ice: IceCreds,
    /// The peer only answers checks.
    pub ice_lite: bool,
    /// Of the peer's certificate: DTLS fails when it shows another one.
    pub fingerprint: Fingerprint,
    /// The peer's DTLS role.
    pub setup: Setup,
}

/// Why a remote description cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// User fragment or password have a length or letters that RFC 8839 forbids.
    Credentials,
    /// Both ends want to be the DTLS client, or both the server.
    SetupConflict,
    /// Both ends are ICE-lite: nobody would send checks.
    BothLite,
    /// The fingerprint or the DTLS role differ from those of the running session: that needs a new endpoint.
    SessionChanged,
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credentials => "the ICE user fragment or password is not valid",
            Self::SetupConflict => "both ends want the same DTLS role",
            Self::BothLite => "both ends are ICE-lite",
            Self::SessionChanged => "the fingerprint or DTLS role of a running session changed",
        })
    }
}

impl std::error::Error for RemoteError {}

/// An ICE user fragment and password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IceCreds {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`: a secret.
    pub pwd: String,
}

impl IceCreds {
    /// Whether both have a length and letters that RFC 8839 §5.4 allows.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let ice_chars = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        };
        UFRAG_LEN.contains(&self.ufrag.len())
            && PWD_LEN.contains(&self.pwd.len())
            && ice_chars(&self.ufrag)
            && ice_chars(&self.pwd)
    }
}

impl fmt::Debug for IceCreds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCreds")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

/// A DTLS role in SDP (RFC 8842 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setup {
    /// DTLS client.
    Active,
    /// DTLS server.
    Passive,
    /// Either: the answerer decides. We then choose to be the server, so that the peer's first flight comes when it
    /// has found its path.
    Actpass,
}

impl Setup {
    /// Reads the value of `a=setup`; `None` for anything else, `holdconn` too.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::Actpass),
            _ => None,
        }
    }

    /// Whether an end with this role is the DTLS client against a peer with role `remote`; `None` when they conflict.
    #[must_use]
    pub fn is_client_against(self, remote: Self) -> Option<bool> {
        match (self, remote) {
            (Self::Active, Self::Passive | Self::Actpass) | (Self::Actpass, Self::Passive) => Some(true),
            (Self::Passive | Self::Actpass, Self::Active | Self::Actpass) => Some(false),
            (Self::Active, Self::Active) | (Self::Passive, Self::Passive) => None,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Actpass => "actpass",
        })
    }
}

/// A hash function that a fingerprint may use; SHA-1 and MD5 are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FingerprintHash {
    /// `sha-256`, the one that all browsers use.
    Sha256,
    /// `sha-384`.
    Sha384,
    /// `sha-512`.
    Sha512,
}

impl FingerprintHash {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }
}

/// The hash of a certificate, as `a=fingerprint` carries it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    hash: FingerprintHash,
    bytes: [u8; MAX_DIGEST],
}

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8], hash: FingerprintHash) -> Self {
        let digest = digest::digest(hash.algorithm(), certificate);
        let mut bytes = [0; MAX_DIGEST];
        bytes[..digest.as_ref().len()].copy_from_slice(digest.as_ref());
        Self { hash, bytes }
    }

    /// Reads the value of `a=fingerprint`, like `sha-256 AB:CD:…`; `None` for another hash or malformed digits.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, digits) = value.trim().split_once(' ')?;
        let hash = [
            FingerprintHash::Sha256,
            FingerprintHash::Sha384,
            FingerprintHash::Sha512,
        ]
        .into_iter()
        .find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let (mut bytes, mut count) = ([0; MAX_DIGEST], 0);
        for pair in digits.trim().split(':') {
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            *bytes.get_mut(count)? = u8::from_str_radix(pair, 16).ok()?;
            count += 1;
        }
        (count == hash.algorithm().output_len()).then_some(Self { hash, bytes })
    }

    /// Which hash.
    #[must_use]
    pub fn hash(&self) -> FingerprintHash {
        self.hash
    }

    /// The digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.hash.algorithm().output_len()).unwrap_or_default()
    }

    /// Whether `certificate`, in DER, has this fingerprint.
    #[must_use]
    pub fn matches(&self, certificate: &[u8]) -> bool {
        Self::of(certificate, self.hash) == *self
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (i, byte) in self.bytes().iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_read_what_they_print() {
        for hash in [
            FingerprintHash::Sha256,
            FingerprintHash::Sha384,
            FingerprintHash::Sha512,
        ] {
            let fingerprint = Fingerprint::of(b"certificate", hash);
            let text = fingerprint.to_string();
            assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
            assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(fingerprint));
            assert!(fingerprint.matches(b"certificate") && !fingerprint.matches(b"another"));
            for end in 0..text.len() {
                assert_eq!(Fingerprint::parse(&text[..end]), None, "{end}");
            }
        }
        for bad in ["sha-1 00:11", "sha-256", "sha-256 0:1", "sha-256 +0:11", ""] {
            assert_eq!(Fingerprint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn roles_follow_from_both_ends() {
        use Setup::{Active, Actpass, Passive};
        let table = [
            (Active, Passive, Some(true)),
            (Active, Actpass, Some(true)),
            (Active, Active, None),
            (Passive, Passive, None),
            (Passive, Active, Some(false)),
            (Passive, Actpass, Some(false)),
            (Actpass, Active, Some(false)),
            (Actpass, Passive, Some(true)),
            (Actpass, Actpass, Some(false)),
        ];
        for (local, remote, client) in table {
            assert_eq!(local.is_client_against(remote), client, "{local} {remote}");
            assert_eq!(Setup::parse(&local.to_string()), Some(local));
        }
    }

    #[test]
    fn credentials_have_bounds() {
        let creds = |ufrag: &str, pwd: &str| IceCreds {
            ufrag: ufrag.to_owned(),
            pwd: pwd.to_owned(),
        };
        assert!(creds("abcd", "0123456789abcdefghij+/").is_valid());
        assert!(!creds("abc", "0123456789abcdefghij+/").is_valid());
        assert!(!creds("abcd", "short").is_valid());
        assert!(!creds("ab:d", "0123456789abcdefghij+/").is_valid());
        assert!(!format!("{:?}", creds("abcd", "0123456789abcdefghij+/")).contains("0123"));
    }
}
