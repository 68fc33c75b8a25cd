//! Doors for plain RTP: a port for sound and a port for pictures of one participant, for ffmpeg, GStreamer and the like.

use std::net::{IpAddr, Ipv4Addr};

use althing_media_core::payload::Codec;
use serde::{Deserialize, Deserializer, de};

/// One participant who sends plain RTP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RtpIn {
    /// Where.
    pub(crate) room: String,
    /// Who: unique in the room.
    pub(crate) identity: String,
    /// The local address; loopback, as plain RTP proves nothing about its sender.
    #[serde(default = "loopback")]
    pub(crate) listen: IpAddr,
    /// Sound.
    pub(crate) audio: Option<Stream>,
    /// Pictures.
    pub(crate) video: Option<Stream>,
}

/// One port and what comes in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// RTP comes in here, RTCP at the next higher port.
    pub(crate) port: u16,
    #[serde(deserialize_with = "codec")]
    pub(crate) codec: Codec,
    /// The payload type.
    pub(crate) pt: u8,
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

fn codec<'de, D: Deserializer<'de>>(reader: D) -> Result<Codec, D::Error> {
    const NAMES: [(&str, Codec); 8] = [
        ("opus", Codec::Opus),
        ("pcmu", Codec::Pcmu),
        ("pcma", Codec::Pcma),
        ("g722", Codec::G722),
        ("vp8", Codec::Vp8),
        ("vp9", Codec::Vp9),
        ("h264", Codec::H264),
        ("av1", Codec::Av1),
    ];
    let name = String::deserialize(reader)?;
    let found = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, codec)| *codec).ok_or_else(|| {
        let expected = NAMES.map(|(known, _)| known).join(", ");
        de::Error::custom(format_args!("unknown codec `{name}`, expected one of {expected}"))
    })
}
