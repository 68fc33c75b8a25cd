//! Frames out of a byte stream: two bytes of length, then a datagram (RFC 4571 §2).
//!
//! Frames are handed out where they were received. What is longer than any datagram that we exchange ends the
//! connection; empty frames are skipped (RFC 4571 §2 allows them).

/// The longest frame that is taken. Browsers send up to about 1500 bytes.
pub(crate) const MAX_FRAME: usize = 2048;

/// Bytes of the length.
pub(crate) const PREFIX: usize = 2;

/// Bytes that one read can bring: some frames of media.
const BUFFER_BYTES: usize = 8 * 1024;

/// The receive buffer of one connection: fixed size.
#[derive(Debug)]
pub(crate) struct FrameBuffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// The peer announced a frame of more than [`MAX_FRAME`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameTooLong;

impl FrameBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER_BYTES].into(),
            start: 0,
            end: 0,
        }
    }

    /// Room for the next bytes of the stream; never empty once [`Self::next`] has said that there is no whole frame.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.bytes[self.end..]
    }

    /// The first `len` bytes of the space were filled.
    pub(crate) fn filled(&mut self, len: usize) {
        self.end = (self.end + len).min(self.bytes.len());
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<&mut [u8]>, FrameTooLong> {
        while let Some(len) = self.announced() {
            if len > MAX_FRAME {
                return Err(FrameTooLong);
            }
            let body = self.start + PREFIX;
            if body + len > self.end {
                break;
            }
            self.start = body + len;
            if len > 0 {
                return Ok(self.bytes.get_mut(body..body + len));
            }
        }
        Ok(None)
    }

    /// The next whole frame, which stays.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        let len = self.announced()?;
        self.bytes[self.start..self.end].get(PREFIX..PREFIX + len)
    }

    fn announced(&self) -> Option<usize> {
        let prefix = self.bytes[self.start..self.end].first_chunk::<PREFIX>()?;
        Some(usize::from(u16::from_be_bytes(*prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(frames: &[&[u8]]) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            stream.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
            stream.extend(*frame);
        }
        stream
    }

    /// Feeds `stream` in the given pieces, gives the frames that came out.
    fn feed<'a>(buffer: &mut FrameBuffer, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                let space = buffer.space();
                let len = piece.len().min(space.len());
                assert!(len > 0, "no space although no whole frame is left");
                space[..len].copy_from_slice(&piece[..len]);
                buffer.filled(len);
                piece = &piece[len..];
                while let Some(frame) = buffer.next().unwrap() {
                    frames.push(frame.to_vec());
                }
            }
        }
        frames
    }

    #[test]
    fn split_at_every_byte() {
        let frames: [&[u8]; 4] = [&[1; 20], &[2], &[], &[3; 300]];
        let whole = framed(&frames);
        let expected: Vec<_> = frames
            .iter()
            .filter(|frame| !frame.is_empty())
            .map(|frame| frame.to_vec())
            .collect();
        for cut in 0..=whole.len() {
            let (one, two) = whole.split_at(cut);
            assert_eq!(feed(&mut FrameBuffer::new(), [one, two]), expected, "cut at {cut}");
        }
        assert_eq!(feed(&mut FrameBuffer::new(), whole.chunks(1)), expected);
    }

    #[test]
    fn a_long_stream_in_odd_pieces() {
        let body = vec![7_u8; MAX_FRAME];
        let frames: Vec<&[u8]> = (0..200).map(|n| &body[..(n * 37) % MAX_FRAME + 1]).collect();
        let whole = framed(&frames);
        for size in [1000, 4096, 8192, 9999] {
            assert_eq!(
                feed(&mut FrameBuffer::new(), whole.chunks(size)),
                frames,
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn too_long_is_refused_before_it_arrives() {
        let mut buffer = FrameBuffer::new();
        buffer.space()[..2].copy_from_slice(&u16::try_from(MAX_FRAME + 1).unwrap().to_be_bytes());
        buffer.filled(2);
        assert_eq!(buffer.next(), Err(FrameTooLong));
    }
}
