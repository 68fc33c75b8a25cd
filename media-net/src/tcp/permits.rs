//! How many connections there may be: in all, and of strangers from one address.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections of one address that no router has accepted yet: one stranger cannot take all places.
const MAX_STRANGERS: usize = 64;

/// Counters that addresses are spread over by a keyed hash. An honest address shares one with a given attacker with
/// odds of one in a thousand, and then only has to wait.
const COUNTERS: usize = 1024;

/// The places of all workers together.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    taken: AtomicUsize,
    most: usize,
    strangers: Box<[AtomicUsize]>,
    hash: RandomState,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    shared: Arc<Shared>,
    /// Its counter among the strangers, until a router has accepted it.
    stranger: Option<usize>,
}

impl Permits {
    pub(crate) fn new(most: usize) -> Self {
        let strangers = (0..COUNTERS).map(|_| AtomicUsize::new(0)).collect();
        Self(Arc::new(Shared {
            taken: AtomicUsize::new(0),
            most,
            strangers,
            hash: RandomState::new(),
        }))
    }

    /// A place for a stranger from `ip`, unless there is none.
    pub(crate) fn take(&self, ip: IpAddr) -> Option<Permit> {
        let counter = self.0.counter(ip);
        // The permit gives back what was taken, also on the way out of here.
        let permit = Permit {
            shared: self.0.clone(),
            stranger: Some(counter),
        };
        let taken = self.0.taken.fetch_add(1, Ordering::Relaxed);
        let strangers = self.0.strangers.get(counter)?.fetch_add(1, Ordering::Relaxed);
        (taken < self.0.most && strangers < MAX_STRANGERS).then_some(permit)
    }
}

impl Shared {
    /// A host gets a whole IPv6 /64 (RFC 4291 §2.5.1), so that counts as one address.
    fn counter(&self, ip: IpAddr) -> usize {
        let hash = match ip {
            IpAddr::V4(ip) => self.hash.hash_one(ip),
            IpAddr::V6(ip) => self.hash.hash_one(ip.to_bits() >> 64),
        };
        usize::from(u16::from_le_bytes([hash.to_le_bytes()[0], hash.to_le_bytes()[1]])) % COUNTERS
    }
}

impl Permit {
    /// A router has accepted the peer: it no longer counts against its address.
    pub(crate) fn accepted(&mut self) {
        if let Some(counter) = self.stranger.take().and_then(|place| self.shared.strangers.get(place)) {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.accepted();
        self.shared.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn permits_come_back() {
        let permits = Permits::new(2);
        let one = permits.take(ip(1));
        let two = permits.take(ip(2));
        assert!(one.is_some() && two.is_some());
        assert!(permits.take(ip(3)).is_none() && permits.take(ip(1)).is_none());
        drop(one);
        assert!(permits.take(ip(3)).is_some());
    }

    #[test]
    fn one_stranger_cannot_take_all() {
        let permits = Permits::new(1000);
        let mut taken: Vec<_> = (0..MAX_STRANGERS).map(|_| permits.take(ip(1)).unwrap()).collect();
        assert!(permits.take(ip(1)).is_none());
        // Two addresses share a counter with odds of one in a thousand, twenty with odds that nobody will see.
        assert!((2..22).any(|n| permits.take(ip(n)).is_some()));
        taken[0].accepted();
        taken[0].accepted();
        let next = permits.take(ip(1));
        assert!(next.is_some() && permits.take(ip(1)).is_none());
        drop(taken);
        drop(next);
        assert_eq!(permits.0.taken.load(Ordering::Relaxed), 0);
        assert!(
            permits
                .0
                .strangers
                .iter()
                .all(|count| count.load(Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn a_whole_prefix_is_one_address() {
        let permits = Permits::new(1000);
        let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, n, 0, 0, n]);
        let taken: Vec<_> = (0..200).filter_map(|n| permits.take(at(n))).collect();
        assert_eq!(taken.len(), MAX_STRANGERS);
    }
}
