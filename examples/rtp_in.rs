//! Plain RTP in, browsers out: what ffmpeg sends to a port is watched by WHEP.
//!
//! ```text
//! rtp_in &
//! ffmpeg -re -i film.webm -map 0:v -c:v libvpx -deadline realtime -g 60 -f rtp 'rtp://127.0.0.1:8100?pkt_size=1200'
//! ```
//!
//! Then open `http://localhost:8000`. Here the sockets and the thread are those of `althing-media-net`, and HTTP is
//! axum's: the router is reached by closures that run on its worker. Plain RTP proves nothing about its sender: keep
//! such a port on loopback or in a network of one's own.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

use althing_media_core::transport::{Certificate, PlainConfig, WebRtcConfig};
use althing_media_core::{
    Codec, CodecParams, EndpointConfig, Event, ExtensionMap, MediaKind, NtpTime, Pt, Router, RouterConfig, Ssrc,
    StreamIds, TrackConfig, TrackId, UsageError,
};
use althing_media_net::{Net, NetConfig, Worker};
use althing_signalling::sdp::{Agreement, Codecs, Description, Msid, Outgoing, Wish, answer};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

/// The payload type that ffmpeg gives to its first stream.
const PT: Pt = Pt::new(96);

/// What a request needs to know.
struct Stage {
    worker: Worker<Router>,
    track: TrackId,
    next_ssrc: AtomicU32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // `rtp_in [HTTP ADDRESS] [MEDIA ADDRESS] [RTP ADDRESS]`
    let address = |n, default: &str| std::env::args().nth(n).unwrap_or_else(|| default.to_owned());
    let http = tokio::net::TcpListener::bind(address(1, "127.0.0.1:8000")).await?;
    let (media, door) = (
        address(2, "127.0.0.1:8001").parse()?,
        address(3, "127.0.0.1:8100").parse()?,
    );

    let since_1970 = SystemTime::UNIX_EPOCH.elapsed()?;
    let certificate = Certificate::generate()?;
    let events = Arc::new(|_, event: Event| println!("{event:?}"));
    let config = NetConfig {
        udp: vec![media],
        workers: 1,
        events,
        ..NetConfig::default()
    };
    let net = Net::start(config, move |seat| {
        let config = RouterConfig {
            wall: NtpTime::from_unix(since_1970),
            certificate: certificate.clone(),
            index: seat.index,
            local: seat.local,
            max_endpoints: 1000,
        };
        Router::new(seat.now, config)
    })?;
    let worker = net.workers().first().ok_or("no worker")?.clone();
    let door = worker.open_udp(door)?;
    let track = worker.call(move |router, now| open_door(router, now, door))??;
    println!("http://{} (RTP on {door})", http.local_addr()?);

    let stage = Stage {
        worker,
        track,
        next_ssrc: AtomicU32::new(0x7000),
    };
    let page = Html(include_str!("rtp_in.html"));
    let app = axum::Router::new()
        .route("/", get(move || async move { page }))
        .route("/whep", post(watch));
    axum::serve(http, app.with_state(Arc::new(stage))).await?;
    Ok(())
}

/// A plain endpoint with one VP8 track; the sender's address is learnt from its first packet.
fn open_door(router: &mut Router, now: Instant, local: SocketAddr) -> Result<TrackId, UsageError> {
    let config = PlainConfig {
        local,
        remote: None,
        rtcp: None,
        keys: None,
    };
    let endpoint = router.add_endpoint(now, EndpointConfig::Plain(config))?;
    let config = TrackConfig {
        mid: None,
        kind: MediaKind::Video,
        codecs: vec![CodecParams::new(Codec::Vp8, PT)],
        extensions: ExtensionMap::new(),
        rids: <_>::default(),
        streams: <_>::default(),
        nack: false,
        transport_cc: false,
        encrypted: false,
    };
    router.add_track(now, endpoint, &config)
}

/// WHEP: an offer to receive, answered.
async fn watch(State(stage): State<Arc<Stage>>, offer: String) -> Response {
    let agreed = Description::parse(&offer)
        .map_err(|error| error.to_string())
        .and_then(|offer| {
            answer(&offer, &Codecs::default(), |section| match section.kind.media() {
                Some(MediaKind::Video) => Wish::Send(outgoing(&stage)),
                _ => Wish::Reject,
            })
            .map_err(|error| error.to_string())
        });
    let agreement = match agreed {
        Ok(agreement) => agreement,
        Err(error) => return (StatusCode::BAD_REQUEST, error).into_response(),
    };
    let track = stage.track;
    let answered = match stage
        .worker
        .ask(move |router, now| let_in(router, now, &agreement, track))
    {
        Ok(reply) => reply.await,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    match answered {
        Ok(Ok(answer)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/sdp"),
                (header::LOCATION, "/session"),
            ];
            (StatusCode::CREATED, headers, answer).into_response()
        }
        Ok(Err(error)) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        Err(gone) => (StatusCode::SERVICE_UNAVAILABLE, gone.to_string()).into_response(),
    }
}

fn outgoing(stage: &Stage) -> Outgoing {
    let ssrc = stage.next_ssrc.fetch_add(2, Ordering::Relaxed);
    Outgoing {
        msid: Msid {
            stream: "film".to_owned(),
            track: String::new(),
        },
        stream: StreamIds::new(Ssrc(ssrc)).with_rtx(Some(Ssrc(ssrc + 1))),
        cname: "film".to_owned(),
        source: None,
    }
}

/// On the worker: a new watcher for `track`; the answer for it.
fn let_in(router: &mut Router, now: Instant, agreement: &Agreement, track: TrackId) -> Result<String, UsageError> {
    let endpoint = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    router.set_remote(now, endpoint, &agreement.remote)?;
    for config in agreement.subscriptions() {
        let subscription = router.subscribe(now, endpoint, config)?;
        router.set_source(now, subscription, Some(track));
    }
    let local = router.local_description(endpoint).ok_or(UsageError::NoEndpoint)?;
    Ok(agreement.describe(&local, 1).to_string())
}
