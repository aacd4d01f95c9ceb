//! A second place that remembers up to where the log was durable.
//!
//! The records of a segment vouch for what is before them. If the last of them are destroyed with
//! what they vouch for, nothing in the segment tells that from a write that was torn. So the end is
//! also noted in a small file, in two slots in turn. The note is synced now and then only: it is
//! never ahead of the truth, and how far it is behind only decides how much damage is taken for a
//! torn write.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::record::{u32_at, u64_at};
use super::segment::Store;
use crate::fs::{File, OpenMode, read_exact_at};

/// Time between two syncs of the notes, while there are any.
const SYNC_INTERVAL: Duration = Duration::from_secs(10);

const NAME: &str = "synced";
const NOTE_LEN: usize = 24;
/// A block of the disk each, so that a torn write leaves one of them.
const SLOTS: [u64; 2] = [0, 4096];

/// Up to which offset of which segment the log was durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    pub segment: u32,
    pub offset: u32,
}

/// The file with the notes; without it, on a full disk, none are taken.
pub(super) struct SyncMark {
    file: Option<Arc<dyn File>>,
    writes: usize,
    last_sync: Duration,
}

impl SyncMark {
    pub(super) fn open(store: &Store, now: Duration) -> SyncMark {
        let file = open(store)
            .inspect_err(|error| tracing::warn!(%error, "the end of the log is not noted twice"));
        SyncMark {
            file: file.ok(),
            writes: 0,
            last_sync: now,
        }
    }

    /// Takes a note. That it fails costs no data: the one before stays.
    pub(super) fn write(&mut self, store: &Store, note: Note, now: Duration) {
        let Some(file) = &self.file else { return };
        let bytes = note.encode(store.store_id);
        let slot = SLOTS[self.writes % SLOTS.len()];
        self.writes += 1;
        file.write_all_at(&bytes, slot).ok();
        if now >= self.last_sync + SYNC_INTERVAL {
            self.last_sync = now;
            file.sync_data().ok();
        }
    }
}

fn open(store: &Store) -> io::Result<Arc<dyn File>> {
    let file = store.fs.open(&store.dir.join(NAME), OpenMode::Write)?;
    let len = SLOTS[1] + NOTE_LEN as u64;
    if file.len()? < len {
        file.allocate(len)?;
        file.sync_data()?;
        store.fs.sync_dir(&store.dir)?;
    }
    Ok(file)
}

/// The latest note, if there is one of this log.
pub(super) fn read(store: &Store) -> Option<Note> {
    let file = store.fs.open(&store.dir.join(NAME), OpenMode::Read).ok()?;
    let read = |slot: &u64| {
        let mut bytes = [0; NOTE_LEN];
        read_exact_at(&*file, &mut bytes, *slot).ok()?;
        Note::decode(&bytes, store.store_id)
    };
    SLOTS.iter().filter_map(read).max()
}

impl Note {
    fn encode(self, store_id: u64) -> [u8; NOTE_LEN] {
        let mut bytes = [0; NOTE_LEN];
        bytes[..8].copy_from_slice(&store_id.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.segment.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.offset.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..16]);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; NOTE_LEN], store_id: u64) -> Option<Note> {
        let is_ours = u64_at(bytes, 0) == store_id;
        let is_whole = crc32fast::hash(&bytes[..16]) == u32_at(bytes, 16);
        (is_ours && is_whole).then(|| Note {
            segment: u32_at(bytes, 8),
            offset: u32_at(bytes, 12),
        })
    }
}
