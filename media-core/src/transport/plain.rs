//! RTP on a socket of its own, in the clear (RTP/AVP) or with keys from SDP (RTP/SAVP): ffmpeg, GStreamer, SIP.
//!
//! The peer's address is told, or learnt from the first good packet ("latching"). No ICE, so nothing proves that the
//! peer wants our packets: use it inside one's own network, or with keys.

use std::net::SocketAddr;
use std::time::Instant;

use crate::packet::{Kind, Layout, SeqNo};
use crate::stats::DropReason;
use crate::transport::sdes::SdesKey;
use crate::transport::{Route, SrtpProfile, TransportEvent};

/// How a plain RTP endpoint starts.
#[derive(Debug, Clone)]
pub struct PlainConfig {
    /// Our socket for RTP, and for RTCP too unless `rtcp` says otherwise.
    pub local: SocketAddr,
    /// The peer's address; `None` to learn it from the first good packet.
    pub remote: Option<SocketAddr>,
    /// RTCP on sockets of its own; `None` for RTP and RTCP on one (RFC 5761).
    pub rtcp: Option<PlainRtcp>,
    /// Keys of both directions; `None` for no protection.
    pub keys: Option<PlainKeys>,
}

/// Where RTCP goes when it is not multiplexed with RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainRtcp {
    /// Our socket for RTCP.
    pub local: SocketAddr,
    /// The peer's address for RTCP; `None` to learn it.
    pub remote: Option<SocketAddr>,
}

/// The keys of both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainKeys {
    /// With which we seal: what our SDP carries.
    pub local: SdesKey,
    /// With which the peer seals: what its SDP carries.
    pub remote: SdesKey,
}

/// A plain RTP transport.
#[derive(Debug)]
pub struct Plain {
    config: PlainConfig,
}

impl Plain {
    /// A transport that is connected from the start when the peer's address and the keys are known.
    #[must_use]
    pub fn new(config: PlainConfig) -> Self {
        Self { config }
    }

    pub(super) fn open_rtp(
        &mut self,
        _now: Instant,
        _route: Route,
        _layout: &Layout,
        _datagram: &[u8],
        _out: &mut [u8],
    ) -> Result<usize, DropReason> {
        Err(DropReason::NotReady)
    }

    pub(super) fn open_rtcp(
        &mut self,
        _now: Instant,
        _route: Route,
        _datagram: &mut [u8],
    ) -> Result<usize, DropReason> {
        Err(DropReason::NotReady)
    }

    pub(super) fn seal_rtp(&mut self, _buf: &mut [u8], _header_len: usize, _len: usize, _seq: SeqNo) -> Option<usize> {
        None
    }

    pub(super) fn seal_rtcp(&mut self, _buf: &mut [u8], _len: usize) -> Option<usize> {
        None
    }

    pub(super) fn poll_event(&mut self) -> Option<TransportEvent> {
        None
    }

    pub(super) fn close(&mut self) {}

    /// Where a datagram of `kind` is sent now.
    #[must_use]
    pub fn route(&self, _kind: Kind) -> Option<Route> {
        None
    }

    pub(super) fn is_connected(&self) -> bool {
        false
    }

    pub(super) fn profile(&self) -> Option<SrtpProfile> {
        self.config.keys.as_ref().map(|keys| keys.local.profile)
    }
}
