//! Picture ids and `TL0PICIDX` that go on without a jump (RFC 7741 §4.2, RFC 9628 §4.2).
//!
//! A receiver takes a gap in the picture ids for a lost picture and waits for it, so pictures that are left out close
//! up, as sequence numbers do.

use crate::forward::renumber::{Mapped, Renumber};
use crate::payload::{Ids, Patch};

/// Pictures back in which a late packet still finds its number.
const WINDOW: usize = 64;
/// Extended input ids start here, so that the ones before the first have a number too.
const BASE: u64 = 1 << 20;

/// The picture numbering of one epoch.
#[derive(Debug)]
pub struct Pictures {
    /// The highest input id, extended and as it was on the wire.
    highest: Option<(u64, u16)>,
    numbers: Renumber<WINDOW>,
    tl0_shift: u8,
    last: Option<Patch>,
}

impl Pictures {
    /// Begins with the picture of `first`, numbered behind `last`, the numbers of the last picture that was sent.
    #[must_use]
    pub fn start(first: Ids, last: Option<Patch>) -> Self {
        let picture_id = first.picture_id().map(|id| id.value());
        let tl0 = first.tl0_pic_idx().unwrap_or(0);
        let (next, tl0_shift) = match last {
            Some(last) => (
                last.picture_id.wrapping_add(1),
                last.tl0_pic_idx.wrapping_add(1).wrapping_sub(tl0),
            ),
            None => (picture_id.unwrap_or(0), 0),
        };
        Self {
            highest: picture_id.map(|id| (BASE, id)),
            numbers: Renumber::start(BASE, BASE + u64::from(next)),
            tl0_shift,
            last: None,
        }
    }

    /// The numbers for a packet that is sent; `None` when its payload has no numbers.
    pub fn map(&mut self, ids: Ids) -> Option<Patch> {
        let tl0_pic_idx = ids.tl0_pic_idx().unwrap_or(0).wrapping_add(self.tl0_shift);
        let Some(input) = self.extend(ids) else {
            return ids.tl0_pic_idx().map(|_| Patch {
                picture_id: 0,
                tl0_pic_idx,
            });
        };
        let out = self
            .numbers
            .sent(input)
            .or_else(|| match self.numbers.map(input, true) {
                Mapped::Forward(out) | Mapped::Filler(out) => Some(out),
                Mapped::Jump => {
                    let next = self.numbers.next();
                    self.numbers = Renumber::start(input, next);
                    match self.numbers.map(input, true) {
                        Mapped::Forward(out) => Some(out),
                        _ => None,
                    }
                }
                Mapped::Dropped | Mapped::Stale => None,
            })?;
        let patch = Patch {
            picture_id: (out & 0x7fff) as u16,
            tl0_pic_idx,
        };
        if out.wrapping_add(1) == self.numbers.next() {
            self.last = Some(patch);
        }
        Some(patch)
    }

    /// A packet of a picture that is left out.
    pub fn skip(&mut self, ids: Ids) {
        if let Some(input) = self.extend(ids)
            && self.numbers.sent(input).is_none()
        {
            let _ = self.numbers.map(input, false);
        }
    }

    /// The numbers of the last picture in order.
    #[must_use]
    pub fn last(&self) -> Option<Patch> {
        self.last
    }

    fn extend(&mut self, ids: Ids) -> Option<u64> {
        let id = ids.picture_id()?;
        let (highest, wire) = self.highest.unwrap_or_else(|| (BASE, id.value()));
        let input = highest.saturating_add_signed(i64::from(id.since(wire)));
        if input >= highest {
            self.highest = Some((input, id.value()));
        }
        Some(input)
    }
}
