//! VP8: packets to frames (RFC 7741 §4), and the size in a keyframe's header (RFC 6386 §9.1).

use althing_media_core::Codec;
use althing_media_core::payload::vp8::Descriptor;
use bytes::{Bytes, BytesMut};

use super::depacketize::{Depacketize, Picture, Torn};
use crate::frame::VideoFormat;

const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

/// No state beyond the bytes of the frame.
#[derive(Debug, Default)]
pub(super) struct Vp8;

impl Depacketize for Vp8 {
    fn begin(&mut self) {}

    fn push(&mut self, payload: &[u8], picture: &mut BytesMut) -> Result<(), Torn> {
        let descriptor = Descriptor::parse(payload).ok_or(Torn)?;
        let starts = descriptor.start_of_partition && descriptor.partition == 0;
        if starts != picture.is_empty() {
            return Err(Torn);
        }
        picture.extend_from_slice(payload.get(descriptor.len..).ok_or(Torn)?);
        Ok(())
    }

    fn finish(&mut self, picture: &mut BytesMut) -> Result<Picture, Torn> {
        let tag = *picture.first().ok_or(Torn)?;
        let keyframe = if tag & 1 == 0 { Some(format(picture)?) } else { None };
        Ok(Picture { keyframe })
    }
}

/// A keyframe's header.
fn format(frame: &[u8]) -> Result<VideoFormat, Torn> {
    let &[_, _, _, a, b, c, w0, w1, h0, h1] = frame.first_chunk::<10>().ok_or(Torn)?;
    // The upper two bits say how to scale for display; nobody does.
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    let (width, height) = (side(w0, w1), side(h0, h1));
    if [a, b, c] != START_CODE || width == 0 || height == 0 {
        return Err(Torn);
    }
    Ok(VideoFormat {
        codec: Codec::Vp8,
        width,
        height,
        config: Bytes::new(),
    })
}
