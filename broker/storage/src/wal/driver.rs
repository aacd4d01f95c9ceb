//! When the writer runs: its own thread in production, and the end of the log.

use parking_lot::MutexGuard;

use super::shared::Shared;
use super::writer::{Core, RETRY_INTERVAL, Writer, answer};
use super::{Error, SyncPolicy};

impl Core {
    /// Syncs if the interval is over and there is something to sync; `true` if it did.
    pub(super) fn flush_if_due(&self, writer: &mut Writer) -> bool {
        let SyncPolicy::Interval(interval) = self.options.sync else {
            return false;
        };
        let due = (self.options.now)() >= writer.last_sync + interval;
        due && writer.synced_to < writer.head && self.flush(writer)
    }

    fn flush(&self, writer: &mut Writer) -> bool {
        if self.shared.lock().failed.is_some() {
            return false;
        }
        let result = self.sync(writer).and_then(|()| {
            self.note_synced(&mut self.shared.lock(), true);
            self.mark_end(writer)
        });
        match result {
            Ok(()) => true,
            Err(error) => {
                self.fail(error, Vec::new());
                false
            }
        }
    }

    /// Writes out everything, durably, and refuses what comes after.
    pub(super) fn close(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        let already = std::mem::replace(&mut self.shared.lock().closed, true);
        self.wake.notify_all();
        while !already && self.commit(&mut writer) {}
        // Once for the records, once for the mark behind them.
        let durable = already || (self.flush(&mut writer) && self.flush(&mut writer));
        let (failed, waiting) = {
            let mut shared = self.shared.lock();
            (shared.failed.clone(), shared.queue.abandon())
        };
        let stuck = !waiting.is_empty();
        answer(waiting, &Err(Error::Closed));
        match failed {
            Some(error) => Err(error),
            None if stuck => Err(Error::Full),
            None => {
                debug_assert!(durable, "a flush that fails is fatal");
                Ok(())
            }
        }
    }

    /// Signals the driver if the queue just became urgent.
    pub(super) fn wake_writer(&self, mut shared: MutexGuard<'_, Shared>) {
        let asked = shared.queue.hurry() || shared.wants_room;
        self.signal(shared, asked);
    }

    pub(super) fn signal(&self, shared: MutexGuard<'_, Shared>, asked: bool) {
        if !asked {
            return;
        }
        let wakeup = shared.wakeup.clone();
        drop(shared);
        self.wake.notify_one();
        if let Some(wakeup) = wakeup {
            wakeup();
        }
    }

    /// Commits until the log is closed or broken.
    pub(super) fn run_writer(&self) {
        let mut stuck = false;
        while self.wait_for_work(stuck) {
            let mut writer = self.writer.lock();
            let committed = self.commit(&mut writer);
            let flushed = self.flush_if_due(&mut writer);
            stuck = !committed && !flushed;
        }
    }

    /// Blocks until there is something to do; `false` when there will be no more.
    fn wait_for_work(&self, stuck: bool) -> bool {
        let mut shared = self.shared.lock();
        if stuck && !shared.closed && (shared.wants_room || shared.queue.is_urgent()) {
            self.wake.wait_for(&mut shared, RETRY_INTERVAL);
            return !shared.closed && shared.failed.is_none();
        }
        loop {
            if shared.closed || shared.failed.is_some() {
                return false;
            }
            if shared.queue.is_urgent() || shared.wants_room {
                return true;
            }
            match self.options.sync {
                SyncPolicy::Interval(interval) if shared.unsynced => {
                    if self.wake.wait_for(&mut shared, interval).timed_out() {
                        return true;
                    }
                }
                _ => self.wake.wait(&mut shared),
            }
        }
    }
}
