//! Master keys and what is derived from them.
//!
//! RFC 3711 §4.3 (derivation, with the rate 0 that DTLS-SRTP and SDES use: once per session), RFC 5764 §4.2 (the
//! layout of exported material), RFC 7714 §11 (12-byte salts).

use std::fmt;

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

use crate::transport::SrtpProfile;

/// Longest encryption key, in bytes.
const MAX_KEY: usize = 32;
/// Longest salt, in bytes.
pub(super) const MAX_SALT: usize = 14;
/// An HMAC-SHA1 key (RFC 3711 §5.2), in bytes.
pub(super) const AUTH_KEY: usize = 20;

/// The labels of RFC 3711 §4.3.2, for one of the two protocols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    encryption: u8,
    authentication: u8,
    salt: u8,
}

impl Labels {
    pub(super) const RTP: Self = Self {
        encryption: 0,
        authentication: 1,
        salt: 2,
    };
    pub(super) const RTCP: Self = Self {
        encryption: 3,
        authentication: 4,
        salt: 5,
    };
}

impl SrtpProfile {
    /// Length of the master key and of the encryption keys, in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt and of the session salts, in bytes.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }
}

/// The master key and salt of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    profile: SrtpProfile,
    key: [u8; MAX_KEY],
    salt: [u8; MAX_SALT],
}

impl MasterKey {
    /// `None` when a length is not the profile's.
    #[must_use]
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return None;
        }
        let mut master = Self {
            profile,
            key: [0; MAX_KEY],
            salt: [0; MAX_SALT],
        };
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        Some(master)
    }

    /// The keys of the DTLS client and of the DTLS server, from the exported material (RFC 5764 §4.2); `None` when
    /// that has another length.
    #[must_use]
    pub fn from_dtls(profile: SrtpProfile, material: &[u8]) -> Option<(Self, Self)> {
        let (client_key, rest) = material.split_at_checked(profile.key_len())?;
        let (server_key, rest) = rest.split_at_checked(profile.key_len())?;
        let (client_salt, server_salt) = rest.split_at_checked(profile.salt_len())?;
        Some((
            Self::new(profile, client_key, client_salt)?,
            Self::new(profile, server_key, server_salt)?,
        ))
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The master key's bytes: a secret.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.get(..self.profile.key_len()).unwrap_or_default()
    }

    /// The master salt's bytes: a secret.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        self.salt.get(..self.profile.salt_len()).unwrap_or_default()
    }

    pub(super) fn derive(&self, labels: Labels) -> SessionKeys {
        let algorithm = if self.profile.key_len() == 32 {
            &AES_256
        } else {
            &AES_128
        };
        let prf = UnboundCipherKey::new(algorithm, self.key())
            .and_then(EncryptingKey::ctr)
            .expect("the master key has the length of its cipher");
        let mut keys = SessionKeys {
            profile: self.profile,
            key: [0; MAX_KEY],
            auth: [0; AUTH_KEY],
            salt: [0; MAX_SALT],
        };
        expand(
            &prf,
            &self.salt,
            labels.encryption,
            &mut keys.key[..self.profile.key_len()],
        );
        expand(&prf, &self.salt, labels.authentication, &mut keys.auth);
        expand(&prf, &self.salt, labels.salt, &mut keys.salt[..self.profile.salt_len()]);
        keys
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// What one protocol of one direction uses. The salt has zeros behind its end.
pub(super) struct SessionKeys {
    pub(super) profile: SrtpProfile,
    pub(super) key: [u8; MAX_KEY],
    pub(super) auth: [u8; AUTH_KEY],
    pub(super) salt: [u8; MAX_SALT],
}

/// AES-CM as pseudo-random function (RFC 3711 §4.3.3): the key stream from `(salt ⊕ label · 2⁴⁸) · 2¹⁶`.
fn expand(prf: &EncryptingKey, salt: &[u8; MAX_SALT], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..MAX_SALT].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    prf.less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(iv)))
        .expect("counter mode takes any length");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 §B.3.
    #[test]
    fn derives_as_the_rfc() {
        let master = MasterKey::new(
            SrtpProfile::Aes128CmSha1_80,
            &hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
            &hex("0EC675AD498AFEEBB6960B3AABE6"),
        );
        let keys = master.unwrap().derive(Labels::RTP);
        assert_eq!(keys.key[..16], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(keys.salt[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        // The RFC shows 94 bytes of key stream; the first 20 are what HMAC-SHA1 takes.
        assert_eq!(keys.auth[..], hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    #[test]
    fn exported_material_is_cut_in_the_order_of_the_rfc() {
        let material: Vec<u8> = (0..60).collect();
        let (client, server) = MasterKey::from_dtls(SrtpProfile::Aes128CmSha1_80, &material).unwrap();
        assert_eq!((client.key(), server.key()), (&material[..16], &material[16..32]));
        assert_eq!((client.salt(), server.salt()), (&material[32..46], &material[46..]));
        for end in 0..60 {
            assert_eq!(
                MasterKey::from_dtls(SrtpProfile::Aes128CmSha1_80, &material[..end]),
                None,
                "{end}"
            );
        }
        assert_eq!(MasterKey::from_dtls(SrtpProfile::AeadAes256Gcm, &material), None);
    }

    fn hex(digits: &str) -> Vec<u8> {
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }
}
