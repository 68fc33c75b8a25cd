//! A borrowed, bounds-checked RTP packet (RFC 3550 §5.1, RFC 8285 §4).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |                     CSRC × CC (32 bits each)                  |
//! |  profile (0xBEDE or 0x100x)   |  length in words              |  if X
//! |                 extension elements, padding                   |
//! |                 payload …                 | padding, count    |  count if P
//! ```

use crate::packet::ids::{Pt, Ssrc};

/// Extension elements indexed per packet; a sender with more is beyond every browser and is refused.
pub const MAX_EXTENSIONS: usize = 16;
/// The fixed part of the header, in bytes.
pub const FIXED_HEADER: usize = 12;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseError {
    /// Ends inside the header.
    Truncated,
    /// Version is not 2.
    Version,
    /// An extension element reaches past its block.
    Extension,
    /// More than [`MAX_EXTENSIONS`] elements.
    TooManyExtensions,
    /// The padding count is zero or larger than what follows the header.
    Padding,
    /// Longer than a datagram can be.
    TooLong,
}

/// The form of the extension block (RFC 8285 §4.2, §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ExtensionForm {
    /// No block, or one of a profile that is not RFC 8285 (skipped).
    #[default]
    None,
    /// Ids 1 to 14, 1 to 16 bytes each.
    OneByte,
    /// Ids 1 to 255, 0 to 255 bytes each.
    TwoByte,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Element {
    id: u8,
    len: u8,
    at: u16,
}

/// Where the parts of one RTP packet lie: offsets only, `Copy`, valid for the bytes that it was parsed from and for
/// any bytes with the same header (so it is found on the ciphertext and used on the plaintext).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    payload: u16,
    end: u16,
    form: ExtensionForm,
    count: u8,
    elements: [Element; MAX_EXTENSIONS],
}

impl Layout {
    /// Reads the header of `packet`; trailing padding is left to [`Self::trim_padding`], because SRTP encrypts its
    /// count.
    ///
    /// About 10 ns with four extensions; no allocation.
    ///
    /// # Errors
    /// [`ParseError`] when the header is not whole and valid.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        let Ok(end) = u16::try_from(packet.len()) else {
            return Err(ParseError::TooLong);
        };
        let Some(fixed) = packet.first_chunk::<FIXED_HEADER>() else {
            return Err(ParseError::Truncated);
        };
        if fixed[0] >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let block = FIXED_HEADER + usize::from(fixed[0] & 0x0f) * 4;
        let mut layout = Self {
            payload: 0,
            end,
            form: ExtensionForm::None,
            count: 0,
            elements: [Element::default(); MAX_EXTENSIONS],
        };
        let payload = if fixed[0] & 0x10 == 0 {
            block
        } else {
            layout.parse_block(packet, block)?
        };
        if payload > packet.len() {
            return Err(ParseError::Truncated);
        }
        layout.payload = u16::try_from(payload).map_err(|_| ParseError::TooLong)?;
        Ok(layout)
    }

    /// Indexes the extension block that starts at `at`; returns where the payload starts.
    #[inline]
    fn parse_block(&mut self, packet: &[u8], at: usize) -> Result<usize, ParseError> {
        let Some(&[profile0, profile1, words0, words1]) = packet.get(at..).and_then(|rest| rest.first_chunk::<4>())
        else {
            return Err(ParseError::Truncated);
        };
        let start = at + 4;
        let end = start + usize::from(u16::from_be_bytes([words0, words1])) * 4;
        let Some(block) = packet.get(..end) else {
            return Err(ParseError::Truncated);
        };
        match (profile0, profile1) {
            (0xbe, 0xde) => self.index_one_byte(block, start)?,
            (0x10, 0x00..=0x0f) => self.index_two_byte(block, start)?,
            _ => {}
        }
        Ok(end)
    }

    #[inline]
    fn index_one_byte(&mut self, block: &[u8], mut at: usize) -> Result<(), ParseError> {
        self.form = ExtensionForm::OneByte;
        while let Some(&head) = block.get(at) {
            match head >> 4 {
                // A whole zero byte is padding; id 0 with a length must be skipped as padding with that length.
                0 => at += 1 + usize::from(head & 0x0f),
                15 => break,
                id => {
                    let len = (head & 0x0f) + 1;
                    self.push(id, len, at + 1, block.len())?;
                    at += 1 + usize::from(len);
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn index_two_byte(&mut self, block: &[u8], mut at: usize) -> Result<(), ParseError> {
        self.form = ExtensionForm::TwoByte;
        while let Some(&id) = block.get(at) {
            if id == 0 {
                at += 1;
                continue;
            }
            let Some(&len) = block.get(at + 1) else {
                return Err(ParseError::Extension);
            };
            self.push(id, len, at + 2, block.len())?;
            at += 2 + usize::from(len);
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, id: u8, len: u8, at: usize, end: usize) -> Result<(), ParseError> {
        if at + usize::from(len) > end {
            return Err(ParseError::Extension);
        }
        let Some(slot) = self.elements.get_mut(usize::from(self.count)) else {
            return Err(ParseError::TooManyExtensions);
        };
        *slot = Element {
            id,
            len,
            at: u16::try_from(at).map_err(|_| ParseError::TooLong)?,
        };
        self.count += 1;
        Ok(())
    }

    /// Ends the payload before the padding of `packet`, the plaintext with the header that this layout was read from.
    ///
    /// # Errors
    /// [`ParseError::Padding`] when the count is zero or reaches into the header; [`ParseError::Truncated`] when
    /// `packet` is shorter than its header.
    #[inline]
    pub fn trim_padding(mut self, packet: &[u8]) -> Result<Self, ParseError> {
        let Ok(end) = u16::try_from(packet.len()) else {
            return Err(ParseError::TooLong);
        };
        if end < self.payload {
            return Err(ParseError::Truncated);
        }
        self.end = end;
        if packet.first().is_some_and(|first| first & 0x20 != 0) {
            let padding = u16::from(packet.last().copied().unwrap_or(0));
            if padding == 0 || padding > end - self.payload {
                return Err(ParseError::Padding);
            }
            self.end = end - padding;
        }
        Ok(self)
    }

    /// Length of the header with CSRCs and extensions, in bytes.
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.payload)
    }

    /// Where the payload ends (before padding), in bytes from the start of the packet.
    #[must_use]
    pub fn payload_end(&self) -> usize {
        usize::from(self.end)
    }

    /// The form of the extension block.
    #[must_use]
    pub fn extension_form(&self) -> ExtensionForm {
        self.form
    }

    /// How many extension elements there are.
    #[must_use]
    pub fn extension_count(&self) -> usize {
        usize::from(self.count)
    }
}

/// An RTP packet, borrowed: reads any field in place, copies nothing, allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct RtpView<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> RtpView<'a> {
    /// Parses a whole plaintext packet.
    ///
    /// # Errors
    /// [`ParseError`] when `bytes` is not one valid RTP packet.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Ok(Self {
            bytes,
            layout: Layout::parse(bytes)?.trim_padding(bytes)?,
        })
    }

    /// Puts a layout that was parsed earlier over the same bytes; no work.
    ///
    /// A layout of other bytes gives wrong fields or empty slices, never a panic.
    #[must_use]
    pub fn with_layout(bytes: &'a [u8], layout: Layout) -> Self {
        Self { bytes, layout }
    }

    /// The offsets.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The whole packet.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn word(&self, at: usize) -> u32 {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .map_or(0, |word| u32::from_be_bytes(*word))
    }

    /// The marker bit: for video, the last packet of a frame.
    #[must_use]
    pub fn marker(&self) -> bool {
        self.byte(1) & 0x80 != 0
    }

    /// The payload type.
    #[must_use]
    pub fn pt(&self) -> Pt {
        Pt::new(self.byte(1))
    }

    /// The 16-bit sequence number; extend it with [`super::SeqExtender`].
    #[must_use]
    pub fn seq(&self) -> u16 {
        u16::from_be_bytes([self.byte(2), self.byte(3)])
    }

    /// The 32-bit media timestamp, in units of the codec's clock.
    #[must_use]
    pub fn timestamp(&self) -> u32 {
        self.word(4)
    }

    /// The synchronization source.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(self.word(8))
    }

    /// The contributing sources, 0 to 15.
    pub fn csrcs(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let (view, count) = (*self, usize::from(self.byte(0) & 0x0f));
        (0..count).map(move |i| Ssrc(view.word(FIXED_HEADER + i * 4)))
    }

    /// The first element with this extension id.
    #[must_use]
    #[inline]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        let element = self.layout.elements[..usize::from(self.layout.count)]
            .iter()
            .find(|e| e.id == id)?;
        let at = usize::from(element.at);
        self.bytes.get(at..at + usize::from(element.len))
    }

    /// All extension elements, in the order of the wire: id and bytes.
    #[inline]
    pub fn extensions(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a, '_> {
        let bytes = self.bytes;
        self.layout.elements[..usize::from(self.layout.count)]
            .iter()
            .filter_map(move |element| {
                let at = usize::from(element.at);
                Some((element.id, bytes.get(at..at + usize::from(element.len))?))
            })
    }

    /// The payload without padding.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes
            .get(self.layout.header_len()..self.layout.payload_end())
            .unwrap_or_default()
    }

    /// Bytes of padding behind the payload.
    #[must_use]
    pub fn padding(&self) -> usize {
        self.bytes.len().saturating_sub(self.layout.payload_end())
    }
}
