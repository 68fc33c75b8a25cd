//! Every example is run: started as a user would start it, used, and ended.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use althing_media_core::transport::Certificate;
use althing_testkit::client::Client;
use althing_testkit::client::http::{self, Url};
use althing_testkit::peer::preset::{OPUS, VP8, camera, loudspeaker, microphone, publisher_extensions, screen};
use althing_testkit::peer::{ReceiveConfig, VideoPattern};

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
