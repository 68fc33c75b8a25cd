//! What the caller tells the router: endpoints, tracks, subscriptions. Plain data, no behaviour.

use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use crate::packet::{ExtensionMap, Mid, Pt, Rid, Ssrc};
use crate::payload::{Codec, MediaKind};
use crate::time::NtpTime;
use crate::transport::{Certificate, PlainConfig, WebRtcConfig};

/// Encodings of one simulcast track that are kept apart.
pub const MAX_ENCODINGS: usize = 4;

/// One peer of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u64);

/// One track that an endpoint sends to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

/// One stream that we send to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// Microphones of which only the loudest are heard; named by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub u64);

/// Who is heard of those on a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageConfig {
    /// How many at once.
    pub loudest: usize,
    /// How long one is heard after the last loud packet, as long as nobody else needs the place.
    pub hold: Duration,
}

impl StageConfig {
    /// So many, each for 1.5 s after its last word.
    #[must_use]
    pub const fn new(loudest: usize) -> Self {
        Self {
            loudest,
            hold: Duration::from_millis(1500),
        }
    }
}

/// What a router is made with.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// The wall clock at the `now` of the constructor.
    pub wall: NtpTime,
    /// The DTLS identity of all endpoints.
    pub certificate: Certificate,
    /// Number of this router among those that share a port, 0 to 63: the first letter of its ICE user names.
    pub index: u8,
    /// Where peers can reach us: the host candidates of every WebRTC endpoint.
    pub local: Vec<LocalAddress>,
    /// Most endpoints at a time; `add_endpoint` refuses more.
    pub max_endpoints: usize,
}

/// A local socket and the address that peers should use for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    /// UDP or TCP.
    pub protocol: crate::transport::Protocol,
    /// The socket's own address: the `local` of its routes.
    pub socket: SocketAddr,
    /// What is written into candidates: the same, or a public address in front of it.
    pub advertised: SocketAddr,
}

/// How an endpoint is reached.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EndpointConfig {
    /// ICE, DTLS, SRTP.
    WebRtc(WebRtcConfig),
    /// RTP on a socket of its own, with or without keys from SDP.
    Plain(PlainConfig),
    /// In the same process: what is sent to it is [`Output::Deliver`](crate::event::Output::Deliver), what it sends goes
    /// into [`Router::handle_packet`](crate::Router::handle_packet).
    Local,
}

/// A codec under its payload type on one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecParams {
    /// What it is.
    pub codec: Codec,
    /// Its payload type here.
    pub pt: Pt,
    /// The payload type of its retransmissions (RFC 4588), if negotiated.
    pub rtx: Option<Pt>,
    /// The payload type under which it comes with redundancy (RFC 2198), if negotiated: Opus only.
    pub red: Option<Pt>,
    /// The payload type of FEC over it (FlexFEC-03), if negotiated: pictures only.
    pub fec: Option<Pt>,
}

impl CodecParams {
    /// A codec under its payload type, without retransmissions, redundancy and FEC.
    #[must_use]
    pub const fn new(codec: Codec, pt: Pt) -> Self {
        Self {
            codec,
            pt,
            rtx: None,
            red: None,
            fec: None,
        }
    }
}

/// The SSRC of a stream, and those of what repairs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamIds {
    /// The media.
    pub ssrc: Ssrc,
    /// Its retransmissions, if negotiated.
    pub rtx: Option<Ssrc>,
    /// FEC over it, if negotiated.
    pub fec: Option<Ssrc>,
}

impl StreamIds {
    /// A stream that nothing repairs.
    #[must_use]
    pub const fn new(ssrc: Ssrc) -> Self {
        Self {
            ssrc,
            rtx: None,
            fec: None,
        }
    }

    /// The same with retransmissions under `rtx`, if there are any.
    #[must_use]
    pub const fn with_rtx(self, rtx: Option<Ssrc>) -> Self {
        Self { rtx, ..self }
    }

    /// All its SSRCs, the media first.
    pub fn all(self) -> impl Iterator<Item = Ssrc> {
        [Some(self.ssrc), self.rtx, self.fec].into_iter().flatten()
    }
}

/// A track that an endpoint will send: one media section.
#[derive(Debug, Clone)]
pub struct TrackConfig {
    /// Its media section; `None` on a plain transport.
    pub mid: Option<Mid>,
    /// Audio or video.
    pub kind: MediaKind,
    /// What it may be coded with.
    pub codecs: Vec<CodecParams>,
    /// The ids of the header extensions that it uses.
    pub extensions: ExtensionMap,
    /// The encodings of simulcast, the lowest first; empty without simulcast. At most [`MAX_ENCODINGS`].
    pub rids: SmallVec<[Rid; MAX_ENCODINGS]>,
    /// SSRCs that were signalled, in the order of the encodings; empty when MID and RID tell.
    pub streams: SmallVec<[StreamIds; MAX_ENCODINGS]>,
    /// Ask for lost packets (RFC 4585 generic NACK).
    pub nack: bool,
    /// Send transport-wide congestion control feedback.
    pub transport_cc: bool,
    /// Its payloads are encrypted from end to end: they are never put together in other packets (RFC 2198).
    pub encrypted: bool,
}

/// The best layers that a subscription may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerTarget {
    /// Spatial layer or simulcast encoding, 0 the lowest; more than there are means the highest.
    pub spatial: u8,
    /// Temporal layer, 0 the lowest; more than there are means all.
    pub temporal: u8,
}

impl LayerTarget {
    /// The best that the publisher sends.
    pub const BEST: Self = Self {
        spatial: u8::MAX,
        temporal: u8::MAX,
    };
    /// The smallest picture that the publisher sends, with all its motion.
    pub const SMALLEST: Self = Self {
        spatial: 0,
        temporal: u8::MAX,
    };

    /// What both allow.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            spatial: self.spatial.min(other.spatial),
            temporal: self.temporal.min(other.temporal),
        }
    }
}

/// A stream that we will send to an endpoint: one media section of it.
#[derive(Debug, Clone)]
pub struct SubscriptionConfig {
    /// Its media section; `None` on a plain transport.
    pub mid: Option<Mid>,
    /// Audio or video.
    pub kind: MediaKind,
    /// The SSRCs that we use for it, chosen by the caller, unique for the endpoint.
    pub stream: StreamIds,
    /// The RTCP CNAME: the same for all that must stay in lip sync, at most 255 bytes.
    pub cname: String,
    /// What the endpoint can decode. A track in another codec is not forwarded.
    pub codecs: Vec<CodecParams>,
    /// The ids of the header extensions that it understands.
    pub extensions: ExtensionMap,
    /// The best layers wanted.
    pub layers: LayerTarget,
    /// It may ask for lost packets.
    pub nack: bool,
}
