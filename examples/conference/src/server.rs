//! Starts all parts, and ends them in the opposite order.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use althing_media_core::{Codec, Router as MediaRouter};
use althing_media_net::Net;
use althing_signalling::room::RoomLimits;
use althing_signalling::sdp::Codecs;
use althing_signalling::token::Keys;
use althing_signalling::webhook::{Receivers, WebhookError};
use althing_signalling::{GuestError, Signalling, SignallingConfig, event_queue};
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::task::JoinSet;

use crate::connections;
use crate::figures;
use crate::invitation;
use crate::media::{self, MediaError};
use crate::mix;
use crate::page::{self, PageError};
use crate::recording::{self, Recorder};
use crate::rtp_in;
use crate::settings::Settings;

/// How long webhooks may take to arrive at the end, and the workers to say goodbye to their peers.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the server cannot run.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum ServerError {
    /// An HTTP address cannot be bound.
    Bind(SocketAddr, io::Error),
    /// Media cannot start.
    Media(MediaError),
    /// The folder of the page cannot be served.
    Page(PageError),
    /// A door for plain RTP cannot be opened; for whom.
    Door(String, GuestError),
    /// Webhooks cannot be sent.
    Webhooks(WebhookError),
    /// The recordings in the data folder cannot be looked through.
    Recordings(PathBuf, io::Error),
    /// The system does not tell us about signals.
    Signal(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "TCP {address} is in use by another program; --listen chooses another address"
                )
            }
            Self::Bind(address, error) => write!(f, "TCP {address} cannot be opened: {error}"),
            Self::Media(error) => write!(f, "{error}"),
            Self::Page(error) => write!(f, "{error}"),
            Self::Door(identity, error) => write!(f, "the RTP door of `{identity}` cannot be opened: {error}"),
            Self::Webhooks(error) => write!(f, "`webhooks`: {error}"),
            Self::Recordings(data, error) => write!(f, "the recordings in {} cannot be read: {error}", data.display()),
            Self::Signal(error) => write!(f, "signals cannot be received: {error}"),
        }
    }
}

impl Error for ServerError {}

/// Runs until Ctrl-C or SIGTERM; `ready` is told the address once everything is up.
///
/// # Errors
/// When a part cannot start.
pub(crate) async fn run(settings: Settings, ready: impl FnOnce(String)) -> Result<(), ServerError> {
    let stop = stopped()?;
    let page = page::routes(settings.page.clone()).map_err(ServerError::Page)?;
    let keys = invitation::keys(&settings);
    let webhooks = receivers(&settings, &keys).map_err(ServerError::Webhooks)?;
    let listeners = listen(&settings.http.listen).await?;
    let (sink, events) = event_queue();
    let net = media::start(&settings, sink).map_err(ServerError::Media)?;
    let config = SignallingConfig {
        keys,
        webhooks,
        limits: RoomLimits {
            last_n: settings.room.last_n,
            loudest: settings.room.loudest_audio.map(NonZeroUsize::get),
            ..RoomLimits::default()
        },
        codecs: Codecs {
            // What is shown live cannot hold VP8, and H.264 is what everybody else can play.
            instead_of_vp8: settings.recording.live.then_some(Codec::H264),
            ..Codecs::default()
        },
        ..SignallingConfig::default()
    };
    let signalling = Signalling::start(config, net.workers().to_vec(), events);

    let mut doors = Vec::new();
    for door in &settings.rtp_in {
        doors.push(
            rtp_in::open(&signalling, door)
                .await
                .map_err(|error| ServerError::Door(door.identity.clone(), error))?,
        );
    }

    let mixing = settings
        .mix
        .on
        .then(|| mix::start(signalling.clone(), settings.mix.clone()));

    let recorder = Recorder::start(signalling.clone(), &settings.data, settings.recording.clone());
    let recorder = recorder.map_err(|error| ServerError::Recordings(settings.data.clone(), error))?;

    let routes = page
        .merge(routes(&settings, &net, &signalling))
        .merge(recording::routes(recorder.clone()));
    let address = listeners
        .first()
        .map_or_else(String::new, |(_, address)| spoken(*address));
    let mut serving = JoinSet::new();
    for (listener, _) in listeners {
        serving.spawn(connections::serve(listener, routes.clone()));
    }
    ready(address);
    stop.await;

    tracing::info!("stopping");
    drop(doors);
    recorder.close(FAREWELL).await;
    if let Some(mixing) = mixing {
        mixing.abort();
    }
    signalling.close();
    signalling.drained(FAREWELL).await;
    serving.abort_all();
    if let Err(error) = net.shutdown(FAREWELL) {
        tracing::warn!(%error, "not everybody could be told");
    }
    Ok(())
}

fn receivers(settings: &Settings, keys: &Keys) -> Result<Option<Receivers>, WebhookError> {
    let wanted = &settings.webhooks;
    let key = wanted.key.clone().unwrap_or_else(|| settings.first_key());
    let receivers = || Receivers::new(&wanted.urls, &key, keys);
    (!wanted.urls.is_empty()).then(receivers).transpose()
}

fn routes(settings: &Settings, net: &Net<MediaRouter>, signalling: &Signalling) -> Router {
    let mut routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .merge(signalling.router());
    if settings.development() {
        routes = routes
            .merge(invitation::routes(settings))
            .merge(figures::routes(net.workers().to_vec(), signalling.clone()));
    }
    routes
}

/// Binds all addresses. Of the defaults, `[::1]` may be missing: not every machine speaks IPv6.
async fn listen(addresses: &[SocketAddr]) -> Result<Vec<(TcpListener, SocketAddr)>, ServerError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        match TcpListener::bind(address)
            .await
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
        {
            Ok((bound, listener)) => listeners.push((listener, bound)),
            Err(error) if is_optional(address, &error, &listeners) => {}
            Err(error) => return Err(ServerError::Bind(address, error)),
        }
    }
    Ok(listeners)
}

fn is_optional(address: SocketAddr, error: &io::Error, found: &[(TcpListener, SocketAddr)]) -> bool {
    let no_ipv6 = matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(97); // EAFNOSUPPORT has no kind of its own
    address.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) && no_ipv6 && !found.is_empty()
}

/// An address as one would type it.
fn spoken(address: SocketAddr) -> String {
    if address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// Resolves when somebody wants the server to stop.
pub(crate) fn stopped() -> Result<impl Future<Output = ()>, ServerError> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate()).map_err(ServerError::Signal)?;
    Ok(async move {
        let interrupted = signal::ctrl_c();
        #[cfg(unix)]
        tokio::select! {
            _ = interrupted => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = interrupted.await;
    })
}
