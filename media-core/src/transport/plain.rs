//! RTP on a socket of its own, in the clear (RTP/AVP) or with keys from SDP (RTP/SAVP): ffmpeg, GStreamer, SIP.
//!
//! RFC 3550 §11 (ports), RFC 5761 (RTP and RTCP on one port), RFC 4961 (a peer sends from where it receives). The
//! peer's address is told, or learnt from the first good packet. There is no ICE, so nothing proves that the peer
//! wants our packets: for use inside one's own network, or with keys.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::packet::{Kind, Layout, SeqNo};
use crate::stats::DropReason;
use crate::transport::sdes::SdesKey;
use crate::transport::srtp::{Opener, Sealer};
use crate::transport::{Protocol, Route, SrtpProfile, TransportEvent};

/// A learnt address that was silent for so long gives way to another: the peer has started again.
pub const LEARNT_LIFE: Duration = Duration::from_secs(10);

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
    pub keys: Option<Box<PlainKeys>>,
}

/// Where RTCP goes when it is not multiplexed with RTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainRtcp {
    /// Our socket for RTCP.
    pub local: SocketAddr,
    /// The peer's address for RTCP; `None` to learn it, and until then to take the port above that of RTP.
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
    rtp: Socket,
    rtcp: Option<Socket>,
    srtp: Option<Box<(Sealer, Opener)>>,
    events: VecDeque<TransportEvent>,
    connected: bool,
    closed: bool,
}

impl Plain {
    /// A transport; connected from the start when the peer's address is told, else with its first good packet.
    #[must_use]
    pub fn new(config: PlainConfig) -> Self {
        let srtp = config
            .keys
            .map(|keys| Box::new((Sealer::new(&keys.local.master), Opener::new(&keys.remote.master))));
        let mut plain = Self {
            rtp: Socket::new(config.local, config.remote),
            rtcp: config.rtcp.map(|rtcp| Socket::new(rtcp.local, rtcp.remote)),
            srtp,
            events: VecDeque::new(),
            connected: false,
            closed: false,
        };
        plain.connect();
        plain
    }

    pub(super) fn open_rtp(
        &mut self,
        now: Instant,
        route: Route,
        layout: &Layout,
        datagram: &[u8],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        self.ready()?;
        self.rtp.admit(now, route)?;
        let len = match &mut self.srtp {
            Some(srtp) => srtp.1.open_rtp(layout, datagram, out)?,
            None => {
                out.get_mut(..datagram.len())
                    .ok_or(DropReason::TooLong)?
                    .copy_from_slice(datagram);
                datagram.len()
            }
        };
        if self.rtp.accept(now, route) {
            self.events.push_back(TransportEvent::RouteChanged(route));
            self.connect();
        }
        Ok(len)
    }

    pub(super) fn open_rtcp(&mut self, now: Instant, route: Route, datagram: &mut [u8]) -> Result<usize, DropReason> {
        self.ready()?;
        self.rtcp.as_ref().unwrap_or(&self.rtp).admit(now, route)?;
        let len = match &mut self.srtp {
            Some(srtp) => srtp.1.open_rtcp(datagram)?,
            None => datagram.len(),
        };
        let changed = self.rtcp.as_mut().unwrap_or(&mut self.rtp).accept(now, route);
        if changed && self.rtcp.is_none() {
            self.events.push_back(TransportEvent::RouteChanged(route));
            self.connect();
        }
        Ok(len)
    }

    pub(super) fn seal_rtp(&self, buf: &mut [u8], header_len: usize, len: usize, seq: SeqNo) -> Option<usize> {
        self.ready().ok()?;
        match &self.srtp {
            Some(srtp) => srtp.0.seal_rtp(buf, header_len, len, seq),
            None => (len <= buf.len()).then_some(len),
        }
    }

    pub(super) fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        self.ready().ok()?;
        match &mut self.srtp {
            Some(srtp) => srtp.0.seal_rtcp(buf, len),
            None => (len <= buf.len()).then_some(len),
        }
    }

    pub(super) fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.srtp = None;
    }

    /// Where a datagram of `kind` is sent now.
    #[must_use]
    pub fn route(&self, kind: Kind) -> Option<Route> {
        match (&self.rtcp, kind) {
            (Some(rtcp), Kind::Rtcp) => rtcp.route().or_else(|| {
                // RFC 3550 §11: the next port.
                let rtp = self.rtp.remote?;
                let remote = SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?);
                Some(Route {
                    protocol: Protocol::Udp,
                    local: rtcp.local,
                    remote,
                })
            }),
            _ => self.rtp.route(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected && !self.closed
    }

    pub(super) fn profile(&self) -> Option<SrtpProfile> {
        self.srtp.as_ref().map(|srtp| srtp.0.profile())
    }

    fn ready(&self) -> Result<(), DropReason> {
        if self.closed { Err(DropReason::NotReady) } else { Ok(()) }
    }

    fn connect(&mut self) {
        if self.rtp.remote.is_some() && !self.connected {
            self.connected = true;
            self.events.push_back(TransportEvent::Connected {
                profile: self.profile(),
            });
        }
    }
}

/// One of our sockets and the peer's address for it.
#[derive(Debug)]
struct Socket {
    local: SocketAddr,
    remote: Option<SocketAddr>,
    /// The peer's address was not told.
    learns: bool,
    heard: Option<Instant>,
}

impl Socket {
    fn new(local: SocketAddr, remote: Option<SocketAddr>) -> Self {
        Self {
            local,
            remote,
            learns: remote.is_none(),
            heard: None,
        }
    }

    fn route(&self) -> Option<Route> {
        self.remote.map(|remote| Route {
            protocol: Protocol::Udp,
            local: self.local,
            remote,
        })
    }

    /// Whether a packet may come this way, before it has proved to be good.
    fn admit(&self, now: Instant, route: Route) -> Result<(), DropReason> {
        let silent = self
            .heard
            .is_none_or(|heard| now.saturating_duration_since(heard) > LEARNT_LIFE);
        let known = self.remote.is_none_or(|remote| remote == route.remote) || self.learns && silent;
        if known && route.local == self.local && route.protocol == Protocol::Udp {
            Ok(())
        } else {
            Err(DropReason::UnknownSource)
        }
    }

    /// A good packet came this way; whether that changes where we send.
    fn accept(&mut self, now: Instant, route: Route) -> bool {
        self.heard = Some(now);
        self.remote.replace(route.remote) != Some(route.remote)
    }
}
