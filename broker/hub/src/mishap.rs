//! What becomes of a panic: it ends the connection it happened in, is counted, and nothing else.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use futures::FutureExt;

/// Panics that were survived since the start.
#[derive(Debug, Default)]
pub(crate) struct Mishaps(AtomicU64);

impl Mishaps {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `f`; `None` if it panicked.
    pub fn contain<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        // What a panic leaves half done belongs to one connection, which is given up.
        self.note(catch_unwind(AssertUnwindSafe(f)).ok())
    }

    /// Runs `f` to its end; `None` if it panicked.
    pub async fn contain_task<R>(&self, f: impl Future<Output = R>) -> Option<R> {
        self.note(AssertUnwindSafe(f).catch_unwind().await.ok())
    }

    fn note<R>(&self, outcome: Option<R>) -> Option<R> {
        if outcome.is_none() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}
