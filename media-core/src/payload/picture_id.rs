//! The running numbers inside VP8 and VP9 payloads, and how to replace them (RFC 7741 §4.2, RFC 9628 §4.2).
//!
//! A receiver expects the picture id and `TL0PICIDX` of one stream to go on without a jump, so a router that changes
//! the encoding behind a stream writes them anew. The payload is shared by all subscribers: each one copies the few
//! bytes up to the last number, changes them there, and sends the rest as it is. The length never changes.
//!
//! This file knows where the numbers lie, not which ones to send: that is decided per subscription.

/// The most bytes at the start of a payload that [`Ids::write_patched`] replaces: VP8 and VP9 need 5 (two bytes of
/// flags, two of picture id, `TL0PICIDX`; or one of flags, two of picture id, layers, `TL0PICIDX`).
pub const MAX_PREFIX: usize = 5;

/// Where the picture id and `TL0PICIDX` of one payload lie, and what they are. Eight bytes, `Copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ids {
    picture_id: u16,
    tl0_pic_idx: u8,
    /// Offset of the picture id; 0 when there is none, for byte 0 always holds flags.
    picture_id_at: u8,
    long: bool,
    /// Offset of `TL0PICIDX`; 0 when there is none.
    tl0_pic_idx_at: u8,
}

impl Ids {
    /// Neither number is there: nothing needs to be rewritten.
    pub const NONE: Self = Self {
        picture_id: 0,
        tl0_pic_idx: 0,
        picture_id_at: 0,
        long: false,
        tl0_pic_idx_at: 0,
    };

    #[inline]
    pub(super) fn set_picture_id(&mut self, at: u8, picture_id: PictureId) {
        self.picture_id = picture_id.value;
        self.long = picture_id.long;
        self.picture_id_at = at;
    }

    #[inline]
    pub(super) fn set_tl0_pic_idx(&mut self, at: u8, value: u8) {
        self.tl0_pic_idx = value;
        self.tl0_pic_idx_at = at;
    }

    /// The picture's number.
    #[inline]
    #[must_use]
    pub fn picture_id(&self) -> Option<PictureId> {
        (self.picture_id_at != 0).then_some(PictureId {
            value: self.picture_id,
            long: self.long,
        })
    }

    /// The number of the last picture of temporal layer 0, this one included; wraps at 256.
    #[inline]
    #[must_use]
    pub fn tl0_pic_idx(&self) -> Option<u8> {
        (self.tl0_pic_idx_at != 0).then_some(self.tl0_pic_idx)
    }

    /// How many bytes at the start of the payload [`Self::write_patched`] replaces; 0 when nothing is there to
    /// replace.
    #[inline]
    #[must_use]
    pub fn prefix_len(&self) -> usize {
        let picture_id = match (self.picture_id_at, self.long) {
            (0, _) => 0,
            (at, long) => usize::from(at) + 1 + usize::from(long),
        };
        let tl0_pic_idx = match self.tl0_pic_idx_at {
            0 => 0,
            at => usize::from(at) + 1,
        };
        picture_id.max(tl0_pic_idx)
    }

    /// Writes the start of `payload`, the bytes that these ids were read from, with the numbers of `patch`, in the
    /// width that the sender chose (a 7-bit picture id keeps the low 7 bits). A number that the payload does not have
    /// is not added.
    ///
    /// Returns how many bytes of `out` stand for as many bytes of `payload`; 0 when the payload needs no change. About
    /// 5 ns, no allocation.
    #[inline]
    #[must_use]
    pub fn write_patched(&self, payload: &[u8], patch: Patch, out: &mut [u8; MAX_PREFIX]) -> usize {
        let len = self.prefix_len();
        match payload.first_chunk::<MAX_PREFIX>() {
            // Five bytes at once, whatever is needed: a copy of a fixed size is two instructions.
            Some(first) => *out = *first,
            None => {
                let (Some(from), Some(to)) = (payload.get(..len), out.get_mut(..len)) else {
                    return 0;
                };
                to.copy_from_slice(from);
            }
        }
        if self.picture_id_at != 0 {
            let at = usize::from(self.picture_id_at);
            let [high, low] = patch.picture_id.to_be_bytes();
            if self.long {
                out[at] = 0x80 | high;
                out[at + 1] = low;
            } else {
                out[at] = low & 0x7f;
            }
        }
        if self.tl0_pic_idx_at != 0 {
            out[usize::from(self.tl0_pic_idx_at)] = patch.tl0_pic_idx;
        }
        len
    }
}

/// The numbers that a subscriber shall see instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Patch {
    /// Picture id, 15 bits; the rest is cut off.
    pub picture_id: u16,
    /// Index of the last picture of temporal layer 0.
    pub tl0_pic_idx: u8,
}

/// A picture's number: 7 or 15 bits, as the sender likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureId {
    value: u16,
    long: bool,
}

impl PictureId {
    /// Reads the `M` bit and the number from the start of `bytes`.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let first = *bytes.first()?;
        if first & 0x80 == 0 {
            return Some(Self {
                value: u16::from(first),
                long: false,
            });
        }
        let second = *bytes.get(1)?;
        Some(Self {
            value: u16::from_be_bytes([first & 0x7f, second]),
            long: true,
        })
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.value
    }

    /// Its width: 7 or 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        if self.long { 15 } else { 7 }
    }

    /// Bytes on the wire: 1 or 2.
    #[inline]
    #[must_use]
    pub const fn wire_len(self) -> usize {
        if self.long { 2 } else { 1 }
    }

    /// Signed distance from `earlier`, by the width of this number: -64 to 63 or -16384 to 16383.
    #[must_use]
    #[expect(clippy::cast_possible_wrap, reason = "modular distance, RFC 1982")]
    pub const fn since(self, earlier: u16) -> i16 {
        let spare = 16 - self.bits();
        ((self.value.wrapping_sub(earlier) << spare) as i16) >> spare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> PictureId {
        PictureId::parse(bytes).unwrap()
    }

    #[test]
    fn distance_wraps_by_width() {
        let table: [(&[u8], u16, i16); 7] = [
            (&[0x05], 0x7f, 6),
            (&[0x7f], 0x05, -6),
            (&[0x40], 0x00, -64),
            (&[0x80, 0x05], 0x7fff, 6),
            (&[0xff, 0xff], 0x0005, -6),
            (&[0xc0, 0x00], 0x0000, -16384),
            (&[0xbf, 0xff], 0x0000, 16383),
        ];
        for (bytes, earlier, distance) in table {
            assert_eq!(parsed(bytes).since(earlier), distance, "{bytes:?}");
        }
        assert_eq!((parsed(&[0x7f]).bits(), parsed(&[0x80, 0]).bits()), (7, 15));
        assert_eq!((PictureId::parse(&[]), PictureId::parse(&[0x80])), (None, None));
    }

    #[test]
    fn nothing_to_patch() {
        let mut out = [0xaa; MAX_PREFIX];
        assert_eq!(Ids::NONE.write_patched(&[1, 2, 3], Patch::default(), &mut out), 0);
        assert_eq!((Ids::NONE, Ids::NONE.prefix_len()), (Ids::default(), 0));
    }

    #[test]
    fn a_payload_shorter_than_the_one_that_was_read_is_left_alone() {
        let mut ids = Ids::NONE;
        ids.set_picture_id(2, parsed(&[0x81, 0x01]));
        assert_eq!(
            ids.write_patched(&[0x90, 0x80, 0x81], Patch::default(), &mut [0; MAX_PREFIX]),
            0
        );
    }
}
