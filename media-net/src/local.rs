//! Peers in the same process: what the router has for them goes into bounded queues, for threads that are not the worker's.
//!
//! A mixer or a recorder takes its time; the worker never waits for it. What does not fit its queue is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use althing_media_core::config::EndpointId;
use althing_media_core::router::Router;
use bytes::{Bytes, BytesMut};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use rustc_hash::FxHashMap;

use crate::reply::Gone;
use crate::worker::{Command, CommandError, Worker};

/// Packets are copied into pieces of memory of this size, in bytes, so that one allocation serves some fifty of them.
const CHUNK: usize = 64 * 1024;

/// An RTP or RTCP packet for a peer in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPacket {
    /// When the worker had it.
    pub at: Instant,
    /// The packet; keeping it keeps up to 64 KiB around it.
    pub bytes: Bytes,
}

/// A peer in this process, as its own thread sees it.
///
/// The endpoint itself belongs to who made it, and ends when the router removes it.
#[derive(Debug)]
pub struct LocalPeer {
    worker: Worker<Router>,
    endpoint: EndpointId,
    packets: Receiver<LocalPacket>,
    lost: Arc<AtomicU64>,
}

impl Worker<Router> {
    /// The other end of an endpoint that was made as [`EndpointConfig::Local`](althing_media_core::EndpointConfig::Local):
    /// from now on its packets wait there, at most `capacity` of them. An earlier one of the same endpoint gets no more.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn attach(&self, endpoint: EndpointId, capacity: usize) -> Result<LocalPeer, CommandError> {
        let (sender, packets) = bounded(capacity.max(1));
        let lost = Arc::new(AtomicU64::new(0));
        let inbox = Inbox {
            sender,
            lost: lost.clone(),
        };
        self.command(Command::Attach(endpoint, inbox))?;
        Ok(LocalPeer {
            worker: self.clone(),
            endpoint,
            packets,
            lost,
        })
    }
}

impl LocalPeer {
    /// The endpoint, in the router.
    #[must_use]
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// The next packet, waited for until `deadline`; `None` when none has come.
    ///
    /// # Errors
    /// [`Gone`] when the worker has ended and nothing waits any more.
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Option<LocalPacket>, Gone> {
        match self.packets.recv_deadline(deadline) {
            Ok(packet) => Ok(Some(packet)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }

    /// The next packet, if one waits.
    ///
    /// # Errors
    /// [`Gone`] when the worker has ended and nothing waits any more.
    pub fn try_recv(&self) -> Result<Option<LocalPacket>, Gone> {
        match self.packets.try_recv() {
            Ok(packet) => Ok(Some(packet)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Gone),
        }
    }

    /// Gives the router RTP or RTCP packets of this peer, in order. Does not wait; one allocation and one wake-up, however
    /// many packets. A peer that the router has removed meanwhile says nothing any more.
    ///
    /// # Errors
    /// As [`Worker::run`].
    pub fn send(&self, packets: Vec<Vec<u8>>) -> Result<(), CommandError> {
        let endpoint = self.endpoint;
        self.worker.run(move |router, now| {
            for mut packet in packets {
                if router.handle_packet(now, endpoint, &mut packet).is_err() {
                    return;
                }
            }
        })
    }

    /// Packets that did not fit the queue so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The worker's end of a queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    sender: Sender<LocalPacket>,
    lost: Arc<AtomicU64>,
}

/// The queues of a worker's local peers.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    by_endpoint: FxHashMap<EndpointId, Inbox>,
    chunk: BytesMut,
}

impl Inboxes {
    pub(crate) fn attach(&mut self, endpoint: EndpointId, inbox: Inbox) {
        // Who has gone in the meantime would otherwise stay until it is sent something.
        self.by_endpoint.retain(|_, known| Arc::strong_count(&known.lost) > 1);
        self.by_endpoint.insert(endpoint, inbox);
    }

    /// One copy; an allocation for every 64 KiB.
    pub(crate) fn deliver(&mut self, at: Instant, endpoint: EndpointId, packet: &[u8]) {
        let Some(inbox) = self.by_endpoint.get(&endpoint) else {
            return;
        };
        if inbox.sender.is_full() {
            inbox.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.chunk.capacity() < packet.len() {
            self.chunk = BytesMut::with_capacity(CHUNK.max(packet.len()));
        }
        self.chunk.extend_from_slice(packet);
        let bytes = self.chunk.split().freeze();
        if let Err(TrySendError::Disconnected(_)) = inbox.sender.try_send(LocalPacket { at, bytes }) {
            self.by_endpoint.remove(&endpoint);
        }
    }
}
