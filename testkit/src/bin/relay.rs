//! The network emulator as a UDP relay between real clients and a real server.
//!
//! ```text
//! relay --listen 127.0.0.1:9000 --to 127.0.0.1:7882 --loss 5% --delay 50ms --up.rate 2mbit --seed 1
//! ```
//!
//! Each client gets an upstream socket of its own, so that the server sees one address per client, and a pair of
//! links with their own luck: `up` towards the server, `down` towards the client. Prints one line when it is ready and
//! one line of figures at the end; ends when its standard input closes. A line on standard input changes the
//! weather of all clients: `loss 10%`, `up.delay 200ms`, `down` (cut the wire), `up` (join it again), `stats`.
//!
//! It does not read what it carries: no candidate or address inside a datagram is changed.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use althing_testkit::network::{LinkConfig, LinkStats, SETTINGS};
use althing_testkit::{Link, Rng};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// Clients at a time; when all places are taken, the one that has been silent longest gives way.
const MAX_CLIENTS: usize = 256;
/// Datagrams that wait between the sockets and the links.
const MAX_WAITING: usize = 4096;
/// How often a thread that reads a socket looks whether it should end.
const LOOK: Duration = Duration::from_millis(200);
/// Longest datagram.
const MAX_DATAGRAM: usize = 65_536;

/// What the reading threads tell the relay.
enum Input {
    /// From a client.
    Client(SocketAddr, Vec<u8>),
    /// From the server, for a client.
    Server(SocketAddr, Vec<u8>),
    /// A control line.
    Line(String),
    /// Standard input is closed.
    End,
}

/// The table of clients and what they share.
struct Relay {
    listen: Arc<UdpSocket>,
    to: SocketAddr,
    /// `up`, then `down`.
    configs: [LinkConfig; 2],
    cut: bool,
    seeds: Rng,
    clients: HashMap<SocketAddr, Client>,
    /// What the links of clients that left have counted.
    past: [LinkStats; 2],
    sender: SyncSender<Input>,
}

struct Client {
    upstream: Arc<UdpSocket>,
    links: [Link; 2],
    heard: Instant,
    gone: Arc<AtomicBool>,
}

fn main() -> ExitCode {
    match run(&arguments().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Command {
    let mut command = Command::new("relay")
        .about("A bad network between UDP clients and a server")
        .arg(
            Arg::new("listen")
                .long("listen")
                .required(true)
                .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            Arg::new("to")
                .long("to")
                .required(true)
                .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .default_value("1")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            Arg::new("detached")
                .long("detached")
                .action(ArgAction::SetTrue)
                .help("do not read standard input: run until killed"),
        );
    for (prefix, which) in [
        ("", ""),
        ("up.", " (towards the server)"),
        ("down.", " (towards the clients)"),
    ] {
        for (name, example, help) in SETTINGS {
            // Leaked once at start: clap wants names that live as long as the program.
            let name: &'static str = format!("{prefix}{name}").leak();
            command = command.arg(
                Arg::new(name)
                    .long(name)
                    .value_name(example)
                    .help(format!("{help}{which}")),
            );
        }
    }
    command
}

fn run(arguments: &ArgMatches) -> Result<(), Box<dyn std::error::Error>> {
    let mut configs = [LinkConfig::default(); 2];
    for prefix in ["", "up.", "down."] {
        for (name, ..) in SETTINGS {
            let name = format!("{prefix}{name}");
            if let Some(value) = arguments.get_one::<String>(&name) {
                set(&mut configs, &name, value).map_err(|error| format!("--{name} {value}: {error}"))?;
            }
        }
    }
    let address = |name| {
        arguments
            .get_one::<SocketAddr>(name)
            .copied()
            .ok_or("an address is missing")
    };
    let to = address("to")?;
    let listen = Arc::new(UdpSocket::bind(address("listen")?)?);
    listen.set_read_timeout(Some(LOOK))?;
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let gone = Arc::new(AtomicBool::new(false));
    read_socket(Arc::clone(&listen), Arc::clone(&gone), sender.clone(), Input::Client);
    if !arguments.get_flag("detached") {
        read_lines(sender.clone());
    }
    println!("relay ready on {} to {to}", listen.local_addr()?);
    let seeds = Rng::new(arguments.get_one::<u64>("seed").copied().unwrap_or(1));
    let mut relay = Relay {
        listen,
        to,
        configs,
        cut: false,
        seeds,
        clients: HashMap::new(),
        past: <[LinkStats; 2]>::default(),
        sender,
    };
    relay.run(&receiver);
    relay.print_stats();
    gone.store(true, Ordering::Relaxed);
    Ok(())
}

/// `loss` is both directions, `up.loss` and `down.loss` one.
fn set(configs: &mut [LinkConfig; 2], name: &str, value: &str) -> Result<(), althing_testkit::network::SettingError> {
    let (range, name) = match name.split_once('.') {
        Some(("up", name)) => (0..1, name),
        Some(("down", name)) => (1..2, name),
        _ => (0..2, name),
    };
    configs[range].iter_mut().try_for_each(|config| config.set(name, value))
}

/// Reads `socket` on a thread until `gone`.
fn read_socket(
    socket: Arc<UdpSocket>,
    gone: Arc<AtomicBool>,
    sender: SyncSender<Input>,
    input: impl Fn(SocketAddr, Vec<u8>) -> Input + Send + 'static,
) {
    thread::spawn(move || {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while !gone.load(Ordering::Relaxed) {
            // Errors are time-outs, or an ICMP answer to what we sent: neither ends the relay.
            let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            // A full channel blocks here, and the socket's own buffer is the bound.
            if sender.send(input(from, buffer[..len].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn read_lines(sender: SyncSender<Input>) {
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(Input::Line(line)).is_err() {
                return;
            }
        }
        let _ = sender.send(Input::End);
    });
}

impl Relay {
    fn run(&mut self, receiver: &Receiver<Input>) {
        loop {
            let next = self
                .clients
                .values()
                .flat_map(|client| &client.links)
                .filter_map(Link::next_timeout)
                .min();
            let now = Instant::now();
            let wait = next.map_or(LOOK, |next| next.saturating_duration_since(now).min(LOOK));
            match receiver.recv_timeout(wait) {
                Ok(Input::Client(from, datagram)) => self.client_datagram(from, datagram),
                Ok(Input::Server(client, datagram)) => {
                    if let Some(client) = self.clients.get_mut(&client) {
                        client.links[1].handle_input(Instant::now(), datagram);
                    }
                }
                Ok(Input::Line(line)) => self.control(line.trim()),
                Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.deliver();
        }
    }

    fn client_datagram(&mut self, from: SocketAddr, datagram: Vec<u8>) {
        let now = Instant::now();
        if !self.clients.contains_key(&from) {
            if self.clients.len() >= MAX_CLIENTS {
                self.remove_most_silent();
            }
            match self.new_client(from, now) {
                Ok(client) => self.clients.insert(from, client),
                Err(error) => return eprintln!("relay: no upstream socket for {from}: {error}"),
            };
        }
        if let Some(client) = self.clients.get_mut(&from) {
            client.heard = now;
            client.links[0].handle_input(now, datagram);
        }
    }

    fn new_client(&mut self, address: SocketAddr, now: Instant) -> io::Result<Client> {
        let any: SocketAddr = if self.to.is_ipv4() {
            ([0; 4], 0).into()
        } else {
            ([0_u16; 8], 0).into()
        };
        let upstream = Arc::new(UdpSocket::bind(any)?);
        upstream.connect(self.to)?;
        upstream.set_read_timeout(Some(LOOK))?;
        let gone = Arc::new(AtomicBool::new(false));
        let input = move |_, datagram| Input::Server(address, datagram);
        read_socket(Arc::clone(&upstream), Arc::clone(&gone), self.sender.clone(), input);
        let mut links = self.configs.map(|config| Link::new(self.seeds.next_u64(), config));
        links.iter_mut().for_each(|link| link.set_down(self.cut));
        Ok(Client {
            upstream,
            links,
            heard: now,
            gone,
        })
    }

    fn remove_most_silent(&mut self) {
        let Some(address) = self
            .clients
            .iter()
            .min_by_key(|(_, client)| client.heard)
            .map(|(address, _)| *address)
        else {
            return;
        };
        if let Some(client) = self.clients.remove(&address) {
            client.gone.store(true, Ordering::Relaxed);
            for (past, link) in self.past.iter_mut().zip(&client.links) {
                add(past, link.stats());
            }
        }
    }

    /// Sends what has arrived by now. A send that fails is a loss like any other.
    fn deliver(&mut self) {
        let now = Instant::now();
        for (address, client) in &mut self.clients {
            while let Some(datagram) = client.links[0].poll_output(now) {
                let _ = client.upstream.send(&datagram);
            }
            while let Some(datagram) = client.links[1].poll_output(now) {
                let _ = self.listen.send_to(&datagram, address);
            }
        }
    }

    fn control(&mut self, line: &str) {
        match (line, line.split_once(' ')) {
            ("", _) => {}
            ("stats", _) => self.print_stats(),
            ("down" | "up", _) => {
                self.cut = line == "down";
                let links = self.clients.values_mut().flat_map(|client| &mut client.links);
                links.for_each(|link| link.set_down(self.cut));
            }
            (_, Some((name, value))) => match set(&mut self.configs, name, value.trim()) {
                Ok(()) => {
                    for client in self.clients.values_mut() {
                        for (link, config) in client.links.iter_mut().zip(self.configs) {
                            link.configure(config);
                        }
                    }
                }
                Err(error) => eprintln!("relay: {line}: {error}"),
            },
            _ => eprintln!("relay: {line}: a setting and its value, or one of down, up, stats"),
        }
    }

    fn print_stats(&self) {
        for (index, direction) in ["up", "down"].into_iter().enumerate() {
            let mut sum = self.past[index];
            self.clients
                .values()
                .for_each(|client| add(&mut sum, client.links[index].stats()));
            println!(
                "relay {direction}: {} in, {} out, {} lost, {} dropped by the queue, queue {:.1} ms mean, {:.1} ms max",
                sum.sent,
                sum.delivered,
                sum.lost,
                sum.queue_dropped,
                sum.queue_delay_mean().as_secs_f64() * 1e3,
                sum.queue_delay_max.as_secs_f64() * 1e3,
            );
        }
    }
}

fn add(sum: &mut LinkStats, stats: &LinkStats) {
    sum.sent += stats.sent;
    sum.sent_bytes += stats.sent_bytes;
    sum.delivered += stats.delivered;
    sum.delivered_bytes += stats.delivered_bytes;
    sum.lost += stats.lost;
    sum.queue_dropped += stats.queue_dropped;
    sum.duplicated += stats.duplicated;
    sum.queue_delay_sum += stats.queue_delay_sum;
    sum.queue_delay_max = sum.queue_delay_max.max(stats.queue_delay_max);
}
