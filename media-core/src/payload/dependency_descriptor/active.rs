//! Tells a receiver that it gets only some of the decode targets (A.4.1 `active_decode_targets_bitmask`), when layers are left
//! out on the way.
//!
//! The field stands in the middle of bits, so everything behind it moves; nothing else changes.

use super::bits::{BitReader, BitWriter};
use super::structure::Structure;
use super::{MANDATORY, Mandatory};

/// The flag that the field is there, among the five flags.
const HAS_ACTIVE: u8 = 0b01000;
/// The flag that a structure is there.
const HAS_STRUCTURE: u8 = 0b10000;
const FLAGS: u32 = 5;

/// Writes `element` into `out` so that it says that the decode targets `targets` are produced; bit n for target n. `structure` is
/// the one in force, unless the descriptor brings its own. How long it is then: up to five bytes more. `None` when it does not
/// fit, or belongs to another structure.
///
/// About 20 ns, and 2 µs where a structure goes along; no allocation.
#[must_use]
pub fn set_active_targets(element: &[u8], structure: &Structure, targets: u32, out: &mut [u8]) -> Option<usize> {
    let mandatory = Mandatory::parse(element)?;
    let (head, extended) = element.split_at_checked(MANDATORY)?;
    let mut bits = BitReader::new(extended);
    let flags = if extended.is_empty() { 0 } else { bits.read_u8(FLAGS)? };
    let mut writer = BitWriter::new(out);
    head.iter().try_for_each(|byte| writer.write(*byte, 8))?;
    writer.write(flags | HAS_ACTIVE, FLAGS)?;
    let mut count = structure.decode_targets();
    if flags & HAS_STRUCTURE != 0 {
        let start = bits.clone();
        count = Structure::read(&mut bits)?.decode_targets();
        let len = bits.position() - start.position();
        copy(start, len, &mut writer)?;
    } else {
        structure.template(mandatory.template_id)?;
    }
    writer.write(targets & (u32::MAX >> (32 - u32::from(count))), u32::from(count))?;
    if flags & HAS_ACTIVE != 0 {
        bits.read_u32(u32::from(count))?;
    }
    let rest = extended.len() * 8 - bits.position();
    copy(bits, rest, &mut writer)?;
    writer.finish()
}

fn copy(mut from: BitReader<'_>, len: usize, to: &mut BitWriter<'_>) -> Option<()> {
    (0..len).try_for_each(|_| to.write(from.read(1)?, 1))
}
