//! Message stores: the messages of one stream, in memory or in segment files.
//!
//! A store keeps messages by sequence, knows which subjects they have, and answers the questions
//! consumers ask ("which message comes next for this filter, how many are left"). It does not know
//! streams' limits, deduplication, consumers or replication: whoever owns it decides what to append
//! and what to remove, and does so deterministically from a log.
//!
//! Durability is the log's business. [`FileStore`] writes without fsync and becomes durable at
//! [`MessageStore::checkpoint`]; after a crash it reopens exactly at its last checkpoint and the
//! owner applies the log after that point again.
//!
//! Start at [`MessageStore`], then `index.rs`, which both stores share.

mod error;
mod file;
mod filters;
mod index;
mod memory;
mod message;
mod message_store;
mod store;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use file::{FileOptions, FileStore};
pub use filters::Filters;
pub use memory::MemoryStore;
pub use message::{Erase, MESSAGE_SIZE_BYTES_MAX, Purge, ReadLimits, State, StoredMessage};
pub use message_store::MessageStore;
