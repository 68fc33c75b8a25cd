//! Every example is run: started as a user would start it, used, and ended.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use althing_media_core::NtpTime;
use althing_media_core::transport::Certificate;
use althing_testkit::client::Client;
use althing_testkit::client::http::{self, Url};
use althing_testkit::peer::preset::{OPUS, VP8, camera, loudspeaker, microphone, publisher_extensions, screen};
use althing_testkit::peer::{ReceiveConfig, SendConfig, Session, VideoPattern};

/// A running example; killed when it is dropped.
struct Example {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Example {
    /// Cargo builds examples beside the tests.
    fn start(name: &str, arguments: &[&str]) -> Self {
        let deps = std::env::current_exe().unwrap();
        let path: PathBuf = deps.parent().unwrap().parent().unwrap().join("examples").join(name);
        let mut process = Command::new(&path)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build the examples first", path.display()));
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn watches() -> Vec<ReceiveConfig> {
    let extensions = publisher_extensions();
    vec![
        ReceiveConfig {
            codecs: vec![OPUS],
            extensions,
            ..loudspeaker(Some("0"), 0)
        },
        ReceiveConfig {
            codecs: vec![VP8],
            extensions,
            ..screen(Some("1"), 0)
        },
    ]
}

/// Drives all until `done`, at most for 15 seconds; whether it was done.
fn drive(clients: &mut [&mut Client], mut done: impl FnMut(&[&mut Client]) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(15);
    while Instant::now() < end {
        for client in &mut *clients {
            client.drive(Instant::now());
        }
        if done(clients) {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

#[track_caller]
fn assert_watches(client: &Client) {
    let [audio, video] = client.peer.session.receivers() else {
        panic!("sound and picture")
    };
    assert_eq!((audio.stats().corrupt, video.stats().corrupt), (0, 0));
    assert!(audio.viewer().shown().len() > 20, "{:?}", audio.stats());
    assert!(video.viewer().shown().len() > 30, "{:?}", video.stats());
}

#[test]
fn forward() {
    let mut example = Example::start("forward", &["127.0.0.1:0", "127.0.0.1:0"]);
    let line = example.line();
    let url = Url::parse(line.split(' ').next().unwrap()).unwrap();
    let page = http::request("GET", &url, &[], "").unwrap();
    assert!(page.status == 200 && page.body.contains("RTCPeerConnection"));
    let (whip, whep) = (url.join("/whip").unwrap(), url.join("/whep").unwrap());
    let refused = http::request("POST", &whip, &[], "not SDP").unwrap();
    assert_eq!(refused.status, 400, "{}", refused.body);

    let certificate = Certificate::generate().unwrap();
    let sends = vec![
        microphone(Some("0"), 1, "me"),
        camera(Some("1"), 10, 3, VideoPattern::default()),
    ];
    let mut publisher = Client::publish(&whip, "", &certificate, 1, sends).unwrap();
    assert!(publisher.connect(Duration::from_secs(10)));
    let mut watcher = Client::watch(&whep, "", &certificate, 2, watches()).unwrap();
    let seen = |clients: &[&mut Client]| {
        clients[1]
            .peer
            .session
            .receivers()
            .iter()
            .all(|receiver| receiver.viewer().shown().len() > 60)
    };
    drive(&mut [&mut publisher, &mut watcher], seen);
    assert_watches(&watcher);
}

/// How it speaks; what it says is looked at by the browser tests.
#[test]
fn echo() {
    let mut example = Example::start("echo", &["127.0.0.1:0", "127.0.0.1:0"]);
    let line = example.line();
    let url = Url::parse(line.split(' ').next().unwrap()).unwrap();
    let page = http::request("GET", &url, &[], "").unwrap();
    assert!(page.status == 200 && page.body.contains("createDataChannel"));
    let offer = url.join("/offer").unwrap();
    let media = include_str!("../../signalling/tests/data/chromium-whip.sdp");
    for refused in ["not SDP", media] {
        assert_eq!(http::request("POST", &offer, &[], refused).unwrap().status, 400);
    }
    let data = include_str!("../../signalling/tests/data/chromium-sendrecv-data.sdp");
    let answer = http::request("POST", &offer, &[], data).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    let (_, section) = answer.body.split_once("m=application ").unwrap();
    assert!(
        !section.starts_with("0 ") && section.contains("a=sctp-port:5000"),
        "{section}"
    );
}

/// What ffmpeg would send: VP8-shaped RTP of one stream, a keyframe every second, nothing asked back.
struct Film {
    session: Session,
    socket: UdpSocket,
    to: SocketAddr,
}

impl Film {
    fn start(to: SocketAddr) -> Self {
        let now = Instant::now();
        let mut session = Session::new(now, 9, NtpTime::from_unix(Duration::from_secs(1_800_000_000)));
        let pattern = VideoPattern {
            keyframe_every: Some(30),
            temporal_layers: 1,
            ..VideoPattern::default()
        };
        session.send(
            now,
            SendConfig {
                extensions: <_>::default(),
                ..camera(None, 5, 1, pattern)
            },
        );
        Self {
            session,
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            to,
        }
    }

    fn drive(&mut self) {
        self.session.handle_timeout(Instant::now());
        while let Some(packet) = self.session.poll_packet() {
            self.socket.send_to(&packet, self.to).unwrap();
        }
    }
}

#[test]
fn rtp_in() {
    let mut example = Example::start("rtp_in", &["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]);
    let line = example.line();
    let (url, door) = line.trim_end_matches(")\n").split_once(" (RTP on ").unwrap();
    let url = Url::parse(url).unwrap();
    assert!(
        http::request("GET", &url, &[], "")
            .unwrap()
            .body
            .contains("RTCPeerConnection")
    );
    let whep = url.join("/whep").unwrap();
    assert_eq!(http::request("POST", &whep, &[], "not SDP").unwrap().status, 400);

    let mut film = Film::start(door.parse().unwrap());
    let certificate = Certificate::generate().unwrap();
    let mut watcher = Client::watch(&whep, "", &certificate, 2, vec![watches().remove(1)]).unwrap();
    let end = Instant::now() + Duration::from_secs(15);
    let shown = |client: &Client| client.peer.session.receivers()[0].viewer().shown().len();
    while Instant::now() < end && shown(&watcher) < 60 {
        film.drive();
        watcher.drive(Instant::now());
        thread::sleep(Duration::from_millis(1));
    }
    assert!(
        shown(&watcher) >= 60,
        "{:?}",
        watcher.peer.session.receivers()[0].stats()
    );
    assert_eq!(watcher.peer.session.receivers()[0].stats().corrupt, 0);
}

#[test]
fn whip() {
    let mut server = Example::start("forward", &["127.0.0.1:0", "127.0.0.1:0"]);
    let line = server.line();
    let url = Url::parse(line.split(' ').next().unwrap()).unwrap();
    let whip = url.join("/whip").unwrap().to_string();
    let mut example = Example::start("whip", &[&whip, "no token needed", "0"]);
    let line = example.line();
    let door = line.trim_end().rsplit(' ').next().unwrap().parse().unwrap();

    let mut film = Film::start(door);
    let certificate = Certificate::generate().unwrap();
    let whep = url.join("/whep").unwrap();
    let mut watcher = Client::watch(&whep, "", &certificate, 2, watches()).unwrap();
    let end = Instant::now() + Duration::from_secs(15);
    let shown = |client: &Client| client.peer.session.receivers()[1].viewer().shown().len();
    while Instant::now() < end && shown(&watcher) < 60 {
        film.drive();
        watcher.drive(Instant::now());
        thread::sleep(Duration::from_millis(1));
    }
    assert!(
        shown(&watcher) >= 60,
        "{:?}",
        watcher.peer.session.receivers()[1].stats()
    );
    assert_eq!(watcher.peer.session.receivers()[1].stats().corrupt, 0);
}

/// The command of the example's own documentation; left out where there is no ffmpeg.
#[test]
fn rtp_in_from_ffmpeg() {
    let mut example = Example::start("rtp_in", &["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]);
    let line = example.line();
    let (url, door) = line.trim_end_matches(")\n").split_once(" (RTP on ").unwrap();
    let source = [
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=30",
        "-t",
        "30",
    ];
    let codec = [
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-g",
        "30",
        "-f",
        "rtp",
    ];
    let target = format!("rtp://{door}?pkt_size=1200");
    let ffmpeg = Command::new("ffmpeg")
        .args(source)
        .args(codec)
        .arg(target)
        .stdout(Stdio::null())
        .spawn();
    let Ok(ffmpeg) = ffmpeg else {
        return eprintln!("there is no ffmpeg: left out");
    };
    let _ffmpeg = Killed(ffmpeg);

    let whep = Url::parse(url).unwrap().join("/whep").unwrap();
    let certificate = Certificate::generate().unwrap();
    // Real pictures, which the viewer of synthetic ones does not know: packets are counted.
    let config = ReceiveConfig {
        view: false,
        ..watches().remove(1)
    };
    let mut watcher = Client::watch(&whep, "", &certificate, 3, vec![config]).unwrap();
    let packets = |clients: &[&mut Client]| clients[0].peer.session.receivers()[0].stats().packets > 100;
    assert!(drive(&mut [&mut watcher], packets));
    assert_eq!(watcher.peer.session.receivers()[0].stats().leaps, 0);
}

/// From ffmpeg through the WHIP example into files that ffmpeg takes without a word; left out where there is no ffmpeg.
#[test]
fn record() {
    let folder = std::env::temp_dir().join(format!("althing-record-{}", std::process::id()));
    let path = folder.display().to_string();
    let mut recorder = Example::start("record", &[&path, "127.0.0.1:0", "127.0.0.1:0"]);
    let line = recorder.line();
    let whip = line.split(' ').next().unwrap();
    let mut example = Example::start("whip", &[whip, "no token needed", "0"]);
    let line = example.line();
    let target = format!("rtp://{}?pkt_size=1200", line.trim_end().rsplit(' ').next().unwrap());
    let source = "-v error -re -f lavfi -i testsrc=size=320x240:rate=30 -t 4".split(' ');
    let codec = "-c:v libvpx -deadline realtime -cpu-used 8 -g 30 -f rtp".split(' ');
    let ffmpeg = |arguments: &mut dyn Iterator<Item = &str>| Command::new("ffmpeg").args(arguments).output();
    let Ok(sent) = ffmpeg(&mut source.chain(codec).chain([target.as_str()])) else {
        return eprintln!("there is no ffmpeg: left out");
    };
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let session = Url::parse(whip).unwrap().join("/session").unwrap();
    assert_eq!(http::request("DELETE", &session, &[], "").unwrap().status, 200);
    assert!(recorder.process.wait().unwrap().success());

    let file = folder.join("t01-video.webm").display().to_string();
    let check = [
        "-v",
        "warning",
        "-i",
        &file,
        "-fps_mode",
        "vfr",
        "-f",
        "null",
        "-stats",
        "-",
    ];
    let decoded = ffmpeg(&mut check.into_iter()).unwrap();
    let said = String::from_utf8_lossy(&decoded.stderr);
    let frames = said
        .rsplit("frame=")
        .next()
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    // The first second may be over before the connection is there.
    assert!(frames.is_some_and(|frames: u32| frames > 60), "{said}");
    assert!(said.trim_start().starts_with("frame="), "no warning, no error: {said}");
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    assert!(
        manifest.contains(r#""complete": true"#) && manifest.contains(r#""codec": "vp8""#),
        "{manifest}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
