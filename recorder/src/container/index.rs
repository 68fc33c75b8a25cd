//! Where in a file a player can start, in bounded memory: when it is full, every second entry goes.
//!
//! So its place in the file can be set aside before anything is known: a meeting of a day has as many entries as one of an
//! hour, further apart.

use crate::frame::MediaTime;

/// One place to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When the first frame there is shown.
    pub(crate) at: MediaTime,
    /// Its place in the file, in bytes.
    pub(crate) offset: u64,
    /// A decoder can start with its first picture.
    pub(crate) independent: bool,
}

/// The places to start, in order. Holds at most as many as it was made for.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    entries: Vec<Entry>,
    capacity: usize,
    /// Closest that two entries may be.
    apart: u64,
}

impl Index {
    /// For so many entries, at least two.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: Vec::new(),
            capacity: capacity.max(2),
            apart: 0,
        }
    }

    /// Notes a place behind all others; one that is too close to the last is left out.
    pub(crate) fn push(&mut self, entry: Entry) {
        if let Some(last) = self.entries.last()
            && (entry.at.0 < last.at.0.saturating_add(self.apart) || entry.at <= last.at)
        {
            return;
        }
        self.entries.push(entry);
        if self.entries.len() >= self.capacity {
            self.thin();
        }
    }

    /// All of them.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Leaves every second one, the first among them. What comes next is to be as far apart as what is left.
    fn thin(&mut self) {
        let mut keep = false;
        self.entries.retain(|_| {
            keep = !keep;
            keep
        });
        if let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) {
            let gaps = u64::try_from(self.entries.len() - 1).unwrap_or(u64::MAX).max(1);
            self.apart = self.apart.max((last.at.0 - first.at.0) / gaps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_fits_into_the_room_of_an_hour() {
        let mut index = Index::new(100);
        for second in 0..86_400_u64 {
            index.push(Entry {
                at: MediaTime(second * 1_000_000_000),
                offset: second * 1000,
                independent: true,
            });
            assert!(index.entries().len() < 100);
        }
        let entries = index.entries();
        assert_eq!(entries[0].offset, 0);
        assert!(entries.len() >= 49);
        let widest = entries.windows(2).map(|two| two[1].at.0 - two[0].at.0).max().unwrap();
        assert!(widest <= 2 * 86_400 * 1_000_000_000 / 49, "evenly spread: {widest}");
        assert!(entries.windows(2).all(|two| two[0].offset < two[1].offset));
    }
}
