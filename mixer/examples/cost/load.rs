//! Participants on sockets of their own: each sends a packet every 20 ms and takes what comes.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::janus::Bridge;
use crate::processor_time;
use crate::talk::Talk;

/// Ticks before it is measured: 1 s.
const WARM_UP: u32 = 50;
/// After so long no other measurement is begun.
const LIMIT: Duration = Duration::from_secs(210);
/// Participants, and how many of them talk (0: all); first what the aims speak of, as there may be no time for the others.
const CASES: [(usize, usize); 16] = [
    (100, 3),
    (1000, 3),
    (50, 0),
    (10, 1),
    (10, 3),
    (10, 0),
    (50, 1),
    (50, 3),
    (50, 10),
    (100, 1),
    (100, 10),
    (500, 1),
    (500, 3),
    (500, 10),
    (1000, 1),
    (1000, 10),
];
/// With more participants than that, only the first servers are measured: who decodes and encodes for each would need more than
/// a machine.
const FEW: usize = 100;
const FIRST: usize = 2;
/// The least of the expected packets that a figure may rest on, in percent.
const ENOUGH: f64 = 95.0;

/// A server that is measured.
pub(crate) struct Target {
    name: String,
    /// Where it takes plain RTP, or the port at which the AudioBridge takes requests.
    at: At,
    pid: u32,
}

enum At {
    Address(SocketAddr),
    Janus(u16),
}

impl Target {
    /// By its name, its address or `janus:PORT`, and its process.
    pub(crate) fn parse([name, at, pid]: &[&str; 3]) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            name: (*name).to_owned(),
            at: match at.strip_prefix("janus:") {
                Some(port) => At::Janus(port.parse()?),
                None => At::Address(at.parse()?),
            },
            pid: pid.parse()?,
        })
    }
}

/// Prints what each participant costs each server; the first two are compared where there are many. Takes
/// [`LIMIT`] at most, and one measurement.
pub(crate) fn table(targets: &[Target], seconds: u32) -> Result<(), Box<dyn Error>> {
    let (talk, start) = (Talk::new()?, Instant::now());
    print!("| participants | talk |");
    targets.iter().for_each(|target| print!(" {} |", target.name));
    println!("\n|---|---|{}", "---|".repeat(targets.len()));
    for (room, (participants, talkers)) in (1..).zip(&CASES) {
        let count = if *participants > FEW { FIRST } else { targets.len() };
        let said = if *talkers == 0 {
            "all".to_owned()
        } else {
            talkers.to_string()
        };
        print!("| {participants} | {said} |");
        for (at, target) in targets.iter().enumerate() {
            if at < count && start.elapsed() < LIMIT {
                // A server that has crashed keeps nobody from measuring the others.
                match target.measure(&talk, room, (*participants, *talkers), seconds) {
                    Ok(cost) => print!(" {cost} |"),
                    Err(problem) => print!(" failed: {problem} |"),
                }
                io::Write::flush(&mut io::stdout())?;
            } else {
                print!(" – |");
            }
        }
        println!();
    }
    Ok(())
}

impl Target {
    fn measure(
        &self,
        talk: &Talk,
        room: u32,
        (participants, talkers): (usize, usize),
        seconds: u32,
    ) -> Result<String, Box<dyn Error>> {
        match self.at {
            At::Address(address) => Load::new(participants, |_| Ok(address))?.measure(talk, talkers, self.pid, seconds),
            At::Janus(port) => {
                let bridge = Bridge::open(port, room)?;
                let load = Load::new(participants, |port| bridge.join(port))?;
                let cost = load.measure(talk, talkers, self.pid, seconds)?;
                bridge.close()?;
                Ok(cost)
            }
        }
    }
}

/// Participants of one server.
struct Load(Vec<(UdpSocket, SocketAddr)>);

impl Load {
    /// Each participant, by its port, sends to where `join` says.
    fn new(
        participants: usize,
        mut join: impl FnMut(u16) -> Result<SocketAddr, Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut open = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            let to = join(socket.local_addr()?.port())?;
            Ok((socket, to))
        };
        (0..participants).map(&mut open).collect::<Result<_, _>>().map(Self)
    }

    /// Microseconds of process `pid` for each participant and tick, while the first `talkers` talk (0: all).
    fn measure(&self, talk: &Talk, talkers: usize, pid: u32, seconds: u32) -> Result<String, Box<dyn Error>> {
        let all = self.0.len();
        let talkers = if talkers == 0 { all } else { talkers };
        let (start, ticks) = (Instant::now(), seconds * 50);
        let (mut before, mut received, mut buf) = (0.0, 0, [0; 1500]);
        for tick in 0..WARM_UP + ticks {
            if tick == WARM_UP {
                before = processor_time(pid)?;
                received = 0;
            }
            for (who, (socket, to)) in (0..).zip(&self.0) {
                let talks = (who as usize) < talkers;
                let len = talk.write(who, tick, talks, &mut buf);
                // A full buffer on a busy machine: as lost on the way.
                let _ = socket.send_to(&buf[..len], to);
                loop {
                    match socket.recv_from(&mut buf) {
                        Ok(_) => received += 1,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        // An answer to what was sent to a closed port.
                        Err(_) => {}
                    }
                }
            }
            let next = start + Duration::from_millis(20) * (tick + 1);
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let spent = processor_time(pid)? - before;
        let turns = all as f64 * f64::from(ticks);
        let (cost, core) = (spent * 1e6 / turns, spent / f64::from(seconds) * 100.0);
        let got = f64::from(received) / turns * 100.0;
        let warning = if got < ENOUGH {
            format!(", of {got:.0} % of the packets!")
        } else {
            String::new()
        };
        Ok(format!("{cost:.1} ({core:.1} %{warning})"))
    }
}
