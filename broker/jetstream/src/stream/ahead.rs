//! What the earlier messages of an atomic batch will have changed when a later one is stored.
//!
//! A batch is judged as a whole before any of it is stored, so its later messages are judged
//! against the stream and this.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::counter::Counter;

/// The judged messages of a batch; empty for a message published on its own.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    subjects: HashMap<Bytes, u64>,
    counters: HashMap<Bytes, Counter>,
    ids: HashSet<Bytes>,
    is_batch: bool,
}

impl Ahead {
    /// For the messages of a batch.
    pub(super) fn of_batch() -> Ahead {
        Ahead {
            is_batch: true,
            ..Ahead::default()
        }
    }

    pub(super) fn is_batch(&self) -> bool {
        self.is_batch
    }

    pub(super) fn add(&mut self, subject: &Bytes, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
        *self.subjects.entry(subject.clone()).or_default() += 1;
    }

    pub(super) fn add_counter(&mut self, subject: &Bytes, counter: Counter) {
        self.counters.insert(subject.clone(), counter);
    }

    pub(super) fn counter(&self, subject: &[u8]) -> Option<&Counter> {
        self.counters.get(subject)
    }

    pub(super) fn add_id(&mut self, id: Bytes) {
        self.ids.insert(id);
    }

    pub(super) fn has_id(&self, id: &[u8]) -> bool {
        self.ids.contains(id)
    }

    /// How many messages have this subject.
    pub(super) fn count(&self, subject: &[u8]) -> u64 {
        self.subjects.get(subject).copied().unwrap_or(0)
    }

    /// Whether a message matches this subject or filter.
    pub(super) fn touches(&self, filter: &[u8]) -> bool {
        match subject::is_literal(filter) {
            true => self.subjects.contains_key(filter),
            false => self
                .subjects
                .keys()
                .any(|ours| subject::matches(filter, ours)),
        }
    }
}
