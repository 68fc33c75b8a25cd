//! The relay program between real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

struct Relay {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Relay {
    fn start(to: &str, settings: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_relay"))
            .args(["--listen", "127.0.0.1:0", "--to", to])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = output.next().unwrap().unwrap();
        let address = ready.split(' ').nth(3).unwrap().to_owned();
        assert_eq!(ready, format!("relay ready on {address} to {to}"));
        Self {
            process,
            input,
            output,
            address,
        }
    }

    fn control(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
        // `stats` is answered in order, so afterwards the line before it has been obeyed.
        writeln!(self.input.as_ref().unwrap(), "stats").unwrap();
        assert!(self.output.next().unwrap().unwrap().starts_with("relay up"));
        assert!(self.output.next().unwrap().unwrap().starts_with("relay down"));
    }

    /// Closes its input; it ends by itself.
    fn end(mut self) -> Vec<String> {
        drop(self.input.take());
        let rest = self.output.by_ref().map(Result::unwrap).collect();
        assert!(self.process.wait().unwrap().success());
        rest
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// A server that answers each datagram with the same bytes; ends when nothing comes for two seconds.
fn echo() -> String {
    let server = socket();
    server.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let address = server.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..len], from).unwrap();
        }
    });
    address
}

#[test]
fn carries_many_clients_with_delay() {
    let relay = Relay::start(&echo(), &["--delay", "20ms", "--up.delay", "30ms"]);
    let clients: Vec<_> = (0..5).map(|_| socket()).collect();
    let start = Instant::now();
    for (number, client) in (0_u8..).zip(&clients) {
        client.send_to(&[number; 100], &relay.address).unwrap();
    }
    for (number, client) in (0_u8..).zip(&clients) {
        let mut buffer = [0; 2048];
        let (len, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(
            (&buffer[..len], from.to_string()),
            (&[number; 100][..], relay.address.clone())
        );
    }
    assert!(start.elapsed() >= Duration::from_millis(50));
    let figures = relay.end();
    assert!(figures[0].starts_with("relay up: 5 in, 5 out, 0 lost"), "{figures:?}");
    assert!(figures[1].starts_with("relay down: 5 in, 5 out, 0 lost"), "{figures:?}");
}

#[test]
fn the_weather_changes_in_mid_run() {
    let mut relay = Relay::start(&echo(), &[]);
    let client = socket();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let answered = |relay: &Relay| {
        client.send_to(b"hello", &relay.address).unwrap();
        client.recv_from(&mut [0; 64]).is_ok()
    };
    assert!(answered(&relay));
    relay.control("down");
    assert!(!answered(&relay));
    relay.control("up");
    assert!(answered(&relay));
    relay.control("up.loss 100%");
    assert!(!answered(&relay));
    relay.control("loss 0");
    assert!(answered(&relay));
    let figures = relay.end();
    assert!(figures[0].starts_with("relay up: 5 in, 3 out, 2 lost"), "{figures:?}");
}

#[test]
fn a_wrong_setting_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_relay"))
        .args(["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--loss", "much"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--loss much"), "{error}");
}
