//! The task that writes a broker's log, as slow as the simulated disk.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use storage::wal::Wal;
use tokio::sync::Notify;

use crate::dice::Dice;

/// How long a full disk, or one that syncs at intervals, is left alone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A sync of a disk that is well takes up to this long.
pub const QUICK: Duration = Duration::from_millis(2);

/// How long syncs take. A handle: clones mean the same disk.
#[derive(Clone)]
pub struct Pace(Arc<Mutex<(Dice, Duration)>>);

impl Pace {
    pub fn new(dice: Dice) -> Self {
        Pace(Arc::new(Mutex::new((dice, QUICK))))
    }

    pub fn set_longest(&self, longest: Duration) {
        self.0.lock().1 = longest;
    }

    fn next(&self) -> Duration {
        let (dice, longest) = &mut *self.0.lock();
        Duration::from_micros(dice.between(50, longest.as_micros().max(50) as u64))
    }
}

/// Commits what waits in the log, one batch after the other, until the task is ended.
pub async fn write(wal: Wal, pace: Pace) {
    let wake = Arc::new(Notify::new());
    let notify = wake.clone();
    wal.set_wakeup(Arc::new(move || notify.notify_one()));
    loop {
        tokio::time::sleep(pace.next()).await;
        wal.flush_interval_due();
        if !wal.commit_pending() {
            let _ = tokio::time::timeout(LOOK_AGAIN, wake.notified()).await;
        }
    }
}
