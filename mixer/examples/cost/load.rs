//! Participants on sockets of their own: each sends a packet every 20 ms and takes what comes.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::processor_time;
use crate::talk::Talk;

/// Ticks before it is measured: 2 s.
const WARM_UP: u32 = 100;

pub(crate) struct Load {
    talk: Talk,
    participants: Vec<(UdpSocket, SocketAddr)>,
}

impl Load {
    /// Each participant, by its number and its port, sends to where `join` says.
    pub(crate) fn new(
        participants: usize,
        mut join: impl FnMut(usize, u16) -> Result<SocketAddr, Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut open = |number| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            let to = join(number, socket.local_addr()?.port())?;
            Ok((socket, to))
        };
        Ok(Self {
            talk: Talk::new()?,
            participants: (0..participants)
                .map(&mut open)
                .collect::<Result<_, Box<dyn Error>>>()?,
        })
    }

    /// Prints what process `pid` needs while the first `talkers` talk (0: all).
    pub(crate) fn measure(&self, name: &str, talkers: usize, pid: u32, seconds: u32) -> Result<(), Box<dyn Error>> {
        let all = self.participants.len();
        let talkers = if talkers == 0 { all } else { talkers };
        let (start, ticks) = (Instant::now(), seconds * 50);
        let (mut before, mut received, mut buf) = (0.0, 0, [0; 1500]);
        for tick in 0..WARM_UP + ticks {
            if tick == WARM_UP {
                before = processor_time(pid)?;
                received = 0;
            }
            for (who, (socket, to)) in (0..).zip(&self.participants) {
                let talks = (who as usize) < talkers;
                let len = self.talk.write(who, tick, talks, &mut buf);
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
        println!("| {name} | {all} | {talkers} | {cost:.1} | {core:.1} % | {got:.0} % |");
        Ok(())
    }
}
