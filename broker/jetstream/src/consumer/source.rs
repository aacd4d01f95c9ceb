//! How delivery reads the stream.

use messages::{Error, Filters, MessageStore, StoredMessage};

/// The stream as one consumer sees it: an implementation is bound to the consumer's filters.
pub trait MessageSource {
    /// Sequence of the oldest message of the whole stream; last + 1 if it is empty.
    fn first_seq(&self) -> u64;

    /// The highest sequence the stream ever used; 0 if none.
    fn last_seq(&self) -> u64;

    /// The first sequence at or after `from_seq` that matches the filters.
    fn next_matching(&self, from_seq: u64) -> Option<u64>;

    /// The message with this sequence, if it still exists.
    fn get(&self, seq: u64) -> Result<Option<StoredMessage>, Error>;

    /// How many messages at or after `from_seq` match the filters.
    fn count_matching(&self, from_seq: u64) -> u64;

    /// Sequence of the newest message that matches the filters.
    fn last_matching(&self) -> Option<u64>;

    /// The newest sequence, at or before `up_to_seq`, of each matching subject, ascending.
    fn last_per_subject(&self, up_to_seq: u64) -> Vec<u64>;

    /// Sequence of the first message of the stream stored at or after `time_ns`; last + 1 if none.
    fn seq_at_time(&self, time_ns: i64) -> Result<u64, Error>;

    /// Whether somebody listens on the reply subject of a pull request.
    fn has_interest(&self, reply: &[u8]) -> bool;
}

/// A message store narrowed to a consumer's filters.
pub struct StoreSource<'a> {
    pub store: &'a dyn MessageStore,
    pub filters: &'a Filters,
    /// Answers [`MessageSource::has_interest`].
    pub interest: &'a dyn Fn(&[u8]) -> bool,
}

impl MessageSource for StoreSource<'_> {
    fn first_seq(&self) -> u64 {
        self.store.state().first_seq.max(1)
    }

    fn last_seq(&self) -> u64 {
        self.store.state().last_seq
    }

    fn next_matching(&self, from_seq: u64) -> Option<u64> {
        self.store.next_matching(self.filters, from_seq)
    }

    fn get(&self, seq: u64) -> Result<Option<StoredMessage>, Error> {
        self.store.get(seq)
    }

    fn count_matching(&self, from_seq: u64) -> u64 {
        self.store.count_matching(self.filters, from_seq)
    }

    fn last_matching(&self) -> Option<u64> {
        self.store.last_matching(self.filters, u64::MAX)
    }

    fn last_per_subject(&self, up_to_seq: u64) -> Vec<u64> {
        self.store.last_per_subject(self.filters, up_to_seq)
    }

    fn seq_at_time(&self, time_ns: i64) -> Result<u64, Error> {
        self.store.seq_at_time(time_ns)
    }

    fn has_interest(&self, reply: &[u8]) -> bool {
        (self.interest)(reply)
    }
}
