//! Subscriptions without wildcards: one hash table keyed by the whole subject.

use ahash::RandomState;
use hashbrown::HashTable;

use super::interest::Interest;
use super::widen;

/// Subscriptions without wildcards.
#[derive(Debug)]
pub(super) struct Literals<T> {
    /// Dense, so that walking through it is fast and its order depends on history alone.
    slots: Vec<Slot<T>>,
    index: HashTable<Entry>,
}

#[derive(Debug)]
struct Slot<T> {
    subject: Box<[u8]>,
    interest: Interest<T>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl<T> Default for Literals<T> {
    fn default() -> Literals<T> {
        Literals {
            slots: Vec::new(),
            index: HashTable::new(),
        }
    }
}

impl<T: PartialEq> Literals<T> {
    #[inline]
    pub(super) fn get(&self, hasher: &RandomState, subject: &[u8]) -> Option<&Interest<T>> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.find(hasher.hash_one(subject) as u32, subject)?;
        Some(&self.slots[slot].interest)
    }

    pub(super) fn get_or_insert(
        &mut self,
        hasher: &RandomState,
        subject: &[u8],
    ) -> &mut Interest<T> {
        let hash = hasher.hash_one(subject) as u32;
        let slot = match self.find(hash, subject) {
            Some(slot) => slot,
            None => {
                let slot = self.slots.len();
                self.slots.push(Slot {
                    subject: subject.into(),
                    interest: Interest::default(),
                });
                let entry = Entry {
                    hash,
                    slot: slot as u32,
                };
                self.index
                    .insert_unique(widen(hash), entry, |entry| widen(entry.hash));
                slot
            }
        };
        &mut self.slots[slot].interest
    }

    pub(super) fn remove(
        &mut self,
        hasher: &RandomState,
        subject: &[u8],
        queue: Option<&[u8]>,
        value: &T,
    ) -> bool {
        let hash = hasher.hash_one(subject) as u32;
        let Some(slot) = self.find(hash, subject) else {
            return false;
        };
        let interest = &mut self.slots[slot].interest;
        let removed = interest.remove(queue, value);
        if interest.is_empty() {
            self.remove_slot(hasher, hash, slot);
        }
        removed
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&[u8], &Interest<T>)) {
        for slot in &self.slots {
            visit(&slot.subject, &slot.interest);
        }
    }

    #[inline]
    fn find(&self, hash: u32, subject: &[u8]) -> Option<usize> {
        let same = |entry: &Entry| {
            entry.hash == hash && *self.slots[entry.slot as usize].subject == *subject
        };
        self.index
            .find(widen(hash), same)
            .map(|entry| entry.slot as usize)
    }

    /// Removes a slot; the last slot takes its place.
    fn remove_slot(&mut self, hasher: &RandomState, hash: u32, slot: usize) {
        if let Ok(entry) = self
            .index
            .find_entry(widen(hash), |entry| entry.slot == slot as u32)
        {
            entry.remove();
        }
        self.slots.swap_remove(slot);
        if let Some(moved) = self.slots.get(slot) {
            let last = self.slots.len() as u32;
            let hash = hasher.hash_one(&*moved.subject) as u32;
            if let Some(entry) = self.index.find_mut(widen(hash), |entry| entry.slot == last) {
                entry.slot = slot as u32;
            }
        }
        if self.slots.len() * 4 < self.slots.capacity() {
            self.slots.shrink_to(self.slots.len() * 2);
            self.index
                .shrink_to(self.slots.len() * 2, |entry| widen(entry.hash));
        }
    }
}
