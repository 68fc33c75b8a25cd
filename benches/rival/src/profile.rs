//! Tells once which SRTP profile (RFC 3711, RFC 7714) was agreed on: str0m says it in its log alone.

use std::sync::Once;

use str0m::crypto::{
    SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm, SupportedAes128CmSha1_80, from_feature_flags,
};

/// Makes str0m's own cryptography the one of this process, with ears.
pub(crate) fn install() {
    let mut provider = from_feature_flags();
    provider.srtp_provider = Box::leak(Box::new(Telling(provider.srtp_provider)));
    provider.install_process_default();
}

/// Asked for ciphers once for each session and direction, not for each packet.
#[derive(Debug)]
struct Telling(&'static dyn SrtpProvider);

fn tell(profile: &str) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| eprintln!("rival: media under {profile}"));
}

impl SrtpProvider for Telling {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        tell("AES128_CM_HMAC_SHA1_80");
        self.0.aes_128_cm_sha1_80()
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        tell("AEAD_AES_128_GCM");
        self.0.aead_aes_128_gcm()
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        tell("AEAD_AES_256_GCM");
        self.0.aead_aes_256_gcm()
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.0.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.0.srtp_aes_256_ecb_round(key, input, output);
    }
}
