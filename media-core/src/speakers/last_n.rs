//! Whose pictures are shown when not all can be: those who led the conversation last, then who was there first.
//!
//! It orders names; who may be left out at all (not a shared screen, not whom somebody has chosen) is decided by who asks.

/// Those who have led, the last one first.
#[derive(Debug, Clone)]
pub struct LastN<K> {
    recent: Vec<K>,
}

impl<K: Clone + PartialEq> LastN<K> {
    /// Nobody has led.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody leads now.
    pub fn lead(&mut self, key: &K) {
        self.recent.retain(|known| known != key);
        self.recent.insert(0, key.clone());
    }

    /// Forgets those who have gone.
    pub fn retain(&mut self, mut present: impl FnMut(&K) -> bool) {
        self.recent.retain(|key| present(key));
    }

    /// The first `n` of `all`, who stand there in the order of their coming: those who have led come first. Who is shown
    /// stays until somebody else speaks, so pictures do not change by themselves.
    #[must_use]
    pub fn select<'a>(&'a self, n: usize, all: &[&'a K]) -> Vec<&'a K> {
        let led = self.recent.iter().filter(|key| all.contains(key));
        let others = all.iter().copied().filter(|key| !self.recent.contains(key));
        led.chain(others).take(n).collect()
    }
}

impl<K> Default for LastN<K> {
    fn default() -> Self {
        Self { recent: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_spoke_last_then_those_who_came_first() {
        let mut last = LastN::new();
        let all = [&'a', &'b', &'c', &'d', &'e'];
        assert_eq!(last.select(2, &all), [&'a', &'b']);
        last.lead(&'d');
        assert_eq!(last.select(2, &all), [&'d', &'a']);
        last.lead(&'e');
        last.lead(&'d');
        assert_eq!(last.select(3, &all), [&'d', &'e', &'a']);
        assert_eq!(
            last.select(3, &[&'a', &'b', &'e']),
            [&'e', &'a', &'b'],
            "d has no picture"
        );
        last.retain(|key| *key != 'e');
        assert_eq!(last.select(9, &all), [&'d', &'a', &'b', &'c', &'e']);
        assert!(last.select(0, &all).is_empty());
    }
}
