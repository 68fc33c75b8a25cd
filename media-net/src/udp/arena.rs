//! The send arena: the engine writes datagrams one behind the other, and neighbours become trains.
//!
//! A train is what UDP_SEGMENT (generic segmentation offload) sends in one pass through the network stack: datagrams
//! to one address, all of one size but for the last, which may be shorter. They need no copying to be joined, since
//! they already lie together.

use std::net::{IpAddr, SocketAddr};

/// Bytes that are collected before they are sent: small enough for the second-level cache that has to carry them to
/// the kernel, large enough for two hundred datagrams.
pub(crate) const ARENA_BYTES: usize = 256 * 1024;

/// Room that the engine finds for each datagram. Ethernet carries 1500.
pub(crate) const DATAGRAM_BYTES: usize = 2048;

/// Bytes of a train: a UDP length field has 16 bits and the IP header wants some.
const MAX_TRAIN_BYTES: usize = 65_000;

/// Trains that are collected before they are sent, however short they are.
const MAX_TRAINS: usize = 512;

/// Datagrams that wait to be sent.
#[derive(Debug)]
pub(crate) struct SendArena {
    bytes: Box<[u8]>,
    used: usize,
    trains: Vec<Train>,
}

/// Consecutive datagrams on one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Train {
    /// The socket's place in its room.
    pub(crate) socket: usize,
    /// From which of the addresses of a wildcard socket.
    pub(crate) source: Option<IpAddr>,
    /// Where to.
    pub(crate) remote: SocketAddr,
    /// First byte in the arena.
    pub(crate) start: usize,
    /// Bytes of all datagrams.
    pub(crate) len: usize,
    /// Size of each but the last.
    pub(crate) segment: usize,
    /// How many.
    pub(crate) count: usize,
}

impl Train {
    /// Whether a datagram of `len` bytes may follow: the last one is not a short one, and nothing gets too large.
    fn takes(&self, len: usize, max_segments: usize) -> bool {
        self.len == self.count * self.segment
            && len <= self.segment
            && self.count < max_segments
            && self.len + len <= MAX_TRAIN_BYTES
    }
}

impl SendArena {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; ARENA_BYTES].into(),
            used: 0,
            trains: Vec::with_capacity(MAX_TRAINS),
        }
    }

    /// Room for the next datagram, at least [`DATAGRAM_BYTES`]; `None` when it is time to send.
    pub(crate) fn space(&mut self) -> Option<&mut [u8]> {
        if self.trains.len() >= MAX_TRAINS {
            return None;
        }
        self.bytes.get_mut(self.used..self.used + DATAGRAM_BYTES)
    }

    /// The first `len` bytes of [`Self::space`] are a datagram (none when `len` is 0). No copy.
    pub(crate) fn commit(
        &mut self,
        (socket, source): (usize, Option<IpAddr>),
        remote: SocketAddr,
        len: usize,
        max_segments: usize,
    ) {
        let start = self.used;
        let len = len.min(self.bytes.len() - start);
        if len == 0 {
            return;
        }
        self.used += len;
        if let Some(last) = self.trains.last_mut()
            && last.remote == remote
            && last.socket == socket
            && last.source == source
            && last.takes(len, max_segments)
        {
            last.len += len;
            last.count += 1;
            return;
        }
        self.trains.push(Train {
            socket,
            source,
            remote,
            start,
            len,
            segment: len,
            count: 1,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// What waits: the bytes and the trains in them.
    pub(crate) fn contents(&self) -> (&[u8], &[Train]) {
        (&self.bytes[..self.used], &self.trains)
    }

    /// Forgets everything. No allocation.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.trains.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ([u8; 4], u16) = ([127, 0, 0, 1], 1);
    const B: ([u8; 4], u16) = ([127, 0, 0, 1], 2);

    fn trains(max: usize, datagrams: &[(([u8; 4], u16), usize)]) -> Vec<(usize, usize, usize)> {
        let mut arena = SendArena::new();
        for (remote, len) in datagrams {
            assert!(arena.space().is_some());
            arena.commit((0, None), (*remote).into(), *len, max);
        }
        arena
            .contents()
            .1
            .iter()
            .map(|train| (train.start, train.len, train.count))
            .collect()
    }

    #[test]
    fn neighbours_join_while_their_sizes_allow() {
        let table: [(usize, &[_], &[_]); 6] = [
            (64, &[(A, 10), (A, 10), (A, 10)], &[(0, 30, 3)]),
            (64, &[(A, 10), (A, 10), (A, 4), (A, 10)], &[(0, 24, 3), (24, 10, 1)]),
            (64, &[(A, 4), (A, 10)], &[(0, 4, 1), (4, 10, 1)]),
            (
                64,
                &[(A, 10), (B, 10), (A, 10)],
                &[(0, 10, 1), (10, 10, 1), (20, 10, 1)],
            ),
            (2, &[(A, 10), (A, 10), (A, 10)], &[(0, 20, 2), (20, 10, 1)]),
            (1, &[(A, 10), (A, 10)], &[(0, 10, 1), (10, 10, 1)]),
        ];
        for (max, datagrams, expected) in table {
            assert_eq!(trains(max, datagrams), expected, "{datagrams:?}");
        }
    }

    #[test]
    fn a_train_stays_below_the_ip_limit() {
        let many = vec![(A, 1400); 60];
        let trains = trains(64, &many);
        assert_eq!(trains.iter().map(|train| train.2).sum::<usize>(), 60);
        assert!(trains.iter().all(|train| train.1 <= MAX_TRAIN_BYTES), "{trains:?}");
    }

    #[test]
    fn it_says_when_it_is_full() {
        let mut arena = SendArena::new();
        let mut count = 0;
        while arena.space().is_some() {
            arena.commit((0, None), A.into(), 1400, 64);
            count += 1;
        }
        assert!(count >= (ARENA_BYTES - DATAGRAM_BYTES) / 1400);
        arena.clear();
        while arena.space().is_some() {
            arena.commit((0, None), A.into(), 1, 1);
        }
        assert_eq!(arena.contents().1.len(), MAX_TRAINS);
    }
}
