//! Tables whose keys carry a serial number, so that an old name never means a new thing; and what can be read of them.

use std::time::{Duration, Instant};

use slab::Slab;

use crate::config::{EndpointId, LayerTarget, SubscriptionId, TrackId};
use crate::event::Event;
use crate::payload::MediaKind;
use crate::router::Router;
use crate::rtcp::Bitrate;
use crate::speakers::Activity;
use crate::stats::Drops;
use crate::transport::{DtlsVersion, Route, SrtpProfile};

/// Low bits of a name that are the slot; the rest is a serial number.
const SLOT_BITS: u32 = 24;

/// A slab with names that are never given twice.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slots: Slab<(u64, T)>,
    serial: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            serial: 0,
        }
    }
}

impl<T> Table<T> {
    /// Puts what `make` builds into a free slot.
    pub(crate) fn insert(&mut self, make: impl FnOnce(u64) -> T) -> u64 {
        self.serial += 1;
        let entry = self.slots.vacant_entry();
        let id = self.serial << SLOT_BITS | entry.key() as u64;
        entry.insert((id, make(id)));
        id
    }

    /// The slot of a name.
    #[inline]
    pub(crate) const fn key(id: u64) -> usize {
        (id & ((1 << SLOT_BITS) - 1)) as usize
    }

    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<&T> {
        self.slots
            .get(Self::key(id))
            .filter(|(known, _)| *known == id)
            .map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.slots
            .get_mut(Self::key(id))
            .filter(|(known, _)| *known == id)
            .map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn at(&self, key: usize) -> Option<&T> {
        self.slots.get(key).map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, key: usize) -> Option<&mut T> {
        self.slots.get_mut(key).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        self.get(id)?;
        Some(self.slots.remove(Self::key(id)).1)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, (_, value))| value)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().map(|(_, (_, value))| value)
    }
}

/// What a router holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterStats {
    /// Endpoints.
    pub endpoints: usize,
    /// Tracks that are received.
    pub tracks: usize,
    /// Streams that are sent.
    pub subscriptions: usize,
    /// Addresses that are bound to endpoints.
    pub routes: usize,
    /// All that was dropped.
    pub drops: Drops,
}

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Media can flow.
    pub connected: bool,
    /// The path in use.
    pub route: Option<Route>,
    /// SRTP protection.
    pub profile: Option<SrtpProfile>,
    /// Version of DTLS.
    pub dtls: Option<DtlsVersion>,
    /// Bytes received, as they came.
    pub bytes_received: u64,
    /// Bytes sent, as they went.
    pub bytes_sent: u64,
    /// What its line carries, all together and on the wire; `None` as long as it has not reported arrivals.
    pub estimate: Option<Bitrate>,
    /// What stands in the queue of its line's slowest link, as far as arrivals tell.
    pub queue_delay: Duration,
    /// What it sent in vain.
    pub drops: Drops,
}

/// One track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackStats {
    /// Packets received, all encodings.
    pub packets: u64,
    /// Payload bytes received, all encodings.
    pub bytes: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Encodings that are being received.
    pub live: usize,
    /// Who gets it.
    pub subscribers: usize,
}

/// One outgoing stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionStats {
    /// Packets sent, without retransmissions.
    pub packets: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// The encoding that is forwarded.
    pub encoding: Option<u8>,
    /// The best layers that the receiver's line has room for; `None` when it has room for none.
    pub granted: Option<LayerTarget>,
    /// Round trip to the receiver.
    pub rtt: Option<Duration>,
    /// Lost on the way to the receiver, in 1/256.
    pub fraction_lost: u8,
}

impl Router {
    /// What the router holds and dropped.
    #[must_use]
    pub fn stats(&self) -> RouterStats {
        RouterStats {
            endpoints: self.endpoints.len(),
            tracks: self.tracks.len(),
            subscriptions: self.subscriptions.len(),
            routes: self.routes.len(),
            drops: self.drops,
        }
    }

    /// Figures of an endpoint; `None` when there is no such endpoint.
    #[must_use]
    pub fn endpoint_stats(&self, id: EndpointId) -> Option<EndpointStats> {
        let endpoint = self.endpoints.get(id.0)?;
        Some(EndpointStats {
            connected: endpoint.transport.is_connected(),
            route: endpoint.transport.route(crate::packet::Kind::Rtp),
            profile: endpoint.transport.profile(),
            dtls: endpoint.transport.dtls_version(),
            bytes_received: endpoint.bytes.0,
            bytes_sent: endpoint.bytes.1,
            estimate: endpoint.line.as_ref().and_then(|line| line.estimate()),
            queue_delay: endpoint
                .line
                .as_ref()
                .map(|line| line.queue_delay())
                .unwrap_or_default(),
            drops: endpoint.drops,
        })
    }

    /// Figures of a track; `None` when there is no such track.
    #[must_use]
    pub fn track_stats(&self, id: TrackId) -> Option<TrackStats> {
        let track = self.tracks.get(id.0)?;
        let totals = track.streams.iter().map(|stream| stream.reception.totals());
        let (packets, bytes) = totals.fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1));
        Some(TrackStats {
            packets,
            bytes,
            lost: track.streams.iter().map(|stream| stream.reception.lost()).sum(),
            live: (0..8).filter(|encoding| track.live().contains(*encoding)).count(),
            subscribers: track.subscribers.len(),
        })
    }

    /// How much speech there was lately in the tracks with sound, those left out in which there was none for three seconds.
    /// Costs a look at every track: a few times a second.
    pub fn take_activity(&mut self, now: Instant) -> Vec<(TrackId, Activity)> {
        let tracks = self.tracks.iter_mut().filter(|track| track.kind == MediaKind::Audio);
        tracks
            .map(|track| (track.id, track.voice.take_activity(now)))
            .filter(|(_, activity)| activity.long > 0 || activity.immediate > 0)
            .collect()
    }

    /// Figures of a subscription; `None` when there is no such subscription.
    #[must_use]
    pub fn subscription_stats(&self, id: SubscriptionId) -> Option<SubscriptionStats> {
        let outgoing = self.subscriptions.get(id.0)?;
        let (packets, bytes) = outgoing.report.totals();
        Some(SubscriptionStats {
            packets,
            bytes,
            encoding: outgoing.forwarder.current(),
            granted: outgoing.forwarder.granted(),
            rtt: outgoing.report.rtt(),
            fraction_lost: outgoing.report.fraction_lost(),
        })
    }

    /// The next event, without polling for datagrams.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_never_means_a_new_thing() {
        let mut table = Table::default();
        let first = table.insert(|_| 'a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert(|_| 'b');
        assert_eq!(Table::<char>::key(first), Table::<char>::key(second));
        assert_eq!((table.get(first), table.get(second)), (None, Some(&'b')));
        assert_eq!(table.remove(first), None);
    }
}
