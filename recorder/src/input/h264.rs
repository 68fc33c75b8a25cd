//! H.264: packets to access units (RFC 6184 §5.6, §5.7.1, §5.8), and what the parameter sets say (ITU-T H.264 §7.3.2.1).
//!
//! Each NAL unit goes behind its length in four bytes. Delimiters and filler are left out. A keyframe whose sender told the
//! parameter sets only once gets them again, so that each keyframe stands alone. Interleaved mode is not here, as no
//! browser offers it.

use althing_media_core::Codec;
use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;
use super::depacketize::{Depacketize, Picture, Torn};
use crate::frame::VideoFormat;

const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const TYPE: u8 = 0x1f;
/// The longest parameter set that is remembered, in bytes; longer ones are none.
const MAX_SET: usize = 1024;
/// Picture parameter sets that are remembered: encoders use one or two.
const MAX_PPS: usize = 8;
/// The most macroblocks on a side of a picture: 16 384 pixels.
const MAX_SIDE: u32 = 1024;

/// The access unit that is being put together, and the parameter sets so far.
#[derive(Debug, Default)]
pub(super) struct H264 {
    /// Where the length of the NAL unit stands whose fragments are coming.
    fragmented: Option<usize>,
    idr: bool,
    slices: bool,
    told: (bool, bool),
    sps: Option<Bytes>,
    pps: Vec<Bytes>,
}

impl Depacketize for H264 {
    fn begin(&mut self) {
        self.fragmented = None;
        self.told = (false, false);
        (self.idr, self.slices) = (false, false);
    }

    fn push(&mut self, payload: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        let (&indicator, rest) = payload.split_first().ok_or(Torn)?;
        match indicator & TYPE {
            FU_A => self.fragment(indicator, rest, picture),
            _ if self.fragmented.is_some() => Err(Torn),
            1..=23 => self.unit(payload, picture),
            STAP_A => self.aggregate(rest, picture),
            _ => Err(Torn),
        }
    }

    fn finish(&mut self, picture: &mut BytesMut) -> Result<Picture, Torn> {
        if self.fragmented.is_some() || !self.slices {
            return Err(Torn);
        }
        if !self.idr {
            return Ok(Picture { keyframe: None });
        }
        let sps = self.sps.clone().ok_or(Torn)?;
        if self.pps.is_empty() {
            return Err(Torn);
        }
        if self.told != (true, true) {
            let slices = picture.split();
            std::iter::once(&sps)
                .chain(&self.pps)
                .for_each(|set| put_unit(set, picture));
            picture.extend_from_slice(&slices);
        }
        let (width, height) = size(&sps).ok_or(Torn)?;
        Ok(Picture {
            keyframe: Some(VideoFormat {
                codec: Codec::H264,
                width,
                height,
                config: record(&sps, &self.pps).ok_or(Torn)?,
            }),
        })
    }
}

impl H264 {
    fn aggregate(&mut self, mut units: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        while !units.is_empty() {
            let (size, rest) = units.split_first_chunk::<2>().ok_or(Torn)?;
            let (unit, rest) = rest
                .split_at_checked(usize::from(u16::from_be_bytes(*size)))
                .ok_or(Torn)?;
            self.unit(unit, picture)?;
            units = rest;
        }
        Ok(())
    }

    fn fragment(&mut self, indicator: u8, rest: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        let (&header, fragment) = rest.split_first().ok_or(Torn)?;
        let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
        if starts == self.fragmented.is_some() {
            return Err(Torn);
        }
        let start = *self.fragmented.get_or_insert(picture.len());
        if starts {
            picture.put_u32(0);
            picture.put_u8(indicator & !TYPE | header & TYPE);
        }
        picture.extend_from_slice(fragment);
        if ends {
            self.fragmented = None;
            let unit = picture.get(start + 4..).ok_or(Torn)?;
            let len = u32::try_from(unit.len()).map_err(|_| Torn)?;
            if self.is_kept(unit)? {
                picture[start..start + 4].copy_from_slice(&len.to_be_bytes());
            } else {
                picture.truncate(start);
            }
        }
        Ok(())
    }

    /// A NAL unit that came whole.
    fn unit(&mut self, unit: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        if self.is_kept(unit)? {
            put_unit(unit, picture);
        }
        Ok(())
    }

    /// Learns what `unit` is; whether it is written.
    fn is_kept(&mut self, unit: &[u8]) -> Result<bool, Torn> {
        let kind = *unit.first().ok_or(Torn)? & TYPE;
        match kind {
            DELIMITER | FILLER => return Ok(false),
            1..=IDR_SLICE => {
                self.slices = true;
                self.idr |= kind == IDR_SLICE;
            }
            SPS if unit.len() <= MAX_SET => {
                if self.sps.as_deref() != Some(unit) {
                    self.sps = Some(Bytes::copy_from_slice(unit));
                    self.pps.clear();
                }
                self.told.0 = true;
            }
            PPS if unit.len() <= MAX_SET => self.remember_pps(unit),
            _ => {}
        }
        Ok(true)
    }

    fn remember_pps(&mut self, unit: &[u8]) {
        self.told.1 = true;
        let id = |set: &[u8]| set.get(1..).and_then(|body| Bits::new(body).unsigned());
        if self.pps.iter().any(|known| known == unit) {
            return;
        }
        self.pps.retain(|known| id(known) != id(unit));
        self.pps.truncate(MAX_PPS - 1);
        self.pps.push(Bytes::copy_from_slice(unit));
    }
}

fn put_unit(unit: &[u8], picture: &mut BytesMut) {
    picture.put_u32(u32::try_from(unit.len()).unwrap_or(u32::MAX));
    picture.extend_from_slice(unit);
}

/// `avcC` (ISO/IEC 14496-15 §5.3.3.1).
fn record(sps: &[u8], pps: &[Bytes]) -> Option<Bytes> {
    let &[_, profile, constraints, level] = sps.first_chunk::<4>()?;
    let mut record = BytesMut::new();
    // Version 1; lengths of four bytes; one SPS.
    record.extend_from_slice(&[1, profile, constraints, level, 0xff, 0xe1]);
    record.put_u16(u16::try_from(sps.len()).ok()?);
    record.extend_from_slice(sps);
    record.put_u8(u8::try_from(pps.len()).ok()?);
    for pps in pps {
        record.put_u16(u16::try_from(pps.len()).ok()?);
        record.extend_from_slice(pps);
    }
    if has_chroma_info(profile) {
        let sps = Sps::parse(sps)?;
        record.extend_from_slice(&[0xfc | sps.chroma & 3, 0xf8 | sps.depth.0 & 7, 0xf8 | sps.depth.1 & 7, 0]);
    }
    Some(record.freeze())
}

/// Width and height in pixels of what is shown.
fn size(sps: &[u8]) -> Option<(u32, u32)> {
    Sps::parse(sps).map(|sps| sps.size)
}

/// The high profiles say how colours are sampled.
fn has_chroma_info(profile: u8) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

struct Sps {
    chroma: u8,
    /// Bits above eight, of brightness and of colour.
    depth: (u8, u8),
    size: (u32, u32),
}

impl Sps {
    fn parse(unit: &[u8]) -> Option<Self> {
        let plain = without_emulation(unit);
        let profile = *plain.get(1)?;
        let mut bits = Bits::new(plain.get(4..)?);
        bits.unsigned()?;
        let (mut chroma, mut depth) = (1, (0, 0));
        let mut separate = false;
        if has_chroma_info(profile) {
            chroma = u8::try_from(bits.unsigned()?).ok().filter(|chroma| *chroma <= 3)?;
            separate = chroma == 3 && bits.bit()?;
            let mut extra = || {
                bits.unsigned()
                    .and_then(|extra| u8::try_from(extra).ok())
                    .filter(|extra| *extra <= 6)
            };
            depth = (extra()?, extra()?);
            bits.skip(1)?;
            if bits.bit()? {
                skip_scaling(&mut bits, if chroma == 3 { 12 } else { 8 })?;
            }
        }
        bits.unsigned()?;
        skip_order(&mut bits)?;
        bits.unsigned()?;
        bits.skip(1)?;
        let side = |blocks: u32| (blocks < MAX_SIDE).then_some((blocks + 1) * 16);
        let width = side(bits.unsigned()?)?;
        let height = side(bits.unsigned()?)?;
        let fields = !bits.bit()?;
        if fields {
            bits.skip(1)?;
        }
        bits.skip(1)?;
        let height = if fields { height * 2 } else { height };
        let mut size = (width, height);
        if bits.bit()? {
            let colour = if separate { 0 } else { chroma };
            let unit_x = if matches!(colour, 1 | 2) { 2 } else { 1 };
            let unit_y = if colour == 1 { 2 } else { 1 } * if fields { 2 } else { 1 };
            let mut crop = |unit: u32| Some(bits.unsigned()?.checked_add(bits.unsigned()?)?.saturating_mul(unit));
            size = (width.checked_sub(crop(unit_x)?)?, height.checked_sub(crop(unit_y)?)?);
        }
        (size.0 > 0 && size.1 > 0).then_some(Self { chroma, depth, size })
    }
}

fn skip_scaling(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.bit()? {
            continue;
        }
        let (mut last, mut next) = (8, 8);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.signed()? + 256).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// `pic_order_cnt_type` and what belongs to it.
fn skip_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.unsigned()? {
        0 => bits.unsigned().map(|_| ()),
        1 => {
            bits.skip(1)?;
            bits.signed()?;
            bits.signed()?;
            let cycle = bits.unsigned().filter(|cycle| *cycle <= 255)?;
            (0..cycle).try_for_each(|_| bits.signed().map(|_| ()))
        }
        _ => Some(()),
    }
}

/// Takes out the bytes that keep start codes from appearing (§7.4.1.1).
fn without_emulation(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}
