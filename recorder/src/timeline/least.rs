//! The least of what was seen lately: delays have a floor, and what lies above it is queues.

/// A value is looked at for two to three such times, in nanoseconds.
const WINDOW: i64 = 10_000_000_000;

/// The least value of the last 20 to 30 seconds. Nanoseconds throughout.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Least {
    begun: i64,
    /// The window that is open, and the two before it.
    values: [Option<i64>; 3],
}

impl Least {
    pub(super) fn push(&mut self, now: i64, value: i64) {
        let age = now.saturating_sub(self.begun);
        if self.get().is_none() || age >= 3 * WINDOW {
            *self = Self {
                begun: now,
                values: [Some(value), None, None],
            };
            return;
        }
        if age >= WINDOW {
            self.values = [None, self.values[0], self.values[1]];
            self.begun = now;
        }
        self.values[0] = Some(self.values[0].map_or(value, |least| least.min(value)));
    }

    pub(super) fn get(&self) -> Option<i64> {
        self.values.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_found_and_follows_upwards() {
        const SECOND: i64 = 1_000_000_000;
        let mut least = Least::default();
        assert_eq!(least.get(), None);
        for second in 0..60 {
            least.push(second * SECOND, 100 + second % 7);
            assert_eq!(least.get(), Some(100), "second {second}");
        }
        for second in 60..90 {
            least.push(second * SECOND, 500);
        }
        assert_eq!(least.get(), Some(500));
        least.push(1000 * SECOND, 900);
        assert_eq!(least.get(), Some(900), "after a long silence nothing old is left");
    }
}
