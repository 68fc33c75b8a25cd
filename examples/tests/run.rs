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

/// A WAV file of 16 bits with a sine in each channel.
#[expect(clippy::cast_possible_truncation, reason = "the amplitude is at most 1")]
fn wav(rate: u32, channels: u16, hertz: f32, amplitude: f32, seconds: u32) -> Vec<u8> {
    let sample =
        |at: u32| (amplitude * (std::f32::consts::TAU * hertz / rate as f32 * at as f32).sin() * 32_767.0) as i16;
    let frames = (0..rate * seconds).flat_map(|at| vec![sample(at).to_le_bytes(); usize::from(channels)].concat());
    let samples: Vec<u8> = frames.collect();
    let len = u32::try_from(samples.len()).unwrap();
    let mut file = [
        &b"RIFF"[..],
        &(36 + len).to_le_bytes(),
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &[1, 0],
    ]
    .concat();
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * u32::from(channels) * 2).to_le_bytes());
    file.extend((channels * 2).to_le_bytes());
    file.extend([16, 0]);
    file.extend([&b"data"[..], &len.to_le_bytes(), &samples].concat());
    file
}

/// How much of a sine is in one channel of a WAV file as `mix` writes it, in its second second, as an amplitude.
fn tone_in(file: &[u8], channel: usize, hertz: f32) -> f32 {
    let frames = file[44 + 4 * 48_000..44 + 8 * 48_000].chunks_exact(4);
    let (mut sine, mut cosine) = (0.0_f32, 0.0_f32);
    for (at, frame) in frames.enumerate() {
        let sample = f32::from(i16::from_le_bytes([frame[2 * channel], frame[2 * channel + 1]])) / 32_768.0;
        let phase = std::f32::consts::TAU * hertz / 48_000.0 * at as f32;
        sine += sample * phase.sin();
        cosine += sample * phase.cos();
    }
    sine.hypot(cosine) / 24_000.0
}

/// Two files of different kind, side by side and equally loud.
#[test]
fn mix() {
    let folder = std::env::temp_dir().join(format!("althing-mix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(path("left.wav"), wav(44_100, 1, 500.0, 0.05, 4)).unwrap();
    std::fs::write(path("right.wav"), wav(16_000, 2, 1000.0, 0.05, 3)).unwrap();
    let mut example = Example::start("mix", &[&path("out.wav"), &path("left.wav"), &path("right.wav")]);
    let line = example.line();
    assert!(line.starts_with("4.0s mixed in "), "{line}");
    let out = std::fs::read(path("out.wav")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let (left, right) = (tone_in(&out, 0, 500.0), tone_in(&out, 1, 500.0));
    assert!(left > 0.05 && left > 2.0 * right, "{left} and {right}");
    let (left, right) = (tone_in(&out, 0, 1000.0), tone_in(&out, 1, 1000.0));
    assert!(right > 0.05 && right > 2.0 * left, "{left} and {right}");
}

/// A microphone and a loudspeaker; the mix flows without a gap, before, while and after somebody is there. What it sounds
/// like is told by the tests of the mixer.
#[test]
fn audio_bridge() {
    let mut example = Example::start("audio_bridge", &["127.0.0.1:0", "127.0.0.1:0"]);
    let url = Url::parse(example.line().trim()).unwrap();
    let page = http::request("GET", &url, &[], "").unwrap();
    assert!(page.status == 200 && page.body.contains("getUserMedia"));
    let (whip, whep) = (url.join("/whip").unwrap(), url.join("/whep").unwrap());
    assert_eq!(http::request("POST", &whip, &[], "not SDP").unwrap().status, 400);

    let certificate = Certificate::generate().unwrap();
    // Offers that are refused leave nothing behind: there is room for a thousand endpoints.
    for _ in 0..501 {
        let two = vec![microphone(Some("0"), 1, "me"), microphone(Some("1"), 2, "me")];
        assert!(Client::publish(&whip, "", &certificate, 1, two).is_err());
    }
    let mut watcher = Client::watch(&whep, "", &certificate, 2, vec![watches().remove(0)]).unwrap();
    let packets =
        |more: u64| move |clients: &[&mut Client]| clients[0].peer.session.receivers()[0].stats().packets > more;
    assert!(drive(&mut [&mut watcher], packets(50)));
    let sends = vec![microphone(Some("0"), 1, "me")];
    let mut publisher = Client::publish(&whip, "", &certificate, 1, sends).unwrap();
    assert!(publisher.connect(Duration::from_secs(10)));
    assert!(drive(&mut [&mut watcher, &mut publisher], packets(150)));
    drop(publisher);
    assert!(drive(&mut [&mut watcher], packets(200)));
    let stats = watcher.peer.session.receivers()[0].stats();
    assert_eq!(stats.leaps, 0, "{stats:?}");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
