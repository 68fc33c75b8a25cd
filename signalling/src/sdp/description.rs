//! The model of an offer or an answer: what of a session description matters to us.
//!
//! RFC 9429 (JSEP) says which lines there are; RFC 8866 the syntax; RFC 9143 the bundling; RFC 8285 §5 the header
//! extensions; RFC 5576 the `a=ssrc` lines. Session-level ICE and DTLS lines are copied into the sections. Decides
//! nothing: that is `answer` and `offer`.

use althing_media_core::payload::MediaKind;
use althing_media_core::transport::{Candidate, Fingerprint, IceCreds, Setup};
use althing_media_core::{Mid, Ssrc};

use super::codec::Format;
use super::simulcast::{RidLine, Simulcast};

/// Media sections of one description.
pub const MAX_SECTIONS: usize = 256;

/// Candidates of one section.
pub const MAX_CANDIDATES: usize = 64;

/// Header extensions of one section.
pub const MAX_EXTENSIONS: usize = 64;

/// SSRCs of one section, and groups of them.
pub const MAX_SSRCS: usize = 32;

/// An offer or an answer. [`Self::parse`] reads one, `to_string` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// Identifies the session.
    pub id: u64,
    /// Grows with every change of the session.
    pub version: u64,
    /// The writer is an ICE-lite agent (RFC 8839 §5.3).
    pub ice_lite: bool,
    /// The writer can take candidates later (RFC 8840 §4.1.1).
    pub trickle: bool,
    /// One- and two-byte header extensions may be mixed (RFC 8285 §6), for the whole session.
    pub allow_mixed: bool,
    /// The sections that share one transport, the tagged one first (RFC 9143).
    pub bundle: Vec<Mid>,
    /// The media sections.
    pub sections: Vec<Section>,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub mid: Mid,
    /// What it carries.
    pub kind: SectionKind,
    /// As `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// Port 0 without `a=bundle-only`: the section is not wanted (RFC 3264 §6).
    pub rejected: bool,
    /// Who sends, seen by the writer.
    pub direction: Direction,
    /// The user name and password of ICE.
    pub ice: Option<IceCreds>,
    /// The digest of the DTLS certificate, the first of several whose hash is strong enough.
    pub fingerprint: Option<Fingerprint>,
    /// Who opens the DTLS connection.
    pub setup: Option<Setup>,
    /// Where the writer can be reached. Names and unknown transports are left out.
    pub candidates: Vec<Candidate>,
    /// No more candidates will come.
    pub end_of_candidates: bool,
    /// RTP and RTCP share the transport (RFC 8858).
    pub rtcp_mux: bool,
    /// Reduced-size RTCP is understood (RFC 5506).
    pub rtcp_rsize: bool,
    /// The formats, the preferred first.
    pub formats: Vec<Format>,
    /// What the section has instead of formats when it is no RTP section.
    pub other_formats: Vec<String>,
    /// The port of SCTP inside DTLS, for data channels (RFC 8841 §5).
    pub sctp_port: Option<u16>,
    /// The longest message that the writer takes, in bytes; 0 means any (RFC 8841 §6).
    pub max_message_size: Option<u32>,
    /// The header extensions.
    pub extensions: Vec<ExtensionLine>,
    /// The `a=rid` lines.
    pub rids: Vec<RidLine>,
    /// The `a=simulcast` line.
    pub simulcast: Option<Simulcast>,
    /// The stream and the track that it carries (RFC 8830).
    pub msid: Option<Msid>,
    /// The SSRCs of the sender, in the order in which they were written.
    pub ssrcs: Vec<SsrcLine>,
    /// Groups of SSRCs, such as FID: a stream and its retransmissions (RFC 5576 §4.2).
    pub groups: Vec<SsrcGroup>,
}

/// What a section carries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SectionKind {
    /// RTP with sound.
    Audio,
    /// RTP with pictures.
    Video,
    /// Data channels, or anything else.
    Other(String),
}

/// Who sends, seen by the one who wrote it (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The writer.
    SendOnly,
    /// The reader.
    RecvOnly,
    /// Nobody.
    Inactive,
}

/// An `a=extmap` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionLine {
    /// The id in the packets, 1 to 255.
    pub id: u8,
    /// Restricts who uses it, seen by the writer.
    pub direction: Option<Direction>,
    /// Its name.
    pub uri: String,
}

/// An `a=msid` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Msid {
    /// The stream; `-` for none.
    pub stream: String,
    /// The track, empty when not written.
    pub track: String,
}

/// The `a=ssrc` lines of one SSRC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcLine {
    /// The SSRC.
    pub ssrc: Ssrc,
    /// Its CNAME.
    pub cname: Option<String>,
}

/// An `a=ssrc-group` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID`, `SIM`, …
    pub semantics: String,
    /// The SSRCs.
    pub ssrcs: Vec<Ssrc>,
}

impl Description {
    /// The section with this name.
    #[must_use]
    pub fn section(&self, mid: Mid) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid == mid)
    }

    /// Whether the section shares the one transport: it is in the BUNDLE group, or alone.
    #[must_use]
    pub fn is_bundled(&self, section: &Section) -> bool {
        if self.bundle.is_empty() {
            self.sections.len() == 1
        } else {
            self.bundle.contains(&section.mid)
        }
    }

    /// The section whose ICE and DTLS lines count for all: the first of the group that is not rejected.
    #[must_use]
    pub fn tagged(&self) -> Option<&Section> {
        let mut bundled = self.bundle.iter().filter_map(|mid| self.section(*mid));
        match self.bundle.is_empty() {
            true => self.sections.first().filter(|section| !section.rejected),
            false => bundled.find(|section| !section.rejected),
        }
    }

    /// The longest data message that the writer takes, in bytes, 0 for any; `None` when it does not say (RFC 8841 §6).
    #[must_use]
    pub fn max_message(&self) -> Option<u32> {
        let mut data = self.sections.iter().filter(|section| section.is_data());
        data.find_map(|section| section.max_message_size)
    }
}

impl Section {
    /// An empty section.
    #[must_use]
    pub fn new(mid: Mid, kind: SectionKind, protocol: &str) -> Self {
        Self {
            mid,
            kind,
            protocol: protocol.to_owned(),
            rejected: false,
            direction: Direction::default(),
            ice: None,
            fingerprint: None,
            setup: None,
            candidates: Vec::new(),
            end_of_candidates: false,
            rtcp_mux: false,
            rtcp_rsize: false,
            formats: Vec::new(),
            other_formats: Vec::new(),
            sctp_port: None,
            max_message_size: None,
            extensions: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            msid: None,
            ssrcs: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Data channels over SCTP over DTLS (RFC 8841 §4).
    #[must_use]
    pub fn is_data(&self) -> bool {
        let channel = |format: &String| format.eq_ignore_ascii_case("webrtc-datachannel");
        self.kind.as_str() == "application"
            && self.protocol.ends_with("DTLS/SCTP")
            && self.other_formats.iter().any(channel)
    }

    /// The SSRC groups of a kind.
    pub fn groups_of<'a>(&'a self, semantics: &'a str) -> impl Iterator<Item = &'a [Ssrc]> + 'a {
        self.groups
            .iter()
            .filter(move |group| group.semantics == semantics)
            .map(|group| group.ssrcs.as_slice())
    }
}

impl SectionKind {
    /// Audio or video, `None` for what is no media.
    #[must_use]
    pub fn media(&self) -> Option<MediaKind> {
        match self {
            Self::Audio => Some(MediaKind::Audio),
            Self::Video => Some(MediaKind::Video),
            Self::Other(_) => None,
        }
    }

    /// As in the `m=` line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Other(name) => name,
        }
    }
}

impl Direction {
    /// The same, seen by the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            other => other,
        }
    }

    /// The writer sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// The writer receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// As in the attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == text)
    }
}
