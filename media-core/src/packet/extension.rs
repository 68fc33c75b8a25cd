//! Header extensions by meaning: which id stands for what on this transport (RFC 8285 §5), and what the bytes say.

/// The header extensions that this engine reads, writes or passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Extension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRid,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportCc,
    /// Absolute send time, 24 bits of 6.18 fixed point seconds.
    AbsSendTime,
    /// Absolute capture time.
    AbsCaptureTime,
    /// Dependency descriptor (AV1 RTP specification, appendix A).
    DependencyDescriptor,
    /// `urn:3gpp:video-orientation`.
    VideoOrientation,
    /// Playout delay limits.
    PlayoutDelay,
    /// Video content type.
    VideoContentType,
    /// Transmission time offset (RFC 5450).
    TransmissionOffset,
    /// Video timing of libwebrtc.
    VideoTiming,
    /// Colour space of libwebrtc.
    ColorSpace,
    /// Video layers allocation.
    VideoLayersAllocation,
}

const ALL: [(Extension, &str); 15] = [
    (Extension::Mid, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    (Extension::Rid, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
    (
        Extension::RepairedRid,
        "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
    ),
    (Extension::AudioLevel, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (
        Extension::TransportCc,
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ),
    (
        Extension::AbsSendTime,
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    ),
    (
        Extension::AbsCaptureTime,
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    ),
    (
        Extension::DependencyDescriptor,
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    ),
    (Extension::VideoOrientation, "urn:3gpp:video-orientation"),
    (
        Extension::PlayoutDelay,
        "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    ),
    (
        Extension::VideoContentType,
        "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
    ),
    (Extension::TransmissionOffset, "urn:ietf:params:rtp-hdrext:toffset"),
    (
        Extension::VideoTiming,
        "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    ),
    (
        Extension::ColorSpace,
        "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
    ),
    (
        Extension::VideoLayersAllocation,
        "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
    ),
];

impl Extension {
    /// The URI that names the extension in SDP.
    #[must_use]
    pub fn uri(self) -> &'static str {
        ALL[self as usize].1
    }

    /// The extension that `uri` names, `None` for one that nobody here knows.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        ALL.iter()
            .find(|(_, known)| *known == uri)
            .map(|(extension, _)| *extension)
    }

    /// Whether a router passes the element on as it came, under the subscriber's id. The others are made anew per
    /// subscriber (`Mid`, `TransportCc`, `AbsSendTime`), describe the hop from the publisher (`Rid`, `RepairedRid`,
    /// `TransmissionOffset`, `VideoTiming`) or its set of layers (`VideoLayersAllocation`).
    #[must_use]
    pub fn is_forwarded(self) -> bool {
        matches!(
            self,
            Self::AudioLevel
                | Self::AbsCaptureTime
                | Self::DependencyDescriptor
                | Self::VideoOrientation
                | Self::PlayoutDelay
                | Self::VideoContentType
                | Self::ColorSpace
        )
    }
}

/// Which id each extension has for one peer; ids 1 to 255, 0 is "not negotiated".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtensionMap {
    ids: [u8; ALL.len()],
}

impl ExtensionMap {
    /// Nothing negotiated.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same map with `extension` under `id`.
    #[must_use]
    pub fn with(mut self, extension: Extension, id: u8) -> Self {
        self.set(extension, id);
        self
    }

    /// Puts `extension` under `id`; 0 takes it out.
    pub fn set(&mut self, extension: Extension, id: u8) {
        self.ids[extension as usize] = id;
    }

    /// The id of `extension`.
    #[must_use]
    pub fn id(&self, extension: Extension) -> Option<u8> {
        Some(self.ids[extension as usize]).filter(|id| *id != 0)
    }

    /// The extension that has `id`.
    #[must_use]
    pub fn extension(&self, id: u8) -> Option<Extension> {
        if id == 0 {
            return None;
        }
        ALL.iter()
            .zip(self.ids)
            .find(|(_, known)| *known == id)
            .map(|((extension, _), _)| *extension)
    }

    /// All pairs, in the order of [`Extension`].
    pub fn iter(&self) -> impl Iterator<Item = (Extension, u8)> + '_ {
        ALL.iter()
            .zip(self.ids)
            .filter(|(_, id)| *id != 0)
            .map(|((extension, _), id)| (*extension, id))
    }
}

/// Audio level and voice activity of one packet (RFC 6464 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// Level below full scale: 0 is the loudest, 127 digital silence, in -dBov.
    pub minus_dbov: u8,
    /// The sender's voice activity flag.
    pub voice: bool,
}

impl AudioLevel {
    /// Reads the extension's first byte.
    #[must_use]
    pub fn parse(element: &[u8]) -> Option<Self> {
        element.first().map(|byte| Self {
            minus_dbov: byte & 0x7f,
            voice: byte & 0x80 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, (extension, uri)) in ALL.iter().enumerate() {
            assert_eq!(*extension as usize, index);
            assert_eq!(Extension::from_uri(uri), Some(*extension));
        }
    }

    #[test]
    fn maps_both_ways() {
        let map = ExtensionMap::new()
            .with(Extension::Mid, 4)
            .with(Extension::AudioLevel, 1);
        assert_eq!(map.id(Extension::Mid), Some(4));
        assert_eq!(map.id(Extension::Rid), None);
        assert_eq!(map.extension(1), Some(Extension::AudioLevel));
        assert_eq!(map.extension(0), None);
        assert_eq!(map.iter().count(), 2);
    }
}
