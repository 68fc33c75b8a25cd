//! Requests and what is answered, on real media workers on loopback.

use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::config::EndpointId;
use althing_media_core::event::Event;
use althing_media_core::payload::Codec;
use althing_media_core::time::NtpTime;
use althing_media_core::transport::{Certificate, WebRtcConfig};
use althing_media_core::{EndpointConfig, Router as MediaRouter, RouterConfig, Ssrc, StreamIds};
use althing_media_net::{Net, NetConfig};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::hub::unix_now;
use crate::sdp::{Description, Fragment, Msid, OfferedMedia, OfferedStream, accept, offer};
use crate::token::{Claims, Keys, VideoGrant};
use crate::{Signalling, SignallingConfig, event_queue};

const WHIP: &str = include_str!("../../tests/data/chromium-whip-simulcast.sdp");
const WHIP_H264: &str = include_str!("../../tests/data/chromium-whip-h264.sdp");
const WHEP: &str = include_str!("../../tests/data/chromium-whep.sdp");
const WHEP_FIREFOX: &str = include_str!("../../tests/data/firefox-whep.sdp");

/// Long enough for handshakes on a busy machine, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(15);

struct Stage {
    app: Router,
    signalling: Signalling,
    _net: Net<MediaRouter>,
}

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.insert("devkey", "secret");
    keys
}

fn media(max_endpoints: usize, events: althing_media_net::EventSink) -> Net<MediaRouter> {
    let udp = vec!["127.0.0.1:0".parse().unwrap()];
    let config = NetConfig {
        udp,
        workers: 1,
        events,
        ..NetConfig::default()
    };
    let certificate = Certificate::generate().unwrap();
    Net::start(config, move |seat| {
        let config = RouterConfig {
            wall: NtpTime::from_unix(unix_now()),
            certificate: certificate.clone(),
            index: seat.index,
            local: seat.local,
            max_endpoints,
        };
        MediaRouter::new(seat.now, config)
    })
    .unwrap()
}

impl Stage {
    fn new() -> Self {
        Self::with(100, SignallingConfig::default())
    }

    fn with(max_endpoints: usize, config: SignallingConfig) -> Self {
        let (sink, events) = event_queue();
        let net = media(max_endpoints, sink);
        let config = SignallingConfig { keys: keys(), ..config };
        let signalling = Signalling::start(config, net.workers().to_vec(), events);
        Self {
            app: signalling.router(),
            signalling,
            _net: net,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        assert_eq!(
            parts.headers.get("access-control-allow-origin").unwrap(),
            "*",
            "every answer has CORS headers"
        );
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn post(&self, path: &str, identity: &str, sdp: &str) -> Answer {
        self.send(
            with_token(Method::POST, path, identity)
                .header("content-type", "application/sdp")
                .body(text(sdp))
                .unwrap(),
        )
        .await
    }

    async fn patch(&self, path: &str, if_match: Option<&str>, fragment: &str) -> Answer {
        let request = with_token(Method::PATCH, path, "ada").header("content-type", "application/trickle-ice-sdpfrag");
        let request = if_match
            .iter()
            .fold(request, |request, tag| request.header("if-match", *tag));
        self.send(request.body(text(fragment)).unwrap()).await
    }

    async fn rooms(&self, room: &str) -> Value {
        let answer = self
            .send(
                with_token(Method::GET, &format!("/rooms/{room}"), "ada")
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn refuses(&self, status: u16, sentence: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert!(self.body.contains(sentence), "{}", self.body);
        assert!(
            self.body.ends_with('.') && !self.body.contains('\n'),
            "one sentence: {}",
            self.body
        );
    }
}

fn text(text: &str) -> Body {
    Body::from(text.to_owned())
}

fn grant(room: &str) -> VideoGrant {
    VideoGrant {
        room_join: true,
        room: room.to_owned(),
        ..VideoGrant::default()
    }
}

fn token(identity: &str, grant: VideoGrant) -> String {
    keys()
        .mint(
            "devkey",
            &Claims::new(identity, grant, unix_now() + Duration::from_secs(60)),
        )
        .unwrap()
}

fn expired() -> String {
    let claims = Claims::new("ada", grant("assembly"), unix_now() - Duration::from_secs(61));
    keys().mint("devkey", &claims).unwrap()
}

/// A request with a token for the room in the path.
fn with_token(method: Method, path: &str, identity: &str) -> axum::http::request::Builder {
    let room = path.trim_start_matches("/api").split(['/', '?']).nth(2).unwrap();
    let token = token(identity, grant(room));
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_publisher_comes_and_goes() {
    let stage = Stage::new();
    let created = stage.post("/whip/assembly", "ada", WHIP).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    assert_eq!(created.header("content-type"), "application/sdp");
    assert_eq!(created.header("accept-patch"), "application/trickle-ice-sdpfrag");
    assert!(created.header("etag").starts_with('"'));
    let location = created.header("location");
    assert!(
        location.starts_with("/whip/assembly/") && location.len() > "/whip/assembly/".len() + 20,
        "{location}"
    );
    let answer = Description::parse(&created.body).unwrap();
    assert!(answer.ice_lite && !answer.sections[0].candidates.is_empty());
    assert_eq!(stage.signalling.counts().sessions, 1);
    assert_eq!(stage.rooms("assembly").await["participants"][0]["state"], "joining");

    let gone = with_token(Method::DELETE, location, "ada").body(Body::empty()).unwrap();
    assert_eq!(stage.send(gone).await.status, StatusCode::OK);
    let again = with_token(Method::DELETE, location, "ada").body(Body::empty()).unwrap();
    stage.send(again).await.refuses(404, "no such session");
    let counts = stage.signalling.counts();
    assert_eq!((counts.participants, counts.sessions), (0, 0));
    // The room waits for somebody to come back, and not for ever.
    stage.signalling.sweep(Instant::now());
    assert_eq!(stage.signalling.counts().rooms, 1);
    stage.signalling.sweep(Instant::now() + crate::room::DEPARTURE_TIMEOUT);
    assert_eq!(stage.signalling.counts(), crate::Counts::default());
}

#[tokio::test]
async fn a_watcher_may_come_first() {
    let stage = Stage::new();
    let created = stage.post("/whep/assembly", "bob", WHEP).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let links: Vec<&str> = created
        .headers
        .get_all("link")
        .iter()
        .map(|link| link.to_str().unwrap())
        .collect();
    let location = created.header("location");
    assert_eq!(
        links[0],
        format!("<{location}/layer>; rel=\"urn:ietf:params:whep:ext:core:layer\"")
    );
    assert!(links[1].contains("server-sent-events") && links[1].contains("layers"));
    assert!(created.body.contains("a=sendonly"));

    let created = stage.post("/whep/assembly/ada", "bob", WHEP).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    let location = created.header("location");
    assert_eq!(location.matches('/').count(), 3, "{location}");
    assert!(location.starts_with("/whep/assembly/"));
    let gone = with_token(Method::DELETE, location, "bob").body(Body::empty()).unwrap();
    assert_eq!(stage.send(gone).await.status, StatusCode::OK);
}

#[tokio::test]
async fn trickle_and_restart() {
    let stage = Stage::new();
    let created = stage.post("/whip/assembly", "ada", WHIP).await;
    let (location, etag) = (created.header("location"), created.header("etag"));
    let offer = Description::parse(WHIP).unwrap();
    let same = Fragment {
        ice: offer.sections[0].ice.clone(),
        candidates: offer.sections[0].candidates.clone(),
        bundle: offer.bundle.clone(),
        ..Fragment::default()
    };
    let trickled = stage.patch(location, Some(etag), &same.to_string()).await;
    assert_eq!(
        (trickled.status, trickled.header("etag"), trickled.body.as_str()),
        (StatusCode::NO_CONTENT, "", "")
    );
    assert_eq!(
        stage.patch(location, Some("*"), &same.to_string()).await.status,
        StatusCode::NO_CONTENT
    );
    stage
        .patch(location, None, &same.to_string())
        .await
        .refuses(428, "If-Match");
    stage
        .patch(location, Some("\"old\""), &same.to_string())
        .await
        .refuses(412, "entity tag");
    stage
        .patch(location, Some(etag), "a=candidate:1\r\n")
        .await
        .refuses(400, "Line 1 ");

    let new = same
        .to_string()
        .replace(&offer.sections[0].ice.as_ref().unwrap().ufrag, "newufrag");
    let restarted = stage.patch(location, Some("*"), &new).await;
    assert_eq!(restarted.status, StatusCode::OK, "{}", restarted.body);
    assert_eq!(restarted.header("content-type"), "application/trickle-ice-sdpfrag");
    assert!(!restarted.header("etag").is_empty() && restarted.header("etag") != etag);
    let fragment = Fragment::parse(&restarted.body).unwrap();
    let before = Description::parse(&created.body).unwrap().sections[0].ice.clone();
    assert!(fragment.ice_lite && fragment.end_of_candidates && !fragment.candidates.is_empty());
    assert!(
        fragment.ice.is_some() && fragment.ice != before,
        "our credentials are new as well"
    );
    stage.patch(location, Some(etag), &new).await.refuses(412, "entity tag");
    assert_eq!(
        stage.patch(location, Some(restarted.header("etag")), &new).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn who_may_do_what() {
    let stage = Stage::new();
    let request = |header: Option<String>| {
        let request = Request::post("/whip/assembly").header("content-type", "application/sdp");
        let request = header
            .into_iter()
            .fold(request, |request, value| request.header("authorization", value));
        request.body(text(WHIP)).unwrap()
    };
    let bearer = |token: String| request(Some(format!("Bearer {token}")));
    let missing = stage.send(request(None)).await;
    missing.refuses(401, "no access token");
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    stage
        .send(bearer("nonsense".to_owned()))
        .await
        .refuses(401, "not a JSON web token");
    let mut other = Keys::default();
    other.insert("devkey", "wrong");
    let claims = Claims::new("ada", grant("assembly"), unix_now() + Duration::from_secs(60));
    stage
        .send(bearer(other.mint("devkey", &claims).unwrap()))
        .await
        .refuses(401, "signature");
    stage.send(bearer(expired())).await.refuses(401, "expired");
    stage
        .send(bearer(token("ada", grant("cabinet"))))
        .await
        .refuses(403, "another room");
    stage
        .send(bearer(token("ada", VideoGrant::default())))
        .await
        .refuses(403, "to join a room");
    stage
        .send(bearer(token("", grant("assembly"))))
        .await
        .refuses(403, "no participant");
    let listener = VideoGrant {
        can_publish: Some(false),
        ..grant("assembly")
    };
    stage
        .send(bearer(token("ada", listener)))
        .await
        .refuses(403, "to publish");
    let microphone = VideoGrant {
        can_publish_sources: vec!["microphone".to_owned()],
        ..grant("assembly")
    };
    stage
        .send(bearer(token("ada", microphone)))
        .await
        .refuses(403, "source camera");
    let counts = stage.signalling.counts();
    assert_eq!((counts.participants, counts.sessions), (0, 0), "nothing is left behind");
}

#[tokio::test]
async fn a_session_belongs_to_who_made_it() {
    let stage = Stage::new();
    let speaker = VideoGrant {
        can_subscribe: Some(false),
        ..grant("assembly")
    };
    let watch = Request::post("/whep/assembly").header("content-type", "application/sdp");
    let watch = watch.header("authorization", format!("Bearer {}", token("ada", speaker)));
    stage
        .send(watch.body(text(WHEP)).unwrap())
        .await
        .refuses(403, "to watch");

    let created = stage.post("/whip/assembly", "ada", WHIP).await;
    let location = created.header("location");
    let other = with_token(Method::DELETE, location, "eve").body(Body::empty()).unwrap();
    stage.send(other).await.refuses(403, "another participant");
    let wrong_room = Request::delete(location).header("authorization", format!("Bearer {}", token("ada", grant("x"))));
    stage
        .send(wrong_room.body(Body::empty()).unwrap())
        .await
        .refuses(403, "another room");
    stage
        .send(Request::delete(location).body(Body::empty()).unwrap())
        .await
        .refuses(401, "no access token");
    let late = Request::delete(location).header("authorization", format!("Bearer {}", expired()));
    assert_eq!(
        stage.send(late.body(Body::empty()).unwrap()).await.status,
        StatusCode::OK,
        "a session outlives its token"
    );
}

#[tokio::test]
async fn bad_requests_get_their_status_and_one_sentence() {
    let stage = Stage::new();
    stage
        .post("/whip/assembly", "ada", "hello")
        .await
        .refuses(400, "Line 1 ");
    stage
        .post("/whip/assembly", "ada", &WHIP.replace("a=ice-ufrag", "a=x"))
        .await
        .refuses(400, "a=ice-ufrag");
    stage
        .post("/whip/assembly", "ada", &WHIP.replace("a=rtcp-mux", "a=x"))
        .await
        .refuses(400, "a=rtcp-mux");
    stage
        .post("/whip/assembly", "ada", WHEP)
        .await
        .refuses(406, "No media section");
    stage
        .post("/whep/assembly", "ada", WHIP)
        .await
        .refuses(406, "No media section");
    stage
        .post("/whip/assembly?source=sofa", "ada", WHIP)
        .await
        .refuses(400, "camera or screen_share");
    stage
        .post("/whip/assembly", "ada", &"v=0\r\n".repeat(20_000))
        .await
        .refuses(413, "longer than 65536");
    let json = with_token(Method::POST, "/whip/assembly", "ada").header("content-type", "application/json");
    stage
        .send(json.body(text(WHIP)).unwrap())
        .await
        .refuses(415, "application/sdp");
    let none = with_token(Method::POST, "/whip/assembly", "ada");
    stage
        .send(none.body(text(WHIP)).unwrap())
        .await
        .refuses(415, "application/sdp");
    let binary = with_token(Method::POST, "/whip/assembly", "ada").header("content-type", "application/sdp");
    stage
        .send(binary.body(Body::from(vec![0xff])).unwrap())
        .await
        .refuses(400, "UTF-8");
    stage
        .patch("/whip/assembly/nobody", Some("*"), "")
        .await
        .refuses(404, "no such session");
    let get = stage
        .send(
            with_token(Method::GET, "/whip/assembly", "ada")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    get.refuses(405, "method");
    assert!(get.header("allow").contains("POST"), "{:?}", get.headers);
    let put = with_token(Method::PUT, "/whep/assembly/x", "ada")
        .body(Body::empty())
        .unwrap();
    stage.send(put).await.refuses(405, "method");
    let long = format!("/whip/{}", "x".repeat(300));
    stage.post(&long, "ada", WHIP).await.refuses(404, "of that name");
    let created = stage.post("/whep/assembly", "ada", WHEP).await;
    let crossed = created.header("location").replace("whep", "whip");
    stage
        .patch(&crossed, Some("*"), "")
        .await
        .refuses(404, "no such session");
}

#[tokio::test]
async fn full_is_full() {
    let stage = Stage::with(1, SignallingConfig::default());
    assert_eq!(
        stage.post("/whip/assembly", "ada", WHIP).await.status,
        StatusCode::CREATED
    );
    let full = stage.post("/whep/assembly", "bob", WHEP).await;
    full.refuses(503, "as many peers");
    assert!(!full.header("retry-after").is_empty());
    assert_eq!(
        stage.rooms("assembly").await["participants"].as_array().unwrap().len(),
        1,
        "bob is not left behind"
    );

    let stage = Stage::with(
        10,
        SignallingConfig {
            max_rooms: 1,
            ..SignallingConfig::default()
        },
    );
    assert_eq!(
        stage.post("/whip/assembly", "ada", WHIP).await.status,
        StatusCode::CREATED
    );
    stage
        .post("/whip/cabinet", "ada", WHIP)
        .await
        .refuses(503, "as many rooms");
    stage.signalling.close();
    stage
        .post("/whip/assembly", "ada", WHIP)
        .await
        .refuses(503, "shutting down");
    assert_eq!(stage.signalling.counts(), crate::Counts::default());
}

#[tokio::test]
async fn pages_of_other_origins_may_ask() {
    let stage = Stage::new();
    for path in [
        "/whip/a",
        "/whip/a/b",
        "/whep/a",
        "/whep/a/b",
        "/whep/a/b/layer",
        "/whep/a/b/sse",
        "/rooms/a",
        "/rooms/a/events",
    ] {
        let preflight = Request::options(path)
            .header("origin", "https://elsewhere.example")
            .body(Body::empty())
            .unwrap();
        let answer = stage.send(preflight).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.header("access-control-allow-headers").contains("Authorization"));
        assert!(answer.header("access-control-allow-methods").contains("PATCH"));
        assert!(answer.header("access-control-expose-headers").contains("Location"));
        assert_eq!(answer.header("accept-post"), "application/sdp");
    }
}

#[tokio::test]
async fn a_prefix_is_kept() {
    let mut stage = Stage::new();
    stage.app = Router::new().nest("/api", stage.signalling.router());
    let created = stage.post("/api/whep/assembly/ada", "bob", WHEP).await;
    let location = created.header("location");
    assert!(location.starts_with("/api/whep/assembly/"), "{location}");
    assert!(created.header("link").starts_with(&format!("<{location}/layer>")));
    let gone = with_token(Method::DELETE, location, "bob").body(Body::empty()).unwrap();
    assert_eq!(stage.send(gone).await.status, StatusCode::OK);
}

/// A client on a media router of its own.
struct Client {
    net: Net<MediaRouter>,
    endpoint: EndpointId,
    local: althing_media_core::transport::LocalDescription,
    events: std::sync::Mutex<std::sync::mpsc::Receiver<Event>>,
}

impl Client {
    fn new() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let net = media(1, Arc::new(move |_, event| drop(sender.lock().unwrap().send(event))));
        let (endpoint, local) = net.workers()[0]
            .call(|router, now| {
                let endpoint = router
                    .add_endpoint(now, EndpointConfig::WebRtc(WebRtcConfig::CLIENT))
                    .unwrap();
                (endpoint, router.local_description(endpoint).unwrap())
            })
            .unwrap();
        Self {
            net,
            endpoint,
            local,
            events: std::sync::Mutex::new(receiver),
        }
    }

    fn published(&self, codec: Codec) -> Description {
        let stream = |ssrc, rtx| OfferedStream {
            msid: Msid {
                stream: "s".to_owned(),
                track: format!("t{ssrc}"),
            },
            cname: "ada".to_owned(),
            rids: Vec::new(),
            streams: vec![StreamIds::new(Ssrc(ssrc)).with_rtx(rtx)],
        };
        let audio = OfferedMedia::send(&[Codec::Opus], stream(1, None));
        offer(
            &self.local,
            1,
            &[audio, OfferedMedia::send(&[codec], stream(2, Some(Ssrc(3))))],
        )
    }

    fn watched(&self, codecs: &[Codec]) -> Description {
        offer(
            &self.local,
            1,
            &[OfferedMedia::receive(&[Codec::Opus]), OfferedMedia::receive(codecs)],
        )
    }

    /// Takes the answer and waits until media can flow.
    async fn connect(&self, offered: &Description, answer: &str) {
        let agreement = accept(offered, &Description::parse(answer).unwrap()).unwrap();
        let endpoint = self.endpoint;
        let call = self.net.workers()[0].ask(move |router, now| {
            router.set_remote(now, endpoint, &agreement.remote).unwrap();
            for candidate in &agreement.candidates {
                router.add_remote_candidate(now, endpoint, candidate).unwrap();
            }
        });
        call.unwrap().await.unwrap();
        let late = Instant::now() + PATIENCE;
        while !matches!(self.events.lock().unwrap().try_recv(), Ok(Event::Connected { .. })) {
            assert!(Instant::now() < late, "the client did not connect");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits until the room looks like that.
async fn until(stage: &Stage, what: &str, done: impl Fn(&Value) -> bool) -> Value {
    let late = Instant::now() + PATIENCE;
    loop {
        let room = stage.rooms("assembly").await;
        if done(&room) {
            return room;
        }
        assert!(Instant::now() < late, "never {what}: {room}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_from_offer_to_goodbye() {
    let stage = Stage::new();
    let events = with_token(Method::GET, "/rooms/assembly/events", "eve")
        .body(Body::empty())
        .unwrap();
    let events = stage.app.clone().oneshot(events).await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut events = events.into_body().into_data_stream();
    let first = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(
        first.starts_with("event: room\n") && first.contains("\"participants\":[]"),
        "{first}"
    );

    let publisher = Client::new();
    let offered = publisher.published(Codec::Vp8);
    let created = stage.post("/whip/assembly", "ada", &offered.to_string()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    publisher.connect(&offered, &created.body).await;
    let room = until(&stage, "active", |room| room["participants"][0]["state"] == "active").await;
    let tracks = room["participants"][0]["tracks"].as_array().unwrap();
    assert_eq!(tracks.len(), 2);
    assert_eq!(
        (&tracks[0]["codec"], &tracks[1]["codec"]),
        (&json!("OPUS"), &json!("VP8"))
    );
    assert_eq!(tracks[1]["source"], "camera");
    let next = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(next.contains("\"identity\":\"ada\""), "{next}");

    let watcher = Client::new();
    let h264 = watcher.watched(&[Codec::H264]);
    stage
        .post("/whep/assembly/ada", "bob", &h264.to_string())
        .await
        .refuses(406, "Vp8");
    let offered = watcher.watched(&[Codec::H264, Codec::Vp8]);
    let watching = stage.post("/whep/assembly/ada", "bob", &offered.to_string()).await;
    assert_eq!(watching.status, StatusCode::CREATED, "{}", watching.body);
    assert_eq!(
        Description::parse(&watching.body).unwrap().sections[1].formats[0].name,
        "VP8",
        "what is sent comes first"
    );
    watcher.connect(&offered, &watching.body).await;
    layers(&stage, watching.header("location")).await;

    let mut stream = session_events(&stage, watching.header("location")).await;
    let first = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.starts_with("event: active\n"), "{first}");

    // The publisher says goodbye on the media path, without DELETE.
    let endpoint = publisher.endpoint;
    publisher.net.workers()[0]
        .call(move |router, now| router.remove_endpoint(now, endpoint))
        .unwrap();
    until(&stage, "gone", |room| {
        room["participants"].as_array().unwrap().len() == 1
    })
    .await;
    let last = tokio::time::timeout(PATIENCE, async {
        loop {
            let data = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
            if data.contains("inactive") {
                return data;
            }
        }
    });
    last.await.unwrap();
    let deleted = with_token(Method::DELETE, created.header("location"), "ada")
        .body(Body::empty())
        .unwrap();
    stage.send(deleted).await.refuses(404, "no such session");
    let deleted = with_token(Method::DELETE, watching.header("location"), "bob")
        .body(Body::empty())
        .unwrap();
    assert_eq!(stage.send(deleted).await.status, StatusCode::OK);
    assert!(
        tokio::time::timeout(PATIENCE, async { while stream.next().await.is_some() {} })
            .await
            .is_ok(),
        "the stream ends"
    );
}

async fn session_events(stage: &Stage, location: &str) -> axum::body::BodyDataStream {
    let sse = format!("{}/sse", location);
    let made = stage
        .send(with_token(Method::POST, &sse, "bob").body(Body::empty()).unwrap())
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(made.header("location"), format!("{sse}?events=active,inactive,layers"));
    let stream = Request::get(format!(
        "{}&access_token={}",
        made.header("location"),
        token("bob", grant("assembly"))
    ));
    let stream = stage
        .app
        .clone()
        .oneshot(stream.body(Body::empty()).unwrap())
        .await
        .unwrap();
    stream.into_body().into_data_stream()
}

async fn layers(stage: &Stage, location: &str) {
    let select = |body: &str| {
        let request = with_token(Method::POST, &format!("{location}/layer"), "bob");
        stage.send(
            request
                .header("content-type", "application/json")
                .body(text(body))
                .unwrap(),
        )
    };
    assert_eq!(
        select(r#"{"mediaId":"1","spatialLayerId":0}"#).await.status,
        StatusCode::OK
    );
    assert_eq!(select("{}").await.status, StatusCode::OK);
    select(r#"{"mediaId":"0"}"#).await.refuses(404, "mediaId");
    select(r#"{"rid":"h"}"#).await.refuses(409, "rid");
    select("[").await.refuses(400, "JSON");
    let plain = with_token(Method::POST, &format!("{location}/layer"), "bob").header("content-type", "text/plain");
    stage
        .send(plain.body(text("{}")).unwrap())
        .await
        .refuses(415, "application/json");
}

#[tokio::test]
async fn firefox_without_h264_is_told() {
    let stage = Stage::new();
    assert_eq!(
        stage.post("/whip/assembly", "ada", WHIP_H264).await.status,
        StatusCode::CREATED
    );
    // Nobody is active yet: the watcher is let in, and may get a picture from another publisher.
    assert_eq!(
        stage.post("/whep/assembly", "bob", WHEP_FIREFOX).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn what_never_connects_is_forgotten() {
    let stage = Stage::new();
    stage.post("/whip/assembly", "ada", WHIP).await;
    stage.post("/whep/assembly", "bob", WHEP).await;
    assert_eq!(stage.signalling.counts().sessions, 2);
    stage.signalling.sweep(Instant::now() + crate::room::CONNECT_TIMEOUT);
    let counts = stage.signalling.counts();
    assert_eq!((counts.participants, counts.sessions), (0, 0));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let stage = Stage::new();
    let mut answered = 0;
    for index in 0..20 {
        let request = with_token(Method::POST, "/whip/assembly", &format!("p{index}"));
        let request = request
            .header("content-type", "application/sdp")
            .body(text(WHIP))
            .unwrap();
        // Polled once: far enough to have joined and asked the worker, mostly not far enough to be answered.
        let answer = futures_util::future::poll_immediate(stage.app.clone().oneshot(request)).await;
        answered += usize::from(answer.is_some());
    }
    let counts = stage.signalling.counts();
    assert_eq!((counts.participants, counts.sessions), (answered, answered));
    assert!(answered < 20, "the worker is another thread");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_track_is_shown_as_muted() {
    let stage = Stage::new();
    let publisher = Client::new();
    let offered = publisher.published(Codec::Vp8);
    let created = stage.post("/whip/assembly", "ada", &offered.to_string()).await;
    publisher.connect(&offered, &created.body).await;
    let muted = |room: &Value| {
        let tracks = room["participants"][0]["tracks"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        tracks.iter().map(|track| track["muted"] == true).collect::<Vec<bool>>()
    };
    until(&stage, "published", |room| muted(room) == [false, false]).await;
    let path = format!("{}/mute", created.header("location"));
    let mute = |who: &'static str, body: &'static str| {
        let request = with_token(Method::POST, &path, who).header("content-type", "application/json");
        stage.send(request.body(text(body)).unwrap())
    };
    for _ in 0..2 {
        let answer = mute("ada", r#"{"kind":"video","muted":true}"#).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    }
    until(&stage, "muted", |room| muted(room) == [false, true]).await;
    mute("ada", r#"{"kind":"video","muted":false}"#).await;
    until(&stage, "unmuted", |room| muted(room) == [false, false]).await;
    mute("eve", r#"{"kind":"video","muted":true}"#)
        .await
        .refuses(403, "another participant");
    mute("ada", r#"{"kind":"smell","muted":true}"#)
        .await
        .refuses(400, "JSON object");
    mute("ada", r#"{"kind":"video"}"#).await.refuses(400, "JSON object");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_shown_and_leaves() {
    let stage = Stage::new();
    let profile = crate::room::Profile {
        identity: "projector".to_owned(),
        permissions: crate::room::Permissions {
            publish: true,
            ..Default::default()
        },
        ..Default::default()
    };
    let transport = |local: std::net::SocketAddr, codec: Codec| crate::GuestTransport {
        endpoint: EndpointConfig::Plain(althing_media_core::transport::PlainConfig {
            local,
            remote: None,
            rtcp: None,
            keys: None,
        }),
        tracks: vec![(
            althing_media_core::TrackConfig {
                mid: None,
                kind: codec.kind(),
                codecs: vec![althing_media_core::CodecParams::new(
                    codec,
                    althing_media_core::Pt::new(96),
                )],
                extensions: althing_media_core::ExtensionMap::new(),
                rids: Default::default(),
                streams: Default::default(),
                nack: false,
                transport_cc: false,
                encrypted: false,
            },
            crate::sdp::CodecSpec { codec, h264: None },
        )],
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let admitted = stage.signalling.admit("assembly", &profile, |worker| {
        let mut transports = Vec::new();
        for codec in [Codec::Opus, Codec::Vp8] {
            transports.push(transport(worker.open_udp(address)?, codec));
        }
        Ok(transports)
    });
    let guest = admitted.await.unwrap();
    let room = stage.rooms("assembly").await;
    assert_eq!(room["participants"].as_array().unwrap().len(), 1, "{room}");
    assert_eq!(room["participants"][0]["tracks"].as_array().unwrap().len(), 2, "{room}");
    drop(guest);
    until(&stage, "gone", |room| {
        room["participants"].as_array().unwrap().is_empty()
    })
    .await;

    let refused = stage
        .signalling
        .admit("assembly", &profile, |_| Err(std::io::Error::other("no socket")));
    assert!(refused.await.is_err());
    until(&stage, "gone", |room| {
        room["participants"].as_array().unwrap().is_empty()
    })
    .await;
    let silent = crate::room::Profile {
        permissions: Default::default(),
        ..profile
    };
    let refused = stage.signalling.admit("assembly", &silent, |worker| {
        Ok(vec![transport(worker.open_udp(address)?, Codec::Opus)])
    });
    assert!(
        refused
            .await
            .unwrap_err()
            .to_string()
            .contains("does not allow to publish")
    );
    until(&stage, "gone", |room| {
        room["participants"].as_array().unwrap().is_empty()
    })
    .await;
}
