//! ICE, DTLS and SRTP put together: what a browser speaks.

use std::time::Instant;

use crate::config::LocalAddress;
use crate::event::Transmit;
use crate::packet::{Layout, SeqNo};
use crate::stats::DropReason;
use crate::transport::{
    Candidate, Certificate, DtlsVersion, IceCreds, LocalDescription, RemoteDescription, RemoteError, Route, Setup,
    SrtpProfile, TransportEvent,
};

/// How a WebRTC endpoint starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebRtcConfig {
    /// Our part in ICE.
    pub ice: IceRole,
    /// Our DTLS role, as our own offer would tell it.
    pub setup: Setup,
}

impl WebRtcConfig {
    /// For a server: ICE-lite, and the DTLS server whenever the peer leaves the choice.
    pub const SERVER: Self = Self {
        ice: IceRole::Lite,
        setup: Setup::Actpass,
    };
    /// For a client that makes the offer: full ICE, controlling, DTLS client.
    pub const CLIENT: Self = Self {
        ice: IceRole::Full { controlling: true },
        setup: Setup::Active,
    };
}

/// Our part in ICE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IceRole {
    /// Answers checks, sends none (RFC 8445 §2.5): for a host with a reachable address.
    Lite,
    /// Sends checks.
    Full {
        /// Decides which path is used: true for the offerer, and always against a lite peer.
        controlling: bool,
    },
}

/// A WebRTC transport.
#[derive(Debug)]
pub struct WebRtc {
    creds: IceCreds,
    config: WebRtcConfig,
    certificate: Certificate,
}

impl WebRtc {
    /// A transport with new credentials whose user fragment names router `index`; `local` are its host candidates.
    #[must_use]
    pub fn new(
        _now: Instant,
        config: WebRtcConfig,
        certificate: &Certificate,
        index: u8,
        _local: &[LocalAddress],
    ) -> Self {
        Self {
            creds: crate::transport::stun::new_creds(index),
            config,
            certificate: certificate.clone(),
        }
    }

    /// What to tell the peer.
    #[must_use]
    pub fn local_description(&self) -> LocalDescription {
        LocalDescription {
            ice: self.creds.clone(),
            ice_lite: self.config.ice == IceRole::Lite,
            fingerprint: self.certificate.fingerprint(),
            setup: self.config.setup,
            candidates: Vec::new(),
        }
    }

    /// What the peer told. Again after an ICE restart, with its new credentials.
    ///
    /// # Errors
    /// [`RemoteError`]; nothing has changed then.
    pub fn set_remote(&mut self, _now: Instant, _remote: &RemoteDescription) -> Result<(), RemoteError> {
        Ok(())
    }

    /// A candidate of the peer. Ignored when we are lite, have enough already, or cannot use it.
    pub fn add_remote_candidate(&mut self, _now: Instant, _candidate: &Candidate) {}

    /// Makes new ICE credentials to be told to the peer; DTLS and SRTP go on over the old path until there is a new.
    pub fn restart_ice(&mut self, _now: Instant) -> IceCreds {
        self.creds.clone()
    }

    /// See [`Transport::close`](super::Transport::close).
    pub fn close(&mut self, _now: Instant) {}

    pub(super) fn handle_stun(&mut self, _now: Instant, _route: Route, _datagram: &[u8]) -> Result<(), DropReason> {
        Err(DropReason::StunRejected)
    }

    pub(super) fn handle_dtls(&mut self, _now: Instant, _route: Route, _datagram: &[u8]) -> Result<(), DropReason> {
        Err(DropReason::DtlsRejected)
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

    pub(super) fn poll_transmit(&mut self, _now: Instant, _buf: &mut [u8]) -> Option<Transmit> {
        None
    }

    pub(super) fn poll_event(&mut self) -> Option<TransportEvent> {
        None
    }

    pub(super) fn handle_timeout(&mut self, _now: Instant) {}

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Where we send.
    #[must_use]
    pub fn route(&self) -> Option<Route> {
        None
    }

    pub(super) fn is_connected(&self) -> bool {
        false
    }

    pub(super) fn profile(&self) -> Option<SrtpProfile> {
        None
    }

    pub(super) fn dtls_version(&self) -> Option<DtlsVersion> {
        None
    }
}
