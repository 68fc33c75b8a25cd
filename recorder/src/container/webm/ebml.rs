//! EBML (RFC 8794): writing elements, and reading their heads.
//!
//! Not here: what the elements mean.

/// Every size unknown: the element ends where one begins that cannot be inside it (RFC 8794 §6.2).
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// Writes an element id, as it stands in the specification with its marker.
pub(crate) fn id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    out.extend_from_slice(&bytes[zeros.min(3)..]);
}

/// Writes a size in as few bytes as it fits in.
pub(crate) fn size(out: &mut Vec<u8>, size: u64) {
    let mut width = 1_u32;
    // All bits set would mean "unknown".
    while width < 8 && size >= (1 << (7 * width)) - 1 {
        width += 1;
    }
    wide_size(out, size, width);
}

/// Writes a size in `width` bytes, 1 to 8.
pub(crate) fn wide_size(out: &mut Vec<u8>, size: u64, width: u32) {
    let marked = size | 1 << (7 * width);
    let bytes = marked.to_be_bytes();
    out.extend_from_slice(&bytes[bytes.len() - usize::try_from(width).unwrap_or(8)..]);
}

/// Writes an unsigned integer in as few bytes as it needs.
pub(crate) fn uint(out: &mut Vec<u8>, element: u32, value: u64) {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(7);
    binary(out, element, &bytes[zeros..]);
}

/// Writes an unsigned integer in eight bytes, so that another can take its place.
pub(crate) fn wide_uint(out: &mut Vec<u8>, element: u32, value: u64) {
    binary(out, element, &value.to_be_bytes());
}

/// Writes a float of eight bytes.
pub(crate) fn float(out: &mut Vec<u8>, element: u32, value: f64) {
    binary(out, element, &value.to_be_bytes());
}

/// Writes bytes or text.
pub(crate) fn binary(out: &mut Vec<u8>, element: u32, bytes: &[u8]) {
    id(out, element);
    size(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes an element with others inside it; its size takes four bytes.
pub(crate) fn master(out: &mut Vec<u8>, element: u32, inside: impl FnOnce(&mut Vec<u8>)) {
    id(out, element);
    let at = out.len();
    out.extend_from_slice(&[0x10, 0, 0, 0]);
    inside(out);
    let len = u32::try_from(out.len() - at - 4).unwrap_or(0x0fff_fffe);
    out[at..at + 4].copy_from_slice(&(0x1000_0000 | len).to_be_bytes());
}

/// Writes an element that means nothing and takes `len` bytes in all, at least 2 (RFC 8794 §11.3.2).
pub(crate) fn void(out: &mut Vec<u8>, len: usize) {
    let end = out.len() + len;
    id(out, VOID);
    if len < 100 {
        wide_size(out, (len - 2) as u64, 1);
    } else {
        wide_size(out, (len - 9) as u64, 8);
    }
    out.resize(end, 0);
}

/// The id of an element that means nothing.
pub(crate) const VOID: u32 = 0xec;
/// The longest head: an id of four bytes and a size of eight.
pub(crate) const HEAD: usize = 12;

/// The head of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: u32,
    /// Of what follows the head; may be [`UNKNOWN`].
    pub(crate) size: u64,
    /// Of the head itself, in bytes.
    pub(crate) len: u64,
}

impl Head {
    /// Reads the head that `bytes` begin with; `None` when it is none or cut short.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let id_len = leading(*bytes.first()?, 4)?;
        let id = bytes
            .get(..id_len)?
            .iter()
            .fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
        let (size, size_len) = Self::parse_size(bytes.get(id_len..)?)?;
        Some(Self {
            id,
            size,
            len: (id_len + size_len) as u64,
        })
    }

    /// Reads a size, or another number of the same form; and how many bytes it takes.
    pub(crate) fn parse_size(bytes: &[u8]) -> Option<(u64, usize)> {
        let len = leading(*bytes.first()?, 8)?;
        let marked = bytes
            .get(..len)?
            .iter()
            .fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
        let mask = (1_u64 << (7 * len)) - 1;
        let size = marked & mask;
        Some((if size == mask { UNKNOWN } else { size }, len))
    }
}

/// How many bytes a number takes whose first byte is this; `None` beyond `most`.
fn leading(first: u8, most: usize) -> Option<usize> {
    let len = usize::try_from(first.leading_zeros()).unwrap_or(8) + 1;
    (len <= most).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for value in [
            0,
            1,
            126,
            127,
            128,
            16_382,
            16_383,
            1 << 20,
            (1 << 28) - 1,
            1 << 40,
            (1 << 56) - 2,
        ] {
            let mut out = Vec::new();
            id(&mut out, 0x1a45_dfa3);
            size(&mut out, value);
            let head = Head::parse(&out).unwrap();
            assert_eq!((head.id, head.size, head.len), (0x1a45_dfa3, value, out.len() as u64));
            for short in 0..out.len() {
                assert_eq!(Head::parse(&out[..short]), None);
            }
        }
        assert_eq!(Head::parse_size(&[0xff]), Some((UNKNOWN, 1)));
        assert_eq!(
            Head::parse_size(&[1, 255, 255, 255, 255, 255, 255, 255]),
            Some((UNKNOWN, 8))
        );
        assert_eq!(Head::parse(&[0x01, 0x80]), None, "no id has a size of eight bytes");
    }

    #[test]
    fn a_void_takes_the_room_that_it_is_given() {
        for len in [2, 11, 21, 99, 100, 101, 5000] {
            let mut out = Vec::new();
            void(&mut out, len);
            let head = Head::parse(&out).unwrap();
            assert_eq!((out.len(), head.id, head.len + head.size), (len, VOID, len as u64));
        }
    }

    #[test]
    fn masters_know_their_size() {
        let mut out = Vec::new();
        master(&mut out, 0xae, |out| {
            uint(out, 0xd7, 0);
            uint(out, 0xd7, 256);
            float(out, 0xb5, 48_000.0);
        });
        let head = Head::parse(&out).unwrap();
        assert_eq!(head.len + head.size, out.len() as u64);
        assert_eq!(&out[5..12], [0xd7, 0x81, 0, 0xd7, 0x82, 1, 0]);
    }
}
