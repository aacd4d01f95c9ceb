//! Learns at once when somebody starts or stops to listen where a push consumer delivers.
//!
//! Clients create a consumer first and subscribe then. What they were told about pending messages
//! must still hold when delivery starts, so it can not wait for the next look at the bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::LiveEvent;
use crate::asset::Asset;
use crate::bus::WatchId;
use crate::env::Env;

/// The watch over one consumer's deliver subject; ends when dropped.
pub struct InterestWatch {
    env: Arc<Env>,
    id: Option<WatchId>,
    subject: String,
    /// A change was noted and not looked at. Keeps clients that come and go from filling the list
    /// of events.
    noted: Arc<AtomicBool>,
}

impl InterestWatch {
    /// Notes an event for the consumer `name` when the interest in `subject` may have changed.
    pub fn open(asset: &Asset, name: &str, subject: &str) -> InterestWatch {
        let noted = Arc::new(AtomicBool::new(false));
        let (watched, name, seen) = (asset.weak(), name.to_owned(), noted.clone());
        let watcher = move || {
            if let Some(live) = watched.upgrade().and_then(|asset| asset.live())
                && !seen.swap(true, Ordering::AcqRel)
            {
                live.events(vec![LiveEvent::InterestChanged(name.clone())]);
            }
        };
        let bus = &asset.env.bus;
        InterestWatch {
            id: bus.watch_interest(&asset.account(), subject, Arc::new(watcher)),
            env: asset.env.clone(),
            subject: subject.to_owned(),
            noted,
        }
    }

    pub fn is_for(&self, subject: &str) -> bool {
        self.subject == subject
    }

    /// To be called before the interest is looked at.
    pub fn look(&self) {
        self.noted.store(false, Ordering::Release);
    }
}

impl Drop for InterestWatch {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.env.bus.unwatch_interest(id);
        }
    }
}
