//! Whether anybody listens where a backup goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::bus::{Bus, WatchId};

/// How often a bus is asked that cannot tell by itself.
const POLL: Duration = Duration::from_millis(500);

pub struct Interest {
    bus: Arc<dyn Bus>,
    account: String,
    subject: String,
    changed: Arc<Notify>,
    watch: Option<WatchId>,
}

impl Interest {
    pub fn watch(bus: &Arc<dyn Bus>, account: &str, subject: &str) -> Self {
        let changed = Arc::new(Notify::new());
        let notified = changed.clone();
        let watcher = Arc::new(move || notified.notify_one());
        Interest {
            watch: bus.watch_interest(account, subject, watcher),
            bus: bus.clone(),
            account: account.to_owned(),
            subject: subject.to_owned(),
            changed,
        }
    }

    /// Returns once somebody listens to exactly the subject. Clients have wildcards that match it
    /// before they are ready.
    pub async fn begins(&self) {
        while !self.bus.has_literal_interest(&self.account, &self.subject) {
            self.look_again().await;
        }
    }

    /// Returns once nobody listens any more.
    pub async fn ends(&self) {
        while self.bus.has_interest(&self.account, &self.subject) {
            self.look_again().await;
        }
    }

    async fn look_again(&self) {
        // Both outcomes mean the same.
        tokio::time::timeout(POLL, self.changed.notified())
            .await
            .ok();
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        if let Some(watch) = self.watch {
            self.bus.unwatch_interest(watch);
        }
    }
}
