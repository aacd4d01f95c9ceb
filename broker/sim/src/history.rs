//! What the clients did and what they were promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::workload::EVENTS;

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
    /// Publishes of the streams whose messages go once they are acknowledged, by message id.
    pub work: BTreeMap<&'static str, BTreeMap<String, Sent>>,
    /// What the reader of each stream did.
    pub readings: BTreeMap<&'static str, Reading>,
}

/// What the reader of a stream did, by stream sequence.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// How often it was sent a message.
    pub delivered: BTreeMap<u64, u64>,
    /// What it acknowledged, or tried to.
    pub acknowledged: BTreeSet<u64>,
    /// What it was confirmed to have acknowledged.
    pub confirmed: BTreeSet<u64>,
}

impl History {
    /// The publishes of a stream, by message id.
    pub fn published(&mut self, stream: &'static str) -> &mut BTreeMap<String, Sent> {
        match stream {
            EVENTS => &mut self.events,
            stream => self.work.entry(stream).or_default(),
        }
    }

    /// Messages of a stream whose acknowledgement was confirmed to its reader.
    pub fn confirmed(&self, stream: &str) -> BTreeSet<u64> {
        let reading = self.readings.get(stream);
        reading
            .map(|reading| reading.confirmed.clone())
            .unwrap_or_default()
    }
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

    /// Acknowledged publishes of all streams, puts included.
    pub fn acked(&self) -> usize {
        let history = self.0.lock();
        let puts = history.puts.values().flatten();
        let work = history.work.values().flat_map(BTreeMap::values);
        let sent = history.events.values().chain(puts).chain(work);
        sent.filter(|one| one.acked_seq.is_some()).count()
    }
}
