//! How a log is set up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;

/// Monotonic time since any fixed moment. The log reads no clock of its own.
pub type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Called once, with the reason, when a write or sync fails: the process must stop.
pub type OnFatal = Arc<dyn Fn(&Error) + Send + Sync>;

/// The monotonic clock of the machine, for [`Options::new`].
pub fn monotonic_clock() -> Now {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
}

/// When a batch counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Callbacks fire when the bytes are on stable storage.
    Always,
    /// Callbacks fire when the bytes are with the operating system, which gets a sync this often.
    /// A power failure loses what was written since.
    Interval(Duration),
}

/// Settings of a log; [`Options::new`] fills in the defaults.
#[derive(Clone)]
pub struct Options {
    /// Size of one segment file. Also bounds one entry, to half of it.
    pub segment_size_bytes: u64,
    /// Above this size of all segments together [`super::Wal::groups_to_checkpoint`] names groups.
    pub size_limit_bytes: u64,
    /// Memory for recent entries, over all groups.
    pub cache_limit_bytes: u64,
    /// Memory for what waits to be written; above it appends fail with [`Error::Busy`].
    pub queue_limit_bytes: u64,
    /// Most bytes one group commit writes.
    pub batch_limit_bytes: u64,
    pub sync: SyncPolicy,
    /// Marks the segments of this log, so that a foreign file is told apart. Only used when the
    /// directory is new; an existing log keeps its own.
    pub store_id: u64,
    pub now: Now,
    pub on_fatal: OnFatal,
    /// A bug on purpose, to see that the tests would notice it.
    #[cfg(test)]
    pub(super) acknowledge_before_sync: bool,
}

impl Options {
    /// The defaults: 64 MiB segments, 1 GiB in all, 64 MiB of cache, sync before every answer.
    pub fn new(now: Now) -> Self {
        Options {
            segment_size_bytes: 64 << 20,
            size_limit_bytes: 1 << 30,
            cache_limit_bytes: 64 << 20,
            queue_limit_bytes: 256 << 20,
            batch_limit_bytes: 4 << 20,
            sync: SyncPolicy::Always,
            store_id: 0,
            now,
            on_fatal: Arc::new(|error| tracing::error!(%error, "the write-ahead log failed")),
            #[cfg(test)]
            acknowledge_before_sync: false,
        }
    }
}
