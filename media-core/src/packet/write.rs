//! The subscriber's own header in front of a shared payload: RTP written straight into the send buffer.

use crate::packet::ids::{Pt, Ssrc};
use crate::packet::view::FIXED_HEADER;

/// Writes one RTP packet into a caller's buffer: fixed header, then extensions, then payload, in that order.
///
/// Nothing is allocated. When the buffer is too small, [`Self::finish`] gives `None` and the buffer's content is
/// undefined. Extensions take the one-byte form unless an id above 14, or an element of 0 or more than 16 bytes, needs
/// the two-byte form (RFC 8285 §4.1), which the caller states first since the form is written before the elements.
///
/// ```
/// use althing_media_core::packet::{Pt, RtpView, RtpWriter, Ssrc};
///
/// let mut buffer = [0; 64];
/// let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), true, 7, 9000, Ssrc(1));
/// writer.extension(3, &[0x11, 0x22]);
/// writer.payload(b"hello");
/// let (header, len) = writer.finish().expect("64 bytes are enough");
/// let view = RtpView::parse(&buffer[..len]).expect("what we write is valid");
/// assert_eq!((header, view.extension(3), view.payload()), (20, Some(&[0x11, 0x22][..]), &b"hello"[..]));
/// ```
#[derive(Debug)]
pub struct RtpWriter<'a> {
    buffer: &'a mut [u8],
    at: usize,
    block: Option<usize>,
    two_byte: bool,
    header: usize,
    fits: bool,
}

impl<'a> RtpWriter<'a> {
    /// Starts a packet at the beginning of `buffer`.
    pub fn new(buffer: &'a mut [u8], pt: Pt, marker: bool, seq: u16, timestamp: u32, ssrc: Ssrc) -> Self {
        let fits = if let Some(fixed) = buffer.first_chunk_mut::<FIXED_HEADER>() {
            fixed[0] = 0x80;
            fixed[1] = pt.value() | if marker { 0x80 } else { 0 };
            fixed[2..4].copy_from_slice(&seq.to_be_bytes());
            fixed[4..8].copy_from_slice(&timestamp.to_be_bytes());
            fixed[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
            true
        } else {
            false
        };
        Self {
            buffer,
            at: FIXED_HEADER,
            block: None,
            two_byte: false,
            header: 0,
            fits,
        }
    }

    /// Adds a contributing source; at most 15, before any extension.
    pub fn csrc(&mut self, csrc: Ssrc) {
        let count = self.buffer.first().map_or(15, |first| first & 0x0f);
        if count < 15 && self.block.is_none() && self.put(&csrc.0.to_be_bytes()) {
            self.buffer[0] += 1;
        }
    }

    /// Uses two-byte extensions for this packet; call before the first extension.
    pub fn use_two_byte(&mut self) {
        self.two_byte |= self.block.is_none();
    }

    /// Adds an extension element. One that its form cannot carry is left out.
    #[inline]
    pub fn extension(&mut self, id: u8, element: &[u8]) {
        let Ok(len) = u8::try_from(element.len()) else { return };
        let one_byte_fits = (1..=14).contains(&id) && (1..=16).contains(&len);
        if id == 0 || !(self.two_byte || one_byte_fits) {
            return;
        }
        if self.block.is_none() {
            self.block = Some(self.at);
            let profile: [u8; 4] = if self.two_byte {
                [0x10, 0, 0, 0]
            } else {
                [0xbe, 0xde, 0, 0]
            };
            self.put(&profile);
        }
        if self.two_byte {
            self.put(&[id, len]);
        } else {
            self.put(&[id << 4 | (len - 1)]);
        }
        self.put(element);
    }

    /// Closes the header: pads the extension block to whole words and writes its length. Called by [`Self::payload`].
    fn close_header(&mut self) {
        if self.header != 0 {
            return;
        }
        // When the buffer was too small already, the block may not even have its head.
        if let Some(block) = self.block.filter(|_| self.fits) {
            let used = self.at - block - 4;
            self.put(&[0; 3][..used.next_multiple_of(4) - used]);
            let words = u16::try_from((self.at - block - 4) / 4).unwrap_or(0);
            self.buffer[block + 2..block + 4].copy_from_slice(&words.to_be_bytes());
            self.buffer[0] |= 0x10;
        }
        self.header = self.at;
    }

    /// Adds payload bytes behind what is there; may be called more than once (a patched prefix, then the rest).
    #[inline]
    pub fn payload(&mut self, bytes: &[u8]) {
        self.close_header();
        self.put(bytes);
    }

    /// Pads with `count` bytes, 1 to 255; 0 does nothing. Call last.
    pub fn padding(&mut self, count: u8) {
        self.close_header();
        if count > 0 && self.put(&[0; 255][..usize::from(count)]) {
            self.buffer[self.at - 1] = count;
            self.buffer[0] |= 0x20;
        }
    }

    /// Ends the packet: header length and whole length, `None` when the buffer was too small.
    #[must_use]
    pub fn finish(mut self) -> Option<(usize, usize)> {
        self.close_header();
        self.fits.then_some((self.header, self.at))
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.at + bytes.len();
        match self.buffer.get_mut(self.at..end) {
            Some(space) if self.fits => {
                space.copy_from_slice(bytes);
                self.at = end;
                true
            }
            _ => {
                self.fits = false;
                false
            }
        }
    }
}
