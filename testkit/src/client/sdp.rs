//! Just enough SDP (RFC 8866, RFC 9429) to offer synthetic media and to understand the answer.

use std::fmt::{self, Write};

use althing_media_core::packet::{Extension, ExtensionMap, Ssrc};
use althing_media_core::transport::{Candidate, Fingerprint, IceCreds, LocalDescription, RemoteDescription, Setup};
use althing_media_core::{Codec, CodecParams, MediaKind, StreamIds};

use crate::peer::{ReceiveConfig, SendConfig};

/// One media section of an offer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Media<'a> {
    /// We send.
    Send(&'a SendConfig),
    /// We receive.
    Receive(&'a ReceiveConfig),
}

impl Media<'_> {
    fn codecs(&self) -> &[CodecParams] {
        match self {
            Self::Send(config) => std::slice::from_ref(&config.codec),
            Self::Receive(config) => &config.codecs,
        }
    }

    fn extensions(&self) -> &ExtensionMap {
        match self {
            Self::Send(config) => &config.extensions,
            Self::Receive(config) => &config.extensions,
        }
    }
}

/// An offer with one section per entry of `media`, named 0, 1, ….
#[must_use]
pub fn offer(local: &LocalDescription, media: &[Media<'_>]) -> String {
    let mut text = String::from("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    let mids: Vec<String> = (0..media.len()).map(|index| index.to_string()).collect();
    line(&mut text, format_args!("a=group:BUNDLE {}", mids.join(" ")));
    line(&mut text, format_args!("a=extmap-allow-mixed"));
    for (mid, media) in mids.iter().zip(media) {
        section(&mut text, local, mid, media);
    }
    text
}

/// Writing to a string does not fail.
fn line(text: &mut String, arguments: fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
    text.push_str("\r\n");
}

fn section(text: &mut String, local: &LocalDescription, mid: &str, media: &Media<'_>) {
    let codecs = media.codecs();
    let video = codecs
        .first()
        .is_some_and(|codec| codec.codec.kind() == MediaKind::Video);
    let kind = if video { "video" } else { "audio" };
    let pts: Vec<String> = codecs
        .iter()
        .flat_map(|codec| [Some(codec.pt), codec.rtx])
        .flatten()
        .map(|pt| pt.value().to_string())
        .collect();
    line(text, format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF {}", pts.join(" ")));
    line(text, format_args!("c=IN IP4 0.0.0.0"));
    line(text, format_args!("a=mid:{mid}"));
    line(text, format_args!("a=ice-ufrag:{}", local.ice.ufrag));
    line(text, format_args!("a=ice-pwd:{}", local.ice.pwd));
    line(text, format_args!("a=fingerprint:{}", local.fingerprint));
    line(text, format_args!("a=setup:{}", local.setup));
    line(text, format_args!("a=rtcp-mux\r\na=rtcp-rsize"));
    for candidate in &local.candidates {
        line(text, format_args!("a={candidate}"));
    }
    for (extension, id) in media.extensions().iter() {
        line(text, format_args!("a=extmap:{id} {}", extension.uri()));
    }
    for codec in codecs {
        format(text, codec);
    }
    match media {
        Media::Receive(_) => line(text, format_args!("a=recvonly")),
        Media::Send(config) => {
            line(text, format_args!("a=sendonly\r\na=msid:- {mid}"));
            sources(text, config);
        }
    }
}

fn format(text: &mut String, codec: &CodecParams) {
    let pt = codec.pt.value();
    let name = match codec.codec {
        Codec::Opus => "opus/48000/2",
        Codec::Pcmu => "PCMU/8000",
        Codec::Pcma => "PCMA/8000",
        Codec::G722 => "G722/8000",
        Codec::Vp9 => "VP9/90000",
        Codec::H264 => "H264/90000",
        Codec::Av1 => "AV1/90000",
        _ => "VP8/90000",
    };
    line(
        text,
        format_args!("a=rtpmap:{pt} {name}\r\na=rtcp-fb:{pt} transport-cc"),
    );
    if codec.codec.kind() == MediaKind::Video {
        for feedback in ["ccm fir", "nack", "nack pli"] {
            line(text, format_args!("a=rtcp-fb:{pt} {feedback}"));
        }
    }
    if let Some(rtx) = codec.rtx {
        let rtx = rtx.value();
        line(text, format_args!("a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={pt}"));
    }
}

/// With several encodings their names, with one its SSRCs.
fn sources(text: &mut String, config: &SendConfig) {
    let rids: Vec<&str> = config
        .encodings
        .iter()
        .filter_map(|e| e.rid.as_ref())
        .map(|rid| rid.0.as_str())
        .collect();
    if !rids.is_empty() {
        for rid in &rids {
            line(text, format_args!("a=rid:{rid} send"));
        }
        line(text, format_args!("a=simulcast:send {}", rids.join(";")));
        return;
    }
    let cname = &config.cname;
    for encoding in &config.encodings {
        let ssrc = encoding.stream.ssrc.0;
        if let Some(Ssrc(rtx)) = encoding.stream.rtx {
            line(
                text,
                format_args!("a=ssrc-group:FID {ssrc} {rtx}\r\na=ssrc:{rtx} cname:{cname}"),
            );
        }
        line(text, format_args!("a=ssrc:{ssrc} cname:{cname}"));
    }
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its transport.
    pub remote: RemoteDescription,
    /// Where it can be reached.
    pub candidates: Vec<Candidate>,
    /// As many as were offered, in that order.
    pub sections: Vec<Section>,
}

/// What a server answered to one section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// Its port is not 0.
    pub accepted: bool,
    /// The ids of the header extensions.
    pub extensions: ExtensionMap,
    /// The SSRCs that it will send.
    pub stream: Option<StreamIds>,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`SdpError`] when what every session needs is missing.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let (mut ufrag, mut pwd, mut fingerprint, mut setup, mut ice_lite) = (None, None, None, None, false);
        let (mut candidates, mut sections) = (Vec::new(), Vec::<Section>::new());
        for line in text.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                let accepted = media.split(' ').nth(1).is_some_and(|port| port != "0");
                sections.push(Section {
                    accepted,
                    ..Section::default()
                });
            }
            let Some(attribute) = line.strip_prefix("a=") else {
                continue;
            };
            let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            match name {
                "ice-ufrag" => ufrag = Some(value.to_owned()),
                "ice-pwd" => pwd = Some(value.to_owned()),
                "fingerprint" => fingerprint = Fingerprint::parse(value).or(fingerprint),
                "setup" => setup = Setup::parse(value).or(setup),
                "ice-lite" => ice_lite = true,
                "candidate" => candidates.extend(attribute.parse::<Candidate>().ok()),
                _ => {
                    if let Some(section) = sections.last_mut() {
                        section.read(name, value);
                    }
                }
            }
        }
        let ice = ufrag.zip(pwd).map(|(ufrag, pwd)| IceCreds { ufrag, pwd });
        let (Some(ice), Some(fingerprint), Some(setup)) = (ice, fingerprint, setup) else {
            return Err(SdpError::Transport);
        };
        Ok(Self {
            remote: RemoteDescription {
                ice,
                ice_lite,
                fingerprint,
                setup,
            },
            candidates,
            sections,
        })
    }
}

impl Section {
    fn read(&mut self, name: &str, value: &str) {
        let mut words = value.split(' ');
        let first = words.next().unwrap_or_default();
        let numbers = || value.split(' ').filter_map(|word| word.parse().ok()).map(Ssrc);
        match name {
            "extmap" => {
                let id = first.split('/').next().and_then(|id| id.parse().ok());
                let extension = words.next().and_then(Extension::from_uri);
                if let (Some(id), Some(extension)) = (id, extension) {
                    self.extensions.set(extension, id);
                }
            }
            "ssrc-group" if first == "FID" => {
                self.stream = numbers()
                    .next()
                    .map(|ssrc| StreamIds::new(ssrc).with_rtx(numbers().nth(1)));
            }
            "ssrc" if self.stream.is_none() => {
                self.stream = numbers().next().map(StreamIds::new);
            }
            _ => {}
        }
    }
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpError {
    /// No ICE credentials, no fingerprint or no DTLS role.
    Transport,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ICE credentials, fingerprint or setup are missing")
    }
}

impl std::error::Error for SdpError {}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use althing_media_core::config::LocalAddress;
    use althing_media_core::time::NtpTime;
    use althing_media_core::transport::{Certificate, Protocol};

    use super::*;
    use crate::peer::preset::{VP8, camera, microphone, screen};
    use crate::peer::{Peer, VideoPattern};

    fn description() -> LocalDescription {
        let socket = ([127, 0, 0, 1], 5000).into();
        let local = LocalAddress {
            protocol: Protocol::Udp,
            socket,
            advertised: socket,
        };
        let certificate = Certificate::generate().unwrap();
        let wall = NtpTime::from_unix(Duration::from_secs(1));
        Peer::web_rtc(Instant::now(), 1, wall, local, &certificate)
            .local_description()
            .unwrap()
    }

    #[test]
    fn an_offer_says_what_is_sent() {
        let (audio, video) = (
            microphone(Some("0"), 1, "me"),
            camera(Some("1"), 10, 3, VideoPattern::default()),
        );
        let text = offer(&description(), &[Media::Send(&audio), Media::Send(&video)]);
        for expected in [
            "a=group:BUNDLE 0 1\r\n",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n",
            "a=fmtp:97 apt=96\r\n",
            "a=ssrc:1 cname:me\r\n",
            "a=simulcast:send q;h;f\r\n",
            "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
            "127.0.0.1 5000 typ host",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert!(!text.contains("ssrc-group"));
    }

    #[test]
    fn an_offer_reads_as_an_answer() {
        let mut receiver = screen(Some("0"), 7);
        receiver.codecs = vec![VP8];
        let video = camera(Some("0"), 10, 1, VideoPattern::default());
        let local = description();
        let answer = Answer::parse(&offer(&local, &[Media::Send(&video), Media::Receive(&receiver)])).unwrap();
        assert_eq!(
            (answer.remote.ice, answer.remote.fingerprint),
            (local.ice, local.fingerprint)
        );
        assert_eq!(answer.candidates.len(), 2 * local.candidates.len());
        let [sending, receiving] = &answer.sections[..] else {
            panic!("two sections")
        };
        assert_eq!(sending.stream, Some(video.encodings[0].stream));
        assert_eq!(
            (sending.extensions, receiving.extensions),
            (video.extensions, receiver.extensions)
        );
        assert!(sending.accepted && receiving.accepted && receiving.stream.is_none());
        assert_eq!(Answer::parse("v=0\r\nm=audio 0 X 1\r\n"), Err(SdpError::Transport));
    }
}
