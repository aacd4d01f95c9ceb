//! The write-ahead log: one per server, shared by numbered groups, each an indexed log of entries
//! plus a few small values.
//!
//! Appending puts entries into memory and a queue. A writer ([`Wal::run_writer`] in production,
//! [`Wal::commit_pending`] called by a simulation) takes the whole queue, writes it with one
//! write, syncs once and only then reports every entry of the batch as durable.
//!
//! Start with [`Wal::open`], [`Wal::log`] and [`Log::append`].

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::fs::FileSystem;
use writer::Core;

mod cache;
mod driver;
mod error;
mod group;
mod open;
mod options;
mod queue;
mod read;
mod record;
mod recovery;
mod scan;
mod segment;
mod shared;
mod stats;
mod sync_mark;
mod upkeep;
mod writer;

pub use error::Error;
pub use options::{Now, OnFatal, Options, SyncPolicy, monotonic_clock};
pub use stats::{BUCKETS, Histogram, Stats};

/// Names one log among those that share the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stretch of a segment whose bytes were durable once and are not readable any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment file.
    pub segment: u64,
    /// Where in the file, in bytes.
    pub offset: u64,
    pub len: u64,
    /// Whose records were lost; `None` when that cannot be told, so any group may be affected.
    pub groups: Option<Vec<GroupId>>,
    /// Groups whose log was dropped since, so that nothing of it is missing.
    pub repaired: BTreeSet<GroupId>,
}

/// What a group lost to damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    Nothing,
    /// Records of groups that cannot be told were lost; nothing of this group is known to be
    /// missing, but its latest entries or values may be.
    Possible,
    /// Entries or values of it were lost.
    Certain,
}

impl Damage {
    /// Whether records of this group may have been lost.
    pub fn affects(&self, group: GroupId) -> bool {
        let is_meant = |groups: &Vec<GroupId>| groups.contains(&group);
        !self.repaired.contains(&group) && self.groups.as_ref().is_none_or(is_meant)
    }

    /// Whether any group may still miss something. Which groups there are is not known here, so
    /// damage to unknown ones counts until [`Wal::damage_handled`].
    fn is_open(&self) -> bool {
        let is_missed = |group: &GroupId| !self.repaired.contains(group);
        self.groups
            .as_ref()
            .is_none_or(|groups| groups.iter().any(is_missed))
    }
}

/// The shared log. A handle: clones are cheap and mean the same log.
#[derive(Clone)]
pub struct Wal {
    core: Arc<Core>,
}

/// The log of one group. A handle: clones are cheap and mean the same log.
///
/// `done` callbacks run on the writer's thread, in the order of the calls that passed them, and
/// exactly once when the call returned `Ok`; they must be quick, and must call neither
/// [`Wal::commit_pending`] nor [`Wal::close`]. A call that returns an error has changed nothing and drops `done`.
#[derive(Clone)]
pub struct Log {
    core: Arc<Core>,
    group: GroupId,
}

impl Wal {
    /// Opens the log in `dir` (created if absent) and reads all of it. Takes the lock file of the
    /// directory until the last handle is gone.
    pub fn open(fs: Arc<dyn FileSystem>, dir: &Path, options: Options) -> Result<Wal, Error> {
        Ok(Wal {
            core: Arc::new(open::open(fs, dir, options)?),
        })
    }

    /// The log of one group; a new and empty one if nothing was stored under this number.
    pub fn log(&self, group: GroupId) -> Log {
        Log {
            core: self.core.clone(),
            group,
        }
    }

    /// Every group that holds entries or values, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        let shared = self.core.shared.lock();
        let kept = shared.groups.iter().filter(|(_, group)| !group.is_vacant());
        kept.map(|(id, _)| *id).collect()
    }

    /// Forgets all entries and values of a group at once, and what damage took of them; durable
    /// with the next commit.
    pub fn remove(&self, group: GroupId) -> Result<(), Error> {
        let mut shared = self.core.shared.lock();
        shared.remove(group)?;
        self.core.wake_writer(shared);
        Ok(())
    }

    /// Damage found by [`Wal::open`] or by a read. The segments concerned are kept, so that a
    /// restart finds it again, until all groups concerned were removed or [`Wal::damage_handled`].
    pub fn damaged(&self) -> Vec<Damage> {
        self.core.shared.lock().damage.clone()
    }

    /// What a group lost to damage.
    pub fn loss(&self, group: GroupId) -> Loss {
        self.core.shared.lock().loss(group)
    }

    /// Says that every affected group was repaired or given up, so that damaged segments may go.
    /// Until the entries in them are purged, see [`Wal::groups_to_checkpoint`], a restart finds the
    /// damage again.
    pub fn damage_handled(&self) {
        self.core.shared.lock().retire_damage();
    }

    /// One group commit: takes the queue (up to `batch_limit_bytes`), writes it, syncs once, fires
    /// the callbacks; then upkeep of the files. A driver calls it until it returns `false`: there
    /// is then nothing to do, or the disk is full and the next attempt is worth it in a while.
    pub fn commit_pending(&self) -> bool {
        self.core.commit(&mut self.core.writer.lock())
    }

    /// Commits until [`Wal::close`]; blocks the calling thread, which must be its own.
    pub fn run_writer(&self) {
        self.core.run_writer()
    }

    /// Sets what is called when the queue goes from empty to non-empty, possibly from within
    /// [`Wal::commit_pending`]: it should only arrange for a later call of that.
    pub fn set_wakeup(&self, wakeup: Arc<dyn Fn() + Send + Sync>) {
        self.core.shared.lock().wakeup = Some(wakeup);
    }

    /// Under [`SyncPolicy::Interval`]: syncs when the interval has passed. `true` when it did.
    pub fn flush_interval_due(&self) -> bool {
        self.core.flush_if_due(&mut self.core.writer.lock())
    }

    /// When the log is larger than `size_limit_bytes`, or damaged segments are to go: the groups
    /// whose entries keep the oldest segment from being reused. They should checkpoint and [`Log::purge_to`].
    pub fn groups_to_checkpoint(&self) -> Vec<GroupId> {
        self.core.shared.lock().groups_to_checkpoint()
    }

    /// The groups whose entries take more than this many bytes. A restart has to read all of them.
    pub fn groups_above(&self, bytes: u64) -> Vec<GroupId> {
        self.core.shared.lock().groups_above(bytes)
    }

    /// Whether appends are refused with [`Error::Full`] at present.
    pub fn is_full(&self) -> bool {
        self.core.shared.lock().full
    }

    /// What the log did so far.
    pub fn stats(&self) -> Stats {
        self.core.shared.lock().stats()
    }

    /// Writes and syncs what is queued, then refuses everything with [`Error::Closed`].
    pub fn close(&self) -> Result<(), Error> {
        self.core.close()
    }
}

impl Log {
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The index of the first entry, or of the next one to append when there is none.
    /// 0 for a log that never held anything.
    pub fn first_index(&self) -> u64 {
        self.core.shared.lock().bounds(self.group).0
    }

    /// One past the index of the last entry. 0 for a log that never held anything.
    pub fn next_index(&self) -> u64 {
        self.core.shared.lock().bounds(self.group).1
    }

    /// Appends entries. Readable on return, durable when `done` fires. `first_index` must be
    /// [`Log::next_index`]; a log that never held anything starts wherever the first append says.
    pub fn append(
        &self,
        first_index: u64,
        entries: Vec<Bytes>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.change(|shared| shared.append(self.group, first_index, entries, Box::new(done)))
    }

    /// Reads the entries of `range` in order, stopping before `max_bytes` are passed but never
    /// before the first entry. Every index of the range must be in the log.
    pub fn read(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<Bytes>, Error> {
        read::read(&self.core, self.group, range, max_bytes)
    }

    /// Drops the entries from `index` on. Takes effect at once, durable when `done` fires.
    pub fn truncate_from(
        &self,
        index: u64,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.change(|shared| shared.truncate_from(self.group, index, Box::new(done)))
    }

    /// Drops the entries up to and including `index`, which may be past the end: the log then goes
    /// on at `index + 1`. Takes effect at once, durable with the next commit.
    pub fn purge_to(&self, index: u64) -> Result<(), Error> {
        self.change(|shared| shared.purge_below(self.group, index.saturating_add(1)))
    }

    /// Stores a small value under a key; the latest wins. Visible at once, durable when `done`
    /// fires, in order with the entries of the group.
    pub fn set_state(
        &self,
        key: u8,
        value: Bytes,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.change(|shared| shared.set_value(self.group, key, value, Some(Box::new(done))))
    }

    /// As [`Log::set_state`], but starts no commit of its own: the value goes along with the next.
    pub fn set_state_lazy(&self, key: u8, value: Bytes) -> Result<(), Error> {
        let mut shared = self.core.shared.lock();
        shared.set_value(self.group, key, value, None)?;
        let asked = shared.queue.hurry_if_long();
        self.core.signal(shared, asked);
        Ok(())
    }

    /// The latest value of a key.
    pub fn state(&self, key: u8) -> Option<Bytes> {
        self.core.shared.lock().value(self.group, key)
    }

    /// Makes a change and has the writer woken for it, or for the room it lacks.
    fn change(
        &self,
        act: impl FnOnce(&mut shared::Shared) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut shared = self.core.shared.lock();
        let result = act(&mut shared);
        if result.is_ok() {
            self.core.wake_writer(shared);
        } else {
            let wants_room = shared.wants_room;
            self.core.signal(shared, wants_room);
        }
        result
    }
}

#[cfg(test)]
mod tests;
