//! The sum of RTP packets: what of an FEC packet is not its header, and what is left of it when all packets but one are
//! taken out again (draft-ietf-payload-flexible-fec-scheme-03 §6.2, §6.3).
//!
//! Knows nothing of which packets they are.

use crate::fec::header::RECOVERY;
use crate::packet::view::FIXED_HEADER;
use crate::packet::{Extension, ExtensionMap, RtpView, Ssrc};

/// What is written as a packet leaves; it counts as zero.
const FLEETING: [Extension; 3] = [
    Extension::TransportCc,
    Extension::AbsSendTime,
    Extension::TransmissionOffset,
];

/// An exclusive-or of RTP packets. Its memory is that of the longest packet, and is kept; no allocation after that.
#[derive(Debug, Clone, Default)]
pub struct Parity {
    /// P, X, CC, M, PT; the length behind the fixed header; the timestamp.
    fixed: [u8; RECOVERY],
    /// From behind the fixed header on.
    rest: Vec<u8>,
}

impl Parity {
    /// The sum of nothing, with the memory that it has.
    pub fn clear(&mut self) {
        self.fixed = [0; RECOVERY];
        self.rest.clear();
    }

    /// Becomes what is in an FEC packet: its recovery fields, and what stands behind its header.
    pub fn load(&mut self, fixed: [u8; RECOVERY], rest: &[u8]) {
        self.fixed = fixed;
        self.rest.clear();
        self.rest.extend_from_slice(rest);
    }

    /// Adds a packet, or takes it out again. `extensions` are the ids that are used in it. About 40 ns for 1200 bytes.
    pub fn add(&mut self, packet: &RtpView<'_>, extensions: &ExtensionMap) {
        let bytes = packet.bytes();
        let Some((head, rest)) = bytes.split_first_chunk::<FIXED_HEADER>() else {
            return;
        };
        let [len0, len1] = u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes();
        let own = [head[0], head[1], len0, len1, head[4], head[5], head[6], head[7]];
        xor(&mut self.fixed, &own);
        if self.rest.len() < rest.len() {
            self.rest.resize(rest.len(), 0);
        }
        xor(&mut self.rest, rest);
        for id in FLEETING.into_iter().filter_map(|extension| extensions.id(extension)) {
            if let Some(element) = packet.extension(id) {
                let at = element.as_ptr() as usize - rest.as_ptr() as usize;
                xor(self.rest.get_mut(at..).unwrap_or_default(), element);
            }
        }
    }

    /// The recovery fields.
    #[must_use]
    pub fn fixed(&self) -> [u8; RECOVERY] {
        self.fixed
    }

    /// What stands behind the header of an FEC packet.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// How long the packet is that is left; `None` when no packet can be left.
    #[must_use]
    pub fn left(&self) -> Option<usize> {
        let len = usize::from(u16::from_be_bytes([self.fixed[2], self.fixed[3]]));
        (len <= self.rest.len()).then_some(FIXED_HEADER + len)
    }

    /// Writes the packet that is left, the one numbered `seq`, into `out`, which has the length of [`Self::left`].
    pub fn write_left(&self, ssrc: Ssrc, seq: u16, out: &mut [u8]) {
        let Some((head, rest)) = out.split_first_chunk_mut::<FIXED_HEADER>() else {
            return;
        };
        let [first, second, _, _, timestamp @ ..] = self.fixed;
        (head[0], head[1]) = (0x80 | first & 0x3f, second);
        head[2..4].copy_from_slice(&seq.to_be_bytes());
        head[4..8].copy_from_slice(&timestamp);
        head[8..].copy_from_slice(&ssrc.0.to_be_bytes());
        let len = rest.len().min(self.rest.len());
        rest[..len].copy_from_slice(&self.rest[..len]);
    }
}

#[inline]
fn xor(sum: &mut [u8], with: &[u8]) {
    sum.iter_mut().zip(with).for_each(|(sum, with)| *sum ^= with);
}
