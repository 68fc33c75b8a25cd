//! The VP8 payload descriptor: which picture, which layer, is it a keyframe (RFC 7741 §4.2, §4.3).
//!
//! ```text
//!      0 1 2 3 4 5 6 7
//!     |X|R|N|S|R| PID |
//! X:  |I|L|T|K|  RSV  |
//! I:  |M| PictureID   |   and 8 bits more if M
//! L:  |   TL0PICIDX   |
//! T/K:|TID|Y| KEYIDX  |
//! ```
//!
//! After it, on the first packet of a frame, the first bit of the VP8 payload header says "keyframe". An end-to-end
//! encrypting sender leaves both in clear (ten bytes of a keyframe, three of another), so nothing here differs then.
//! Not here: the frame header itself, sizes, partitions.

use crate::payload::Info;
use crate::payload::picture_id::{Ids, MAX_PREFIX, Patch, PictureId};

/// The longest descriptor, in bytes.
pub const MAX_DESCRIPTOR: usize = 6;

const EXTENDED: u8 = 0x80;
const NON_REFERENCE: u8 = 0x20;
const START_OF_PARTITION: u8 = 0x10;
const PARTITION: u8 = 0x07;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0_PIC_IDX: u8 = 0x40;
const HAS_TID: u8 = 0x20;
const HAS_KEY_IDX: u8 = 0x10;
const LAYER_SYNC: u8 = 0x20;
const KEY_IDX: u8 = 0x1f;
/// `P` of the payload header: 0 for a keyframe.
const INTER_FRAME: u8 = 0x01;

/// A parsed descriptor. `Copy`, no borrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Picture id and `TL0PICIDX`, and where they lie.
    pub ids: Ids,
    /// Temporal layer (`TID`), 0 the lowest.
    pub tid: Option<u8>,
    /// `Y`: this frame depends only on the base layer. Meaningless without `tid`.
    pub layer_sync: bool,
    /// `KEYIDX`, 5 bits.
    pub key_idx: Option<u8>,
    /// `N`: no other frame depends on this one.
    pub non_reference: bool,
    /// `S`: the first packet of a partition.
    pub start_of_partition: bool,
    /// `PID`: partition index; 0 holds the frame header.
    pub partition: u8,
    /// Bytes of the descriptor: where the VP8 payload starts.
    pub len: usize,
}

impl Descriptor {
    /// Reads the descriptor at the start of an RTP payload; `None` when it is cut short. No allocation.
    #[inline]
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let flags = *payload.first()?;
        let mut descriptor = Self {
            ids: Ids::NONE,
            tid: None,
            layer_sync: false,
            key_idx: None,
            non_reference: flags & NON_REFERENCE != 0,
            start_of_partition: flags & START_OF_PARTITION != 0,
            partition: flags & PARTITION,
            len: 1,
        };
        if flags & EXTENDED != 0 {
            descriptor.parse_extension(payload)?;
        }
        Some(descriptor)
    }

    #[inline]
    fn parse_extension(&mut self, payload: &[u8]) -> Option<()> {
        let present = *payload.get(1)?;
        let mut at = 2_u8;
        if present & HAS_PICTURE_ID != 0 {
            let picture_id = PictureId::parse(payload.get(2..)?)?;
            self.ids.set_picture_id(at, picture_id);
            at += if picture_id.bits() == 7 { 1 } else { 2 };
        }
        if present & HAS_TL0_PIC_IDX != 0 {
            self.ids.set_tl0_pic_idx(at, *payload.get(usize::from(at))?);
            at += 1;
        }
        if present & (HAS_TID | HAS_KEY_IDX) != 0 {
            let byte = *payload.get(usize::from(at))?;
            if present & HAS_TID != 0 {
                self.tid = Some(byte >> 6);
                self.layer_sync = byte & LAYER_SYNC != 0;
            }
            if present & HAS_KEY_IDX != 0 {
                self.key_idx = Some(byte & KEY_IDX);
            }
            at += 1;
        }
        self.len = usize::from(at);
        Some(())
    }

    /// The first packet of a frame.
    #[inline]
    #[must_use]
    pub fn starts_frame(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }

    /// The start of `original`, the payload that this was read from, with other numbers: see [`Ids::write_patched`].
    #[inline]
    #[must_use]
    pub fn write_patched(&self, original: &[u8], patch: Patch, out: &mut [u8; MAX_PREFIX]) -> usize {
        self.ids.write_patched(original, patch, out)
    }
}

/// What the packet says; the default when it is cut short. About 7 ns, no allocation.
#[inline]
#[must_use]
pub fn peek(payload: &[u8]) -> Info {
    let Some(descriptor) = Descriptor::parse(payload) else {
        return Info::default();
    };
    let start_of_frame = descriptor.starts_frame();
    let temporal = descriptor.tid.unwrap_or(0);
    Info {
        start_of_frame,
        keyframe: start_of_frame
            && payload
                .get(descriptor.len)
                .is_some_and(|header| header & INTER_FRAME == 0),
        temporal,
        switch_up: descriptor.layer_sync,
        switch_to: u8::from(descriptor.layer_sync) << temporal,
        discardable: descriptor.non_reference,
        ids: descriptor.ids,
        ..Info::default()
    }
}
