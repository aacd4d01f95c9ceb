//! What can go wrong in the log, in words for the person who has to act.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::GroupId;

/// An error of the write-ahead log. Cheap to clone: one failure answers many callers.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No room is left for new entries. Appends work again by themselves when there is.
    #[error("the disk under the write-ahead log is full: free some space or grow the volume")]
    Full,
    /// The writer is behind by more than `queue_limit_bytes`; try again later.
    #[error("the write-ahead log is behind the disk: queued_bytes={queued_bytes}")]
    Busy { queued_bytes: u64 },
    /// The log was closed.
    #[error("the write-ahead log is closed")]
    Closed,
    /// Another process holds the directory.
    #[error("the write-ahead log {} is used by another process: stop that one first", .dir.display())]
    Locked { dir: PathBuf },
    /// A write or a sync failed, so nothing can be promised any more: stop the process.
    #[error("cannot {operation} {}: {source}: check the disk, then restart", .path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: Arc<io::Error>,
    },
    /// An append that does not continue the log, or a truncation outside of it.
    #[error("index {got} does not fit the log of group {group}: expected={expected}")]
    OutOfOrder {
        group: GroupId,
        expected: u64,
        got: u64,
    },
    /// An entry or value that can never be stored.
    #[error("an entry of {bytes} bytes is too large for the log: limit_bytes={limit_bytes}")]
    TooLarge { bytes: u64, limit_bytes: u64 },
    /// The index was purged or never written.
    #[error("group {group} has no entry {index}: first={first} next={next}")]
    NotFound {
        group: GroupId,
        index: u64,
        first: u64,
        next: u64,
    },
    /// The entry was stored but its bytes are damaged or lost.
    #[error("entry {index} of group {group} is damaged: restore the replica or the stream")]
    Damaged { group: GroupId, index: u64 },
    /// The directory holds something this version cannot use.
    #[error("{} is not a usable log segment: {reason}", .path.display())]
    Unusable { path: PathBuf, reason: String },
}

impl Error {
    pub(super) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Error::Io {
            operation,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}
