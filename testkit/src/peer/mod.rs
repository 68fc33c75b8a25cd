//! Peers in the test's own process: they publish synthetic media and watch, and tell what they saw. Sans-I/O.
//!
//! ```text
//!  Peer:  datagrams ⇄ [ Transport: ICE, DTLS, SRTP, or plain RTP ] ⇄ [ Session ] ⇄ Sender ← FrameSource
//!                                                                        └───────⇄ Receiver → Viewer
//! ```
//!
//! The transport is the product's own, in the role of a client, so two mistakes could hide each other there: tests with
//! browsers and other stacks stand against that. Everything above it is written apart from the product.
//!
//! | file | one idea |
//! |---|---|
//! | [`source`] | when there is a frame, of which layer and size |
//! | [`body`], [`vp8`] | payloads that can be recognised, byte by byte |
//! | `red` | sound with redundancy |
//! | `ccfb` | feedback by SSRC |
//! | `fec` | FEC over pictures |
//! | [`send`] | one outgoing track: packets, RTX, sender reports |
//! | [`receive`] | one incoming stream: gaps, NACK, PLI, report blocks |
//! | [`view`] | what a viewer would see of it |
//! | [`session`] | all streams of one participant |
//! | [`preset`] | the usual cameras, microphones and viewers |

pub mod body;
mod ccfb;
mod fec;
pub mod preset;
pub mod receive;
mod red;
pub mod send;
pub mod session;
pub mod source;
pub mod view;
pub mod vp8;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Instant;

use althing_media_core::Transmit;
use althing_media_core::config::LocalAddress;
use althing_media_core::packet::{Kind, Layout, RtpView, SeqExtender, Ssrc};
use althing_media_core::time::NtpTime;
use althing_media_core::transport::{
    Candidate, Certificate, DataEvent, LocalDescription, Plain, PlainConfig, RemoteDescription, RemoteError, Route,
    Transport, TransportEvent, WebRtc, WebRtcConfig,
};

pub use receive::{ReceiveConfig, ReceiveStats, Receiver};
pub use send::{EncodingConfig, Payloads, SendConfig, SendStats, Sender};
pub use session::Session;
pub use source::{AudioPattern, Pattern, VideoPattern};
pub use view::{Fault, Shown, Viewer};

/// Longest packet.
const MAX_PACKET: usize = 2048;

/// One participant with its transport.
///
/// The verbs are those of the product; poll after each of them until `None`.
#[derive(Debug)]
pub struct Peer {
    /// What it sends and receives.
    pub session: Session,
    transport: Transport,
    connected: bool,
    events: Vec<TransportEvent>,
    data: Vec<DataEvent>,
    /// The transport may have something to send.
    stirred: bool,
    /// Extended numbers of what we send: sealing wants them.
    sending: HashMap<Ssrc, SeqExtender>,
    opened: Vec<u8>,
    rejected: u64,
}

impl Peer {
    /// A peer of plain RTP.
    #[must_use]
    pub fn plain(now: Instant, seed: u64, wall: NtpTime, config: PlainConfig) -> Self {
        Self::new(now, seed, wall, Transport::Plain(Plain::new(config)))
    }

    /// A WebRTC client with a socket `local`: full ICE, controlling, DTLS client.
    #[must_use]
    pub fn web_rtc(now: Instant, seed: u64, wall: NtpTime, local: LocalAddress, certificate: &Certificate) -> Self {
        let web_rtc = WebRtc::new(now, WebRtcConfig::CLIENT, certificate, 0, &[local]);
        Self::new(now, seed, wall, Transport::WebRtc(Box::new(web_rtc)))
    }

    fn new(now: Instant, seed: u64, wall: NtpTime, transport: Transport) -> Self {
        let mut peer = Self {
            session: Session::new(now, seed, wall),
            transport,
            connected: false,
            events: Vec::new(),
            data: Vec::new(),
            stirred: false,
            sending: HashMap::new(),
            opened: vec![0; MAX_PACKET],
            rejected: 0,
        };
        peer.after(now);
        peer
    }

    /// What a WebRTC peer tells the server; `None` for plain RTP.
    #[must_use]
    pub fn local_description(&self) -> Option<LocalDescription> {
        match &self.transport {
            Transport::WebRtc(web_rtc) => Some(web_rtc.local_description()),
            _ => None,
        }
    }

    /// What the server told, with its candidates. Nothing for plain RTP.
    ///
    /// # Errors
    /// [`RemoteError`] when the description cannot be used.
    pub fn set_remote(
        &mut self,
        now: Instant,
        remote: &RemoteDescription,
        candidates: &[Candidate],
    ) -> Result<(), RemoteError> {
        if let Transport::WebRtc(web_rtc) = &mut self.transport {
            web_rtc.set_remote(now, remote)?;
            candidates
                .iter()
                .for_each(|candidate| web_rtc.add_remote_candidate(now, candidate));
        }
        Ok(())
    }

    /// Whether media flows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The transport, to look at, to close, or to use its data channels.
    pub fn transport_mut(&mut self) -> &mut Transport {
        self.stirred = true;
        &mut self.transport
    }

    /// What has happened to the transport, in order.
    #[must_use]
    pub fn events(&self) -> &[TransportEvent] {
        &self.events
    }

    /// What has happened to data channels since the last call, in order.
    pub fn take_data(&mut self) -> Vec<DataEvent> {
        std::mem::take(&mut self.data)
    }

    /// Datagrams that the transport did not take.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Takes a datagram that came on `route`.
    pub fn handle_datagram(&mut self, now: Instant, route: Route, datagram: &mut [u8]) {
        let taken = match Kind::of(datagram) {
            Some(Kind::Stun) => self.transport.handle_stun(now, route, datagram).is_ok(),
            Some(Kind::Dtls) => self.transport.handle_dtls(now, route, datagram).is_ok(),
            Some(Kind::Rtp) => self.on_rtp(now, route, datagram).is_some(),
            Some(Kind::Rtcp) => match self.transport.open_rtcp(now, route, datagram) {
                Ok(len) => {
                    self.session.handle_packet(now, datagram.get(..len).unwrap_or_default());
                    true
                }
                Err(_) => false,
            },
            _ => false,
        };
        self.rejected += u64::from(!taken);
        self.stirred |= Kind::of(datagram) == Some(Kind::Dtls);
        self.after(now);
    }

    fn on_rtp(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Option<()> {
        let layout = Layout::parse(datagram).ok()?;
        let len = self
            .transport
            .open_rtp(now, route, &layout, datagram, &mut self.opened)
            .ok()?;
        self.session.handle_packet(now, self.opened.get(..len)?);
        Some(())
    }

    /// Writes the next datagram into `buf`, at least 1500 bytes; poll until `None`.
    pub fn poll_output(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if let Some(transmit) = self.transport.poll_transmit(now, buf) {
            return Some(transmit);
        }
        self.stirred = false;
        while let Some(packet) = self.session.poll_packet() {
            if let Some(transmit) = self.seal(&packet, buf) {
                return Some(transmit);
            }
        }
        None
    }

    fn seal(&mut self, packet: &[u8], buf: &mut [u8]) -> Option<Transmit> {
        let kind = Kind::of(packet)?;
        let route = self.transport.route(kind)?;
        buf.get_mut(..packet.len())?.copy_from_slice(packet);
        let len = if kind == Kind::Rtcp {
            self.transport.seal_rtcp(buf, packet.len())?
        } else {
            let view = RtpView::parse(packet).ok()?;
            let seq = self.sending.entry(view.ssrc()).or_default().extend(view.seq());
            self.transport
                .seal_rtp(buf, view.layout().header_len(), packet.len(), seq)?
        };
        Some(Transmit { route, len })
    }

    /// Whether packets wait, or may wait, in [`Self::poll_output`].
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.stirred || !self.session.is_quiet()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.transport.handle_timeout(now);
        self.stirred = true;
        if self.connected {
            self.session.handle_timeout(now);
        }
        self.after(now);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let session = self.connected.then(|| self.session.next_timeout());
        [session, self.transport.next_timeout()].into_iter().flatten().min()
    }

    /// Media starts when the transport is connected, not before.
    fn after(&mut self, now: Instant) {
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
        while let Some(event) = self.transport.poll_data() {
            self.data.push(event);
        }
        if !self.connected && self.transport.is_connected() {
            self.connected = true;
            self.session.start(now);
        }
    }
}
