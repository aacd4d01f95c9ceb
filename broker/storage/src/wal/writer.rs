//! The one writer: takes a batch, writes it, syncs, answers; then looks after the segment files.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::queue::{Batch, Pending, Taken};
use super::record::{self, HEADER_LEN, Header, Kind};
use super::segment::{FIRST_RECORD, Segment, Store, io};
use super::shared::Shared;
use super::{Damage, Error, GroupId, Options, SyncPolicy};
use crate::fs::{File, LockGuard};
use crate::wal::group::MAX_SEGMENT;

/// How long the writer waits before it asks a full disk for room again.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// The encoding buffer is let go when an unusual batch made it larger than this.
const KEEP_BUFFER_BYTES: usize = 8 << 20;

/// The log behind all its handles.
pub(super) struct Core {
    pub shared: Mutex<Shared>,
    pub writer: Mutex<Writer>,
    /// Signals [`Core::run_writer`].
    pub wake: Condvar,
    pub options: Arc<Options>,
    pub store: Store,
    pub _lock: LockGuard,
}

pub(super) struct Writer {
    pub file: Arc<dyn File>,
    pub number: u32,
    /// Where the next record goes.
    pub head: u32,
    /// Everything before this offset is durable.
    pub synced_to: u32,
    pub last_sync: Duration,
    pub spare: Option<Arc<dyn File>>,
    pub next_try: Duration,
    pub buffer: Vec<u8>,
}

/// What can be done about the oldest segment.
enum Oldest {
    Needed,
    HasValues(u32),
    Free(u32, Segment),
}

impl Core {
    /// One group commit, then upkeep; `true` if it got anything done.
    pub(super) fn commit(&self, writer: &mut Writer) -> bool {
        let committed = match self.take_batch(writer) {
            Ok(Some(batch)) => self.write_batch(writer, batch),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        let result =
            committed.and_then(|committed| Ok(self.look_after_files(writer)? || committed));
        result.unwrap_or_else(|error| {
            self.fail(error, Vec::new());
            false
        })
    }

    /// The next batch, after making a new segment if the present one has no room for it.
    fn take_batch(&self, writer: &mut Writer) -> Result<Option<Batch>, Error> {
        loop {
            {
                let mut shared = self.shared.lock();
                if shared.failed.is_some() {
                    return Ok(None);
                }
                let room = writer.room(&self.store);
                let now = (self.options.now)();
                match shared.queue.take(self.options.batch_limit_bytes, room, now) {
                    Taken::Batch(batch) => return Ok(Some(batch)),
                    Taken::Nothing => return Ok(None),
                    Taken::NoRoom => {}
                }
            }
            if !self.next_segment(writer)? {
                return Ok(None);
            }
        }
    }

    /// Writes and syncs a batch and answers everybody in it.
    fn write_batch(&self, writer: &mut Writer, batch: Batch) -> Result<bool, Error> {
        #[cfg(test)]
        let batch = self.acknowledge_if_broken(batch);
        let offsets = self.encode(writer, &batch.records);
        if let Err(error) = self.write_and_sync(writer) {
            self.fail(error, batch.records);
            return Ok(false);
        }
        let durable = writer.synced_to == writer.head;
        let Batch {
            mut records,
            bytes,
            since,
        } = batch;
        {
            let shared = &mut *self.shared.lock();
            shared.queue.written(bytes);
            shared.room = writer.room(&self.store);
            for (record, offset) in records.iter_mut().zip(&offsets) {
                shared.record_written(record, writer.number, *offset);
                shared.releases_at_sync.append(&mut record.releases.0);
            }
            self.note_synced(shared, durable);
            // What was only in memory until now may leave it.
            shared
                .cache
                .shrink_to(self.options.cache_limit_bytes, &mut shared.groups);
            self.count_batch(shared, records.len(), bytes, since);
        }
        answer(records, &Ok(()));
        if durable {
            self.mark_end(writer)?;
        }
        Ok(true)
    }

    #[cfg(test)]
    fn acknowledge_if_broken(&self, mut batch: Batch) -> Batch {
        if self.options.acknowledge_before_sync {
            let done = batch
                .records
                .iter_mut()
                .filter_map(|record| record.done.take());
            done.for_each(|done| done(Ok(())));
        }
        batch
    }

    /// Encodes records into the buffer; the offsets they will have in the segment.
    fn encode(&self, writer: &mut Writer, records: &[Pending]) -> Vec<u32> {
        let seed = self.store.seed(writer.number);
        writer.buffer.clear();
        writer.buffer.shrink_to(KEEP_BUFFER_BYTES);
        let mut offsets = Vec::with_capacity(records.len());
        for record in records {
            offsets.push(writer.head + writer.buffer.len() as u32);
            let header = Header {
                kind: record.kind,
                key: record.key,
                group: record.group,
                index: record.index,
                body_len: 0,
                body_crc: 0,
                synced_to: writer.synced_to,
            };
            record::encode(&mut writer.buffer, seed, &header, &record.body);
        }
        offsets
    }

    fn write_and_sync(&self, writer: &mut Writer) -> Result<(), Error> {
        let written = writer
            .file
            .write_all_at(&writer.buffer, u64::from(writer.head));
        written.map_err(io("write", &self.store.path(writer.number)))?;
        writer.head += writer.buffer.len() as u32;
        let due = match self.options.sync {
            SyncPolicy::Always => true,
            SyncPolicy::Interval(interval) => (self.options.now)() >= writer.last_sync + interval,
        };
        if due { self.sync(writer) } else { Ok(()) }
    }

    /// Makes everything written durable.
    fn sync(&self, writer: &mut Writer) -> Result<(), Error> {
        let start = (self.options.now)();
        writer
            .file
            .sync_data()
            .map_err(io("sync", &self.store.path(writer.number)))?;
        writer.synced_to = writer.head;
        writer.last_sync = (self.options.now)();
        let mut shared = self.shared.lock();
        shared.stats.syncs += 1;
        shared
            .stats
            .sync_duration_us
            .record_us(writer.last_sync.saturating_sub(start));
        Ok(())
    }

    /// After a write: what it made superfluous is so only when the write is durable.
    fn note_synced(&self, shared: &mut Shared, durable: bool) {
        shared.unsynced = !durable;
        if durable {
            let releases = std::mem::take(&mut shared.releases_at_sync);
            shared.segments.release(releases);
        }
    }

    fn count_batch(&self, shared: &mut Shared, records: usize, bytes: u64, since: Duration) {
        let stats = &mut shared.stats;
        stats.commits += 1;
        stats.records += records as u64;
        stats.bytes_written += bytes;
        stats
            .commit_latency_us
            .record_us((self.options.now)().saturating_sub(since));
        stats.batch_bytes.record(bytes);
        stats.batch_records.record(records as u64);
    }

    /// When nothing follows at once: leaves word that all before the end was durable, so that
    /// later damage to the last batch is not taken for a torn write. Not synced; it reaches the
    /// disk in its own time.
    fn mark_end(&self, writer: &Writer) -> Result<(), Error> {
        if !self.shared.lock().queue.is_empty() || writer.room(&self.store) < HEADER_LEN as u64 {
            return Ok(());
        }
        let header = Header {
            kind: Kind::Mark,
            key: 0,
            group: GroupId(0),
            index: 0,
            body_len: 0,
            body_crc: 0,
            synced_to: writer.head,
        };
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        record::encode(&mut bytes, self.store.seed(writer.number), &header, &[]);
        let written = writer.file.write_all_at(&bytes, u64::from(writer.head));
        written.map_err(io("write", &self.store.path(writer.number)))
    }

    /// Makes the spare the segment to write to; `false` if there is none.
    fn next_segment(&self, writer: &mut Writer) -> Result<bool, Error> {
        if writer.synced_to < writer.head {
            self.sync(writer)?;
            self.note_synced(&mut self.shared.lock(), true);
        }
        self.find_spare(writer)?;
        let Some(spare) = writer.spare.take() else {
            return Ok(false);
        };
        let number = writer.number + 1;
        if number > MAX_SEGMENT {
            let reason = "it is the last the format can number".into();
            return Err(Error::Unusable {
                path: self.store.path(writer.number),
                reason,
            });
        }
        self.store.start_segment(&*spare, number, writer.head)?;
        writer.file = spare.clone();
        writer.number = number;
        writer.head = FIRST_RECORD;
        writer.synced_to = FIRST_RECORD;
        let mut shared = self.shared.lock();
        let size = u64::from(self.store.segment_size);
        let segment = Segment {
            file: spare,
            size,
            entries: 0,
            values: 0,
            moving: false,
        };
        shared.segments.0.insert(number, segment);
        shared.room = writer.room(&self.store);
        Ok(true)
    }

    /// Reuses segments that nobody needs and keeps a spare; `true` if anything changed.
    pub(super) fn look_after_files(&self, writer: &mut Writer) -> Result<bool, Error> {
        let mut changed = false;
        loop {
            let oldest = self.oldest(writer.number);
            match oldest {
                Oldest::Needed => break,
                Oldest::HasValues(number) => self.move_values(number),
                Oldest::Free(number, segment) => self.give_up(writer, number, segment)?,
            }
            changed = true;
        }
        let had_spare = writer.spare.is_some();
        self.find_spare(writer)?;
        Ok(changed || had_spare != writer.spare.is_some())
    }

    fn oldest(&self, active: u32) -> Oldest {
        let shared = &mut *self.shared.lock();
        let Some(mut oldest) = shared.segments.0.first_entry() else {
            return Oldest::Needed;
        };
        let number = *oldest.key();
        let segment = oldest.get_mut();
        let damaged = |damage: &Damage| {
            damage.segment == u64::from(number) && damage.groups != Some(Vec::new())
        };
        if number == active || segment.entries > 0 || shared.damage.iter().any(damaged) {
            return Oldest::Needed;
        }
        if segment.values > 0 {
            let moving = std::mem::replace(&mut segment.moving, true);
            return if moving {
                Oldest::Needed
            } else {
                Oldest::HasValues(number)
            };
        }
        Oldest::Free(number, oldest.remove())
    }

    fn move_values(&self, number: u32) {
        let mut shared = self.shared.lock();
        shared.move_values(number);
        self.wake_writer(shared);
    }

    fn give_up(&self, writer: &mut Writer, number: u32, segment: Segment) -> Result<(), Error> {
        if writer.spare.is_some() || segment.size != u64::from(self.store.segment_size) {
            return self.store.remove(number);
        }
        self.store.recycle(number)?;
        writer.spare = Some(segment.file);
        Ok(())
    }

    /// Makes a spare if there is none and it is time to try.
    fn find_spare(&self, writer: &mut Writer) -> Result<(), Error> {
        let now = (self.options.now)();
        if writer.spare.is_none() && now >= writer.next_try {
            writer.spare = self.store.make_spare()?;
            writer.next_try = match writer.spare {
                Some(_) => Duration::ZERO,
                None => now + RETRY_INTERVAL,
            };
        }
        let full = writer.spare.is_none();
        let mut shared = self.shared.lock();
        if shared.full != full {
            tracing::warn!(full, "the room for the write-ahead log changed");
        }
        shared.full = full;
        shared.wants_room &= full;
        Ok(())
    }

    /// Ends the log: nobody is told that anything is durable any more.
    fn fail(&self, error: Error, records: Vec<Pending>) {
        let (first, waiting) = {
            let mut shared = self.shared.lock();
            let first = shared.failed.is_none();
            shared.failed.get_or_insert_with(|| error.clone());
            (first, shared.queue.abandon())
        };
        if first {
            (self.options.on_fatal)(&error);
        }
        answer(records, &Err(error.clone()));
        answer(waiting, &Err(error));
        self.wake.notify_all();
    }

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

impl Writer {
    /// Bytes left in the segment.
    pub(super) fn room(&self, store: &Store) -> u64 {
        u64::from(store.segment_size.saturating_sub(self.head))
    }
}

fn answer(records: Vec<Pending>, result: &Result<(), Error>) {
    for record in records {
        if let Some(done) = record.done {
            done(result.clone());
        }
    }
}
