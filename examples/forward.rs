//! A forwarding server in one loop: standard sockets, [`Router`], and SDP from `althing-signalling`.
//!
//! Open `http://localhost:8000`, publish in one window, watch in another. WHIP and WHEP clients find it at `/whip` and
//! `/whep`. There are no rooms, tokens or threads here: `examples/conference` has them.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use althing_media_core::transport::{Certificate, Protocol, Route, WebRtcConfig};
use althing_media_core::{
    EndpointConfig, Event, LocalAddress, MediaKind, NtpTime, Output, Router, RouterConfig, Ssrc, StreamIds,
    SubscriptionId, TrackId,
};
use althing_signalling::sdp::{Codecs, Description, Msid, Outgoing, Reception, Wish, answer};

/// How long the loop waits for media before it looks whether somebody calls by HTTP.
const LOOK: Duration = Duration::from_millis(5);
/// Longest HTTP request.
const MAX_REQUEST: u64 = 64 * 1024;

/// All that the server remembers besides the router: what is published, and who watches.
#[derive(Default)]
struct Stage {
    tracks: HashMap<MediaKind, TrackId>,
    watching: Vec<(MediaKind, SubscriptionId)>,
    next_ssrc: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    // `forward [HTTP ADDRESS] [MEDIA ADDRESS]`
    let address = |n, default: &str| std::env::args().nth(n).unwrap_or_else(|| default.to_owned());
    let http = TcpListener::bind(address(1, "127.0.0.1:8000"))?;
    let media = UdpSocket::bind(address(2, "127.0.0.1:8001"))?;
    http.set_nonblocking(true)?;
    let socket = media.local_addr()?;
    println!("http://{} (media on {socket})", http.local_addr()?);

    let (protocol, advertised) = (Protocol::Udp, socket);
    let config = RouterConfig {
        wall: NtpTime::from_unix(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?),
        certificate: Certificate::generate()?,
        index: 0,
        #[rustfmt::skip]
        local: vec![LocalAddress { protocol, socket, advertised }],
        max_endpoints: 1000,
    };
    let mut router = Router::new(Instant::now(), config);
    let mut stage = Stage::default();
    let mut buf = [0; 2048];
    loop {
        // Out: everything that the router has to send or to say, until it names the time of its next wish.
        let deadline = loop {
            match router.poll_output(Instant::now(), &mut buf) {
                Output::Transmit(out) => drop(media.send_to(&buf[..out.len], out.route.remote)),
                Output::Event(Event::Disconnected { endpoint, .. }) => router.remove_endpoint(Instant::now(), endpoint),
                Output::Timeout(at) => break at,
                event => println!("{event:?}"),
            }
        };
        // Signalling: one request at a time.
        if let Ok((stream, _)) = http.accept() {
            serve(stream, &mut router, &mut stage).unwrap_or_else(|error| println!("a request failed: {error}"));
            continue;
        }
        // In: wait for a datagram, but not past the deadline; then tell the router what time it is.
        let wait = deadline.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()).min(LOOK));
        media.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        if let Ok((len, remote)) = media.recv_from(&mut buf) {
            #[rustfmt::skip]
            let route = Route { protocol, local: socket, remote };
            router.handle_datagram(Instant::now(), route, &mut buf[..len]);
        }
        router.handle_timeout(Instant::now());
    }
}

/// Answers one HTTP request.
fn serve(mut stream: TcpStream, router: &mut Router, stage: &mut Stage) -> Result<(), Box<dyn Error>> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (head, body) = read_request(&stream)?;
    let (status, kind, body) = match head.split_whitespace().take(2).collect::<Vec<_>>()[..] {
        ["GET", "/"] => ("200 OK", "text/html", include_str!("forward.html").to_owned()),
        ["POST", path @ ("/whip" | "/whep")] => match join(&body, path == "/whip", router, stage) {
            Ok(answer) => ("201 Created\r\nlocation: /session", "application/sdp", answer),
            Err(error) => ("400 Bad Request", "text/plain", format!("{error}\n")),
        },
        _ => ("404 Not Found", "text/plain", "See / for a page.\n".to_owned()),
    };
    let headers = format!("content-type: {kind}\r\ncontent-length: {}", body.len());
    Ok(write!(stream, "HTTP/1.1 {status}\r\n{headers}\r\n\r\n{body}")?)
}

/// The request line and the body.
fn read_request(stream: &TcpStream) -> Result<(String, String), Box<dyn Error>> {
    let mut reader = BufReader::new(stream.take(MAX_REQUEST));
    let (mut head, mut length) = (String::new(), 0);
    reader.read_line(&mut head)?;
    let lines = reader.by_ref().lines().map_while(Result::ok);
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    Ok((head, body))
}

/// Takes an offer, tells the router, and gives the answer.
fn join(offer: &str, publish: bool, router: &mut Router, stage: &mut Stage) -> Result<String, Box<dyn Error>> {
    let now = Instant::now();
    let agreement = answer(&Description::parse(offer)?, &Codecs::default(), |_| {
        if publish {
            return Wish::Receive(Reception::default());
        }
        stage.next_ssrc += 2;
        let (ssrc, rtx) = (Ssrc(stage.next_ssrc), Some(Ssrc(stage.next_ssrc + 1)));
        Wish::Send(Outgoing {
            msid: Msid {
                stream: "stage".to_owned(),
                track: String::new(),
            },
            stream: StreamIds::new(ssrc).with_rtx(rtx),
            cname: "stage".to_owned(),
            source: None,
        })
    })?;
    let endpoint = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    router.set_remote(now, endpoint, &agreement.remote)?;
    for config in agreement.tracks() {
        let track = router.add_track(now, endpoint, &config)?;
        stage.tracks.insert(config.kind, track);
    }
    for config in agreement.subscriptions() {
        let kind = config.kind;
        stage.watching.push((kind, router.subscribe(now, endpoint, config)?));
    }
    // Whoever published last is on the stage, and everybody who watches sees that one.
    for (kind, subscription) in &stage.watching {
        router.set_source(now, *subscription, stage.tracks.get(kind).copied());
    }
    let local = router.local_description(endpoint).ok_or("the endpoint is gone")?;
    Ok(agreement.describe(&local, 1).to_string())
}
