//! Sound with redundancy (RFC 2198), written and read apart from the product.

use althing_media_core::Pt;

/// A payload of `frame` and, if there is one that fits, of the frame `before`; each a timestamp and its bytes.
pub(super) fn payload(pt: Pt, frame: (u32, &[u8]), before: Option<(u32, &[u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    let older = before.filter(|(at, bytes)| frame.0.wrapping_sub(*at) < 1 << 14 && bytes.len() < 1 << 10);
    if let Some((at, bytes)) = older {
        let [_, _, high, low] = frame.0.wrapping_sub(at).to_be_bytes();
        let [.., len_high, len_low] = bytes.len().to_be_bytes();
        out.extend([0x80 | pt.value(), high << 2 | low >> 6, low << 2 | len_high, len_low]);
    }
    out.push(pt.value());
    out.extend(older.map(|(_, bytes)| bytes).unwrap_or_default());
    out.extend(frame.1);
    out
}

/// The blocks of a payload, the primary one last; `None` when it is not whole.
pub(super) fn blocks(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, mut lengths) = (payload, Vec::new());
    while rest.first()? & 0x80 != 0 {
        let (header, behind) = rest.split_first_chunk::<4>()?;
        lengths.push(usize::from(header[2] & 3) << 8 | usize::from(header[3]));
        rest = behind;
    }
    rest = rest.get(1..)?;
    let mut blocks = Vec::new();
    for length in lengths {
        let (block, behind) = rest.split_at_checked(length)?;
        blocks.push(block);
        rest = behind;
    }
    blocks.push(rest);
    Some(blocks)
}
