//! The questions consumers ask, answered for any set of filters.

use bytes::Bytes;

use crate::Filters;

use super::search::{SCAN_TURN, Turn};
use super::selection::Matched;
use super::{Entry, Index};

/// Entries looked at before asking for each of a few subjects separately.
const FEW_SCAN: usize = 1024;

/// Following the chain costs about as much per message as looking at this many entries.
const CHAIN_COST: u64 = 16;

/// What a set of filters comes down to in one index.
enum Target<'a> {
    Everything,
    Nothing,
    One(u32),
    Several(&'a Matched),
}

impl<D> Index<D> {
    /// Asks with the filters resolved to subject ids.
    fn with_target<T>(&self, filters: &Filters, ask: impl FnOnce(Target<'_>) -> T) -> T {
        if filters.is_everything() {
            return ask(Target::Everything);
        }
        if let Some(literal) = filters.literal() {
            return ask(self
                .subjects
                .find(literal)
                .map_or(Target::Nothing, Target::One));
        }
        let mut selection = filters.selection.lock();
        selection.update(filters, self.subjects.index_id(), &self.subjects);
        match &selection.matched {
            Matched::Few(ids) if ids.is_empty() => ask(Target::Nothing),
            Matched::Few(ids) if ids.len() == 1 => ask(Target::One(ids[0])),
            matched => ask(Target::Several(matched)),
        }
    }

    pub(crate) fn next_matching(&self, filters: &Filters, from_seq: u64) -> Option<u64> {
        if from_seq > self.last_seq {
            return None;
        }
        self.with_target(filters, |target| match target {
            Target::Everything => self.next_live(from_seq),
            Target::Nothing => None,
            Target::One(id) => self.next_of(id, from_seq),
            Target::Several(matched) => self.next_of_several(matched, from_seq),
        })
    }

    fn next_of_several(&self, matched: &Matched, from_seq: u64) -> Option<u64> {
        let fits = |entry: Entry| entry.is_live() && matched.contains(entry.subject_id());
        let mut scan = self.cursor(from_seq);
        for turn in 0.. {
            match (self.scan_turn(&mut scan, fits), matched) {
                (Turn::Found(seq), _) => return Some(seq),
                (Turn::End, _) => return None,
                (_, Matched::Few(ids)) if turn * SCAN_TURN >= FEW_SCAN => {
                    return ids
                        .iter()
                        .filter_map(|id| self.next_of(*id, from_seq))
                        .min();
                }
                _ => {}
            }
        }
        None
    }

    pub(crate) fn last_matching(&self, filters: &Filters, up_to_seq: u64) -> Option<u64> {
        self.with_target(filters, |target| match target {
            Target::Everything => self.prev_live(up_to_seq),
            Target::Nothing => None,
            Target::One(id) => self.prev_of(id, up_to_seq),
            Target::Several(matched) if up_to_seq >= self.last_seq => self
                .in_use(matched)
                .map(|id| self.subjects.get(id).last)
                .max(),
            Target::Several(matched) => {
                self.scan_back(up_to_seq, |entry| matched.contains(entry.subject_id()))
            }
        })
    }

    pub(crate) fn count_matching(&self, filters: &Filters, from_seq: u64) -> u64 {
        if from_seq > self.last_seq {
            return 0;
        }
        self.with_target(filters, |target| match target {
            Target::Everything => self.live_count_from(from_seq),
            Target::Nothing => 0,
            Target::One(id) => self.count_of(id, from_seq),
            Target::Several(matched) => {
                let total = self
                    .in_use(matched)
                    .map(|id| self.subjects.get(id).count)
                    .sum();
                self.count_by_scan(total, from_seq, |id| matched.contains(id))
            }
        })
    }

    /// How many messages there are at or after `from_seq`.
    pub(super) fn live_count_from(&self, from_seq: u64) -> u64 {
        let first = self
            .blocks
            .partition_point(|block| block.last_seq() < from_seq);
        let Some(partial) = self.blocks.get(first) else {
            return 0;
        };
        let whole: u64 = self
            .blocks
            .range(first + 1..)
            .map(|block| u64::from(block.live))
            .sum();
        partial.live_after(partial.lower_bound(from_seq)) + whole
    }

    fn count_of(&self, id: u32, from_seq: u64) -> u64 {
        let subject = self.subjects.get(id);
        if from_seq > subject.last {
            return 0;
        }
        if from_seq <= subject.first {
            return subject.count;
        }
        let after = self.live_count_from(from_seq);
        if subject.count * CHAIN_COST < after.min(self.live - after) {
            let following = |seq: &u64| self.next_of(id, seq + 1);
            return std::iter::successors(self.next_of(id, from_seq), following).count() as u64;
        }
        self.count_by_scan(subject.count, from_seq, |candidate| candidate == id)
    }

    /// Counts entries after `from_seq`, or before it and subtracts, whichever are fewer.
    fn count_by_scan(&self, total: u64, from_seq: u64, fits: impl Fn(u32) -> bool) -> u64 {
        let fits = |entry: &&Entry| entry.is_live() && fits(entry.subject_id());
        let after = self.live_count_from(from_seq);
        if after == self.live {
            return total;
        }
        let middle = self
            .blocks
            .partition_point(|block| block.last_seq() < from_seq);
        let Some(partial) = self.blocks.get(middle) else {
            return 0;
        };
        let (low, high) = partial.entries.split_at(partial.lower_bound(from_seq));
        if after <= self.live - after {
            let whole = self
                .blocks
                .range(middle + 1..)
                .flat_map(|block| &block.entries);
            high.iter().chain(whole).filter(fits).count() as u64
        } else {
            let whole = self.blocks.range(..middle).flat_map(|block| &block.entries);
            total - whole.chain(low).filter(fits).count() as u64
        }
    }

    pub(crate) fn last_per_subject(&self, filters: &Filters, up_to_seq: u64) -> Vec<u64> {
        let mut seqs: Vec<u64> = self.with_ids(filters, |ids| {
            ids.filter_map(|id| self.prev_of(id, up_to_seq)).collect()
        });
        seqs.sort_unstable();
        seqs
    }

    pub(crate) fn subjects_matching(&self, filters: &Filters) -> Vec<(Bytes, u64)> {
        let mut subjects: Vec<(Bytes, u64)> = self.with_ids(filters, |ids| {
            let subjects = ids.map(|id| self.subjects.get(id));
            subjects
                .map(|s| (Bytes::copy_from_slice(&s.name), s.count))
                .collect()
        });
        subjects.sort_unstable();
        subjects
    }

    fn with_ids<T>(
        &self,
        filters: &Filters,
        ask: impl FnOnce(&mut dyn Iterator<Item = u32>) -> T,
    ) -> T {
        self.with_target(filters, |target| match target {
            Target::Everything => ask(&mut self.subjects.ids()),
            Target::Nothing => ask(&mut std::iter::empty()),
            Target::One(id) => ask(&mut std::iter::once(id).filter(|id| self.is_in_use(*id))),
            Target::Several(matched) => ask(&mut self.in_use(matched)),
        })
    }

    fn in_use<'a>(&'a self, matched: &'a Matched) -> impl Iterator<Item = u32> + 'a {
        matched.ids().filter(|id| self.is_in_use(*id))
    }

    fn is_in_use(&self, id: u32) -> bool {
        self.subjects.get(id).count > 0
    }
}
