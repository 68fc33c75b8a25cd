//! The thread of one worker: sleep, receive a batch, let the engine work, send trains, sleep.
//!
//! Order of a turn: commands (so that a new subscription sees the next packet) · datagrams from other workers ·
//! sockets · the engine's deadline · everything the engine has to say, in one pass, so that what goes to one peer
//! lies together. One clock read per receive call, no allocation and no log line per datagram.
//!
//! | file | one idea |
//! |---|---|
//! | [`datagrams`] | from sockets and other workers to the engine, and out through the arena |
//! | [`streams`] | TCP connections: accept, move to their owner, close |
//! | [`key`] | what the poller's keys mean |
//! | [`load`] | how busy the thread is |

mod datagrams;
mod key;
mod load;
mod streams;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};

use self::key::Key;
use self::load::Load;
use crate::config::EventSink;
use crate::engine::Engine;
use crate::handover::Office;
use crate::local::Inboxes;
use crate::stats::{NetStats, SharedStats};
use crate::sys::{Poller, Ready};
use crate::tcp::{Permits, TcpRoom};
use crate::udp::{UdpRoom, UdpSocket};
use crate::worker::{Command, MAX_COMMANDS};

/// The engine's deadlines may be late by this: many timers near each other cost one wake-up.
const TIMER_GRAIN: Duration = Duration::from_micros(250);

/// A turn is followed by a rest in proportion to its work: with a few peers a worker answers at once, with
/// hundreds it sends long trains. A turn that works longer than the longest rest is followed by none.
const REST_PER_WORK: u32 = 10;

/// What a worker's thread starts with; everything in it can be moved there.
pub(crate) struct Start<E> {
    pub(crate) index: usize,
    pub(crate) poller: Poller,
    pub(crate) office: Arc<Office>,
    pub(crate) commands: Receiver<Command<E>>,
    /// To every worker, in order.
    pub(crate) peers: Vec<Sender<Command<E>>>,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) permits: Permits,
    pub(crate) stats: Arc<SharedStats>,
    pub(crate) gather: Duration,
    pub(crate) events: EventSink,
}

/// One worker at work.
pub(crate) struct Driver<E> {
    index: usize,
    engine: E,
    poller: Poller,
    office: Arc<Office>,
    commands: Receiver<Command<E>>,
    peers: Vec<Sender<Command<E>>>,
    udp: UdpRoom,
    tcp: TcpRoom,
    inboxes: Inboxes,
    listeners: Vec<TcpListener>,
    /// Listeners that the system could not serve just now, until the next sweep.
    resting: Vec<usize>,
    stats: NetStats,
    shared: Arc<SharedStats>,
    events: EventSink,
    /// When the engine wants to be called.
    deadline: Option<Instant>,
    /// The engine has more to say than fitted into the last turn.
    more: bool,
    /// When connections are swept next; `None` while there are none.
    sweep: Option<Instant>,
    /// A socket had more than one turn takes.
    backlog: bool,
    /// The longest rest from the start of one turn to the next.
    gather: Duration,
    /// No turn begins before.
    rest: Instant,
    /// Workers to ring at the end of the turn, one bit each.
    ring: u64,
    /// Set by [`Command::Close`]: the latest end.
    closing: Option<Instant>,
    load: Load,
}

impl<E: Engine> Driver<E> {
    /// Registers all sockets. Errors when the poller refuses one.
    pub(crate) fn new(start: Start<E>, engine: E, now: Instant) -> std::io::Result<Self> {
        let mut driver = Self {
            index: start.index,
            engine,
            poller: start.poller,
            office: start.office,
            commands: start.commands,
            peers: start.peers,
            udp: UdpRoom::new(),
            tcp: TcpRoom::new(start.permits, |place| Key::Connection(place).pack()),
            inboxes: Inboxes::default(),
            listeners: start.listeners,
            resting: Vec::new(),
            stats: NetStats::default(),
            shared: start.stats,
            events: start.events,
            deadline: Some(now),
            more: false,
            sweep: None,
            backlog: false,
            gather: start.gather,
            rest: now,
            ring: 0,
            closing: None,
            load: Load::new(now),
        };
        for socket in start.sockets {
            driver.open_udp(socket)?;
        }
        for (place, listener) in driver.listeners.iter().enumerate() {
            driver.poller.add(listener, Key::Listener(place).pack())?;
        }
        Ok(driver)
    }

    /// Works until it is closed.
    pub(crate) fn run(mut self) {
        let mut ready = Vec::new();
        let mut now = Instant::now();
        loop {
            let timeout = self.timeout(now);
            ready.clear();
            if let Err(error) = self.poller.wait(timeout, &mut ready) {
                // Not seen in practice; without a pause it would spin.
                tracing::error!(worker = self.index, %error, "cannot wait for sockets");
                std::thread::sleep(Duration::from_millis(10));
            }
            let mut woken = Instant::now();
            let rest = self.rest.saturating_duration_since(woken);
            if !rest.is_zero() && !self.more && !self.backlog {
                std::thread::sleep(rest);
                woken = Instant::now();
            }
            self.turn(woken, &ready);
            now = Instant::now();
            let work = now.saturating_duration_since(woken);
            self.rest = woken + self.gather.min(work * REST_PER_WORK);
            self.load.note(now, work, &mut self.stats);
            self.shared.publish(&self.stats);
            if self
                .closing
                .is_some_and(|latest| now >= latest || (!self.more && self.tcp.drained()))
            {
                return;
            }
        }
    }

    fn turn(&mut self, mut now: Instant, ready: &[Ready]) {
        self.stats.turns += 1;
        self.backlog = false;
        if self.office.answer(self.index) {
            self.take_commands(now);
            self.take_parcels(now);
        }
        for ready in ready {
            match Key::unpack(ready.key) {
                Key::Udp(place) => now = self.receive(place),
                Key::Listener(place) => self.accept(now, place),
                Key::Connection(place) => {
                    if ready.writable {
                        self.tcp.write(place, &self.poller);
                    }
                    if ready.readable {
                        self.read(now, place);
                    }
                }
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.engine.handle_timeout(now);
        }
        self.transmit(now);
        if self.sweep.is_some_and(|sweep| sweep <= now) {
            self.sweep(now);
        }
        self.stats.tcp_open = self.tcp.len() as u64;
        self.ring_others();
    }

    /// How long to sleep: until the next deadline, `None` when there is none.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.more {
            return Some(Duration::ZERO);
        }
        let next = [self.deadline, self.sweep, self.closing].into_iter().flatten().min()?;
        let sleep = next.saturating_duration_since(now);
        Some(if sleep.is_zero() { sleep } else { sleep.max(TIMER_GRAIN) })
    }

    fn take_commands(&mut self, now: Instant) {
        for _ in 0..MAX_COMMANDS {
            let Ok(command) = self.commands.try_recv() else { return };
            self.stats.commands += 1;
            match command {
                Command::Run(run) => run(&mut self.engine, now),
                Command::OpenUdp(socket) => {
                    if let Err(error) = self.open_udp(socket) {
                        tracing::warn!(worker = self.index, %error, "cannot poll a new UDP socket");
                    }
                }
                Command::CloseUdp(local, answer) => {
                    // What earlier commands made the engine say still leaves through it.
                    self.transmit(now);
                    answer.send(self.close_udp(local));
                }
                Command::Attach(endpoint, inbox) => self.inboxes.attach(endpoint, inbox),
                Command::Adopt(connection) => self.adopt(now, *connection),
                Command::Close(latest) => {
                    self.engine.close(now);
                    for listener in self.listeners.drain(..) {
                        let _ = self.poller.remove(&listener);
                    }
                    self.closing = Some(latest);
                }
            }
        }
        // There may be more: look again without sleeping.
        self.office.ring(self.index);
    }

    fn open_udp(&mut self, socket: UdpSocket) -> std::io::Result<()> {
        let local = socket.local;
        let place = self.udp.insert(socket);
        let added = self
            .udp
            .sockets
            .get(place)
            .map(|one| self.poller.add(&one.socket, Key::Udp(place).pack()));
        if let Some(Err(error)) = added {
            self.udp.remove(local);
            return Err(error);
        }
        Ok(())
    }

    fn close_udp(&mut self, local: SocketAddr) -> bool {
        let Some(socket) = self.udp.remove(local) else {
            return false;
        };
        let _ = self.poller.remove(&socket.socket);
        true
    }
}
