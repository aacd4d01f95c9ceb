//! Where the messages are, and how their subjects connect.
//!
//! Messages live in blocks (a segment file, or a part of memory), each with one [`Entry`] of 16
//! bytes per message in sequence order. Entries of the same subject form a chain through `next`,
//! which makes a consumer with a literal filter as fast as one without. A removed message leaves
//! its entry behind as dead until its block is dropped or rewritten, so that removing costs no
//! memory moves.

use std::collections::VecDeque;
use std::ops::Range;

mod block;
mod query;
mod search;
mod selection;
mod subjects;

#[cfg(test)]
mod tests;

pub(crate) use block::{Block, Entry};
pub(crate) use selection::Selection;
pub(crate) use subjects::{Subjects, UNKNOWN_SUBJECT};

/// The messages of a store by sequence and by subject. `D` is what the store keeps per block.
pub struct Index<D> {
    pub(crate) blocks: VecDeque<Block<D>>,
    pub(crate) subjects: Subjects,
    /// Messages present.
    pub(crate) live: u64,
    /// Highest sequence ever used.
    pub(crate) last_seq: u64,
    pub(crate) next_block_id: u64,
}

/// Which block and which entry in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub(crate) block: usize,
    pub(crate) entry: usize,
}

/// A message as its store needs to know it to find its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Located {
    pub(crate) seq: u64,
    pub(crate) at: Position,
    pub(crate) offset: u32,
    pub(crate) size_bytes: u32,
}

impl<D> Index<D> {
    pub(crate) fn new() -> Self {
        let (blocks, subjects) = (VecDeque::new(), Subjects::new());
        Index {
            blocks,
            subjects,
            live: 0,
            last_seq: 0,
            next_block_id: 1,
        }
    }

    /// Opens a block behind all others.
    pub(crate) fn open_block(&mut self, base_seq: u64, data: D) {
        let id = self.take_block_id();
        self.blocks.push_back(Block::new(id, base_seq, data));
    }

    pub(crate) fn take_block_id(&mut self) -> u64 {
        self.next_block_id += 1;
        self.next_block_id - 1
    }

    /// Adds a message behind all others, in the last block.
    pub(crate) fn append(&mut self, seq: u64, subject: &[u8], size_bytes: u32) {
        let id = self.subjects.intern(subject);
        self.append_to(seq, id, size_bytes);
    }

    /// Adds a message whose subject is not known because its record is damaged.
    pub(crate) fn append_unknown(&mut self, seq: u64, size_bytes: u32) {
        self.append_to(seq, UNKNOWN_SUBJECT, size_bytes);
    }

    /// Adds a message whose subject has an id already.
    pub(crate) fn append_to(&mut self, seq: u64, id: u32, size_bytes: u32) {
        assert!(
            seq > self.last_seq,
            "sequence {seq} is not above {}",
            self.last_seq
        );
        if id != UNKNOWN_SUBJECT {
            let previous = self.subjects.record_append(id, seq);
            if let Some(previous) = previous {
                self.link(previous, seq);
            }
        }
        let block = self
            .blocks
            .back_mut()
            .expect("a block was opened before appending");
        block.push(seq, id, size_bytes);
        self.live += 1;
        self.last_seq = seq;
    }

    /// Notes that `seq` follows `previous` in the chain of their subject.
    fn link(&mut self, previous: u64, seq: u64) {
        if let Some(at) = self.position(previous) {
            // A distance too long for the field reads as "unknown", and searching finds the way.
            let distance = u32::try_from(seq - previous).unwrap_or(0);
            self.blocks[at.block].entries[at.entry].next = distance;
        }
    }

    /// Adds a message that was dead when its block was written; it only keeps its room.
    pub(crate) fn append_dead(&mut self, seq: u64, size_bytes: u32) {
        let block = self
            .blocks
            .back_mut()
            .expect("a block was opened before appending");
        block.push_dead(seq, size_bytes);
    }

    /// The entry of a sequence, dead or alive.
    pub(crate) fn position(&self, seq: u64) -> Option<Position> {
        let block = self
            .blocks
            .partition_point(|block| block.base_seq <= seq)
            .checked_sub(1)?;
        let entry = self.blocks[block].find(seq)?;
        Some(Position { block, entry })
    }

    /// The message with this sequence, if it is there.
    pub(crate) fn locate(&self, seq: u64) -> Option<Located> {
        let at = self.position(seq)?;
        self.entry(at).is_live().then(|| self.located(seq, at))
    }

    pub(crate) fn located(&self, seq: u64, at: Position) -> Located {
        let block = &self.blocks[at.block];
        let offset = block.entries[at.entry].offset;
        Located {
            seq,
            at,
            offset,
            size_bytes: block.size_of(at.entry),
        }
    }

    pub(crate) fn entry(&self, at: Position) -> Entry {
        self.blocks[at.block].entries[at.entry]
    }

    /// Marks a message as gone.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<Located> {
        let found = self.locate(seq)?;
        let id = self.blocks[found.at.block].kill(found.at.entry);
        self.live -= 1;
        if id != UNKNOWN_SUBJECT {
            self.leave_subject(id, seq);
        }
        Some(found)
    }

    /// Takes a dead message out of its subject's count, first and last.
    fn leave_subject(&mut self, id: u32, seq: u64) {
        let subject = self.subjects.get(id);
        let (count, first, last) = (subject.count - 1, subject.first, subject.last);
        if count == 0 {
            self.subjects.release(id);
            return;
        }
        let first = if seq == first {
            self.forward(id, seq, seq + 1)
        } else {
            Some(first)
        };
        let last = if seq == last {
            self.backward(id, first, seq - 1)
        } else {
            Some(last)
        };
        let subject = self.subjects.get_mut(id);
        subject.count = count;
        subject.first = first.expect("a subject with messages has a first one");
        subject.last = last.expect("a subject with messages has a last one");
    }

    /// Whether the subject of a message is not known.
    pub(crate) fn is_unknown(&self, at: Position) -> bool {
        self.entry(at).subject_id() == UNKNOWN_SUBJECT
    }

    /// Gives a subject to a message whose record was damaged.
    pub(crate) fn identify(&mut self, at: Position, seq: u64, subject: &[u8]) {
        let id = self.subjects.intern(subject);
        let entry = &mut self.blocks[at.block].entries[at.entry];
        assert!(entry.is_live() && entry.subject_id() == UNKNOWN_SUBJECT);
        entry.set_subject(id);
        let (before, after) = (
            self.backward_or_none(id, seq),
            self.forward_or_none(id, seq),
        );
        self.subjects.record_insert(id, seq);
        self.unchain_dead(id, before.map_or(0, |before| before + 1), seq);
        if let Some(before) = before {
            self.link(before, seq);
        }
        if let Some(after) = after {
            self.link(seq, after);
        }
    }

    /// Makes the dead entries of a subject in a range lead nowhere, so that no chain leads past a
    /// message put between them.
    fn unchain_dead(&mut self, id: u32, from_seq: u64, end_seq: u64) {
        let first = self
            .blocks
            .partition_point(|block| block.last_seq() < from_seq);
        for block in self.blocks.range_mut(first..) {
            let range = block.lower_bound(from_seq)..block.lower_bound(end_seq);
            if range.is_empty() && block.base_seq >= end_seq {
                return;
            }
            let same = block.entries[range]
                .iter_mut()
                .filter(|entry| entry.subject_id() == id);
            same.for_each(|entry| entry.next = 0);
        }
    }

    fn backward_or_none(&self, id: u32, seq: u64) -> Option<u64> {
        let subject = self.subjects.get(id);
        if subject.count == 0 || subject.first > seq {
            return None;
        }
        self.backward(id, Some(subject.first), seq - 1)
    }

    fn forward_or_none(&self, id: u32, seq: u64) -> Option<u64> {
        let subject = self.subjects.get(id);
        if subject.count == 0 || subject.last < seq {
            return None;
        }
        self.scan_forward(id, seq + 1)
    }

    /// Takes a block without messages out.
    pub(crate) fn take_if_empty(&mut self, block: usize) -> Option<Block<D>> {
        (self.blocks[block].live == 0)
            .then(|| self.blocks.remove(block))
            .flatten()
    }

    /// Takes everything out; `last_seq` stays.
    pub(crate) fn take_all(&mut self) -> VecDeque<Block<D>> {
        self.live = 0;
        self.subjects.clear();
        std::mem::take(&mut self.blocks)
    }

    /// Puts a block with the same messages in the place of a run of blocks.
    pub(crate) fn replace_blocks(&mut self, run: Range<usize>, block: Block<D>) {
        let live: u32 = self.blocks.range(run.clone()).map(|old| old.live).sum();
        assert_eq!(
            live, block.live,
            "a rewritten block has the messages of its sources"
        );
        let start = run.start;
        self.blocks.drain(run);
        self.blocks.insert(start, block);
    }

    /// The first message at or after `from_seq`.
    pub(crate) fn next_live(&self, from_seq: u64) -> Option<u64> {
        self.live_from(from_seq).next().map(|found| found.seq)
    }

    /// The last message at or before `up_to_seq`.
    pub(crate) fn prev_live(&self, up_to_seq: u64) -> Option<u64> {
        self.scan_back(up_to_seq, |_| true)
    }

    /// Messages from `from_seq` on, ascending.
    pub(crate) fn live_from(&self, from_seq: u64) -> impl Iterator<Item = Located> + '_ {
        let first_block = self
            .blocks
            .partition_point(|block| block.last_seq() < from_seq);
        (first_block..self.blocks.len()).flat_map(move |at| {
            let block = &self.blocks[at];
            let first = block.lower_bound(from_seq).max(block.head as usize);
            (first..block.entries.len())
                .filter(|entry| block.entries[*entry].is_live())
                .map(move |entry| self.located(block.seq_of(entry), Position { block: at, entry }))
        })
    }
}
