//! Which worker a remote address belongs to: one table of atomic words for all workers.
//!
//! A word holds 56 bits of a keyed hash of the address, and the worker. Each address has two buckets of eight words
//! (one cache line each) where it may stand, so a look-up reads 16 words and a full table refuses instead of growing.
//! Two addresses with the same 56 bits would at worst send a datagram to a worker that does not know it: the hash is
//! keyed with a secret, so nobody can look for such a pair.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use althing_media_core::transport::Protocol;

/// Words in a bucket: one cache line.
const BUCKET_WORDS: usize = 8;

/// Buckets: 65 536 addresses, 512 KiB. With two choices it fills to more than nine tenths before it refuses.
const BUCKETS: usize = 8192;

/// The table.
#[derive(Debug)]
pub(crate) struct Owners {
    buckets: Box<[Bucket]>,
    hash: RandomState,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([AtomicU64; BUCKET_WORDS]);

impl Owners {
    /// An empty table, or none at all when there is only one worker.
    pub(crate) fn new(in_use: bool) -> Self {
        let count = if in_use { BUCKETS } else { 0 };
        Self {
            buckets: (0..count).map(|_| Bucket::default()).collect(),
            hash: RandomState::new(),
        }
    }

    /// `remote` belongs to `owner` from now on, whoever had it before; false when there is no room.
    pub(crate) fn announce(&self, protocol: Protocol, remote: SocketAddr, owner: u8) -> bool {
        let key = self.key(protocol, remote);
        let word = key | u64::from(owner);
        for slot in self.slots(key) {
            let old = slot.load(Ordering::Relaxed);
            // Only the slot's own value is communicated, so no ordering with other memory is needed.
            let same = old != 0 && old & !0xff == key;
            if same
                && slot
                    .compare_exchange(old, word, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            {
                return true;
            }
        }
        self.slots(key).any(|slot| {
            slot.compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// `remote` no longer belongs to `owner`. Somebody else's announcement stays.
    pub(crate) fn withdraw(&self, protocol: Protocol, remote: SocketAddr, owner: u8) {
        let key = self.key(protocol, remote);
        let word = key | u64::from(owner);
        for slot in self.slots(key) {
            let _ = slot.compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Who owns `remote`.
    pub(crate) fn find(&self, protocol: Protocol, remote: SocketAddr) -> Option<usize> {
        let key = self.key(protocol, remote);
        let words = self.slots(key).map(|slot| slot.load(Ordering::Relaxed));
        words
            .filter(|word| *word != 0 && word & !0xff == key)
            .map(|word| usize::from(word.to_le_bytes()[0]))
            .next()
    }

    /// 56 bits of hash above eight zero bits; never all zero, which marks a free slot.
    fn key(&self, protocol: Protocol, remote: SocketAddr) -> u64 {
        (self.hash.hash_one((protocol, remote)) | 1 << 63) & !0xff
    }

    fn slots(&self, key: u64) -> impl Iterator<Item = &AtomicU64> {
        let place = |shift: u32| usize::from(u16::try_from(key >> shift & 0xffff).unwrap_or(0)) % BUCKETS;
        let buckets = [self.buckets.get(place(8)), self.buckets.get(place(32))];
        buckets.into_iter().flatten().flat_map(|bucket| bucket.0.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u32) -> SocketAddr {
        (n.to_be_bytes(), 7).into()
    }

    #[test]
    fn announce_find_withdraw() {
        let owners = Owners::new(true);
        assert_eq!(owners.find(Protocol::Udp, addr(1)), None);
        assert!(owners.announce(Protocol::Udp, addr(1), 0));
        assert!(owners.announce(Protocol::Udp, addr(2), 3));
        assert_eq!(owners.find(Protocol::Udp, addr(1)), Some(0));
        assert_eq!(owners.find(Protocol::Tcp, addr(1)), None);
        // The peer came back in a room of another worker before the first one let go.
        assert!(owners.announce(Protocol::Udp, addr(1), 5));
        owners.withdraw(Protocol::Udp, addr(1), 0);
        assert_eq!(owners.find(Protocol::Udp, addr(1)), Some(5));
        owners.withdraw(Protocol::Udp, addr(1), 5);
        assert_eq!(owners.find(Protocol::Udp, addr(1)), None);
        assert_eq!(owners.find(Protocol::Udp, addr(2)), Some(3));
    }

    #[test]
    fn a_full_table_refuses_and_keeps_what_it_has() {
        let owners = Owners::new(true);
        let mut kept = Vec::new();
        for n in 0..100_000 {
            if owners.announce(Protocol::Udp, addr(n), 1) {
                kept.push(n);
            }
        }
        assert!(kept.len() <= BUCKETS * BUCKET_WORDS);
        assert!(kept.len() > BUCKETS * BUCKET_WORDS * 9 / 10, "{}", kept.len());
        assert!(kept.iter().all(|n| owners.find(Protocol::Udp, addr(*n)) == Some(1)));
        for n in kept {
            owners.withdraw(Protocol::Udp, addr(n), 1);
        }
        assert!(owners.announce(Protocol::Udp, addr(99_999), 2));
    }

    #[test]
    fn alone_there_is_no_table() {
        let owners = Owners::new(false);
        assert!(!owners.announce(Protocol::Udp, addr(1), 0));
        assert_eq!(owners.find(Protocol::Udp, addr(1)), None);
    }
}
