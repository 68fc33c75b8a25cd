//! What a sender says once per keyframe: its decode targets, and a template for each kind of frame (A.4.2).

use std::ops::RangeInclusive;

use super::bits::{BitReader, BitWriter};
use super::indications::{Indications, MAX_DECODE_TARGETS};

/// Templates of one structure: what the 6-bit template id can name.
pub const MAX_TEMPLATES: usize = 64;
/// Chains of one structure: never more than decode targets.
pub const MAX_CHAINS: usize = 32;
/// Spatial layers (`MAX_SPATIAL_ID` + 1).
pub const MAX_SPATIAL_LAYERS: usize = 4;
/// Temporal layers (`MAX_TEMPORAL_ID` + 1).
pub const MAX_TEMPORAL_LAYERS: usize = 8;

/// A kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Spatial layer, 0 to 3.
    pub spatial: u8,
    /// Temporal layer, 0 to 7.
    pub temporal: u8,
    /// For each decode target.
    pub indications: Indications,
    /// Which frames it refers to: bit n for the frame whose number is n + 1 less.
    pub references: u16,
    /// How far back the previous frame of each chain is, 0 to 15; 0 when none is needed.
    pub chain_fdiffs: [u8; MAX_CHAINS],
}

impl Template {
    const NONE: Self = Self {
        spatial: 0,
        temporal: 0,
        indications: Indications::NONE,
        references: 0,
        chain_fdiffs: [0; MAX_CHAINS],
    };
}

/// The largest size at which a spatial layer is shown, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Resolution {
    /// 1 to 65536.
    pub width: u32,
    /// 1 to 65536.
    pub height: u32,
}

/// The template dependency structure. About 3 kB; made once per keyframe at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    template_count: u8,
    decode_target_count: u8,
    chain_count: u8,
    has_resolutions: bool,
    templates: [Template; MAX_TEMPLATES],
    protected_by: [u8; MAX_DECODE_TARGETS],
    resolutions: [Resolution; MAX_SPATIAL_LAYERS],
    /// Made from the templates: the decode targets whose highest spatial (temporal) layer it is.
    by_spatial: [u32; MAX_SPATIAL_LAYERS],
    by_temporal: [u32; MAX_TEMPORAL_LAYERS],
}

impl Structure {
    /// A structure as a sender would make it; `protected_by` names the chain of each decode target and is empty without
    /// chains, `resolutions` has one entry for each spatial layer or none.
    ///
    /// `None` when the wire format cannot carry it: no or too many templates, templates that are not in the order of
    /// their layers, 0 or too many decode targets, a chain that is not there.
    #[must_use]
    pub fn new(
        template_id_offset: u8,
        decode_target_count: u8,
        templates: &[Template],
        protected_by: &[u8],
        resolutions: &[Resolution],
    ) -> Option<Self> {
        let layers_exist = |template: &Template| {
            usize::from(template.spatial) < MAX_SPATIAL_LAYERS && usize::from(template.temporal) < MAX_TEMPORAL_LAYERS
        };
        if !(1..=MAX_DECODE_TARGETS).contains(&usize::from(decode_target_count)) || !templates.iter().all(layers_exist)
        {
            return None;
        }
        let mut structure = Self::empty();
        structure.template_id_offset = template_id_offset;
        structure.decode_target_count = decode_target_count;
        structure.template_count = u8::try_from(templates.len()).ok()?;
        structure
            .templates
            .get_mut(..templates.len())?
            .copy_from_slice(templates);
        structure.chain_count = protected_by.iter().max().map_or(0, |chain| chain.saturating_add(1));
        structure
            .protected_by
            .get_mut(..protected_by.len())?
            .copy_from_slice(protected_by);
        structure.has_resolutions = !resolutions.is_empty();
        structure
            .resolutions
            .get_mut(..resolutions.len())?
            .copy_from_slice(resolutions);
        structure.relate_targets_to_layers();
        // What can be written and reads back the same is what the format can carry.
        let mut buffer = [0; 2048];
        let len = structure.write(&mut buffer)?;
        Self::read(&mut BitReader::new(buffer.get(..len)?)).filter(|read| *read == structure)
    }

    fn empty() -> Self {
        Self {
            template_id_offset: 0,
            template_count: 0,
            decode_target_count: 0,
            chain_count: 0,
            has_resolutions: false,
            templates: [Template::NONE; MAX_TEMPLATES],
            protected_by: [0; MAX_DECODE_TARGETS],
            resolutions: [Resolution::default(); MAX_SPATIAL_LAYERS],
            by_spatial: [0; MAX_SPATIAL_LAYERS],
            by_temporal: [0; MAX_TEMPORAL_LAYERS],
        }
    }

    /// The id of the first template, 0 to 63.
    #[must_use]
    pub const fn template_id_offset(&self) -> u8 {
        self.template_id_offset
    }

    /// All templates; template ids count from [`Self::template_id_offset`], modulo 64.
    #[must_use]
    pub fn templates(&self) -> &[Template] {
        self.templates
            .get(..usize::from(self.template_count))
            .unwrap_or_default()
    }

    /// The template with this id; `None` when it belongs to another structure.
    #[inline]
    #[must_use]
    pub fn template(&self, id: u8) -> Option<&Template> {
        let index = id.wrapping_sub(self.template_id_offset) & 0x3f;
        self.templates().get(usize::from(index))
    }

    /// How many decode targets there are, 1 to 32.
    #[must_use]
    pub const fn decode_targets(&self) -> u8 {
        self.decode_target_count
    }

    /// All decode targets: bit n for target n.
    #[must_use]
    pub const fn all_targets(&self) -> u32 {
        u32::MAX >> (32 - self.decode_target_count as u32)
    }

    /// How many chains there are, 0 to 32.
    #[must_use]
    pub const fn chains(&self) -> u8 {
        self.chain_count
    }

    /// The chain that protects decode target `target`.
    #[must_use]
    pub fn protected_by(&self, target: u8) -> Option<u8> {
        let known = self.chain_count != 0 && target < self.decode_target_count;
        self.protected_by.get(usize::from(target)).copied().filter(|_| known)
    }

    /// The largest size of a spatial layer, where the sender tells.
    #[must_use]
    pub fn resolution(&self, spatial: u8) -> Option<Resolution> {
        let known = self.has_resolutions && spatial <= self.max_spatial();
        self.resolutions.get(usize::from(spatial)).copied().filter(|_| known)
    }

    /// The decode targets whose highest spatial layer is `spatial`: bit n for target n.
    #[inline]
    #[must_use]
    pub fn targets_of_spatial(&self, spatial: u8) -> u32 {
        self.by_spatial.get(usize::from(spatial)).copied().unwrap_or(0)
    }

    /// The decode targets whose highest temporal layer is `temporal`: bit n for target n.
    #[inline]
    #[must_use]
    pub fn targets_of_temporal(&self, temporal: u8) -> u32 {
        self.by_temporal.get(usize::from(temporal)).copied().unwrap_or(0)
    }

    /// The decode targets whose highest spatial layer is one of `spatial`, and whose highest temporal layer is not above
    /// `temporal`: bit n for target n.
    #[must_use]
    pub fn targets_within(&self, spatial: RangeInclusive<u8>, temporal: u8) -> u32 {
        let any = |targets: &[u32], from: u8, to: u8| {
            let end = targets.len().min(usize::from(to) + 1);
            let range = targets.get(usize::from(from)..end).unwrap_or_default();
            range.iter().fold(0, |any, targets| any | targets)
        };
        any(&self.by_spatial, *spatial.start(), *spatial.end()) & any(&self.by_temporal, 0, temporal)
    }

    /// The best decode target among `active` that stays within the layers: the highest spatial layer first, then the
    /// highest temporal one.
    #[must_use]
    pub fn best_target(&self, spatial: u8, temporal: u8, active: u32) -> Option<u8> {
        let layers = |best: u8, count: usize| (0..=best.min(u8::try_from(count).unwrap_or(u8::MAX) - 1)).rev();
        layers(spatial, MAX_SPATIAL_LAYERS)
            .flat_map(|s| layers(temporal, MAX_TEMPORAL_LAYERS).map(move |t| (s, t)))
            .map(|(s, t)| self.targets_of_spatial(s) & self.targets_of_temporal(t) & active)
            .find(|targets| *targets != 0)
            .and_then(|targets| u8::try_from(targets.trailing_zeros()).ok())
    }

    fn max_spatial(&self) -> u8 {
        self.templates().last().map_or(0, |template| template.spatial)
    }

    fn templates_mut(&mut self) -> &mut [Template] {
        self.templates
            .get_mut(..usize::from(self.template_count))
            .unwrap_or_default()
    }

    /// A decode target is as high as the highest layer among the frames that it consists of.
    fn relate_targets_to_layers(&mut self) {
        self.by_spatial = [0; MAX_SPATIAL_LAYERS];
        self.by_temporal = [0; MAX_TEMPORAL_LAYERS];
        for target in 0..self.decode_target_count {
            let frames = || {
                self.templates()
                    .iter()
                    .filter(|t| t.indications.present() >> target & 1 == 1)
            };
            let spatial = frames().map(|template| template.spatial).max();
            let temporal = frames().map(|template| template.temporal).max();
            if let (Some(spatial), Some(temporal)) = (spatial, temporal) {
                self.by_spatial[usize::from(spatial)] |= 1 << target;
                self.by_temporal[usize::from(temporal)] |= 1 << target;
            }
        }
    }

    /// `template_dependency_structure()`.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let mut structure = Self::empty();
        structure.template_id_offset = bits.read_u8(6)?;
        structure.decode_target_count = bits.read_u8(5)? + 1;
        structure.read_layers(bits)?;
        let targets = structure.decode_target_count;
        for template in structure.templates_mut() {
            template.indications = Indications::read(bits, targets)?;
        }
        for template in structure.templates_mut() {
            while bits.read_flag()? {
                template.references |= 1 << bits.read(4)?;
            }
        }
        structure.read_chains(bits)?;
        structure.has_resolutions = bits.read_flag()?;
        if structure.has_resolutions {
            for spatial in 0..=usize::from(structure.max_spatial()) {
                let (width, height) = (u32::from(bits.read(16)?) + 1, u32::from(bits.read(16)?) + 1);
                *structure.resolutions.get_mut(spatial)? = Resolution { width, height };
            }
        }
        structure.relate_targets_to_layers();
        Some(structure)
    }

    /// `template_layers()`: layers only rise.
    fn read_layers(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        let (mut spatial, mut temporal) = (0_u8, 0_u8);
        loop {
            let template = self.templates.get_mut(usize::from(self.template_count))?;
            (template.spatial, template.temporal) = (spatial, temporal);
            self.template_count += 1;
            match bits.read(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => return Some(()),
            }
            if usize::from(spatial) >= MAX_SPATIAL_LAYERS || usize::from(temporal) >= MAX_TEMPORAL_LAYERS {
                return None;
            }
        }
    }

    /// `template_chains()`.
    fn read_chains(&mut self, bits: &mut BitReader<'_>) -> Option<()> {
        let chains = bits.read_below(self.decode_target_count + 1)?;
        self.chain_count = chains;
        if chains == 0 {
            return Some(());
        }
        for chain in self.protected_by.iter_mut().take(usize::from(self.decode_target_count)) {
            *chain = bits.read_below(chains)?;
        }
        for template in self.templates_mut() {
            for fdiff in template.chain_fdiffs.iter_mut().take(usize::from(chains)) {
                *fdiff = bits.read_u8(4)?;
            }
        }
        Some(())
    }

    fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut bits = BitWriter::new(out);
        self.write_to(&mut bits)?;
        bits.finish()
    }

    pub(super) fn write_to(&self, bits: &mut BitWriter<'_>) -> Option<()> {
        bits.write(self.template_id_offset, 6)?;
        bits.write(self.decode_target_count.checked_sub(1)?, 5)?;
        self.write_layers(bits)?;
        for template in self.templates() {
            template.indications.write(bits, self.decode_target_count)?;
        }
        for template in self.templates() {
            for reference in (0..16_u8).filter(|reference| template.references >> reference & 1 == 1) {
                bits.write(0x10 | reference, 5)?;
            }
            bits.write(0_u8, 1)?;
        }
        self.write_chains(bits)?;
        bits.write(self.has_resolutions, 1)?;
        if self.has_resolutions {
            for resolution in self.resolutions.iter().take(usize::from(self.max_spatial()) + 1) {
                bits.write(resolution.width.checked_sub(1)?, 16)?;
                bits.write(resolution.height.checked_sub(1)?, 16)?;
            }
        }
        Some(())
    }

    fn write_layers(&self, bits: &mut BitWriter<'_>) -> Option<()> {
        for pair in self.templates().windows(2) {
            let [from, to] = pair else { return None };
            let step = match (to.spatial.checked_sub(from.spatial)?, to.temporal) {
                (0, temporal) => temporal.checked_sub(from.temporal).filter(|step| *step <= 1)?,
                (1, 0) => 2,
                _ => return None,
            };
            bits.write(step, 2)?;
        }
        bits.write(3_u8, 2)
    }

    fn write_chains(&self, bits: &mut BitWriter<'_>) -> Option<()> {
        bits.write_below(self.chain_count, self.decode_target_count.checked_add(1)?)?;
        if self.chain_count == 0 {
            return Some(());
        }
        for chain in self.protected_by.iter().take(usize::from(self.decode_target_count)) {
            bits.write_below(*chain, self.chain_count)?;
        }
        for template in self.templates() {
            for fdiff in template.chain_fdiffs.iter().take(usize::from(self.chain_count)) {
                bits.write(*fdiff, 4)?;
            }
        }
        Some(())
    }
}
