//! Finding the neighbours of a message within its subject.
//!
//! Two ways lead from one message to another of the same subject: along the chain, which is short
//! for rare subjects, and along the entries, which is short for frequent ones. As nobody knows
//! beforehand which is shorter, both are walked in turns and the first to arrive wins.

use super::{Entry, Index};

/// Entries looked at per turn. They lie side by side, so this costs about as much as one hop.
pub(super) const SCAN_TURN: usize = 256;
const CHAIN_TURN: usize = 8;

impl<D> Index<D> {
    /// The first message of a subject at or after `from_seq`.
    pub(super) fn next_of(&self, id: u32, from_seq: u64) -> Option<u64> {
        let subject = self.subjects.get(id);
        if subject.count == 0 || from_seq > subject.last {
            return None;
        }
        if from_seq <= subject.first {
            return Some(subject.first);
        }
        // A sequential reader comes from the message before.
        self.forward(
            id,
            self.chained(from_seq - 1, id).unwrap_or(subject.first),
            from_seq,
        )
    }

    /// `seq` itself if the chain of this subject can be followed from there.
    fn chained(&self, seq: u64, id: u32) -> Option<u64> {
        let entry = self.entry(self.position(seq)?);
        (entry.subject_id() == id && entry.next != 0).then_some(seq)
    }

    /// The first message of a subject at or after `from_seq`, with `chain` a sequence from which
    /// the chain may lead there. The caller knows that such a message exists.
    pub(super) fn forward(&self, id: u32, chain: u64, from_seq: u64) -> Option<u64> {
        let mut chain = Some(chain);
        let mut scan = self.cursor(from_seq);
        loop {
            for _ in 0..CHAIN_TURN {
                let Some(at) = chain else { break };
                let entry = self.position(at).map(|at| self.entry(at));
                chain = match entry {
                    Some(entry) if at >= from_seq && entry.is_live_of(id) => return Some(at),
                    Some(entry) if entry.subject_id() == id && entry.next != 0 => {
                        Some(at + u64::from(entry.next))
                    }
                    _ => {
                        // The chain is broken, but nothing before this point needs a look.
                        scan = self.cursor(at.max(from_seq));
                        None
                    }
                };
            }
            match self.scan_turn(&mut scan, |entry| entry.is_live_of(id)) {
                Turn::Found(seq) => return Some(seq),
                Turn::End => return None,
                Turn::NotYet => {}
            }
        }
    }

    /// The first message of a subject at or after `from_seq`, by looking at all.
    pub(super) fn scan_forward(&self, id: u32, from_seq: u64) -> Option<u64> {
        let mut scan = self.cursor(from_seq);
        loop {
            match self.scan_turn(&mut scan, |entry| entry.is_live_of(id)) {
                Turn::Found(seq) => return Some(seq),
                Turn::End => return None,
                Turn::NotYet => {}
            }
        }
    }

    /// The last message of a subject at or before `up_to_seq`.
    pub(super) fn prev_of(&self, id: u32, up_to_seq: u64) -> Option<u64> {
        let subject = self.subjects.get(id);
        if subject.count == 0 || up_to_seq < subject.first {
            return None;
        }
        if up_to_seq >= subject.last {
            return Some(subject.last);
        }
        self.backward(id, Some(subject.first), up_to_seq)
    }

    /// The last message of a subject at or before `up_to_seq`, with `first` its first message. The
    /// caller knows that such a message exists.
    pub(super) fn backward(&self, id: u32, first: Option<u64>, up_to_seq: u64) -> Option<u64> {
        let mut chain = first;
        let mut latest = None;
        let mut scan = self.cursor_back(up_to_seq);
        loop {
            for _ in 0..CHAIN_TURN {
                let Some(at) = chain else { break };
                if at > up_to_seq {
                    return latest;
                }
                let entry = self.position(at).map(|at| self.entry(at));
                if entry.is_some_and(|entry| entry.is_live_of(id)) {
                    latest = Some(at);
                }
                chain = entry
                    .filter(|entry| entry.subject_id() == id && entry.next != 0)
                    .map(|entry| at + u64::from(entry.next));
            }
            match self.scan_back_turn(&mut scan, |entry| entry.is_live_of(id)) {
                Turn::Found(seq) => return Some(seq),
                Turn::End => return None,
                Turn::NotYet => {}
            }
        }
    }

    /// The last message at or before `up_to_seq` that fits.
    pub(super) fn scan_back(&self, up_to_seq: u64, fits: impl Fn(Entry) -> bool) -> Option<u64> {
        let mut scan = self.cursor_back(up_to_seq);
        loop {
            match self.scan_back_turn(&mut scan, |entry| entry.is_live() && fits(entry)) {
                Turn::Found(seq) => return Some(seq),
                Turn::End => return None,
                Turn::NotYet => {}
            }
        }
    }

    /// Before the first entry at or after a sequence.
    pub(super) fn cursor(&self, from_seq: u64) -> Cursor {
        let block = self
            .blocks
            .partition_point(|block| block.last_seq() < from_seq);
        let entry = self
            .blocks
            .get(block)
            .map_or(0, |block| block.lower_bound(from_seq));
        Cursor { block, entry }
    }

    /// Behind the last entry at or before a sequence.
    fn cursor_back(&self, up_to_seq: u64) -> Cursor {
        let block = self
            .blocks
            .partition_point(|block| block.base_seq <= up_to_seq);
        let Some(block) = block.checked_sub(1) else {
            return Cursor { block: 0, entry: 0 };
        };
        let entry = match up_to_seq.checked_add(1) {
            Some(seq) => self.blocks[block].lower_bound(seq),
            None => self.blocks[block].entries.len(),
        };
        Cursor { block, entry }
    }

    /// Looks at some entries from the cursor on.
    pub(super) fn scan_turn(&self, scan: &mut Cursor, fits: impl Fn(Entry) -> bool) -> Turn {
        let Some(block) = self.blocks.get(scan.block) else {
            return Turn::End;
        };
        let start = scan.entry.max(block.head as usize).min(block.entries.len());
        let end = (start + SCAN_TURN).min(block.entries.len());
        if let Some(found) = block.entries[start..end]
            .iter()
            .position(|entry| fits(*entry))
        {
            return Turn::Found(block.seq_of(start + found));
        }
        *scan = match end == block.entries.len() {
            true => Cursor {
                block: scan.block + 1,
                entry: 0,
            },
            false => Cursor {
                block: scan.block,
                entry: end,
            },
        };
        Turn::NotYet
    }

    /// Looks at some entries before the cursor, backwards.
    fn scan_back_turn(&self, scan: &mut Cursor, fits: impl Fn(Entry) -> bool) -> Turn {
        let Some(block) = self.blocks.get(scan.block) else {
            return Turn::End;
        };
        let start = scan.entry.saturating_sub(SCAN_TURN);
        let entries = &block.entries[start..scan.entry];
        if let Some(found) = entries.iter().rposition(|entry| fits(*entry)) {
            return Turn::Found(block.seq_of(start + found));
        }
        if start > block.head as usize {
            scan.entry = start;
        } else if scan.block > 0 {
            scan.block -= 1;
            scan.entry = self.blocks[scan.block].entries.len();
        } else {
            return Turn::End;
        }
        Turn::NotYet
    }
}

/// A place between entries.
pub(super) struct Cursor {
    block: usize,
    entry: usize,
}

pub(super) enum Turn {
    Found(u64),
    NotYet,
    End,
}
