//! One packet's frame: its template, with what the packet has of its own (A.4.1 `frame_dependency_definition`).

use super::Mandatory;
use super::bits::BitReader;
use super::indications::Indications;
use super::structure::{MAX_CHAINS, Structure};
use crate::payload::Info;

/// References that one frame may list; no codec has more.
pub const MAX_REFERENCES: usize = 16;

/// What one packet says about its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The same, as every format says it.
    pub info: Info,
    /// Counts frames in decoding order; wraps.
    pub frame_number: u16,
    /// The packet brought a structure.
    pub attached: bool,
    /// How the frame relates to each decode target.
    pub indications: Indications,
    /// The frames that it refers to.
    pub references: References,
    /// For each chain, how far back its previous frame is; 0 when none is needed.
    pub chain_fdiffs: [u8; MAX_CHAINS],
    /// The decode targets that the sender produces: bit n for target n.
    pub active: u32,
}

impl Frame {
    /// `frame_dependency_definition()`.
    #[inline]
    pub(super) fn define(
        mandatory: Mandatory,
        custom: Custom,
        bits: &mut BitReader<'_>,
        structure: &Structure,
        active: u32,
    ) -> Option<Self> {
        let template = structure.template(mandatory.template_id)?;
        let mut frame = Self {
            info: Info {
                start_of_frame: mandatory.start_of_frame,
                end_of_frame: mandatory.end_of_frame,
                spatial: template.spatial,
                temporal: template.temporal,
                ..Info::default()
            },
            frame_number: mandatory.frame_number,
            attached: false,
            indications: template.indications,
            references: References::of_template(template.references),
            chain_fdiffs: template.chain_fdiffs,
            active,
        };
        if custom.indications {
            frame.indications = Indications::read(bits, structure.decode_targets())?;
        }
        if custom.references {
            frame.references = References::read(bits)?;
        }
        if custom.chains {
            for fdiff in frame.chain_fdiffs.iter_mut().take(usize::from(structure.chains())) {
                *fdiff = bits.read_u8(8)?;
            }
        }
        frame.judge(structure);
        Some(frame)
    }

    /// What indications and references mean for one who knows only layers.
    #[inline]
    fn judge(&mut self, structure: &Structure) {
        let (spatial, temporal) = (self.info.spatial, self.info.temporal);
        let own = structure.targets_of_spatial(spatial) & self.active;
        let switch = self.indications.switch() & own;
        for layer in 0..8_u8 {
            self.info.switch_to |= u8::from(switch & structure.targets_of_temporal(layer) != 0) << layer;
        }
        self.info.switch_up = self.info.switch_to >> temporal != 0;
        // The lower layers of the same picture are the frames just before this one: one number for each layer.
        self.info.spatial_switch_up =
            switch != 0 && self.references.iter().all(|reference| reference <= u16::from(spatial));
        let above: u32 = (spatial + 1..4)
            .map(|layer| structure.targets_of_spatial(layer))
            .fold(0, |a, b| a | b);
        self.info.not_for_upper = self.indications.present() & above & self.active == 0;
        self.info.discardable = self.indications.needed() & self.active == 0;
    }

    /// The frame is part of decode target `target`, which the sender produces.
    #[inline]
    #[must_use]
    pub fn is_in(&self, target: u8) -> bool {
        (self.indications.present() & self.active)
            .checked_shr(u32::from(target))
            .is_some_and(|bits| bits & 1 == 1)
    }
}

/// Which parts a packet has of its own, in place of the template's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Custom {
    pub(super) indications: bool,
    pub(super) references: bool,
    pub(super) chains: bool,
}

/// How far back the frames are that a frame refers to, 1 to 4096 each.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct References {
    fdiffs: [u16; MAX_REFERENCES],
    count: u8,
}

impl References {
    #[inline]
    fn of_template(mask: u16) -> Self {
        let mut references = Self::default();
        let mut mask = u32::from(mask);
        for fdiff in &mut references.fdiffs {
            if mask == 0 {
                break;
            }
            *fdiff = u16::try_from(mask.trailing_zeros() + 1).unwrap_or(0);
            mask &= mask - 1;
            references.count += 1;
        }
        references
    }

    /// `frame_fdiffs()`; `None` also beyond [`MAX_REFERENCES`].
    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let mut references = Self::default();
        loop {
            let size = u32::from(bits.read(2)?);
            if size == 0 {
                return Some(references);
            }
            *references.fdiffs.get_mut(usize::from(references.count))? = bits.read(4 * size)? + 1;
            references.count += 1;
        }
    }

    /// Refers to no frame.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All distances.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.fdiffs.iter().copied().take(usize::from(self.count))
    }
}

impl std::fmt::Debug for References {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
