//! Congestion control feedback (RFC 8888): which packets of each stream arrived, and when. Read only: publishers get
//! transport-wide feedback from us, which all of them know.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |                       SSRC of the sender                      |
//! |                        SSRC of a stream                       |  per stream
//! |     first sequence number     |       number of reports       |
//! |R|ECN|  arrival time offset    | … 16 bits each, to whole words|
//! |                       report timestamp                        |
//! ```

use crate::packet::Ssrc;
use crate::rtcp::frame::{Cursor, Frame, ParseError};

/// Feedback format.
pub(super) const FMT: u8 = 11;
/// After so long the report timestamp begins anew, in µs: 32 bits of 1/65536 s.
pub const TIMESTAMP_WRAP: i64 = 65_536_000_000;
/// The offset says nothing: the packet came too early for it, or there is no time.
const UNKNOWN_OFFSET: u16 = 0x1ffe;

/// A feedback message as received. Its blocks were found to be as long as they promise.
#[derive(Debug, Clone, Copy)]
pub struct Ccfb<'a> {
    /// Who received the packets.
    pub sender: Ssrc,
    /// When the report was made, in 1/65536 s of the receiver's clock: the middle of an NTP time.
    pub timestamp: u32,
    blocks: &'a [u8],
}

/// The packets of one stream.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The stream.
    pub ssrc: Ssrc,
    /// The sequence number of the first packet that is reported on.
    pub begin: u16,
    reports: &'a [u8],
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what sixteen bits can say")]
pub enum Fate {
    /// It has not come.
    Lost,
    /// It has come, so long before the report, in 1/1024 s; `None` when that is not told.
    Received(Option<u16>),
}

impl<'a> Ccfb<'a> {
    pub(super) fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        let mut cursor = frame.cursor();
        let sender = cursor.ssrc()?;
        let blocks = cursor.rest.len().checked_sub(4).ok_or(ParseError::Truncated)?;
        let blocks = cursor.bytes(blocks)?;
        let timestamp = cursor.u32()?;
        let mut rest = Cursor { rest: blocks };
        while !rest.rest.is_empty() {
            Block::read(&mut rest)?;
        }
        Ok(Self {
            sender,
            timestamp,
            blocks,
        })
    }

    /// The streams that are reported on.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut rest = Cursor { rest: self.blocks };
        std::iter::from_fn(move || Block::read(&mut rest).ok())
    }

    /// When the report was made, in µs; begins anew after [`TIMESTAMP_WRAP`].
    #[must_use]
    pub fn micros(&self) -> i64 {
        (i64::from(self.timestamp) * 1_000_000) >> 16
    }
}

impl<'a> Block<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let (ssrc, begin, count) = (cursor.ssrc()?, cursor.u16()?, usize::from(cursor.u16()?));
        let padded = cursor.bytes(count.next_multiple_of(2) * 2)?;
        Ok(Self {
            ssrc,
            begin,
            reports: padded.get(..count * 2).unwrap_or_default(),
        })
    }

    /// Every packet that is reported on, in order.
    pub fn reports(&self) -> impl Iterator<Item = (u16, Fate)> + use<'a> {
        let begin = self.begin;
        let words = self.reports.as_chunks().0.iter().map(|word| u16::from_be_bytes(*word));
        (0..).zip(words).map(move |(n, word)| {
            let offset = word & 0x1fff;
            let fate = if word & 0x8000 == 0 {
                Fate::Lost
            } else {
                Fate::Received((offset < UNKNOWN_OFFSET).then_some(offset))
            };
            (begin.wrapping_add(n), fate)
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rtc_rtcp::transport_feedbacks::cc_feedback_report::{
        CcFeedbackMetricBlock, CcFeedbackReport, CcFeedbackReportBlock, Ecn,
    };
    use rtc_shared::marshal::Marshal;

    use super::*;
    use crate::rtcp::{Message, messages};

    fn read(bytes: &[u8]) -> Option<Ccfb<'_>> {
        match messages(bytes).next() {
            Some(Ok(Message::Ccfb(feedback))) => Some(feedback),
            _ => None,
        }
    }

    fn plain(feedback: &Ccfb<'_>) -> Vec<(u32, Vec<(u16, Fate)>)> {
        feedback
            .blocks()
            .map(|block| (block.ssrc.0, block.reports().collect()))
            .collect()
    }

    /// Two streams: three packets over the wrap, the second lost; and one packet without a time.
    const BYTES: [u8; 40] = [
        0x8b, 205, 0, 9, 0, 0, 0, 1, // format 11, ten words
        0, 0, 0, 7, 0xff, 0xff, 0, 3, 0x84, 0, 0, 0, 0xe0, 1, 0,
        0, // 1024/1024 s; lost; CE and 1/1024 s; to a whole word
        0, 0, 0, 8, 0, 5, 0, 1, 0x9f, 0xff, 0, 0, // not told
        0, 2, 0x80, 0, // 2.5 s
    ];

    #[test]
    fn by_hand() {
        let feedback = read(&BYTES).expect("well formed");
        assert_eq!((feedback.sender, feedback.micros()), (Ssrc(1), 2_500_000));
        let first = vec![
            (0xffff, Fate::Received(Some(1024))),
            (0, Fate::Lost),
            (1, Fate::Received(Some(1))),
        ];
        assert_eq!(plain(&feedback), [(7, first), (8, vec![(5, Fate::Received(None))])]);
        for words in 0..9_u8 {
            let mut cut = BYTES[..usize::from(words) * 4 + 4].to_vec();
            cut[3] = words;
            // Where a block ends the rest is a report of its own, and the last word is its time.
            let whole = matches!(words, 2 | 6);
            assert_eq!(read(&cut).is_some(), whole, "{words} words");
        }
    }

    #[test]
    fn as_others_write_it() {
        let metric = |n: u16| CcFeedbackMetricBlock {
            received: !n.is_multiple_of(3),
            ecn: if n.is_multiple_of(2) { Ecn::NotEct } else { Ecn::Ce },
            arrival_time_offset: if n.is_multiple_of(3) { 0 } else { n * 30 },
        };
        let blocks = [(9, 65_530, 13), (10, 0, 0), (11, 77, 200)];
        let report = CcFeedbackReport {
            sender_ssrc: 3,
            report_blocks: blocks
                .iter()
                .map(|(media_ssrc, begin_sequence, count)| CcFeedbackReportBlock {
                    media_ssrc: *media_ssrc,
                    begin_sequence: *begin_sequence,
                    metric_blocks: (0..*count).map(metric).collect(),
                })
                .collect(),
            report_timestamp: 0xffff_0000,
        };
        let bytes: Bytes = report.marshal().expect("they write it").freeze();
        let feedback = read(&bytes).expect("we read it");
        assert_eq!((feedback.sender.0, feedback.timestamp), (3, 0xffff_0000));
        let expected = blocks.iter().map(|(ssrc, begin, count)| {
            let fate = |n: u16| {
                let metric = metric(n);
                let fate = if metric.received {
                    Fate::Received(Some(metric.arrival_time_offset))
                } else {
                    Fate::Lost
                };
                (u16::wrapping_add(*begin, n), fate)
            };
            (*ssrc, (0..*count).map(fate).collect::<Vec<_>>())
        });
        assert_eq!(plain(&feedback), expected.collect::<Vec<_>>());
    }
}
