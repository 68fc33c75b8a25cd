//! The offerer: what a publisher or a watcher asks a server for, and what the answer made of it. For clients and tests.
//!
//! RFC 9429 §5.2.1 (offers) and §5.10 (applying an answer). Offers one bundle with multiplexed RTCP.

use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::transport::LocalDescription;
use althing_media_core::{Extension, ExtensionMap, Mid, Pt, Rid, StreamIds};

use super::agreement::{Agreed, Agreement, MAX_MESSAGE, NegotiationError, Outgoing, Role, SCTP_PORT};
use super::answer::remote;
use super::codec::Format;
use super::description::{Description, Direction, ExtensionLine, Msid, Section, SectionKind};
use super::simulcast::{RidDirection, RidLine, Simulcast, order_lowest_first};

/// The protocol of all media (RFC 8827 §6.5).
const PROTOCOL: &str = "UDP/TLS/RTP/SAVPF";

/// The payload type of redundant audio.
const RED: Pt = Pt::new(63);

/// The payload type of FEC over pictures.
const FEC: Pt = Pt::new(49);

/// The ids that we give to extensions: one table for all sections, as bundling requires (RFC 9143 §8).
const IDS: [(Extension, u8); 8] = [
    (Extension::AudioLevel, 1),
    (Extension::AbsSendTime, 2),
    (Extension::TransportCc, 3),
    (Extension::Mid, 4),
    (Extension::AbsCaptureTime, 5),
    (Extension::Rid, 10),
    (Extension::RepairedRid, 11),
    (Extension::DependencyDescriptor, 12),
];

/// One media section of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedMedia {
    /// Its codecs, the preferred first; they must be of one kind.
    pub codecs: Vec<Codec>,
    /// What we send in it; `None` to receive.
    pub sending: Option<OfferedStream>,
}

/// What we offer to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedStream {
    /// Its stream and track names.
    pub msid: Msid,
    /// Its CNAME.
    pub cname: String,
    /// The encodings of simulcast; empty without.
    pub rids: Vec<Rid>,
    /// Its SSRCs, in the order of the encodings; empty when MID and RID are to tell.
    pub streams: Vec<StreamIds>,
}

impl OfferedMedia {
    /// A section to receive in.
    #[must_use]
    pub fn receive(codecs: &[Codec]) -> Self {
        Self {
            codecs: codecs.to_vec(),
            sending: None,
        }
    }

    /// A section to send in.
    #[must_use]
    pub fn send(codecs: &[Codec], stream: OfferedStream) -> Self {
        Self {
            codecs: codecs.to_vec(),
            sending: Some(stream),
        }
    }
}

/// The payload types that we give to a codec and to its retransmissions.
#[must_use]
pub fn payload_types(codec: Codec) -> (Pt, Option<Pt>) {
    let (pt, rtx) = match codec {
        Codec::Opus => (111, None),
        Codec::Pcmu => (0, None),
        Codec::Pcma => (8, None),
        Codec::G722 => (9, None),
        Codec::Vp9 => (98, Some(99)),
        Codec::H264 => (102, Some(103)),
        Codec::Av1 => (45, Some(46)),
        _ => (96, Some(97)),
    };
    (Pt::new(pt), rtx.map(Pt::new))
}

/// An offer with one section per entry of `media`, named 0, 1, 2, …; `id` identifies the session.
#[must_use]
pub fn offer(local: &LocalDescription, id: u64, media: &[OfferedMedia]) -> Description {
    let sections: Vec<Section> = media
        .iter()
        .enumerate()
        .filter_map(|(index, media)| section(local, index, media))
        .collect();
    Description {
        id,
        version: 1,
        ice_lite: local.ice_lite,
        trickle: true,
        allow_mixed: true,
        bundle: sections.iter().map(|section| section.mid).collect(),
        sections,
    }
}

/// One media section of a session in which only we send.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lane {
    /// A stream in this codec.
    Stream(Codec, OfferedStream),
    /// Nothing now; the codec is of the last stream.
    Silent(Codec),
    /// Nothing any more: the other side has refused it.
    Dead(Codec),
}

/// An offer of a session that grows and in which only we send: data channels in the first section, which is named 0, then
/// one section per lane, named 1, 2, 3, …; `(id, version)` stand in the `o=` line.
#[must_use]
pub fn offer_to_send(local: &LocalDescription, (id, version): (u64, u64), lanes: &[Lane]) -> Description {
    let lanes = lanes.iter().enumerate().filter_map(|(index, lane)| {
        let (Lane::Stream(codec, _) | Lane::Silent(codec) | Lane::Dead(codec)) = lane;
        let mut media = OfferedMedia::receive(&[*codec]);
        if let Lane::Stream(_, stream) = lane {
            media.sending = Some(stream.clone());
        }
        let mut section = section(local, index + 1, &media)?;
        if *codec == Codec::Opus {
            section.formats.push(Format::red(RED, payload_types(*codec).0));
        }
        section.rejected = matches!(lane, Lane::Dead(_));
        if media.sending.is_none() {
            section.direction = Direction::Inactive;
        }
        Some(section)
    });
    let sections: Vec<Section> = data_section(local).into_iter().chain(lanes).collect();
    let live = sections.iter().filter(|section| !section.rejected);
    Description {
        id,
        version,
        ice_lite: local.ice_lite,
        trickle: true,
        allow_mixed: true,
        bundle: live.map(|section| section.mid).collect(),
        sections,
    }
}

/// RFC 8841 §5.
fn data_section(local: &LocalDescription) -> Option<Section> {
    let kind = SectionKind::Other("application".to_owned());
    let mut section = Section::new(Mid::new("0")?, kind, "UDP/DTLS/SCTP");
    section.other_formats = vec!["webrtc-datachannel".to_owned()];
    section.sctp_port = Some(SCTP_PORT);
    section.max_message_size = Some(MAX_MESSAGE);
    section.ice = Some(local.ice.clone());
    section.fingerprint = Some(local.fingerprint);
    section.setup = Some(local.setup);
    section.candidates.clone_from(&local.candidates);
    section.end_of_candidates = true;
    Some(section)
}

fn section(local: &LocalDescription, index: usize, media: &OfferedMedia) -> Option<Section> {
    let audio = media.codecs.first()?.kind() == MediaKind::Audio;
    let kind = if audio { SectionKind::Audio } else { SectionKind::Video };
    let mut section = Section::new(Mid::new(&index.to_string())?, kind, PROTOCOL);
    section.ice = Some(local.ice.clone());
    section.fingerprint = Some(local.fingerprint);
    section.setup = Some(local.setup);
    if index == 0 {
        section.candidates.clone_from(&local.candidates);
    }
    section.rtcp_mux = true;
    section.rtcp_rsize = true;
    for codec in &media.codecs {
        let (pt, rtx) = payload_types(*codec);
        section.formats.push(Format::new(*codec, pt));
        section
            .formats
            .extend(rtx.map(|rtx| Format::rtx(rtx, pt, codec.clock_rate())));
    }
    let mut streams = media.sending.iter().flat_map(|stream| &stream.streams);
    if streams.any(|stream| stream.fec.is_some()) {
        section.formats.push(Format::fec(FEC));
    }
    let wanted = |extension: Extension| match extension {
        Extension::AudioLevel => audio,
        Extension::Rid | Extension::RepairedRid => media.sending.as_ref().is_some_and(|stream| !stream.rids.is_empty()),
        Extension::DependencyDescriptor => !audio,
        _ => true,
    };
    let line = |(extension, id): (Extension, u8)| ExtensionLine {
        id,
        direction: None,
        uri: extension.uri().to_owned(),
    };
    section.extensions = IDS
        .into_iter()
        .filter(|(extension, _)| wanted(*extension))
        .map(line)
        .collect();
    section.direction = Direction::RecvOnly;
    if let Some(stream) = &media.sending {
        section.direction = Direction::SendOnly;
        section.msid = Some(stream.msid.clone());
        section.sources(&stream.streams, &stream.cname);
        if !stream.rids.is_empty() {
            let line = |rid: &Rid| RidLine {
                rid: *rid,
                direction: RidDirection::Send,
            };
            section.rids = stream.rids.iter().map(line).collect();
            section.simulcast = Some(Simulcast {
                send: stream.rids.clone(),
                recv: Vec::new(),
            });
        }
    }
    Some(section)
}

/// What the answer to our `offer` settles: tracks that come and streams that go.
///
/// # Errors
///
/// The answer lacks what any session needs, or is none to this offer.
pub fn accept(offer: &Description, answer: &Description) -> Result<Agreement, NegotiationError> {
    let tagged = answer.tagged().ok_or(NegotiationError::NothingInCommon)?;
    let remote = remote(answer, tagged)?;
    let same = |(offered, answered): (&Section, &Section)| offered.mid == answered.mid && offered.kind == answered.kind;
    if offer.sections.len() != answer.sections.len() || !offer.sections.iter().zip(&answer.sections).all(same) {
        return Err(NegotiationError::AnswerDiffers);
    }
    let sections = offer
        .sections
        .iter()
        .zip(&answer.sections)
        .map(|(offered, answered)| accepted(offered, answered));
    Ok(Agreement {
        remote,
        candidates: tagged.candidates.clone(),
        sections: sections.collect(),
        bundled: true,
        allow_mixed: answer.allow_mixed,
    })
}

fn accepted(offered: &Section, answered: &Section) -> Agreed {
    let role = if answered.rejected {
        Role::Rejected
    } else if answered.is_data() {
        Role::Data
    } else if answered.direction.sends() && offered.direction.receives() {
        Role::Receiving
    } else if answered.direction.receives() && offered.direction.sends() {
        let first = offered.streams().first().copied();
        let cname = offered
            .ssrcs
            .iter()
            .find_map(|line| line.cname.clone())
            .unwrap_or_default();
        match (first, offered.msid.clone()) {
            // Without an SSRC in the offer the caller chooses: 0 is a place holder.
            (stream, Some(msid)) => {
                let stream = stream.unwrap_or(StreamIds::new(althing_media_core::Ssrc(0)));
                Role::Sending(Outgoing {
                    msid,
                    stream,
                    cname,
                    source: None,
                })
            }
            (_, None) => Role::Inactive,
        }
    } else {
        Role::Inactive
    };
    let extensions = answered.extensions.iter().fold(ExtensionMap::new(), |map, line| {
        Extension::from_uri(&line.uri).map_or(map, |extension| map.with(extension, line.id))
    });
    let mut rids: Vec<Rid> = answered
        .simulcast
        .iter()
        .flat_map(|simulcast| simulcast.recv.clone())
        .collect();
    let rids_as_offered = rids.clone();
    order_lowest_first(&mut rids);
    Agreed {
        mid: offered.mid,
        kind: offered.kind.clone(),
        streams: if role == Role::Receiving {
            answered.streams()
        } else {
            Vec::new()
        },
        role,
        formats: answered.formats.clone(),
        extensions,
        rids,
        msid: answered.msid.clone(),
        protocol: answered.protocol.clone(),
        other_formats: answered.other_formats.clone(),
        extension_lines: answered.extensions.clone(),
        rids_as_offered,
        rtcp_rsize: answered.rtcp_rsize,
    }
}
