//! What every message store must do, checked for both.

use std::sync::Arc;

use bytes::Bytes;
use storage::fs::SimFs;

use crate::{FileOptions, FileStore, Filters, MemoryStore, MessageStore};

mod conformance;
mod model;

/// Segments of a few records, so that short tests have many of them.
pub(crate) const TINY: FileOptions = FileOptions {
    segment_size_bytes: 400,
    write_size_bytes: 90,
};

pub(crate) fn open(fs: &SimFs) -> FileStore {
    FileStore::open(Arc::new(fs.clone()), "/store", TINY).expect("the store opens")
}

/// Runs a test for each kind of store.
fn for_each_store(test: impl Fn(&mut dyn MessageStore)) {
    test(&mut MemoryStore::new());
    test(&mut open(&SimFs::new(1)));
}

pub(crate) fn filters(patterns: &[&str]) -> Filters {
    Filters::new(
        patterns
            .iter()
            .map(|pattern| Bytes::from(pattern.to_string())),
    )
}

/// Appends a message with a payload that tells its sequence, one second after the one before.
pub(crate) fn put(store: &mut dyn MessageStore, seq: u64, subject: &str) {
    let payload = format!("payload {seq}");
    let time_ns = (seq as i64).saturating_mul(1_000_000_000);
    store
        .append(seq, time_ns, subject.as_bytes(), b"", payload.as_bytes())
        .expect("it is stored");
}
