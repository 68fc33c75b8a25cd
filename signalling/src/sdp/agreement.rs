//! What an offer and its answer settle: per section who sends, in which codecs, with which extensions. The bridge from
//! SDP to the router's configuration.
//!
//! RFC 3264 (offer and answer), RFC 9429 §5.3 (what an answer holds). Made by [`answer`](super::answer::answer) on the
//! one side and [`accept`](super::offer::accept) on the other.

use std::error::Error;
use std::fmt;

use althing_media_core::config::MAX_ENCODINGS;
use althing_media_core::payload::Codec;
use althing_media_core::transport::{Candidate, LocalDescription, RemoteDescription, Setup};
use althing_media_core::{
    CodecParams, Extension, ExtensionMap, LayerTarget, Mid, Rid, Ssrc, StreamIds, SubscriptionConfig, TrackConfig,
};

use super::codec::{CodecSpec, Format, codec_params};
use super::description::{Description, Direction, ExtensionLine, Msid, Section, SectionKind, SsrcGroup, SsrcLine};
use super::simulcast::{RidDirection, RidLine, Simulcast};

/// Why two sides cannot agree. Its text is one sentence for the person on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// There is no section that could be bundled.
    NoSections,
    /// No user name and password of ICE.
    NoIce,
    /// No fingerprint, or only of hash functions that are not accepted.
    NoFingerprint,
    /// RTP and RTCP on two ports.
    NoRtcpMux(Mid),
    /// No section was accepted: no codec in common, or nothing that goes our way.
    NothingInCommon,
    /// The stream that is there is in a codec that the offer does not have.
    CodecNotOffered(Codec),
    /// The answer does not have the sections of the offer.
    AnswerDiffers,
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSections => f.write_str("The session description has no media section that can be bundled."),
            Self::NoIce => f.write_str("The session description has no a=ice-ufrag and a=ice-pwd."),
            Self::NoFingerprint => {
                f.write_str("The session description has no a=fingerprint of sha-256, sha-384 or sha-512.")
            }
            Self::NoRtcpMux(mid) => {
                write!(
                    f,
                    "The media section {} has no a=rtcp-mux, and RTCP on a port of its own is not supported.",
                    mid.0
                )
            }
            Self::NothingInCommon => f.write_str(
                "No media section can be accepted: none has both the needed direction and a codec that is supported.",
            ),
            Self::CodecNotOffered(codec) => {
                write!(
                    f,
                    "The stream is in {codec:?}, which the session description does not offer to receive."
                )
            }
            Self::AnswerDiffers => f.write_str("The answer does not have the media sections of the offer."),
        }
    }
}

impl Error for NegotiationError {}

/// What was settled for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The peer's transport.
    pub remote: RemoteDescription,
    /// Where the peer can be reached, as far as it has told.
    pub candidates: Vec<Candidate>,
    /// The sections in the order of the offer.
    pub sections: Vec<Agreed>,
    pub(super) bundled: bool,
    pub(super) allow_mixed: bool,
}

/// What was settled for one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Its name.
    pub mid: Mid,
    /// What it carries.
    pub kind: SectionKind,
    /// What we do with it.
    pub role: Role,
    /// The formats that may be used, RTX among them.
    pub formats: Vec<Format>,
    /// The ids of the header extensions.
    pub extensions: ExtensionMap,
    /// The encodings of simulcast that we receive, the lowest first.
    pub rids: Vec<Rid>,
    /// The SSRCs that the peer says it sends; empty when MID and RID tell.
    pub streams: Vec<StreamIds>,
    /// The stream and track names of the sender.
    pub msid: Option<Msid>,
    pub(super) protocol: String,
    pub(super) other_formats: Vec<String>,
    pub(super) extension_lines: Vec<ExtensionLine>,
    pub(super) rids_as_offered: Vec<Rid>,
    pub(super) rtcp_rsize: bool,
}

/// What we do with a section.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It is not there.
    Rejected,
    /// It is there and nobody sends.
    Inactive,
    /// We receive a track.
    Receiving,
    /// We send a stream.
    Sending(Outgoing),
    /// Data channels.
    Data,
}

/// The port of SCTP: any number will do inside DTLS, and all use this one.
pub(super) const SCTP_PORT: u16 = 5000;

/// The longest data message that we take, in bytes.
pub(super) const MAX_MESSAGE: u32 = 65_535;

/// A stream that we send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its stream and track names for the receiver.
    pub msid: Msid,
    /// Its SSRCs.
    pub stream: StreamIds,
    /// Its CNAME: the same for all that stay in lip sync.
    pub cname: String,
    /// What its source sends, when there is one already: the offer must have it.
    pub source: Option<CodecSpec>,
}

impl Agreement {
    /// The answer in the words of SDP; `id` identifies the session in its `o=` line.
    #[must_use]
    pub fn describe(&self, local: &LocalDescription, id: u64) -> Description {
        let setup = if self.remote.setup == Setup::Passive {
            Setup::Active
        } else {
            Setup::Passive
        };
        let mut candidates = Some(&local.candidates);
        let mut describe = |agreed: &Agreed| {
            let mut section = agreed.describe();
            if !section.rejected {
                section.ice = Some(local.ice.clone());
                section.fingerprint = Some(local.fingerprint);
                section.setup = Some(setup);
                // Once is enough: the bundle has one transport.
                if let Some(candidates) = candidates.take() {
                    section.candidates.clone_from(candidates);
                    section.end_of_candidates = true;
                }
            }
            section
        };
        let sections: Vec<Section> = self.sections.iter().map(&mut describe).collect();
        let accepted = sections.iter().filter(|section| self.bundled && !section.rejected);
        Description {
            id,
            version: 1,
            ice_lite: local.ice_lite,
            trickle: true,
            allow_mixed: self.allow_mixed,
            bundle: accepted.map(|section| section.mid).collect(),
            sections,
        }
    }

    /// Whether the other side knows FEC over pictures, and some section may have it.
    #[must_use]
    pub fn has_fec(&self) -> bool {
        self.sections
            .iter()
            .any(|agreed| agreed.formats.iter().any(Format::is_fec))
    }

    /// What the peer will send, to be given to the router.
    pub fn tracks(&self) -> impl Iterator<Item = TrackConfig> + '_ {
        self.sections.iter().filter_map(Agreed::track)
    }

    /// What we will send, to be given to the router.
    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionConfig> + '_ {
        self.sections.iter().filter_map(Agreed::subscription)
    }
}

impl Agreed {
    /// The section as a track of the peer, `None` unless we receive.
    #[must_use]
    pub fn track(&self) -> Option<TrackConfig> {
        let kind = self.kind.media()?;
        (self.role == Role::Receiving).then(|| TrackConfig {
            mid: Some(self.mid),
            kind,
            codecs: self.codecs(),
            extensions: self.extensions,
            rids: self.rids.iter().copied().take(MAX_ENCODINGS).collect(),
            streams: self.streams.iter().copied().take(MAX_ENCODINGS).collect(),
            nack: self.has_feedback("nack"),
            transport_cc: self.has_feedback("transport-cc") && self.extensions.id(Extension::TransportCc).is_some(),
            encrypted: false,
        })
    }

    /// The section as a stream to the peer, in the best layers; `None` unless we send.
    #[must_use]
    pub fn subscription(&self) -> Option<SubscriptionConfig> {
        let Role::Sending(outgoing) = &self.role else {
            return None;
        };
        Some(SubscriptionConfig {
            mid: Some(self.mid),
            kind: self.kind.media()?,
            stream: self.outgoing_stream(outgoing),
            cname: outgoing.cname.clone(),
            codecs: self.codecs(),
            extensions: self.extensions,
            layers: LayerTarget::BEST,
            nack: self.has_feedback("nack"),
        })
    }

    /// The codecs that may be used, the preferred first.
    #[must_use]
    pub fn codecs(&self) -> Vec<CodecParams> {
        codec_params(&self.formats)
    }

    /// The preferred codec, with its profile.
    #[must_use]
    pub fn codec(&self) -> Option<CodecSpec> {
        self.formats.iter().find_map(Format::codec)
    }

    fn has_feedback(&self, kind: &str) -> bool {
        self.formats.iter().any(|format| format.has_feedback(kind))
    }

    /// Without a format of what repairs it there is no such stream.
    fn outgoing_stream(&self, outgoing: &Outgoing) -> StreamIds {
        let StreamIds { ssrc, rtx, fec } = outgoing.stream;
        let has = |which: fn(&Format) -> bool| self.formats.iter().any(which);
        StreamIds {
            ssrc,
            rtx: rtx.filter(|_| has(|format| format.apt().is_some())),
            fec: fec.filter(|_| has(Format::is_fec)),
        }
    }

    fn describe(&self) -> Section {
        let mut section = Section::new(self.mid, self.kind.clone(), &self.protocol);
        section.other_formats.clone_from(&self.other_formats);
        section.formats.clone_from(&self.formats);
        section.direction = match &self.role {
            Role::Receiving => Direction::RecvOnly,
            Role::Sending(_) => Direction::SendOnly,
            Role::Inactive | Role::Rejected | Role::Data => Direction::Inactive,
        };
        if self.role == Role::Rejected {
            section.rejected = true;
            return section;
        }
        if self.role == Role::Data {
            section.sctp_port = Some(SCTP_PORT);
            section.max_message_size = Some(MAX_MESSAGE);
            return section;
        }
        section.extensions.clone_from(&self.extension_lines);
        section.rtcp_mux = true;
        section.rtcp_rsize = self.rtcp_rsize;
        if self.role == Role::Receiving && !self.rids_as_offered.is_empty() {
            let line = |rid: &Rid| RidLine {
                rid: *rid,
                direction: RidDirection::Recv,
            };
            section.rids = self.rids_as_offered.iter().map(line).collect();
            section.simulcast = Some(Simulcast {
                send: Vec::new(),
                recv: self.rids_as_offered.clone(),
            });
        }
        if let Role::Sending(outgoing) = &self.role {
            let stream = self.outgoing_stream(outgoing);
            section.msid = Some(outgoing.msid.clone());
            section.sources(&[stream], &outgoing.cname);
        }
        section
    }
}

impl Section {
    /// Adds `a=ssrc` lines, and the groups of streams with what repairs them (RFC 5576 §4.2, RFC 5956 §4.3).
    pub(super) fn sources(&mut self, streams: &[StreamIds], cname: &str) {
        for stream in streams {
            let line = |ssrc: Ssrc| SsrcLine {
                ssrc,
                cname: Some(cname.to_owned()),
            };
            self.ssrcs.push(line(stream.ssrc));
            for (semantics, repair) in [("FID", stream.rtx), ("FEC-FR", stream.fec)] {
                let Some(repair) = repair else { continue };
                self.ssrcs.push(line(repair));
                self.groups.push(SsrcGroup {
                    semantics: semantics.to_owned(),
                    ssrcs: vec![stream.ssrc, repair],
                });
            }
        }
    }

    /// The SSRCs of the writer as streams: the members of a SIM group, else the first one; each with what repairs
    /// it.
    pub(super) fn streams(&self) -> Vec<StreamIds> {
        let repairs = |semantics, ssrc: Ssrc| {
            let mut groups = self.groups_of(semantics);
            let pair = groups.find(|pair| pair.first() == Some(&ssrc))?;
            pair.get(1).copied()
        };
        let stream = |ssrc: Ssrc| StreamIds {
            ssrc,
            rtx: repairs("FID", ssrc),
            fec: repairs("FEC-FR", ssrc),
        };
        match self.groups_of("SIM").next() {
            Some(encodings) => encodings.iter().copied().take(MAX_ENCODINGS).map(stream).collect(),
            None => {
                let first = self.groups_of("FID").next().and_then(|pair| pair.first().copied());
                let first = first.or_else(|| self.ssrcs.first().map(|line| line.ssrc));
                first.into_iter().map(stream).collect()
            }
        }
    }
}
