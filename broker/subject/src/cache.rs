//! Recent answers of a [`Sublist`], bounded and validated by its generation.

use std::sync::Arc;

use ahash::RandomState;

use crate::{Matches, Sublist};

/// An answer may live in any of this many places.
const WAYS: usize = 2;
/// What a cache allocates first, in slots.
const SLOTS_MIN: usize = 8;

/// Recent answers of one [`Sublist`]. Meant to be owned by one reader: it takes `&mut self` and no
/// lock. Use one cache with one list only, and [`MatchCache::clear`] it when the list is exchanged.
///
/// A miss costs little more than the match itself: it reuses the memory of the answer it evicts. So
/// a publisher that never repeats a subject does not pay for a cache it cannot use. Answers keep
/// their subscriptions alive until they are evicted or the cache is cleared.
#[derive(Debug)]
pub struct MatchCache<T> {
    slots: Vec<Slot<T>>,
    slots_max: usize,
    hasher: RandomState,
    /// Valid answers evicted since the cache last grew. Many of them mean it is too small.
    evictions: usize,
}

#[derive(Debug)]
struct Slot<T> {
    hash: u64,
    /// `None` while the slot has never been used.
    generation: Option<u64>,
    subject: Vec<u8>,
    matches: Arc<Matches<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        let matches = Arc::new(Matches::default());
        Slot {
            hash: 0,
            generation: None,
            subject: Vec::new(),
            matches,
        }
    }
}

impl<T: Clone + PartialEq> MatchCache<T> {
    /// An empty cache that will hold at most `slots_max` answers (rounded up to a power of two).
    /// Nothing is allocated before the first answer.
    pub fn new(slots_max: usize) -> MatchCache<T> {
        MatchCache {
            slots: Vec::new(),
            slots_max: slots_max.next_power_of_two().max(SLOTS_MIN),
            hasher: RandomState::new(),
            evictions: 0,
        }
    }

    /// The remembered answer, if it is still valid in `generation`; see
    /// [`Sublist::generation_handle`].
    #[inline]
    pub fn get(&self, generation: u64, subject: &[u8]) -> Option<&Arc<Matches<T>>> {
        let slot = self.find(self.hasher.hash_one(subject), generation, subject)?;
        Some(&self.slots[slot].matches)
    }

    /// Asks the list and remembers the answer.
    pub fn fill(&mut self, list: &Sublist<T>, subject: &[u8]) -> &Arc<Matches<T>> {
        let hash = self.hasher.hash_one(subject);
        self.fill_hashed(hash, list, subject)
    }

    /// [`MatchCache::get`], or else [`MatchCache::fill`].
    #[inline]
    pub fn lookup(&mut self, list: &Sublist<T>, subject: &[u8]) -> &Arc<Matches<T>> {
        let hash = self.hasher.hash_one(subject);
        match self.find(hash, list.generation(), subject) {
            Some(slot) => &self.slots[slot].matches,
            None => self.fill_hashed(hash, list, subject),
        }
    }

    /// Forgets every answer, and thereby the subscriptions they hold.
    pub fn clear(&mut self) {
        self.slots = Vec::new();
        self.evictions = 0;
    }

    #[inline]
    fn find(&self, hash: u64, generation: u64, subject: &[u8]) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let first = set_of(hash, self.slots.len());
        (first..first + WAYS).find(|slot| {
            let slot = &self.slots[*slot];
            slot.hash == hash && slot.generation == Some(generation) && slot.subject == subject
        })
    }

    fn fill_hashed(&mut self, hash: u64, list: &Sublist<T>, subject: &[u8]) -> &Arc<Matches<T>> {
        let generation = list.generation();
        self.grow_if_crowded();
        let victim = self.victim(hash, generation);
        let slot = &mut self.slots[victim];
        slot.hash = hash;
        slot.generation = Some(generation);
        slot.subject.clear();
        slot.subject.extend_from_slice(subject);
        if Arc::get_mut(&mut slot.matches).is_none() {
            slot.matches = Arc::new(Matches::default());
        }
        if let Some(matches) = Arc::get_mut(&mut slot.matches) {
            list.match_into(subject, matches);
        }
        &slot.matches
    }

    /// The slot to overwrite: one that is not valid any more, or else any of its set.
    fn victim(&mut self, hash: u64, generation: u64) -> usize {
        let first = set_of(hash, self.slots.len());
        let stale =
            (first..first + WAYS).find(|slot| self.slots[*slot].generation != Some(generation));
        stale.unwrap_or_else(|| {
            self.evictions += 1;
            first + self.evictions % WAYS
        })
    }

    fn grow_if_crowded(&mut self) {
        let crowded = self.evictions >= self.slots.len();
        if !crowded || self.slots.len() >= self.slots_max {
            return;
        }
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::take(&mut self.slots);
        self.slots.resize_with(slots, Slot::default);
        self.evictions = 0;
        for slot in old.into_iter().filter(|slot| slot.generation.is_some()) {
            // Twice the sets for the same answers: each set keeps at most what it had.
            let first = set_of(slot.hash, slots);
            if let Some(empty) =
                (first..first + WAYS).find(|candidate| self.slots[*candidate].generation.is_none())
            {
                self.slots[empty] = slot;
            }
        }
    }
}

/// The first slot of the set that a hash belongs to, among a power of two of slots.
#[inline]
fn set_of(hash: u64, slots: usize) -> usize {
    (hash as usize & (slots / WAYS - 1)) * WAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(matches: &Matches<u32>) -> Vec<u32> {
        matches.plain().to_vec()
    }

    #[test]
    fn answers_follow_the_list() {
        let mut list = Sublist::new();
        let mut cache = MatchCache::new(16);
        list.insert(b"a.*", None, 1);
        assert_eq!(names(cache.lookup(&list, b"a.b")), [1]);
        assert!(cache.get(list.generation(), b"a.b").is_some());
        list.insert(b"a.b", None, 2);
        assert!(cache.get(list.generation(), b"a.b").is_none());
        assert_eq!(names(cache.lookup(&list, b"a.b")), [2, 1]);
        list.remove(b"a.*", None, &1);
        assert_eq!(names(cache.lookup(&list, b"a.b")), [2]);
    }

    #[test]
    fn stays_bounded_and_right_with_more_subjects_than_slots() {
        let mut list = Sublist::new();
        let mut cache = MatchCache::new(64);
        for subject in 0..1000u32 {
            list.insert(format!("s.{subject}").as_bytes(), None, subject);
        }
        for round in 0..3 {
            for subject in 0..1000u32 {
                let name = format!("s.{subject}");
                assert_eq!(
                    names(cache.lookup(&list, name.as_bytes())),
                    [subject],
                    "{round}"
                );
            }
        }
        assert_eq!(cache.slots.len(), 64);
    }

    #[test]
    fn keeps_what_fits() {
        let mut list = Sublist::new();
        let mut cache = MatchCache::new(1024);
        list.insert(b">", None, 0);
        let subjects: Vec<String> = (0..100).map(|n| format!("s.{n}")).collect();
        for _ in 0..20 {
            for subject in &subjects {
                cache.lookup(&list, subject.as_bytes());
            }
        }
        let kept = subjects
            .iter()
            .filter(|subject| cache.get(list.generation(), subject.as_bytes()).is_some())
            .count();
        assert!(kept > 90, "only {kept} of 100 answers were kept");
    }

    #[test]
    fn a_held_answer_is_not_overwritten() {
        let mut list = Sublist::new();
        let mut cache = MatchCache::new(SLOTS_MIN);
        list.insert(b"held", None, 7);
        let held = Arc::clone(cache.lookup(&list, b"held"));
        for subject in 0..100 {
            cache.lookup(&list, format!("s.{subject}").as_bytes());
        }
        assert_eq!(names(&held), [7]);
    }

    #[test]
    fn clearing_releases_the_subscriptions() {
        let value = Arc::new(());
        let mut list = Sublist::new();
        let mut cache = MatchCache::new(SLOTS_MIN);
        list.insert(b"a", None, Arc::clone(&value));
        cache.lookup(&list, b"a");
        list.remove(b"a", None, &value);
        cache.clear();
        assert_eq!(Arc::strong_count(&value), 1);
    }
}
