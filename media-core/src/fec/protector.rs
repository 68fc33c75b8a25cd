//! Which FEC packets are made over one outgoing stream.
//!
//! Packets are taken in groups as they leave. A group has one to four sums, as many as its share of FEC packets gives for a
//! picture, and each of its packets is in another set of them: then one lost packet comes back from any of its sums, and two
//! from all, wherever they are. A group ends when its packets have earned its sums; at the end of a picture half of that is
//! enough, and the rest is owed.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::fec::header::Header;
use crate::fec::parity::Parity;
use crate::packet::{ExtensionMap, RtpView, SeqNo};

/// Most sums of a group.
const MAX_ROWS: usize = 4;
/// Numbers that a group may span: what the middle form of the mask names.
const MAX_SPAN: u64 = 46;
/// FEC packets that may wait to be sent; the oldest gives way.
const MAX_READY: usize = 2 * MAX_ROWS;
/// Longest packet that is protected, in bytes: an FEC packet over it must still fit every path.
const MAX_PACKET: usize = 1350;
/// In which sums the packets of a group are, one after another, by the number of sums: those in one sum only come last, as
/// they are lost for good with it.
const SETS: [&[u8]; MAX_ROWS] = [
    &[0b1],
    &[0b11, 0b01, 0b10],
    &[0b011, 0b101, 0b110, 0b111, 0b001, 0b010, 0b100],
    &[
        0b0011, 0b1100, 0b0101, 0b1010, 0b0110, 0b1001, 0b0111, 0b1011, 0b1101, 0b1110, 0b1111, 0b0001, 0b0010, 0b0100,
        0b1000,
    ],
];

/// An FEC packet that waits to be sent.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which packets.
    pub header: Header,
    /// Their sum.
    pub parity: Parity,
}

/// Makes FEC packets over one stream. Holds at most twelve sums of 1.3 kB, allocated with the first packets that are
/// protected; nothing before, and nothing per packet after.
#[derive(Debug, Default)]
pub struct Protector {
    open: SmallVec<[Row; MAX_ROWS]>,
    base: SeqNo,
    packets: usize,
    /// FEC packets that the packets have earned; below zero what is owed.
    credit: f32,
    ready: VecDeque<Row>,
    spare: Vec<Parity>,
    /// Packets of the picture that is being sent, and of the one before.
    picture: [u16; 2],
}

/// A packet that leaves.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    /// Its number.
    pub seq: SeqNo,
    /// Its bytes before protection.
    pub packet: RtpView<'a>,
    /// No other picture depends on its own: it earns half.
    pub discardable: bool,
}

impl Protector {
    /// A packet leaves; `share` FEC packets may be sent for each. How many are ready now, to be taken one by one.
    pub fn on_packet(&mut self, leaving: Leaving<'_>, extensions: &ExtensionMap, share: f32) -> usize {
        let Leaving { seq, packet, .. } = leaving;
        let ends = packet.marker();
        self.picture[0] = self.picture[0].saturating_add(1);
        let usual = self.picture[0].max(self.picture[1]);
        if ends {
            self.picture = [0, self.picture[0]];
        }
        let mut made = 0;
        if self.packets > 0 && seq.0.wrapping_sub(self.base.0) >= MAX_SPAN {
            // What came late is left alone; a leap ends the group.
            if seq < self.base {
                return 0;
            }
            made += self.end(true);
            self.forget();
        }
        if packet.bytes().len() <= MAX_PACKET {
            if self.packets == 0 {
                self.begin(packet, seq, f32::from(usual) * share);
            }
            self.add(seq, &packet, extensions);
            self.credit += if leaving.discardable { share / 2.0 } else { share };
        }
        made + self.end(ends)
    }

    fn begin(&mut self, packet: RtpView<'_>, seq: SeqNo, worth: f32) {
        let rows = (1..=MAX_ROWS)
            .rev()
            .find(|rows| *rows as f32 <= worth + 0.5)
            .unwrap_or(1);
        self.base = seq;
        for _ in 0..rows {
            let mut parity = self.spare.pop().unwrap_or_default();
            parity.clear();
            let header = Header {
                ssrc: packet.ssrc(),
                base: seq.wire(),
                mask: 0,
            };
            self.open.push(Row { header, parity });
        }
    }

    fn add(&mut self, seq: SeqNo, packet: &RtpView<'_>, extensions: &ExtensionMap) {
        let Some(sets) = self.open.len().checked_sub(1).and_then(|rows| SETS.get(rows)) else {
            return;
        };
        let set = sets[self.packets % sets.len()];
        let offset = seq.0 - self.base.0;
        for (index, row) in self.open.iter_mut().enumerate() {
            if set >> index & 1 == 1 {
                row.header.mask |= 1 << offset;
                row.parity.add(packet, extensions);
            }
        }
        self.packets += 1;
    }

    /// Ends the group when it has earned its sums, or, when it may end `early`, half of them.
    fn end(&mut self, early: bool) -> usize {
        let rows = self.open.len();
        let needed = if early { rows as f32 / 2.0 } else { rows as f32 };
        if rows == 0 || self.credit < needed {
            return 0;
        }
        self.packets = 0;
        let mut made: usize = 0;
        for row in self.open.drain(..) {
            // A group that ended early may not have come to all of its sums.
            if row.header.mask == 0 {
                self.spare.push(row.parity);
                continue;
            }
            if self.ready.len() >= MAX_READY
                && let Some(oldest) = self.ready.pop_front()
            {
                self.spare.push(oldest.parity);
            }
            self.ready.push_back(row);
            self.credit -= 1.0;
            made += 1;
        }
        made
    }

    /// Forgets the group that has begun.
    fn forget(&mut self) {
        self.spare.extend(self.open.drain(..).map(|row| row.parity));
        self.packets = 0;
    }

    /// Nothing is to be protected: forgets the group that has begun.
    #[inline]
    pub fn rest(&mut self) {
        if !self.open.is_empty() {
            self.forget();
        }
        self.credit = 0.0;
    }

    /// The next FEC packet to be sent; give it back to [`Self::sent`].
    pub fn take(&mut self) -> Option<Row> {
        self.ready.pop_front()
    }

    /// An FEC packet has been written: its memory is used again.
    pub fn sent(&mut self, row: Row) {
        self.spare.push(row.parity);
    }
}
