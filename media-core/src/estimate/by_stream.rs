//! Feedback by SSRC and sequence number (RFC 8888), for an estimator that counts what was sent in one row.
//!
//! Gives each packet that is sent the next number of that row, and finds it again when the receiver tells of it. It judges
//! nothing.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::feedback::{MAX_SENT, Report};
use crate::packet::Ssrc;
use crate::packet::view::FIXED_HEADER;
use crate::rtcp::ccfb::{Ccfb, Fate};

/// Packets that were sent, by the names that the receiver has for them. Bounded by [`MAX_SENT`]; no allocation once it is full.
#[derive(Debug, Default)]
pub(super) struct ByStream {
    numbers: FxHashMap<(Ssrc, u16), u16>,
    order: VecDeque<(Ssrc, u16)>,
    next: u16,
    /// Used and kept by [`Self::reports`].
    reports: Vec<(u16, Report)>,
}

impl ByStream {
    /// An RTP packet goes out, protected or not: its number in the row; `None` for one that goes again as it was, as what is told
    /// of both is one thing.
    pub(super) fn on_sent(&mut self, datagram: &[u8]) -> Option<u16> {
        let header = datagram.first_chunk::<FIXED_HEADER>()?;
        let seq = u16::from_be_bytes([header[2], header[3]]);
        let ssrc = Ssrc(u32::from_be_bytes([header[8], header[9], header[10], header[11]]));
        if self.numbers.contains_key(&(ssrc, seq)) {
            return None;
        }
        if self.order.len() >= MAX_SENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.order.push_back((ssrc, seq));
        self.numbers.insert((ssrc, seq), number);
        Some(number)
    }

    /// What a message says of packets that are known, in the order in which they were sent. Costs a look at each.
    pub(super) fn reports(&mut self, feedback: &Ccfb<'_>) -> &[(u16, Report)] {
        self.reports.clear();
        for block in feedback.blocks() {
            for (seq, fate) in block.reports() {
                let Some(number) = self.numbers.get(&(block.ssrc, seq)) else {
                    continue;
                };
                let report = match fate {
                    Fate::Lost => Report::Lost,
                    Fate::Received(offset) => {
                        Report::Received(offset.map(|ticks| (i64::from(ticks) * 1_000_000) >> 10))
                    }
                };
                self.reports.push((*number, report));
            }
        }
        let next = self.next;
        self.reports
            .sort_unstable_by_key(|(number, _)| std::cmp::Reverse(next.wrapping_sub(*number)));
        &self.reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Message, messages};

    fn packet(ssrc: u32, seq: u16) -> [u8; FIXED_HEADER] {
        let mut packet = [0x80; FIXED_HEADER];
        packet[2..4].copy_from_slice(&seq.to_be_bytes());
        packet[8..].copy_from_slice(&ssrc.to_be_bytes());
        packet
    }

    #[test]
    fn two_streams_in_one_row() {
        let mut by_stream = ByStream::default();
        // The stream 8 goes between the packets of the stream 7.
        for (ssrc, seq) in [(7, 0xffff), (8, 5), (7, 0), (7, 1), (7, 2)] {
            by_stream.on_sent(&packet(ssrc, seq)).expect("a header");
        }
        let bytes = [
            0x8b, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 3, 0x84, 0, 0, 0, 0xe0, 1, 0, 0, 0, 0, 0, 8, 0, 5,
            0, 1, 0x9f, 0xff, 0, 0, 0, 2, 0x80, 0,
        ];
        let Some(Ok(Message::Ccfb(feedback))) = messages(&bytes).next() else {
            panic!("well formed");
        };
        let expected = [
            (0, Report::Received(Some(1_000_000))),
            (1, Report::Received(None)),
            (2, Report::Lost),
            (3, Report::Received(Some(976))),
        ];
        assert_eq!(by_stream.reports(&feedback), expected);
        assert_eq!(by_stream.on_sent(&packet(7, 2)), None, "it goes again");
        for n in 0..4096 {
            by_stream.on_sent(&packet(9, n)).expect("a header");
        }
        assert_eq!(by_stream.reports(&feedback), [], "forgotten");
        assert_eq!((by_stream.numbers.len(), by_stream.order.len()), (MAX_SENT, MAX_SENT));
    }
}
