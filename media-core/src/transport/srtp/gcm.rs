//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714): one call of the crypto library for each packet.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::transport::srtp::keys::SessionKeys;

/// Length of the tag, in bytes.
pub(super) const TAG: usize = 16;
/// Length of nonce and salt, in bytes.
const NONCE: usize = 12;

/// The key and salt of one protocol of one direction.
#[derive(Debug)]
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; NONCE],
}

impl Gcm {
    pub(super) fn new(keys: &SessionKeys) -> Self {
        let algorithm = if keys.profile.key_len() == 32 {
            &AES_256_GCM
        } else {
            &AES_128_GCM
        };
        let key = UnboundKey::new(algorithm, &keys.key[..keys.profile.key_len()])
            .expect("the session key has the length of its cipher");
        let mut salt = [0; NONCE];
        salt.copy_from_slice(&keys.salt[..NONCE]);
        Self {
            key: LessSafeKey::new(key),
            salt,
        }
    }

    /// Of an RTP packet (RFC 7714 §8.1): SSRC, rollover counter and sequence number are 48 bits of `index`.
    pub(super) fn rtp_nonce(&self, ssrc: u32, index: u64) -> [u8; NONCE] {
        let mut nonce = self.salt;
        xor(&mut nonce[2..6], &ssrc.to_be_bytes());
        xor(&mut nonce[6..12], &index.to_be_bytes()[2..]);
        nonce
    }

    /// Of an RTCP packet (RFC 7714 §9.1).
    pub(super) fn rtcp_nonce(&self, ssrc: u32, index: u32) -> [u8; NONCE] {
        let mut nonce = self.salt;
        xor(&mut nonce[2..6], &ssrc.to_be_bytes());
        xor(&mut nonce[8..12], &index.to_be_bytes());
        nonce
    }

    /// Encrypts `text` in place and writes the tag; `None` when `tag` has another length.
    #[inline]
    pub(super) fn seal(&self, nonce: [u8; NONCE], aad: &[u8], text: &mut [u8], tag: &mut [u8]) -> Option<()> {
        self.key
            .seal_in_place_scatter(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text, &[], tag)
            .ok()
    }

    /// Decrypts `text` into `out`, which has the same length.
    #[inline]
    pub(super) fn open(&self, nonce: [u8; NONCE], aad: &[u8], text: &[u8], tag: &[u8], out: &mut [u8]) -> Option<()> {
        self.key
            .open_separate_gather(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text, tag, out)
            .ok()
    }

    /// Decrypts `text` in place.
    pub(super) fn open_in_place(&self, nonce: [u8; NONCE], aad: &[u8], tag: &[u8], text: &mut [u8]) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, text)
            .ok()
            .map(|_| ())
    }
}

fn xor(into: &mut [u8], with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(into, with)| *into ^= with);
}
