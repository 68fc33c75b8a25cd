//! ICE, DTLS and SRTP put together: what a browser speaks.
//!
//! ```text
//! 1  set_remote     both descriptions are known: roles, fingerprint, credentials
//! 2  STUN           ICE finds a path, and nominates one                → RouteChanged
//! 3  DTLS           over a checked path only; certificate verified     → Connected
//! 4  SRTP, SRTCP, and SCTP inside DTLS when there are data channels
//!                   until close, close_notify or the end of consent    → Disconnected
//! ```
//!
//! A browser may do 3 on a path that it nominates afterwards: until there is a nomination, the last checked path is
//! used. An ICE restart goes back to 2 for the path alone: DTLS and SRTP go on.

use std::collections::VecDeque;
use std::time::Instant;

use crate::config::LocalAddress;
use crate::event::{DisconnectReason, Transmit};
use crate::packet::{Layout, SeqNo};
use crate::stats::DropReason;
use crate::transport::dtls::{Dtls, DtlsEvent, SessionKeys};
use crate::transport::ice::Ice;
use crate::transport::sctp::{
    DataChannelConfig, DataChannelId, DataEvent, DataKind, MAX_MESSAGE, OpenDataError, Sctp, SendDataError,
};
use crate::transport::srtp::{Opener, Sealer};
use crate::transport::{
    Candidate, Certificate, DtlsVersion, IceCreds, LocalDescription, RemoteDescription, RemoteError, Route, Setup,
    SrtpProfile, TransportEvent, stun,
};

/// How a WebRTC endpoint starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebRtcConfig {
    /// Our part in ICE.
    pub ice: IceRole,
    /// Our DTLS role, as our own offer would tell it.
    pub setup: Setup,
    /// The highest version of DTLS that is spoken; 1.2 always is.
    pub dtls: DtlsVersion,
}

impl WebRtcConfig {
    /// For a server: ICE-lite, and the DTLS server whenever the peer leaves the choice.
    pub const SERVER: Self = Self {
        ice: IceRole::Lite,
        setup: Setup::Actpass,
        dtls: DtlsVersion::V1_3,
    };
    /// For a client that makes the offer: full ICE, controlling, DTLS client.
    pub const CLIENT: Self = Self {
        ice: IceRole::Full { controlling: true },
        setup: Setup::Active,
        dtls: DtlsVersion::V1_3,
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
    config: WebRtcConfig,
    certificate: Certificate,
    index: u8,
    ice: Ice,
    /// The peer's credentials, as of its last description.
    remote: Option<IceCreds>,
    /// We have restarted ICE and the peer has not answered.
    restarting: bool,
    /// From the moment that roles and fingerprint are known.
    dtls: Option<Dtls>,
    is_dtls_client: bool,
    srtp: Option<Srtp>,
    /// From the first packet or channel.
    data: Option<Box<Sctp>>,
    /// The longest message that the peer takes.
    max_message: u32,
    events: VecDeque<TransportEvent>,
    over: bool,
}

#[derive(Debug)]
struct Srtp {
    sealer: Sealer,
    opener: Opener,
}

impl WebRtc {
    /// A transport with new credentials whose user fragment names router `index`; `local` are its host candidates.
    #[must_use]
    pub fn new(
        now: Instant,
        config: WebRtcConfig,
        certificate: &Certificate,
        index: u8,
        local: &[LocalAddress],
    ) -> Self {
        let creds = stun::new_creds(index);
        let ice = match config.ice {
            IceRole::Lite => Ice::lite(creds, local),
            IceRole::Full { controlling } => Ice::full(now, creds, controlling, local),
        };
        Self {
            config,
            certificate: certificate.clone(),
            index,
            ice,
            remote: None,
            restarting: false,
            dtls: None,
            is_dtls_client: false,
            srtp: None,
            data: None,
            max_message: MAX_MESSAGE,
            events: VecDeque::new(),
            over: false,
        }
    }

    /// What to tell the peer: an offer before [`Self::set_remote`], the answer after it.
    #[must_use]
    pub fn local_description(&self) -> LocalDescription {
        let setup = match (&self.dtls, self.is_dtls_client) {
            (None, _) => self.config.setup,
            (Some(_), true) => Setup::Active,
            (Some(_), false) => Setup::Passive,
        };
        LocalDescription {
            ice: self.ice.creds().clone(),
            ice_lite: self.ice.is_lite(),
            fingerprint: self.certificate.fingerprint(),
            setup,
            candidates: self.ice.candidates(),
        }
    }

    /// What the peer told; again in every later exchange.
    ///
    /// When its credentials are new although we have not restarted ICE, the peer has: then ours are new as well
    /// (RFC 8445 §9), and [`Self::local_description`] tells them.
    ///
    /// # Errors
    /// [`RemoteError`]; nothing has changed then.
    pub fn set_remote(&mut self, now: Instant, remote: &RemoteDescription) -> Result<(), RemoteError> {
        if !remote.ice.is_valid() {
            return Err(RemoteError::Credentials);
        }
        if remote.ice_lite && self.ice.is_lite() {
            return Err(RemoteError::BothLite);
        }
        let is_client = match &self.dtls {
            None => self
                .config
                .setup
                .is_client_against(remote.setup)
                .ok_or(RemoteError::SetupConflict)?,
            Some(dtls) => {
                let ours = if self.is_dtls_client {
                    Setup::Active
                } else {
                    Setup::Passive
                };
                if ours.is_client_against(remote.setup).is_none() || dtls.fingerprint() != remote.fingerprint {
                    return Err(RemoteError::SessionChanged);
                }
                self.is_dtls_client
            }
        };
        let restarted = self.remote.as_ref().is_some_and(|known| *known != remote.ice);
        if restarted && !self.restarting {
            self.ice.restart(now, stun::new_creds(self.index));
        }
        self.restarting = false;
        self.remote = Some(remote.ice.clone());
        self.ice.set_remote(now, remote);
        if self.dtls.is_none() {
            self.is_dtls_client = is_client;
            self.dtls = Some(Dtls::new(
                &self.certificate,
                self.config.dtls,
                is_client,
                remote.fingerprint,
            ));
        }
        self.advance(now);
        Ok(())
    }

    /// A candidate of the peer. Ignored when we are lite, have enough already, or cannot use it.
    pub fn add_remote_candidate(&mut self, now: Instant, candidate: &Candidate) {
        self.ice.add_remote_candidate(now, candidate);
    }

    /// Makes new ICE credentials to be told to the peer; DTLS and SRTP go on over the old path until there is a new.
    ///
    /// A lite end still answers checks with the old credentials until the first one with the new comes.
    pub fn restart_ice(&mut self, now: Instant) -> IceCreds {
        self.ice.restart(now, stun::new_creds(self.index));
        self.restarting = true;
        self.ice.creds().clone()
    }

    /// See [`Transport::close`](super::Transport::close).
    pub fn close(&mut self, now: Instant) {
        if let Some(dtls) = &mut self.dtls {
            dtls.close(now);
        }
        self.srtp = None;
        self.data = None;
        self.over = true;
    }

    pub(super) fn handle_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        if self.over {
            return Err(DropReason::StunRejected);
        }
        self.ice.handle_stun(now, route, datagram)?;
        self.advance(now);
        Ok(())
    }

    pub(super) fn handle_dtls(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        let Some(dtls) = self.dtls.as_mut().filter(|_| self.ice.is_checked(route)) else {
            return Err(DropReason::DtlsRejected);
        };
        let event = dtls.handle(now, datagram)?;
        self.on_dtls(now, event);
        self.take_data(now)
    }

    fn take_data(&mut self, now: Instant) -> Result<(), DropReason> {
        let mut result = Ok(());
        while let Some(packet) = self.dtls.as_mut().and_then(Dtls::receive) {
            let taken = match self.data(now) {
                Some(data) => data.handle(now, packet),
                None => Err(DropReason::NotReady),
            };
            result = result.and(taken);
        }
        result
    }

    /// The data channels; `None` when it is too late for them.
    fn data(&mut self, now: Instant) -> Option<&mut Sctp> {
        if self.over {
            return None;
        }
        let (connected, is_client, max_message) = (self.srtp.is_some(), self.is_dtls_client, self.max_message);
        Some(self.data.get_or_insert_with(|| {
            let mut data = Box::new(Sctp::new());
            data.set_max_message(max_message);
            if connected {
                data.start(now, is_client);
            }
            data
        }))
    }

    /// See [`Transport::open_data_channel`](super::Transport::open_data_channel).
    ///
    /// # Errors
    /// [`OpenDataError`].
    pub fn open_data_channel(
        &mut self,
        now: Instant,
        config: DataChannelConfig,
    ) -> Result<DataChannelId, OpenDataError> {
        let data = self.data(now).ok_or(OpenDataError::Unsupported)?;
        data.open(now, config)
    }

    /// See [`Transport::send_data`](super::Transport::send_data).
    ///
    /// # Errors
    /// [`SendDataError`].
    pub fn send_data(&mut self, channel: DataChannelId, kind: DataKind, data: &[u8]) -> Result<(), SendDataError> {
        let channels = self.data.as_mut().filter(|_| !self.over);
        channels.ok_or(SendDataError::NoChannel)?.send(channel, kind, data)
    }

    /// See [`Transport::close_data_channel`](super::Transport::close_data_channel).
    pub fn close_data_channel(&mut self, channel: DataChannelId) {
        if let Some(data) = &mut self.data {
            data.close(channel);
        }
    }

    /// See [`Transport::data_buffered`](super::Transport::data_buffered).
    #[must_use]
    pub fn data_buffered(&self, channel: DataChannelId) -> Option<usize> {
        self.data.as_ref()?.buffered(channel)
    }

    /// See [`Transport::set_max_message_size`](super::Transport::set_max_message_size).
    pub fn set_max_message_size(&mut self, bytes: u32) {
        self.max_message = bytes;
        if let Some(data) = &mut self.data {
            data.set_max_message(bytes);
        }
    }

    pub(super) fn poll_data(&mut self) -> Option<DataEvent> {
        self.data.as_mut()?.poll_event()
    }

    pub(super) fn open_rtp(
        &mut self,
        now: Instant,
        layout: &Layout,
        datagram: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let srtp = self.srtp.as_mut().ok_or(DropReason::NotReady)?;
        let len = srtp.opener.open_rtp(layout, datagram, out)?;
        self.ice.on_media(now);
        Ok(len)
    }

    pub(super) fn open_rtcp(&mut self, now: Instant, datagram: &mut [u8]) -> Result<usize, DropReason> {
        let srtp = self.srtp.as_mut().ok_or(DropReason::NotReady)?;
        let len = srtp.opener.open_rtcp(datagram)?;
        self.ice.on_media(now);
        Ok(len)
    }

    pub(super) fn seal_rtp(&self, buf: &mut [u8], header_len: usize, len: usize, seq: SeqNo) -> Option<usize> {
        self.srtp.as_ref()?.sealer.seal_rtp(buf, header_len, len, seq)
    }

    pub(super) fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        self.srtp.as_mut()?.sealer.seal_rtcp(buf, len)
    }

    pub(super) fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if !self.over
            && let Some(transmit) = self.ice.poll_transmit(buf)
        {
            return Some(transmit);
        }
        let route = self.ice.route()?;
        loop {
            let dtls = self.dtls.as_mut()?;
            if let Some(len) = dtls.poll_transmit(buf) {
                return Some(Transmit { route, len });
            }
            let data = self.data.as_mut().filter(|_| !self.over)?;
            let event = dtls.send(now, &data.poll_transmit(now)?);
            self.on_dtls(now, event);
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if let Some(reason) = self.ice.handle_timeout(now) {
            self.end(reason);
            return;
        }
        if let Some(dtls) = &mut self.dtls {
            let event = dtls.handle_timeout(now);
            self.on_dtls(now, event);
        }
        if let Some(data) = &mut self.data
            && data.next_timeout().is_some_and(|at| at <= now)
        {
            data.handle_timeout(now);
        }
        self.advance(now);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let dtls = self.dtls.as_ref().and_then(Dtls::next_timeout);
        let data = self.data.as_ref().and_then(|data| data.next_timeout());
        self.ice.next_timeout().into_iter().chain(dtls).chain(data).min()
    }

    /// Where we send; `None` before a check of the peer was good.
    #[must_use]
    pub fn route(&self) -> Option<Route> {
        self.ice.route()
    }

    /// Whether media can flow.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.srtp.is_some()
    }

    /// The negotiated protection.
    #[must_use]
    pub fn profile(&self) -> Option<SrtpProfile> {
        self.srtp.as_ref().map(|srtp| srtp.sealer.profile())
    }

    /// The negotiated version of DTLS.
    #[must_use]
    pub fn dtls_version(&self) -> Option<DtlsVersion> {
        self.dtls.as_ref().and_then(Dtls::version)
    }

    /// What follows from a new path.
    fn advance(&mut self, now: Instant) {
        if let Some(route) = self.ice.take_route_change() {
            self.events.push_back(TransportEvent::RouteChanged(route));
        }
        if self.ice.route().is_some()
            && let Some(dtls) = &mut self.dtls
        {
            let event = dtls.start(now);
            self.on_dtls(now, event);
        }
    }

    fn on_dtls(&mut self, now: Instant, event: Option<DtlsEvent>) {
        match event {
            None => {}
            Some(DtlsEvent::Keys(keys)) => {
                self.install(&keys);
                if let Some(data) = &mut self.data {
                    data.start(now, self.is_dtls_client);
                }
            }
            Some(DtlsEvent::Failed) => self.end(DisconnectReason::DtlsFailed),
            Some(DtlsEvent::Closed) => self.end(DisconnectReason::Closed),
        }
    }

    fn install(&mut self, keys: &SessionKeys) {
        let profile = keys.ours.profile();
        self.srtp = Some(Srtp {
            sealer: Sealer::new(&keys.ours),
            opener: Opener::new(&keys.theirs),
        });
        self.events
            .push_back(TransportEvent::Connected { profile: Some(profile) });
    }

    fn end(&mut self, reason: DisconnectReason) {
        self.srtp = None;
        self.data = None;
        self.over = true;
        self.events.push_back(TransportEvent::Disconnected(reason));
    }
}
