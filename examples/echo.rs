//! Data channels: a server that says everything again, in one loop. Standard sockets, [`Router`], and SDP from
//! `althing-signalling`.
//!
//! Open `http://localhost:8000` and type. Whatever channels a peer makes, each message comes back on the channel that it
//! came on, text as text and binary as binary; and the server makes one channel of its own, "hello", to greet.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use althing_media_core::config::EndpointId;
use althing_media_core::transport::{Certificate, Protocol, Route, WebRtcConfig};
use althing_media_core::{
    DataChannelConfig, DataChannelId, DataKind, EndpointConfig, Event, LocalAddress, NtpTime, Output, Router,
    RouterConfig, SendDataError,
};
use althing_signalling::sdp::{Codecs, Description, Wish, answer_growing};

/// How long the loop waits for datagrams before it looks whether somebody calls by HTTP.
const LOOK: Duration = Duration::from_millis(5);
/// Longest HTTP request.
const MAX_REQUEST: u64 = 64 * 1024;
/// Messages that wait for one channel. A peer that sends more than it takes loses the channel.
const MAX_WAITING: usize = 256;

/// What did not fit, by channel: to be sent when there is room.
type Waiting = HashMap<(EndpointId, DataChannelId), VecDeque<(DataKind, Vec<u8>)>>;

fn main() -> Result<(), Box<dyn Error>> {
    // `echo [HTTP ADDRESS] [DATAGRAM ADDRESS]`
    let address = |n, default: &str| std::env::args().nth(n).unwrap_or_else(|| default.to_owned());
    let http = TcpListener::bind(address(1, "127.0.0.1:8000"))?;
    let datagrams = UdpSocket::bind(address(2, "127.0.0.1:8001"))?;
    http.set_nonblocking(true)?;
    let socket = datagrams.local_addr()?;
    println!("http://{} (datagrams on {socket})", http.local_addr()?);

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
    let mut waiting = Waiting::new();
    let mut buf = [0; 2048];
    loop {
        let deadline = loop {
            match router.poll_output(Instant::now(), &mut buf) {
                Output::Transmit(out) => drop(datagrams.send_to(&buf[..out.len], out.route.remote)),
                Output::Event(event) => on_event(event, &mut router, &mut waiting),
                Output::Timeout(at) => break at,
                _ => {}
            }
        };
        if let Ok((stream, _)) = http.accept() {
            serve(stream, &mut router).unwrap_or_else(|error| println!("a request failed: {error}"));
            continue;
        }
        let wait = deadline.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()).min(LOOK));
        datagrams.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        if let Ok((len, remote)) = datagrams.recv_from(&mut buf) {
            #[rustfmt::skip]
            let route = Route { protocol, local: socket, remote };
            router.handle_datagram(Instant::now(), route, &mut buf[..len]);
        }
        router.handle_timeout(Instant::now());
    }
}

fn on_event(event: Event, router: &mut Router, waiting: &mut Waiting) {
    let now = Instant::now();
    match event {
        Event::DataReceived {
            endpoint,
            channel,
            kind,
            data,
        } => {
            let queue = waiting.entry((endpoint, channel)).or_default();
            queue.push_back((kind, data.to_vec()));
            if queue.len() > MAX_WAITING {
                router.close_data_channel(now, endpoint, channel);
            }
            send(router, (endpoint, channel), queue);
        }
        Event::DataWritable { endpoint, channel } => {
            if let Some(queue) = waiting.get_mut(&(endpoint, channel)) {
                send(router, (endpoint, channel), queue);
            }
        }
        Event::DataChannelOpened {
            endpoint,
            channel,
            config,
            by_peer,
        } => {
            println!("{} is open", config.label);
            if !by_peer {
                // Nothing can be in the way of the first message.
                let _ = router.send_data(now, endpoint, channel, DataKind::Text, b"hello");
            }
        }
        Event::DataChannelClosed { endpoint, channel } => {
            waiting.remove(&(endpoint, channel));
        }
        Event::Disconnected { endpoint, .. } => {
            waiting.retain(|(owner, _), _| *owner != endpoint);
            router.remove_endpoint(now, endpoint);
        }
        _ => {}
    }
}

/// Sends what waits, until there is no room.
fn send(
    router: &mut Router,
    (endpoint, channel): (EndpointId, DataChannelId),
    queue: &mut VecDeque<(DataKind, Vec<u8>)>,
) {
    while let Some((kind, data)) = queue.front() {
        match router.send_data(Instant::now(), endpoint, channel, *kind, data) {
            Err(SendDataError::Full) => return,
            _ => drop(queue.pop_front()),
        }
    }
}

/// Answers one HTTP request.
fn serve(mut stream: TcpStream, router: &mut Router) -> Result<(), Box<dyn Error>> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (head, body) = read_request(&stream)?;
    let (status, kind, body) = match head.split_whitespace().take(2).collect::<Vec<_>>()[..] {
        ["GET", "/"] => ("200 OK", "text/html", include_str!("echo.html").to_owned()),
        ["POST", "/offer"] => match join(&body, router) {
            Ok(answer) => ("201 Created", "application/sdp", answer),
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

/// Takes an offer with a section for data channels, and gives the answer.
fn join(offer: &str, router: &mut Router) -> Result<String, Box<dyn Error>> {
    let now = Instant::now();
    let offer = Description::parse(offer)?;
    let agreement = answer_growing(&offer, &Codecs::default(), |_| Wish::Reject)?;
    let data = offer.sections.iter().find(|section| section.is_data());
    let data = data.ok_or("the offer has no data channels")?;
    let endpoint = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    router.set_remote(now, endpoint, &agreement.remote)?;
    if let Some(longest) = data.max_message_size {
        router.set_max_message_size(now, endpoint, longest);
    }
    router.open_data_channel(now, endpoint, DataChannelConfig::new("hello"))?;
    let local = router.local_description(endpoint).ok_or("the endpoint is gone")?;
    Ok(agreement.describe(&local, 1).to_string())
}
