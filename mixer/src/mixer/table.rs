//! Tables whose keys carry a serial number, so that an old name never means a new thing.

use slab::Slab;

/// Low bits of a name that are the slot; the rest is a serial number.
pub(super) const SLOT_BITS: u32 = 24;

/// A slab with names that are never given twice.
#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Slab<(u64, T)>,
    serial: u64,
}

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Slab::new(),
            serial: 0,
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u64 {
        self.serial += 1;
        let entry = self.slots.vacant_entry();
        let id = self.serial << SLOT_BITS | entry.key() as u64;
        entry.insert((id, value));
        id
    }

    /// The slot of a name, if it is still that of this thing.
    #[inline]
    pub(super) fn slot(&self, id: u64) -> Option<usize> {
        let slot = (id & ((1 << SLOT_BITS) - 1)) as usize;
        self.slots.get(slot).filter(|(known, _)| *known == id).map(|_| slot)
    }

    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.at(self.slot(id)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.at_mut(self.slot(id)?)
    }

    #[inline]
    pub(super) fn at(&self, slot: usize) -> Option<&T> {
        self.slots.get(slot).map(|(_, value)| value)
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let slot = self.slot(id)?;
        Some(self.slots.remove(slot).1)
    }

    /// The name of the first thing that `wanted` wants.
    pub(super) fn find(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<u64> {
        self.slots
            .iter()
            .find(|(_, (_, value))| wanted(value))
            .map(|(_, (id, _))| *id)
    }

    /// Removes what `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize, &mut T) -> bool) {
        self.slots.retain(|slot, (_, value)| keep(slot, value));
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All with their slots.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.slots.iter_mut().map(|(slot, (_, value))| (slot, value))
    }

    /// All with their names.
    pub(super) fn named_mut(&mut self) -> Named<'_, T> {
        self.slots.iter_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, (_, value))| value)
    }
}

/// Walks over a table: slot, name and thing.
pub(super) type Named<'a, T> = slab::IterMut<'a, (u64, T)>;
