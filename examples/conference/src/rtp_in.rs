//! Doors for plain RTP: a port for sound and a port for pictures of one participant, for ffmpeg, GStreamer and the like.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use althing_media_core::config::{CodecParams, TrackConfig};
use althing_media_core::payload::Codec;
use althing_media_core::transport::{PlainConfig, PlainRtcp};
use althing_media_core::{EndpointConfig, ExtensionMap, Pt, Router};
use althing_media_net::Worker;
use althing_signalling::room::{Permissions, Profile};
use althing_signalling::sdp::{CodecSpec, H264Profile};
use althing_signalling::{Guest, GuestError, GuestTransport, Signalling};
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
    #[serde(deserialize_with = "payload_type")]
    pub(crate) pt: u8,
}

/// Opens a door; it stays open as long as what is returned lives.
///
/// # Errors
/// A port is in use, or the room takes nobody in.
pub(crate) async fn open(signalling: &Signalling, door: &RtpIn) -> Result<Guest, GuestError> {
    let profile = Profile {
        identity: door.identity.clone(),
        permissions: Permissions {
            publish: true,
            ..Permissions::default()
        },
        ..Profile::default()
    };
    let (listen, streams) = (door.listen, [door.audio, door.video]);
    let open = move |worker: &Worker<Router>| {
        streams
            .into_iter()
            .flatten()
            .map(|stream| stream.open(worker, listen))
            .collect::<io::Result<Vec<_>>>()
    };
    let guest = signalling.admit(&door.room, &profile, open).await?;
    for (what, stream) in [("sound", door.audio), ("picture", door.video)] {
        if let Some(stream) = stream {
            let address = SocketAddr::new(listen, stream.port);
            tracing::info!(room = door.room, identity = door.identity, %address, codec = ?stream.codec, "RTP door for {what}");
        }
    }
    Ok(guest)
}

impl Stream {
    /// Two sockets on the worker: RTP, and RTCP one port higher (RFC 3550 §11).
    fn open(self, worker: &Worker<Router>, listen: IpAddr) -> io::Result<GuestTransport> {
        let named = |port: u16| {
            let address = SocketAddr::new(listen, port);
            worker
                .open_udp(address)
                .map_err(|error| io::Error::new(error.kind(), format!("UDP {address}: {error}")))
        };
        let above = self
            .port
            .checked_add(1)
            .ok_or_else(|| io::Error::other("there is no port above 65535 for RTCP"))?;
        let plain = PlainConfig {
            local: named(self.port)?,
            remote: None,
            rtcp: Some(PlainRtcp {
                local: named(above)?,
                remote: None,
            }),
            keys: None,
        };
        let track = TrackConfig {
            mid: None,
            kind: self.codec.kind(),
            codecs: vec![CodecParams::new(self.codec, Pt::new(self.pt))],
            extensions: ExtensionMap::new(),
            rids: Default::default(),
            streams: Default::default(),
            nack: false,
            transport_cc: false,
            encrypted: false,
        };
        // Decoders that do this profile do what ffmpeg makes by default as well; no SDP says more.
        let h264 = (self.codec == Codec::H264).then_some(H264Profile::ConstrainedBaseline);
        let codec = CodecSpec {
            codec: self.codec,
            h264,
        };
        Ok(GuestTransport {
            endpoint: EndpointConfig::Plain(plain),
            tracks: vec![(track, codec)],
        })
    }
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

fn payload_type<'de, D: Deserializer<'de>>(reader: D) -> Result<u8, D::Error> {
    let number = i64::deserialize(reader)?;
    let known = u8::try_from(number).ok().filter(|number| *number < 128);
    known.ok_or_else(|| de::Error::custom(format_args!("{number} is no payload type, expected 0 to 127")))
}
