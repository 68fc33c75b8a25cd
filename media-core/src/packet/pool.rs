//! Where received packets live: slabs that are cut into packets and come back when the last packet is let go.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Size of one slab in bytes: about fifty full-size packets.
const SLAB: usize = 64 * 1024;
/// Slabs looked at, oldest first, before a new one is allocated. Packets are let go roughly in the order in which they
/// came, so the oldest is free first; a few looks step over one that a slow stream still holds.
const LOOKS: usize = 8;
/// Slabs taken while the oldest was not free, before the oldest is put behind the others.
const PATIENCE: u32 = 16;
/// Slabs kept for use again: 32 MiB. Above that, slabs are freed with their last packet.
const MAX_KEPT: usize = 512;

/// Lends buffers for received packets.
///
/// ```text
///  slab (64 KiB)  |packet A|packet B|packet C|  free …        |
///                     ▲        ▲        ▲     ▲
///                   Bytes    Bytes    Bytes   space(len): ours to write, exclusive
///                   (shared, immutable)       commit(len): cut off, freeze: the next packet
/// ```
///
/// * `space` and `commit` neither allocate nor lock, except that `space` allocates one slab when none has come back.
/// * A slab is used again when every `Bytes` cut from it has been dropped.
#[derive(Debug, Default)]
pub struct Pool {
    current: BytesMut,
    spent: VecDeque<BytesMut>,
    patience: u32,
}

impl Pool {
    /// An empty pool; the first `space` allocates the first slab.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Exactly `len` bytes to write the next packet into. Without a `commit` the same space is lent again.
    ///
    /// Zeroes the bytes (about 10 ns for a full-size packet), so that nothing of an earlier packet shows through.
    pub fn space(&mut self, len: usize) -> &mut [u8] {
        if self.current.capacity() < len {
            self.next_slab(len);
        }
        self.current.resize(len, 0);
        &mut self.current[..]
    }

    /// Cuts the first `len` bytes of the space off as a packet; bounded by what `space` lent. Does not allocate.
    pub fn commit(&mut self, len: usize) -> Bytes {
        let len = len.min(self.current.len());
        self.current.split_to(len).freeze()
    }

    fn next_slab(&mut self, len: usize) {
        let full = std::mem::take(&mut self.current);
        if full.capacity() > 0 || !full.is_empty() {
            self.retire(full);
        }
        let found = (0..LOOKS.min(self.spent.len())).find(|at| {
            self.spent.get_mut(*at).is_some_and(|slab| {
                slab.clear();
                slab.try_reclaim(SLAB.max(len))
            })
        });
        if let Some(slab) = found.and_then(|at| self.spent.remove(at)) {
            self.current = slab;
        } else {
            self.current = BytesMut::with_capacity(SLAB.max(len));
        }
        // The oldest is free next, unless a stream that has gone quiet holds it: then others get their look.
        self.patience = if found == Some(0) {
            PATIENCE
        } else {
            self.patience.saturating_sub(1)
        };
        if self.patience == 0 && !self.spent.is_empty() {
            self.spent.rotate_left(1);
            self.patience = PATIENCE;
        }
    }

    fn retire(&mut self, slab: BytesMut) {
        if self.spent.len() < MAX_KEPT {
            self.spent.push_back(slab);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_come_back() {
        let mut pool = Pool::new();
        let mut seen = std::collections::HashSet::new();
        let mut held = VecDeque::new();
        for i in 0..10_000_u32 {
            pool.space(1200)[..4].copy_from_slice(&i.to_be_bytes());
            let packet = pool.commit(1200);
            seen.insert(packet.as_ptr() as usize / SLAB);
            held.push_back((i, packet));
            if held.len() > 200 {
                let (i, packet) = held.pop_front().expect("just pushed");
                assert_eq!(packet[..4], i.to_be_bytes(), "a held packet never changes");
            }
        }
        assert!(
            seen.len() < 40,
            "10 000 packets of 1200 bytes touched {} slabs",
            seen.len()
        );
    }

    /// Packets of a slow stream hold a slab each for long; the fast stream still finds free slabs, and as many as it
    /// needs are enough.
    #[test]
    fn slow_holders_do_not_make_it_grow_for_ever() {
        let mut pool = Pool::new();
        let (mut fast, mut slow) = (VecDeque::new(), VecDeque::new());
        let mut seen = std::collections::HashSet::new();
        let mut before_last_lap = 0;
        for i in 0..200_000_u32 {
            if i == 100_000 {
                before_last_lap = seen.len();
            }
            pool.space(1000);
            let packet = pool.commit(1000);
            seen.insert(packet.as_ptr() as usize >> 16);
            let (queue, len) = if i % 97 == 0 {
                (&mut slow, 60)
            } else {
                (&mut fast, 1024)
            };
            queue.push_back(packet);
            if queue.len() > len {
                queue.pop_front();
            }
        }
        assert_eq!(seen.len(), before_last_lap, "no slab was allocated in the second half");
    }

    #[test]
    fn space_is_zeroed_and_lent_again() {
        let mut pool = Pool::new();
        pool.space(8).fill(7);
        assert_eq!(pool.space(4), [7; 4]);
        assert_eq!(pool.space(8), [7, 7, 7, 7, 0, 0, 0, 0]);
        assert_eq!(pool.commit(99).len(), 8);
    }
}
