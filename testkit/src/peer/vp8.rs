//! VP8-shaped payloads: a real payload descriptor (RFC 7741 §4.2) and the first bytes of a frame, then a [`Body`].
//!
//! Written and read here apart from the product's own code, so that each is a check on the other. Only the form that
//! browsers send: 15-bit picture id, `TL0PICIDX`, `TID`.

use super::body::Body;

/// Descriptor with 15-bit picture id, TL0PICIDX and TID.
const DESCRIPTOR: usize = 6;
/// First bytes of a keyframe: tag, start code, width and height (RFC 6386 §9.1). Other frames have the tag alone.
const KEYFRAME_HEADER: [u8; 10] = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
const INTER_HEADER: [u8; 3] = [0x11, 0, 0];

/// The numbers of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vp8 {
    /// First packet of the frame.
    pub start: bool,
    /// Nobody refers to the frame.
    pub non_reference: bool,
    /// 15 bits.
    pub picture_id: u16,
    /// Counts the frames of the base layer.
    pub tl0_pic_idx: u8,
    /// Temporal layer.
    pub tid: u8,
    /// Refers to the base layer only.
    pub sync: bool,
    /// Keyframe; known on the first packet only.
    pub keyframe: bool,
}

impl Vp8 {
    /// Appends a payload that ends with `len` bytes of `body`.
    pub fn write(&self, body: &Body, len: usize, out: &mut Vec<u8>) {
        let flags = 0x80 | u8::from(self.non_reference) << 5 | u8::from(self.start) << 4;
        let [id0, id1] = (self.picture_id | 0x8000).to_be_bytes();
        out.extend_from_slice(&[
            flags,
            0xe0,
            id0,
            id1,
            self.tl0_pic_idx,
            self.tid << 6 | u8::from(self.sync) << 5,
        ]);
        match (self.start, self.keyframe) {
            (false, _) => {}
            (true, true) => out.extend_from_slice(&KEYFRAME_HEADER),
            (true, false) => out.extend_from_slice(&INTER_HEADER),
        }
        body.write(len, out);
    }

    /// Reads a payload of that form; `None` for any other, or when a byte of the body differs.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<(Self, Body)> {
        let (&[flags, present, id0, id1, tl0_pic_idx, layer], rest) = payload.split_first_chunk::<DESCRIPTOR>()?;
        if flags & 0x8f != 0x80 || present != 0xe0 || id0 & 0x80 == 0 {
            return None;
        }
        let start = flags & 0x10 != 0;
        let keyframe = start && rest.first()? & 1 == 0;
        let header: &[u8] = match (start, keyframe) {
            (false, _) => &[],
            (true, true) => &KEYFRAME_HEADER,
            (true, false) => &INTER_HEADER,
        };
        let body = Body::read(rest.strip_prefix(header)?)?;
        let vp8 = Self {
            start,
            non_reference: flags & 0x20 != 0,
            picture_id: u16::from_be_bytes([id0 & 0x7f, id1]),
            tl0_pic_idx,
            tid: layer >> 6,
            sync: layer & 0x20 != 0,
            keyframe,
        };
        Some((vp8, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let body = Body {
            encoding: 0,
            temporal: 1,
            frame: 5,
            reference: 4,
            index: 0,
            count: 2,
            captured: 9,
        };
        for bits in 0..32_u8 {
            let vp8 = Vp8 {
                start: bits & 1 != 0,
                non_reference: bits & 2 != 0,
                picture_id: 0x1234,
                tl0_pic_idx: 200,
                tid: bits >> 3,
                sync: bits & 4 != 0,
                keyframe: bits & 1 != 0 && bits & 8 != 0,
            };
            let mut payload = Vec::new();
            vp8.write(&body, 60, &mut payload);
            assert_eq!(Vp8::read(&payload), Some((vp8, body)));
        }
    }
}
