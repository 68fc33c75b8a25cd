//! VP9: packets to superframes (RFC 9628 §4; VP9 bitstream specification, annex B), and what a keyframe's header says
//! (§6.2, §7.2).
//!
//! The spatial layers of one picture come as frames of their own under one timestamp; a file holds them as one superframe,
//! with an index behind them.

use althing_media_core::Codec;
use althing_media_core::payload::vp9::Descriptor;
use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::depacketize::{Depacketize, Picture, Torn};
use crate::frame::VideoFormat;

/// Frames of one superframe: what its index can count.
const MAX_LAYERS: usize = 8;
const SYNC_CODE: u32 = 0x49_8342;
const RGB: u32 = 7;

/// The layers of a picture.
#[derive(Debug, Default)]
pub(super) struct Vp9 {
    /// Where each layer's frame ends.
    ends: Vec<usize>,
    /// The last packet was the last of its layer.
    complete: bool,
    /// The largest size that the scalability structure names.
    size: Option<(u32, u32)>,
    /// The picture refers to no earlier one.
    intra: bool,
}

impl Depacketize for Vp9 {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn push(&mut self, payload: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        let descriptor = Descriptor::parse(payload).ok_or(Torn)?;
        let at = descriptor.wire_len(payload).ok_or(Torn)?;
        let between = picture.is_empty() || self.complete;
        if descriptor.start_of_frame != between || self.ends.len() >= MAX_LAYERS {
            return Err(Torn);
        }
        if picture.is_empty() {
            self.intra = descriptor.starts_keyframe();
        }
        if descriptor.has_structure {
            self.size = structure_size(&descriptor, payload).or(self.size);
        }
        picture.extend_from_slice(payload.get(at..).ok_or(Torn)?);
        self.complete = descriptor.end_of_frame;
        if self.complete {
            self.ends.push(picture.len());
        }
        Ok(())
    }

    fn finish(&mut self, picture: &mut BytesMut) -> Result<Picture, Torn> {
        if !self.complete || picture.is_empty() {
            return Err(Torn);
        }
        let header = Header::parse(picture).ok_or(Torn)?;
        let keyframe = header.keyframe.filter(|_| self.intra).map(|key| key.format(self.size));
        if self.ends.len() > 1 {
            put_index(&self.ends, picture);
        }
        Ok(Picture { keyframe })
    }
}

/// The index of a superframe: a mark, the sizes, the mark again.
fn put_index(ends: &[usize], picture: &mut BytesMut) {
    let sizes = ends
        .iter()
        .scan(0, |before, end| Some(end - std::mem::replace(before, *end)));
    let mark = 0b1101_1000 | u8::try_from(ends.len() - 1).unwrap_or(0) & 7;
    picture.put_u8(mark);
    sizes.for_each(|size| picture.put_u32_le(u32::try_from(size).unwrap_or(u32::MAX)));
    picture.put_u8(mark);
}

/// Width and height of the highest layer that the scalability structure names (RFC 9628 §4.2.1).
fn structure_size(descriptor: &Descriptor, payload: &[u8]) -> Option<(u32, u32)> {
    let without = Descriptor {
        has_structure: false,
        ..*descriptor
    };
    let at = without.wire_len(payload)?;
    let header = *payload.get(at)?;
    if header & 0x10 == 0 {
        return None;
    }
    let last = at + 1 + usize::from(header >> 5) * 4;
    let &[w0, w1, h0, h1] = payload.get(last..)?.first_chunk::<4>()?;
    let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
    Some((side(w0, w1), side(h0, h1))).filter(|(width, height)| *width > 0 && *height > 0)
}

/// The uncompressed header, as far as it is needed.
struct Header {
    keyframe: Option<Key>,
}

struct Key {
    profile: u32,
    bit_depth: u32,
    color_space: u32,
    full_range: bool,
    subsampling: (bool, bool),
    size: (u32, u32),
}

impl Header {
    fn parse(frame: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(frame);
        if bits.bits(2)? != 2 {
            return None;
        }
        let profile = u32::from(bits.bit()?) | u32::from(bits.bit()?) << 1;
        if profile == 3 && bits.bit()? {
            return None;
        }
        let show_existing = bits.bit()?;
        if show_existing || bits.bit()? {
            return Some(Self { keyframe: None });
        }
        bits.skip(2)?;
        let keyframe = Some(Key::parse(profile, &mut bits)?);
        Some(Self { keyframe })
    }
}

impl Key {
    fn parse(profile: u32, bits: &mut Bits<'_>) -> Option<Self> {
        if bits.bits(24)? != SYNC_CODE {
            return None;
        }
        let bit_depth = match profile {
            0 | 1 => 8,
            _ if bits.bit()? => 12,
            _ => 10,
        };
        let color_space = bits.bits(3)?;
        let (mut full_range, mut subsampling) = (true, (false, false));
        if color_space != RGB {
            full_range = bits.bit()?;
            subsampling = (true, true);
        }
        if profile & 1 == 1 {
            if color_space != RGB {
                subsampling = (bits.bit()?, bits.bit()?);
            }
            bits.skip(1)?;
        }
        let size = (bits.bits(16)? + 1, bits.bits(16)? + 1);
        Some(Self {
            profile,
            bit_depth,
            color_space,
            full_range,
            subsampling,
            size,
        })
    }

    fn format(&self, structure: Option<(u32, u32)>) -> VideoFormat {
        let (width, height) = structure.unwrap_or(self.size);
        VideoFormat {
            codec: Codec::Vp9,
            width,
            height,
            config: self.record((width, height)),
        }
    }

    /// `vpcC`, without version and flags.
    fn record(&self, size: (u32, u32)) -> Bytes {
        let subsampling = match self.subsampling {
            (true, true) => 1,
            (true, false) => 2,
            _ => 3,
        };
        // Colour primaries, transfer and matrix in the numbers of ISO/IEC 23091-2; 2 is "not said".
        let (primaries, transfer, matrix) = match self.color_space {
            1 => (6, 6, 6),
            2 => (1, 1, 1),
            3 => (6, 6, 6),
            4 => (7, 7, 7),
            5 => (9, 14, 9),
            RGB => (1, 13, 0),
            _ => (2, 2, 2),
        };
        let low = |value: u32| u8::try_from(value).unwrap_or(0);
        Bytes::copy_from_slice(&[
            low(self.profile),
            level(size),
            low(self.bit_depth) << 4 | subsampling << 1 | u8::from(self.full_range),
            primaries,
            transfer,
            matrix,
            0,
            0,
        ])
    }
}

/// The lowest level that allows pictures of this size, at the usual 30 a second.
fn level((width, height): (u32, u32)) -> u8 {
    const LEVELS: [(u64, u8); 9] = [
        (36_864, 10),
        (73_728, 11),
        (122_880, 20),
        (245_760, 21),
        (552_960, 30),
        (983_040, 31),
        (2_228_224, 40),
        (8_912_896, 50),
        (35_651_584, 60),
    ];
    let area = u64::from(width) * u64::from(height);
    LEVELS
        .iter()
        .find(|(most, _)| area <= *most)
        .map_or(62, |(_, level)| *level)
}
