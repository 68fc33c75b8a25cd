//! Which packets of a stream have been seen (RFC 3711 §3.3.2), and what number a packet has (§3.3.1).

/// How far behind the newest packet another may be, in packets: half a second of a 2 000 packets/s stream.
pub const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// The newest index of a stream and the [`WINDOW`] before it. Changes only by [`Self::accept`], which is for packets
/// that have proved to be authentic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// One above the newest index; 0 when nothing was accepted.
    end: u64,
    /// A bit for each index of the window, at the index modulo [`WINDOW`].
    seen: [u64; WORDS],
}

impl Window {
    pub(super) const EMPTY: Self = Self {
        end: 0,
        seen: [0; WORDS],
    };

    /// The index nearest to the newest one that has these 16 low bits; `None` when that would be before the stream.
    pub(super) fn estimate(&self, wire: u16) -> Option<u64> {
        let Some(newest) = self.end.checked_sub(1) else {
            return Some(u64::from(wire));
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "modular distance, RFC 1982"
        )]
        let distance = wire.wrapping_sub(newest as u16) as i16;
        newest.checked_add_signed(i64::from(distance))
    }

    /// Whether a packet with this index was not seen and is not too old.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        if index >= self.end {
            return true;
        }
        self.end - index <= WINDOW && self.seen[slot(index).0] & slot(index).1 == 0
    }

    /// Marks an index as seen.
    pub(super) fn accept(&mut self, index: u64) {
        if index >= self.end {
            let gap = index - self.end;
            if gap >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                (self.end..index).for_each(|skipped| self.seen[slot(skipped).0] &= !slot(skipped).1);
            }
            self.end = index + 1;
        }
        self.seen[slot(index).0] |= slot(index).1;
    }
}

/// Word and bit of an index.
fn slot(index: u64) -> (usize, u64) {
    ((index % WINDOW / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn indices_go_on_over_the_wrap() {
        let mut window = Window::EMPTY;
        assert_eq!(window.estimate(65_530), Some(65_530));
        for (wire, index) in [
            (65_530, 65_530),
            (3, 65_539),
            (65_535, 65_535),
            (0, 65_536),
            (40_000, 105_536 - 65_536),
        ] {
            if index == 40_000 {
                // 25 539 behind is nearer than 39 997 ahead.
                assert_eq!(window.estimate(wire), Some(index));
                assert!(!window.is_fresh(index));
                continue;
            }
            assert_eq!(window.estimate(wire), Some(index), "{wire}");
            assert!(window.is_fresh(index));
            window.accept(index);
            assert!(!window.is_fresh(index));
        }
        let mut early = Window::EMPTY;
        early.accept(2);
        assert_eq!(early.estimate(65_535), None);
    }

    proptest! {
        #[test]
        fn is_a_set_with_a_horizon(steps in proptest::collection::vec((any::<bool>(), 0u64..3000), 1..400)) {
            let (mut window, mut model, mut newest) = (Window::EMPTY, HashSet::new(), None::<u64>);
            for (ahead, by) in steps {
                let base = newest.unwrap_or(5000);
                let index = if ahead { base + by % 1500 } else { base.saturating_sub(by) };
                let old = newest.is_some_and(|newest| newest >= WINDOW && index <= newest - WINDOW);
                prop_assert_eq!(window.is_fresh(index), !old && !model.contains(&index));
                if window.is_fresh(index) {
                    window.accept(index);
                    model.insert(index);
                    newest = Some(newest.map_or(index, |newest| newest.max(index)));
                }
            }
        }
    }
}
