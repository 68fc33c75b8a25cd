//! The thread of one worker: sleep, receive a batch, let the engine work, send trains, sleep.
//!
//! Order of a turn: commands (so that a new subscription sees the next packet) · datagrams from other workers ·
//! sockets · the engine's deadline · everything the engine has to say, in one pass, so that what goes to one peer
//! lies together. One clock read per receive call, no allocation and no log line per datagram.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::event::{Output, RemoteChange};
use althing_media_core::transport::{Protocol, Route};
use crossbeam::channel::{Receiver, Sender};

use crate::config::EventSink;
use crate::engine::Engine;
use crate::handover::{Office, addressed_to};
use crate::stats::{NetStats, SharedStats};
use crate::sys::{Poller, RECV_SLOTS, Ready};
use crate::tcp::{Connection, Permits, TcpRoom};
use crate::udp::{UdpRoom, UdpSocket};
use crate::worker::{Command, MAX_COMMANDS};

/// Receive calls on one socket in a turn; more is left for the next turn, so that sending does not wait.
const RECEIVES_PER_TURN: usize = 4;

/// Reads of one connection in a turn.
const READS_PER_TURN: usize = 4;

/// Arenas sent in a turn before sockets are looked at again.
const FLUSHES_PER_TURN: usize = 8;

/// The engine's deadlines may be late by this: many timers near each other cost one wake-up.
const TIMER_GRAIN: Duration = Duration::from_micros(250);

/// How often TCP connections are looked over for expired ones.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Over which time the load is measured.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

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
    listeners: Vec<TcpListener>,
    stats: NetStats,
    shared: Arc<SharedStats>,
    events: EventSink,
    /// When the engine wants to be called.
    deadline: Option<Instant>,
    /// The engine has more to say than fitted into the last turn.
    more: bool,
    /// When connections are swept next; `None` while there are none.
    sweep: Option<Instant>,
    /// The shortest time from one turn to the next.
    gather: Duration,
    /// Workers to ring at the end of the turn, one bit each.
    ring: u64,
    /// Set by [`Command::Close`]: the latest end.
    closing: Option<Instant>,
    load: Load,
}

/// How busy the thread was.
struct Load {
    since: Instant,
    busy: Duration,
}

/// A source of the poller, packed into its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Udp(usize),
    Listener(usize),
    Connection(usize),
}

impl Key {
    fn pack(self) -> usize {
        match self {
            Self::Udp(place) => place << 2,
            Self::Listener(place) => place << 2 | 1,
            Self::Connection(place) => place << 2 | 2,
        }
    }

    fn unpack(key: usize) -> Self {
        match key & 3 {
            0 => Self::Udp(key >> 2),
            1 => Self::Listener(key >> 2),
            _ => Self::Connection(key >> 2),
        }
    }
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
            listeners: start.listeners,
            stats: NetStats::default(),
            shared: start.stats,
            events: start.events,
            deadline: Some(now),
            more: false,
            sweep: None,
            gather: start.gather,
            ring: 0,
            closing: None,
            load: Load {
                since: now,
                busy: Duration::ZERO,
            },
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
        let mut last = now;
        loop {
            let timeout = self.timeout(now);
            ready.clear();
            if let Err(error) = self.poller.wait(timeout, &mut ready) {
                // Not seen in practice; without a pause it would spin.
                tracing::error!(worker = self.index, %error, "cannot wait for sockets");
                std::thread::sleep(Duration::from_millis(10));
            }
            let mut woken = Instant::now();
            let rest = (last + self.gather).saturating_duration_since(woken);
            if !rest.is_zero() && !self.more {
                std::thread::sleep(rest);
                woken = Instant::now();
            }
            last = woken;
            self.turn(woken, &ready);
            now = Instant::now();
            self.load.note(woken, now, &mut self.stats);
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
        if self.office.answer(self.index) {
            self.take_commands(now);
            self.take_parcels(now);
        }
        for ready in ready {
            match Key::unpack(ready.key) {
                Key::Udp(place) => now = self.receive(place),
                Key::Listener(place) => {
                    if let Some(listener) = self.listeners.get(place) {
                        self.tcp.accept(now, listener, &self.poller, &mut self.stats);
                        self.sweep.get_or_insert(now + SWEEP_INTERVAL);
                    }
                }
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
            let (engine, stats) = (&self.engine, &mut self.stats);
            self.tcp.sweep(
                now,
                &self.poller,
                |protocol, remote| engine.owns(protocol, remote),
                stats,
            );
            self.sweep = (self.tcp.len() > 0).then(|| now + SWEEP_INTERVAL);
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

    fn take_parcels(&mut self, now: Instant) {
        let engine = &mut self.engine;
        let taken = self.office.take(self.index, |route, datagram| {
            engine.handle_datagram(now, route, datagram)
        });
        self.stats.taken_over += taken;
    }

    /// Receives what the socket at `place` has, within limits; gives the time of the last batch.
    fn receive(&mut self, place: usize) -> Instant {
        let mut now = Instant::now();
        for round in 0..RECEIVES_PER_TURN {
            // A would-block, or an error that an ICMP message left: the next turn tells more.
            let Ok(filled) = self.udp.receive(place) else { break };
            if round > 0 {
                now = Instant::now();
            }
            self.dispatch(now, place);
            if filled < RECV_SLOTS {
                break;
            }
        }
        now
    }

    /// Gives what was received to the engine, or to the worker that it belongs to.
    fn dispatch(&mut self, now: Instant, place: usize) {
        let Some(socket) = self.udp.sockets.get(place) else {
            return;
        };
        for received in self.udp.recv.received() {
            let local = socket.route_local(received.local);
            let route = Route {
                protocol: Protocol::Udp,
                local,
                remote: received.remote,
            };
            self.stats.messages_in += 1;
            self.stats.bytes_in += received.bytes.len() as u64;
            for datagram in received.bytes.chunks_mut(received.segment) {
                self.stats.datagrams_in += 1;
                let owner = if socket.shared {
                    self.office.stray(self.index, &self.engine, route, datagram)
                } else {
                    None
                };
                match owner {
                    None => self.engine.handle_datagram(now, route, datagram),
                    Some(owner) if self.office.hand_over(owner, route, datagram) => {
                        self.stats.handed_over += 1;
                        self.ring |= 1 << owner;
                    }
                    Some(_) => self.stats.dropped_handover += 1,
                }
            }
        }
    }

    /// Takes over a connection whose first frame was for this worker.
    fn adopt(&mut self, now: Instant, connection: Connection) {
        if self.closing.is_some() {
            return;
        }
        let Some(place) = self.tcp.insert(connection, &self.poller) else {
            return;
        };
        self.sweep.get_or_insert(now + SWEEP_INTERVAL);
        self.frames(now, place);
    }

    /// Reads what the connection at `place` has, within limits.
    fn read(&mut self, now: Instant, place: usize) {
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.tcp.get_mut(place) else {
                return;
            };
            match connection.read(now) {
                Ok(false) => return,
                Ok(true) => self.frames(now, place),
                Err(_) => {
                    self.tcp.remove(place, &self.poller);
                    return;
                }
            }
        }
    }

    /// Gives whole frames to the engine; before the first one, finds out whose they are.
    fn frames(&mut self, now: Instant, place: usize) {
        let Some(connection) = self.tcp.get_mut(place) else {
            return;
        };
        if !connection.proved()
            && let Some(first) = connection.frames.peek()
        {
            let known = self.engine.owns(Protocol::Tcp, connection.route.remote);
            match addressed_to(first).filter(|owner| *owner < self.peers.len()) {
                Some(owner) if owner == self.index || known => {}
                None if known => {}
                Some(owner) => return self.move_to(owner, place),
                None => {
                    self.stats.tcp_rejected += 1;
                    self.tcp.remove(place, &self.poller);
                    return;
                }
            }
        }
        let Some(connection) = self.tcp.get_mut(place) else {
            return;
        };
        loop {
            match connection.frames.next() {
                Ok(Some(frame)) => {
                    self.stats.tcp_frames_in += 1;
                    self.engine.handle_datagram(now, connection.route, frame);
                }
                Ok(None) => break,
                Err(_) => {
                    self.stats.tcp_rejected += 1;
                    self.tcp.remove(place, &self.poller);
                    return;
                }
            }
        }
        if !connection.proved() && self.engine.owns(Protocol::Tcp, connection.route.remote) {
            connection.set_proved(now, true);
        }
    }

    /// The connection at `place` belongs to worker `owner`.
    fn move_to(&mut self, owner: usize, place: usize) {
        let Some(connection) = self.tcp.remove(place, &self.poller) else {
            return;
        };
        let taken = self
            .peers
            .get(owner)
            .map(|peer| peer.try_send(Command::Adopt(Box::new(connection))));
        if !matches!(taken, Some(Ok(()))) {
            // Dropped with the command, which closes it; the peer tries again.
            self.stats.tcp_refused += 1;
            return;
        }
        self.ring |= 1 << owner;
    }

    /// Sends everything the engine has to say, within limits; received datagrams must not wait for all of it.
    fn transmit(&mut self, now: Instant) {
        self.more = true;
        for _ in 0..FLUSHES_PER_TURN {
            while let Some(space) = self.udp.arena.space() {
                match self.engine.poll_output(now, space) {
                    Output::Transmit(out) if out.route.protocol == Protocol::Udp => {
                        self.udp
                            .commit(out.route.local, out.route.remote, out.len, &mut self.stats);
                    }
                    Output::Transmit(out) => {
                        if let Some(frame) = space.get(..out.len) {
                            self.tcp.send(out.route, frame, &mut self.stats);
                        }
                    }
                    Output::Event(event) => (self.events)(self.index, event),
                    Output::Timeout(deadline) => {
                        self.flush(now);
                        self.deadline = deadline;
                        self.more = false;
                        return;
                    }
                    _ => {}
                }
            }
            self.flush(now);
        }
    }

    fn flush(&mut self, now: Instant) {
        // First: the answer to what we send may come to another worker.
        self.learn(now);
        if !self.udp.arena.is_empty() {
            self.udp.flush(&mut self.stats);
        }
        self.tcp.flush(&self.poller);
    }

    /// Tells the other workers which remote addresses are the engine's now.
    fn learn(&mut self, now: Instant) {
        let me = u8::try_from(self.index).unwrap_or(u8::MAX);
        while let Some(change) = self.engine.poll_remote() {
            match change {
                RemoteChange::Bound(protocol, remote) => {
                    let told = self.peers.len() == 1 || self.office.owners.announce(protocol, remote, me);
                    self.stats.announce_full += u64::from(!told);
                }
                RemoteChange::Released(protocol, remote) => {
                    self.office.owners.withdraw(protocol, remote, me);
                    if protocol == Protocol::Tcp {
                        self.tcp.released(now, remote);
                    }
                }
                _ => {}
            }
        }
    }

    /// Wakes those who were given something in this turn: one system call each at most.
    fn ring_others(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        while ring != 0 {
            self.office.ring(ring.trailing_zeros() as usize);
            ring &= ring - 1;
        }
    }
}

impl Load {
    /// The thread was busy from `woken` to `now`.
    fn note(&mut self, woken: Instant, now: Instant, stats: &mut NetStats) {
        self.busy += now.saturating_duration_since(woken);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= LOAD_INTERVAL {
            let permille = self.busy.as_nanos() * 1000 / elapsed.as_nanos();
            stats.busy_permille = u64::try_from(permille.min(1000)).unwrap_or(1000);
            *self = Self {
                since: now,
                busy: Duration::ZERO,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        for key in [Key::Udp(0), Key::Udp(7), Key::Listener(1), Key::Connection(1023)] {
            assert_eq!(Key::unpack(key.pack()), key);
        }
    }
}
