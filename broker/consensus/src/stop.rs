//! A flag that a group is stopping, for those who wait.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised once; clones mean the same flag.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn raise(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the flag is raised.
    pub(crate) async fn stopped(&self) {
        let mut watch = self.0.subscribe();
        // The sender lives as long as `self`, so the only way out is the flag.
        let _ = watch.wait_for(|raised| *raised).await;
    }
}
