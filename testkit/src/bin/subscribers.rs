//! What a forwarded packet costs a running server: one publisher by WHIP, many subscribers by WHEP, all over loopback.
//!
//! ```text
//! subscribers --url http://127.0.0.1:7880 --pid 4711 --subscribers 100 --rate 260
//! ```
//!
//! The publisher sends VP8-shaped packets, evenly spaced, or `--burst` at a time as frames; each subscriber has a socket,
//! a DTLS session and SRTP keys of its own, and counts what reaches it. When all are connected and warm, the server's
//! CPU time (user and system, all threads, `/proc/PID/stat`) over the measured seconds, divided by the packets that
//! reached the subscribers, is printed: µs per forwarded packet. Exits with 1 when somebody could not connect.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use althing_media_core::transport::{Certificate, SrtpProfile};
use althing_testkit::client::http::Url;
use althing_testkit::client::{Client, token};
use althing_testkit::peer::preset::{VP8, camera, publisher_extensions, screen};
use althing_testkit::peer::{ReceiveConfig, VideoPattern};
use clap::Parser;

/// Clock ticks a second in `/proc/PID/stat`: fixed in the interface of Linux to user space (`USER_HZ`).
const TICKS: f64 = 100.0;
/// How long a subscriber thread sleeps when nothing came.
const NAP: Duration = Duration::from_millis(1);
/// How long somebody may take to connect.
const CONNECT: Duration = Duration::from_secs(20);
/// RTP header, transport-wide sequence number, payload descriptor and frame header.
const HEADERS: usize = 12 + 8 + 6 + 3;

#[derive(Debug, Parser)]
#[command(about = "Measures the CPU time of a server per forwarded packet")]
struct Arguments {
    /// The server's address for HTTP.
    #[arg(long, default_value = "http://127.0.0.1:7880")]
    url: String,
    /// The server's process, whose CPU time is measured; without it, packets are only counted.
    #[arg(long)]
    pid: Option<u32>,
    /// How many watch.
    #[arg(long, default_value_t = 100)]
    subscribers: usize,
    /// Packets a second of the publisher.
    #[arg(long, default_value_t = 260)]
    rate: u32,
    /// Bytes of an RTP packet before SRTP.
    #[arg(long, default_value_t = 1200)]
    bytes: usize,
    /// Packets sent at once, as one frame.
    #[arg(long, default_value_t = 1)]
    burst: u32,
    /// Frames from one keyframe to the next.
    #[arg(long, default_value_t = 30)]
    keyframe_every: u32,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds before, when all are connected.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Threads for the subscribers.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The room.
    #[arg(long, default_value = "load")]
    room: String,
    /// API key for the tokens.
    #[arg(long, default_value = "devkey")]
    key: String,
    /// Its secret.
    #[arg(long, default_value = "secret")]
    secret: String,
}

/// What the threads tell each other.
#[derive(Debug, Default)]
struct Shared {
    connected: AtomicUsize,
    gcm: AtomicUsize,
    failed: AtomicUsize,
    /// Of each thread, as of its last round.
    totals: Mutex<HashMap<ThreadId, Totals>>,
    end: AtomicBool,
}

/// What has come to some subscribers.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    /// RTP datagrams at the sockets.
    received: u64,
    /// Packets that are missing, for now or for good.
    lost: u64,
    /// Retransmissions among those received.
    again: u64,
}

impl Totals {
    fn of(clients: &[Client]) -> Self {
        let received = clients.iter().map(Client::rtp_received).sum();
        let receivers = clients.iter().flat_map(|client| client.peer.session.receivers());
        receivers.fold(
            Self {
                received,
                ..Self::default()
            },
            |sum, receiver| Self {
                lost: sum.lost + receiver.stats().lost + receiver.missing() as u64,
                again: sum.again + receiver.stats().rtx,
                ..sum
            },
        )
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Totals>> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn totals(&self) -> Totals {
        self.lock().values().fold(Totals::default(), |sum, totals| Totals {
            received: sum.received + totals.received,
            lost: sum.lost + totals.lost,
            again: sum.again + totals.again,
        })
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("subscribers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let whip = Url::parse(&format!("{}/whip/{}", arguments.url, arguments.room)).ok_or("not an http:// address")?;
    let whep = Url::parse(&format!("{}/whep/{}", arguments.url, arguments.room)).ok_or("not an http:// address")?;
    let certificate = Certificate::generate()?;
    let token = |name: &str| token::mint(&arguments.key, &arguments.secret, &arguments.room, name);
    let sends = vec![camera(Some("0"), 1000, 1, pattern(arguments))];
    let mut publisher = Client::publish(&whip, &token("publisher"), &certificate, 1, sends)?;
    if !publisher.connect(CONNECT) {
        return Err("the publisher did not connect".into());
    }
    let shared = Shared::default();
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(publisher, &shared));
        let mut subscribers = Vec::new();
        for index in 0..arguments.threads.max(1) {
            let share: Vec<usize> = (index..arguments.subscribers)
                .step_by(arguments.threads.max(1))
                .collect();
            let (whep, certificate, shared, token) = (&whep, &certificate, &shared, &token);
            subscribers.push(scope.spawn(move || {
                subscribe(&share, shared, |n| {
                    let token = token(&format!("subscriber-{n}"));
                    Client::watch(whep, &token, certificate, n as u64 + 2, vec![receives()])
                });
            }));
        }
        let result = measure(arguments, &shared);
        shared.end.store(true, Ordering::Relaxed);
        for thread in subscribers.into_iter().chain([publisher]) {
            let _ = thread.join();
        }
        result
    })
}

fn pattern(arguments: &Arguments) -> VideoPattern {
    let body = arguments.bytes.saturating_sub(HEADERS);
    VideoPattern {
        every: Duration::from_secs(1) * arguments.burst / arguments.rate.max(1),
        frame_bytes: body * arguments.burst as usize,
        even: true,
        packet_bytes: body,
        temporal_layers: 1,
        keyframe_every: Some(arguments.keyframe_every),
    }
}

fn receives() -> ReceiveConfig {
    ReceiveConfig {
        codecs: vec![VP8],
        extensions: publisher_extensions(),
        view: false,
        pli: false,
        ..screen(Some("0"), 0)
    }
}

fn publish(mut client: Client, shared: &Shared) {
    while !shared.end.load(Ordering::Relaxed) {
        let now = Instant::now();
        client.drive(now);
        let next = client
            .peer
            .next_timeout()
            .map_or(NAP, |at| at.saturating_duration_since(Instant::now()));
        thread::sleep(next.min(NAP * 4));
    }
    let _ = client.close();
}

/// Connects a share of the subscribers, one after another, and drives them all until the end.
fn subscribe<E: std::fmt::Display>(share: &[usize], shared: &Shared, connect: impl Fn(usize) -> Result<Client, E>) {
    let mut clients: Vec<Client> = Vec::new();
    let mut waiting = share.iter();
    let mut connecting = None;
    loop {
        if connecting.is_none() {
            connecting = waiting.next().and_then(|n| match connect(*n) {
                Ok(client) => Some((client, Instant::now() + CONNECT)),
                Err(error) => {
                    eprintln!("subscribers: subscriber {n}: {error}");
                    shared.failed.fetch_add(1, Ordering::Relaxed);
                    None
                }
            });
        }
        let now = Instant::now();
        let mut came = false;
        if let Some((mut client, limit)) = connecting.take() {
            came |= client.drive(now);
            if client.peer.is_connected() {
                let profile = client.peer.transport_mut().profile();
                let gcm = matches!(profile, Some(SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm));
                shared.gcm.fetch_add(usize::from(gcm), Ordering::Relaxed);
                shared.connected.fetch_add(1, Ordering::Relaxed);
                clients.push(client);
            } else if now > limit {
                shared.failed.fetch_add(1, Ordering::Relaxed);
            } else {
                connecting = Some((client, limit));
            }
        }
        for client in &mut clients {
            came |= client.drive(now);
        }
        shared.lock().insert(thread::current().id(), Totals::of(&clients));
        if shared.end.load(Ordering::Relaxed) {
            break;
        }
        if !came {
            thread::sleep(NAP);
        }
    }
    for client in &mut clients {
        let _ = client.close();
    }
}

fn measure(arguments: &Arguments, shared: &Shared) -> Result<(), Box<dyn std::error::Error>> {
    let all = arguments.subscribers;
    while shared.connected.load(Ordering::Relaxed) + shared.failed.load(Ordering::Relaxed) < all {
        thread::sleep(Duration::from_millis(50));
    }
    let connected = shared.connected.load(Ordering::Relaxed);
    println!(
        "{connected} of {all} subscribers connected, {} with AES-GCM",
        shared.gcm.load(Ordering::Relaxed)
    );
    if connected < all {
        return Err("not everybody could connect".into());
    }
    thread::sleep(Duration::from_secs(arguments.warm_up));
    let (start, before, cpu_before) = (Instant::now(), shared.totals(), cpu(arguments.pid)?);
    thread::sleep(Duration::from_secs(arguments.seconds));
    let (seconds, after, cpu_after) = (start.elapsed().as_secs_f64(), shared.totals(), cpu(arguments.pid)?);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 packets")]
    let [packets, again, lost] = [
        after.received - before.received,
        after.again - before.again,
        after.lost.saturating_sub(before.lost),
    ]
    .map(|count| count as f64);
    if packets == 0.0 {
        return Err("nothing was forwarded".into());
    }
    println!(
        "{packets} packets in {seconds:.1} s: {:.0}/s to {all} subscribers, {:.3} % missing, {again} retransmissions",
        packets / seconds,
        100.0 * lost / (packets + lost)
    );
    if let Some((before, after)) = cpu_before.zip(cpu_after) {
        let cpu = after - before;
        println!(
            "server CPU {cpu:.2} s, {:.0} % of a core: {:.2} µs per forwarded packet",
            100.0 * cpu / seconds,
            cpu * 1e6 / packets
        );
    }
    Ok(())
}

/// User and system time of all threads of a process, in seconds.
fn cpu(pid: Option<u32>) -> Result<Option<f64>, Box<dyn std::error::Error>> {
    let Some(pid) = pid else { return Ok(None) };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the fields behind it are numbered from 3.
    let (_, fields) = stat.rsplit_once(')').ok_or("unknown format of /proc/PID/stat")?;
    let mut times = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    let (user, system) = times
        .next()
        .zip(times.next())
        .ok_or("unknown format of /proc/PID/stat")?;
    Ok(Some((user + system) / TICKS))
}
