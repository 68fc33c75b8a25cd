//! Datagram in, RTP and RTCP out, and back: ICE, DTLS and SRTP, or plain RTP, or a peer in the same process.
//!
//! | file | one idea |
//! |---|---|
//! | [`description`] | what two peers tell each other in SDP |
//! | [`candidate`] | one way to reach a peer, as SDP writes it |
//! | [`certificate`] | our DTLS identity |
//! | [`stun`] | whose is this binding request? |
//! | `ice` | finding a path, and consent |
//! | `client_hello` | which version of DTLS gives media the cheap cipher |
//! | `dtls` | the handshake that gives both ends their keys |
//! | [`srtp`] | protection of packets |
//! | [`sctp`] | data channels |
//! | [`sdes`] | SRTP keys in SDP |
//! | [`webrtc`] | ICE, DTLS, SRTP and SCTP put together |
//! | [`plain`] | RTP on a socket of its own |
//! | [`local`] | a peer in the same process |

pub mod candidate;
pub mod certificate;
pub(crate) mod client_hello;
pub mod description;
mod dtls;
mod ice;
pub mod local;
pub mod plain;
pub mod sctp;
pub mod sdes;
pub mod srtp;
pub mod stun;
#[cfg(test)]
mod tests;
pub mod webrtc;

use std::net::SocketAddr;
use std::time::Instant;

use crate::event::{DisconnectReason, Transmit};
use crate::packet::{Kind, Layout, SeqNo};
use crate::stats::DropReason;

pub use candidate::{Candidate, CandidateError, CandidateKind, TcpType};
pub use certificate::{Certificate, CertificateError};
pub use description::{
    Fingerprint, FingerprintHash, IceCreds, LocalDescription, RemoteDescription, RemoteError, Setup,
};
pub use local::Local;
pub use plain::{Plain, PlainConfig, PlainKeys, PlainRtcp};
pub use sctp::{DataChannelConfig, DataChannelId, DataEvent, DataKind, OpenDataError, Reliability, SendDataError};
pub use sdes::{SdesError, SdesKey};
pub use webrtc::{IceRole, WebRtc, WebRtcConfig};

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

/// A version of DTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DtlsVersion {
    /// RFC 6347.
    V1_2,
    /// RFC 9147.
    V1_3,
}

/// Something that happened to a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportEvent {
    /// There is a path and the media keys are there; once in the life of a transport.
    Connected {
        /// The protection, `None` for plain RTP without keys.
        profile: Option<SrtpProfile>,
    },
    /// The path for sending was chosen or has changed.
    RouteChanged(Route),
    /// Nothing will flow any more; the last event.
    Disconnected(DisconnectReason),
}

/// Longest trailer that sealing adds to RTP, in bytes: the tag of AES-GCM.
pub const MAX_RTP_TRAILER: usize = 16;
/// Longest trailer that sealing adds to RTCP, in bytes: the tag of AES-GCM and the SRTCP index.
pub const MAX_RTCP_TRAILER: usize = 20;

/// How the packets of one endpoint are carried: one interface for all kinds.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transport {
    /// ICE, DTLS, SRTP.
    WebRtc(Box<WebRtc>),
    /// RTP on a socket of its own.
    Plain(Plain),
    /// In the same process.
    Local(Local),
}

impl Transport {
    /// Takes a STUN datagram. `Ok` means that the sender knows our password (or answers our check): the caller may
    /// now bind `route.remote` to this endpoint.
    ///
    /// # Errors
    /// The reason to count it under.
    pub fn handle_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        match self {
            Self::WebRtc(webrtc) => webrtc.handle_stun(now, route, datagram),
            Self::Plain(_) | Self::Local(_) => Err(DropReason::UnknownProtocol),
        }
    }

    /// Takes a DTLS datagram from a route that ICE has checked.
    ///
    /// # Errors
    /// The reason to count it under.
    pub fn handle_dtls(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        match self {
            Self::WebRtc(webrtc) => webrtc.handle_dtls(now, route, datagram),
            Self::Plain(_) | Self::Local(_) => Err(DropReason::UnknownProtocol),
        }
    }

    /// Authenticates and decrypts an RTP packet from `datagram` into `out`, header included; the length of the
    /// plaintext packet.
    ///
    /// `layout` is that of the ciphertext. No allocation after the first packet of an SSRC; no copy beyond the one
    /// that decryption is.
    ///
    /// # Errors
    /// The reason to count it under; `out` is then undefined.
    pub fn open_rtp(
        &mut self,
        now: Instant,
        route: Route,
        layout: &Layout,
        datagram: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        match self {
            Self::WebRtc(webrtc) => webrtc.open_rtp(now, layout, datagram, out),
            Self::Plain(plain) => plain.open_rtp(now, route, layout, datagram, out),
            Self::Local(local) => local.open_rtp(datagram, out),
        }
    }

    /// Authenticates and decrypts an RTCP datagram in place; the length of the plaintext.
    ///
    /// # Errors
    /// The reason to count it under; `datagram` is then undefined.
    pub fn open_rtcp(&mut self, now: Instant, route: Route, datagram: &mut [u8]) -> Result<usize, DropReason> {
        match self {
            Self::WebRtc(webrtc) => webrtc.open_rtcp(now, datagram),
            Self::Plain(plain) => plain.open_rtcp(now, route, datagram),
            Self::Local(local) => local.open_rtcp(datagram),
        }
    }

    /// Seals the RTP packet `buf[..len]` in place, whose header is `buf[..header_len]`; the length of the datagram.
    ///
    /// `seq` is the extended number of the packet: see [`srtp::Sealer::seal_rtp`] for how it gives the rollover counter. `None`
    /// when there are no keys yet or `buf` has less than [`MAX_RTP_TRAILER`] bytes behind `len`. No allocation.
    pub fn seal_rtp(&mut self, buf: &mut [u8], header_len: usize, len: usize, seq: SeqNo) -> Option<usize> {
        match self {
            Self::WebRtc(webrtc) => webrtc.seal_rtp(buf, header_len, len, seq),
            Self::Plain(plain) => plain.seal_rtp(buf, header_len, len, seq),
            Self::Local(local) => local.seal(buf, len),
        }
    }

    /// Seals the compound RTCP packet `buf[..len]` in place; the length of the datagram.
    ///
    /// `None` when there are no keys yet or `buf` has less than [`MAX_RTCP_TRAILER`] bytes behind `len`.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        match self {
            Self::WebRtc(webrtc) => webrtc.seal_rtcp(buf, len),
            Self::Plain(plain) => plain.seal_rtcp(buf, len),
            Self::Local(local) => local.seal(buf, len),
        }
    }

    /// Writes the next STUN or DTLS datagram into `buf` (at least 1500 bytes); poll until `None`.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        match self {
            Self::WebRtc(webrtc) => webrtc.poll_transmit(now, buf),
            Self::Plain(_) | Self::Local(_) => None,
        }
    }

    /// What has happened; poll until `None`.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        match self {
            Self::WebRtc(webrtc) => webrtc.poll_event(),
            Self::Plain(plain) => plain.poll_event(),
            Self::Local(local) => local.poll_event(),
        }
    }

    /// Makes a data channel, which may be before there is a session. It can be used from [`DataEvent::Opened`] on.
    ///
    /// # Errors
    /// [`OpenDataError`].
    pub fn open_data_channel(
        &mut self,
        now: Instant,
        config: DataChannelConfig,
    ) -> Result<DataChannelId, OpenDataError> {
        match self {
            Self::WebRtc(webrtc) => webrtc.open_data_channel(now, config),
            Self::Plain(_) | Self::Local(_) => Err(OpenDataError::Unsupported),
        }
    }

    /// Takes a message to send; copies it. It is sent by [`Self::poll_transmit`].
    ///
    /// # Errors
    /// [`SendDataError`]; after [`SendDataError::Full`] comes [`DataEvent::Writable`].
    pub fn send_data(&mut self, channel: DataChannelId, kind: DataKind, data: &[u8]) -> Result<(), SendDataError> {
        match self {
            Self::WebRtc(webrtc) => webrtc.send_data(channel, kind, data),
            Self::Plain(_) | Self::Local(_) => Err(SendDataError::NoChannel),
        }
    }

    /// Closes a data channel, after what was sent on it; [`DataEvent::Closed`] tells when the peer has as well.
    /// Harmless when it is gone.
    pub fn close_data_channel(&mut self, channel: DataChannelId) {
        if let Self::WebRtc(webrtc) = self {
            webrtc.close_data_channel(channel);
        }
    }

    /// Bytes sent on a data channel that the peer has not got; `None` when there is no such channel.
    #[must_use]
    pub fn data_buffered(&self, channel: DataChannelId) -> Option<usize> {
        match self {
            Self::WebRtc(webrtc) => webrtc.data_buffered(channel),
            Self::Plain(_) | Self::Local(_) => None,
        }
    }

    /// The longest message that the peer takes, in bytes: `a=max-message-size` of its description, 0 for any. Without
    /// it, 65536 (RFC 8841 §6); more than that is never sent.
    pub fn set_max_message_size(&mut self, bytes: u32) {
        if let Self::WebRtc(webrtc) = self {
            webrtc.set_max_message_size(bytes);
        }
    }

    /// What has happened to data channels; poll until `None`. What the caller does not take is not taken from the peer
    /// either, whose window closes.
    pub fn poll_data(&mut self) -> Option<DataEvent> {
        match self {
            Self::WebRtc(webrtc) => webrtc.poll_data(),
            Self::Plain(_) | Self::Local(_) => None,
        }
    }

    /// Does what is due at `now`; a call too early or too late is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::WebRtc(webrtc) => webrtc.handle_timeout(now),
            Self::Plain(_) | Self::Local(_) => {}
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; changes with every other call.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::WebRtc(webrtc) => webrtc.next_timeout(),
            Self::Plain(_) | Self::Local(_) => None,
        }
    }

    /// Ends the session: a last poll gives the DTLS `close_notify`; nothing is sealed or opened afterwards.
    pub fn close(&mut self, now: Instant) {
        match self {
            Self::WebRtc(webrtc) => webrtc.close(now),
            Self::Plain(plain) => plain.close(),
            Self::Local(local) => local.close(),
        }
    }

    /// Where a datagram of `kind` is sent now; `None` before there is a path. RTP and RTCP differ only on plain
    /// transports without multiplexing.
    #[must_use]
    pub fn route(&self, kind: Kind) -> Option<Route> {
        match self {
            Self::WebRtc(webrtc) => webrtc.route(),
            Self::Plain(plain) => plain.route(kind),
            Self::Local(_) => Some(local::ROUTE),
        }
    }

    /// Whether media can flow.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match self {
            Self::WebRtc(webrtc) => webrtc.is_connected(),
            Self::Plain(plain) => plain.is_connected(),
            Self::Local(local) => local.is_connected(),
        }
    }

    /// The protection, `None` before it is negotiated and for plain RTP without keys.
    #[must_use]
    pub fn profile(&self) -> Option<SrtpProfile> {
        match self {
            Self::WebRtc(webrtc) => webrtc.profile(),
            Self::Plain(plain) => plain.profile(),
            Self::Local(_) => None,
        }
    }

    /// The version of DTLS, `None` before it is negotiated and for plain RTP.
    #[must_use]
    pub fn dtls_version(&self) -> Option<DtlsVersion> {
        match self {
            Self::WebRtc(webrtc) => webrtc.dtls_version(),
            Self::Plain(_) | Self::Local(_) => None,
        }
    }
}
