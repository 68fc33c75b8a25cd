//! Small reads at many places of a large file, with one buffer.

use std::io;

/// How much is read at a time.
const BUFFER: usize = 4096;

/// Something that can be read at any place.
pub trait Source {
    /// How long it is, in bytes.
    fn size(&self) -> u64;

    /// Reads into `buf` from `at` on; gives how many bytes, less than asked for only at the end.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at)
            .ok()
            .and_then(|at| self.get(at..))
            .unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// Reads from a source.
pub(super) struct Reader<'a> {
    source: &'a mut dyn Source,
    buffer: Vec<u8>,
    at: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a mut dyn Source) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            at: 0,
        }
    }

    /// How long the file is.
    pub(super) fn len(&self) -> u64 {
        self.source.size()
    }

    /// The `len` bytes from `at` on, fewer only at the end of the file. `len` is the caller's, never the file's.
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let skip = at.checked_sub(self.at).and_then(|skip| usize::try_from(skip).ok());
        let there = skip.and_then(|skip| self.buffer.get(skip..)).map_or(0, <[u8]>::len);
        if there < len {
            self.buffer.resize(len.max(BUFFER), 0);
            let got = self.source.read_at(at, &mut self.buffer)?;
            self.buffer.truncate(got);
            self.at = at;
        }
        let skip = usize::try_from(at - self.at).unwrap_or(usize::MAX);
        let rest = self.buffer.get(skip..).unwrap_or_default();
        Ok(&rest[..len.min(rest.len())])
    }
}
