//! SDP fragments: candidates that come later, and new ICE credentials.
//!
//! RFC 8840 §9 (`application/trickle-ice-sdpfrag`), RFC 9725 §4.3 (how WHIP uses them). All media share one transport,
//! so that of the sections only their ICE lines matter.

use std::fmt;

use althing_media_core::Mid;
use althing_media_core::transport::{Candidate, IceCreds};

use super::description::MAX_CANDIDATES;
use super::parse::{self, Common};
use super::raw::{self, SdpError};

/// What a fragment tells about the one transport of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// The credentials that the candidates belong to; other ones than before ask for an ICE restart.
    pub ice: Option<IceCreds>,
    /// The writer is an ICE-lite agent.
    pub ice_lite: bool,
    /// New candidates.
    pub candidates: Vec<Candidate>,
    /// No more will come.
    pub end_of_candidates: bool,
    /// The bundled sections, the tagged one first. Only this one is written.
    pub bundle: Vec<Mid>,
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// # Errors
    ///
    /// Says in one sentence which line is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let raw = raw::read_fragment(text)?;
        let mut fragment = Self::default();
        let mut common = Common::default();
        // Some writers put everything before the first section, some leave the sections out: it is one transport.
        for attribute in raw
            .attributes
            .iter()
            .chain(raw.sections.iter().flat_map(|section| &section.attributes))
        {
            match attribute.key.as_str() {
                "group" => parse::bundle(&mut fragment.bundle, attribute)?,
                "ice-lite" => fragment.ice_lite = true,
                "candidate" => {
                    let candidate = parse::candidate(attribute)?;
                    let room = usize::from(fragment.candidates.len() < MAX_CANDIDATES);
                    fragment.candidates.extend(candidate.into_iter().take(room));
                }
                _ => common.read(attribute)?,
            }
        }
        fragment.end_of_candidates = common.end_of_candidates;
        fragment.ice = common.ice();
        Ok(fragment)
    }

    /// Whether these credentials start a new ICE session (RFC 8839 §4.4.1.1.1).
    #[must_use]
    pub fn restarts(&self, current: &IceCreds) -> bool {
        self.ice.as_ref().is_some_and(|ice| ice != current)
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ice_lite {
            f.write_str("a=ice-lite\r\n")?;
        }
        f.write_str("a=ice-options:trickle\r\n")?;
        if !self.bundle.is_empty() {
            f.write_str("a=group:BUNDLE")?;
            self.bundle.iter().try_for_each(|mid| write!(f, " {}", mid.0))?;
            f.write_str("\r\n")?;
        }
        // A section of which only the name counts (RFC 8840 §9.2).
        if let Some(mid) = self.bundle.first() {
            write!(f, "m=audio 9 RTP/AVP 0\r\na=mid:{}\r\n", mid.0)?;
        }
        if let Some(ice) = &self.ice {
            write!(f, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", ice.ufrag, ice.pwd)?;
        }
        self.candidates
            .iter()
            .try_for_each(|candidate| write!(f, "a={candidate}\r\n"))?;
        if self.end_of_candidates {
            f.write_str("a=end-of-candidates\r\n")?;
        }
        Ok(())
    }
}
