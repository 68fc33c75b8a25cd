//! What a payload type stands for: `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` of one format, and which formats we route.
//!
//! RFC 8866 §6.6 and §6.15, RFC 4585 §4.2, RFC 4588 §8 (`apt`), RFC 6184 §8.1 (H.264 profiles), RFC 7587, RFC 7741,
//! RFC 9628, AV1 RTP specification §7. Compares formats; does not change their parameters.

use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::{CodecParams, Pt};

/// FEC as draft-ietf-payload-flexible-fec-scheme-03 has it, in the name of libwebrtc, and its clock in Hz.
const FEC: &str = "flexfec-03";
const FEC_CLOCK: u32 = 90_000;

/// Channels of Opus in SDP, whatever it carries (RFC 7587 §7).
const OPUS_CHANNELS: u8 = 2;

/// One format of a media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its payload type.
    pub pt: Pt,
    /// The encoding name as written; compare without case.
    pub name: String,
    /// The RTP clock, in Hz.
    pub clock: u32,
    /// Audio channels; 1 when not written.
    pub channels: u8,
    /// The parameters as written, empty when there are none.
    pub fmtp: String,
    /// RTCP feedback that its receiver may send, as `nack pli`.
    pub feedback: Vec<String>,
}

impl Format {
    /// A format of `codec` with the parameters and the feedback that we offer.
    #[must_use]
    pub fn new(codec: Codec, pt: Pt) -> Self {
        let (name, channels, fmtp) = match codec {
            Codec::Opus => ("opus", OPUS_CHANNELS, "minptime=10;useinbandfec=1"),
            Codec::Pcmu => ("PCMU", 1, ""),
            Codec::Pcma => ("PCMA", 1, ""),
            Codec::G722 => ("G722", 1, ""),
            Codec::Vp9 => ("VP9", 1, "profile-id=0"),
            Codec::H264 => (
                "H264",
                1,
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            ),
            Codec::Av1 => ("AV1", 1, "level-idx=5;profile=0;tier=0"),
            _ => ("VP8", 1, ""),
        };
        let feedback: &[&str] = match codec.kind() {
            MediaKind::Audio if codec == Codec::Opus => &["nack", "transport-cc"],
            MediaKind::Audio => &["transport-cc"],
            _ => &["nack", "nack pli", "ccm fir", "transport-cc"],
        };
        Self {
            pt,
            name: name.to_owned(),
            clock: codec.clock_rate(),
            channels,
            fmtp: fmtp.to_owned(),
            feedback: feedback.iter().map(|&kind| kind.to_owned()).collect(),
        }
    }

    /// Retransmissions of the format `of` under the payload type `pt`.
    #[must_use]
    pub fn rtx(pt: Pt, of: Pt, clock: u32) -> Self {
        let fmtp = format!("apt={}", of.value());
        Self {
            pt,
            name: "rtx".to_owned(),
            clock,
            channels: 1,
            fmtp,
            feedback: Vec::new(),
        }
    }

    /// Opus under `of` with redundancy (RFC 2198) under the payload type `pt`.
    #[must_use]
    pub fn red(pt: Pt, of: Pt) -> Self {
        Self {
            pt,
            name: "red".to_owned(),
            clock: Codec::Opus.clock_rate(),
            channels: OPUS_CHANNELS,
            fmtp: format!("{0}/{0}", of.value()),
            feedback: Vec::new(),
        }
    }

    /// FEC over pictures in any codec (FlexFEC-03) under the payload type `pt`.
    #[must_use]
    pub fn fec(pt: Pt) -> Self {
        Self {
            pt,
            name: FEC.to_owned(),
            clock: FEC_CLOCK,
            channels: 1,
            // As in libwebrtc; in microseconds.
            fmtp: "repair-window=10000000".to_owned(),
            feedback: Vec::new(),
        }
    }

    /// Whether it is FEC over pictures.
    #[must_use]
    pub fn is_fec(&self) -> bool {
        self.name.eq_ignore_ascii_case(FEC) && self.clock == FEC_CLOCK
    }

    /// The payload type of the blocks, when it is redundant audio in which all of them have the same (RFC 2198 §5).
    #[must_use]
    pub fn block(&self) -> Option<Pt> {
        if !self.name.eq_ignore_ascii_case("red") || self.clock != Codec::Opus.clock_rate() {
            return None;
        }
        let mut types = self.fmtp.split('/').map(|pt| pt.trim().parse::<u8>().ok());
        let first = types.next()??;
        (first < 128 && types.all(|pt| pt == Some(first))).then(|| Pt::new(first))
    }

    /// Adds a parameter, unless one with this name is there.
    pub(super) fn add_parameter(&mut self, name: &str, value: &str) {
        if self.parameter(name).is_none() {
            let separator = if self.fmtp.is_empty() { "" } else { ";" };
            self.fmtp = format!("{}{separator}{name}={value}", self.fmtp);
        }
    }

    /// The value of one parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.fmtp.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The payload type whose packets this one retransmits, when it is RTX.
    #[must_use]
    pub fn apt(&self) -> Option<Pt> {
        let apt = self.name.eq_ignore_ascii_case("rtx").then(|| self.parameter("apt"))??;
        apt.parse().ok().filter(|apt| *apt < 128).map(Pt::new)
    }

    /// Which of our codecs it is; `None` for what we do not route.
    #[must_use]
    pub fn codec(&self) -> Option<CodecSpec> {
        let is = |name: &str, clock: u32, channels: u8| {
            self.name.eq_ignore_ascii_case(name) && self.clock == clock && self.channels == channels
        };
        let parameter_is = |name: &str, wanted: &str, absent: &str| self.parameter(name).unwrap_or(absent) == wanted;
        let codec = if is("opus", 48_000, OPUS_CHANNELS) {
            Codec::Opus
        } else if is("PCMU", 8_000, 1) {
            Codec::Pcmu
        } else if is("PCMA", 8_000, 1) {
            Codec::Pcma
        } else if is("G722", 8_000, 1) {
            Codec::G722
        } else if is("VP8", 90_000, 1) {
            Codec::Vp8
        } else if is("VP9", 90_000, 1) && parameter_is("profile-id", "0", "0") {
            Codec::Vp9
        } else if is("H264", 90_000, 1) && parameter_is("packetization-mode", "1", "0") {
            let profile = H264Profile::parse(self.parameter("profile-level-id").unwrap_or("420010"))?;
            return Some(CodecSpec {
                codec: Codec::H264,
                h264: Some(profile),
            });
        } else if is("AV1", 90_000, 1) && parameter_is("profile", "0", "0") {
            Codec::Av1
        } else {
            return None;
        };
        Some(CodecSpec { codec, h264: None })
    }

    /// Whether the format allows this feedback.
    #[must_use]
    pub fn has_feedback(&self, kind: &str) -> bool {
        self.feedback.iter().any(|known| known == kind)
    }
}

/// A codec, and for H.264 which tools the stream uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecSpec {
    /// The codec.
    pub codec: Codec,
    /// The profile, for H.264 only.
    pub h264: Option<H264Profile>,
}

/// A profile of H.264 (Recommendation H.264 annex A; RFC 6184 §8.1 table 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum H264Profile {
    /// What every decoder can.
    ConstrainedBaseline,
    /// Constrained Baseline and error resilience that nobody uses.
    Baseline,
    /// Main.
    Main,
    /// High without interlacing and B frames.
    ConstrainedHigh,
    /// High.
    High,
    /// Another `profile_idc`.
    Other(u8),
}

impl H264Profile {
    /// Reads `profile-level-id`: `profile_idc`, constraint flags and level in hexadecimal.
    fn parse(profile_level_id: &str) -> Option<Self> {
        if profile_level_id.len() != 6 || !profile_level_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, profile, flags, _] = u32::from_str_radix(profile_level_id, 16).ok()?.to_be_bytes();
        let constraint_set1 = flags & 0x40 != 0;
        Some(match profile {
            0x42 if constraint_set1 => Self::ConstrainedBaseline,
            0x42 => Self::Baseline,
            0x4d => Self::Main,
            0x64 if flags & 0x0c == 0x0c => Self::ConstrainedHigh,
            0x64 => Self::High,
            other => Self::Other(other),
        })
    }

    /// How well a decoder of this profile suits a stream in `stream`: the same first, then one that can more, then the
    /// one that all can. Decoders of today are not picky, so that none is refused.
    fn distance(self, stream: Self) -> u8 {
        let rank = |profile: Self| match profile {
            Self::ConstrainedBaseline => 0u8,
            Self::Baseline => 1,
            Self::Main => 2,
            Self::ConstrainedHigh => 3,
            Self::High => 4,
            Self::Other(_) => 5,
        };
        let (own, wanted) = (rank(self), rank(stream));
        if own >= wanted {
            own - wanted
        } else {
            8 + (wanted - own)
        }
    }
}

/// The codecs that a server lets through, by kind. The order does not matter: the order of the offer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codecs {
    /// Audio codecs.
    pub audio: Vec<Codec>,
    /// Video codecs.
    pub video: Vec<Codec>,
    /// What publishers are asked to send in the place of VP8, when they can: for what cannot hold VP8. It is one of `video`.
    pub instead_of_vp8: Option<Codec>,
}

impl Default for Codecs {
    /// All that the engine routes.
    fn default() -> Self {
        Self {
            audio: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
            video: vec![Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1],
            instead_of_vp8: None,
        }
    }
}

impl Codecs {
    fn allow(&self, codec: Codec) -> bool {
        match codec.kind() {
            MediaKind::Audio => self.audio.contains(&codec),
            _ => self.video.contains(&codec),
        }
    }

    /// What is received where an offer has both: this codec, or the one in its place.
    pub(crate) fn instead_of(&self, codec: Codec) -> Codec {
        self.instead_of_vp8
            .filter(|other| codec == Codec::Vp8 && self.video.contains(other))
            .unwrap_or(codec)
    }

    /// The one format in which we receive: the first codec of the offer that is allowed, or what is wanted in its place. Of
    /// several H.264 formats the one in the profile that every watcher can decode.
    pub(super) fn to_receive(&self, formats: &[Format]) -> Option<usize> {
        let first = self.known(formats).next()?;
        let instead = self.instead_of(first.1.codec);
        let first = self
            .known(formats)
            .find(|(_, spec)| spec.codec == instead)
            .unwrap_or(first);
        let best = self
            .known(formats)
            .filter(|(_, other)| other.codec == first.1.codec)
            .fold(first, |best, other| {
                let rank = |spec: CodecSpec| {
                    spec.h264
                        .map(|profile| profile.distance(H264Profile::ConstrainedBaseline))
                };
                if rank(other.1) < rank(best.1) { other } else { best }
            });
        Some(best.0)
    }

    /// The formats in which we may send: each allowed codec of the offer once, `stream` first when it is there. Of
    /// several H.264 formats the one that suits the profile of `stream` best.
    pub(super) fn to_send(&self, formats: &[Format], stream: Option<CodecSpec>) -> Vec<usize> {
        let wanted = stream
            .and_then(|spec| spec.h264)
            .unwrap_or(H264Profile::ConstrainedBaseline);
        let mut chosen: Vec<(usize, CodecSpec)> = Vec::new();
        for (index, spec) in self.known(formats) {
            let distance = |spec: CodecSpec| spec.h264.map(|profile| profile.distance(wanted));
            match chosen.iter_mut().find(|(_, other)| other.codec == spec.codec) {
                Some(other) if distance(spec) < distance(other.1) => *other = (index, spec),
                Some(_) => {}
                None => chosen.push((index, spec)),
            }
        }
        chosen.sort_by_key(|(_, spec)| stream.is_some_and(|stream| stream.codec != spec.codec));
        chosen.into_iter().map(|(index, _)| index).collect()
    }

    /// The same in one codec, when it is allowed and offered.
    pub(super) fn to_receive_in(&self, formats: &[Format], codec: Codec) -> Option<usize> {
        let only = |codecs: &[Codec]| codecs.iter().copied().filter(|one| *one == codec).collect();
        let only = Self {
            audio: only(&self.audio),
            video: only(&self.video),
            instead_of_vp8: None,
        };
        only.to_receive(formats)
    }

    fn known<'a>(&'a self, formats: &'a [Format]) -> impl Iterator<Item = (usize, CodecSpec)> + 'a {
        let spec = |(index, format): (usize, &Format)| format.codec().map(|spec| (index, spec));
        formats
            .iter()
            .enumerate()
            .filter_map(spec)
            .filter(|(_, spec)| self.allow(spec.codec))
    }
}

/// The RTX format of `pt`.
pub(super) fn rtx_of(formats: &[Format], pt: Pt) -> Option<&Format> {
    formats.iter().find(|format| format.apt() == Some(pt))
}

/// The format in which Opus under `pt` comes with redundancy.
pub(super) fn red_of(formats: &[Format], pt: Pt) -> Option<&Format> {
    let opus = formats.iter().any(|format| {
        let codec = format.codec().map(|spec| spec.codec);
        format.pt == pt && codec == Some(Codec::Opus)
    });
    formats.iter().find(|format| opus && format.block() == Some(pt))
}

/// The format of FEC over pictures.
pub(super) fn fec_of(formats: &[Format]) -> Option<&Format> {
    formats.iter().find(|format| format.is_fec())
}

/// A negotiated list of formats as the router wants it: codecs with what repairs them; others are left out.
pub(super) fn codec_params(formats: &[Format]) -> Vec<CodecParams> {
    let fec = fec_of(formats).map(|format| format.pt);
    let params = |format: &Format| {
        let codec = format.codec()?.codec;
        Some(CodecParams {
            codec,
            pt: format.pt,
            rtx: rtx_of(formats, format.pt).map(|rtx| rtx.pt),
            red: red_of(formats, format.pt).map(|red| red.pt),
            fec: fec.filter(|_| codec.kind() == MediaKind::Video),
        })
    };
    formats.iter().filter_map(params).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(pt: u8, fmtp: &str) -> Format {
        Format {
            fmtp: fmtp.to_owned(),
            ..Format::new(Codec::H264, Pt::new(pt))
        }
    }

    #[test]
    fn knows_its_own_formats() {
        for codec in Codecs::default().audio.into_iter().chain(Codecs::default().video) {
            assert_eq!(
                Format::new(codec, Pt::new(100)).codec().map(|spec| spec.codec),
                Some(codec)
            );
        }
        assert_eq!(Format::rtx(Pt::new(97), Pt::new(96), 90_000).apt(), Some(Pt::new(96)));
        assert_eq!(Format::new(Codec::Vp8, Pt::new(96)).apt(), None);
        let red = Format::red(Pt::new(63), Pt::new(111));
        assert_eq!((red.block(), red.codec(), red.apt()), (Some(Pt::new(111)), None, None));
        for fmtp in ["", "111/0", "111/", "200/200", "x"] {
            let red = Format {
                fmtp: fmtp.to_owned(),
                ..red.clone()
            };
            assert_eq!(red.block(), None, "{fmtp}");
        }
    }

    #[test]
    fn profiles_that_are_not_routed() {
        assert_eq!(
            h264(1, "profile-level-id=42e01f").codec(),
            None,
            "packetization-mode 0 when absent"
        );
        assert_eq!(h264(1, "packetization-mode=1;profile-level-id=42e0").codec(), None);
        let vp9 = Format {
            fmtp: "profile-id=2".to_owned(),
            ..Format::new(Codec::Vp9, Pt::new(98))
        };
        assert_eq!(vp9.codec(), None);
        let av1 = Format {
            fmtp: "profile=1".to_owned(),
            ..Format::new(Codec::Av1, Pt::new(98))
        };
        assert_eq!(av1.codec(), None);
    }

    #[test]
    fn reads_h264_profiles() {
        let profile = |id: &str| {
            h264(1, &format!("Packetization-Mode=1; profile-level-id={id}"))
                .codec()
                .and_then(|spec| spec.h264)
        };
        assert_eq!(profile("42e01f"), Some(H264Profile::ConstrainedBaseline));
        assert_eq!(profile("42C02A"), Some(H264Profile::ConstrainedBaseline));
        assert_eq!(profile("42001f"), Some(H264Profile::Baseline));
        assert_eq!(profile("4d0032"), Some(H264Profile::Main));
        assert_eq!(profile("640c34"), Some(H264Profile::ConstrainedHigh));
        assert_eq!(profile("640032"), Some(H264Profile::High));
        assert_eq!(profile("f4001f"), Some(H264Profile::Other(0xf4)));
        assert_eq!(
            h264(1, "packetization-mode=1").codec().and_then(|spec| spec.h264),
            Some(H264Profile::Baseline)
        );
    }

    #[test]
    fn h264_is_received_in_constrained_baseline_and_sent_in_the_profile_of_the_stream() {
        let formats = [
            h264(102, "packetization-mode=1;profile-level-id=42001f"),
            h264(104, "packetization-mode=0;profile-level-id=42e01f"),
            h264(108, "packetization-mode=1;profile-level-id=42e01f"),
            h264(116, "packetization-mode=1;profile-level-id=4d001f"),
            Format::new(Codec::Vp8, Pt::new(96)),
        ];
        let codecs = Codecs::default();
        assert_eq!(codecs.to_receive(&formats), Some(2));
        let spec = |profile| {
            Some(CodecSpec {
                codec: Codec::H264,
                h264: Some(profile),
            })
        };
        assert_eq!(codecs.to_send(&formats, spec(H264Profile::Main)), [3, 4]);
        assert_eq!(codecs.to_send(&formats, spec(H264Profile::Baseline)), [0, 4]);
        assert_eq!(codecs.to_send(&formats, spec(H264Profile::High)), [3, 4]);
        assert_eq!(codecs.to_send(&formats, None), [2, 4]);
        let vp8 = Some(CodecSpec {
            codec: Codec::Vp8,
            h264: None,
        });
        assert_eq!(codecs.to_send(&formats, vp8), [4, 2]);
        assert_eq!(
            Codecs {
                audio: vec![],
                video: vec![],
                ..Codecs::default()
            }
            .to_receive(&formats),
            None
        );
    }

    #[test]
    fn another_codec_is_received_in_the_place_of_vp8() {
        let codecs = Codecs {
            instead_of_vp8: Some(Codec::H264),
            ..Codecs::default()
        };
        let vp8 = Format::new(Codec::Vp8, Pt::new(96));
        let vp9 = Format::new(Codec::Vp9, Pt::new(98));
        let main = h264(102, "packetization-mode=1;profile-level-id=4d001f");
        let base = h264(108, "packetization-mode=1;profile-level-id=42e01f");
        let all = [vp8.clone(), vp9.clone(), main, base];
        assert_eq!(codecs.to_receive(&all), Some(3), "in the profile that all can decode");
        assert_eq!(
            codecs.to_receive(&all[1..]),
            Some(0),
            "who prefers another one sends it"
        );
        assert_eq!(codecs.to_receive(&[vp8, vp9]), Some(0), "who cannot sends VP8");
        let without = Codecs {
            video: vec![Codec::Vp8],
            ..codecs
        };
        assert_eq!(
            without.to_receive(&all),
            Some(0),
            "what is not let through is not wanted"
        );
    }
}
