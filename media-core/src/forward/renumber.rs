//! Numbers that stay gapless when packets are left out on purpose, and keep their gaps when packets were lost.
//!
//! A subscriber tells loss from the sequence numbers. What the router drops (another temporal layer, another simulcast
//! encoding, a pause) must not look like loss; what the network lost must, so that it can be asked for again and put
//! back in its place when it comes late.

/// How far back a late packet finds its place: about two seconds of 2.5 Mbit/s.
pub const WINDOW: usize = 512;

/// What becomes of one input number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mapped {
    /// Send it under this number.
    Forward(u64),
    /// Do not send it; the numbers close up over it.
    Dropped,
    /// It is not wanted, but came after higher numbers had been sent, so its number is taken: send something empty
    /// under this number, or the subscriber will wait for it.
    Filler(u64),
    /// Seen before, from before the start, or too old to have a place.
    Stale,
    /// So far ahead that what lies between is lost for good: start again.
    Jump,
}

/// Maps an increasing series with gaps to another one; fixed size, no allocation.
///
/// `W` is a power of two, at most 2¹⁵.
#[derive(Debug, Clone)]
pub struct Renumber<const W: usize = WINDOW> {
    highest: u64,
    next: u64,
    slots: [Slot; W],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Slot {
    /// Low bits of the output number.
    out: u16,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before the start.
    #[default]
    Unknown,
    /// Not seen yet, its number is kept free.
    Reserved,
    /// Its number has been used.
    Sent,
    /// Left out.
    Dropped,
}

impl<const W: usize> Renumber<W> {
    /// Begins with input number `first`, which will go out as `out` if it is kept.
    #[must_use]
    pub fn start(first: u64, out: u64) -> Self {
        Self {
            highest: first.wrapping_sub(1),
            next: out,
            slots: [Slot::default(); W],
        }
    }

    /// The number that comes after all numbers given out so far.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Decides about `input`. Each number is forwarded or filled at most once.
    #[inline]
    pub fn map(&mut self, input: u64, keep: bool) -> Mapped {
        let ahead = input.wrapping_sub(self.highest);
        if ahead == 0 || ahead > u64::MAX / 2 {
            return self.map_late(input, keep);
        }
        if ahead >= W as u64 {
            return Mapped::Jump;
        }
        for lost in self.highest.wrapping_add(1)..input {
            let out = self.take();
            self.set(lost, out, State::Reserved);
        }
        self.highest = input;
        if keep {
            let out = self.take();
            self.set(input, out, State::Sent);
            Mapped::Forward(out)
        } else {
            self.set(input, 0, State::Dropped);
            Mapped::Dropped
        }
    }

    /// The number that `input` went out with, if it did.
    #[must_use]
    pub fn sent(&self, input: u64) -> Option<u64> {
        if self.highest.wrapping_sub(input) >= W as u64 {
            return None;
        }
        let slot = self.slots[Self::index(input)];
        (slot.state == State::Sent).then(|| self.widen(slot.out))
    }

    /// The numbers that were kept free for what has not come, the lowest first.
    pub fn reserved(&self) -> impl Iterator<Item = u64> + '_ {
        let window = self.highest.saturating_sub(W as u64 - 1)..self.highest.saturating_add(1);
        let free = |input: u64| self.slots[Self::index(input)];
        window
            .map(free)
            .filter(|slot| slot.state == State::Reserved)
            .map(|slot| self.widen(slot.out))
    }

    fn map_late(&mut self, input: u64, keep: bool) -> Mapped {
        if self.highest.wrapping_sub(input) >= W as u64 {
            return Mapped::Stale;
        }
        let slot = self.slots[Self::index(input)];
        if slot.state != State::Reserved {
            return Mapped::Stale;
        }
        let out = self.widen(slot.out);
        self.set(input, out, State::Sent);
        if keep {
            Mapped::Forward(out)
        } else {
            Mapped::Filler(out)
        }
    }

    fn take(&mut self) -> u64 {
        let out = self.next;
        self.next = self.next.wrapping_add(1);
        out
    }

    #[expect(clippy::cast_possible_truncation, reason = "low bits; widened again beside `next`")]
    fn set(&mut self, input: u64, out: u64, state: State) {
        self.slots[Self::index(input)] = Slot { out: out as u16, state };
    }

    #[expect(clippy::cast_possible_truncation, reason = "an index below W")]
    const fn index(input: u64) -> usize {
        (input % W as u64) as usize
    }

    /// Output numbers in the window lie within 2¹⁵ below `next`.
    #[expect(clippy::cast_possible_truncation, reason = "modular distance")]
    fn widen(&self, out: u16) -> u64 {
        self.next.wrapping_sub(u64::from((self.next as u16).wrapping_sub(out)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn drops_close_up_and_losses_stay() {
        let mut renumber = Renumber::<WINDOW>::start(100, 1000);
        let table = [
            (100, true, Mapped::Forward(1000)),
            (101, false, Mapped::Dropped),
            (102, true, Mapped::Forward(1001)),
            (105, true, Mapped::Forward(1004)), // 103 and 104 lost: 1002 and 1003 are kept free
            (103, true, Mapped::Forward(1002)),
            (103, true, Mapped::Stale),
            (104, false, Mapped::Filler(1003)),
            (104, true, Mapped::Stale),
            (101, true, Mapped::Stale),
            (99, true, Mapped::Stale),
            (106, true, Mapped::Forward(1005)),
            (5_000, true, Mapped::Jump),
        ];
        for (input, keep, expected) in table {
            assert_eq!(renumber.map(input, keep), expected, "{input}");
        }
        assert_eq!(
            (renumber.sent(103), renumber.sent(101), renumber.next()),
            (Some(1002), None, 1006)
        );
        assert_eq!(renumber.reserved().count(), 0);
        renumber.map(109, true);
        assert_eq!(renumber.reserved().collect::<Vec<_>>(), [1006, 1007]);
        renumber.map(107, true);
        assert_eq!(renumber.reserved().collect::<Vec<_>>(), [1007]);
    }

    proptest! {
        /// Against a naive model: whatever the order, no number is given twice, order is kept, and without losses
        /// there is no gap.
        #[test]
        fn never_twice_and_in_order(steps in prop::collection::vec((0_u64..40, any::<bool>()), 1..400)) {
            let mut renumber = Renumber::<64>::start(1, 70_000);
            let mut given = HashMap::new();
            let mut base = 1_u64;
            for (offset, keep) in steps {
                let input = base + offset;
                base += u64::from(offset % 3 == 0);
                match renumber.map(input, keep) {
                    Mapped::Forward(out) | Mapped::Filler(out) => {
                        prop_assert!(given.insert(out, input).is_none(), "{out} was given twice");
                    }
                    _ => {}
                }
            }
            let mut pairs: Vec<_> = given.into_iter().collect();
            pairs.sort_unstable();
            prop_assert!(pairs.windows(2).all(|pair| pair[0].1 < pair[1].1), "order is kept");
        }
    }
}
