//! openraft's log, on the server's shared write-ahead log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{EntryPayload, LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use storage::wal::{self, Log};
use tokio::sync::oneshot;

use super::record::{
    decode_entry, decode_log_id, decode_log_id_option, decode_vote, encode_entry,
    encode_log_id_option, encode_vote,
};
use super::types::{Command, Entry, LogId, Types, Vote};
use crate::codec::Malformed;
use crate::stop::Stop;

/// Keys of the small values that are kept beside the entries of a group.
pub(super) mod key {
    pub(in crate::raft) const VOTE: u8 = 1;
    pub(in crate::raft) const COMMITTED: u8 = 2;
    pub(in crate::raft) const PURGED: u8 = 3;
    /// Where the machine stood when this replica began anew: the index after its last applied one.
    pub(in crate::raft) const JOINED: u8 = 4;
}

/// How much of the log is held in memory at a time while committed entries are read to be applied.
const APPLY_READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long to wait before another try when the disk is full or the writer is behind. The group
/// stands still meanwhile: other replicas take over, and it goes on by itself.
const ROOM_RETRY: Duration = Duration::from_millis(50);

/// The log of one group.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Log,
    stop: Stop,
    append_bytes_max: u64,
}

impl LogStore {
    /// Opens what is stored. A purge that was interrupted by a crash is finished.
    pub(crate) fn open(log: Log, stop: Stop, append_bytes_max: u64) -> io::Result<Self> {
        let store = Self {
            log,
            stop,
            append_bytes_max,
        };
        if let Some(purged) = store.purged()?
            && store.log.first_index() <= purged.index
        {
            store.log.purge_to(purged.index).map_err(to_io)?;
        }
        Ok(store)
    }

    /// The last position that was purged.
    pub(super) fn purged(&self) -> io::Result<Option<LogId>> {
        self.position(key::PURGED)
    }

    fn position(&self, key: u8) -> io::Result<Option<LogId>> {
        match self.log.state(key) {
            Some(bytes) => decode_log_id_option(bytes).map_err(malformed),
            None => Ok(None),
        }
    }

    fn vote(&self) -> io::Result<Option<Vote>> {
        self.log
            .state(key::VOTE)
            .map(|bytes| decode_vote(bytes).map_err(malformed))
            .transpose()
    }

    /// The part of a range that the log holds.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        start.max(self.log.first_index())..end.min(self.log.next_index())
    }

    /// Entries of a range, at least one if the log holds any of it, and not many more than
    /// `bytes_max`.
    fn read(&self, range: Range<u64>, bytes_max: u64) -> io::Result<Vec<Entry>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let first = range.start;
        let records = self.log.read(range, bytes_max).map_err(to_io)?;
        let entries: Vec<Entry> = records
            .into_iter()
            .map(|record| decode_entry(record).map_err(malformed))
            .collect::<io::Result<_>>()?;
        for (entry, index) in entries.iter().zip(first..) {
            if entry.log_id.index != index {
                return Err(malformed(Malformed("entry index")));
            }
        }
        Ok(entries)
    }

    /// Tries again while there is no room, until the group stops.
    async fn with_room(
        &self,
        mut attempt: impl FnMut() -> Result<(), wal::Error> + Send,
    ) -> io::Result<()> {
        let mut said = false;
        loop {
            let error = match attempt() {
                Ok(()) => return Ok(()),
                Err(error @ (wal::Error::Full | wal::Error::Busy { .. })) => error,
                Err(error) => return Err(to_io(error)),
            };
            if !said {
                tracing::warn!(group = %self.log.group(), %error, "group waits for room in the log");
                said = true;
            }
            tokio::select! {
                () = tokio::time::sleep(ROOM_RETRY) => {}
                () = self.stop.stopped() => return Err(to_io(error)),
            }
        }
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = self.clamp(&range);
        let mut entries = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let part = self.read(next..range.end, u64::MAX)?;
            next += part.len() as u64;
            entries.extend(part);
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(self.clamp(&(start..end)), self.append_bytes_max)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let range = self.clamp(&range);
        let store = self.clone();
        stream::try_unfold(range, move |rest| {
            let store = store.clone();
            async move {
                let entries = store.read(rest.clone(), APPLY_READ_BYTES_MAX)?;
                if entries.is_empty() {
                    return Ok::<_, io::Error>(None);
                }
                let rest = rest.start + entries.len() as u64..rest.end;
                Ok(Some((stream::iter(entries).map(Ok), rest)))
            }
        })
        .try_flatten()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.vote()
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let purged = self.purged()?;
        let next = self.log.next_index();
        let last = if self.log.first_index() < next {
            let records = self.log.read(next - 1..next, u64::MAX).map_err(to_io)?;
            let record = records.first().ok_or_else(|| malformed(Malformed("log")))?;
            Some(decode_log_id(record).map_err(malformed)?)
        } else {
            purged
        };
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = encode_vote(vote);
        let mut durable = None;
        self.with_room(|| {
            let (done, wait) = oneshot::channel();
            self.log.set_state(key::VOTE, vote.clone(), move |result| {
                let _ = done.send(result);
            })?;
            durable = Some(wait);
            Ok(())
        })
        .await?;
        let Some(wait) = durable else { return Ok(()) };
        tokio::select! {
            result = wait => result.map_err(|_| to_io(wal::Error::Closed))?.map_err(to_io),
            () = self.stop.stopped() => Err(to_io(wal::Error::Closed)),
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let committed = encode_log_id_option(committed.as_ref());
        self.with_room(|| self.log.set_state_lazy(key::COMMITTED, committed.clone()))
            .await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.position(key::COMMITTED)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut first = None;
        let records: Vec<Bytes> = entries
            .into_iter()
            .map(|mut entry| {
                first.get_or_insert(entry.log_id.index);
                leave_out_void(&mut entry);
                encode_entry(&entry)
            })
            .collect();
        let Some(first) = first else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        // The log drops the callback when it takes nothing, so it stays here until it is taken.
        let callback = Arc::new(Mutex::new(Some(callback)));
        self.with_room(|| {
            let callback = callback.clone();
            self.log.append(first, records.clone(), move |result| {
                if let Some(callback) = callback.lock().take() {
                    callback.io_completed(result.map_err(to_io));
                }
            })
        })
        .await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last
            .map_or(0, |last| last.index + 1)
            .max(self.log.first_index());
        if from >= self.log.next_index() {
            return Ok(());
        }
        self.with_room(|| self.log.truncate_from(from, |_| {}))
            .await
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let purged = encode_log_id_option(Some(&upto));
        self.with_room(|| self.log.set_state_lazy(key::PURGED, purged.clone()))
            .await?;
        self.with_room(|| self.log.purge_to(upto.index)).await
    }
}

/// A command that came after one that was refused takes no effect: its entry says nothing.
fn leave_out_void(entry: &mut Entry) {
    let EntryPayload::Normal(Command { proposal, .. }) = &entry.payload else {
        return;
    };
    if proposal.as_ref().is_some_and(|it| !it.enters_log()) {
        entry.payload = EntryPayload::Blank;
    }
}

fn to_io(error: wal::Error) -> io::Error {
    io::Error::other(error)
}

fn malformed(error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
