//! A packet's descriptor as a sender writes it: for generators of streams and for tests. A router only
//! changes them.

use super::bits::BitWriter;
use super::indications::Indications;
use super::structure::Structure;
use super::{MANDATORY, Mandatory};

/// A descriptor to be written; what is `None` is taken from the template.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor<'a> {
    /// What every packet has.
    pub mandatory: Mandatory,
    /// Send the structure along: with the first packet of a keyframe.
    pub attach: bool,
    /// Which decode targets are produced.
    pub active: Option<u32>,
    /// In place of the template's.
    pub indications: Option<Indications>,
    /// In place of the template's: how far back each frame is, 1 to 4096.
    pub references: Option<&'a [u16]>,
    /// In place of the template's: one for each chain.
    pub chain_fdiffs: Option<&'a [u8]>,
}

impl Descriptor<'_> {
    /// The three bytes of a packet that needs nothing but its template.
    #[must_use]
    pub const fn new(mandatory: Mandatory) -> Self {
        Self {
            mandatory,
            attach: false,
            active: None,
            indications: None,
            references: None,
            chain_fdiffs: None,
        }
    }

    /// Writes the header extension element; `None` when it does not fit or is against `structure`, the one in force.
    pub fn write_to(&self, structure: &Structure, out: &mut [u8]) -> Option<usize> {
        structure.template(self.mandatory.template_id)?;
        let mut bits = BitWriter::new(out);
        bits.write(self.mandatory.start_of_frame, 1)?;
        bits.write(self.mandatory.end_of_frame, 1)?;
        bits.write(self.mandatory.template_id, 6)?;
        bits.write(self.mandatory.frame_number, 16)?;
        if !self.is_extended() {
            return bits.finish();
        }
        for flag in [
            self.attach,
            self.active.is_some(),
            self.indications.is_some(),
            self.references.is_some(),
            self.chain_fdiffs.is_some(),
        ] {
            bits.write(flag, 1)?;
        }
        if self.attach {
            structure.write_to(&mut bits)?;
        }
        if let Some(active) = self.active {
            bits.write(active, u32::from(structure.decode_targets()))?;
        }
        if let Some(indications) = self.indications {
            indications.write(&mut bits, structure.decode_targets())?;
        }
        self.write_references(&mut bits)?;
        if let Some(fdiffs) = self.chain_fdiffs {
            if fdiffs.len() != usize::from(structure.chains()) {
                return None;
            }
            fdiffs.iter().try_for_each(|fdiff| bits.write(*fdiff, 8))?;
        }
        bits.finish().filter(|len| *len > MANDATORY)
    }

    fn is_extended(&self) -> bool {
        self.attach
            || self.active.is_some()
            || self.indications.is_some()
            || self.references.is_some()
            || self.chain_fdiffs.is_some()
    }

    fn write_references(&self, bits: &mut BitWriter<'_>) -> Option<()> {
        let Some(references) = self.references else {
            return Some(());
        };
        for reference in references {
            let size = match reference.checked_sub(1)? {
                0..=0x0f => 1_u8,
                0x10..=0xff => 2,
                0x100..=0xfff => 3,
                _ => return None,
            };
            bits.write(size, 2)?;
            bits.write(reference - 1, 4 * u32::from(size))?;
        }
        bits.write(0_u8, 2)
    }
}
