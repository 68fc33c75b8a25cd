//! The handle of one worker: closures go to its thread, answers come back.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use althing_media_core::config::EndpointId;
use crossbeam::channel::{Sender, TrySendError};

use crate::handover::Office;
use crate::local::Inbox;
use crate::reply::{Answer, Gone, Reply, reply};
use crate::stats::{NetStats, SharedStats};
use crate::tcp::Connection;
use crate::udp::{self, UdpSocket};

/// Commands that may wait for one worker. A worker that runs takes them all many times a second.
pub(crate) const MAX_COMMANDS: usize = 1024;

/// A closure for a worker's thread.
type Job<E> = Box<dyn FnOnce(&mut E, Instant) + Send>;

/// What a worker's thread is asked to do.
pub(crate) enum Command<E> {
    /// Run this on the engine.
    Run(Job<E>),
    /// Receive and send on one more socket.
    OpenUdp(UdpSocket),
    /// Close the socket that is bound there.
    CloseUdp(SocketAddr, Answer<bool>),
    /// From now on deliver to this queue what the endpoint is sent.
    Attach(EndpointId, Inbox),
    /// The peer of this connection belongs to you.
    Adopt(Box<Connection>),
    /// Say goodbye to all peers and end; at that time at the latest.
    Close(Instant),
}

/// One worker thread and the engine on it. Cheap to clone; clones speak of the same worker.
pub struct Worker<E> {
    pub(crate) index: usize,
    pub(crate) commands: Sender<Command<E>>,
    pub(crate) office: Arc<Office>,
    pub(crate) stats: Arc<SharedStats>,
    pub(crate) offload: Offload,
}

/// Which help of the kernel is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offload {
    pub(crate) gso: bool,
    pub(crate) gro: bool,
}

impl<E: 'static> Worker<E> {
    /// Its number, 0 to 63.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Runs `f` on the worker's thread soon, before the next batch of datagrams. Does not wait. One allocation.
    ///
    /// # Errors
    /// [`CommandError::Busy`] when too many commands wait already, [`CommandError::Gone`] when the worker has ended.
    pub fn run(&self, f: impl FnOnce(&mut E, Instant) + Send + 'static) -> Result<(), CommandError> {
        self.command(Command::Run(Box::new(f)))
    }

    /// Runs `f` on the worker's thread and gives what it returns, as a future or by [`Reply::wait`].
    ///
    /// # Errors
    /// As [`Self::run`]. The reply itself is [`Gone`] when the worker ends before it comes to this command.
    pub fn ask<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut E, Instant) -> R + Send + 'static,
    ) -> Result<Reply<R>, CommandError> {
        let (answer, reply) = reply();
        self.run(move |engine, now| answer.send(f(engine, now)))?;
        Ok(reply)
    }

    /// Runs `f` on the worker's thread and blocks until it has returned. Not for async code ([`Self::ask`] is), and
    /// never from a worker's own thread.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&mut E, Instant) -> R + Send + 'static,
    ) -> Result<R, CommandError> {
        Ok(self.ask(f)?.wait()?)
    }

    /// Opens a UDP socket of its own for plain RTP: whatever arrives there comes to this worker, under the bound
    /// address as `local`. Gives the bound address (give port 0 to have one chosen).
    ///
    /// # Errors
    /// What binding says, or [`CommandError`] as an [`io::Error`].
    pub fn open_udp(&self, addr: SocketAddr) -> io::Result<SocketAddr> {
        let socket = udp::bind_shared(addr, 1)?.remove(0);
        let local = socket.local_addr()?;
        let socket = UdpSocket::new(socket, self.offload.gso, self.offload.gro, false)?;
        self.command(Command::OpenUdp(socket)).map_err(io::Error::other)?;
        Ok(local)
    }

    /// Closes a socket of [`Self::open_udp`] after what was said before is sent; the reply tells whether there was
    /// one.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn close_udp(&self, local: SocketAddr) -> Result<Reply<bool>, CommandError> {
        let (answer, reply) = reply();
        self.command(Command::CloseUdp(local, answer))?;
        Ok(reply)
    }

    /// What its sockets did, as of its last turn. Two dozen atomic reads.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        self.stats.read()
    }

    pub(crate) fn command(&self, command: Command<E>) -> Result<(), CommandError> {
        self.commands.try_send(command)?;
        self.office.ring(self.index);
        Ok(())
    }
}

impl<E> Clone for Worker<E> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            commands: self.commands.clone(),
            office: self.office.clone(),
            stats: self.stats.clone(),
            offload: self.offload,
        }
    }
}

impl<E> fmt::Debug for Worker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

/// Why a worker did not take a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// Too many commands wait already: it is overloaded. Try again later, or give up.
    Busy,
    /// It has ended.
    Gone,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the media worker has too many commands waiting",
            Self::Gone => "the media worker has ended",
        })
    }
}

impl std::error::Error for CommandError {}

impl From<Gone> for CommandError {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl<T> From<TrySendError<T>> for CommandError {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Busy,
            TrySendError::Disconnected(_) => Self::Gone,
        }
    }
}
