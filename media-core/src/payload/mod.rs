//! Payload formats: start of frame, keyframe, layer. Peek and patch, never decode.
//!
//! [`peek`] is called once per received packet and answers with an [`Info`]; a subscription that must renumber pictures
//! calls [`Ids::write_patched`] once per packet that it sends. Both take a few nanoseconds, allocate nothing and accept
//! any bytes.
//!
//! | file | one idea |
//! |---|---|
//! | [`vp8`] | RFC 7741: payload descriptor |
//! | [`vp9`] | RFC 9628: payload descriptor |
//! | [`h264`] | RFC 6184: NAL unit types, alone, aggregated, fragmented |
//! | [`av1`] | AV1 RTP specification: aggregation header |
//! | [`opus`] | RFC 6716: duration, DTX |
//! | [`picture_id`] | the running numbers of VP8 and VP9, and how to replace them |
//!
//! # End-to-end encrypted payloads
//!
//! What is read here is left in clear by senders that encrypt frames from end to end: the descriptors of VP8 and VP9,
//! the first byte of a VP8 frame, NAL unit headers, the aggregation header, the first byte of Opus.

pub mod av1;
pub mod h264;
pub mod opus;
pub mod picture_id;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

pub use picture_id::{Ids, Patch, PictureId};

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// The codecs that can be routed with knowledge of their payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Codec {
    /// Opus (RFC 7587).
    Opus,
    /// G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
    /// G.722 (RFC 3551 §4.5.2).
    G722,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// H.264 (RFC 6184).
    H264,
    /// AV1 (AV1 RTP specification).
    Av1,
}

impl Codec {
    /// Audio or video.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        match self {
            Self::Opus | Self::Pcmu | Self::Pcma | Self::G722 => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => MediaKind::Video,
        }
    }

    /// The RTP clock, in Hz. G.722 says 8000 though it samples at 16 000 (RFC 3551 §4.5.2).
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => 90_000,
        }
    }
}

/// What one packet says about the picture that it belongs to. Small, `Copy`, made once per received packet.
///
/// What a format cannot tell is `false` or 0; the table says what each one tells.
///
/// | | Opus, G.7xx | VP8 | VP9 | H.264 | AV1 |
/// |---|---|---|---|---|---|
/// | `start_of_frame` | always | yes | yes | may be | may be |
/// | `end_of_frame` | always | no | yes | no | no |
/// | `keyframe` | always | yes | yes | may be | yes |
/// | `temporal` | - | yes | yes | - | - |
/// | `spatial`, `spatial_switch_up`, `not_for_upper` | - | - | yes | - | - |
/// | `switch_up` | - | yes | yes | - | - |
/// | `discardable` | - | yes | no | yes | no |
/// | `ids` | - | yes | yes | - | - |
///
/// "May be": true for each packet that can be the first of its picture, so that it may be true more than once in a row;
/// a change of the RTP timestamp is the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// The first packet of a frame (or of a spatial layer's frame, with SVC).
    pub start_of_frame: bool,
    /// The last packet of a frame (or of a spatial layer's frame, with SVC). Where the format does not tell, the RTP
    /// marker does.
    pub end_of_frame: bool,
    /// The first packet of a frame that can be decoded without any earlier one.
    pub keyframe: bool,
    /// Spatial layer inside one RTP stream (SVC), 0 the lowest.
    pub spatial: u8,
    /// Temporal layer, 0 the lowest.
    pub temporal: u8,
    /// A decoder may go up to this temporal layer here (VP8 `Y`, VP9 switching up, dependency descriptor "switch").
    pub switch_up: bool,
    /// A decoder that has the lower spatial layers of this picture may go up to this spatial layer here: the frame
    /// refers to no earlier picture.
    pub spatial_switch_up: bool,
    /// No higher spatial layer of this picture depends on this one (VP9 `Z`): only its own viewers need it.
    pub not_for_upper: bool,
    /// No other frame depends on this one (VP8 `N`, H.264 `nal_ref_idc` 0): it may be dropped without harm.
    pub discardable: bool,
    /// The running numbers that a router must keep continuous.
    pub ids: Ids,
}

impl Info {
    /// Every packet of sound stands alone.
    const SOUND: Self = Self {
        start_of_frame: true,
        end_of_frame: true,
        keyframe: true,
        spatial: 0,
        temporal: 0,
        switch_up: false,
        spatial_switch_up: false,
        not_for_upper: false,
        discardable: false,
        ids: Ids::NONE,
    };
}

/// Looks at one RTP payload. Nothing to be seen (padding only, cut short) is the default: not a start, not a keyframe,
/// lowest layers.
///
/// About 3 ns, no allocation.
#[inline]
#[must_use]
pub fn peek(codec: Codec, payload: &[u8]) -> Info {
    if payload.is_empty() {
        return Info::default();
    }
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::G722 => Info::SOUND,
        Codec::Vp8 => vp8::peek(payload),
        Codec::Vp9 => vp9::peek(payload),
        Codec::H264 => h264::peek(payload),
        Codec::Av1 => av1::peek(payload),
    }
}
