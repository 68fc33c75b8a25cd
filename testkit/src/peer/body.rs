//! What a synthetic packet carries, so that whoever receives it can tell which packet it is and that no byte changed.
//!
//! ```text
//! | magic 4 | len 2 | encoding 1 | temporal 1 | frame 4 | reference 4 | index 2 | count 2 | captured 8 | filler … |
//! ```

/// Bytes before the filler: the shortest body.
pub const MIN_BODY: usize = 28;
const MAGIC: [u8; 4] = *b"ALTH";

/// One packet's place in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Body {
    /// Simulcast encoding, 0 the lowest.
    pub encoding: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// Frame, counted from 0 and the same for all encodings of one picture.
    pub frame: u32,
    /// The frame that is needed to decode this one; the frame itself for a keyframe or sound.
    pub reference: u32,
    /// Which packet of its frame.
    pub index: u16,
    /// How many packets its frame has.
    pub count: u16,
    /// When it was captured, in microseconds on the sender's wall clock.
    pub captured: u64,
}

impl Body {
    /// Appends `len` bytes; fewer than [`MIN_BODY`] are made [`MIN_BODY`].
    pub fn write(&self, len: usize, out: &mut Vec<u8>) {
        let len = u16::try_from(len.max(MIN_BODY)).unwrap_or(u16::MAX);
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&[self.encoding, self.temporal]);
        out.extend_from_slice(&self.frame.to_be_bytes());
        out.extend_from_slice(&self.reference.to_be_bytes());
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.captured.to_be_bytes());
        out.resize(start + usize::from(len), 0);
        for (chunk, filler) in out[start + MIN_BODY..].chunks_mut(8).zip(self.filler()) {
            chunk.copy_from_slice(&filler[..chunk.len()]);
        }
    }

    /// Reads a body and checks every byte of it; `None` when any differs from what [`Self::write`] wrote.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<MIN_BODY>()?;
        let word = |at: usize| {
            head.get(at..at + 4)
                .and_then(|word| word.try_into().ok())
                .map(u32::from_be_bytes)
        };
        let half = |at: usize| {
            head.get(at..at + 2)
                .and_then(|half| half.try_into().ok())
                .map(u16::from_be_bytes)
        };
        if head[..4] != MAGIC || usize::from(half(4)?) != bytes.len() {
            return None;
        }
        let body = Self {
            encoding: head[6],
            temporal: head[7],
            frame: word(8)?,
            reference: word(12)?,
            index: half(16)?,
            count: half(18)?,
            captured: u64::from(word(20)?) << 32 | u64::from(word(24)?),
        };
        let mut chunks = bytes[MIN_BODY..].chunks(8).zip(body.filler());
        chunks
            .all(|(chunk, filler)| *chunk == filler[..chunk.len()])
            .then_some(body)
    }

    /// Bytes that depend on the place of the packet and, by their running sum, on the place in it.
    fn filler(&self) -> impl Iterator<Item = [u8; 8]> + use<> {
        let seed = u64::from(self.frame) << 24 | u64::from(self.index) << 8 | u64::from(self.encoding);
        let step = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (1_u64..).map(move |n| step.wrapping_mul(n).to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_shows() {
        let body = Body {
            encoding: 1,
            temporal: 2,
            frame: 70_000,
            reference: 69_999,
            index: 3,
            count: 9,
            captured: 1 << 40,
        };
        for len in [0, MIN_BODY, MIN_BODY + 1, 100, 1100] {
            let mut bytes = Vec::new();
            body.write(len, &mut bytes);
            assert_eq!(bytes.len(), len.max(MIN_BODY));
            assert_eq!(Body::read(&bytes), Some(body));
            assert_eq!(Body::read(&bytes[1..]), None);
            assert_eq!(Body::read(&bytes[..bytes.len() - 1]), None);
            for at in 0..bytes.len() {
                bytes[at] ^= 0x40;
                assert_ne!(Body::read(&bytes), Some(body), "byte {at} of {len}");
                bytes[at] ^= 0x40;
            }
        }
    }
}
