//! All workers together: binds the sockets, starts the threads, ends them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use althing_media_core::config::LocalAddress;
use althing_media_core::transport::Protocol;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::config::{MAX_WORKERS, NetConfig};
use crate::driver::{Driver, Start};
use crate::engine::{Engine, Seat};
use crate::handover::Office;
use crate::sockets::Sockets;
use crate::stats::{NetStats, SharedStats};
use crate::sys::Poller;
use crate::tcp::Permits;
use crate::worker::{Command, MAX_COMMANDS, Offload, Worker};

/// How long a dropped [`Net`] waits for its workers; [`Net::shutdown`] takes the time that it is given.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// The running workers. Ends them when dropped.
pub struct Net<E: Engine> {
    workers: Vec<Worker<E>>,
    threads: Vec<Thread>,
    local: Vec<LocalAddress>,
    next: AtomicUsize,
}

/// A worker's thread, and the channel that breaks when it ends.
struct Thread {
    handle: JoinHandle<()>,
    ended: Receiver<()>,
}

impl<E: Engine> Net<E> {
    /// Binds all sockets and starts the workers. `make` is called once on each worker's thread.
    ///
    /// # Errors
    /// [`StartError`], which says in one sentence what is wrong; nothing is left running then.
    pub fn start(config: NetConfig, make: impl Fn(Seat) -> E + Send + Sync + 'static) -> Result<Self, StartError> {
        let count = worker_count(config.workers)?;
        let sockets = Sockets::bind(&config, count)?;
        let pollers: Vec<Poller> = (0..count)
            .map(|_| Poller::new())
            .collect::<io::Result<_>>()
            .map_err(StartError::Thread)?;
        let office = Arc::new(Office::new(pollers.iter().map(Poller::waker).collect()));
        let channels: Vec<(Sender<Command<E>>, _)> = (0..count).map(|_| bounded(MAX_COMMANDS)).collect();
        let peers: Vec<_> = channels.iter().map(|(sender, _)| sender.clone()).collect();
        let offload = Offload {
            gso: config.gso,
            gro: config.gro,
        };
        let permits = Permits::new(config.max_connections);
        let make = Arc::new(make);
        let mut net = Self {
            workers: Vec::new(),
            threads: Vec::new(),
            local: sockets.local,
            next: AtomicUsize::new(0),
        };
        let mut listeners = Some(sockets.tcp);
        let parts = pollers.into_iter().zip(channels).zip(sockets.udp).enumerate();
        for (index, ((poller, (sender, commands)), udp)) in parts {
            let stats = Arc::new(SharedStats::default());
            let start = Start {
                index,
                poller,
                office: office.clone(),
                commands,
                peers: peers.clone(),
                sockets: udp,
                listeners: listeners.take().unwrap_or_default(),
                permits: permits.clone(),
                stats: stats.clone(),
                gather: config.gather,
                events: config.events.clone(),
            };
            net.workers.push(Worker {
                index,
                commands: sender,
                office: office.clone(),
                stats,
                offload,
            });
            net.threads.push(spawn(start, make.clone(), net.local.clone())?);
        }
        Ok(net)
    }

    /// Where peers can reach the workers: every bound socket, ports resolved.
    #[must_use]
    pub fn local(&self) -> &[LocalAddress] {
        &self.local
    }

    /// The workers, by index.
    #[must_use]
    pub fn workers(&self) -> &[Worker<E>] {
        &self.workers
    }

    /// The worker for the next room: the least busy one of the last second; among those that are about equally busy,
    /// one after the other.
    #[must_use]
    pub fn least_loaded(&self) -> &Worker<E> {
        let count = self.workers.len();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..count).map(|offset| &self.workers[(turn + offset) % count]);
        let ended = |index: usize| self.threads.get(index).is_none_or(|thread| thread.handle.is_finished());
        // Steps of a tenth: smaller differences are noise.
        in_turn
            .min_by_key(|worker| (ended(worker.index), worker.stats().busy_permille / 100))
            .unwrap_or(&self.workers[0])
    }

    /// The counters of all workers, added up.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        let mut sum = NetStats::default();
        for worker in &self.workers {
            sum.add(&worker.stats());
        }
        sum
    }

    /// Removes every peer, so that BYE and close_notify go out, and ends the threads.
    ///
    /// # Errors
    /// [`ShutdownError`] when a worker did not end in time; its thread then goes on until the process ends.
    pub fn shutdown(mut self, timeout: Duration) -> Result<(), ShutdownError> {
        self.end(timeout)
    }

    fn end(&mut self, timeout: Duration) -> Result<(), ShutdownError> {
        let latest = Instant::now() + timeout;
        let mut busy = Vec::new();
        for worker in &self.workers {
            // Disconnected means that it has ended already.
            if let Err(TrySendError::Full(close)) = worker.commands.try_send(Command::Close(latest)) {
                busy.push((worker, close));
            }
            worker.office.ring(worker.index);
        }
        for (worker, close) in busy {
            let _ = worker.commands.send_deadline(close, latest);
        }
        // A worker notices its own deadline within a turn; the grace is for that turn.
        let grace = latest + Duration::from_millis(100);
        let (mut late, mut panicked) = (0, 0);
        for thread in self.threads.drain(..) {
            match thread.ended.recv_deadline(grace) {
                Err(RecvTimeoutError::Disconnected) => {
                    panicked += usize::from(thread.handle.join().is_err());
                }
                _ => late += 1,
            }
        }
        if late + panicked == 0 {
            Ok(())
        } else {
            Err(ShutdownError { late, panicked })
        }
    }
}

impl<E: Engine> Drop for Net<E> {
    fn drop(&mut self) {
        let _ = self.end(DROP_TIMEOUT);
    }
}

impl<E: Engine> fmt::Debug for Net<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("workers", &self.workers)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

fn worker_count(wanted: usize) -> Result<usize, StartError> {
    match wanted {
        0 => Ok(thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS)),
        count if count > MAX_WORKERS => Err(StartError::TooManyWorkers { wanted }),
        count => Ok(count),
    }
}

fn spawn<E: Engine>(
    start: Start<E>,
    make: Arc<impl Fn(Seat) -> E + Send + Sync + 'static>,
    local: Vec<LocalAddress>,
) -> Result<Thread, StartError> {
    let (alive, ended) = bounded(0);
    let name = format!("althing-net-{}", start.index);
    let body = move || {
        let (index, now) = (start.index, Instant::now());
        let _end = End { index, _alive: alive };
        let engine = make(Seat {
            index: u8::try_from(index).unwrap_or(u8::MAX),
            now,
            local,
        });
        match Driver::new(start, engine, now) {
            Ok(driver) => driver.run(),
            Err(error) => tracing::error!(worker = index, %error, "cannot poll the sockets"),
        }
    };
    let handle = thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(StartError::Thread)?;
    Ok(Thread { handle, ended })
}

/// Dropped when a worker's thread ends, however it ends.
struct End {
    index: usize,
    _alive: Sender<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!(worker = self.index, "a media worker has panicked, its rooms are gone");
        }
    }
}

/// Why the workers could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be bound.
    Bind {
        /// UDP or TCP.
        protocol: Protocol,
        /// The address as it was configured.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// More workers than [`MAX_WORKERS`].
    TooManyWorkers {
        /// How many.
        wanted: usize,
    },
    /// The system gives no thread, or no descriptor for its poller.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, addr, source) = match self {
            Self::Bind { protocol, addr, source } => (protocol, addr, source),
            Self::TooManyWorkers { wanted } => {
                return write!(
                    f,
                    "{wanted} workers are more than the {MAX_WORKERS} that can share a port"
                );
            }
            Self::Thread(source) => return write!(f, "a worker thread cannot be started: {source}"),
        };
        let protocol = if *protocol == Protocol::Tcp { "TCP" } else { "UDP" };
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(f, "{protocol} {addr} is in use by another program"),
            io::ErrorKind::AddrNotAvailable => write!(f, "{protocol} {addr} is not an address of this machine"),
            io::ErrorKind::PermissionDenied => write!(f, "{protocol} {addr} needs more rights than this program has"),
            _ => write!(f, "{protocol} {addr} cannot be opened: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::Thread(source) => Some(source),
            Self::TooManyWorkers { .. } => None,
        }
    }
}

/// Workers that did not end as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownError {
    /// Workers that were still busy when the time was over.
    pub late: usize,
    /// Workers that had ended by a panic.
    pub panicked: usize,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} media workers did not end in time, {} had panicked",
            self.late, self.panicked
        )
    }
}

impl std::error::Error for ShutdownError {}
