//! The answerer: what of an offer is accepted.
//!
//! RFC 9429 §5.3.1 (answers), RFC 9143 §7.3 (BUNDLE), RFC 8853 §5.3 (simulcast), RFC 8285 §6 (extensions), RFC 8842
//! §5.3 (DTLS role). All media share one transport: a section outside of the BUNDLE group is rejected, and so is what is
//! no media, except data channels in a session that grows. An extension keeps the id that the offerer gave it. We are the DTLS server whenever we may choose.

use althing_media_core::config::MAX_ENCODINGS;
use althing_media_core::payload::Codec;
use althing_media_core::transport::{RemoteDescription, Setup};
use althing_media_core::{Extension, ExtensionMap, Rid};

use super::agreement::{Agreed, Agreement, NegotiationError, Outgoing, Role};
use super::codec::{Codecs, Format, fec_of, red_of, rtx_of};
use super::description::{Description, Direction, ExtensionLine, Section, SectionKind};
use super::simulcast::{RidDirection, order_lowest_first};

/// Extensions that we understand in what we receive.
const RECEIVED: [Extension; 12] = [
    Extension::Mid,
    Extension::Rid,
    Extension::RepairedRid,
    Extension::AudioLevel,
    Extension::TransportCc,
    Extension::AbsSendTime,
    Extension::AbsCaptureTime,
    Extension::DependencyDescriptor,
    Extension::VideoOrientation,
    Extension::PlayoutDelay,
    Extension::VideoContentType,
    Extension::ColorSpace,
];

/// Extensions that describe encodings of a sender: we send one stream per section.
const ONLY_RECEIVED: [Extension; 2] = [Extension::Rid, Extension::RepairedRid];

/// Feedback that we give and take.
const FEEDBACK: [&str; 3] = ["nack", "nack pli", "ccm fir"];

/// How a receiver tells what its line carries, the best first; one is enough. Publishers get the first only. REMB is not among
/// them (`docs/congestion.md`).
const ESTIMATION: [&str; 2] = ["transport-cc", "ack ccfb"];

/// What we would like to do with one section of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wish {
    /// Not to have it.
    Reject,
    /// To have it, and leave it silent.
    Inactive,
    /// To receive what the offerer sends.
    Receive(Reception),
    /// To send a stream.
    Send(Outgoing),
}

/// How we would like to receive something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reception {
    /// In this codec, or in another one when that cannot be; `None` in the first of the offer that is allowed.
    pub codec: Option<Codec>,
    /// With redundancy (RFC 2198), for Opus.
    pub red: Red,
    /// Opus may fall silent (RFC 7587 §6.1, `usedtx`).
    pub dtx: bool,
    /// Opus in stereo, at any bitrate.
    pub stereo: bool,
}

/// Whether Opus is received with redundancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Red {
    /// If the offerer prefers that.
    #[default]
    AsOffered,
    /// If it can be.
    Preferred,
    /// Not at all.
    Refused,
}

/// Goes through the offer, asks `wish` for each section that could be accepted, and settles what follows.
///
/// A wish that the offer does not allow (direction, no codec in common) becomes a rejected section, except that a
/// stream whose codec is not offered is an error.
///
/// # Errors
///
/// Nothing could be accepted, or the offer lacks what any session needs.
pub fn answer(
    offer: &Description,
    codecs: &Codecs,
    wish: impl FnMut(&Section) -> Wish,
) -> Result<Agreement, NegotiationError> {
    let agreement = settle(offer, codecs, false, wish)?;
    let silent = |section: &Agreed| matches!(section.role, Role::Rejected | Role::Inactive);
    if agreement.sections.iter().all(silent) {
        return Err(NegotiationError::NothingInCommon);
    }
    Ok(agreement)
}

/// The same for a session that goes on with more offers: nothing may flow at first, data channels are taken, and all
/// sections get the extensions that a later sender needs, because browsers offer no others afterwards.
///
/// # Errors
///
/// The offer lacks what any session needs.
pub fn answer_growing(
    offer: &Description,
    codecs: &Codecs,
    wish: impl FnMut(&Section) -> Wish,
) -> Result<Agreement, NegotiationError> {
    settle(offer, codecs, true, wish)
}

fn settle(
    offer: &Description,
    codecs: &Codecs,
    growing: bool,
    mut wish: impl FnMut(&Section) -> Wish,
) -> Result<Agreement, NegotiationError> {
    let tagged = offer.tagged().ok_or(NegotiationError::NoSections)?;
    let remote = remote(offer, tagged)?;
    let mut sections = Vec::with_capacity(offer.sections.len());
    for section in &offer.sections {
        if growing && section.is_data() && !section.rejected && offer.is_bundled(section) {
            sections.push(Agreed {
                role: Role::Data,
                ..rejected(section)
            });
            continue;
        }
        let possible = !section.rejected && offer.is_bundled(section) && section.kind.media().is_some();
        let wish = if possible { wish(section) } else { Wish::Reject };
        if wish != Wish::Reject && !section.rtcp_mux {
            return Err(NegotiationError::NoRtcpMux(section.mid));
        }
        sections.push(agree(section, codecs, growing, wish)?);
    }
    let candidates = tagged.candidates.clone();
    let bundled = !offer.bundle.is_empty();
    Ok(Agreement {
        remote,
        candidates,
        sections,
        bundled,
        allow_mixed: offer.allow_mixed,
    })
}

/// The transport of a description: that of its tagged section.
pub(super) fn remote(description: &Description, tagged: &Section) -> Result<RemoteDescription, NegotiationError> {
    Ok(RemoteDescription {
        ice: tagged.ice.clone().ok_or(NegotiationError::NoIce)?,
        ice_lite: description.ice_lite,
        fingerprint: tagged.fingerprint.ok_or(NegotiationError::NoFingerprint)?,
        setup: tagged.setup.unwrap_or(Setup::Actpass),
    })
}

fn agree(section: &Section, codecs: &Codecs, growing: bool, wish: Wish) -> Result<Agreed, NegotiationError> {
    let reception = match wish {
        Wish::Receive(reception) => Some(reception),
        _ => None,
    };
    let (role, chosen) = match wish {
        Wish::Receive(reception) if section.direction.sends() => {
            let formats = &section.formats;
            let wanted = reception.codec.and_then(|codec| codecs.to_receive_in(formats, codec));
            let chosen = wanted.or_else(|| codecs.to_receive(formats));
            (Role::Receiving, chosen.into_iter().collect())
        }
        Wish::Send(outgoing) if section.direction.receives() => {
            let chosen = codecs.to_send(&section.formats, outgoing.source);
            if let Some(source) = outgoing.source {
                let first = chosen
                    .first()
                    .and_then(|index| section.formats.get(*index))
                    .and_then(Format::codec);
                if first.is_none_or(|first| first.codec != source.codec) {
                    return Err(NegotiationError::CodecNotOffered(source.codec));
                }
            }
            (Role::Sending(outgoing), chosen)
        }
        Wish::Inactive => (Role::Inactive, codecs.to_send(&section.formats, None)),
        Wish::Reject | Wish::Receive(_) | Wish::Send(_) => (Role::Rejected, Vec::new()),
    };
    if chosen.is_empty() {
        return Ok(rejected(section));
    }
    let mut extension_lines = extensions(section, &role, growing);
    let used = |extension: &Extension| role == Role::Receiving || !ONLY_RECEIVED.contains(extension);
    let mut extensions: ExtensionMap = extension_lines.iter().fold(ExtensionMap::new(), |map, line| {
        let extension = Extension::from_uri(&line.uri).filter(used);
        extension.map_or(map, |extension| map.with(extension, line.id))
    });
    let rids_as_offered = if role == Role::Receiving {
        rids(section, &extensions)
    } else {
        Vec::new()
    };
    let mut rids = rids_as_offered.clone();
    order_lowest_first(&mut rids);
    let streams = if role == Role::Receiving && rids.is_empty() {
        section.streams()
    } else {
        Vec::new()
    };
    let formats = formats(section, &chosen, &extensions, reception);
    // Who tells by SSRC needs no numbers, and would tell nothing of them.
    let tells = |kind: &str| formats.iter().any(|format| format.has_feedback(kind));
    if tells(ESTIMATION[1]) && !tells(ESTIMATION[0]) {
        extensions.set(Extension::TransportCc, 0);
        extension_lines.retain(|line| Extension::from_uri(&line.uri) != Some(Extension::TransportCc));
    }
    Ok(Agreed {
        mid: section.mid,
        kind: section.kind.clone(),
        role,
        formats,
        extensions,
        rids,
        streams,
        msid: section.msid.clone(),
        protocol: section.protocol.clone(),
        other_formats: Vec::new(),
        extension_lines,
        rids_as_offered,
        rtcp_rsize: section.rtcp_rsize,
    })
}

/// Formats are required even there (RFC 3264 §6): the first one of the offer.
fn rejected(section: &Section) -> Agreed {
    let bare = |format: &Format| Format {
        name: String::new(),
        feedback: Vec::new(),
        fmtp: String::new(),
        ..format.clone()
    };
    Agreed {
        mid: section.mid,
        kind: section.kind.clone(),
        role: Role::Rejected,
        formats: section.formats.first().map(bare).into_iter().collect(),
        extensions: ExtensionMap::new(),
        rids: Vec::new(),
        streams: Vec::new(),
        msid: None,
        protocol: section.protocol.clone(),
        other_formats: section.other_formats.clone(),
        extension_lines: Vec::new(),
        rids_as_offered: Vec::new(),
        rtcp_rsize: false,
    }
}

/// The chosen formats with their RTX, redundancy and FEC, with the feedback that both sides can.
fn formats(
    section: &Section,
    chosen: &[usize],
    extensions: &ExtensionMap,
    reception: Option<Reception>,
) -> Vec<Format> {
    let numbered = extensions.id(Extension::TransportCc).is_some();
    let candidates = match reception {
        Some(_) => &ESTIMATION[..1],
        None => &ESTIMATION,
    };
    let candidates = candidates.iter().filter(|kind| numbered || **kind != ESTIMATION[0]);
    let bare = |format: &Format| Format {
        feedback: Vec::new(),
        ..format.clone()
    };
    let mut formats = Vec::new();
    for (index, format) in chosen
        .iter()
        .filter_map(|index| Some((*index, section.formats.get(*index)?)))
    {
        let mut kept = format.clone();
        if format.codec().is_some_and(|spec| spec.codec == Codec::Opus) {
            wish_for_sound(&mut kept, reception);
        }
        let estimation = candidates.clone().find(|kind| format.has_feedback(kind));
        let usable = |kind: &str| FEEDBACK.contains(&kind) || estimation.is_some_and(|estimation| *estimation == kind);
        kept.feedback.retain(|kind| usable(kind));
        let red = red_of(&section.formats, format.pt);
        let earlier = |red: &&Format| section.formats.iter().take(index).any(|before| before.pt == red.pt);
        // What stands first is what a sender sends.
        let (first, second) = match reception.map(|reception| reception.red) {
            None => (None, red),
            Some(Red::Preferred) => (red, None),
            Some(Red::AsOffered) => (red.filter(earlier), None),
            Some(Red::Refused) => (None, None),
        };
        formats.extend(first.map(bare));
        formats.push(kept);
        formats.extend(second.map(bare));
        formats.extend(rtx_of(&section.formats, format.pt).map(bare));
    }
    let pictures = section.kind == SectionKind::Video;
    formats.extend(fec_of(&section.formats).filter(|_| pictures).map(bare));
    formats
}

/// Browsers do not offer to ask for sound again, and those that report arrivals of sound do it all the same when the answer
/// says so (`docs/rfc.md`).
fn wish_for_sound(opus: &mut Format, reception: Option<Reception>) {
    if opus.has_feedback("transport-cc") && !opus.has_feedback("nack") {
        opus.feedback.push("nack".to_owned());
    }
    let Some(reception) = reception else { return };
    if reception.dtx {
        opus.add_parameter("usedtx", "1");
    }
    if reception.stereo {
        opus.add_parameter("stereo", "1");
        opus.add_parameter("maxaveragebitrate", "510000");
    }
}

/// The extensions that we use in this role, with the ids of the offer.
fn extensions(section: &Section, role: &Role, growing: bool) -> Vec<ExtensionLine> {
    let mut lines: Vec<ExtensionLine> = Vec::new();
    for line in &section.extensions {
        let Some(extension) = Extension::from_uri(&line.uri).filter(|extension| RECEIVED.contains(extension)) else {
            continue;
        };
        let usable = match role {
            Role::Receiving => line.direction.is_none_or(Direction::sends),
            _ if growing => true,
            _ => line.direction.is_none_or(Direction::receives) && !ONLY_RECEIVED.contains(&extension),
        };
        if usable && !lines.iter().any(|known| known.uri == line.uri || known.id == line.id) {
            let direction = line.direction.map(Direction::reversed);
            lines.push(ExtensionLine {
                id: line.id,
                direction,
                uri: line.uri.clone(),
            });
        }
    }
    lines
}

/// The encodings that the offerer wants to send and can name in its packets, as many as we keep apart.
fn rids(section: &Section, extensions: &ExtensionMap) -> Vec<Rid> {
    let offered = section.simulcast.iter().flat_map(|simulcast| &simulcast.send);
    if extensions.id(Extension::Rid).is_none() {
        return Vec::new();
    }
    let declared = |rid: &&Rid| {
        section
            .rids
            .iter()
            .any(|line| line.rid == **rid && line.direction == RidDirection::Send)
    };
    let mut rids: Vec<Rid> = Vec::new();
    for rid in offered.filter(declared) {
        if rids.len() < MAX_ENCODINGS && !rids.contains(rid) {
            rids.push(*rid);
        }
    }
    rids
}
