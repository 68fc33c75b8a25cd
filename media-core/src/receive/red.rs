//! Redundant audio on its way in (RFC 2198): the primary block becomes the packet, and blocks become the packets before it
//! that were lost.
//!
//! So everybody behind sees plain packets only, with the numbers and timestamps that they were sent with. Which blocks are
//! the packets right before, the timestamps tell; a block that leaves a gap is not used.

use std::ops::Range;

use smallvec::SmallVec;

use crate::packet::view::FIXED_HEADER;
use crate::packet::{Layout, Pt, RtpView, RtpWriter};
use crate::payload::opus;
use crate::payload::red::{Block, MAX_REDUNDANT, Red};

/// Packets that were lost, from the redundancy of a later one. Kept and used again; no allocation once it has seen its
/// largest.
#[derive(Debug, Default)]
pub struct Recovered {
    bytes: Vec<u8>,
    packets: SmallVec<[Range<usize>; MAX_REDUNDANT]>,
}

impl Recovered {
    /// Turns `packet`, whose header is `layout`, into one of only its primary block with the payload type `pt`, which begins
    /// so many bytes further on; and keeps a copy of the packets before it that `lacks` says have not come. `None` when it
    /// cannot be taken apart, or holds another payload type.
    pub fn unwrap(&mut self, packet: &mut [u8], layout: Layout, pt: Pt, lacks: impl Fn(u16) -> bool) -> Option<usize> {
        self.clear();
        let view = RtpView::with_layout(packet, layout.trim_padding(packet).ok()?);
        let red = Red::parse(view.payload())?;
        if red.pt != pt {
            return None;
        }
        let count = u16::try_from(adjoining(&red)).ok()?;
        let blocks = red.redundant.iter().rev().take(usize::from(count)).rev();
        for (block, back) in blocks.zip((1..=count).rev()) {
            let seq = view.seq().wrapping_sub(back);
            if lacks(seq) {
                self.keep(&view, pt, seq, block)?;
            }
        }
        let primary = red.primary;
        drop(red);
        move_header(packet, layout.header_len(), pt, primary)?;
        Some(primary)
    }

    /// Adds the packet that `block` was, without extensions: those of the later packet `view` are not about it.
    #[cold]
    fn keep(&mut self, view: &RtpView<'_>, pt: Pt, seq: u16, block: &Block<'_>) -> Option<()> {
        let start = self.bytes.len();
        self.bytes.resize(start + FIXED_HEADER + block.payload.len(), 0);
        let timestamp = view.timestamp().wrapping_sub(block.offset);
        let mut writer = RtpWriter::new(&mut self.bytes[start..], pt, false, seq, timestamp, view.ssrc());
        writer.payload(block.payload);
        let (_, len) = writer.finish()?;
        self.packets.push(start..start + len);
        Some(())
    }

    /// Whether there are none.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// The packets, the oldest first.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().filter_map(|range| self.bytes.get(range.clone()))
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

/// How many of the last redundant blocks are the packets right before the primary one: each must end where the next begins.
fn adjoining(red: &Red<'_>) -> usize {
    let mut next = 0;
    let follows = |block: &&Block<'_>| {
        let fits = block.pt == red.pt && opus::duration(block.payload).is_some_and(|it| block.offset == next + it);
        next = block.offset;
        fits
    };
    red.redundant.iter().rev().take_while(follows).count()
}

/// Moves the header to the primary block, nothing else.
fn move_header(packet: &mut [u8], header: usize, pt: Pt, by: usize) -> Option<()> {
    if packet.len() < header + by {
        return None;
    }
    packet.copy_within(..header, by);
    let second = packet.get_mut(by + 1)?;
    *second = (*second & 0x80) | pt.value();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Ssrc;
    use crate::payload::red::{header, primary_header};

    const OPUS: Pt = Pt::new(111);
    /// 20 ms of CELT.
    const TOC: u8 = 0xf8;

    /// A block for each offset, numbered, and the primary block 99.
    fn payload(offsets: &[u32]) -> Vec<u8> {
        let headers = offsets
            .iter()
            .flat_map(|offset| header(OPUS, *offset, 2).expect("it has a place"));
        let blocks = (0..).zip(offsets).flat_map(|(n, _)| [TOC, n]);
        headers
            .chain(primary_header(OPUS))
            .chain(blocks)
            .chain([TOC, 99])
            .collect()
    }

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 200];
        let mut writer = RtpWriter::new(&mut buffer, Pt::new(63), true, 2, 1000, Ssrc(2));
        writer.extension(1, &[30]);
        writer.payload(payload);
        writer.padding(3);
        let (_, len) = writer.finish().expect("fits");
        buffer[..len].to_vec()
    }

    /// Number, timestamp and payload of all that was recovered; the primary block after them.
    fn unwrapped(offsets: &[u32], lacks: impl Fn(u16) -> bool) -> Vec<(u16, u32, u8)> {
        let mut packet = packet(&payload(offsets));
        let layout = Layout::parse(&packet).expect("valid");
        let mut recovered = Recovered::default();
        let primary = recovered.unwrap(&mut packet, layout, OPUS, lacks).expect("valid");
        let all = recovered.packets().chain([&packet[primary..]]);
        all.map(|packet| {
            let view = RtpView::parse(packet).expect("valid");
            assert_eq!((view.pt(), view.ssrc(), view.payload()[0]), (OPUS, Ssrc(2), TOC));
            assert_eq!(view.extension(1).is_some(), view.seq() == 2);
            (view.seq(), view.timestamp(), view.payload()[1])
        })
        .collect()
    }

    #[test]
    fn what_was_lost_comes_back_before_the_packet() {
        let primary = (2, 1000, 99);
        let wrapped = 1000_u32.wrapping_sub(2880);
        assert_eq!(unwrapped(&[960], |_| true), [(1, 40, 0), primary]);
        assert_eq!(
            unwrapped(&[2880, 1920, 960], |_| true),
            [
                (u16::MAX, wrapped, 0),
                (0, 1000_u32.wrapping_sub(1920), 1),
                (1, 40, 2),
                primary
            ]
        );
        assert_eq!(
            unwrapped(&[1920, 960], |seq| seq == 0),
            [(0, 1000_u32.wrapping_sub(1920), 0), primary]
        );
        assert_eq!(unwrapped(&[1920, 960], |_| false), [primary]);
    }

    #[test]
    fn only_what_adjoins_is_the_packet_before() {
        for (offsets, expected) in [
            (&[1920][..], 0),
            (&[2880, 960], 1),
            (&[0], 0),
            (&[960, 960], 1),
            (&[], 0),
        ] {
            assert_eq!(unwrapped(offsets, |_| true).len(), expected + 1, "{offsets:?}");
        }
    }

    #[test]
    fn another_payload_type_is_not_taken() {
        let mut recovered = Recovered::default();
        for payload in [&[0x6e, TOC, 1][..], &[0x80], &[]] {
            let mut packet = packet(payload);
            let layout = Layout::parse(&packet).expect("valid");
            assert_eq!(
                recovered.unwrap(&mut packet, layout, OPUS, |_| true),
                None,
                "{payload:?}"
            );
        }
    }
}
