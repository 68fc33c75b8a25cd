//! Source description (RFC 3550 §6.5): the names of sources. Only CNAME is written: lip sync needs it, the rest tells
//! strangers about people.
//!
//! ```text
//! | SSRC | type, length, text | type, length, text | … | 0 to the next word |   × count
//! ```

use crate::packet::Ssrc;
use crate::rtcp::frame::{Cursor, Frame, ParseError, Writer};

/// Packet type.
pub(super) const PT: u8 = 202;
/// Ends the items of a chunk.
const END: u8 = 0;
/// The canonical name (RFC 3550 §6.5.1).
const CNAME: u8 = 1;

/// A source description as received, checked to its end.
#[derive(Debug, Clone, Copy)]
pub struct Sdes<'a> {
    count: u8,
    chunks: &'a [u8],
}

/// One item of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// The source that it describes.
    pub ssrc: Ssrc,
    /// 1 for CNAME; the others in RFC 3550 §6.5.
    pub kind: u8,
    /// Text in UTF-8, unchecked; at most 255 bytes.
    pub text: &'a [u8],
}

impl<'a> Sdes<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let sdes = Self {
            count: frame.count,
            chunks: frame.body,
        };
        let mut items = sdes.walk();
        while items.step()?.is_some() {}
        Ok(sdes)
    }

    /// All items of all sources.
    pub fn items(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let mut walk = self.walk();
        // Parsed before, so an error cannot come; it would end the iteration.
        std::iter::from_fn(move || walk.step().ok().flatten())
    }

    /// The canonical name of each source that gives one.
    pub fn cnames(&self) -> impl Iterator<Item = (Ssrc, &'a [u8])> + use<'a> {
        self.items()
            .filter(|item| item.kind == CNAME)
            .map(|item| (item.ssrc, item.text))
    }

    fn walk(&self) -> Walk<'a> {
        Walk {
            chunks: self.count,
            ssrc: None,
            total: self.chunks.len(),
            cursor: Cursor { rest: self.chunks },
        }
    }
}

/// Walks over items, chunk by chunk.
#[derive(Debug)]
struct Walk<'a> {
    chunks: u8,
    ssrc: Option<Ssrc>,
    total: usize,
    cursor: Cursor<'a>,
}

impl<'a> Walk<'a> {
    fn step(&mut self) -> Result<Option<Item<'a>>, ParseError> {
        loop {
            let Some(ssrc) = self.ssrc else {
                if self.chunks == 0 {
                    return Ok(None);
                }
                self.chunks -= 1;
                self.ssrc = Some(self.cursor.ssrc()?);
                continue;
            };
            let kind = self.cursor.u8()?;
            if kind == END {
                let read = self.total - self.cursor.rest.len();
                self.cursor.bytes(read.next_multiple_of(4) - read)?;
                self.ssrc = None;
                continue;
            }
            let len = self.cursor.u8()?;
            return Ok(Some(Item {
                ssrc,
                kind,
                text: self.cursor.bytes(usize::from(len))?,
            }));
        }
    }
}

/// Writes one source with its CNAME at the start of `buf` and gives the length.
///
/// `None` when it does not fit, or when `cname` is longer than 255 bytes.
#[must_use]
pub fn write_cname(buf: &mut [u8], ssrc: Ssrc, cname: &str) -> Option<usize> {
    let mut writer = Writer::new(buf, PT, 1)?;
    writer.u32(ssrc.0)?;
    writer.u8(CNAME)?;
    writer.u8(u8::try_from(cname.len()).ok()?)?;
    writer.bytes(cname.as_bytes())?;
    writer.u8(END)?;
    writer.align()?;
    writer.finish()
}
