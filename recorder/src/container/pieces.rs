//! The bytes of one write, in order: heads that a container made, between frames that are shared and not copied.
//!
//! What is short is copied all the same: below some hundred bytes a copy is cheaper than an entry in a vectored write.
//! Not here: writing them.

use bytes::Bytes;

/// Frames up to this many bytes are copied: an Opus packet is, a picture hardly ever.
pub(super) const COPIED: usize = 512;

/// Bytes to be written together. A clone copies the heads and shares the frames.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    heads: Vec<u8>,
    /// Up to where in `heads` one goes before each frame.
    frames: Vec<(usize, Bytes)>,
    shared: usize,
}

impl Pieces {
    /// Nothing yet, with room for `heads` bytes and `frames` frames.
    #[must_use]
    pub(crate) fn with_capacity(heads: usize, frames: usize) -> Self {
        Self {
            heads: Vec::with_capacity(heads),
            frames: Vec::with_capacity(frames),
            shared: 0,
        }
    }

    /// Where the next head is written to; only to be appended to.
    pub(crate) fn head(&mut self) -> &mut Vec<u8> {
        &mut self.heads
    }

    /// Puts a frame behind all that is there.
    pub(crate) fn push(&mut self, frame: Bytes) {
        if frame.len() <= COPIED {
            self.heads.extend_from_slice(&frame);
        } else {
            self.shared += frame.len();
            self.frames.push((self.heads.len(), frame));
        }
    }

    /// How many bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len() + self.shared
    }

    /// No bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in order, none of the slices empty. Allocates nothing.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        let between = self.frames.iter().flat_map(move |(to, frame)| {
            let head = &self.heads[from..*to];
            from = *to;
            [head, &frame[..]]
        });
        let last = self.frames.last().map_or(0, |(to, _)| *to);
        between.chain([&self.heads[last..]]).filter(|slice| !slice.is_empty())
    }

    /// All of it in one piece: copies.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.slices().for_each(|slice| all.extend_from_slice(slice));
        all
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(heads: Vec<u8>) -> Self {
        Self {
            heads,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_only_what_is_long_is_shared() {
        let mut pieces = Pieces::with_capacity(16, 2);
        let (long, short) = (Bytes::from(vec![7; COPIED + 1]), Bytes::from_static(b"ef"));
        pieces.push(long.clone());
        pieces.head().extend_from_slice(b"abcd");
        pieces.push(short);
        pieces.push(long.clone());
        pieces.push(long.clone());
        pieces.head().push(b'g');
        let slices: Vec<&[u8]> = pieces.slices().collect();
        assert_eq!(slices, [&long[..], b"abcdef", &long[..], &long[..], b"g"]);
        assert_eq!(slices[0].as_ptr(), long.as_ptr(), "shared, not copied");
        assert_eq!(pieces.len(), pieces.to_vec().len());
        assert!(Pieces::default().is_empty());
        assert_eq!(Pieces::default().slices().count(), 0);
    }
}
