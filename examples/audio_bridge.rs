//! A conference of sound: whoever comes is mixed, and each hears all others as one stream, whatever their number.
//!
//! Open `http://localhost:8000` in two windows and talk; WHIP and WHEP clients find it at `/whip` and `/whep`. For each
//! peer the router has a second one in this process, through which the mixer's thread hears it and talks to it.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::error::Error;
use std::sync::{Arc, mpsc::Receiver, mpsc::Sender, mpsc::channel};
use std::time::{Instant, SystemTime};

use althing_media_core::transport::{Certificate, WebRtcConfig};
use althing_media_core::{
    Codec, CodecParams, EndpointConfig, Event, Extension, ExtensionMap, Kind, LayerTarget, MediaKind, NtpTime, Packet,
    Pt, Router, RouterConfig, Ssrc, StreamIds, SubscriptionConfig, TrackConfig, UsageError, config::EndpointId,
};
use althing_media_net::{LocalPeer, Net, NetConfig, Worker};
use althing_mixer::{Encoding, Input, ListenerConfig, ListenerId, Mixer, SourceConfig, SourceId};
use althing_mixer::{codec::Format, playout::PlayoutConfig};
use althing_signalling::sdp::{Agreement, Codecs, Description, Direction, Msid, Outgoing, Reception, Wish, answer};
use axum::http::{StatusCode, header::CONTENT_TYPE, header::LOCATION};
use axum::{extract::State, response::Html, response::IntoResponse, routing::get, routing::post};

const OPUS: Format = Format::Opus { channels: 1 };
const CODEC: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));
const LEVEL: u8 = 1;
#[rustfmt::skip]
const STREAM: StreamIds = StreamIds::new(Ssrc(1));

/// A peer, and its other end here.
type Ends = [EndpointId; 2];
struct Member(Ends, LocalPeer, SourceId, ListenerId);
type Door = (Worker<Router>, Sender<Ends>);
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
#[rustfmt::skip]
fn mix(worker: &Worker<Router>, coming: &Receiver<Ends>, events: &Receiver<Event>) -> Result<(), Failure> {
    let (mut mixer, mut members, mut buf) = (Mixer::new(Instant::now(), <_>::default()), Vec::new(), [0; 1500]);
    let input = Input::Rtp { playout: PlayoutConfig { payload_type: CODEC.pt, red: None, comfort_noise: None }, format: OPUS, level_id: Some(LEVEL) };
    // What a busy worker does not do now it does at a later tick.
    let (mut come, mut gone) = (Vec::new(), Vec::new());
    loop {
        std::thread::sleep(mixer.next_tick().saturating_duration_since(Instant::now()));
        come.extend(coming.try_iter());
        while let Some(ends) = come.last().copied() && let Ok(peer) = worker.attach(ends[1], 100) {
            come.pop();
            let own = mixer.add_source(&SourceConfig::new(input))?;
            let listener = ListenerConfig { own: own.into(), ..ListenerConfig::new(Encoding::of(OPUS), STREAM.ssrc, CODEC.pt) };
            members.push(Member(ends, peer, own, mixer.add_listener(listener)?));
        }
        for event in events.try_iter() {
            let left = |member: &mut Member| matches!(event, Event::Disconnected { endpoint, .. } if endpoint == member.0[0]);
            for Member(ends, _, own, ear) in members.extract_if(.., left) {
                mixer.remove_source(own);
                mixer.remove_listener(ear);
                gone.extend(ends);
            }
        }
        let ends = gone.clone();
        if !ends.is_empty() && worker.run(move |router, now| ends.iter().for_each(|end| router.remove_endpoint(now, *end))).is_ok() { gone.clear(); }
        for Member(_, peer, own, _) in &members {
            while let Some(packet) = peer.try_recv()? {
                if let (Some(Kind::Rtp), Ok(rtp)) = (Kind::of(&packet.bytes), Packet::parse(packet.bytes)) { mixer.push(packet.at, *own, &rtp); }
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
#[rustfmt::skip]
async fn join(State(door): State<Door>, offer: String) -> Result<impl IntoResponse, (StatusCode, String)> {
    let answer = agree(door, &offer).await.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok((StatusCode::CREATED, [(CONTENT_TYPE, "application/sdp"), (LOCATION, "/session")], answer))
}

#[rustfmt::skip]
async fn agree((worker, comes): Door, offer: &str) -> Result<String, Failure> {
    let msid = Msid { stream: "mix".to_owned(), track: String::new() };
    let agreement = answer(&Description::parse(offer)?, &Codecs::default(), |section| match (section.kind.media(), section.direction) {
        (Some(MediaKind::Audio), Direction::RecvOnly) => Wish::Send(Outgoing { msid: msid.clone(), stream: STREAM, cname: "mix".to_owned(), source: None }),
        (Some(MediaKind::Audio), _) => Wish::Receive(Reception::default()),
        _ => Wish::Reject,
    })?;
    Ok(worker.ask(move |router, now| let_in(router, now, &agreement, &comes))?.await??)
}

/// On the worker: a new peer, its other end in this process, and its answer. Nothing is left of who is refused.
#[rustfmt::skip]
fn let_in(router: &mut Router, now: Instant, offer: &Agreement, comes: &Sender<Ends>) -> Result<String, UsageError> {
    let remote = router.add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::SERVER))?;
    let here = router.add_endpoint(now, EndpointConfig::Local).inspect_err(|_| router.remove_endpoint(now, remote))?;
    let answer = connect(router, now, offer, [remote, here]);
    let answer = answer.inspect_err(|_| [remote, here].iter().for_each(|end| router.remove_endpoint(now, *end)))?;
    let _ = comes.send([remote, here]);
    Ok(answer)
}

#[rustfmt::skip]
fn connect(router: &mut Router, now: Instant, agreement: &Agreement, [remote, here]: Ends) -> Result<String, UsageError> {
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
    Ok(agreement.describe(&local, 1).to_string())
}
