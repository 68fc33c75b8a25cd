//! Ogg pages (RFC 3533 §6): written, and their heads read.

/// Capture pattern.
pub(crate) const CAPTURE: &[u8; 4] = b"OggS";
/// A page's head without its table of segments.
pub(crate) const HEAD: usize = 27;
/// The most segments of a page, of up to 255 bytes each.
pub(crate) const MAX_SEGMENTS: usize = 255;
/// The longest page.
pub(crate) const MAX_PAGE: usize = HEAD + MAX_SEGMENTS + MAX_SEGMENTS * 255;
/// Header type: first page of the stream.
pub(crate) const FIRST: u8 = 2;
/// Header type: last page of the stream.
pub(crate) const LAST: u8 = 4;
/// Granule position of a page on which no packet ends.
pub(crate) const NO_GRANULE: u64 = u64::MAX;

/// Where in a page stand the header type, granule position, serial and checksum.
pub(crate) const FLAGS_AT: usize = 5;
const CRC_AT: usize = 22;

/// What a page's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) flags: u8,
    pub(crate) granule: u64,
    pub(crate) serial: u32,
    pub(crate) sequence: u32,
    pub(crate) crc: u32,
    pub(crate) segments: usize,
}

impl Head {
    /// Reads the head that `bytes` begin with, without its table of segments.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = bytes.first_chunk()?;
        let four = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        (head.starts_with(CAPTURE) && head[4] == 0).then(|| Self {
            flags: head[FLAGS_AT],
            granule: u64::from(four(10)) << 32 | u64::from(four(6)),
            serial: four(14),
            sequence: four(18),
            crc: four(CRC_AT),
            segments: usize::from(head[26]),
        })
    }

    /// Writes a page behind what is in `out`: this head, a table of segments, and what they hold.
    pub(crate) fn write(&self, out: &mut Vec<u8>, table: &[u8], body: &[u8]) {
        let start = out.len();
        out.extend_from_slice(CAPTURE);
        out.extend_from_slice(&[0, self.flags]);
        out.extend_from_slice(&self.granule.to_le_bytes());
        out.extend_from_slice(&self.serial.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.push(u8::try_from(table.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(table);
        out.extend_from_slice(body);
        let crc = checksum(&out[start..]);
        out[start + CRC_AT..start + CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The checksum of a page, its own four bytes taken as zero.
pub(crate) fn checksum(page: &[u8]) -> u32 {
    let (head, rest) = page.split_at(page.len().min(CRC_AT));
    let crc = crc(crc(0, head), &[0; 4]);
    self::crc(crc, rest.get(4..).unwrap_or_default())
}

/// CRC-32 with the polynomial 0x04c11db7, neither reflected nor inverted, eight bytes at a time.
fn crc(mut crc: u32, bytes: &[u8]) -> u32 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let [a, b, c, d] = crc.to_be_bytes();
        crc = TABLES[7][usize::from(chunk[0] ^ a)]
            ^ TABLES[6][usize::from(chunk[1] ^ b)]
            ^ TABLES[5][usize::from(chunk[2] ^ c)]
            ^ TABLES[4][usize::from(chunk[3] ^ d)]
            ^ TABLES[3][usize::from(chunk[4])]
            ^ TABLES[2][usize::from(chunk[5])]
            ^ TABLES[1][usize::from(chunk[6])]
            ^ TABLES[0][usize::from(chunk[7])];
    }
    for byte in rest {
        let [top, ..] = crc.to_be_bytes();
        crc = crc << 8 ^ TABLES[0][usize::from(top ^ byte)];
    }
    crc
}

/// Row n: what one byte with n zero bytes behind it makes of the checksum.
static TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0_u32; 256]; 8];
    let mut byte = 0;
    while byte < 256_usize {
        #[expect(clippy::cast_possible_truncation, reason = "less than 256")]
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x04c1_1db7
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut row = 1;
    while row < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[row - 1][byte];
            tables[row][byte] = before << 8 ^ tables[0][(before >> 24) as usize];
            byte += 1;
        }
        row += 1;
    }
    tables
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_do_not_depend_on_how_many_bytes_are_taken_at_a_time() {
        // The check value of this polynomial without reflection and inversion for "123456789" is 0x89a1897f.
        assert_eq!(crc(0, b"123456789"), 0x89a1_897f);
        let bytes: Vec<u8> = (0..=255).collect();
        let slow = bytes.iter().fold(0, |sum, byte| crc(sum, &[*byte]));
        assert_eq!(crc(0, &bytes), slow);
    }

    #[test]
    fn heads_are_read_as_written() {
        let head = Head {
            flags: FIRST,
            granule: 0x0102_0304_0506_0708,
            serial: 9,
            sequence: 10,
            crc: 0,
            segments: 2,
        };
        let mut out = Vec::new();
        head.write(&mut out, &[3, 1], b"abcd");
        let read = Head::parse(&out).unwrap();
        assert_eq!(read.crc, checksum(&out));
        assert_eq!(Head { crc: 0, ..read }, head);
        for short in 0..HEAD {
            assert_eq!(Head::parse(&out[..short]), None);
        }
    }
}
