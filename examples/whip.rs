//! A WHIP publisher: takes plain RTP on a port, as ffmpeg and GStreamer send it, and publishes it to any WHIP server.
//!
//! ```text
//! whip http://localhost:7880/whip/room TOKEN &
//! ffmpeg -re -i film.webm -map 0:v -c:v libvpx -deadline realtime -g 60 -f rtp 'rtp://127.0.0.1:8100?pkt_size=1200'
//! ```
//!
//! The router is a client here: one endpoint is a plain port, the other the WebRTC session with the server; what comes in
//! at the one goes out at the other, and the server's wish for retransmission is answered from the router's history.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use althing_media_core::transport::{Certificate, PlainConfig, Protocol, Route, Setup, WebRtcConfig};
use althing_media_core::{
    Codec, CodecParams, EndpointConfig, ExtensionMap, LocalAddress, MediaKind, NtpTime, Output, Pt, Router,
    RouterConfig, Ssrc, StreamIds, TrackConfig,
};
use althing_signalling::sdp::{Description, Msid, OfferedMedia, OfferedStream, accept, offer};
use althing_testkit::client::http::{self, Url};

/// The payload type that ffmpeg gives to its first stream.
const PT: Pt = Pt::new(96);
/// How long the loop waits at most before it looks at the other socket.
const LOOK: Duration = Duration::from_millis(2);

fn main() -> Result<(), Box<dyn Error>> {
    // `whip URL [TOKEN] [RTP PORT]`
    let argument = |n| std::env::args().nth(n);
    let url = argument(1)
        .as_deref()
        .and_then(Url::parse)
        .ok_or("usage: whip http://… [TOKEN] [RTP PORT]")?;
    let token = argument(2).unwrap_or_default();
    let port = argument(3).map_or(Ok(8100), |port| port.parse())?;
    let plain = UdpSocket::bind(("127.0.0.1", port))?;
    let session = UdpSocket::bind(("127.0.0.1", 0))?;
    let (plain_address, session_address) = (plain.local_addr()?, session.local_addr()?);

    let now = Instant::now();
    let mut router = Router::new(now, router_config(session_address)?);

    // In: one plain endpoint with one VP8 track. The sender's address is learnt from its first packet.
    let config = PlainConfig {
        local: plain_address,
        remote: None,
        rtcp: None,
        keys: None,
    };
    let door = router.add_endpoint(now, EndpointConfig::Plain(config))?;
    let track = router.add_track(now, door, &vp8_track())?;

    // Out: a WebRTC endpoint that offers to send, and the server's answer.
    let client = WebRtcConfig {
        setup: Setup::Actpass,
        ..WebRtcConfig::CLIENT
    };
    let server = router.add_endpoint(now, EndpointConfig::WebRtc(client))?;
    let local = router.local_description(server).ok_or("no description")?;
    let offered = offer(&local, 1, &[OfferedMedia::send(&[Codec::Vp8], stream())]);
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/sdp"), ("authorization", bearer.as_str())];
    let response = http::request("POST", &url, &headers, &offered.to_string())?;
    if response.status != 201 {
        return Err(format!("the server says {}: {}", response.status, response.body.trim()).into());
    }
    let agreement = accept(&offered, &Description::parse(&response.body)?)?;
    router.set_remote(now, server, &agreement.remote)?;
    for candidate in &agreement.candidates {
        router.add_remote_candidate(now, server, candidate)?;
    }
    for config in agreement.subscriptions() {
        let subscription = router.subscribe(now, server, config)?;
        router.set_source(now, subscription, Some(track));
    }
    println!("publishing to {url} what comes to {plain_address}");
    run(&mut router, &plain, &session)
}

/// Moves datagrams until the process is killed or the session ends.
fn run(router: &mut Router, plain: &UdpSocket, session: &UdpSocket) -> Result<(), Box<dyn Error>> {
    let mut buf = [0; 2048];
    for socket in [plain, session] {
        socket.set_read_timeout(Some(LOOK))?;
    }
    let plain_address = plain.local_addr()?;
    loop {
        for socket in [plain, session] {
            while let Output::Transmit(out) = next(router, &mut buf)? {
                let socket = if out.route.local == plain_address {
                    plain
                } else {
                    session
                };
                // A datagram that cannot be sent is a lost one.
                let _ = socket.send_to(&buf[..out.len], out.route.remote);
            }
            if let Ok((len, remote)) = socket.recv_from(&mut buf) {
                let route = Route {
                    protocol: Protocol::Udp,
                    local: socket.local_addr()?,
                    remote,
                };
                router.handle_datagram(Instant::now(), route, &mut buf[..len]);
            }
            router.handle_timeout(Instant::now());
        }
    }
}

/// The next datagram or deadline. The end of the session is the end of the program.
fn next(router: &mut Router, buf: &mut [u8]) -> Result<Output, Box<dyn Error>> {
    loop {
        match router.poll_output(Instant::now(), buf) {
            Output::Event(event @ althing_media_core::Event::Disconnected { .. }) => {
                return Err(format!("{event:?}").into());
            }
            Output::Event(event) => println!("{event:?}"),
            output => return Ok(output),
        }
    }
}

fn router_config(socket: SocketAddr) -> Result<RouterConfig, Box<dyn Error>> {
    Ok(RouterConfig {
        wall: NtpTime::from_unix(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?),
        certificate: Certificate::generate()?,
        index: 0,
        local: vec![LocalAddress {
            protocol: Protocol::Udp,
            socket,
            advertised: socket,
        }],
        max_endpoints: 2,
    })
}

fn vp8_track() -> TrackConfig {
    TrackConfig {
        mid: None,
        kind: MediaKind::Video,
        codecs: vec![CodecParams::new(Codec::Vp8, PT)],
        extensions: ExtensionMap::new(),
        rids: <_>::default(),
        streams: <_>::default(),
        nack: false,
        transport_cc: false,
        encrypted: false,
    }
}

fn stream() -> OfferedStream {
    OfferedStream {
        msid: Msid {
            stream: "whip".to_owned(),
            track: "video".to_owned(),
        },
        cname: "whip".to_owned(),
        rids: Vec::new(),
        streams: vec![StreamIds::new(Ssrc(0x7000)).with_rtx(Some(Ssrc(0x7001)))],
    }
}
