//! Redundant audio (RFC 2198): one payload that carries copies of earlier ones before its own.
//!
//! Not here: writing it; what becomes of the blocks.

use althing_media_core::Pt;
use bytes::Bytes;

/// Blocks of one payload, at most; more is no sound of this time any more.
pub(super) const MAX_BLOCKS: usize = 8;

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) payload_type: Pt,
    /// How much earlier than the RTP timestamp it was taken, in units of the RTP clock; 0 for the primary.
    pub(super) offset: u16,
    pub(super) payload: Bytes,
}

/// Takes a payload apart: its blocks, oldest first, the primary last. `None` when it is malformed, or has more than
/// [`MAX_BLOCKS`]. Copies nothing, allocates nothing.
pub(super) fn parse(payload: &Bytes) -> Option<impl Iterator<Item = Block> + use<>> {
    let mut headers = [(Pt::new(0), 0_u16, 0_usize); MAX_BLOCKS];
    let (mut count, mut at, mut sum) = (0, 0, 0);
    loop {
        let first = *payload.get(at)?;
        let header = headers.get_mut(count)?;
        count += 1;
        header.0 = Pt::new(first);
        if first & 0x80 == 0 {
            at += 1;
            header.2 = payload.len().checked_sub(at + sum)?;
            break;
        }
        let [_, high, middle, low] = *payload.get(at..at + 4)?.first_chunk()?;
        header.1 = u16::from(high) << 6 | u16::from(middle) >> 2;
        header.2 = usize::from(middle & 0x03) << 8 | usize::from(low);
        sum += header.2;
        at += 4;
    }
    let payload = payload.clone();
    Some(headers.into_iter().take(count).map(move |(payload_type, offset, len)| {
        let block = payload.slice(at..at + len);
        at += len;
        Block {
            payload_type,
            offset,
            payload: block,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(payload: &[u8]) -> Option<Vec<(u8, u16, Vec<u8>)>> {
        let blocks = parse(&Bytes::copy_from_slice(payload))?;
        Some(
            blocks
                .map(|block| (block.payload_type.value(), block.offset, block.payload.to_vec()))
                .collect(),
        )
    }

    #[test]
    fn two_copies_and_the_primary() {
        // 1920 and 960 units back, of two and three bytes: offset in 14 bits, length in 10.
        let payload = [0xef, 0x1e, 0x00, 0x02, 0xef, 0x0f, 0x00, 0x03, 0x6f, 1, 2, 3, 4, 5, 6];
        let expected = vec![(111, 1920, vec![1, 2]), (111, 960, vec![3, 4, 5]), (111, 0, vec![6])];
        assert_eq!(blocks(&payload), Some(expected));
        for len in 0..14 {
            assert_eq!(blocks(&payload[..len]), None, "{len}");
        }
    }

    #[test]
    fn the_largest_offset_and_length() {
        let mut payload = vec![0xff, 0xff, 0xff, 0xff, 0x00];
        payload.resize(5 + 1023, 9);
        assert_eq!(
            blocks(&payload),
            Some(vec![(127, 0x3fff, vec![9; 1023]), (0, 0, vec![])])
        );
    }

    #[test]
    fn headers_without_end_are_refused() {
        assert_eq!(blocks(&[0x80; 400]), None);
    }
}
