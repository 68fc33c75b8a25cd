//! Sockets, workers and their routers.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::SystemTime;

use althing_media_core::Router;
use althing_media_core::config::RouterConfig;
use althing_media_core::time::NtpTime;
use althing_media_core::transport::{Certificate, CertificateError};
use althing_media_net::{EventSink, Net, NetConfig, Seat, StartError, network_address};

use crate::settings::Settings;

/// Endpoints of one worker. Far more than one core can serve: a bound, not an aim.
const MAX_ENDPOINTS: usize = 4096;

/// Why media cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum MediaError {
    /// No identity for DTLS could be made.
    Certificate(CertificateError),
    /// No sockets or threads.
    Start(StartError),
}

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "no certificate can be made: {error}"),
            Self::Start(error) => write!(f, "{error}"),
        }
    }
}

impl Error for MediaError {}

/// Binds the ports and starts one worker per core, each with a router of its own; all share one certificate, made now.
///
/// # Errors
/// [`MediaError`].
pub(crate) fn start(settings: &Settings, events: EventSink) -> Result<Net<Router>, MediaError> {
    let certificate = Certificate::generate().map_err(MediaError::Certificate)?;
    let addresses = addresses(settings);
    let at = |port| {
        addresses
            .iter()
            .map(|address| SocketAddr::new(*address, port))
            .collect()
    };
    let config = NetConfig {
        udp: at(settings.media.udp_port),
        own_udp: own(&addresses)
            .map(|own| SocketAddr::new(own, settings.media.udp_port))
            .into_iter()
            .collect(),
        tcp: at(settings.media.tcp_port),
        advertised: settings.media.advertise.clone(),
        workers: settings.media.workers,
        events,
        ..NetConfig::default()
    };
    let make = move |seat: Seat| {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let config = RouterConfig {
            wall: NtpTime::from_unix(wall),
            certificate: certificate.clone(),
            index: seat.index,
            local: seat.local,
            max_endpoints: MAX_ENDPOINTS,
        };
        Router::new(seat.now, config)
    };
    Net::start(config, make).map_err(MediaError::Start)
}

/// The local addresses. `[::1]`, when it only stands beside another one in the defaults, may be missing.
fn addresses(settings: &Settings) -> Vec<IpAddr> {
    let mut addresses = settings.media_addresses();
    let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if settings.media.listen.is_empty() && addresses.len() > 1 && UdpSocket::bind((loopback, 0)).is_err() {
        addresses.retain(|address| *address != loopback);
    }
    addresses
}

/// The address at which this machine, and only it, finds a server that listens on loopback: Firefox sends no media to
/// loopback. Media proves by ICE and DTLS that it belongs to a session, and sessions are made over HTTP, on loopback.
fn own(addresses: &[IpAddr]) -> Option<IpAddr> {
    let own = addresses
        .iter()
        .all(IpAddr::is_loopback)
        .then(network_address)
        .flatten()?;
    tracing::info!(address = %own, "programs of this machine reach media there too");
    Some(own)
}
