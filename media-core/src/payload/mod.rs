//! Payload formats: start of frame, keyframe, layer. Peek and patch, never decode.
//!
//! [`peek`] is called once per received packet and answers with an [`Info`]; a subscription that must renumber pictures
//! calls [`Ids::write_patched`] once per packet that it sends. Both take some nanoseconds, allocate nothing and accept
//! any bytes.
//!
//! | file | one idea |
//! |---|---|
//! | [`vp8`] | RFC 7741: payload descriptor |
//! | [`vp9`] | RFC 9628: payload descriptor |
//! | [`h264`] | RFC 6184: NAL unit types, alone, aggregated, fragmented |
//! | [`av1`] | AV1 RTP specification: aggregation header |
//! | [`dependency_descriptor`] | AV1 RTP specification, appendix A: the same and more, from a header extension |
//! | [`opus`] | RFC 6716: duration, DTX |
//! | [`red`] | RFC 2198: packets of sound within one |
//! | [`picture_id`] | the running numbers of VP8 and VP9, and how to replace them |
//!
//! # End-to-end encrypted payloads
//!
//! What is read here is left in clear by senders that encrypt frames from end to end: the descriptors of VP8 and VP9,
//! the first byte of a VP8 frame, NAL unit headers, the aggregation header, the first byte of Opus. Where a sender
//! encrypts more, or the codec shows no layers, the dependency descriptor tells all, and has precedence.

pub mod av1;
pub mod dependency_descriptor;
pub mod h264;
pub mod opus;
pub mod picture_id;
pub mod red;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

pub use dependency_descriptor::DependencyState;
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
/// What a format cannot tell is `false` or 0; the table says what each one tells. The last column is the dependency
/// descriptor, with any video codec.
///
/// | | Opus, G.7xx | VP8 | VP9 | H.264 | AV1 | descriptor |
/// |---|---|---|---|---|---|---|
/// | `start_of_frame` | always | yes | yes | may be | may be | yes |
/// | `end_of_frame` | always | no | yes | no | no | yes |
/// | `keyframe` | always | yes | yes | may be | yes | yes |
/// | `temporal`, `switch_up`, `switch_to` | - | yes | yes | - | - | yes |
/// | `spatial`, `spatial_switch_up`, `not_for_upper` | - | - | yes | - | - | yes |
/// | `discardable` | - | yes | no | yes | no | yes |
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
    /// A decoder may go up to this temporal layer here: `switch_to` has this layer or a higher one.
    pub switch_up: bool,
    /// The temporal layers that a decoder may go up to here (VP8 `Y`, VP9 switching up, dependency descriptor
    /// "switch"): bit n for layer n and those below. See [`Self::raised`].
    pub switch_to: u8,
    /// A decoder that has the lower spatial layers of this picture may go up to this spatial layer here: the frame
    /// refers to no earlier picture.
    pub spatial_switch_up: bool,
    /// No higher spatial layer depends on this frame (VP9 `Z`): only those who see this layer need it.
    pub not_for_upper: bool,
    /// No other frame depends on this one (VP8 `N`, H.264 `nal_ref_idc` 0): it may be dropped without harm.
    pub discardable: bool,
    /// The running numbers that a router keeps continuous: VP8 and VP9 have them.
    pub ids: Ids,
    /// The dependency descriptor's running number of the frame.
    pub frame_number: Option<u16>,
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
        switch_to: 0,
        spatial_switch_up: false,
        not_for_upper: false,
        discardable: false,
        ids: Ids::NONE,
        frame_number: None,
    };

    /// The highest temporal layer, not above `target`, that may be carried from this frame on by one who carried the
    /// layers up to `limit` so far.
    #[inline]
    #[must_use]
    pub fn raised(&self, limit: u8, target: u8) -> u8 {
        if self.keyframe {
            return target;
        }
        let wanted = self.switch_to & (u8::MAX >> 7_u8.saturating_sub(target));
        wanted
            .checked_ilog2()
            .and_then(|layer| u8::try_from(layer).ok())
            .map_or(limit, |layer| layer.max(limit))
    }
}

/// Looks at one RTP payload. Nothing to be seen (padding only, cut short) is the default: not a start, not a keyframe,
/// lowest layers.
///
/// About 7 ns, no allocation.
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

/// As [`peek`], and looks at the packet's dependency descriptor, if it has one, with the state of its stream: what that
/// says has precedence.
///
/// About 15 ns with a descriptor, no allocation but for a new structure (see [`DependencyState::read`]).
#[inline]
#[must_use]
pub fn peek_with_descriptor(
    codec: Codec,
    payload: &[u8],
    descriptor: Option<&[u8]>,
    state: &mut DependencyState,
) -> Info {
    let info = peek(codec, payload);
    match descriptor {
        Some(element) if codec.kind() == MediaKind::Video && !payload.is_empty() => state.refine(element, info),
        _ => info,
    }
}
