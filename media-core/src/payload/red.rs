//! Redundant audio (RFC 2198): a packet of sound that carries those before it as well.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |1|   block PT  |     timestamp offset      |   block length    |   each redundant block, the oldest first
//! |0|   block PT  |                                                   the primary block
//! | redundant blocks … | primary block …                          |
//! ```
//!
//! Finds blocks and writes their headers. What they are good for is decided where they are received
//! ([`crate::receive::red`]) and sent ([`crate::send::redundancy`]).

use smallvec::SmallVec;

use crate::packet::Pt;

/// Redundant blocks in one packet; more is refused. Browsers send one, and at most nine when asked to.
pub const MAX_REDUNDANT: usize = 9;
/// Bytes of the header of a redundant block.
pub const HEADER: usize = 4;
/// A block that is so much older has no place (14 bits), in units of the media clock: 341 ms of Opus.
pub const MAX_OFFSET: u32 = 1 << 14;
/// A block of so many bytes has no place (10 bits).
pub const MAX_LENGTH: usize = 1 << 10;

/// One redundant block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it is coded with.
    pub pt: Pt,
    /// How much older it is than the primary block, in units of the media clock.
    pub offset: u32,
    /// The payload that it was, or would have been.
    pub payload: &'a [u8],
}

/// A payload taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Red<'a> {
    /// The redundant blocks, in the order of the wire: the oldest first.
    pub redundant: SmallVec<[Block<'a>; MAX_REDUNDANT]>,
    /// What the primary block is coded with.
    pub pt: Pt,
    /// Where the primary block begins, in bytes from the start of the payload. It ends with the payload.
    pub primary: usize,
}

impl<'a> Red<'a> {
    /// Takes `payload` apart; `None` when it is cut short or has more than [`MAX_REDUNDANT`] redundant blocks. No
    /// allocation.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut redundant: SmallVec<[Block<'a>; MAX_REDUNDANT]> = SmallVec::new();
        let (mut at, mut lengths) = (0, [0; MAX_REDUNDANT]);
        let pt = loop {
            let rest = payload.get(at..)?;
            let first = *rest.first()?;
            if first & 0x80 == 0 {
                at += 1;
                break Pt::new(first);
            }
            let word = u32::from_be_bytes(*rest.first_chunk::<HEADER>()?);
            *lengths.get_mut(redundant.len())? = usize::try_from(word & 0x3ff).unwrap_or(0);
            redundant.push(Block {
                pt: Pt::new(first),
                offset: (word >> 10) & 0x3fff,
                payload: &[],
            });
            at += HEADER;
        };
        for (block, length) in redundant.iter_mut().zip(lengths) {
            block.payload = payload.get(at..at + length)?;
            at += length;
        }
        Some(Self {
            redundant,
            pt,
            primary: at,
        })
    }
}

/// The header of a redundant block of `length` bytes, `offset` units older than the primary; `None` when it has no place.
#[must_use]
#[inline]
pub fn header(pt: Pt, offset: u32, length: usize) -> Option<[u8; HEADER]> {
    let length = u32::try_from(length).ok().filter(|_| length < MAX_LENGTH)?;
    let word = 1 << 31 | u32::from(pt.value()) << 24 | offset << 10 | length;
    (offset < MAX_OFFSET).then(|| word.to_be_bytes())
}

/// The header of the primary block.
#[must_use]
#[inline]
pub fn primary_header(pt: Pt) -> [u8; 1] {
    [pt.value() & 0x7f]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPUS: Pt = Pt::new(111);

    /// As Chromium writes it: one block before the primary one.
    const CHROMIUM: [u8; 12] = [0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5, 6, 7];

    #[test]
    fn takes_apart_and_puts_together() {
        let red = Red::parse(&CHROMIUM).expect("whole");
        let block = Block {
            pt: OPUS,
            offset: 960,
            payload: &[1, 2, 3],
        };
        assert_eq!((red.redundant.as_slice(), red.pt, red.primary), (&[block][..], OPUS, 8));
        assert_eq!(header(OPUS, 960, 3).as_ref(), CHROMIUM.first_chunk());
        assert_eq!(primary_header(OPUS), [CHROMIUM[4]]);
    }

    #[test]
    fn without_redundancy_there_is_only_the_primary_block() {
        let red = Red::parse(&[0x6f, 9]).expect("whole");
        assert_eq!((red.redundant.len(), red.primary), (0, 1));
        assert!(Red::parse(&[0x6f]).is_some_and(|red| red.primary == 1), "an empty one");
    }

    #[test]
    fn cut_short_it_is_nothing_or_has_a_shorter_primary_block() {
        for len in 0..CHROMIUM.len() {
            assert_eq!(Red::parse(&CHROMIUM[..len]).is_some(), len >= 8, "{len} bytes");
        }
    }

    #[test]
    fn what_has_no_place() {
        assert!(header(OPUS, MAX_OFFSET - 1, MAX_LENGTH - 1).is_some());
        assert_eq!(header(OPUS, MAX_OFFSET, 1), None);
        assert_eq!(header(OPUS, 1, MAX_LENGTH), None);
        let many = |count: usize| [[0xef, 0, 0, 0].repeat(count), vec![0x6f]].concat();
        assert!(Red::parse(&many(MAX_REDUNDANT)).is_some());
        assert_eq!(Red::parse(&many(MAX_REDUNDANT + 1)), None);
    }
}
