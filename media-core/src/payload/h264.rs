//! H.264: where pictures and keyframes begin (RFC 6184 §5; ITU-T H.264 §7.4.1.2.3).
//!
//! ```text
//!     |F|NRI|  type   |   type 1 to 23: one NAL unit · 24: STAP-A · 28: FU-A
//! STAP-A: | 16-bit size | NAL unit | … until the end
//! FU-A:   |S|E|R|  type   | fragment
//! ```
//!
//! No packet says for certain that it is the first of its picture, for parameter sets, SEI and slices may come in one
//! packet or in several. So `start_of_frame` and `keyframe` mean here "may be the first": both can be true for a few
//! packets in a row, and the caller takes a change of the RTP timestamp as the boundary. They are false for what surely
//! goes on: a later fragment, a later slice.
//!
//! A keyframe starts at a sequence parameter set (browsers put one before every IDR picture, aggregated or alone) or at
//! an IDR slice. NAL headers and the first byte after them are in clear with end-to-end encryption. Layers are known
//! only by the dependency descriptor. Not here: FU-B, STAP-B, MTAP (interleaved mode, that no browser offers) and SVC
//! prefixes.

use crate::payload::Info;

const TYPE: u8 = 0x1f;
const REF_IDC: u8 = 0x60;
const SLICE: u8 = 1;
const SLICE_PARTITION_A: u8 = 2;
const SLICE_PARTITION_B: u8 = 3;
const SLICE_PARTITION_C: u8 = 4;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
/// NAL units that are looked at in one aggregate: parameter sets and SEI come first, so few are enough.
const MAX_AGGREGATED: usize = 16;

/// What the packet says; the default when it is cut short. About 5 ns, 8 ns with an aggregate, no allocation.
#[inline]
#[must_use]
pub fn peek(payload: &[u8]) -> Info {
    let Some((&indicator, rest)) = payload.split_first() else {
        return Info::default();
    };
    match indicator & TYPE {
        STAP_A => peek_aggregate(rest),
        FU_A => {
            let Some((&header, fragment)) = rest.split_first() else {
                return Info::default();
            };
            let unit = Unit {
                header: indicator & REF_IDC | header & TYPE,
                first_byte: fragment.first().copied(),
            };
            let starts = header & FU_START != 0;
            Info {
                start_of_frame: starts && unit.may_start_picture(),
                keyframe: starts && unit.may_start_keyframe(),
                discardable: unit.is_discardable(),
                ..Info::default()
            }
        }
        1..=23 => Unit {
            header: indicator,
            first_byte: rest.first().copied(),
        }
        .info(),
        _ => Info::default(),
    }
}

fn peek_aggregate(mut units: &[u8]) -> Info {
    let mut info = Info::default();
    let (mut slices, mut referenced) = (false, false);
    for index in 0..MAX_AGGREGATED {
        let Some((size, rest)) = units.split_first_chunk::<2>() else {
            break;
        };
        let Some((unit, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size))) else {
            break;
        };
        units = rest;
        let Some((&header, body)) = unit.split_first() else {
            continue;
        };
        let unit = Unit {
            header,
            first_byte: body.first().copied(),
        };
        if index == 0 {
            info.start_of_frame = unit.may_start_picture();
        }
        info.keyframe |= info.start_of_frame && unit.may_start_keyframe();
        slices |= unit.is_slice();
        referenced |= unit.is_referenced();
    }
    info.discardable = slices && !referenced;
    info
}

/// The header of a NAL unit and the byte after it.
#[derive(Clone, Copy)]
struct Unit {
    header: u8,
    first_byte: Option<u8>,
}

impl Unit {
    fn info(self) -> Info {
        Info {
            start_of_frame: self.may_start_picture(),
            keyframe: self.may_start_keyframe(),
            discardable: self.is_discardable(),
            ..Info::default()
        }
    }

    fn kind(self) -> u8 {
        self.header & TYPE
    }

    fn is_slice(self) -> bool {
        matches!(self.kind(), SLICE..=IDR_SLICE)
    }

    /// `first_mb_in_slice`, an Exp-Golomb number, is 0: its code is the single bit 1.
    fn is_first_slice(self) -> bool {
        self.first_byte.is_none_or(|byte| byte & 0x80 != 0)
    }

    fn may_start_picture(self) -> bool {
        match self.kind() {
            SLICE | SLICE_PARTITION_A | IDR_SLICE => self.is_first_slice(),
            SLICE_PARTITION_B | SLICE_PARTITION_C => false,
            _ => true,
        }
    }

    fn may_start_keyframe(self) -> bool {
        match self.kind() {
            SPS => true,
            IDR_SLICE => self.is_first_slice(),
            _ => false,
        }
    }

    /// `nal_ref_idc` is not 0: other pictures need this. Always so for parameter sets, never for SEI and delimiters.
    fn is_referenced(self) -> bool {
        self.header & REF_IDC != 0
    }

    fn is_discardable(self) -> bool {
        self.is_slice() && !self.is_referenced()
    }
}
