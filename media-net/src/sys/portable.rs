//! Every other system (and Linux with the feature `portable`): polling and quinn-udp.
//!
//! quinn-udp receives in batches where the system can, and sends one message (one datagram or train) per call.
#![allow(unsafe_code, reason = "one block: adding a source to the poller")]

use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, Events, PollMode};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::{Message, RECV_SLOT_BYTES, RECV_SLOTS, Ready, Received, SEND_MESSAGES};

/// What can be polled.
#[cfg(unix)]
pub(crate) trait Source: std::os::fd::AsRawFd + std::os::fd::AsFd {}
#[cfg(unix)]
impl<T: std::os::fd::AsRawFd + std::os::fd::AsFd> Source for T {}

/// What can be polled.
#[cfg(windows)]
pub(crate) trait Source: std::os::windows::io::AsRawSocket + std::os::windows::io::AsSocket {}
#[cfg(windows)]
impl<T: std::os::windows::io::AsRawSocket + std::os::windows::io::AsSocket> Source for T {}

/// Blocks until `socket` has room to send or `timeout` is over.
pub(crate) fn wait_writable(socket: &UdpSocket, timeout: Duration) -> io::Result<bool> {
    let mut poller = Poller::new()?;
    poller.add(socket, 0)?;
    poller.want_write(socket, 0, true)?;
    let mut ready = Vec::new();
    poller.wait(Some(timeout), &mut ready)?;
    poller.remove(socket)?;
    Ok(ready.iter().any(|ready| ready.writable))
}

/// Sleeps until something is ready. Level-triggered: what was not read is reported again.
#[derive(Debug)]
pub(crate) struct Poller {
    poller: Arc<polling::Poller>,
    events: Events,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Arc::new(polling::Poller::new()?),
            events: Events::new(),
        })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker {
            poller: self.poller.clone(),
        }
    }

    /// Starts to report `source` under `key` when it can be read.
    pub(crate) fn add(&self, source: &impl Source, key: usize) -> io::Result<()> {
        // SAFETY: the caller removes every source before it is closed, and a source that is not removed only ends
        // together with the worker that owns both it and this poller.
        unsafe { self.poller.add_with_mode(source, Event::readable(key), PollMode::Level) }
    }

    /// Changes whether room to write is reported too.
    pub(crate) fn want_write(&self, source: &impl Source, key: usize, write: bool) -> io::Result<()> {
        let interest = if write { Event::all(key) } else { Event::readable(key) };
        self.poller.modify_with_mode(source, interest, PollMode::Level)
    }

    /// Stops to report `source`; call it before the source is closed or moved to another poller.
    pub(crate) fn remove(&self, source: &impl Source) -> io::Result<()> {
        self.poller.delete(source)
    }

    /// Waits until something is ready or `timeout` is over (`None`: forever), and appends what is.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.events.clear();
        self.poller.wait(&mut self.events, timeout)?;
        ready.extend(self.events.iter().map(|event| Ready {
            key: event.key,
            readable: event.readable,
            writable: event.writable,
        }));
        Ok(())
    }
}

/// Ends the sleep of a [`Poller`], from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker {
    poller: Arc<polling::Poller>,
}

impl Waker {
    pub(crate) fn wake(&self) {
        // It fails only when the poller is gone, and then nobody sleeps.
        let _ = self.poller.notify();
    }
}

/// What is known about one UDP socket.
#[derive(Debug)]
pub(crate) struct SocketState {
    state: UdpSocketState,
    gso: bool,
    wildcard: bool,
}

impl SocketState {
    /// Asks the system what it can do. Joined receive cannot be switched off here.
    pub(crate) fn new(socket: &UdpSocket, gso: bool, _gro: bool, wildcard: bool) -> io::Result<Self> {
        Ok(Self {
            state: UdpSocketState::new(socket.into())?,
            gso,
            wildcard,
        })
    }

    /// Most datagrams in one train; 1 when trains are not possible.
    pub(crate) fn max_segments(&self) -> usize {
        if self.gso { self.state.max_gso_segments() } else { 1 }
    }
}

/// The buffers of one receive call.
pub(crate) struct RecvBatch {
    bytes: Box<[u8]>,
    metas: [RecvMeta; RECV_SLOTS],
    filled: usize,
    wildcard: bool,
}

impl RecvBatch {
    pub(crate) fn new() -> Self {
        let bytes = vec![0; RECV_SLOTS * RECV_SLOT_BYTES].into();
        Self {
            bytes,
            metas: [RecvMeta::default(); RECV_SLOTS],
            filled: 0,
            wildcard: false,
        }
    }

    /// Receives what is there, without waiting; gives how many slots were filled. No allocation.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, state: &SocketState) -> io::Result<usize> {
        self.filled = 0;
        self.wildcard = state.wildcard;
        let mut slots = self.bytes.chunks_exact_mut(RECV_SLOT_BYTES);
        let mut parts: [_; RECV_SLOTS] = std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        self.filled = state.state.recv(socket.into(), &mut parts, &mut self.metas)?;
        Ok(self.filled)
    }

    /// What the last call received, in order.
    pub(crate) fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.bytes.chunks_exact_mut(RECV_SLOT_BYTES).take(self.filled);
        let wildcard = self.wildcard;
        slots.zip(self.metas.iter()).filter_map(move |(slot, meta)| {
            let bytes = slot.get_mut(..meta.len)?;
            let local = meta.dst_ip.filter(|_| wildcard);
            Some(Received {
                bytes,
                segment: meta.stride.max(1),
                remote: meta.addr,
                local,
                lost: None,
            })
        })
    }
}

/// Nothing is kept between two sends.
pub(crate) struct SendBatch;

impl SendBatch {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Sends `messages` of `arena` one by one without waiting; gives how many the system took before the first
    /// refusal. An error belongs to the first.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "the other door needs it")]
    pub(crate) fn send(
        &mut self,
        socket: &UdpSocket,
        state: &SocketState,
        arena: &[u8],
        messages: &[Message],
    ) -> io::Result<usize> {
        for (sent, message) in messages.iter().take(SEND_MESSAGES).enumerate() {
            let transmit = Transmit {
                destination: message.remote,
                ecn: None,
                contents: &arena[message.start..message.start + message.len],
                segment_size: message.segment.map(usize::from),
                src_ip: message.source,
            };
            match state.state.try_send(socket.into(), &transmit) {
                Ok(()) => {}
                Err(_) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
        }
        Ok(messages.len().min(SEND_MESSAGES))
    }
}
