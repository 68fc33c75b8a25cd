//! The AV1 aggregation header, and the headers of the OBUs in a packet (AV1 RTP specification §4.4, §4.5; AV1
//! specification §5.3).
//!
//! ```text
//!      0 1 2 3 4 5 6 7
//!     |Z|Y| W |N|-|-|-|   then W OBU elements, each but the last with its size (leb128); all with W = 0
//! OBU |F| type  |X|S|-|
//! X:  | TID |SID|-|-|-|
//! ```
//!
//! `N` is the one thing that every packet says for certain: a new coded video sequence, a keyframe. Frames may begin
//! where `Z` is 0 and an OBU starts that can open one; a tile group cannot, but the first of the frames of two spatial
//! layers with one timestamp cannot be told from the second. A fragment (`Z` is 1) does not name its layer, and a
//! router that dropped layers by the OBU extension would tear frames apart after a loss. So [`peek`] leaves layers to the
//! dependency descriptor, that browsers send with AV1; [`Header`] tells what the OBUs say. Not here: sizes, frame
//! headers, reassembly.

use crate::payload::Info;

/// OBU elements that are looked at in one packet.
const MAX_ELEMENTS: usize = 8;

const SEQUENCE_HEADER: u8 = 1;
const TILE_GROUP: u8 = 4;
const REDUNDANT_FRAME_HEADER: u8 = 7;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// The aggregation header, and the first OBU header of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// `Z`: the packet starts with the rest of an OBU.
    pub continues: bool,
    /// `Y`: the last OBU goes on in the next packet.
    pub continued: bool,
    /// `W`: how many OBU elements, 0 for "see their sizes".
    pub count: u8,
    /// `N`: the first packet of a coded video sequence.
    pub new_sequence: bool,
    /// The type of the first OBU that starts in this packet: `None` when there is none or it is cut short.
    pub first_obu: Option<u8>,
    /// Temporal and spatial layer of the first OBU in this packet that names them.
    pub layer: Option<(u8, u8)>,
}

impl Header {
    /// Reads the start of an RTP payload; `None` when it is empty. No allocation, at most eight OBU headers.
    #[inline]
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&flags, elements) = payload.split_first()?;
        let mut header = Self::from_flags(flags);
        header.read_obus(elements);
        Some(header)
    }

    #[inline]
    fn from_flags(flags: u8) -> Self {
        Self {
            continues: flags & 0x80 != 0,
            continued: flags & 0x40 != 0,
            count: flags >> 4 & 0x03,
            new_sequence: flags & 0x08 != 0,
            first_obu: None,
            layer: None,
        }
    }

    fn read_obus(&mut self, mut rest: &[u8]) {
        for index in 0..MAX_ELEMENTS {
            let Some((element, after)) = self.next_element(index, rest) else {
                return;
            };
            rest = after;
            if index == 0 && self.continues {
                continue;
            }
            let Some(&obu) = element.first() else { continue };
            self.first_obu = self.first_obu.or(Some(obu >> 3 & 0x0f));
            if obu & 0x04 != 0
                && let Some(extension) = element.get(1)
            {
                self.layer = Some((extension >> 5, extension >> 3 & 0x03));
                return;
            }
        }
    }

    /// Splits off element number `index`; an element that lies about its size ends the walk.
    #[inline]
    fn next_element<'p>(&self, index: usize, rest: &'p [u8]) -> Option<(&'p [u8], &'p [u8])> {
        if rest.is_empty() {
            return None;
        }
        if self.count != 0 && index + 1 >= usize::from(self.count) {
            return (index + 1 == usize::from(self.count)).then_some((rest, &[]));
        }
        let (size, rest) = leb128(rest)?;
        rest.split_at_checked(size)
    }

    /// The packet may be the first of a frame: it does not go on with an OBU, nor does it start with one that only
    /// follows a frame header.
    #[inline]
    #[must_use]
    pub fn may_start_frame(&self) -> bool {
        let follows = matches!(
            self.first_obu,
            Some(TILE_GROUP | REDUNDANT_FRAME_HEADER | TILE_LIST | PADDING)
        );
        !self.continues && (self.new_sequence || !follows)
    }

    /// The first packet of a keyframe that starts a coded video sequence.
    #[inline]
    #[must_use]
    pub fn starts_keyframe(&self) -> bool {
        self.new_sequence && !self.continues
    }

    /// The packet carries a sequence header in front: the decoder can be set up by it.
    #[must_use]
    pub fn has_sequence_header(&self) -> bool {
        self.first_obu == Some(SEQUENCE_HEADER) && !self.continues
    }
}

/// A size in at most four bytes of 7 bits, the lowest first: no datagram needs more.
#[inline]
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..).map(|rest| (value, rest));
        }
    }
    None
}

/// What the packet says, layers apart; the default when it is empty. About 7 ns, no allocation.
#[inline]
#[must_use]
pub fn peek(payload: &[u8]) -> Info {
    let Some(header) = Header::parse(payload) else {
        return Info::default();
    };
    Info {
        start_of_frame: header.may_start_frame(),
        keyframe: header.starts_keyframe(),
        ..Info::default()
    }
}
