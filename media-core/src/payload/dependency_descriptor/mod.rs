//! The dependency descriptor: what a frame is and what it needs, told in a header extension (AV1 RTP specification,
//! appendix A). Made for AV1, sent by browsers with any video codec; the one source that remains when the payload is
//! encrypted from end to end.
//!
//! ```text
//!  0                   1                   2
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
//! |S|E| template  |         frame number          |   always; S, E: first, last packet of the frame
//! |P|A|D|F|C|                                         longer than three bytes, then as the bits say:
//!   P structure · A active decode targets · D indications · F references · C chains
//! ```
//!
//! A sender tells its structure with each keyframe: *decode targets* (what a receiver can choose: a spatial and a
//! temporal layer), *templates* (kinds of frames: layer, relation to each decode target, references, place in the
//! chains). After that three bytes name a template. So reading needs a state per stream, [`DependencyState`]; it keeps
//! the last two structures, for packets that come late or again, and accepts a descriptor whole or not at all.
//!
//! | file | one idea |
//! |---|---|
//! | this | the state of one stream |
//! | `frame` | one packet's frame |
//! | `structure` | decode targets and templates, read and written |
//! | `indications` | how a frame relates to each decode target |
//! | `write` | a packet's descriptor, written |
//! | `active` | which decode targets are produced, told anew |
//! | `bits` | numbers that do not end at byte borders |
//!
//! Not here: which decode target a subscriber gets, whether a chain is broken.

mod active;
mod bits;
mod frame;
mod indications;
mod structure;
mod write;

#[cfg(test)]
mod tests;

pub use active::set_active_targets;
pub use frame::{Frame, MAX_REFERENCES, References};
pub use indications::{Indication, Indications, MAX_DECODE_TARGETS};
pub use structure::{
    MAX_CHAINS, MAX_SPATIAL_LAYERS, MAX_TEMPLATES, MAX_TEMPORAL_LAYERS, Resolution, Structure, Template,
};
pub use write::Descriptor;

use self::bits::BitReader;
use self::frame::Custom;
use crate::payload::Info;

/// Bytes of the part that every packet has.
const MANDATORY: usize = 3;
/// Structures kept per stream: the current one and the one before.
const STRUCTURES: usize = 2;

const HAS_STRUCTURE: u8 = 0x80;

/// What is known of the structure of one RTP stream. A pointer's size until a structure comes, then 3 kB for each of
/// the last two.
#[derive(Debug, Default)]
pub struct DependencyState {
    known: [Option<Box<Known>>; STRUCTURES],
    /// Which of `known` came last.
    newest: usize,
}

#[derive(Debug)]
struct Known {
    structure: Structure,
    /// Decode targets that are being sent.
    active: u32,
    /// The frame that said so.
    active_since: u16,
}

impl DependencyState {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the descriptor of one packet; `None` when it is malformed, beyond the bounds of this room, or needs a
    /// structure that has not come.
    ///
    /// About 15 ns and no allocation, except with a new structure: that takes 300 ns to read and copy, and is allocated
    /// for the first two.
    #[inline]
    pub fn read(&mut self, element: &[u8]) -> Option<Frame> {
        let mandatory = Mandatory::parse(element)?;
        let extended = element.get(MANDATORY..).unwrap_or_default();
        if extended.is_empty() {
            let known = self.known_for(mandatory.template_id)?;
            return Frame::define(
                mandatory,
                Custom::default(),
                &mut BitReader::new(&[]),
                &known.structure,
                known.active,
            );
        }
        self.read_extended(mandatory, extended)
    }

    /// What [`Self::read`] says as an [`Info`], with the numbers that only the payload has; or else as much of the
    /// payload's own `seen` as still holds: without its structure a descriptor tells where a frame starts and ends, and
    /// that it is no keyframe.
    #[inline]
    pub fn refine(&mut self, element: &[u8], seen: Info) -> Info {
        if let Some(frame) = self.read(element) {
            return Info {
                ids: seen.ids,
                frame_number: Some(frame.frame_number),
                ..frame.info
            };
        }
        let Some(mandatory) = Mandatory::parse(element) else {
            return seen;
        };
        let attaches = element.get(MANDATORY).is_some_and(|flags| flags & HAS_STRUCTURE != 0);
        Info {
            start_of_frame: mandatory.start_of_frame,
            end_of_frame: mandatory.end_of_frame,
            keyframe: seen.keyframe && attaches && mandatory.start_of_frame,
            frame_number: Some(mandatory.frame_number),
            ..seen
        }
    }

    /// The structure that came last.
    #[must_use]
    pub fn structure(&self) -> Option<&Structure> {
        self.newest().map(|known| &known.structure)
    }

    /// The decode targets that the sender produces now: bit n for target n.
    #[must_use]
    pub fn active_targets(&self) -> u32 {
        self.newest().map_or(0, |known| known.active)
    }

    fn newest(&self) -> Option<&Known> {
        self.known.get(self.newest)?.as_deref()
    }

    /// The structure that a template id belongs to: ids of two structures in a row do not overlap (A.4.2); when they do
    /// all the same, the newer one holds.
    #[inline]
    fn known_for(&mut self, template_id: u8) -> Option<&mut Known> {
        let newest = self.newest;
        let has = |known: &Option<Box<Known>>| {
            known
                .as_ref()
                .is_some_and(|k| k.structure.template(template_id).is_some())
        };
        let index = if has(self.known.get(newest)?) {
            newest
        } else {
            self.known.iter().position(has)?
        };
        self.known.get_mut(index)?.as_deref_mut()
    }

    fn read_extended(&mut self, mandatory: Mandatory, extended: &[u8]) -> Option<Frame> {
        let mut bits = BitReader::new(extended);
        let attaches = bits.read_flag()?;
        let has_active = bits.read_flag()?;
        let custom = Custom {
            indications: bits.read_flag()?,
            references: bits.read_flag()?,
            chains: bits.read_flag()?,
        };
        if attaches {
            return self.read_attached(mandatory, has_active, custom, bits);
        }
        let known = self.known_for(mandatory.template_id)?;
        let mut active = known.active;
        if has_active {
            active = bits.read_u32(u32::from(known.structure.decode_targets()))?;
        }
        let frame = Frame::define(mandatory, custom, &mut bits, &known.structure, active)?;
        if has_active && is_newer(mandatory.frame_number, known.active_since) {
            known.active = active;
            known.active_since = mandatory.frame_number;
        }
        Some(frame)
    }

    #[cold]
    #[inline(never)]
    fn read_attached(
        &mut self,
        mandatory: Mandatory,
        has_active: bool,
        custom: Custom,
        mut bits: BitReader<'_>,
    ) -> Option<Frame> {
        let structure = Structure::read(&mut bits)?;
        let mut active = structure.all_targets();
        if has_active {
            active = bits.read_u32(u32::from(structure.decode_targets()))?;
        }
        let mut frame = Frame::define(mandatory, custom, &mut bits, &structure, active)?;
        frame.attached = true;
        frame.info.keyframe = mandatory.start_of_frame && frame.references.is_empty();
        self.keep(Known {
            structure,
            active,
            active_since: mandatory.frame_number,
        });
        Some(frame)
    }

    /// Replaces the structure with the same ids, or else the one that has been known for longer.
    fn keep(&mut self, new: Known) {
        let same = |known: &Option<Box<Known>>| {
            known
                .as_ref()
                .is_some_and(|k| k.structure.template_id_offset() == new.structure.template_id_offset())
        };
        let index = self
            .known
            .iter()
            .position(same)
            .unwrap_or((self.newest + 1) % STRUCTURES);
        match &mut self.known[index] {
            Some(known) => **known = new,
            empty => *empty = Some(Box::new(new)),
        }
        self.newest = index;
    }
}

/// Frame numbers wrap (RFC 1982); the same frame counts as newer.
#[expect(clippy::cast_possible_wrap, reason = "modular distance, RFC 1982")]
fn is_newer(frame_number: u16, than: u16) -> bool {
    frame_number.wrapping_sub(than) as i16 >= 0
}

/// The number of the frame that a packet belongs to, from its descriptor; `None` when that is too short.
#[inline]
#[must_use]
pub fn frame_number(element: &[u8]) -> Option<u16> {
    Mandatory::parse(element).map(|mandatory| mandatory.frame_number)
}

/// Changes the frame number in a descriptor, so that numbers go on when another stream is put behind a subscriber.
/// References and chains are relative and stay. A descriptor that is too short is left alone.
#[inline]
pub fn set_frame_number(element: &mut [u8], frame_number: u16) {
    if let Some([_, number @ ..]) = element.first_chunk_mut::<MANDATORY>() {
        *number = frame_number.to_be_bytes();
    }
}

/// The part that every descriptor has, and that can be read without a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mandatory {
    /// The first packet of the frame.
    pub start_of_frame: bool,
    /// The last packet of the frame.
    pub end_of_frame: bool,
    /// Names the template, 0 to 63.
    pub template_id: u8,
    /// Counts frames in decoding order; wraps.
    pub frame_number: u16,
}

impl Mandatory {
    /// Reads the first three bytes; `None` when there are fewer.
    #[inline]
    #[must_use]
    pub fn parse(element: &[u8]) -> Option<Self> {
        let &[first, high, low] = element.first_chunk::<MANDATORY>()?;
        Some(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template_id: first & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
        })
    }
}
