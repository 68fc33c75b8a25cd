//! The SCTP association, packets in and packets out: the only file that knows the library.
//!
//! RFC 9260 (SCTP), RFC 3758 (partial reliability), RFC 6525 (reset of streams), RFC 8261 (SCTP over DTLS), by
//! `sctp-proto`. What streams mean is in [`super`].
//!
//! The library trusts its peer more than we do: [`super::guard`] looks at each packet first.
//!
//! The library keeps one table of associations for a socket; a DTLS session has one association, so each has a table of
//! its own, which goes with it. Two things that the library does with an INIT at a bad moment are kept from it: an
//! established association would be torn down by a late repetition, and a second one would stay in the table.
//!
//! The library asks the clock once, for the first repetition of an INIT of ours.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};
use smallvec::SmallVec;

use super::channel::Reliability;
use super::guard::{Guard, HEADER};
use super::{MAX_MESSAGE, MAX_STREAMS, RECEIVE_WINDOW};

/// Bytes of user data in one packet, so that a datagram with SCTP and DTLS around it has at most 1200: the library
/// packs up to 19 bytes more than it says, DTLS adds up to 37.
const PAYLOAD: u32 = 1116;
/// First, least and longest time to a repetition, in ms. RFC 9260 §16 says 1000, 1000 and 60000 for any path; a WebRTC
/// path has its round trip well below 250 ms, and what a peer misses while it changes networks shall come soon after.
const RTO: (u64, u64, u64) = (500, 250, 5000);
/// Repetitions of INIT: more than a minute, then the peer has no SCTP.
const INIT_RETRIES: usize = 16;
/// Chunk type of INIT.
const INIT: u8 = 1;
/// Longest packet that is sent, in bytes: the library forgets padding, so that sixty messages of one byte make 1358. Only a
/// SACK of hundreds of gaps is longer.
const MAX_PACKET: usize = 1400;
/// Resets of streams that the peer may leave half done.
const MAX_RESETS: usize = MAX_STREAMS as usize;
/// The library wants an address; DTLS has one peer.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5000);

static SETTINGS: LazyLock<(Arc<EndpointConfig>, Arc<ServerConfig>, ClientConfig)> = LazyLock::new(|| {
    let transport = TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_WINDOW)
        .with_max_receive_message_size(MAX_MESSAGE)
        .with_max_send_message_size(MAX_MESSAGE)
        .with_max_num_inbound_streams(MAX_STREAMS)
        .with_max_num_outbound_streams(MAX_STREAMS)
        .with_max_init_retransmits(Some(INIT_RETRIES))
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(RTO.0)
        .with_rto_min_ms(RTO.1)
        .with_rto_max_ms(RTO.2);
    let transport = Arc::new(transport);
    let mut endpoint = EndpointConfig::new();
    endpoint.max_payload_size(PAYLOAD);
    let (mut server, mut client) = (ServerConfig::new(), ClientConfig::new());
    server.transport = Arc::clone(&transport);
    client.transport = transport;
    (Arc::new(endpoint), Arc::new(server), client)
});

/// What a message is said to be: the PPIDs of RFC 8831 §8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ppid {
    Dcep,
    Text,
    Binary,
    TextEmpty,
    BinaryEmpty,
    Unknown,
}

/// Streams, usually few.
pub(super) type Streams = SmallVec<[u16; 4]>;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Streams can be used.
    Up,
    /// Nothing more will come.
    Down,
    /// A message can be read.
    Readable(u16),
    /// The peer has reset its side of a stream, and all it sent before is read; ours is being reset.
    Finished(u16),
    /// Both sides are reset, or never will be.
    Freed(u16),
}

/// One association.
pub(super) struct Association {
    endpoint: Endpoint,
    handle: AssociationHandle,
    inner: sctp_proto::Association,
    /// The initiate tag of the peer, when it has begun.
    tag: Option<u32>,
    guard: Guard,
    outgoing: VecDeque<Bytes>,
    /// Sides of streams that the peer has reset while ours is not.
    resets: usize,
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Association");
        debug.field("handshaking", &self.inner.is_handshaking());
        debug.field("closed", &self.inner.is_closed()).finish_non_exhaustive()
    }
}

/// The initiate tag of a packet that begins with INIT.
pub(super) fn initiate_tag(packet: &[u8]) -> Option<u32> {
    let (header, chunks) = packet.split_first_chunk::<HEADER>()?;
    match (header, chunks) {
        ([_, _, _, _, 0, 0, 0, 0, ..], &[INIT, _, _, _, a, b, c, d, ..]) => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

impl Association {
    /// Begins an association.
    pub(super) fn connect() -> Option<Self> {
        let (endpoint, server, client) = &*SETTINGS;
        let mut endpoint = Endpoint::new(Arc::clone(endpoint), Some(Arc::clone(server)));
        let (handle, inner) = endpoint.connect(client.clone(), PEER).ok()?;
        Some(Self {
            endpoint,
            handle,
            inner,
            tag: None,
            guard: Guard::new(),
            outgoing: VecDeque::new(),
            resets: 0,
        })
    }

    /// The association that a packet with INIT begins, if it is sound.
    pub(super) fn accept(now: Instant, init: Bytes) -> Option<Self> {
        let (endpoint, server, _) = &*SETTINGS;
        let tag = initiate_tag(&init)?;
        let mut guard = Guard::new();
        guard.check(&init)?;
        guard.on_taken(&init);
        let mut endpoint = Endpoint::new(Arc::clone(endpoint), Some(Arc::clone(server)));
        match endpoint.handle(now, PEER, None, None, init)? {
            (handle, DatagramEvent::NewAssociation(inner)) => Some(Self {
                endpoint,
                handle,
                inner,
                tag: Some(tag),
                guard,
                outgoing: VecDeque::new(),
                resets: 0,
            }),
            (_, DatagramEvent::AssociationEvent(_)) => None,
        }
    }

    /// Takes a packet; `None` when it is not one of this association, or not a good one. Otherwise the streams that
    /// the peer resets with it, if it does: see [`Self::give_up`].
    pub(super) fn handle(&mut self, now: Instant, packet: &Bytes) -> Option<Option<Streams>> {
        if let Some(tag) = initiate_tag(packet)
            && !(self.inner.is_handshaking() && self.tag == Some(tag))
        {
            return None;
        }
        let passed = self.guard.check(packet)?;
        let before = self.inner.stats().get_num_datas();
        match self.endpoint.handle(now, PEER, None, None, packet.clone()) {
            Some((handle, DatagramEvent::AssociationEvent(event))) if handle == self.handle => {
                self.inner.handle_event(event);
            }
            _ => return None,
        }
        // A packet that it cannot read is dropped without a word: what is in it must not count.
        let taken = self.inner.stats().get_num_datas() - before == passed.data as u64;
        if taken && !self.guard.on_taken(packet) {
            self.abort();
        }
        taken.then_some(passed.resets)
    }

    /// The peer has reset these streams, all if none is named, and all that it had sent on them is read. Pieces of a
    /// message that are left would be waited for without end, and what happens meanwhile be queued.
    pub(super) fn give_up(&mut self, streams: &[u16]) {
        let all = if streams.is_empty() {
            self.inner.stream_ids()
        } else {
            Vec::new()
        };
        for stream in streams.iter().chain(&all) {
            if let Ok(mut stream) = self.inner.stream(*stream)
                && !stream.is_writable()
            {
                // Fails only before the association stands and after its end.
                let _ = stream.stop();
            }
        }
    }

    fn abort(&mut self) {
        // Cannot fail.
        let _ = self.inner.close();
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.inner.handle_timeout(now);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    /// What has changed; poll until `None`.
    pub(super) fn poll(&mut self) -> Option<Change> {
        loop {
            return Some(match self.inner.poll()? {
                Event::Connected => Change::Up,
                Event::HandshakeFailed { .. } | Event::AssociationLost { .. } => Change::Down,
                Event::Stream(StreamEvent::Readable { id }) => Change::Readable(id),
                Event::Stream(StreamEvent::Finished { id }) => {
                    self.resets += 1;
                    if self.resets > MAX_RESETS {
                        self.abort();
                    }
                    Change::Finished(id)
                }
                Event::Stream(StreamEvent::ResetComplete { id } | StreamEvent::ResetFailed { id, .. }) => {
                    self.resets = self.resets.saturating_sub(1);
                    Change::Freed(id)
                }
                Event::Stream(StreamEvent::Opened { .. }) => {
                    // Keeps its list of new streams short.
                    let _ = self.inner.accept_stream();
                    continue;
                }
                _ => continue,
            });
        }
    }

    /// The next packet to send.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        loop {
            if self.outgoing.is_empty()
                && let Payload::RawEncode(packets) = self.inner.poll_transmit(now)?.payload
            {
                self.outgoing.extend(packets);
            }
            let packet = self.outgoing.pop_front()?;
            if packet.len() <= MAX_PACKET {
                self.guard.on_sent(&packet);
                return Some(packet);
            }
        }
    }

    /// The peer has begun it and it does not stand yet, or we have and it does not stand yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.inner.is_handshaking()
    }

    /// We have begun it.
    pub(super) fn is_ours(&self) -> bool {
        self.tag.is_none()
    }

    /// Nothing will come any more.
    pub(super) fn is_closed(&self) -> bool {
        self.inner.is_closed() && !self.inner.is_handshaking()
    }

    /// Makes a stream ready for messages of ours; false when it is being reset.
    pub(super) fn open(&mut self, stream: u16, fresh: bool) -> bool {
        match self.inner.open_stream(stream, PayloadProtocolIdentifier::Binary) {
            Ok(_) => true,
            Err(sctp_proto::Error::ErrStreamAlreadyExist) if !fresh => {
                self.inner.stream(stream).is_ok_and(|stream| stream.is_writable())
            }
            Err(_) => false,
        }
    }

    /// How messages of ours are sent from now on.
    pub(super) fn set_reliability(&mut self, stream: u16, ordered: bool, reliability: Reliability) {
        let (kind, value) = match reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::MaxRetransmits(times) => (ReliabilityType::Rexmit, times),
            Reliability::MaxLifetime(ms) => (ReliabilityType::Timed, ms),
        };
        if let Ok(mut stream) = self.inner.stream(stream) {
            // Fails only for streams that are not there.
            let _ = stream.set_reliability_params(!ordered, kind, value);
        }
    }

    /// Takes a message to send; false when the stream does not.
    pub(super) fn write(&mut self, stream: u16, ppid: Ppid, data: &[u8]) -> bool {
        let ppid = match ppid {
            Ppid::Dcep => PayloadProtocolIdentifier::Dcep,
            Ppid::Text => PayloadProtocolIdentifier::String,
            Ppid::Binary => PayloadProtocolIdentifier::Binary,
            Ppid::TextEmpty => PayloadProtocolIdentifier::StringEmpty,
            Ppid::BinaryEmpty => PayloadProtocolIdentifier::BinaryEmpty,
            Ppid::Unknown => PayloadProtocolIdentifier::Unknown,
        };
        self.inner
            .stream(stream)
            .is_ok_and(|mut stream| stream.write_with_ppi(data, ppid).is_ok())
    }

    /// The next whole message of a stream; copies it once.
    pub(super) fn read(&mut self, stream: u16) -> Option<(Ppid, Bytes)> {
        let message = self.inner.stream(stream).ok()?.read_sctp().ok()??;
        let mut data = vec![0; message.len()];
        message.read(&mut data).ok()?;
        self.guard.on_read(data.len());
        let ppid = match message.ppi {
            PayloadProtocolIdentifier::Dcep => Ppid::Dcep,
            PayloadProtocolIdentifier::String => Ppid::Text,
            PayloadProtocolIdentifier::Binary => Ppid::Binary,
            PayloadProtocolIdentifier::StringEmpty => Ppid::TextEmpty,
            PayloadProtocolIdentifier::BinaryEmpty => Ppid::BinaryEmpty,
            PayloadProtocolIdentifier::Unknown => Ppid::Unknown,
        };
        Some((ppid, data.into()))
    }

    /// Bytes of ours on a stream that the peer has not got.
    pub(super) fn waiting(&mut self, stream: u16) -> usize {
        self.inner
            .stream(stream)
            .and_then(|stream| stream.buffered_amount())
            .unwrap_or(0)
    }

    /// Resets our side of a stream, after what was sent on it; what still comes on it is not read.
    pub(super) fn reset(&mut self, stream: u16) {
        if let Ok(mut stream) = self.inner.stream(stream) {
            // Fails only before the association stands and after its end.
            let _ = stream.close();
        }
    }
}
