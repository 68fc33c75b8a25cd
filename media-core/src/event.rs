//! What comes out of the router: datagrams, events, the next deadline.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::config::{EndpointId, SubscriptionId, TrackId};
use crate::transport::{DataChannelConfig, DataChannelId, DataKind, Protocol, Route, SrtpProfile};

/// One answer of `poll_output`. Poll until `Timeout`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A datagram was written into the caller's buffer.
    Transmit(Transmit),
    /// A packet for a peer in this process was written into the caller's buffer.
    Deliver(Delivery),
    /// Something happened that the caller may want to know.
    Event(Event),
    /// Nothing more for now; call `handle_timeout` at that time, `None` when nothing is pending.
    Timeout(Option<Instant>),
}

/// A datagram in the caller's buffer, from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// From which local to which remote address.
    pub route: Route,
    /// Its length in bytes.
    pub len: usize,
}

/// An RTP or RTCP packet (RFC 5761 tells them apart) in the caller's buffer, from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// For whom.
    pub endpoint: EndpointId,
    /// Its length in bytes.
    pub len: usize,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// ICE has a path and the media keys are there: media can flow both ways.
    Connected {
        /// Who.
        endpoint: EndpointId,
        /// The negotiated protection, `None` for plain RTP.
        profile: Option<SrtpProfile>,
    },
    /// The path that carries the media was chosen or has changed (another network, ICE restart).
    RouteChanged {
        /// Who.
        endpoint: EndpointId,
        /// The new path.
        route: Route,
    },
    /// Nothing will flow any more: the endpoint is removed by the caller when it likes.
    Disconnected {
        /// Who.
        endpoint: EndpointId,
        /// Why.
        reason: DisconnectReason,
    },
    /// The first packet of a track has arrived.
    TrackStarted {
        /// Which.
        track: TrackId,
    },
    /// A subscription now carries another layer.
    LayerChanged {
        /// Which.
        subscription: SubscriptionId,
        /// Spatial layer, 0 the lowest.
        spatial: u8,
    },
    /// The line of a subscriber has no more room for a stream, or has room again. Told only for what the line does.
    StreamState {
        /// Whose.
        endpoint: EndpointId,
        /// Which.
        subscription: SubscriptionId,
        /// It is sent.
        flows: bool,
    },
    /// A data channel can be used: the peer has made it, or has learnt of one of ours.
    DataChannelOpened {
        /// Whose.
        endpoint: EndpointId,
        /// Which.
        channel: DataChannelId,
        /// Label, protocol, and how messages are sent.
        config: Box<DataChannelConfig>,
        /// The peer has made it.
        by_peer: bool,
    },
    /// A whole message has come. What is not polled for is not taken from the peer for long.
    DataReceived {
        /// From whom.
        endpoint: EndpointId,
        /// Where.
        channel: DataChannelId,
        /// Text (said to be UTF-8, not checked) or binary.
        kind: DataKind,
        /// The message; may be empty.
        data: Bytes,
    },
    /// After a message was refused because too much waited for the peer: there is room again.
    DataWritable {
        /// Whose.
        endpoint: EndpointId,
        /// Which.
        channel: DataChannelId,
    },
    /// A data channel is gone. [`Event::Disconnected`] ends all of an endpoint without this.
    DataChannelClosed {
        /// Whose.
        endpoint: EndpointId,
        /// Which.
        channel: DataChannelId,
    },
}

/// A remote address has become, or is no longer, one that the router answers for: what others who receive on the same
/// port must know, so that they hand over what comes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteChange {
    /// An endpoint has proved that it is there.
    Bound(Protocol, SocketAddr),
    /// Nobody is there any more.
    Released(Protocol, SocketAddr),
}

/// Why an endpoint is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// No ICE path was found in time.
    IceFailed,
    /// The peer stopped giving consent (RFC 7675).
    ConsentLost,
    /// The handshake failed, or the certificate is not the one that was signalled.
    DtlsFailed,
    /// The peer closed the connection.
    Closed,
}
