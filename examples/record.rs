//! Records one WHIP publisher: `record [FOLDER] [HTTP ADDRESS] [MEDIA ADDRESS]`.
//!
//! ```text
//! record meeting & whip http://127.0.0.1:8000/whip &
//! ffmpeg -re -i film.webm -map 0:v -c:v libvpx -deadline realtime -g 60 -f rtp 'rtp://127.0.0.1:8100?pkt_size=1200'
//! ```
//!
//! In the folder there will be a WebM file for each track, which can be played at every moment, and `manifest.json` to say
//! what belongs where. The recorder is a peer of the router: it subscribes to what is published, and gets it after repair.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use althing_media_core::transport::{Certificate, Protocol, Route, WebRtcConfig};
use althing_media_core::{
    EndpointConfig, EndpointId, Event, LayerTarget, LocalAddress, NtpTime, Output, Router, RouterConfig, Ssrc,
    StreamIds, SubscriptionConfig,
};
use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::folder::Folder;
use althing_recorder::recording::{Person, PersonId, Recording, RecordingConfig, Signer, TrackInfo};
use althing_signalling::sdp::{Codecs, Description, Reception, Wish, answer};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |n, default: &str| std::env::args().nth(n).unwrap_or_else(|| default.to_owned());
    let http = TcpListener::bind(argument(2, "127.0.0.1:8000"))?;
    let media = UdpSocket::bind(argument(3, "127.0.0.1:8001"))?;
    let (protocol, socket, now) = (Protocol::Udp, media.local_addr()?, Instant::now());
    println!("http://{}/whip (media on {socket})", http.local_addr()?);
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let config = RouterConfig {
        wall: NtpTime::from_unix(unix),
        certificate: Certificate::generate()?,
        index: 0,
        #[rustfmt::skip]
        local: vec![LocalAddress { protocol, socket, advertised: socket }],
        max_endpoints: 2,
    };
    let mut router = Router::new(now, config);
    // Who publishes wants to be recorded: there is nobody else to ask.
    let publisher = Person::new("publisher", "The publisher");
    let recording = RecordingConfig::new("record", u64::try_from(unix.as_millis())?, Signer::random()?).by(publisher);
    let disk = Arc::new(Disk::start(DiskConfig::default(), |event| println!("{event}"))?);
    let mut folder = Folder::create(argument(1, "recording").as_ref(), &disk, Recording::new(now, recording))?;
    let (stream, _) = http.accept()?;
    let ear = router.add_endpoint(now, EndpointConfig::Local)?;
    let description = publish(&read_request(&stream)?, &mut router, ear, folder.recording())?;
    respond(stream, "201 Created\r\nlocation: /session", &description)?;
    http.set_nonblocking(true)?;
    let mut buf = [0; 2048];
    'session: loop {
        let now = Instant::now();
        // Out: what the router has for the publisher and for the recorder.
        let deadline = loop {
            match router.poll_output(now, &mut buf) {
                Output::Transmit(out) => drop(media.send_to(&buf[..out.len], out.route.remote)),
                Output::Deliver(out) => folder.recording().handle_packet(now, &buf[..out.len].to_vec().into()),
                Output::Event(Event::Disconnected { .. }) => break 'session,
                Output::Timeout(at) => break at,
                _ => {}
            }
        };
        // What the recorder writes, and its wishes for keyframes.
        for wish in folder.handle_timeout(now)?.feedback {
            router.handle_packet(now, ear, &mut wish.to_vec())?;
        }
        // Any request now is the client's good-bye.
        if let Ok((stream, _)) = http.accept() {
            read_request(&stream)?;
            respond(stream, "200 OK", "")?;
            break;
        }
        let wait = deadline.map_or(5, |at| at.saturating_duration_since(now).as_millis().clamp(1, 5));
        media.set_read_timeout(Some(Duration::from_millis(u64::try_from(wait)?)))?;
        if let Ok((len, remote)) = media.recv_from(&mut buf) {
            #[rustfmt::skip]
            let route = Route { protocol, local: socket, remote };
            router.handle_datagram(Instant::now(), route, &mut buf[..len]);
        }
        router.handle_timeout(Instant::now());
    }
    Ok(folder.finish(Instant::now(), 0)?)
}

/// Answers an offer, and has the recorder subscribe to all that comes. Gives the answer.
fn publish(offer: &str, router: &mut Router, ear: EndpointId, tape: &mut Recording) -> Result<String, Box<dyn Error>> {
    let now = Instant::now();
    let wish = |_: &_| Wish::Receive(Reception::default());
    let agreement = answer(&Description::parse(offer)?, &Codecs::default(), wish)?;
    let endpoint = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    router.set_remote(now, endpoint, &agreement.remote)?;
    for (ssrc, config) in (1..).map(Ssrc).zip(agreement.tracks()) {
        let track = router.add_track(now, endpoint, &config)?;
        let subscription = SubscriptionConfig {
            mid: None,
            kind: config.kind,
            stream: StreamIds::new(ssrc),
            cname: String::new(),
            codecs: config.codecs.clone(),
            extensions: config.extensions,
            layers: LayerTarget::BEST,
            nack: false,
        };
        let subscription = router.subscribe(now, ear, subscription)?;
        router.set_source(now, subscription, Some(track));
        let info = TrackInfo {
            person: PersonId(1),
            kind: config.kind,
            source: format!("{:?}", config.kind),
            ssrc,
            codecs: config.codecs,
            extensions: config.extensions,
        };
        tape.handle_track_added(now, info);
    }
    let local = router.local_description(endpoint).ok_or("the endpoint is gone")?;
    Ok(agreement.describe(&local, 1).to_string())
}

/// The body of a request.
fn read_request(mut stream: &TcpStream) -> Result<String, Box<dyn Error>> {
    let (mut request, mut piece) = (String::new(), [0; 4096]);
    loop {
        let len = stream.read(&mut piece)?;
        request.push_str(std::str::from_utf8(&piece[..len])?);
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((&request, ""));
        let head = head.to_ascii_lowercase();
        let length = head
            .split("content-length:")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let whole = head.len() < request.len() && body.len() >= length.unwrap_or("0").trim().parse()?;
        if whole || len == 0 {
            return Ok(body.to_owned());
        }
    }
}

fn respond(mut stream: TcpStream, head: &str, body: &str) -> Result<(), Box<dyn Error>> {
    Ok(write!(
        stream,
        "HTTP/1.1 {head}\r\ncontent-type: application/sdp\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?)
}
