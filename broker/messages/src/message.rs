//! The values that go in and out of a store.

use bytes::Bytes;

/// Largest message (subject, headers and payload with the record around them) a store takes.
pub const MESSAGE_SIZE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A message as stored. The three byte strings are slices of one shared buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    pub seq: u64,
    /// Nanoseconds since the Unix epoch, from the clock of the leader that took the message.
    pub time_ns: i64,
    pub subject: Bytes,
    /// The NATS header block as published (`NATS/1.0\r\n...\r\n\r\n`), empty if there was none.
    pub headers: Bytes,
    pub payload: Bytes,
}

/// What a store holds, in the terms of a stream's `state`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    pub messages: u64,
    /// Size by nats-server's accounting, the number that `max_bytes` limits
    /// (see [`MessageStore::message_size`](crate::MessageStore::message_size)).
    pub bytes: u64,
    /// Sequence of the first message; `last_seq + 1` when there is none; 0 in a store that never
    /// had one.
    pub first_seq: u64,
    /// Time of the first message, 0 when there is none.
    pub first_time_ns: i64,
    /// Highest sequence ever used, whether or not that message is still there.
    pub last_seq: u64,
    /// Time of the last message appended, 0 when there never was one.
    pub last_time_ns: i64,
    /// Sequences between `first_seq` and `last_seq` that have no message.
    pub num_deleted: u64,
    pub num_subjects: u64,
}

/// Whether a removed message's bytes must be overwritten, not only forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erase {
    No,
    /// A file store overwrites the record with zeros at the next checkpoint.
    Yes,
}

/// Which messages a purge removes: those that match `filters` with a sequence below `before_seq`,
/// oldest first, but leaving the newest `keep` of all that match.
#[derive(Debug, Clone)]
pub struct Purge {
    pub filters: crate::Filters,
    pub before_seq: u64,
    pub keep: u64,
}

impl Purge {
    /// Removes every message.
    pub fn everything() -> Self {
        Purge {
            filters: crate::Filters::everything(),
            before_seq: u64::MAX,
            keep: 0,
        }
    }
}

/// How much one sequential read returns: it stops before exceeding either, but returns at least one
/// message if there is one.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    pub messages_max: usize,
    pub bytes_max: usize,
}
