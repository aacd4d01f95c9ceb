//! What both stores have in common: everything but where the bytes of the messages are.

use std::ops::RangeInclusive;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::index::{Block, Index, Located};
use crate::{
    Erase, Error, Filters, MESSAGE_SIZE_BYTES_MAX, MessageStore, Purge, ReadLimits, State,
    StoredMessage,
};

/// A message store over some way to keep records.
pub struct Store<R: Records> {
    pub(crate) index: Index<R::Data>,
    pub(crate) records: R,
    pub(crate) totals: Totals,
    /// Sequence and time of the first message, as it was last asked for.
    first_time: Mutex<(u64, i64)>,
}

/// What a store knows apart from its index.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub(crate) bytes: u64,
    pub(crate) last_time_ns: i64,
}

/// A message on its way in.
#[derive(Clone, Copy)]
pub struct NewMessage<'a> {
    pub(crate) seq: u64,
    pub(crate) time_ns: i64,
    pub(crate) subject: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// Keeps the bytes of messages, block by block.
pub trait Records: Send + Sync {
    /// What is kept with each block.
    type Data: Send + Sync;

    /// The accounted size of a message.
    fn message_size(&self, subject_len: usize, headers_len: usize, payload_len: usize) -> u64;

    fn new_data(&mut self) -> Self::Data;

    /// Whether the next message should go to a new block.
    fn is_complete(&self, block: &Block<Self::Data>) -> bool;

    /// Prepares the last block for not being the last one any more.
    fn finish(&mut self, block: &mut Block<Self::Data>) -> Result<(), Error>;

    /// Keeps a message that the index just added to the end of this block.
    fn write(&mut self, block: &mut Block<Self::Data>, message: NewMessage<'_>);

    fn read(&self, block: &Block<Self::Data>, found: Located) -> Result<StoredMessage, Error>;

    /// What a message added to the accounted bytes.
    fn accounted_size(&self, found: Located) -> u64 {
        u64::from(found.size_bytes)
    }

    /// Lets go of a message that the index just removed.
    fn forget(&mut self, block: &mut Block<Self::Data>, found: Located, erase: Erase);

    /// Lets go of a block and all in it.
    fn drop_block(&mut self, block: Block<Self::Data>);

    fn checkpoint(
        &mut self,
        index: &mut Index<Self::Data>,
        totals: Totals,
        seal: &[u8],
    ) -> Result<(), Error>;

    fn relax(&mut self) {}

    fn seal(&self) -> Option<Bytes>;

    fn is_full(&self) -> bool {
        false
    }

    fn damaged(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Keeps a message in the place of the damaged one found there.
    fn repair(&mut self, found: Located, message: &StoredMessage) -> Result<(), Error>;
}

impl<R: Records> Store<R> {
    pub(crate) fn with_index(index: Index<R::Data>, records: R, totals: Totals) -> Self {
        Store {
            index,
            records,
            totals,
            first_time: Mutex::new((0, 0)),
        }
    }

    /// Makes sure that the last block takes a message of this size.
    fn make_room(&mut self, seq: u64, size_bytes: u32) -> Result<(), Error> {
        if let Some(block) = self.index.blocks.back_mut() {
            let fits = block.can_take(seq, size_bytes);
            if fits && !self.records.is_complete(block) {
                return Ok(());
            }
            match self.records.finish(block) {
                Ok(()) => block.shrink(),
                // The block grows beyond its usual size until the device takes it.
                Err(_) if fits => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let data = self.records.new_data();
        self.index.open_block(seq, data);
        Ok(())
    }

    fn read(&self, found: Located) -> Result<StoredMessage, Error> {
        self.records.read(&self.index.blocks[found.at.block], found)
    }

    fn remove_known(&mut self, seq: u64, erase: Erase) -> bool {
        let Some(found) = self.index.remove(seq) else {
            return false;
        };
        let size_bytes = self.records.accounted_size(found);
        self.totals.bytes = self.totals.bytes.saturating_sub(size_bytes);
        self.records
            .forget(&mut self.index.blocks[found.at.block], found, erase);
        if let Some(block) = self.index.take_if_empty(found.at.block) {
            self.records.drop_block(block);
        }
        true
    }

    fn clear(&mut self) -> u64 {
        let removed = self.index.live;
        for block in self.index.take_all() {
            self.records.drop_block(block);
        }
        self.totals.bytes = 0;
        removed
    }

    /// Time of the first message that can be read, 0 if there is none.
    fn first_time_ns(&self, first_seq: u64) -> i64 {
        let mut known = self.first_time.lock();
        if known.0 != first_seq {
            let mut readable = self
                .index
                .live_from(first_seq)
                .filter_map(|f| self.read(f).ok());
            *known = (
                first_seq,
                readable.next().map_or(0, |message| message.time_ns),
            );
        }
        known.1
    }

    /// The first message at or after an entry of a block that can be read, with its time.
    fn readable_from(&self, block: usize, entry: usize) -> Option<(Located, i64)> {
        let block_of = &self.index.blocks[block];
        let start = block_of
            .entries
            .get(entry)
            .map(|_| block_of.seq_of(entry))?;
        let within = self
            .index
            .live_from(start)
            .take_while(|found| found.at.block == block);
        within
            .filter_map(|f| self.read(f).ok().map(|message| (f, message.time_ns)))
            .next()
    }
}

impl<R: Records> MessageStore for Store<R> {
    fn append(
        &mut self,
        seq: u64,
        time_ns: i64,
        subject: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), Error> {
        if seq <= self.index.last_seq {
            return Err(Error::OutOfOrder {
                seq,
                last_seq: self.index.last_seq,
            });
        }
        let size_bytes = self
            .records
            .message_size(subject.len(), headers.len(), payload.len());
        if subject.len() > usize::from(u16::MAX) || size_bytes > MESSAGE_SIZE_BYTES_MAX {
            return Err(Error::TooLarge { size_bytes });
        }
        self.make_room(seq, size_bytes as u32)?;
        self.index.append(seq, subject, size_bytes as u32);
        self.totals.bytes += size_bytes;
        self.totals.last_time_ns = time_ns;
        let block = self
            .index
            .blocks
            .back_mut()
            .expect("make_room left a block");
        self.records.write(
            block,
            NewMessage {
                seq,
                time_ns,
                subject,
                headers,
                payload,
            },
        );
        Ok(())
    }

    fn get(&self, seq: u64) -> Result<Option<StoredMessage>, Error> {
        self.index
            .locate(seq)
            .map(|found| self.read(found))
            .transpose()
    }

    fn read_batch(&self, from_seq: u64, limits: ReadLimits) -> Result<Vec<StoredMessage>, Error> {
        let mut batch = Vec::new();
        let mut room_bytes = limits.bytes_max as u64;
        for found in self
            .index
            .live_from(from_seq)
            .take(limits.messages_max.max(1))
        {
            let size_bytes = u64::from(found.size_bytes);
            if !batch.is_empty() && size_bytes > room_bytes {
                break;
            }
            room_bytes = room_bytes.saturating_sub(size_bytes);
            match self.read(found) {
                Ok(message) => batch.push(message),
                Err(_) if !batch.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(batch)
    }

    fn remove(&mut self, seq: u64, erase: Erase) -> Result<bool, Error> {
        Ok(self.remove_known(seq, erase))
    }

    fn purge(&mut self, purge: &Purge) -> Result<u64, Error> {
        let filters = &purge.filters;
        let below = purge.before_seq.min(self.index.last_seq.saturating_add(1));
        if filters.is_everything() && purge.keep == 0 && below > self.index.last_seq {
            return Ok(self.clear());
        }
        let matching = self.index.count_matching(filters, 0);
        let mut room = matching.saturating_sub(purge.keep);
        let mut removed = 0;
        let mut from_seq = 0;
        while room > 0 {
            let next = self
                .index
                .next_matching(filters, from_seq)
                .filter(|seq| *seq < below);
            let Some(seq) = next else { break };
            self.remove_known(seq, Erase::No);
            (removed, room, from_seq) = (removed + 1, room - 1, seq + 1);
        }
        Ok(removed)
    }

    fn compact(&mut self, first_seq: u64) -> Result<u64, Error> {
        if first_seq > self.index.last_seq {
            let removed = self.clear();
            self.skip_to(first_seq);
            return Ok(removed);
        }
        let before_seq = first_seq;
        self.purge(&Purge {
            filters: Filters::everything(),
            before_seq,
            keep: 0,
        })
    }

    fn skip_to(&mut self, next_seq: u64) {
        self.index.last_seq = self.index.last_seq.max(next_seq.saturating_sub(1));
    }

    fn reset(&mut self) {
        self.clear();
        self.index.last_seq = 0;
        self.totals = Totals::default();
        *self.first_time.lock() = (0, 0);
    }

    fn state(&self) -> State {
        let last_seq = self.index.last_seq;
        let first_live = self.index.next_live(0);
        let no_message = if last_seq == 0 { 0 } else { last_seq + 1 };
        State {
            messages: self.index.live,
            bytes: self.totals.bytes,
            first_seq: first_live.unwrap_or(no_message),
            first_time_ns: first_live.map_or(0, |seq| self.first_time_ns(seq)),
            last_seq,
            last_time_ns: self.totals.last_time_ns,
            num_deleted: first_live.map_or(0, |first| last_seq - first + 1 - self.index.live),
            num_subjects: self.index.subjects.len() as u64,
        }
    }

    fn bytes(&self) -> u64 {
        self.totals.bytes
    }

    fn deleted(&self) -> Box<dyn Iterator<Item = RangeInclusive<u64>> + '_> {
        let Some(first) = self.index.next_live(0) else {
            return Box::new(std::iter::empty());
        };
        let end = self.index.last_seq + 1;
        let live = self
            .index
            .live_from(first)
            .map(|found| found.seq)
            .chain([end]);
        Box::new(
            live.scan(first, |expected, seq| {
                let gap = *expected..seq;
                *expected = seq + 1;
                Some(gap)
            })
            .filter(|gap| !gap.is_empty())
            .map(|gap| gap.start..=gap.end - 1),
        )
    }

    fn message_size(&self, subject_len: usize, headers_len: usize, payload_len: usize) -> u64 {
        self.records
            .message_size(subject_len, headers_len, payload_len)
    }

    fn first_for(&self, subject: &[u8]) -> Option<u64> {
        self.index
            .subjects
            .find(subject)
            .map(|id| self.index.subjects.get(id).first)
    }

    fn last_for(&self, subject: &[u8]) -> Option<u64> {
        self.index
            .subjects
            .find(subject)
            .map(|id| self.index.subjects.get(id).last)
    }

    fn subject_count(&self, subject: &[u8]) -> u64 {
        self.index
            .subjects
            .find(subject)
            .map_or(0, |id| self.index.subjects.get(id).count)
    }

    fn subjects(&self, filters: &Filters) -> Vec<(Bytes, u64)> {
        self.index.subjects_matching(filters)
    }

    fn next_matching(&self, filters: &Filters, from_seq: u64) -> Option<u64> {
        self.index.next_matching(filters, from_seq)
    }

    fn last_matching(&self, filters: &Filters, up_to_seq: u64) -> Option<u64> {
        self.index.last_matching(filters, up_to_seq)
    }

    fn count_matching(&self, filters: &Filters, from_seq: u64) -> u64 {
        self.index.count_matching(filters, from_seq)
    }

    fn last_per_subject(&self, filters: &Filters, up_to_seq: u64) -> Vec<u64> {
        self.index.last_per_subject(filters, up_to_seq)
    }

    fn seq_at_time(&self, time_ns: i64) -> Result<u64, Error> {
        let blocks = &self.index.blocks;
        // The last block that begins before the time, then the first message in it that does not.
        let mut low = 0;
        let mut high = blocks.len();
        while low < high {
            let middle = (low + high) / 2;
            match self.readable_from(middle, 0) {
                Some((_, time)) if time >= time_ns => high = middle,
                _ => low = middle + 1,
            }
        }
        if let Some(block) = low.checked_sub(1) {
            let (mut from, mut to) = (0, blocks[block].entries.len());
            let mut found = None;
            while from < to {
                let middle = (from + to) / 2;
                match self.readable_from(block, middle) {
                    Some((message, time)) if time >= time_ns => {
                        found = Some(message.seq);
                        to = middle;
                    }
                    Some((message, _)) => from = message.at.entry + 1,
                    None => to = middle,
                }
            }
            if let Some(seq) = found {
                return Ok(seq);
            }
        }
        let next = (low..blocks.len()).find_map(|block| self.readable_from(block, 0));
        Ok(next.map_or(self.index.last_seq + 1, |(message, _)| message.seq))
    }

    fn checkpoint(&mut self, seal: &[u8]) -> Result<(), Error> {
        self.records.checkpoint(&mut self.index, self.totals, seal)
    }

    fn relax(&mut self) {
        self.records.relax();
    }

    fn seal(&self) -> Option<Bytes> {
        self.records.seal()
    }

    fn is_full(&self) -> bool {
        self.records.is_full()
    }

    fn damaged(&self) -> Vec<u64> {
        self.records.damaged()
    }

    fn repair(&mut self, message: StoredMessage) -> Result<(), Error> {
        let seq = message.seq;
        let is_damaged = self.records.damaged().binary_search(&seq).is_ok();
        let Some(found) = self.index.locate(seq).filter(|_| is_damaged) else {
            return Err(Error::NotDamaged { seq });
        };
        let before_bytes = self.records.accounted_size(found);
        self.records.repair(found, &message)?;
        let after_bytes = self.records.accounted_size(found);
        self.totals.bytes = (self.totals.bytes + after_bytes).saturating_sub(before_bytes);
        if self.index.is_unknown(found.at) {
            self.index.identify(found.at, seq, &message.subject);
        }
        *self.first_time.lock() = (0, 0);
        Ok(())
    }
}
