//! One copied datagram on its way to another worker, in a box that holds a bounded number of them.
//!
//! Boxes own their parcels for ever: a sender takes an empty one, fills it, posts it; the receiver empties it and puts
//! it back. No allocation after the start.

use std::net::{Ipv4Addr, SocketAddr};

use althing_media_core::transport::{Protocol, Route};
use crossbeam::queue::ArrayQueue;

/// The longest datagram that is handed over; what browsers send stays below 1500.
pub(crate) const PARCEL_BYTES: usize = 2048;

/// Parcels of one worker that can be on their way: two key frames, 1 MiB of memory.
const BOX_PARCELS: usize = 512;

/// Of these, how many may come from addresses that nobody has announced: a flood of binding requests must leave room
/// for the media of others.
const STRANGERS_PARCELS: usize = BOX_PARCELS / 4;

/// A datagram and where it came from.
#[derive(Debug)]
struct Parcel {
    route: Route,
    len: usize,
    bytes: [u8; PARCEL_BYTES],
}

/// The parcels of one receiver: full ones on their way to it, empty ones for the next senders.
#[derive(Debug)]
pub(crate) struct Letterbox {
    full: ArrayQueue<Box<Parcel>>,
    empty: ArrayQueue<Box<Parcel>>,
}

impl Letterbox {
    /// With all its parcels, or without any (a worker alone gets no parcels).
    pub(crate) fn new(in_use: bool) -> Self {
        let (full, empty) = (ArrayQueue::new(BOX_PARCELS), ArrayQueue::new(BOX_PARCELS));
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let route = Route {
            protocol: Protocol::Udp,
            local: nobody,
            remote: nobody,
        };
        for _ in 0..if in_use { BOX_PARCELS } else { 0 } {
            // There are as many parcels as places, so no push fails, here or below.
            let _ = empty.push(Box::new(Parcel {
                route,
                len: 0,
                bytes: [0; PARCEL_BYTES],
            }));
        }
        Self { full, empty }
    }

    /// Copies `datagram` in; false when it is too long, no parcel is free, or only those that a stranger may not have.
    pub(crate) fn post(&self, route: Route, datagram: &[u8], stranger: bool) -> bool {
        if datagram.len() > PARCEL_BYTES || (stranger && self.full.len() >= STRANGERS_PARCELS) {
            return false;
        }
        let Some(mut parcel) = self.empty.pop() else {
            return false;
        };
        parcel.route = route;
        parcel.len = datagram.len();
        parcel.bytes[..datagram.len()].copy_from_slice(datagram);
        self.full.push(parcel).is_ok()
    }

    /// Hands out what has arrived, at most a boxful; gives how many.
    pub(crate) fn take(&self, mut each: impl FnMut(Route, &mut [u8])) -> u64 {
        let mut count = 0;
        for _ in 0..BOX_PARCELS {
            let Some(mut parcel) = self.full.pop() else { break };
            let len = parcel.len;
            each(parcel.route, &mut parcel.bytes[..len]);
            let _ = self.empty.push(parcel);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        let addr = SocketAddr::from(([127, 0, 0, 1], 5));
        Route {
            protocol: Protocol::Udp,
            local: addr,
            remote: addr,
        }
    }

    #[test]
    fn bounded_and_reused() {
        let letters = Letterbox::new(true);
        for round in 0..3_u8 {
            for _ in 0..BOX_PARCELS {
                assert!(letters.post(route(), &[round; 100], false));
            }
            assert!(!letters.post(route(), &[round], false));
            let count = letters.take(|from, bytes| assert_eq!((from, &*bytes), (route(), &[round; 100][..])));
            assert_eq!(count, BOX_PARCELS as u64);
        }
        assert!(!letters.post(route(), &[0; PARCEL_BYTES + 1], false));
        assert_eq!(letters.take(|_, _| {}), 0);
    }

    #[test]
    fn strangers_leave_room() {
        let letters = Letterbox::new(true);
        let strangers = (0..BOX_PARCELS).filter(|_| letters.post(route(), &[0], true)).count();
        assert_eq!(strangers, STRANGERS_PARCELS);
        let friends = (0..BOX_PARCELS).filter(|_| letters.post(route(), &[1], false)).count();
        assert_eq!(friends, BOX_PARCELS - STRANGERS_PARCELS);
    }
}
