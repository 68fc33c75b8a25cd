//! AV1: packets to temporal units (AV1 RTP specification §4.4, §5), and what the sequence header says (AV1 §5.5).
//!
//! Each OBU gets its size, as files want it; temporal delimiters, tile lists and padding are left out. Layers stay together.

use althing_media_core::Codec;
use bytes::{BufMut, Bytes, BytesMut};

use super::MAX_FRAME;
use super::bits::Bits;
use super::depacketize::{Depacketize, Picture, Torn};
use crate::frame::VideoFormat;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
/// OBUs of one temporal unit.
const MAX_OBUS: usize = 512;
/// The longest sequence header that is believed, in bytes.
const MAX_SEQUENCE: usize = 256;

/// The temporal unit that is being put together.
#[derive(Debug, Default)]
pub(super) struct Av1 {
    /// The OBU whose rest is in the next packet.
    open: Option<BytesMut>,
    obus: usize,
    sequence: Option<Bytes>,
    /// The type of the first frame.
    first_frame: Option<u8>,
}

impl Depacketize for Av1 {
    fn begin(&mut self) {
        *self = Self::default();
    }

    fn push(&mut self, payload: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        let (&flags, mut rest) = payload.split_first().ok_or(Torn)?;
        let (mut continues, continued, count) = (flags & 0x80 != 0, flags & 0x40 != 0, usize::from(flags >> 4 & 3));
        if continues != self.open.is_some() {
            return Err(Torn);
        }
        let mut index = 0;
        while !rest.is_empty() {
            index += 1;
            let (element, after) = if index == count {
                (rest, &[][..])
            } else {
                sized(rest).ok_or(Torn)?
            };
            rest = after;
            let goes_on = rest.is_empty() && continued;
            let begun = if std::mem::take(&mut continues) {
                self.open.take()
            } else {
                None
            };
            match begun {
                None if !goes_on => self.obu(element, picture)?,
                begun => {
                    let mut obu = begun.unwrap_or_default();
                    if picture.len() + obu.len() + element.len() > MAX_FRAME {
                        return Err(Torn);
                    }
                    obu.extend_from_slice(element);
                    if goes_on {
                        self.open = Some(obu);
                    } else {
                        self.obu(&obu, picture)?;
                    }
                }
            }
        }
        if index < count || continues || (continued && self.open.is_none()) {
            return Err(Torn);
        }
        Ok(())
    }

    fn finish(&mut self, picture: &mut BytesMut) -> Result<Picture, Torn> {
        if self.open.is_some() || picture.is_empty() {
            return Err(Torn);
        }
        let first = self.first_frame.ok_or(Torn)?;
        // show_existing_frame 0, frame_type KEY_FRAME: the upper three bits are 0.
        let keyframe = match &self.sequence {
            Some(sequence) if first & 0xe0 == 0 => Some(format(sequence).ok_or(Torn)?),
            _ => None,
        };
        Ok(Picture { keyframe })
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.open.as_ref().map_or(0, BytesMut::capacity)
    }
}

impl Av1 {
    /// A whole OBU, with or without its size.
    fn obu(&mut self, obu: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        let Some((&header, rest)) = obu.split_first() else {
            return Ok(());
        };
        self.obus += 1;
        if self.obus > MAX_OBUS {
            return Err(Torn);
        }
        let extended = header & HAS_EXTENSION != 0;
        let (extension, mut body) = rest.split_at_checked(usize::from(extended)).ok_or(Torn)?;
        if header & HAS_SIZE != 0 {
            body = sized(body).ok_or(Torn)?.0;
        }
        let kind = header >> 3 & 0x0f;
        match kind {
            TEMPORAL_DELIMITER | TILE_LIST | PADDING => return Ok(()),
            FRAME_HEADER | FRAME => {
                let first = *body.first().ok_or(Torn)?;
                self.first_frame.get_or_insert(first);
            }
            _ => {}
        }
        let start = picture.len();
        picture.put_u8(header | HAS_SIZE);
        picture.extend_from_slice(extension);
        put_leb128(body.len(), picture);
        picture.extend_from_slice(body);
        if kind == SEQUENCE_HEADER && body.len() <= MAX_SEQUENCE {
            self.sequence = Some(Bytes::copy_from_slice(picture.get(start..).unwrap_or_default()));
        }
        Ok(())
    }
}

/// Splits off what stands behind a size in front.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = leb128(bytes)?;
    rest.split_at_checked(size)
}

/// A size in at most four bytes of 7 bits, the lowest first.
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

fn put_leb128(mut value: usize, out: &mut BytesMut) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

/// What `sequence`, an OBU with its size, says.
fn format(sequence: &[u8]) -> Option<VideoFormat> {
    let extended = sequence.first()? & HAS_EXTENSION != 0;
    let (body, _) = sized(sequence.get(1 + usize::from(extended)..)?)?;
    let header = Sequence::parse(body)?;
    let mut config = BytesMut::with_capacity(4 + sequence.len());
    config.put_u8(0x81);
    config.put_u8(header.profile << 5 | header.level);
    config.put_u8(u8::from(header.tier) << 7 | header.colour);
    config.put_u8(0);
    config.extend_from_slice(sequence);
    Some(VideoFormat {
        codec: Codec::Av1,
        width: header.size.0,
        height: header.size.1,
        config: config.freeze(),
    })
}

/// What `av1C` repeats of the sequence header, and the size.
struct Sequence {
    profile: u8,
    level: u8,
    tier: bool,
    /// `high_bitdepth`, `twelve_bit`, `monochrome`, `chroma_subsampling_x`, `_y`, `chroma_sample_position`, as in `av1C`.
    colour: u8,
    size: (u32, u32),
}

impl Sequence {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(body);
        let profile = u8::try_from(bits.bits(3)?).ok().filter(|profile| *profile <= 2)?;
        bits.skip(1)?;
        let reduced = bits.bit()?;
        let (level, tier) = if reduced {
            (bits.bits(5)?, false)
        } else {
            operating_point(&mut bits)?
        };
        let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
        let size = (bits.bits(width_bits)? + 1, bits.bits(height_bits)? + 1);
        if !reduced {
            if bits.bit()? {
                bits.skip(7)?;
            }
            // Superblocks of 128, filter intra, intra edge filter.
            bits.skip(3)?;
            skip_tools(&mut bits)?;
        } else {
            bits.skip(3)?;
        }
        // Super-resolution, CDEF, restoration.
        bits.skip(3)?;
        Some(Self {
            profile,
            level: u8::try_from(level).ok()?,
            tier,
            colour: colour(&mut bits, profile)?,
            size,
        })
    }
}

/// Timing, decoder model and operating points; level and tier of the first one, which has all layers.
fn operating_point(bits: &mut Bits<'_>) -> Option<(u32, bool)> {
    let mut delay_bits = None;
    if bits.bit()? {
        bits.skip(64)?;
        if bits.bit()? {
            bits.uvlc()?;
        }
        if bits.bit()? {
            delay_bits = Some(bits.bits(5)? + 1);
            bits.skip(42)?;
        }
    }
    let initial_delay = bits.bit()?;
    let mut first = None;
    for _ in 0..=bits.bits(5)? {
        bits.skip(12)?;
        let level = bits.bits(5)?;
        let tier = level > 7 && bits.bit()?;
        if let Some(delay_bits) = delay_bits
            && bits.bit()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if initial_delay && bits.bit()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level, tier));
    }
    first
}

/// From `enable_interintra_compound` to `order_hint_bits_minus_1`.
fn skip_tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(4)?;
    let order_hint = bits.bit()?;
    if order_hint {
        bits.skip(2)?;
    }
    let screen_content = if bits.bit()? { true } else { bits.bit()? };
    if screen_content && !bits.bit()? {
        bits.skip(1)?;
    }
    if order_hint {
        bits.skip(3)?;
    }
    Some(())
}

/// `color_config` (§5.5.2).
fn colour(bits: &mut Bits<'_>, profile: u8) -> Option<u8> {
    let high = bits.bit()?;
    let twelve = profile == 2 && high && bits.bit()?;
    let monochrome = profile != 1 && bits.bit()?;
    let described = if bits.bit()? {
        Some((bits.bits(8)?, bits.bits(8)?, bits.bits(8)?))
    } else {
        None
    };
    let (mut x, mut y, mut position) = (true, true, 0);
    if monochrome {
        bits.skip(1)?;
    } else if described == Some((1, 13, 0)) {
        (x, y) = (false, false);
    } else {
        bits.skip(1)?;
        (x, y) = match profile {
            0 => (true, true),
            1 => (false, false),
            _ if twelve => {
                let x = bits.bit()?;
                (x, x && bits.bit()?)
            }
            _ => (true, false),
        };
        if x && y {
            position = u8::try_from(bits.bits(2)?).ok()?;
        }
    }
    let flags = [high, twelve, monochrome, x, y];
    Some(flags.iter().fold(0, |byte, flag| byte << 1 | u8::from(*flag)) << 2 | position)
}
