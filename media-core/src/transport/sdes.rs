//! SRTP keys in SDP: `a=crypto` (RFC 4568 §9.1), for peers without DTLS. Whoever can read the SDP can read the media.
//!
//! One key without MKI for each direction. Its lifetime is not counted: a session ends long before 2⁴⁸ packets.
//! Session parameters other than `WSH`, which is advice, are refused, since they change what packets look like.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::transport::SrtpProfile;
use crate::transport::srtp::MasterKey;

/// Longest key and salt together, in bytes: AES-256 and a salt of 12.
const MAX_KEY: usize = 44;
/// Longest attribute that is read, in bytes.
const MAX_ATTRIBUTE: usize = 512;

/// The names of RFC 4568 §6.2 and RFC 7714 §14.1.
const SUITES: [(&str, SrtpProfile); 3] = [
    ("AEAD_AES_128_GCM", SrtpProfile::AeadAes128Gcm),
    ("AEAD_AES_256_GCM", SrtpProfile::AeadAes256Gcm),
    ("AES_CM_128_HMAC_SHA1_80", SrtpProfile::Aes128CmSha1_80),
];

/// The protection and master key of one direction: one `a=crypto` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdesKey {
    /// Which line of an offer this is, or answers.
    pub tag: u32,
    /// Profile, key and salt.
    pub master: MasterKey,
}

impl SdesKey {
    /// A new random key.
    ///
    /// # Panics
    /// When the system gives no randomness; nothing could be kept secret then.
    #[must_use]
    pub fn generate(tag: u32, profile: SrtpProfile) -> Self {
        let mut bytes = [0; MAX_KEY];
        rand::fill(&mut bytes).expect("the system gives randomness");
        let (key, salt) = bytes.split_at(profile.key_len());
        let master = MasterKey::new(profile, key, &salt[..profile.salt_len()]).expect("the lengths are the profile's");
        Self { tag, master }
    }
}

impl FromStr for SdesKey {
    type Err = SdesError;

    /// Reads the value of the attribute, with or without `a=crypto:` in front.
    fn from_str(text: &str) -> Result<Self, SdesError> {
        use SdesError::{Malformed, Parameter, Suite};
        if text.len() > MAX_ATTRIBUTE {
            return Err(Malformed);
        }
        let text = text.trim();
        let mut words = text.strip_prefix("a=crypto:").unwrap_or(text).split_ascii_whitespace();
        let tag = words.next().ok_or(Malformed)?;
        if tag.len() > 9 || !tag.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Malformed);
        }
        let tag = tag.parse().map_err(|_| Malformed)?;
        let name = words.next().ok_or(Malformed)?;
        let keys = words.next().ok_or(Malformed)?;
        let profile = SUITES.iter().find(|(suite, _)| *suite == name).ok_or(Suite)?.1;

        let mut parts = keys.strip_prefix("inline:").ok_or(Malformed)?.split('|');
        let encoded = parts.next().unwrap_or_default();
        // What follows is a lifetime, or an MKI with its length; several keys are told apart by their MKI.
        if parts.any(|part| part.contains(':')) || keys.contains(';') {
            return Err(Parameter);
        }
        if words.any(|parameter| !parameter.starts_with("WSH=")) {
            return Err(Parameter);
        }
        let bytes = STANDARD.decode(encoded).map_err(|_| Malformed)?;
        let (key, salt) = bytes.split_at_checked(profile.key_len()).ok_or(Malformed)?;
        Ok(Self {
            tag,
            master: MasterKey::new(profile, key, salt).ok_or(Malformed)?,
        })
    }
}

impl fmt::Display for SdesKey {
    /// Writes the value of the attribute, the secret included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = SUITES
            .iter()
            .find(|(_, profile)| *profile == self.master.profile())
            .map_or("", |suite| suite.0);
        let bytes = [self.master.key(), self.master.salt()].concat();
        write!(f, "{} {name} inline:{}", self.tag, STANDARD.encode(bytes))
    }
}

/// Why an `a=crypto` line is not used. An offer may hold others that are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdesError {
    /// Not the syntax of RFC 4568 §9.1, or a key of another length.
    Malformed,
    /// A suite that is not supported.
    Suite,
    /// An MKI, several keys, or a session parameter that is not supported.
    Parameter,
}

impl fmt::Display for SdesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a crypto attribute, or a key of the wrong length",
            Self::Suite => "the crypto suite is not supported",
            Self::Parameter => "the crypto attribute wants an MKI, several keys or other session parameters",
        })
    }
}

impl std::error::Error for SdesError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 4568 §6.1, without its session parameters.
    const LINE: &str = "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn reads_what_it_prints() {
        let key: SdesKey = LINE.parse().unwrap();
        assert_eq!(key.to_string(), LINE);
        assert_eq!(format!("a=crypto:{LINE}|2^20 WSH=64").parse(), Ok(key));
        for (_, profile) in SUITES {
            let key = SdesKey::generate(7, profile);
            assert_eq!(key.to_string().parse(), Ok(key.clone()));
            assert_ne!(SdesKey::generate(7, profile), key);
        }
        for end in 0..LINE.len() {
            assert!(LINE[..end].parse::<SdesKey>().is_err(), "{end}");
        }
    }

    #[test]
    fn refuses_what_would_change_packets() {
        let table = [
            (format!("{LINE}|2^20|1:4"), SdesError::Parameter),
            (format!("{LINE};{}", &LINE[26..]), SdesError::Parameter),
            (format!("{LINE} UNENCRYPTED_SRTCP"), SdesError::Parameter),
            (format!("{LINE} KDR=1"), SdesError::Parameter),
            (LINE.replace("_80", "_32"), SdesError::Suite),
            (LINE.replace("CM_128", "CM_256"), SdesError::Suite),
            (
                LINE.replace("AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"),
                SdesError::Malformed,
            ),
            (LINE.replace("inline:", "outline:"), SdesError::Malformed),
            (LINE.replacen('1', "+1", 1), SdesError::Malformed),
        ];
        for (line, error) in table {
            assert_eq!(line.parse::<SdesKey>(), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,60}", at in 0..LINE.len()) {
            let _ = text.parse::<SdesKey>();
            let _ = format!("{}{text}", &LINE[..at]).parse::<SdesKey>();
        }
    }
}
