//! The VP9 payload descriptor: which picture, which layers, is it a keyframe (RFC 9628 §4.2).
//!
//! ```text
//!       0 1 2 3 4 5 6 7
//!      |I|P|L|F|B|E|V|Z|
//! I:   |M| PICTURE ID  |   and 8 bits more if M
//! L:   | TID |U| SID |D|
//! !F:  |   TL0PICIDX   |   only with L
//! F&P: | P_DIFF      |N|   up to three times, while N
//! V:   | N_S |Y|G|-|-|-|   scalability structure:
//! Y:   | WIDTH, HEIGHT |   16 bits each, N_S + 1 times
//! G:   |      N_G      |
//!      | TID |U| R |-|-|   N_G times, each followed by
//!      |    P_DIFF     |   R times
//! ```
//!
//! All of it is in clear when the payload is end-to-end encrypted. Not here: the frame itself, and what the scalability
//! structure says (it is skipped, to find where the payload starts).

use crate::payload::Info;
use crate::payload::picture_id::{Ids, MAX_PREFIX, Patch, PictureId};

/// References that one frame may list (RFC 9628 §4.2).
const MAX_P_DIFF: usize = 3;

const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PICTURE: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const START: u8 = 0x08;
const END: u8 = 0x04;
const HAS_STRUCTURE: u8 = 0x02;
const NOT_FOR_UPPER: u8 = 0x01;

/// A parsed descriptor, without the scalability structure. `Copy`, no borrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// Picture id and `TL0PICIDX`, and where they lie.
    pub ids: Ids,
    /// `P`: the frame refers to an earlier picture.
    pub inter_picture: bool,
    /// `F`: references are listed in each packet.
    pub flexible: bool,
    /// `B`: the first packet of a layer's frame.
    pub start_of_frame: bool,
    /// `E`: the last packet of a layer's frame.
    pub end_of_frame: bool,
    /// `V`: a scalability structure is there.
    pub has_structure: bool,
    /// `Z`: no upper spatial layer of this picture refers to this one.
    pub not_for_upper: bool,
    /// The layer indices, if any.
    pub layers: Option<Layers>,
}

/// The layer that a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// Temporal layer, 0 to 7.
    pub tid: u8,
    /// `U`: from here on, higher temporal layers do not refer to earlier pictures of themselves.
    pub switching_up: bool,
    /// Spatial layer, 0 to 7.
    pub sid: u8,
    /// `D`: refers to the next lower spatial layer of this picture.
    pub inter_layer: bool,
}

impl Descriptor {
    /// Reads the descriptor at the start of an RTP payload as far as the layer indices; `None` when it is cut short.
    /// No allocation.
    #[inline]
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let flags = *payload.first()?;
        let mut ids = Ids::NONE;
        let mut at = 1_u8;
        if flags & HAS_PICTURE_ID != 0 {
            let picture_id = PictureId::parse(payload.get(1..)?)?;
            ids.set_picture_id(at, picture_id);
            at += if picture_id.bits() == 7 { 1 } else { 2 };
        }
        let mut layers = None;
        if flags & HAS_LAYERS != 0 {
            let byte = *payload.get(usize::from(at))?;
            at += 1;
            layers = Some(Layers {
                tid: byte >> 5,
                switching_up: byte & 0x10 != 0,
                sid: byte >> 1 & 0x07,
                inter_layer: byte & 0x01 != 0,
            });
            if flags & FLEXIBLE == 0 {
                ids.set_tl0_pic_idx(at, *payload.get(usize::from(at))?);
            }
        }
        Some(Self {
            ids,
            inter_picture: flags & INTER_PICTURE != 0,
            flexible: flags & FLEXIBLE != 0,
            start_of_frame: flags & START != 0,
            end_of_frame: flags & END != 0,
            has_structure: flags & HAS_STRUCTURE != 0,
            not_for_upper: flags & NOT_FOR_UPPER != 0,
            layers,
        })
    }

    /// Bytes of the whole descriptor at the start of `payload`, the one that this was read from: where the VP9 frame
    /// goes on. Walks the references and the scalability structure; `None` when they are cut short or more than three
    /// references are listed. No allocation.
    #[must_use]
    pub fn wire_len(&self, payload: &[u8]) -> Option<usize> {
        let mut at = 1 + self.ids.picture_id().map_or(0, PictureId::wire_len);
        if self.layers.is_some() {
            at += if self.flexible { 1 } else { 2 };
        }
        if self.flexible && self.inter_picture {
            at = skip_references(payload, at)?;
        }
        if self.has_structure {
            at = skip_structure(payload, at)?;
        }
        (at <= payload.len()).then_some(at)
    }

    /// The first packet of a picture that refers to no other: no inter-picture prediction, lowest spatial layer.
    #[inline]
    #[must_use]
    pub fn starts_keyframe(&self) -> bool {
        self.start_of_frame && !self.inter_picture && self.layers.is_none_or(|layers| layers.sid == 0)
    }

    /// The start of `original`, the payload that this was read from, with other numbers: see [`Ids::write_patched`].
    #[inline]
    #[must_use]
    pub fn write_patched(&self, original: &[u8], patch: Patch, out: &mut [u8; MAX_PREFIX]) -> usize {
        self.ids.write_patched(original, patch, out)
    }
}

fn skip_references(payload: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..MAX_P_DIFF {
        let byte = *payload.get(at)?;
        at += 1;
        if byte & 0x01 == 0 {
            return Some(at);
        }
    }
    None
}

fn skip_structure(payload: &[u8], mut at: usize) -> Option<usize> {
    let header = *payload.get(at)?;
    at += 1;
    if header & 0x10 != 0 {
        at += (usize::from(header >> 5) + 1) * 4;
    }
    if header & 0x08 != 0 {
        let pictures = *payload.get(at)?;
        at += 1;
        for _ in 0..pictures {
            let references = *payload.get(at)? >> 2 & 0x03;
            at += 1 + usize::from(references);
        }
    }
    Some(at)
}

/// What the packet says; the default when it is cut short. About 7 ns, no allocation.
#[inline]
#[must_use]
pub fn peek(payload: &[u8]) -> Info {
    let Some(descriptor) = Descriptor::parse(payload) else {
        return Info::default();
    };
    let (temporal, switch_up, spatial) = descriptor
        .layers
        .map_or((0, false, 0), |layers| (layers.tid, layers.switching_up, layers.sid));
    // By the RFC, `U` speaks for the layers above this one. Senders also set it, as VP8's `Y`, on pictures of an upper
    // layer that refer to lower ones only: after such a picture, its own layer is sure, those above it are not.
    let switch_to = match (switch_up, temporal) {
        (false, _) => 0,
        (true, 0) => u8::MAX,
        (true, layer) => 1 << layer,
    };
    Info {
        start_of_frame: descriptor.start_of_frame,
        end_of_frame: descriptor.end_of_frame,
        keyframe: descriptor.starts_keyframe(),
        spatial,
        temporal,
        switch_up,
        switch_to,
        spatial_switch_up: !descriptor.inter_picture,
        not_for_upper: descriptor.not_for_upper,
        discardable: false,
        ids: descriptor.ids,
        frame_number: None,
    }
}
