//! The trait both stores implement.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::{Erase, Error, Filters, Purge, ReadLimits, State, StoredMessage};

/// The messages of one stream.
///
/// Queries take `&self` and may run at the same time; changes take `&mut self`. Every change is
/// deterministic: equal histories give equal answers on every replica, and a store reopened at a
/// checkpoint answers as it did then.
pub trait MessageStore: Send + Sync {
    /// Stores a message. `seq` must be above `last_seq`; sequences left out count as deleted.
    ///
    /// Succeeds even when the device is full (the message waits in memory), because a committed
    /// command cannot be refused; check [`is_full`](Self::is_full) before accepting new publishes.
    fn append(
        &mut self,
        seq: u64,
        time_ns: i64,
        subject: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), Error>;

    /// The message with this sequence, `None` if there is none (any more).
    fn get(&self, seq: u64) -> Result<Option<StoredMessage>, Error>;

    /// Consecutive messages of any subject from `from_seq` on, in sequence order, for sequential
    /// readers and snapshots. Ends early before a damaged message; fails if the first is damaged.
    fn read_batch(&self, from_seq: u64, limits: ReadLimits) -> Result<Vec<StoredMessage>, Error>;

    /// Removes one message; false if it was not there.
    fn remove(&mut self, seq: u64, erase: Erase) -> Result<bool, Error>;

    /// Removes messages in bulk and returns how many.
    fn purge(&mut self, purge: &Purge) -> Result<u64, Error>;

    /// Removes all messages below `first_seq` and returns how many. Beyond the end, it also moves
    /// `last_seq` to `first_seq - 1`.
    fn compact(&mut self, first_seq: u64) -> Result<u64, Error>;

    /// Leaves out sequences: the next message gets `next_seq` or more. Does nothing if `next_seq`
    /// is not above `last_seq`.
    fn skip_to(&mut self, next_seq: u64);

    /// Forgets everything, sequences included, as if newly created. The seal stays until the next
    /// checkpoint. For installing a snapshot.
    fn reset(&mut self);

    fn state(&self) -> State;

    /// [`State::bytes`] alone, without looking at any message.
    fn bytes(&self) -> u64;

    /// The ranges counted in [`State::num_deleted`], ascending.
    fn deleted(&self) -> Box<dyn Iterator<Item = RangeInclusive<u64>> + '_>;

    /// What one message adds to [`State::bytes`].
    fn message_size(&self, subject_len: usize, headers_len: usize, payload_len: usize) -> u64;

    /// Sequence of the oldest message of a literal subject.
    fn first_for(&self, subject: &[u8]) -> Option<u64>;

    /// Sequence of the newest message of a literal subject.
    fn last_for(&self, subject: &[u8]) -> Option<u64>;

    /// Number of messages of a literal subject.
    fn subject_count(&self, subject: &[u8]) -> u64;

    /// The subjects that match, with their number of messages, sorted by name.
    fn subjects(&self, filters: &Filters) -> Vec<(Bytes, u64)>;

    /// The first sequence at or after `from_seq` whose subject matches.
    fn next_matching(&self, filters: &Filters, from_seq: u64) -> Option<u64>;

    /// The last sequence at or before `up_to_seq` whose subject matches.
    fn last_matching(&self, filters: &Filters, up_to_seq: u64) -> Option<u64>;

    /// How many messages at or after `from_seq` match.
    fn count_matching(&self, filters: &Filters, from_seq: u64) -> u64;

    /// For each matching subject, its last sequence at or before `up_to_seq` (none if all are
    /// later), ascending.
    fn last_per_subject(&self, filters: &Filters, up_to_seq: u64) -> Vec<u64>;

    /// The first message whose time is at or after `time_ns`, `last_seq + 1` if all are older.
    /// Relies on times that do not decrease.
    fn seq_at_time(&self, time_ns: i64) -> Result<u64, Error>;

    /// Makes everything so far durable together with `seal`, a value of the owner (such as the log
    /// index applied last). If it fails, what a crash leaves is this checkpoint or the previous
    /// one, whole in either case, and [`seal`](Self::seal) tells which. A failed call can be
    /// repeated.
    fn checkpoint(&mut self, seal: &[u8]) -> Result<(), Error>;

    /// Gives back buffers and open files, except those used for reading since the last call. To be
    /// called now and then, so that thousands of idle streams stay cheap.
    fn relax(&mut self);

    /// The seal of the last successful checkpoint.
    fn seal(&self) -> Option<Bytes>;

    /// True while the store cannot write to its device. It recovers by itself when a later write
    /// succeeds.
    fn is_full(&self) -> bool;

    /// Sequences known to be damaged, ascending.
    fn damaged(&self) -> Vec<u64>;

    /// Puts back a damaged message with a copy from a replica.
    fn repair(&mut self, message: StoredMessage) -> Result<(), Error>;
}
