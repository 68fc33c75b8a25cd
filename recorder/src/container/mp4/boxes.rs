//! Boxes (ISO/IEC 14496-12 §4.2): written, and their heads read.

/// Writes a box with what `inside` puts into it.
pub(crate) fn boxed(out: &mut Vec<u8>, kind: [u8; 4], inside: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    inside(out);
    // Nothing that we put into a box of this form comes near 4 GiB.
    let len = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

/// Writes a box with version and flags.
pub(crate) fn full(out: &mut Vec<u8>, kind: [u8; 4], version: u8, flags: u32, inside: impl FnOnce(&mut Vec<u8>)) {
    boxed(out, kind, |out| {
        put32(out, u32::from(version) << 24 | flags);
        inside(out);
    });
}

/// Writes a box that means nothing and takes `len` bytes in all, at least 8 (§8.1.2).
pub(crate) fn free(out: &mut Vec<u8>, len: usize) {
    boxed(out, *b"free", |out| out.resize(out.len() + len - 8, 0));
}

pub(crate) fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// The four bytes at `at`, if they are there.
pub(crate) fn get32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The eight bytes at `at`, if they are there.
pub(crate) fn get64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The longest head: with a size of eight bytes.
pub(crate) const HEAD: usize = 16;

/// The head of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: [u8; 4],
    /// Of the whole box, in bytes; at least that of its head.
    pub(crate) size: u64,
    /// Of the head itself, in bytes.
    pub(crate) len: u64,
}

impl Head {
    /// Reads the head that `bytes` begin with; `None` when it is none, cut short, or says that the box goes on to the end of
    /// the file, which none of ours does.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let kind = *bytes.get(4..)?.first_chunk()?;
        let (size, len) = match get32(bytes, 0)? {
            1 => (get64(bytes, 8)?, 16),
            size => (u64::from(size), 8),
        };
        (size >= len).then_some(Self { kind, size, len })
    }
}

/// The boxes that stand in `bytes` one behind the other, each as its kind, place and inside; ends at the first that is
/// none.
pub(crate) fn children(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let head = Head::parse(rest)?;
        let size = usize::try_from(head.size).ok()?;
        let inside = rest.get(usize::try_from(head.len).ok()?..size)?;
        let place = at;
        at += size;
        Some((head.kind, place, inside))
    })
}

/// The inside of the first box of a kind.
pub(crate) fn child(bytes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    children(bytes)
        .find(|(other, ..)| *other == kind)
        .map(|(.., inside)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_read_as_written() {
        let mut out = Vec::new();
        boxed(&mut out, *b"moov", |out| {
            full(out, *b"mvhd", 1, 7, |out| put64(out, 9));
            free(out, 20);
        });
        let moov = child(&out, *b"moov").unwrap();
        let seen: Vec<_> = children(moov)
            .map(|(kind, at, inside)| (kind, at, inside.len()))
            .collect();
        assert_eq!(seen, [(*b"mvhd", 0, 12), (*b"free", 20, 12)]);
        assert_eq!(get32(child(moov, *b"mvhd").unwrap(), 0), Some(0x0100_0007));
        for short in 0..out.len() {
            assert_eq!(child(&out[..short], *b"moov"), None);
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_no_boxes() {
        assert_eq!(Head::parse(b"\0\0\0\x07free"), None);
        assert_eq!(Head::parse(b"\0\0\0\0mdat"), None, "to the end of the file");
        assert_eq!(Head::parse(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f"), None);
        let head = Head::parse(b"\0\0\0\x01mdat\0\0\0\x01\0\0\0\0").unwrap();
        assert_eq!((head.size, head.len), (1 << 32, 16));
    }
}
