//! Datagram in, RTP and RTCP out, and back: ICE, DTLS and SRTP, or plain RTP.

use std::net::SocketAddr;

/// What carries a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP with the framing of RFC 4571 (ICE-TCP, RFC 6544); we are passive.
    Tcp,
}

/// The two ends of a path: a datagram came from `remote` to our socket `local`, or goes the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// Our socket's address (not an advertised one).
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// How media is protected (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SrtpProfile {
    /// AES-128-GCM, 16 bytes of tag.
    AeadAes128Gcm,
    /// AES-256-GCM, 16 bytes of tag.
    AeadAes256Gcm,
    /// AES-128 counter mode, HMAC-SHA1 with 80 bits of tag.
    Aes128CmSha1_80,
}

/// A DTLS identity: certificate and private key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Certificate;

/// How a WebRTC endpoint starts.
#[derive(Debug, Clone)]
pub struct WebRtcConfig;

/// How a plain RTP endpoint starts.
#[derive(Debug, Clone)]
pub struct PlainConfig;
