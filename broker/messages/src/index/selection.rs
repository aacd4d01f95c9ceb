//! Which subjects of an index a set of filters matches, remembered between questions.

use crate::Filters;

use super::Subjects;

/// Up to this many subjects are kept as a list and followed one by one; more become a bit each.
const FEW_MAX: usize = 16;

/// The subjects that a set of filters matches, as of some number of births.
#[derive(Default)]
pub struct Selection {
    /// The index this belongs to, 0 for none.
    index_id: u64,
    births_seen: u64,
    pub(super) matched: Matched,
}

pub(super) enum Matched {
    /// Ids, some of which may be out of use by now.
    Few(Vec<u32>),
    Many(Bits),
}

impl Default for Matched {
    fn default() -> Self {
        Matched::Few(Vec::new())
    }
}

impl Selection {
    /// Brings the selection up to date with the subjects of an index.
    pub(super) fn update(&mut self, filters: &Filters, index_id: u64, subjects: &Subjects) {
        if self.index_id == index_id && self.births_seen == subjects.births_seen() {
            return;
        }
        match subjects.births_since(self.births_seen) {
            Some(births) if self.index_id == index_id => {
                for id in births {
                    // An id born twice in between has its present name both times.
                    let subject = subjects.get(id);
                    self.matched
                        .set(id, subject.count > 0 && filters.matches(&subject.name));
                }
            }
            _ => self.matched = Matched::build(filters, subjects),
        }
        self.matched.tidy(subjects);
        self.index_id = index_id;
        self.births_seen = subjects.births_seen();
    }
}

impl Matched {
    fn build(filters: &Filters, subjects: &Subjects) -> Self {
        let mut matched = Matched::default();
        if filters
            .patterns()
            .iter()
            .all(|pattern| subject::is_literal(pattern))
        {
            let literals = filters.patterns().iter();
            literals
                .filter_map(|name| subjects.find(name))
                .for_each(|id| matched.set(id, true));
        } else {
            let matching = subjects
                .ids()
                .filter(|id| filters.matches(&subjects.get(*id).name));
            matching.for_each(|id| matched.set(id, true));
        }
        matched
    }

    fn set(&mut self, id: u32, matches: bool) {
        match self {
            Matched::Few(ids) => match (ids.binary_search(&id), matches) {
                (Ok(at), false) => drop(ids.remove(at)),
                (Err(at), true) => {
                    ids.insert(at, id);
                    if ids.len() > 2 * FEW_MAX {
                        *self = Matched::Many(Bits::new(ids));
                    }
                }
                _ => {}
            },
            Matched::Many(bits) => bits.set(id, matches),
        }
    }

    /// Forgets ids out of use if the list got long, or makes bits of it if it still is.
    fn tidy(&mut self, subjects: &Subjects) {
        if let Matched::Few(ids) = self {
            if ids.len() > FEW_MAX {
                ids.retain(|id| subjects.get(*id).count > 0);
            }
            if ids.len() > FEW_MAX {
                *self = Matched::Many(Bits::new(ids));
            }
        }
    }

    pub(super) fn ids(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match self {
            Matched::Few(ids) => Box::new(ids.iter().copied()),
            Matched::Many(bits) => Box::new(bits.ids()),
        }
    }

    #[inline]
    pub(super) fn contains(&self, id: u32) -> bool {
        match self {
            Matched::Few(ids) => ids.contains(&id),
            Matched::Many(bits) => bits.contains(id),
        }
    }
}

/// A set of ids, one bit each.
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    fn new(ids: &[u32]) -> Self {
        let mut bits = Bits { words: Vec::new() };
        ids.iter().for_each(|id| bits.set(*id, true));
        bits
    }

    fn set(&mut self, id: u32, on: bool) {
        let word = id as usize / 64;
        if word >= self.words.len() {
            if !on {
                return;
            }
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (id % 64);
        match on {
            true => self.words[word] |= bit,
            false => self.words[word] &= !bit,
        }
    }

    #[inline]
    fn contains(&self, id: u32) -> bool {
        self.words
            .get(id as usize / 64)
            .is_some_and(|word| word & (1 << (id % 64)) != 0)
    }

    fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| at as u32 * 64 + bit)
        })
    }
}
