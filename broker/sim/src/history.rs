//! What the clients did and what they were promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// A publish of the events stream or a put of the keys stream, by its unique payload.
#[derive(Debug, Clone)]
pub struct Sent {
    pub subject: String,
    pub payload: Bytes,
    /// The sequence it was acknowledged with; unknown if it never was.
    pub acked_seq: Option<u64>,
    /// The sequence the subject's last message had to have.
    pub expected_seq: Option<u64>,
}

/// Everything the clients know.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By message id.
    pub events: BTreeMap<String, Sent>,
    /// The puts of each key, in the order they were sent; one at a time.
    pub puts: BTreeMap<String, Vec<Sent>>,
    /// Stream sequences whose acknowledgement was confirmed to the consumer.
    pub confirmed: BTreeSet<u64>,
    /// What the consumer was sent: how often, by stream sequence.
    pub delivered: BTreeMap<u64, u64>,
    /// Whether the consumer was created.
    pub has_consumer: bool,
}

/// A handle: clones mean the same history.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<History>>);

impl Recorder {
    pub fn write<T>(&self, change: impl FnOnce(&mut History) -> T) -> T {
        change(&mut self.0.lock())
    }

    pub fn copy(&self) -> History {
        self.0.lock().clone()
    }

    /// Acknowledged publishes and puts.
    pub fn acked(&self) -> usize {
        let history = self.0.lock();
        let puts = history.puts.values().flatten();
        let sent = history.events.values().chain(puts);
        sent.filter(|one| one.acked_seq.is_some()).count()
    }
}
