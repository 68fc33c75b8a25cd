//! What the codecs of pictures have in common: packets are put together to a picture, then its headers are read.
//!
//! The packets come in order and belong to one timestamp; whoever calls knows where a picture ends, and drops it when
//! anything is missing. One file for each codec; none of them decodes.

use std::fmt;

use bytes::BytesMut;

use crate::frame::VideoFormat;

/// The picture cannot be put together, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Torn;

/// What the headers of a whole picture say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// A keyframe, and the format that begins with it; `None` for any other picture.
    pub(super) keyframe: Option<VideoFormat>,
}

/// One payload format.
pub(super) trait Depacketize: fmt::Debug + Send {
    /// Begins a picture: what is left of the one before is forgotten.
    fn begin(&mut self);

    /// Appends what the next packet holds to `picture`. Any bytes are accepted; never appends more than the payload's
    /// length and some bytes of framing for each unit in it.
    fn push(&mut self, payload: &[u8], picture: &mut BytesMut) -> Result<(), Torn>;

    /// The last packet has come: finishes the bytes and reads the headers.
    fn finish(&mut self, picture: &mut BytesMut) -> Result<Picture, Torn>;

    /// Bytes that it keeps beside the picture.
    #[cfg(test)]
    fn held(&self) -> usize {
        0
    }
}
