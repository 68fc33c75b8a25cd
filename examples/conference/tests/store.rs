//! The server as a process, and a store by others (moto, in the Python environment of the browser tests): wrong credentials, a
//! server that is killed in the middle, a store that fails, is silent or hangs up; deleting.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::entry::DeleteReason;
use althing_recorder::recording::folder::{self, Folder, LOG, MANIFEST};
use althing_recorder::recording::{Person, Recording, RecordingConfig, Signer};
use althing_recorder::upload::{JOURNAL, Journal};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

const SECRET: [u8; 32] = [9; 32];
const MEDIA: &str = "t01-camera.webm";
/// Six parts of 5 MiB and a bit.
const MEDIA_LEN: usize = (30 << 20) + 4321;

#[test]
fn an_upload_survives_wrong_keys_a_kill_and_a_store_that_fails() {
    let mut s3 = S3::start();
    let line = Line::start(s3.port);
    let data = Data::new();

    // With a wrong secret: it says so, does not show it, and goes on trying.
    let wrong = Server::start(&data, &line, &s3.key, "not-the-secret");
    wrong.says("the store refuses us");
    let said = wrong.kill();
    assert!(!said.contains("not-the-secret"), "{said}");
    assert!(!said.contains(" ERROR "), "{said}");
    assert!(s3.ask("list").as_array().unwrap().is_empty());

    // Killed after three parts.
    line.0.lock().unwrap().pass = Some(3);
    let server = Server::start(&data, &line, &s3.key, &s3.secret);
    until("three parts", || {
        data.parts().len() >= 3 && line.0.lock().unwrap().pass == Some(0)
    });
    server.kill();
    let before = data.parts();
    assert_eq!(before, [0, 1, 2]);
    assert_eq!(s3.ask("uploads"), 1);
    // What was being written in that moment.
    let journal = data.recording().join(JOURNAL);
    let mut text = fs::read(&journal).unwrap();
    text.extend(b"{\"type\":\"part\",\"file\":\"t01-ca");
    fs::write(&journal, text).unwrap();

    // Goes on, with a store that answers 500, hangs up in the middle, and is silent.
    {
        let mut line = line.0.lock().unwrap();
        line.pass = None;
        line.faults = VecDeque::from([Fault::Error, Fault::HangUp, Fault::Silence]);
    }
    let server = Server::start(&data, &line, &s3.key, &s3.secret);
    until("everything is stored", || data.is_stored(MANIFEST));
    assert!(line.0.lock().unwrap().faults.is_empty(), "nothing went wrong");
    for name in [MEDIA, LOG, MANIFEST] {
        let bytes = fs::read(data.recording().join(name)).unwrap();
        let hash: String = digest(&SHA256, &bytes)
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let there = s3.ask(&format!("get some/where/17-hall/{name}"));
        assert_eq!(
            (there["bytes"].as_u64(), there["sha256"].as_str()),
            (Some(bytes.len() as u64), Some(&hash[..]))
        );
    }
    assert_eq!(s3.ask("uploads"), 0);
    let passed = line.0.lock().unwrap().passed.clone();
    assert_eq!(passed.len(), 7);
    assert!(
        passed.values().all(|times| *times == 1),
        "parts were sent twice: {passed:?}"
    );
    server.kill();

    // Deleted while the server is away: the next one erases what the store has, and proves it.
    let signer = Signer::from_seed(&SECRET).unwrap();
    folder::delete(&data.recording(), DeleteReason::Requested, signer, 18).unwrap();
    let server = Server::start(&data, &line, &s3.key, &s3.secret);
    let log = || fs::read_to_string(data.recording().join(LOG)).unwrap();
    until("it is erased", || {
        log().contains("\"type\":\"erased\"") && !data.is_stored(MEDIA)
    });
    until("the store has the proof", || {
        let there = s3.ask(&format!("get some/where/17-hall/{LOG}"));
        there["bytes"].as_u64() == Some(log().len() as u64)
    });
    assert_eq!(s3.ask("list").as_array().unwrap().len(), 2, "log and manifest stay");
    server.kill();
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never comes: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The data folder of a server, with one recording.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        let data = Self(std::env::temp_dir().join(format!("althing-stored-{}", std::process::id())));
        fs::create_dir_all(data.0.join("recordings")).unwrap();
        fs::write(data.0.join("recorder.key"), SECRET).unwrap();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let signer = Signer::from_seed(&SECRET).unwrap();
        let config = RecordingConfig::new("17-hall", u64::try_from(now).unwrap(), signer).by(Person::new("ada", "Ada"));
        let disk = Arc::new(Disk::start(DiskConfig::default(), |_| ()).unwrap());
        let recording = Recording::new(Instant::now(), config);
        let folder = Folder::create(&data.recording(), &disk, recording).unwrap();
        folder.finish(Instant::now(), 0).unwrap();
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        fs::write(data.recording().join(MEDIA), noise.take(MEDIA_LEN).collect::<Vec<_>>()).unwrap();
        data
    }

    fn recording(&self) -> PathBuf {
        self.0.join("recordings/17-hall")
    }

    fn journal(&self) -> Journal {
        Journal::read(&fs::read(self.recording().join(JOURNAL)).unwrap_or_default())
            .unwrap()
            .0
    }

    /// The parts of the media that the journal tells of.
    fn parts(&self) -> Vec<u64> {
        let journal = self.journal();
        journal
            .sent(MEDIA)
            .map(|sent| sent.parts.keys().copied().collect())
            .unwrap_or_default()
    }

    fn is_stored(&self, name: &str) -> bool {
        self.journal().sent(name).is_some_and(|sent| sent.stored.is_some())
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The server's process.
struct Server {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Server {
    fn start(data: &Data, line: &Line, key: &str, secret: &str) -> Self {
        let credentials = data.0.join("store.env");
        fs::write(
            &credentials,
            format!("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n"),
        )
        .unwrap();
        let port = line.0.lock().unwrap().port;
        let config = format!(
            "[recording.store]\nurl = \"s3://meetings/some/where\"\ncredentials = {credentials:?}\n\
             part_mib = 5\nparallel = 1\npatience_seconds = 2\n\
             [recording.store.options]\nendpoint = \"http://127.0.0.1:{port}\"\nregion = \"us-east-1\"\n"
        );
        let file = data.0.join("althing.toml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_conference"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--udp-port",
                "0",
                "--tcp-port",
                "0",
                "--config",
            ])
            .arg(file)
            .arg("--data")
            .arg(&data.0)
            .env("NO_COLOR", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (err, heard) = (child.stderr.take().unwrap(), said.clone());
        thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                heard.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { child, said }
    }

    fn says(&self, text: &str) {
        until(text, || self.said.lock().unwrap().contains(text));
    }

    /// As a crash does it; gives what was said.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the server said:\n{}", self.said.lock().unwrap());
        }
    }
}

/// The store's process.
struct S3 {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    port: u16,
    key: String,
    secret: String,
}

impl S3 {
    fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python =
            std::env::var_os("ALTHING_PYTHON").map_or_else(|| root.join("target/e2e/venv/bin/python"), PathBuf::from);
        let mut child = Command::new(python)
            .arg(root.join("e2e/py/s3.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo xtask setup installs it");
        let (asks, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut s3 = Self {
            child,
            asks,
            answers: BufReader::new(answers),
            port: 0,
            key: String::new(),
            secret: String::new(),
        };
        let ready = s3.answer();
        s3.port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        s3.key = ready["key"].as_str().unwrap().to_owned();
        s3.secret = ready["secret"].as_str().unwrap().to_owned();
        s3
    }

    fn ask(&mut self, line: &str) -> Value {
        writeln!(self.asks, "{line}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("the store's process says why not")
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the line between the two does to a part.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Answers that the store is out of order.
    Error,
    /// Takes some of it and hangs up.
    HangUp,
    /// Takes it and says nothing.
    Silence,
}

/// The line between server and store.
#[derive(Clone)]
struct Line(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    port: u16,
    /// How many parts may still pass; those behind wait for ever.
    pass: Option<u32>,
    /// What happens to the next parts.
    faults: VecDeque<Fault>,
    /// How often each part went to the store.
    passed: BTreeMap<String, u32>,
}

impl Line {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = State {
            port: listener.local_addr().unwrap().port(),
            ..State::default()
        };
        let line = Self(Arc::new(Mutex::new(state)));
        let inside = line.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (line, store) = (inside.clone(), TcpStream::connect(("127.0.0.1", to)));
                let Ok(store) = store else { return };
                thread::spawn(move || line.carry(&stream, &store));
            }
        });
        line
    }

    /// Carries one connection; each request begins what is read, as its client waits for the answer to the one before.
    fn carry(&self, mut server: &TcpStream, mut store: &TcpStream) {
        let (back_from, back_to) = (store.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut &back_from, &mut &back_to);
            let _ = back_to.shutdown(Shutdown::Both);
        });
        let mut piece = vec![0; 64 << 10];
        while let Ok(len) = server.read(&mut piece)
            && len > 0
        {
            if let Some(part) = part_of(&piece[..len]) {
                match self.fate(part) {
                    Ok(()) => {}
                    Err(Some(Fault::Error)) => {
                        let answer =
                            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        let _ = server.write_all(answer.as_bytes());
                        break;
                    }
                    Err(Some(Fault::HangUp)) => break,
                    Err(Some(Fault::Silence) | None) => {
                        while server.read(&mut piece).is_ok_and(|len| len > 0) {}
                        break;
                    }
                }
            }
            if store.write_all(&piece[..len]).is_err() {
                break;
            }
        }
        let _ = store.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    /// Whether a part goes to the store, or what happens to it instead.
    fn fate(&self, part: String) -> Result<(), Option<Fault>> {
        let mut state = self.0.lock().unwrap();
        if let Some(fault) = state.faults.pop_front() {
            return Err(Some(fault));
        }
        if state.pass == Some(0) {
            return Err(None);
        }
        state.pass = state.pass.map(|left| left - 1);
        *state.passed.entry(part).or_default() += 1;
        Ok(())
    }
}

/// The number of the part that a request brings.
fn part_of(piece: &[u8]) -> Option<String> {
    let head = piece.strip_prefix(b"PUT ")?;
    let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next()?).into_owned();
    let (_, part) = line.split_once("partNumber=")?;
    Some(part.chars().take_while(char::is_ascii_digit).collect())
}
