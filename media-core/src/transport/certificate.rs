//! The DTLS identity: a self-signed certificate and its key (RFC 8827 §6.5).
//!
//! Whom a certificate belongs to is told by its fingerprint in SDP, so neither names nor dates in it mean anything
//! and no chain is checked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dimpl::DtlsCertificate;

use crate::transport::description::{Fingerprint, FingerprintHash};

/// First retransmission of a DTLS flight, doubled each time: WebRTC paths have their round trip below this, and media
/// waits for it (RFC 9147 §5.8.2 allows less than its 1 s).
const FLIGHT_RTO: Duration = Duration::from_millis(250);
/// Retransmissions of one flight: 250 ms doubled six times reaches past the handshake's whole time.
const FLIGHT_RETRIES: usize = 6;
/// How long a handshake may take in all.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest DTLS datagram that we send, in bytes: below every path that carries video.
pub(super) const MTU: usize = 1200;

/// A DTLS identity: certificate and private key, and the settings of DTLS. Cheap to clone (one reference count).
#[derive(Clone)]
pub struct Certificate {
    identity: Arc<Identity>,
}

struct Identity {
    dtls: DtlsCertificate,
    config: Arc<dimpl::Config>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Makes a new key (ECDSA, P-256) and signs a certificate for it, with a year from today as its validity.
    ///
    /// Some milliseconds; meant to be done once for a process. It takes randomness, and the date, from the system.
    ///
    /// # Errors
    /// [`CertificateError`] when the system gives no randomness or the crypto library refuses.
    pub fn generate() -> Result<Self, CertificateError> {
        let dtls = dimpl::certificate::generate_self_signed_certificate().map_err(|_| CertificateError::Generation)?;
        Self::from_der(dtls.certificate, dtls.private_key)
    }

    /// Takes a certificate in DER and its private key in PKCS #8 DER; ECDSA on P-256 or P-384.
    ///
    /// # Errors
    /// [`CertificateError::Configuration`] when the crypto library fails its self-test.
    pub fn from_der(certificate: Vec<u8>, private_key: Vec<u8>) -> Result<Self, CertificateError> {
        // A cookie round trip would prove the peer's address; ICE has proved it before DTLS is let in.
        let config = dimpl::Config::builder()
            .mtu(MTU)
            .use_server_cookie(false)
            .require_client_certificate(true)
            .flight_start_rto(FLIGHT_RTO)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT)
            .build()
            .map_err(|_| CertificateError::Configuration)?;
        let fingerprint = Fingerprint::of(&certificate, FingerprintHash::Sha256);
        let dtls = DtlsCertificate {
            certificate,
            private_key,
        };
        Ok(Self {
            identity: Arc::new(Identity {
                dtls,
                config: Arc::new(config),
                fingerprint,
            }),
        })
    }

    /// Its SHA-256 fingerprint, for SDP.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint
    }

    /// What DTLS wants to own: copies of certificate and key, about 500 bytes.
    pub(super) fn dtls(&self) -> DtlsCertificate {
        self.identity.dtls.clone()
    }

    /// The settings, shared.
    pub(super) fn config(&self) -> Arc<dimpl::Config> {
        Arc::clone(&self.identity.config)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.identity.fingerprint).finish()
    }
}

/// Why there is no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// Key or certificate could not be made.
    Generation,
    /// The crypto library refused the settings.
    Configuration,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generation => "no key or certificate could be made",
            Self::Configuration => "the crypto library refused the DTLS settings",
        })
    }
}

impl std::error::Error for CertificateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_is_another() {
        let (one, two) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert!(one.fingerprint().matches(&one.dtls().certificate));
    }
}
