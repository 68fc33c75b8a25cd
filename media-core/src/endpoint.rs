//! One peer: its transport, what it sends and gets, and which of its SSRCs is what.
//!
//! Holds state that belongs to a peer as a whole; the logic of streams is in [`crate::receive`], [`crate::forward`] and
//! [`crate::send`].

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::config::{EndpointId, SubscriptionId, TrackId};
use crate::estimate::Line;
use crate::packet::Ssrc;
use crate::receive::arrival::Arrivals;
use crate::rtcp::Bitrate;
use crate::send::Queue;
use crate::send::demand::Demand;
use crate::stats::Drops;
use crate::time::NtpTime;
use crate::transport::{Protocol, Transport};

/// Time between two rounds of reports. RFC 3550 §6.2 would let a session of two report more often; once a second is
/// what every browser expects.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Time from the connection to the first round: soon, because lip sync waits for it.
pub const FIRST_REPORT: Duration = Duration::from_millis(200);
/// SSRCs that one endpoint may send from: 16 cameras with three encodings, and retransmissions.
pub const MAX_SSRCS: usize = 128;
/// Addresses that one endpoint may use at a time; the oldest is forgotten first.
pub const MAX_ROUTES: usize = 16;
/// Tracks that one endpoint may send.
pub const MAX_TRACKS: usize = 64;
/// Streams that one endpoint may get.
pub const MAX_SUBSCRIPTIONS: usize = 1024;

/// How a line was divided the last time.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Shared {
    /// When it is divided anew; `None`: as soon as may be, for something has changed.
    pub(crate) due: Option<Instant>,
    /// When it was divided, or tried to be, last.
    pub(crate) last: Option<Instant>,
    /// What all that may be sent takes together.
    pub(crate) granted: Bitrate,
    /// Since when the line has been thought to carry less than that.
    pub(crate) short: Option<Instant>,
    /// All may be sent as well as is wished for.
    pub(crate) ample: bool,
}

/// What an SSRC of a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRef {
    /// The track.
    pub track: TrackId,
    /// The encoding, as an index.
    pub encoding: usize,
    /// What repairs it: retransmissions, or FEC.
    pub repair: bool,
}

/// One peer.
#[derive(Debug)]
pub struct Endpoint {
    /// Its name.
    pub id: EndpointId,
    /// How it is reached.
    pub transport: Transport,
    /// What it sends.
    pub tracks: SmallVec<[TrackId; 4]>,
    /// What it gets.
    pub subscriptions: Vec<SubscriptionId>,
    /// What its SSRCs are, as far as they have shown.
    pub streams: FxHashMap<Ssrc, StreamRef>,
    /// Which of its subscriptions has which SSRC.
    pub outgoing: FxHashMap<Ssrc, SubscriptionId>,
    /// The ICE user fragments that lead to it: the current one and, after a restart, the one before.
    pub(crate) ufrags: SmallVec<[String; 2]>,
    /// The addresses bound to it, the oldest first.
    pub(crate) routes: SmallVec<[(Protocol, std::net::SocketAddr); 2]>,
    /// Arrival of what it sends.
    pub arrivals: Arrivals,
    /// The network that it is in, as far as its address tells.
    pub(crate) network: Option<(Protocol, std::net::IpAddr)>,
    /// What its line carries, once it takes a stream with transport-wide numbers.
    pub line: Option<Box<Line>>,
    /// How much repair its losses call for.
    pub demand: Demand,
    /// What waits to be sent to it.
    pub queue: Queue,
    /// What it sent in vain.
    pub drops: Drops,
    /// Bytes received and sent, before decryption and after.
    pub bytes: (u64, u64),
    /// How its line is divided among what it gets.
    pub(crate) shared: Shared,
    /// When its next burst begins, if something waits for it.
    pub(crate) burst_at: Option<Instant>,
    /// The next transport-wide sequence number towards it.
    pub(crate) transport_seq: u16,
    /// What is added to its wall clock to get ours, modulo 2⁶⁴.
    pub(crate) wall_offset: Option<u64>,
    /// When the next round of reports begins.
    pub(crate) report_due: Option<Instant>,
    /// How far this round of sender reports has come, as an index into `subscriptions`.
    pub(crate) report_at: Option<usize>,
    /// The deadline that stands in the router's heap.
    pub(crate) scheduled: Option<Instant>,
    /// In the router's list of endpoints with something to send.
    pub(crate) dirty: bool,
    /// Something other than media has happened: the transport is polled, feedback written, the deadline looked at.
    pub(crate) stirred: bool,
    /// What comes on its data channels is left where it is.
    pub(crate) data_held: bool,
    /// Removed by the caller, still to say good-bye.
    pub(crate) leaving: Option<Leaving>,
}

/// How far a farewell has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// BYE has to be written.
    Bye,
    /// The transport is closing.
    Closing,
}

impl Endpoint {
    /// A peer that nothing is known of yet.
    #[must_use]
    pub(crate) fn new(now: Instant, id: EndpointId, transport: Transport) -> Self {
        Self {
            id,
            transport,
            tracks: SmallVec::new(),
            subscriptions: Vec::new(),
            streams: FxHashMap::default(),
            outgoing: FxHashMap::default(),
            ufrags: SmallVec::new(),
            routes: SmallVec::new(),
            arrivals: Arrivals::new(now),
            network: None,
            line: None,
            demand: Demand::default(),
            queue: Queue::default(),
            drops: Drops::default(),
            bytes: (0, 0),
            shared: Shared::default(),
            burst_at: None,
            transport_seq: 0,
            wall_offset: None,
            report_due: None,
            report_at: None,
            scheduled: None,
            dirty: false,
            stirred: true,
            data_held: false,
            leaving: None,
        }
    }

    /// The SSRC under which we report to it.
    #[must_use]
    pub fn rtcp_ssrc(&self) -> Ssrc {
        Ssrc(1)
    }

    /// A stream has begun to go to it, or its clock has become known: who is in this process, and may write down when
    /// things were, gets reports soon.
    pub fn hasten_reports(&mut self, now: Instant) {
        if let (Transport::Local(_), Some(due)) = (&self.transport, &mut self.report_due) {
            *due = (*due).min(now + FIRST_REPORT);
            self.stirred = true;
        }
    }

    /// What is added to the peer's wall clock to get ours, modulo 2⁶⁴: fixed by its first sender report, so that all
    /// its tracks keep their relation.
    pub fn wall_offset(&mut self, theirs: NtpTime, ours: NtpTime) -> u64 {
        *self.wall_offset.get_or_insert_with(|| ours.0.wrapping_sub(theirs.0))
    }
}
