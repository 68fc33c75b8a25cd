//! A peer on a real socket: connects to a running server by WHIP or WHEP and publishes or watches. For load and for
//! trying out; standard library sockets, nothing asynchronous.
//!
//! RFC 9725 (WHIP), draft-ietf-wish-whep (WHEP). Written apart from the product's signalling, so that each is a check on
//! the other. No TLS, no trickling, no TURN: it is meant for loopback and for one's own network.
//!
//! | file | one idea |
//! |---|---|
//! | this | a [`Peer`] with its UDP socket and its HTTP resource |
//! | [`http`] | one request, one response |
//! | [`sdp`] | an offer written, an answer read |
//! | [`token`] | an access token signed with a development key |

pub mod http;
pub mod sdp;
pub mod token;

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use althing_media_core::config::LocalAddress;
use althing_media_core::packet::Kind;
use althing_media_core::time::NtpTime;
use althing_media_core::transport::{Certificate, Protocol, RemoteError, Route};

use self::http::{HttpError, Response, Url};
use self::sdp::{Answer, SdpError};
use crate::peer::{Peer, ReceiveConfig, SendConfig};

/// Longest datagram that is read.
const MAX_DATAGRAM: usize = 2048;
/// Datagrams read in one go; the rest waits for the next.
const MAX_BATCH: usize = 512;

/// A peer with a socket of its own.
#[derive(Debug)]
pub struct Client {
    /// What it sends and receives.
    pub peer: Peer,
    socket: UdpSocket,
    local: SocketAddr,
    resource: Option<Url>,
    token: String,
    rtp_received: u64,
}

impl Client {
    /// Publishes to a WHIP address; `sends` are one media section each, their `mid` 0, 1, ….
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be reached, refuses, or answers what cannot be used.
    pub fn publish(
        url: &Url,
        token: &str,
        certificate: &Certificate,
        seed: u64,
        sends: Vec<SendConfig>,
    ) -> Result<Self, ClientError> {
        let mut client = Self::new(url, token, certificate, seed)?;
        let media: Vec<_> = sends.iter().map(sdp::Media::Send).collect();
        let answer = client.negotiate(url, &media)?;
        let now = Instant::now();
        for (mut config, section) in sends.into_iter().zip(answer.sections) {
            config.extensions = section.extensions;
            if section.accepted {
                client.peer.session.send(now, config);
            }
        }
        Ok(client)
    }

    /// Watches a WHEP address; `receives` are one media section each, whose SSRCs are taken from the answer.
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be reached, refuses, or answers what cannot be used.
    pub fn watch(
        url: &Url,
        token: &str,
        certificate: &Certificate,
        seed: u64,
        receives: Vec<ReceiveConfig>,
    ) -> Result<Self, ClientError> {
        let mut client = Self::new(url, token, certificate, seed)?;
        let media: Vec<_> = receives.iter().map(sdp::Media::Receive).collect();
        let answer = client.negotiate(url, &media)?;
        for (mut config, section) in receives.into_iter().zip(answer.sections) {
            config.extensions = section.extensions;
            if let Some(stream) = section.stream.filter(|_| section.accepted) {
                config.stream = stream;
                client.peer.session.receive(config);
            }
        }
        Ok(client)
    }

    fn new(url: &Url, token: &str, certificate: &Certificate, seed: u64) -> Result<Self, ClientError> {
        let server = url.address()?;
        // Connecting a UDP socket sends nothing and tells which of our addresses leads there.
        let probe = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        probe.connect(server)?;
        let socket = UdpSocket::bind((probe.local_addr()?.ip(), 0))?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let address = LocalAddress {
            protocol: Protocol::Udp,
            socket: local,
            advertised: local,
        };
        let peer = Peer::web_rtc(Instant::now(), seed, NtpTime::from_unix(wall), address, certificate);
        Ok(Self {
            peer,
            socket,
            local,
            resource: None,
            token: token.to_owned(),
            rtp_received: 0,
        })
    }

    fn negotiate(&mut self, url: &Url, media: &[sdp::Media<'_>]) -> Result<Answer, ClientError> {
        let description = self
            .peer
            .local_description()
            .ok_or(ClientError::Answer(SdpError::Transport))?;
        let offer = sdp::offer(&description, media);
        let response = self.request("POST", url, Some(&offer))?;
        if response.status != 201 {
            return Err(ClientError::Refused {
                status: response.status,
                text: response.body,
            });
        }
        self.resource = response.header("location").and_then(|location| url.join(location));
        let answer = Answer::parse(&response.body).map_err(ClientError::Answer)?;
        self.peer
            .set_remote(Instant::now(), &answer.remote, &answer.candidates)
            .map_err(ClientError::Remote)?;
        Ok(answer)
    }

    fn request(&self, method: &str, url: &Url, body: Option<&str>) -> Result<Response, HttpError> {
        let authorization = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(body.map(|_| ("content-type", "application/sdp")));
        http::request(method, url, &headers, body.unwrap_or_default())
    }

    /// Reads what has come, does what is due, sends what waits; whether anything came.
    pub fn drive(&mut self, now: Instant) -> bool {
        let mut buf = [0; MAX_DATAGRAM];
        let mut came = false;
        for _ in 0..MAX_BATCH {
            // An error is "nothing there", or an ICMP answer to what we sent: the next round will tell.
            let Ok((len, remote)) = self.socket.recv_from(&mut buf) else {
                break;
            };
            let Some(datagram) = buf.get_mut(..len) else { break };
            came = true;
            self.rtp_received += u64::from(Kind::of(datagram) == Some(Kind::Rtp));
            let route = Route {
                protocol: Protocol::Udp,
                local: self.local,
                remote,
            };
            self.peer.handle_datagram(now, route, datagram);
        }
        if self.peer.next_timeout().is_some_and(|at| at <= now) {
            self.peer.handle_timeout(now);
        }
        while let Some(transmit) = self.peer.poll_output(now, &mut buf) {
            let _ = self
                .socket
                .send_to(buf.get(..transmit.len).unwrap_or_default(), transmit.route.remote);
        }
        came
    }

    /// Drives until connected; whether that came within `limit`. Sleeps between rounds.
    pub fn connect(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.peer.is_connected() && Instant::now() < end {
            if !self.drive(Instant::now()) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.peer.is_connected()
    }

    /// RTP datagrams that have come to the socket, retransmissions too.
    #[must_use]
    pub fn rtp_received(&self) -> u64 {
        self.rtp_received
    }

    /// Where the session can be ended or changed.
    #[must_use]
    pub fn resource(&self) -> Option<&Url> {
        self.resource.as_ref()
    }

    /// Ends the session by DELETE.
    ///
    /// # Errors
    /// [`ClientError`] when the server cannot be reached or refuses.
    pub fn close(&mut self) -> Result<(), ClientError> {
        let Some(resource) = self.resource.take() else {
            return Ok(());
        };
        let response = self.request("DELETE", &resource, None)?;
        if response.status / 100 == 2 {
            Ok(())
        } else {
            Err(ClientError::Refused {
                status: response.status,
                text: response.body,
            })
        }
    }
}

/// Why there is no session.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// A socket failed.
    Socket(io::Error),
    /// No response.
    Http(HttpError),
    /// Another status than expected.
    Refused {
        /// The status.
        status: u16,
        /// What the server says about it.
        text: String,
    },
    /// The answer does not read.
    Answer(SdpError),
    /// The answer's transport cannot be used.
    Remote(RemoteError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "{error}"),
            Self::Http(error) => write!(f, "{error}"),
            Self::Refused { status, text } => write!(f, "the server says {status}: {}", text.trim()),
            Self::Answer(error) => write!(f, "the answer cannot be used: {error}"),
            Self::Remote(error) => write!(f, "the answer cannot be used: {error}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<HttpError> for ClientError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}
