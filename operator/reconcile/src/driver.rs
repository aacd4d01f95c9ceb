//! Passes again and again: until all is well, or for as long as a program runs.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::pass::Reconciler;
use crate::report::Report;
use crate::set::ResourceSet;

/// The wait after the first pass that was in vain.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// It doubles up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// How often servers are compared with resources although nothing happened.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// Repeats passes until the servers hold what every resource says, until trying again would not
/// help, or until the deadline. The report of the last pass tells which.
pub async fn run_until_synced(
    reconciler: &Reconciler,
    set: &ResourceSet,
    deadline: Duration,
) -> Report {
    let deadline = Instant::now() + deadline;
    let mut backoff = Backoff::default();
    let mut report = reconciler.reconcile(set).await;
    while report.needs_retry() {
        let next = Instant::now() + backoff.next();
        if next > deadline {
            break;
        }
        sleep_until(next).await;
        match timeout_at(deadline, reconciler.reconcile(set)).await {
            Ok(latest) => report = latest,
            Err(_) => break,
        }
    }
    report
}

/// Repeats passes for as long as somebody may send another set: at once for a new set, after a
/// while when something failed, and at intervals to find what others changed. `report` gets the
/// outcome of every pass.
pub async fn watch(
    reconciler: &Reconciler,
    mut sets: Receiver<ResourceSet>,
    interval: Duration,
    mut report: impl FnMut(&Report) + Send,
) {
    let mut backoff = Backoff::default();
    loop {
        let set = sets.borrow_and_update().clone();
        let outcome = reconciler.reconcile(&set).await;
        report(&outcome);
        let pause = if outcome.needs_retry() {
            backoff.next().min(interval)
        } else {
            backoff = Backoff::default();
            interval
        };
        match tokio::time::timeout(pause, sets.changed()).await {
            Ok(Ok(())) => backoff = Backoff::default(),
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
}

/// Waits that double.
struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { next: BACKOFF_MIN }
    }
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let next = self.next;
        self.next = (next * 2).min(BACKOFF_MAX);
        next
    }
}
