//! The entries of one block.

use super::UNKNOWN_SUBJECT;

const DEAD: u32 = 1 << 31;

/// One message in its block. Sixteen bytes, because there are millions.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Distance from the block's base sequence.
    seq_delta: u32,
    /// Where the record starts; it ends where the next one starts.
    pub(crate) offset: u32,
    /// Subject id; the top bit says the message is gone.
    subject: u32,
    /// Distance to a sequence before which no later message has this subject, 0 if unknown.
    pub(super) next: u32,
}

impl Entry {
    pub(crate) fn is_live(self) -> bool {
        self.subject & DEAD == 0
    }

    pub(crate) fn subject_id(self) -> u32 {
        self.subject & !DEAD
    }

    pub(super) fn set_subject(&mut self, id: u32) {
        self.subject = id;
    }

    /// Whether this is a message of one subject.
    pub(super) fn is_live_of(self, id: u32) -> bool {
        self.subject == id
    }
}

/// A run of messages that are stored together.
#[derive(Debug)]
pub struct Block<D> {
    /// Never used twice in a store.
    pub(crate) id: u64,
    /// No sequence in this block is below, none of the block before is at or above.
    pub(crate) base_seq: u64,
    pub(crate) entries: Vec<Entry>,
    /// All entries before this one are dead.
    pub(super) head: u32,
    pub(crate) live: u32,
    /// Where the next record will start.
    pub(crate) end_offset: u32,
    pub(crate) live_bytes: u32,
    pub(crate) data: D,
}

impl<D> Block<D> {
    pub(crate) fn new(id: u64, base_seq: u64, data: D) -> Self {
        let (head, live, end_offset, live_bytes) = (0, 0, 0, 0);
        Block {
            id,
            base_seq,
            entries: Vec::new(),
            head,
            live,
            end_offset,
            live_bytes,
            data,
        }
    }

    /// Whether a message fits by distance in sequence and in bytes.
    pub(crate) fn can_take(&self, seq: u64, size_bytes: u32) -> bool {
        seq - self.base_seq <= u64::from(u32::MAX)
            && self.end_offset.checked_add(size_bytes).is_some()
    }

    pub(super) fn push(&mut self, seq: u64, subject: u32, size_bytes: u32) {
        let seq_delta = u32::try_from(seq - self.base_seq).expect("checked by can_take");
        self.entries.push(Entry {
            seq_delta,
            offset: self.end_offset,
            subject,
            next: 0,
        });
        self.end_offset += size_bytes;
        self.live += 1;
        self.live_bytes += size_bytes;
    }

    pub(super) fn push_dead(&mut self, seq: u64, size_bytes: u32) {
        let seq_delta = u32::try_from(seq - self.base_seq).expect("checked by can_take");
        let subject = UNKNOWN_SUBJECT | DEAD;
        self.entries.push(Entry {
            seq_delta,
            offset: self.end_offset,
            subject,
            next: 0,
        });
        self.end_offset += size_bytes;
        self.skip_dead_head();
    }

    /// Marks an entry dead and returns its subject id.
    pub(super) fn kill(&mut self, entry: usize) -> u32 {
        let size_bytes = self.size_of(entry);
        let entry = &mut self.entries[entry];
        assert!(entry.is_live());
        let id = entry.subject_id();
        entry.subject |= DEAD;
        self.live -= 1;
        self.live_bytes -= size_bytes;
        self.skip_dead_head();
        id
    }

    fn skip_dead_head(&mut self) {
        let dead = self.entries[self.head as usize..]
            .iter()
            .take_while(|entry| !entry.is_live());
        self.head += dead.count() as u32;
    }

    pub(crate) fn seq_of(&self, entry: usize) -> u64 {
        self.base_seq + u64::from(self.entries[entry].seq_delta)
    }

    pub(crate) fn size_of(&self, entry: usize) -> u32 {
        let end = self
            .entries
            .get(entry + 1)
            .map_or(self.end_offset, |next| next.offset);
        end - self.entries[entry].offset
    }

    /// Sequence of the last entry, dead or alive.
    pub(crate) fn last_seq(&self) -> u64 {
        self.base_seq
            + self
                .entries
                .last()
                .map_or(0, |entry| u64::from(entry.seq_delta))
    }

    /// The first entry at or after a sequence.
    pub(super) fn lower_bound(&self, seq: u64) -> usize {
        let Some(delta) = seq.checked_sub(self.base_seq) else {
            return 0;
        };
        let Ok(delta) = u32::try_from(delta) else {
            return self.entries.len();
        };
        let Some(first) = self.entries.first() else {
            return 0;
        };
        // Without gaps the entry is where arithmetic says.
        let guess = delta.saturating_sub(first.seq_delta) as usize;
        match self.entries.get(guess) {
            Some(entry) if entry.seq_delta == delta => guess,
            _ => self
                .entries
                .partition_point(|entry| entry.seq_delta < delta),
        }
    }

    pub(super) fn find(&self, seq: u64) -> Option<usize> {
        let entry = self.lower_bound(seq);
        (entry < self.entries.len() && self.seq_of(entry) == seq).then_some(entry)
    }

    /// Messages among the entries from this one on.
    pub(super) fn live_after(&self, entry: usize) -> u64 {
        if entry <= self.head as usize {
            return u64::from(self.live);
        }
        if self.live as usize == self.entries.len() {
            return (self.entries.len() - entry) as u64;
        }
        self.entries[entry..]
            .iter()
            .filter(|entry| entry.is_live())
            .count() as u64
    }

    /// Gives back the room for entries that will not come.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Drops the dead entries and moves the offsets together.
    pub(crate) fn drop_dead(&mut self) {
        let sizes: Vec<u32> = (0..self.entries.len())
            .filter(|entry| self.entries[*entry].is_live())
            .map(|entry| self.size_of(entry))
            .collect();
        self.entries.retain(|entry| entry.is_live());
        self.end_offset = 0;
        for (entry, size_bytes) in self.entries.iter_mut().zip(sizes) {
            entry.offset = self.end_offset;
            self.end_offset += size_bytes;
        }
        self.entries.shrink_to_fit();
        self.head = 0;
    }

    /// Takes over an entry of a block that this one replaces, at the end.
    pub(crate) fn adopt(&mut self, seq: u64, entry: Entry, size_bytes: u32) {
        assert!(entry.is_live());
        self.push(seq, entry.subject, size_bytes);
        self.entries.last_mut().expect("just pushed").next = entry.next;
    }
}
