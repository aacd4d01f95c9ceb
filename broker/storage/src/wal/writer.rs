//! The one writer: takes a batch, writes it, syncs, answers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::queue::{Batch, Pending, Taken};
use super::record::{self, Ending, HEADER_LEN, Header};
use super::segment::{Store, io};
use super::shared::Shared;
use super::sync_mark::{Note, SyncMark};
use super::{Error, Options, SyncPolicy};
use crate::fs::{File, LockGuard};

/// How long the writer waits before it asks a full disk for room again.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(250);

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
    /// Length of the file.
    pub size: u32,
    /// Where the next record goes.
    pub head: u32,
    /// Everything before this offset is durable.
    pub synced_to: u32,
    pub last_sync: Duration,
    pub spare: Option<Arc<dyn File>>,
    pub next_try: Duration,
    pub buffer: Vec<u8>,
    pub sync_mark: SyncMark,
}

impl Core {
    /// One group commit, then upkeep; `true` if it got anything done.
    pub(super) fn commit(&self, writer: &mut Writer) -> bool {
        if self.shared.lock().failed.is_some() {
            // Files that are given up now could leave a gap that a restart takes for damage.
            return false;
        }
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
                let room = writer.room();
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
            shared.room = writer.room();
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
    pub(super) fn sync(&self, writer: &mut Writer) -> Result<(), Error> {
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
    pub(super) fn note_synced(&self, shared: &mut Shared, durable: bool) {
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
    pub(super) fn mark_end(&self, writer: &mut Writer) -> Result<(), Error> {
        if !self.shared.lock().queue.is_empty() {
            return Ok(());
        }
        let note = Note {
            segment: writer.number,
            offset: writer.head,
        };
        let now = (self.options.now)();
        writer.sync_mark.write(&self.store, note, now);
        let seed = self.store.seed(writer.number);
        let bytes = record::mark(seed, writer.head, Ending::Open);
        let written = writer.file.write_all_at(&bytes, u64::from(writer.head));
        written.map_err(io("write", &self.store.path(writer.number)))
    }

    /// Ends the log: nobody is told that anything is durable any more.
    pub(super) fn fail(&self, error: Error, records: Vec<Pending>) {
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
}

impl Writer {
    /// Bytes left in the segment for records; there is always room for a mark behind them.
    pub(super) fn room(&self) -> u64 {
        let used = u64::from(self.head) + HEADER_LEN as u64;
        u64::from(self.size).saturating_sub(used)
    }
}

pub(super) fn answer(records: Vec<Pending>, result: &Result<(), Error>) {
    for record in records {
        if let Some(done) = record.done {
            done(result.clone());
        }
    }
}
