//! Meetings in a room, as receivers on loopback are told of them.

use std::iter;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointId, TrackId};
use althing_media_core::payload::Codec;
use aws_lc_rs::digest;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::*;
use crate::hub::unix_now;
use crate::room::{
    DEPARTURE_TIMEOUT, Departure, NewTrack, Permissions, Profile, Room, RoomLimits, Source, TrackDetails,
};
use crate::sdp::CodecSpec;

const PATIENCE: Duration = Duration::from_secs(20);

/// A receiver that answers with `answers` first, then with 200; what it was told.
struct Receiver {
    url: String,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (sink, answers) = (told.clone(), Arc::new(Mutex::new(answers.to_vec())));
        let take = move |headers: HeaderMap, body: Bytes| {
            let event = checked(&headers, &body);
            sink.lock().unwrap().push(event);
            let mut answers = answers.lock().unwrap();
            let status = if answers.is_empty() { 200 } else { answers.remove(0) };
            async move { StatusCode::from_u16(status).unwrap() }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(take))).await });
        Self { url, told }
    }

    fn names(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        told.iter()
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The event, if it is what the token says.
fn checked(headers: &HeaderMap, body: &[u8]) -> Value {
    assert_eq!(headers["content-type"], "application/webhook+json");
    let token = headers["authorization"].to_str().unwrap();
    let claims = keys().verify(token, unix_now()).unwrap();
    assert_eq!(claims.iss, "hall");
    assert_eq!(claims.sha256, STANDARD.encode(digest::digest(&digest::SHA256, body)));
    serde_json::from_slice(body).unwrap()
}

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.insert("hall", "a secret");
    keys
}

fn webhooks(urls: &[&str]) -> Webhooks {
    let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
    Webhooks::new(Receivers::new(&urls, "hall", &keys()).unwrap(), Handle::current())
}

fn tell(webhooks: &Webhooks, room: &mut Room) {
    let events: Vec<_> = iter::from_fn(|| room.poll_event()).collect();
    webhooks.tell(room, &events);
}

/// Ada comes, publishes and leaves; Ben never connects; the room ends.
fn meet(webhooks: &Webhooks) {
    let now = Instant::now();
    let mut room = Room::new("assembly", 1, RoomLimits::default());
    let profile = |identity: &str| Profile {
        identity: identity.to_owned(),
        permissions: Permissions {
            publish: true,
            ..Permissions::default()
        },
        ..Profile::default()
    };
    let ada = room.join(now, &profile("ada")).unwrap();
    room.attach(ada, EndpointId(1));
    let track = NewTrack {
        id: TrackId(1),
        source: Source::Microphone,
        codec: CodecSpec {
            codec: Codec::Opus,
            h264: None,
        },
        rids: vec![],
        sid: None,
        muted: false,
        details: TrackDetails::default(),
    };
    room.publish(ada, track).unwrap();
    tell(webhooks, &mut room);
    room.on_connected(EndpointId(1));
    tell(webhooks, &mut room);
    let ben = room.join(now, &profile("ben")).unwrap();
    room.leave(ben, Departure::Silent);
    room.leave(ada, Departure::Removed);
    tell(webhooks, &mut room);
    room.handle_timeout(now);
    room.handle_timeout(now + DEPARTURE_TIMEOUT);
    tell(webhooks, &mut room);
}

const MEETING: [&str; 7] = [
    "room_started",
    "participant_joined",
    "track_published",
    "participant_connection_aborted",
    "track_unpublished",
    "participant_left",
    "room_finished",
];

#[tokio::test]
async fn a_meeting_is_told_in_order() {
    let receiver = Receiver::start(&[]).await;
    let webhooks = webhooks(&[&receiver.url]);
    meet(&webhooks);
    webhooks.drained(PATIENCE).await;
    assert_eq!(receiver.names(), MEETING);
    let told = receiver.told.lock().unwrap();
    let track = &told[2]["track"]["sid"];
    assert!(track.as_str().unwrap().starts_with("TR_"));
    assert_eq!(
        (track, &told[4]["participant"]["identity"]),
        (&told[4]["track"]["sid"], &"ada".into())
    );
    let reason = |index: usize| &told[index]["participant"]["disconnectReason"];
    assert_eq!(
        (reason(3), reason(5)),
        (&"SIGNAL_CLOSE".into(), &"PARTICIPANT_REMOVED".into())
    );
    assert_eq!(told[5]["participant"]["state"], "DISCONNECTED");
    assert_eq!(told[6]["roomEndReason"], "ROOM_END_IDLE_TIMEOUT");
    for event in told.iter() {
        assert_eq!(event["room"]["name"], "assembly");
        assert!(
            event["id"].as_str().unwrap().starts_with("EV_") && event["createdAt"].is_string(),
            "{event}"
        );
    }
    let figures = webhooks.figures();
    assert_eq!(
        (figures.delivered, figures.failed, figures.lost, figures.waiting),
        (7, 0, 0, 0)
    );
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again_and_nobody_waits_for_it() {
    let (well, ill) = (Receiver::start(&[]).await, Receiver::start(&[500, 429]).await);
    let away = "http://127.0.0.1:1/hook";
    let webhooks = webhooks(&[&well.url, &ill.url, away]);
    meet(&webhooks);
    let both = async {
        while ill.names().len() < MEETING.len() + 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(well.names(), MEETING);
    assert_eq!(ill.names()[..3], ["room_started"; 3]);
    assert_eq!(ill.names()[2..], MEETING);
    // The one that is not there gets nothing, and all of it waits.
    let figures = webhooks.figures();
    assert!(figures.failed > 3 && figures.lost == 0, "{figures:?}");
    assert!(figures.waiting >= MEETING.len(), "{figures:?}");
}

#[tokio::test]
async fn what_is_refused_is_counted_and_the_rest_goes_on() {
    let receiver = Receiver::start(&[404, 200, 301]).await;
    let webhooks = webhooks(&[&receiver.url]);
    meet(&webhooks);
    webhooks.drained(PATIENCE).await;
    assert_eq!(receiver.names(), MEETING);
    assert_eq!((webhooks.figures().delivered, webhooks.figures().lost), (5, 2));
}

#[test]
fn addresses_and_keys_are_checked() {
    let new = |url: &str, key: &str| Receivers::new(&[url.to_owned()], key, &keys()).map(|_| ());
    assert!(new("http://localhost:1/hook", "hall").is_ok());
    for url in [
        "",
        "localhost",
        "/hook",
        "ftp://host/",
        "http:///hook",
        "http://me:word@host/",
        "http://host:99999/",
    ] {
        let told = new(url, "hall").unwrap_err().to_string();
        assert!(told.contains(&format!("`{url}`")), "{told}");
    }
    assert!(
        new("http://host/", "nobody")
            .unwrap_err()
            .to_string()
            .contains("`nobody`")
    );
}
