//! What a connection still has to send: whole frames, bounded. A frame that does not fit is dropped, like a datagram.

use std::io::{self, Write};

use super::frame::PREFIX;

/// Bytes that may wait for one slow reader: a third of a second of good video. Older media is worth nothing.
pub(crate) const QUEUE_BYTES: usize = 128 * 1024;

/// Memory that an empty queue keeps.
const KEPT_BYTES: usize = 16 * 1024;

/// Frames in order, the first perhaps partly sent.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    bytes: Vec<u8>,
    sent: usize,
}

impl SendQueue {
    /// Appends a frame with its length in front; false when it does not fit. Copies once; grows to the bound at most.
    pub(crate) fn push(&mut self, frame: &[u8]) -> bool {
        let Ok(len) = u16::try_from(frame.len()) else {
            return false;
        };
        if self.bytes.len() - self.sent + PREFIX + frame.len() > QUEUE_BYTES {
            return false;
        }
        if self.bytes.len() + PREFIX + frame.len() > QUEUE_BYTES {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(frame);
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Writes until everything is gone (true) or the writer takes no more (false).
    pub(crate) fn write_to(&mut self, writer: &mut impl Write) -> io::Result<bool> {
        while !self.is_empty() {
            match writer.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        self.bytes.shrink_to(KEPT_BYTES);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes, then blocks.
    struct Slow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.room);
            self.room -= len;
            self.taken.extend(&bytes[..len]);
            if len == 0 {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(len)
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_frames_or_nothing() {
        let mut queue = SendQueue::default();
        let mut accepted = Vec::new();
        let mut slow = Slow {
            taken: Vec::new(),
            room: 0,
        };
        for n in 0..600_usize {
            let frame = vec![n.to_le_bytes()[0]; 700 + n % 500];
            if queue.push(&frame) {
                accepted.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
                accepted.extend(&frame);
            }
            assert!(queue.bytes.len() <= QUEUE_BYTES);
            slow.room = 333;
            assert!(!queue.write_to(&mut slow).unwrap());
        }
        assert!(!queue.push(&vec![0; QUEUE_BYTES]));
        assert!(accepted.len() < 600 * 700, "something must have been dropped");
        slow.room = usize::MAX;
        assert!(queue.write_to(&mut slow).unwrap());
        assert_eq!(slow.taken, accepted);
    }
}
