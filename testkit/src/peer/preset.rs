//! The usual cast: cameras, microphones and viewers, as a browser would negotiate them.

use althing_media_core::config::LayerTarget;
use althing_media_core::packet::{Extension, ExtensionMap, Mid, Pt, Rid, Ssrc};
use althing_media_core::{Codec, CodecParams, StreamIds};

use super::receive::ReceiveConfig;
use super::send::{EncodingConfig, SendConfig};
use super::source::{AudioPattern, Pattern, VideoPattern};

/// VP8 with RTX, as a publisher numbers it.
pub const VP8: CodecParams = CodecParams {
    codec: Codec::Vp8,
    pt: Pt::new(96),
    rtx: Some(Pt::new(97)),
    red: None,
    fec: None,
};
/// VP8 with RTX and FEC, as a publisher numbers it; its stream needs [`with_fec`].
pub const VP8_WITH_FEC: CodecParams = CodecParams {
    fec: Some(Pt::new(49)),
    ..VP8
};
/// VP8 with RTX and FEC, as a watcher numbers it; its stream needs [`with_fec`].
pub const WATCHED_VP8_WITH_FEC: CodecParams = CodecParams {
    fec: Some(Pt::new(50)),
    ..WATCHED_VP8
};
/// Opus, as a publisher numbers it.
pub const OPUS: CodecParams = CodecParams::new(Codec::Opus, Pt::new(111));
/// VP8 with RTX, as a watcher numbers it: others than the publisher, so that the router has to translate.
pub const WATCHED_VP8: CodecParams = CodecParams {
    codec: Codec::Vp8,
    pt: Pt::new(100),
    rtx: Some(Pt::new(101)),
    red: None,
    fec: None,
};
/// Opus, as a watcher numbers it.
pub const WATCHED_OPUS: CodecParams = CodecParams::new(Codec::Opus, Pt::new(109));
/// Opus that comes with redundancy, as a publisher numbers it.
pub const OPUS_WITH_RED: CodecParams = CodecParams {
    red: Some(Pt::new(63)),
    ..OPUS
};

/// Opus that may come with redundancy, as a watcher numbers it.
pub const WATCHED_OPUS_WITH_RED: CodecParams = CodecParams {
    red: Some(Pt::new(64)),
    ..WATCHED_OPUS
};

/// Names of simulcast encodings, the lowest first.
const RIDS: [&str; 4] = ["q", "h", "f", "x"];

/// The stream with FEC under the SSRC two behind its own.
#[must_use]
pub fn with_fec(stream: StreamIds) -> StreamIds {
    StreamIds {
        fec: Some(Ssrc(stream.ssrc.0 + 2)),
        ..stream
    }
}

/// The extensions of a publisher.
#[must_use]
pub fn publisher_extensions() -> ExtensionMap {
    ExtensionMap::new()
        .with(Extension::Mid, 4)
        .with(Extension::Rid, 10)
        .with(Extension::RepairedRid, 11)
        .with(Extension::AudioLevel, 1)
        .with(Extension::TransportCc, 3)
}

/// The extensions of a watcher, under other ids.
#[must_use]
pub fn watcher_extensions() -> ExtensionMap {
    ExtensionMap::new()
        .with(Extension::Mid, 9)
        .with(Extension::AudioLevel, 2)
        .with(Extension::TransportCc, 6)
}

/// A camera with `encodings` simulcast encodings (1 for none), in media section `mid` or, without, told by SSRC.
/// Its SSRCs are `ssrc` and those that follow.
#[must_use]
pub fn camera(mid: Option<&str>, ssrc: u32, encodings: u8, pattern: VideoPattern) -> SendConfig {
    let named = mid.is_some() && encodings > 1;
    SendConfig {
        mid: mid.and_then(Mid::new),
        codec: VP8,
        extensions: if mid.is_some() {
            publisher_extensions()
        } else {
            ExtensionMap::new()
        },
        pattern: Pattern::Video(pattern),
        encodings: (0..u32::from(encodings.max(1)))
            .zip(RIDS)
            .map(|(index, rid)| EncodingConfig {
                rid: Rid::new(rid).filter(|_| named),
                stream: StreamIds::new(Ssrc(ssrc + index * 2)).with_rtx(Some(Ssrc(ssrc + index * 2 + 1))),
            })
            .collect(),
        cname: format!("peer-{ssrc}"),
    }
}

/// A microphone.
#[must_use]
pub fn microphone(mid: Option<&str>, ssrc: u32, cname: &str) -> SendConfig {
    SendConfig {
        mid: mid.and_then(Mid::new),
        codec: OPUS,
        extensions: if mid.is_some() {
            publisher_extensions()
        } else {
            ExtensionMap::new().with(Extension::AudioLevel, 1)
        },
        pattern: Pattern::Audio(AudioPattern::default()),
        encodings: vec![EncodingConfig {
            rid: None,
            stream: StreamIds::new(Ssrc(ssrc)),
        }],
        cname: cname.to_owned(),
    }
}

/// A viewer of pictures, with retransmission.
#[must_use]
pub fn screen(mid: Option<&str>, ssrc: u32) -> ReceiveConfig {
    let stream = StreamIds::new(Ssrc(ssrc)).with_rtx(Some(Ssrc(ssrc + 1)));
    receiver(mid, stream, WATCHED_VP8)
}

/// A listener.
#[must_use]
pub fn loudspeaker(mid: Option<&str>, ssrc: u32) -> ReceiveConfig {
    receiver(mid, StreamIds::new(Ssrc(ssrc)), WATCHED_OPUS)
}

fn receiver(mid: Option<&str>, stream: StreamIds, codec: CodecParams) -> ReceiveConfig {
    ReceiveConfig {
        mid: mid.and_then(Mid::new),
        stream,
        codecs: vec![codec],
        extensions: if mid.is_some() {
            watcher_extensions()
        } else {
            ExtensionMap::new().with(Extension::AudioLevel, 2)
        },
        cname: "router".to_owned(),
        nack: true,
        ccfb: false,
        pli: true,
        view: true,
        layers: LayerTarget::BEST,
    }
}
