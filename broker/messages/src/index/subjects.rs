//! The subjects that have messages, each with a small id.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;
use hashbrown::HashTable;

/// Stands in for the subject of a message whose record is damaged. Matches no filter.
pub(crate) const UNKNOWN_SUBJECT: u32 = (1 << 31) - 1;

/// How many births are remembered at least, so that cached selections can catch up.
const BIRTHS_MIN: usize = 1024;

/// What is known of one subject.
#[derive(Debug)]
pub struct Subject {
    pub(crate) name: Box<[u8]>,
    pub(crate) count: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Subjects by id and by name. Ids of vanished subjects are used again.
pub struct Subjects {
    /// Tells the selections of one index from those of another.
    index_id: u64,
    list: Vec<Subject>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    /// The ids that got a (new) name, in order, so that a selection learns of them.
    births: VecDeque<u32>,
    births_forgotten: u64,
}

impl Subjects {
    pub(super) fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Subjects {
            index_id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            list: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            hasher: RandomState::new(),
            births: VecDeque::new(),
            births_forgotten: 0,
        }
    }

    pub(super) fn index_id(&self) -> u64 {
        self.index_id
    }

    /// How many subjects have messages.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, id: u32) -> &Subject {
        &self.list[id as usize]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Subject {
        &mut self.list[id as usize]
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.by_name
            .find(hash, |id| &*self.list[*id as usize].name == name)
            .copied()
    }

    /// The ids in use.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.list.len() as u32).filter(|id| self.get(*id).count > 0)
    }

    pub(crate) fn intern(&mut self, name: &[u8]) -> u32 {
        if let Some(id) = self.find(name) {
            return id;
        }
        let subject = Subject {
            name: name.into(),
            count: 0,
            first: 0,
            last: 0,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.list[id as usize] = subject;
                id
            }
            None => {
                self.list.push(subject);
                let id = self.list.len() as u32 - 1;
                assert!(id < UNKNOWN_SUBJECT, "subject ids are exhausted");
                id
            }
        };
        let hash = self.hasher.hash_one(name);
        let (list, hasher) = (&self.list, &self.hasher);
        self.by_name
            .insert_unique(hash, id, |id| hasher.hash_one(&*list[*id as usize].name));
        self.note_birth(id);
        id
    }

    /// Counts a message behind all others; returns the one that was last.
    pub(super) fn record_append(&mut self, id: u32, seq: u64) -> Option<u64> {
        let subject = self.get_mut(id);
        let previous = (subject.count > 0).then_some(subject.last);
        if subject.count == 0 {
            subject.first = seq;
        }
        subject.count += 1;
        subject.last = seq;
        previous
    }

    /// Counts a message anywhere between the others.
    pub(super) fn record_insert(&mut self, id: u32, seq: u64) {
        let subject = self.get_mut(id);
        subject.first = if subject.count == 0 {
            seq
        } else {
            subject.first.min(seq)
        };
        subject.last = subject.last.max(seq);
        subject.count += 1;
    }

    /// Forgets a subject that has no more messages.
    pub(super) fn release(&mut self, id: u32) {
        let name = std::mem::take(&mut self.get_mut(id).name);
        let hash = self.hasher.hash_one(&*name);
        let entry = self.by_name.find_entry(hash, |candidate| *candidate == id);
        entry
            .expect("a subject with messages has its name")
            .remove();
        *self.get_mut(id) = Subject {
            name: Box::default(),
            count: 0,
            first: 0,
            last: 0,
        };
        self.free.push(id);
    }

    pub(super) fn clear(&mut self) {
        self.list = Vec::new();
        self.free = Vec::new();
        self.by_name = HashTable::new();
        // Selections that remember anything are behind the births forgotten now.
        self.births_forgotten = self.births_seen() + 1;
        self.births.clear();
    }

    fn note_birth(&mut self, id: u32) {
        self.births.push_back(id);
        if self.births.len() > self.list.len().max(BIRTHS_MIN) {
            self.births.pop_front();
            self.births_forgotten += 1;
        }
    }

    /// How many births there have been.
    pub(super) fn births_seen(&self) -> u64 {
        self.births_forgotten + self.births.len() as u64
    }

    /// The births after the first `seen`, unless some of them are forgotten.
    pub(super) fn births_since(&self, seen: u64) -> Option<impl Iterator<Item = u32> + '_> {
        let skip = seen.checked_sub(self.births_forgotten)?;
        Some(self.births.iter().skip(skip as usize).copied())
    }
}
