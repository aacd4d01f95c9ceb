//! Opening a log: recovery, then a fresh segment to write to.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::cache::Cache;
use super::queue::Queue;
use super::record::{Ending, HEADER_LEN};
use super::recovery::{Recovered, recover};
use super::segment::{FIRST_RECORD, Segment, Store, io as at};
use super::shared::Shared;
use super::sync_mark::SyncMark;
use super::writer::{Core, Writer};
use super::{Error, Options, Stats};
use crate::fs::{File, FileSystem, LockGuard};

const LOCK_NAME: &str = "lock";

/// Smallest and largest segment; the format has 32 bits for an offset.
const SEGMENT_SIZES: (u64, u64) = (16 << 10, 1 << 30);

pub(super) fn open(
    fs: Arc<dyn FileSystem>,
    dir: &Path,
    mut options: Options,
) -> Result<Core, Error> {
    options.segment_size_bytes = options
        .segment_size_bytes
        .clamp(SEGMENT_SIZES.0, SEGMENT_SIZES.1)
        .next_multiple_of(4096);
    fs.create_dir_all(dir).map_err(at("create", dir))?;
    let lock = take_lock(&*fs, dir)?;
    let mut store = Store {
        fs,
        dir: dir.to_owned(),
        store_id: options.store_id,
        segment_size: options.segment_size_bytes as u32,
    };
    let mut recovered = recover(&mut store)?;
    settle_last_segment(&store, &mut recovered)?;
    let writer = start_writer(&store, &mut recovered, (options.now)())?;
    continue_last_segment(&store, &recovered)?;
    let core = assemble(store, Arc::new(options), lock, recovered, writer);
    core.look_after_files(&mut core.writer.lock())?;
    Ok(core)
}

fn take_lock(fs: &dyn FileSystem, dir: &Path) -> Result<LockGuard, Error> {
    let path = dir.join(LOCK_NAME);
    fs.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked {
            dir: dir.to_owned(),
        },
        _ => Error::io("lock", &path, error),
    })
}

/// Others are about to build on what was read, so all of it must be durable. What is in doubt is
/// written once more first: after a sync that failed, the kernel shows bytes that it does not have
/// on the disk, and calls them clean. The rest of the file is given back, behind a mark that says
/// so: it is never written again.
fn settle_last_segment(store: &Store, recovered: &mut Recovered) -> Result<(), Error> {
    let Some((&number, segment)) = recovered.segments.0.last_key_value() else {
        return Ok(());
    };
    let path = store.path(number);
    let (start, doubtful) = std::mem::take(&mut recovered.doubtful);
    segment
        .file
        .write_all_at(&doubtful, u64::from(start))
        .map_err(at("write", &path))?;
    segment.file.sync_data().map_err(at("sync", &path))?;
    let closed = u64::from(recovered.last_end) + HEADER_LEN as u64;
    recovered.may_close &= closed <= segment.size;
    if !recovered.may_close {
        return Ok(());
    }
    let file = segment.file.clone();
    store.end_segment(&*file, number, recovered.last_end, Ending::Closed)?;
    if let Some(segment) = recovered.segments.0.get_mut(&number)
        && segment.entries + segment.values > 0
    {
        file.set_len(closed).map_err(at("cut", &path))?;
        file.sync_data().map_err(at("sync", &path))?;
        segment.size = closed;
    }
    Ok(())
}

/// Has the segment before the new one say that there is one behind it.
fn continue_last_segment(store: &Store, recovered: &Recovered) -> Result<(), Error> {
    let before = recovered.segments.0.range(..recovered.last + 1).next_back();
    match before {
        Some((number, segment)) if recovered.may_close => store.end_segment(
            &*segment.file,
            *number,
            recovered.last_end,
            Ending::Continued,
        ),
        _ => Ok(()),
    }
}

/// A new segment for every run, so that what a crash left behind the end is never read again.
fn start_writer(store: &Store, recovered: &mut Recovered, now: Duration) -> Result<Writer, Error> {
    let (file, size) = first_file(store)?;
    let number = recovered.last + 1;
    store.start_segment(&*file, number, size, recovered.last_end)?;
    let segment = Segment {
        file: file.clone(),
        size: u64::from(size),
        entries: 0,
        values: 0,
        moving: false,
    };
    recovered.segments.0.insert(number, segment);
    Ok(Writer {
        file,
        number,
        size,
        head: FIRST_RECORD,
        synced_to: FIRST_RECORD,
        last_sync: now,
        spare: None,
        next_try: Duration::ZERO,
        buffer: Vec::new(),
        sync_mark: SyncMark::open(store, now),
    })
}

/// A file to begin with. On a full disk a small one has to do: it takes the purges that make room
/// again.
fn first_file(store: &Store) -> Result<(Arc<dyn File>, u32), Error> {
    let mut size = store.segment_size;
    while u64::from(size) >= SEGMENT_SIZES.0 {
        if let Some(file) = store.make_spare(size)? {
            return Ok((file, size));
        }
        size /= 2;
    }
    Err(Error::Full)
}

fn assemble(
    store: Store,
    options: Arc<Options>,
    lock: LockGuard,
    recovered: Recovered,
    writer: Writer,
) -> Core {
    let shared = Shared {
        options: options.clone(),
        groups: recovered.groups,
        segments: recovered.segments,
        damage: recovered.damage,
        retire_to: 0,
        queue: Queue::default(),
        cache: Cache::default(),
        stats: Stats::default(),
        wakeup: None,
        unsynced: false,
        releases_at_sync: Vec::new(),
        room: writer.room(),
        full: false,
        wants_room: false,
        closed: false,
        failed: None,
    };
    Core {
        shared: Mutex::new(shared),
        writer: Mutex::new(writer),
        wake: Condvar::new(),
        options,
        store,
        _lock: lock,
    }
}
