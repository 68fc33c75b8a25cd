//! AES128_CM_HMAC_SHA1_80 (RFC 3711 §4.1.1, §4.2.1): counter mode and a truncated HMAC.
//!
//! Four fifths of its cost are SHA-1, which is why [`SrtpProfile::AeadAes128Gcm`](crate::transport::SrtpProfile) is
//! preferred wherever the peer has it.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use crate::transport::srtp::keys::{MAX_SALT, SessionKeys};

/// Length of the tag, in bytes: 80 bits.
pub(super) const TAG: usize = 10;

/// The keys and salt of one protocol of one direction; key schedule and HMAC pads are computed once.
#[derive(Debug)]
pub(super) struct Cm80 {
    cipher: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; MAX_SALT],
}

impl Cm80 {
    pub(super) fn new(keys: &SessionKeys) -> Self {
        let cipher = UnboundCipherKey::new(&AES_128, &keys.key[..16])
            .and_then(EncryptingKey::ctr)
            .expect("the session key has the length of its cipher");
        Self {
            cipher,
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &keys.auth),
            salt: keys.salt,
        }
    }

    /// Encrypts or decrypts in place. `index` is that of RTP (48 bits) or of RTCP (31 bits).
    #[inline]
    pub(super) fn apply(&self, ssrc: u32, index: u64, text: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..MAX_SALT].copy_from_slice(&self.salt);
        iv[4..8]
            .iter_mut()
            .zip(ssrc.to_be_bytes())
            .for_each(|(iv, ssrc)| *iv ^= ssrc);
        iv[8..14]
            .iter_mut()
            .zip(&index.to_be_bytes()[2..])
            .for_each(|(iv, index)| *iv ^= index);
        self.cipher
            .less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(iv)))
            .expect("counter mode takes any length");
    }

    /// The tag of `message` (for RTP, the packet and the rollover counter).
    #[inline]
    pub(super) fn tag(&self, message: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hmac::sign(&self.auth, message).as_ref()[..TAG]);
        tag
    }

    /// Whether `tag` is that of `message` and `trailer`.
    #[inline]
    pub(super) fn verify(&self, message: &[u8], trailer: &[u8], tag: &[u8]) -> bool {
        let mut context = hmac::Context::with_key(&self.auth);
        context.update(message);
        context.update(trailer);
        verify_slices_are_equal(&context.sign().as_ref()[..TAG], tag).is_ok()
    }
}
