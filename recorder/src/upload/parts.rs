//! How a file is divided: parts of one size, the last one shorter.

use std::ops::Range;

/// The least size of a part, in bytes: what S3 asks for, and larger than all rooms that are patched at the end.
pub const MIN_PART: u64 = 5 << 20;
/// The most parts that all stores take.
const MAX_PARTS: u64 = 10_000;

/// The parts of a file. All are of one size, as some stores want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    size: u64,
}

impl Parts {
    /// Parts of so many bytes; at least [`MIN_PART`] for a store that others run.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size: size.max(1) }
    }

    /// The bytes of each part but the last.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// The longest file that fits: 80 GB with parts of 8 MiB.
    #[must_use]
    pub fn longest(self) -> u64 {
        self.size.saturating_mul(MAX_PARTS)
    }

    /// How many a file of this length has; an empty one has one without bytes.
    #[must_use]
    pub fn count(self, len: u64) -> u64 {
        len.div_ceil(self.size).max(1)
    }

    /// Where a part of a file of this length lies; empty when there is no such part.
    #[must_use]
    pub fn range(self, part: u64, len: u64) -> Range<u64> {
        let start = part.saturating_mul(self.size).min(len);
        start..start.saturating_add(self.size).min(len)
    }

    /// The parts that will not change any more in a file that has grown to this length and goes on.
    #[must_use]
    pub fn settled(self, len: u64) -> Range<u64> {
        1..(len / self.size).clamp(1, MAX_PARTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_file_once() {
        let parts = Parts::new(10);
        for (len, count) in [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (35, 4)] {
            assert_eq!(parts.count(len), count, "{len} bytes");
            let ranges: Vec<_> = (0..count).map(|part| parts.range(part, len)).collect();
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges.last().unwrap().end, len);
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
            assert!(parts.range(count, len).is_empty());
        }
    }

    #[test]
    fn what_is_settled_is_whole_and_not_the_first() {
        let parts = Parts::new(10);
        for (len, settled) in [(0, 1..1), (19, 1..1), (20, 1..2), (29, 1..2), (30, 1..3)] {
            assert_eq!(parts.settled(len), settled, "{len} bytes");
        }
        assert_eq!(parts.settled(u64::MAX).end, MAX_PARTS);
    }
}
