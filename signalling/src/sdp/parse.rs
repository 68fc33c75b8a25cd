//! From lines to the model. Unknown attributes are skipped, known ones must have their form.
//!
//! RFC 8866 (formats, direction), RFC 9143 (BUNDLE, mid), RFC 8839 (ICE), RFC 8122 (fingerprint), RFC 8842 (setup),
//! RFC 8285 (extmap), RFC 5576 (ssrc), RFC 8830 (msid). Every list has a bound of its own.

use althing_media_core::transport::{Candidate, CandidateError, Fingerprint, IceCreds, Setup};
use althing_media_core::{Mid, Pt, Ssrc};

use super::codec::Format;
use super::description::{
    Description, Direction, ExtensionLine, MAX_CANDIDATES, MAX_EXTENSIONS, MAX_SECTIONS, MAX_SSRCS, Msid, Section,
    SectionKind, SsrcGroup, SsrcLine,
};
use super::raw::{self, Attribute, RawSection, RawSession, SdpError};
use super::simulcast::{MAX_RIDS, RidLine, Simulcast};

/// Payload types of one section: there are no more.
const MAX_FORMATS: usize = 128;

/// Feedback lines of one format.
const MAX_FEEDBACK: usize = 16;

/// Lengths of a user name fragment and of a password (RFC 8839 §5.4).
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PWD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

impl Description {
    /// Reads a whole offer or answer.
    ///
    /// # Errors
    ///
    /// Says in one sentence which line is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        Self::from_raw(raw::read(text)?)
    }

    pub(super) fn from_raw(raw: RawSession) -> Result<Self, SdpError> {
        let mut description = Self {
            id: raw.id,
            version: raw.version,
            ..Self::default()
        };
        let mut common = Common::default();
        for attribute in &raw.attributes {
            match attribute.key.as_str() {
                "group" => bundle(&mut description.bundle, attribute)?,
                "ice-lite" => description.ice_lite = true,
                "extmap-allow-mixed" => description.allow_mixed = true,
                _ => common.read(attribute)?,
            }
        }
        let mut mixed = 0;
        for raw in &raw.sections {
            if description.sections.len() == MAX_SECTIONS {
                return Err(SdpError::TooMany {
                    line: raw.line,
                    what: "media sections",
                    limit: MAX_SECTIONS,
                });
            }
            let (section, common) = section(raw, common.clone())?;
            if description.section(section.mid).is_some() {
                return Err(SdpError::DuplicateMid { line: raw.line });
            }
            description.trickle |= common.trickle;
            mixed += usize::from(
                raw.attributes
                    .iter()
                    .any(|attribute| attribute.key == "extmap-allow-mixed"),
            );
            description.sections.push(section);
        }
        description.trickle |= common.trickle;
        // Some write the flag into every section instead of the session (RFC 8285 §6 allows both).
        description.allow_mixed |= mixed > 0 && mixed == description.sections.len();
        Ok(description)
    }
}

/// Of several BUNDLE groups the first counts: the rest is not bundled with it, and so not accepted.
pub(super) fn bundle(bundle: &mut Vec<Mid>, attribute: &Attribute) -> Result<(), SdpError> {
    let mut words = attribute.value.split_ascii_whitespace();
    if words.next() != Some("BUNDLE") || !bundle.is_empty() {
        return Ok(());
    }
    for word in words {
        if bundle.len() == MAX_SECTIONS {
            return Err(SdpError::TooMany {
                line: attribute.line,
                what: "bundled sections",
                limit: MAX_SECTIONS,
            });
        }
        bundle.push(Mid::new(word).ok_or_else(|| attribute.malformed("group", MID_FORM))?);
    }
    Ok(())
}

/// `Ok(None)` for a name or a transport that we do not have: skipped without a word (RFC 9725 §4.3.2).
pub(super) fn candidate(attribute: &Attribute) -> Result<Option<Candidate>, SdpError> {
    match format!("candidate:{}", attribute.value).parse() {
        Ok(candidate) => Ok(Some(candidate)),
        Err(CandidateError::Malformed) => Err(attribute.malformed("candidate", CANDIDATE_FORM)),
        Err(_) => Ok(None),
    }
}

const CANDIDATE_FORM: &str =
    "a foundation, a component, a transport, a priority, an address, a port and a type, and for TCP a tcptype";

const MID_FORM: &str = "names of 1 to 16 visible ASCII characters";

/// What may stand before the first section, for all, or in a section.
#[derive(Debug, Clone, Default)]
pub(super) struct Common {
    ufrag: Option<String>,
    pwd: Option<String>,
    fingerprint: Option<Fingerprint>,
    setup: Option<Setup>,
    direction: Option<Direction>,
    trickle: bool,
    pub(super) end_of_candidates: bool,
}

impl Common {
    pub(super) fn ice(&self) -> Option<IceCreds> {
        self.ufrag
            .clone()
            .zip(self.pwd.clone())
            .map(|(ufrag, pwd)| IceCreds { ufrag, pwd })
    }

    pub(super) fn read(&mut self, attribute: &Attribute) -> Result<(), SdpError> {
        let value = attribute.value.as_str();
        match attribute.key.as_str() {
            "ice-ufrag" => {
                let form = "4 to 256 letters, digits, + and /";
                let ufrag = ice_chars(value, UFRAG_LEN).ok_or_else(|| attribute.malformed("ice-ufrag", form))?;
                self.ufrag = Some(ufrag);
            }
            "ice-pwd" => {
                let form = "22 to 256 letters, digits, + and /";
                let pwd = ice_chars(value, PWD_LEN).ok_or_else(|| attribute.malformed("ice-pwd", form))?;
                self.pwd = Some(pwd);
            }
            "ice-options" => self.trickle |= value.split_ascii_whitespace().any(|option| option == "trickle"),
            "fingerprint" => {
                let form = "a hash function and pairs of hexadecimal digits with colons between them";
                let known = ["sha-256", "sha-384", "sha-512"];
                let hash = value.split_ascii_whitespace().next().unwrap_or_default();
                let fingerprint = Fingerprint::parse(value);
                if fingerprint.is_none() && known.iter().any(|name| name.eq_ignore_ascii_case(hash)) {
                    return Err(attribute.malformed("fingerprint", form));
                }
                self.fingerprint = self.fingerprint.take().or(fingerprint);
            }
            "setup" => {
                let form = "active, passive or actpass";
                let setup = Setup::parse(value).ok_or_else(|| attribute.malformed("setup", form))?;
                self.setup = Some(setup);
            }
            "end-of-candidates" => self.end_of_candidates = true,
            key => self.direction = Direction::parse(key).or(self.direction),
        }
        Ok(())
    }
}

/// The characters that ICE allows (RFC 8839 §5.4).
fn ice_chars(value: &str, len: std::ops::RangeInclusive<usize>) -> Option<String> {
    let allowed = value
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    (len.contains(&value.len()) && allowed).then(|| value.to_owned())
}

fn section(raw: &RawSection, mut common: Common) -> Result<(Section, Common), SdpError> {
    let name = raw
        .attributes
        .iter()
        .find(|attribute| attribute.key == "mid")
        .ok_or(SdpError::NoMid { line: raw.line })?;
    let mid =
        Mid::new(&name.value).ok_or_else(|| name.malformed("mid", "a name of 1 to 16 visible ASCII characters"))?;
    let kind = match raw.media.as_str() {
        _ if !raw.protocol.contains("RTP/") => SectionKind::Other(raw.media.clone()),
        "audio" => SectionKind::Audio,
        "video" => SectionKind::Video,
        other => SectionKind::Other(other.to_owned()),
    };
    let mut section = Section::new(mid, kind, &raw.protocol);
    if section.kind.media().is_some() {
        section.formats = formats(raw)?;
    } else {
        section.other_formats = raw.formats.iter().take(MAX_FORMATS).cloned().collect();
    }
    // The section's own lines count, not the sum of both levels.
    let inherited = common.fingerprint.take();
    let mut bundle_only = false;
    for attribute in &raw.attributes {
        match attribute.key.as_str() {
            "rtcp-mux" => section.rtcp_mux = true,
            "rtcp-rsize" => section.rtcp_rsize = true,
            "bundle-only" => bundle_only = true,
            "sctp-port" => section.sctp_port = attribute.value.parse().ok(),
            "max-message-size" => section.max_message_size = attribute.value.parse().ok(),
            "rtpmap" | "fmtp" | "rtcp-fb" => section.format_line(attribute)?,
            "candidate" => section.candidate_line(attribute)?,
            "extmap" => section.extension_line(attribute)?,
            "rid" | "simulcast" => section.simulcast_line(attribute)?,
            "msid" if section.msid.is_none() => section.msid = Msid::parse(&attribute.value),
            "ssrc" | "ssrc-group" => section.ssrc_line(attribute)?,
            _ => common.read(attribute)?,
        }
    }
    section.rejected = raw.port == 0 && !bundle_only;
    section.direction = common.direction.unwrap_or_default();
    section.ice = common.ice();
    section.fingerprint = common.fingerprint.or(inherited);
    section.setup = common.setup;
    section.end_of_candidates = common.end_of_candidates;
    Ok((section, common))
}

fn formats(raw: &RawSection) -> Result<Vec<Format>, SdpError> {
    let mut formats: Vec<Format> = Vec::new();
    for word in &raw.formats {
        let pt = word
            .parse::<u8>()
            .ok()
            .filter(|pt| *pt < 128)
            .ok_or(SdpError::Grammar { line: raw.line })?;
        let (name, clock) = match pt {
            0 => ("PCMU", 8_000),
            8 => ("PCMA", 8_000),
            9 => ("G722", 8_000),
            _ => ("", 0),
        };
        let pt = Pt::new(pt);
        if !formats.iter().any(|format| format.pt == pt) {
            let (name, fmtp) = (name.to_owned(), String::new());
            formats.push(Format {
                pt,
                name,
                clock,
                channels: 1,
                fmtp,
                feedback: Vec::new(),
            });
        }
    }
    Ok(formats)
}

impl Section {
    fn format_line(&mut self, attribute: &Attribute) -> Result<(), SdpError> {
        let pt = |word: &str| word.parse::<u8>().ok().filter(|pt| *pt < 128).map(Pt::new);
        let split = attribute.value.split_once(' ').map(|(pt, rest)| (pt, rest.trim()));
        match attribute.key.as_str() {
            "rtpmap" => {
                let form = "a payload type, a name and a clock rate, as `96 VP8/90000`";
                let malformed = || attribute.malformed("rtpmap", form);
                let (word, map) = split.ok_or_else(malformed)?;
                let mut parts = map.split('/');
                let name = parts.next().filter(|name| !name.is_empty()).ok_or_else(malformed)?;
                let clock = parts
                    .next()
                    .and_then(|clock| clock.parse().ok())
                    .ok_or_else(malformed)?;
                let channels = parts
                    .next()
                    .map_or(Some(1), |channels| channels.parse().ok())
                    .ok_or_else(malformed)?;
                let pt = pt(word).ok_or_else(malformed)?;
                if let Some(format) = self.formats.iter_mut().find(|format| format.pt == pt) {
                    (format.name, format.clock, format.channels) = (name.to_owned(), clock, channels);
                }
            }
            "fmtp" => {
                let form = "a payload type and parameters, as `97 apt=96`";
                let (word, parameters) = split.ok_or_else(|| attribute.malformed("fmtp", form))?;
                let pt = pt(word).ok_or_else(|| attribute.malformed("fmtp", form))?;
                if let Some(format) = self.formats.iter_mut().find(|format| format.pt == pt) {
                    parameters.clone_into(&mut format.fmtp);
                }
            }
            _ => {
                let form = "a payload type or `*` and a kind of feedback, as `96 nack pli`";
                let (word, kind) = split.ok_or_else(|| attribute.malformed("rtcp-fb", form))?;
                let wanted = if word == "*" { None } else { pt(word) };
                if wanted.is_none() && word != "*" {
                    return Err(attribute.malformed("rtcp-fb", form));
                }
                for format in self
                    .formats
                    .iter_mut()
                    .filter(|format| wanted.is_none_or(|pt| format.pt == pt))
                {
                    if format.feedback.len() < MAX_FEEDBACK && !format.has_feedback(kind) {
                        format.feedback.push(kind.to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    fn candidate_line(&mut self, attribute: &Attribute) -> Result<(), SdpError> {
        let candidate = candidate(attribute)?;
        // More are no error: an agent with many interfaces may write them, and some of the first will do.
        let room = usize::from(self.candidates.len() < MAX_CANDIDATES);
        self.candidates.extend(candidate.into_iter().take(room));
        Ok(())
    }

    fn extension_line(&mut self, attribute: &Attribute) -> Result<(), SdpError> {
        let malformed = || attribute.malformed("extmap", "an id and a URI, as `4 urn:ietf:params:rtp-hdrext:sdes:mid`");
        let mut words = attribute.value.split_ascii_whitespace();
        let id = words.next().ok_or_else(malformed)?;
        let uri = words.next().ok_or_else(malformed)?.to_owned();
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::parse(direction).ok_or_else(malformed)?)),
            None => (id, None),
        };
        let id = id.parse::<u16>().ok().filter(|id| *id != 0).ok_or_else(malformed)?;
        // Ids from 4096 are offers of more extensions than fit (RFC 8285 §6): not taken up.
        if let Ok(id) = u8::try_from(id)
            && self.extensions.len() < MAX_EXTENSIONS
        {
            self.extensions.push(ExtensionLine { id, direction, uri });
        }
        Ok(())
    }

    fn simulcast_line(&mut self, attribute: &Attribute) -> Result<(), SdpError> {
        if attribute.key == "rid" {
            let form = "a name of letters and digits and `send` or `recv`";
            let rid = RidLine::parse(&attribute.value).ok_or_else(|| attribute.malformed("rid", form))?;
            if self.rids.len() == 2 * MAX_RIDS {
                return Err(SdpError::TooMany {
                    line: attribute.line,
                    what: "a=rid lines",
                    limit: 2 * MAX_RIDS,
                });
            }
            self.rids.push(rid);
        } else {
            let form = "`send` or `recv` and at most 8 names with semicolons between them";
            let simulcast = Simulcast::parse(&attribute.value);
            self.simulcast = Some(simulcast.ok_or_else(|| attribute.malformed("simulcast", form))?);
        }
        Ok(())
    }

    fn ssrc_line(&mut self, attribute: &Attribute) -> Result<(), SdpError> {
        let mut words = attribute.value.split_ascii_whitespace();
        let ssrc = |word: &str| word.parse().ok().map(Ssrc);
        if attribute.key == "ssrc" {
            let malformed = || attribute.malformed("ssrc", "a number of 32 bits and an attribute");
            let ssrc = words.next().and_then(ssrc).ok_or_else(malformed)?;
            let cname = words
                .next()
                .ok_or_else(malformed)?
                .strip_prefix("cname:")
                .map(str::to_owned);
            if let Some(line) = self.ssrcs.iter_mut().find(|line| line.ssrc == ssrc) {
                line.cname = line.cname.take().or(cname);
            } else if self.ssrcs.len() < MAX_SSRCS {
                self.ssrcs.push(SsrcLine { ssrc, cname });
            }
        } else {
            let malformed = || attribute.malformed("ssrc-group", "a kind of group and numbers of 32 bits");
            let semantics = words.next().ok_or_else(malformed)?.to_owned();
            let ssrcs: Option<Vec<Ssrc>> = words.take(MAX_SSRCS).map(ssrc).collect();
            let ssrcs = ssrcs.ok_or_else(malformed)?;
            if self.groups.len() < MAX_SSRCS {
                self.groups.push(SsrcGroup { semantics, ssrcs });
            }
        }
        Ok(())
    }
}

impl Msid {
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let stream = words.next()?.to_owned();
        Some(Self {
            stream,
            track: words.next().unwrap_or_default().to_owned(),
        })
    }
}
