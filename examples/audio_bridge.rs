//! A conference of sound: whoever comes is mixed, and each hears all others as one stream, whatever their number.
//!
//! Open `http://localhost:8000` in two windows and talk; WHIP and WHEP clients find it at `/whip` and `/whep`. For each
//! peer the router has a second one in this process, through which the mixer's thread hears it and talks to it.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Instant, SystemTime};

use althing_media_core::config::EndpointId;
use althing_media_core::transport::{Certificate, WebRtcConfig};
use althing_media_core::{
    Codec, CodecParams, EndpointConfig, Event, Extension, ExtensionMap, Kind, LayerTarget, MediaKind, NtpTime, Packet,
    Pt, Router, RouterConfig, Ssrc, StreamIds, SubscriptionConfig, TrackConfig, UsageError,
};
use althing_media_net::{LocalPeer, Net, NetConfig, Worker};
use althing_mixer::codec::Format;
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{Encoding, Input, ListenerConfig, ListenerId, Mixer, SourceConfig, SourceId};
use althing_signalling::sdp::{Agreement, Codecs, Description, Direction, Msid, Outgoing, Reception, Wish, answer};
use axum::http::{StatusCode, header::CONTENT_TYPE, header::LOCATION};
use axum::{extract::State, response::Html, response::IntoResponse, routing::get, routing::post};

const OPUS: Format = Format::Opus { channels: 1 };
const CODEC: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));
const LEVEL: u8 = 1;
#[rustfmt::skip]
const STREAM: StreamIds = StreamIds::new(Ssrc(1));

/// A peer, and its other end here.
struct Member(EndpointId, LocalPeer, SourceId, ListenerId);
type Newcomer = (EndpointId, LocalPeer);
type Door = (Worker<Router>, Sender<Newcomer>);
type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    // `audio_bridge [HTTP ADDRESS] [MEDIA ADDRESS]`
    let address = |n, default: &str| std::env::args().nth(n).unwrap_or_else(|| default.to_owned());
    let http = tokio::net::TcpListener::bind(address(1, "127.0.0.1:8000")).await?;
    let udp = vec![address(2, "127.0.0.1:8001").parse()?];
    let wall = NtpTime::from_unix(SystemTime::UNIX_EPOCH.elapsed()?);
    let certificate = Certificate::generate()?;
    let ((comes, coming), (tells, told)) = (channel(), channel());
    let events = Arc::new(move |_, event| drop(tells.send(event)));
    #[rustfmt::skip]
    let net = Net::start(NetConfig { udp, workers: 1, events, ..NetConfig::default() }, move |seat| {
        Router::new(seat.now, RouterConfig { wall, certificate: certificate.clone(), index: seat.index, local: seat.local, max_endpoints: 1000 })
    })?;
    let worker = net.workers().first().ok_or("no worker")?.clone();
    let workers = worker.clone();
    std::thread::spawn(move || mix(&workers, &coming, &told).unwrap_or_else(|error| println!("{error}")));
    println!("http://{}", http.local_addr()?);
    let app = axum::Router::new().route("/", get(|| async { Html(include_str!("audio_bridge.html")) }));
    let app = app.route("/whip", post(join)).route("/whep", post(join));
    Ok(axum::serve(http, app.with_state((worker, comes))).await?)
}

/// The mixer's thread: every 20 ms what has come goes in, and what each one hears goes out.
fn mix(worker: &Worker<Router>, coming: &Receiver<Newcomer>, events: &Receiver<Event>) -> Result<(), Failure> {
    let (mut mixer, mut members, mut buf) = (Mixer::new(Instant::now(), <_>::default()), Vec::new(), [0; 1500]);
    #[rustfmt::skip]
    let input = Input::Rtp { playout: PlayoutConfig { payload_type: CODEC.pt, red: None, comfort_noise: None }, format: OPUS, level_id: Some(LEVEL) };
    loop {
        std::thread::sleep(mixer.next_tick().saturating_duration_since(Instant::now()));
        for (remote, peer) in coming.try_iter() {
            let own = mixer.add_source(&SourceConfig::new(input))?;
            let mut config = ListenerConfig::new(Encoding::of(OPUS), STREAM.ssrc, CODEC.pt);
            config.own = Some(own);
            members.push(Member(remote, peer, own, mixer.add_listener(config)?));
        }
        for event in events.try_iter() {
            let gone =
                |member: &mut Member| matches!(event, Event::Disconnected { endpoint, .. } if endpoint == member.0);
            for Member(remote, peer, own, ear) in members.extract_if(.., gone) {
                mixer.remove_source(own);
                mixer.remove_listener(ear);
                let ends = [remote, peer.endpoint()];
                worker.run(move |router, now| ends.iter().for_each(|end| router.remove_endpoint(now, *end)))?;
            }
        }
        for Member(_, peer, own, _) in &members {
            while let Some(packet) = peer.try_recv()? {
                if let (Some(Kind::Rtp), Ok(rtp)) = (Kind::of(&packet.bytes), Packet::parse(packet.bytes)) {
                    mixer.push(packet.at, *own, &rtp);
                }
            }
        }
        let start = Instant::now();
        for mixed in mixer.tick(start) {
            let member = members.iter().find(|member| member.3 == mixed.listener);
            if let Some((Member(_, peer, ..), len)) = member.zip(mixed.write(&mut buf)) {
                // A busy worker costs one peer 20 ms; one that has ended is told by `try_recv`.
                let _ = peer.send(vec![buf[..len].to_vec()]);
            }
        }
        mixer.took(start.elapsed());
    }
}

/// WHIP, WHEP, and the page, which does both in one: an offer, answered.
async fn join(State(door): State<Door>, offer: String) -> Result<impl IntoResponse, (StatusCode, String)> {
    let answer = agree(door, &offer).await;
    let answer = answer.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let headers = [(CONTENT_TYPE, "application/sdp"), (LOCATION, "/session")];
    Ok((StatusCode::CREATED, headers, answer))
}

async fn agree((worker, comes): Door, offer: &str) -> Result<String, Failure> {
    #[rustfmt::skip]
    let agreement = answer(&Description::parse(offer)?, &Codecs::default(), |section| match (section.kind.media(), section.direction) {
        (Some(MediaKind::Audio), Direction::RecvOnly) => {
            let msid = Msid { stream: "mix".to_owned(), track: String::new() };
            Wish::Send(Outgoing { msid, stream: STREAM, cname: "mix".to_owned(), source: None })
        }
        (Some(MediaKind::Audio), _) => Wish::Receive(Reception::default()),
        _ => Wish::Reject,
    })?;
    let reply = worker.ask(move |router, now| let_in(router, now, &agreement))?;
    let (remote, here, answer) = reply.await??;
    comes.send((remote, worker.attach(here, 100)?))?;
    Ok(answer)
}

/// On the worker: a new peer, its other end in this process, and its answer.
#[rustfmt::skip]
fn let_in(router: &mut Router, now: Instant, agreement: &Agreement) -> Result<(EndpointId, EndpointId, String), UsageError> {
    let remote = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    let here = router.add_endpoint(now, EndpointConfig::Local)?;
    router.set_remote(now, remote, &agreement.remote)?;
    let (kind, codecs, extensions) = (MediaKind::Audio, vec![CODEC], ExtensionMap::new().with(Extension::AudioLevel, LEVEL));
    let track = TrackConfig { mid: None, kind, codecs: codecs.clone(), extensions, rids: <_>::default(), streams: [STREAM].into_iter().collect(), nack: false, transport_cc: false, encrypted: false };
    let mix = router.add_track(now, here, &track)?;
    for config in agreement.tracks() {
        let track = router.add_track(now, remote, &config)?;
        let config = SubscriptionConfig { mid: None, kind, stream: STREAM, cname: "mixer".to_owned(), codecs: codecs.clone(), extensions, layers: LayerTarget::BEST, nack: false };
        let subscription = router.subscribe(now, here, config)?;
        router.set_source(now, subscription, Some(track));
    }
    for config in agreement.subscriptions() {
        let subscription = router.subscribe(now, remote, config)?;
        router.set_source(now, subscription, Some(mix));
    }
    let local = router.local_description(remote).ok_or(UsageError::NoEndpoint)?;
    Ok((remote, here, agreement.describe(&local, 1).to_string()))
}
