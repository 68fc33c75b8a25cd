//! What a datagram costs: one worker sends bursts to many peers over loopback, another receives them.
//!
//! `cargo run --release -p althing-media-net --example udp_cost [SECONDS]`. Processor time is that of the worker's
//! thread, from the kernel (Linux only); the copy into the receiver's socket is part of the sender's on loopback.
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use althing_media_core::event::{Output, RemoteChange, Transmit};
use althing_media_core::transport::{Protocol, Route};
use althing_media_net::{Engine, Net, NetConfig, Worker};

/// Length of each datagram, but for the last of a burst.
const DATAGRAM_BYTES: usize = 1200;

/// Sends `burst` datagrams to each of `peers` every `interval`; drops what it gets.
struct Fan {
    local: SocketAddr,
    peers: Vec<SocketAddr>,
    burst: usize,
    interval: Duration,
    due: Option<Instant>,
    /// Sends as many as it gets, instead.
    relays: bool,
    /// Datagrams of this round that are sent.
    sent: usize,
}

impl Engine for Fan {
    fn handle_datagram(&mut self, _: Instant, _: Route, _: &mut [u8]) {
        if self.relays {
            // What was received in this turn goes out as one burst to each.
            (self.burst, self.sent) = (if self.sent == 0 { self.burst + 1 } else { 1 }, 0);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = Some(now + self.interval);
            self.sent = 0;
        }
    }

    fn poll_output(&mut self, _: Instant, buf: &mut [u8]) -> Output {
        let Some(remote) = self.peers.get(self.sent / self.burst) else {
            return Output::Timeout(self.due);
        };
        let last = self.sent % self.burst == self.burst - 1;
        let len = if last { DATAGRAM_BYTES / 2 } else { DATAGRAM_BYTES };
        // The engine's own work: one copy.
        buf[..len].fill(22);
        self.sent += 1;
        let route = Route {
            protocol: Protocol::Udp,
            local: self.local,
            remote: *remote,
        };
        Output::Transmit(Transmit { route, len })
    }

    fn owns(&self, _: Protocol, _: SocketAddr) -> bool {
        true
    }

    fn poll_remote(&mut self) -> Option<RemoteChange> {
        None
    }

    fn close(&mut self, _: Instant) {
        self.peers.clear();
    }
}

/// Processor time of the worker's thread so far.
fn cpu(worker: &Worker<Fan>) -> Result<Duration, Box<dyn Error>> {
    let text = worker.call(|_, _| std::fs::read_to_string("/proc/thread-self/schedstat"))??;
    let nanos = text.split_whitespace().next().ok_or("no processor time in schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

fn start(config: NetConfig) -> Result<Net<Fan>, Box<dyn Error>> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let net = Net::start(
        NetConfig {
            udp: vec![any],
            workers: 1,
            ..config
        },
        |seat| Fan {
            local: seat.local[0].socket,
            peers: Vec::new(),
            burst: 1,
            interval: Duration::ZERO,
            due: None,
            relays: false,
            sent: 0,
        },
    )?;
    Ok(net)
}

fn measure(
    peers: usize,
    burst: usize,
    interval: Duration,
    offload: bool,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    let config = NetConfig {
        gso: offload,
        gro: offload,
        ..NetConfig::default()
    };
    let (sender, receiver) = (start(config.clone())?, start(config)?);
    let (from, to) = (&sender.workers()[0], &receiver.workers()[0]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let addresses: Vec<_> = (0..peers).map(|_| to.open_udp(any)).collect::<Result<_, _>>()?;
    from.call(move |fan, now| {
        (fan.peers, fan.burst, fan.interval, fan.due) = (addresses, burst, interval, Some(now));
        fan.sent = usize::MAX;
    })?;
    std::thread::sleep(Duration::from_millis(200));
    let before = (cpu(from)?, cpu(to)?, from.stats(), to.stats());
    std::thread::sleep(time);
    let after = (cpu(from)?, cpu(to)?, from.stats(), to.stats());
    let sent = after.2.datagrams_out - before.2.datagrams_out;
    let received = after.3.datagrams_in - before.3.datagrams_in;
    let each = |time: Duration, count: u64| time.as_nanos() / u128::from(count.max(1));
    println!(
        "{peers:5} {burst:5} {:>7} {:>9} {:>8} {:>8} {:>9.1} {:>9}",
        if offload { "yes" } else { "no" },
        sent,
        each(after.0 - before.0, sent),
        each(after.1 - before.1, received),
        sent as f64 / (after.2.turns - before.2.turns).max(1) as f64,
        sent.saturating_sub(received),
    );
    Ok(())
}

/// A publisher in real time, a worker that sends each datagram on to all.
fn relay(gather: Duration, time: Duration) -> Result<(), Box<dyn Error>> {
    let (sender, receiver) = (
        start(NetConfig {
            gather,
            ..NetConfig::default()
        })?,
        start(NetConfig::default())?,
    );
    let (from, to) = (&sender.workers()[0], &receiver.workers()[0]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let addresses: Vec<_> = (0..100).map(|_| to.open_udp(any)).collect::<Result<_, _>>()?;
    from.call(move |fan, _| (fan.peers, fan.relays, fan.sent) = (addresses, true, usize::MAX))?;
    let publisher = UdpSocket::bind(any)?;
    publisher.connect(sender.local()[0].socket)?;
    let before = (cpu(from)?, from.stats());
    let begun = Instant::now();
    while begun.elapsed() < time {
        for _ in 0..9 {
            publisher.send(&[22; DATAGRAM_BYTES])?;
            std::thread::sleep(Duration::from_micros(250));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    let after = (cpu(from)?, from.stats());
    let sent = after.1.datagrams_out - before.1.datagrams_out;
    let nanos = (after.0 - before.0).as_nanos() / u128::from(sent.max(1));
    let per_wake = sent as f64 / (after.1.turns - before.1.turns).max(1) as f64;
    println!("{gather:>10?} {nanos:8} {per_wake:9.1}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(1.0), |seconds| seconds.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let frame = Duration::from_millis(33);
    println!("a relay to 100 peers, nine datagrams of a frame 300 µs apart:\n    gather  ns sent  per wake");
    for gather in [0, 1000, 2000, 4000, 8000] {
        relay(Duration::from_micros(gather), time)?;
    }
    println!("peers burst offload datagrams  ns sent  ns recv  per wake      lost");
    for (peers, burst, interval) in [
        (1, 1, frame / 10),
        (1, 9, frame),
        (10, 9, frame),
        (100, 1, frame / 4),
        (100, 5, frame),
        (100, 9, frame),
    ] {
        for offload in [true, false] {
            measure(peers, burst, interval, offload, time)?;
        }
    }
    Ok(())
}
