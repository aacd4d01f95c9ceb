//! Backups of streams: sent to a client in chunks, and received from one to make a stream of.
//!
//! What a backup contains and which part comes next is decided by `jetstream::snapshot`; here it
//! moves. Neither direction keeps more than a few chunks and one message in memory.

mod interest;
mod listening;
mod pages;
pub mod restore;
pub mod send;

/// Backups that this server sends or receives at the same time.
pub const AT_ONCE: usize = 16;
