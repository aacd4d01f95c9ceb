//! Opening a store at its last checkpoint.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use storage::fs::{FileSystem, OpenMode, read_exact_at};

use crate::Error;
use crate::index::{Block, Index, UNKNOWN_SUBJECT};
use crate::store::{Store, Totals};

use super::manifest::{Manifest, ManifestSegment};
use super::record::FIXED_SIZE_BYTES;
use super::scan::scan;
use super::segment::{Segment, SegmentName};
use super::sidecar::{Sidecar, SidecarRecord};
use super::{FileOptions, FileRecords, FileStore, live_runs};

/// More blocks than one store opens between two checkpoints.
const ABANDONED_IDS_MAX: u64 = 1 << 24;

impl FileStore {
    /// Opens the store in a directory, which is created if absent, as of its last successful
    /// checkpoint. Damage to messages does not prevent opening; see
    /// [`MessageStore::damaged`](crate::MessageStore::damaged).
    ///
    /// Only one store may use a directory at a time.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: impl Into<PathBuf>,
        options: FileOptions,
    ) -> Result<FileStore, Error> {
        let dir = dir.into();
        fs.create_dir_all(&dir)?;
        // A process that died within a checkpoint may have left a manifest in place without making
        // its name durable. Whoever acts on the seal must not see it vanish in a later crash.
        fs.sync_dir(&dir)?;
        let found = Manifest::find(&*fs, &dir)?;
        let mut records = FileRecords::new(fs, dir, options);
        if found.one_is_damaged {
            let dir = records.dir.display();
            tracing::error!(%dir, "a store manifest is damaged; using the other generation");
        } else {
            records.remove_strangers(found.manifest.as_ref(), found.previous.as_ref())?;
        }
        let Some(manifest) = found.manifest else {
            return Ok(Store::with_index(Index::new(), records, Totals::default()));
        };
        if let Some(previous) = &found.previous {
            let present = names(&manifest);
            records.emptied = names(previous).difference(&present).copied().collect();
        }
        let index = records.load(&manifest, found.one_is_damaged)?;
        let totals = Totals {
            bytes: manifest.bytes,
            last_time_ns: manifest.last_time_ns,
        };
        records.generation = manifest.generation;
        records.seal = Some(Bytes::from(manifest.seal));
        records.erasures = manifest.erasures;
        Ok(Store::with_index(index, records, totals))
    }
}

fn names(manifest: &Manifest) -> BTreeSet<SegmentName> {
    manifest
        .segments
        .iter()
        .map(|segment| segment.name)
        .collect()
}

impl FileRecords {
    /// Deletes files that no manifest names: those of a future that a crash discarded.
    fn remove_strangers(
        &self,
        manifest: Option<&Manifest>,
        previous: Option<&Manifest>,
    ) -> Result<(), Error> {
        let known: BTreeSet<String> = [manifest, previous]
            .into_iter()
            .flatten()
            .flat_map(names)
            .flat_map(|name| [name.segment_file(), name.sidecar_file()])
            .collect();
        for entry in self.fs.read_dir(&self.dir)? {
            let is_ours = [".seg", ".idx", ".tmp"]
                .iter()
                .any(|end| entry.name.ends_with(end));
            if is_ours && !known.contains(&entry.name) {
                self.fs.remove_file(&self.dir.join(&entry.name))?;
            }
        }
        Ok(())
    }

    fn load(&mut self, manifest: &Manifest, distrust: bool) -> Result<Index<Segment>, Error> {
        let mut index = Index::new();
        let mut damaged: BTreeSet<u64> = manifest.damaged.iter().copied().collect();
        for segment in &manifest.segments {
            let live_max = segment.size_bytes as usize / FIXED_SIZE_BYTES + manifest.damaged.len();
            let live =
                live_runs::decode(&segment.live_runs, segment.name.base_seq, live_max as u64)
                    .filter(|runs| runs.first().is_none_or(|run| run.start > index.last_seq))
                    .filter(|runs| {
                        runs.last()
                            .is_none_or(|run| run.end - 1 <= manifest.last_seq)
                    })
                    .ok_or_else(|| Error::Manifest {
                        reason: "segments contradict".into(),
                    })?;
            let data = Segment {
                written: segment.size_bytes,
                is_created: true,
                is_synced: true,
                is_finished: segment.is_finished,
                ..Segment::default()
            };
            let SegmentName { base_seq, block_id } = segment.name;
            index.blocks.push_back(Block::new(block_id, base_seq, data));
            let loader = Loader {
                index: &mut index,
                damaged: &mut damaged,
                live: Live::new(live),
                unknown: Vec::new(),
            };
            let unknown =
                loader.load(&*self.fs, &self.dir, segment, manifest.last_seq, distrust)?;
            self.assume_bytes(&index, segment.live_bytes, &unknown);
        }
        index.last_seq = manifest.last_seq;
        // The damaged generation may have used more ids, and its files are still there.
        let margin = if distrust { ABANDONED_IDS_MAX } else { 0 };
        index.next_block_id = manifest.next_block_id + margin;
        damaged.retain(|seq| index.locate(*seq).is_some());
        *self.damaged.get_mut() = damaged;
        self.tail
            .clear(index.blocks.back().map_or(0, |block| block.entries.len()));
        Ok(index)
    }
}

impl FileRecords {
    /// Gives the damaged messages of unknown size in the last block what the others leave.
    fn assume_bytes(&mut self, index: &Index<Segment>, live_bytes: u64, unknown: &[u64]) {
        let Some(block) = index.blocks.back().filter(|_| !unknown.is_empty()) else {
            return;
        };
        let spans = unknown.iter().filter_map(|seq| index.locate(*seq));
        let spans: u64 = spans.map(|found| u64::from(found.size_bytes)).sum();
        let known = u64::from(block.live_bytes) - spans;
        self.assumed_bytes
            .extend(unknown.iter().map(|seq| (*seq, 0)));
        self.assumed_bytes
            .insert(unknown[0], live_bytes.saturating_sub(known));
    }
}

/// Puts the records of one segment into the last block of the index.
struct Loader<'a> {
    index: &'a mut Index<Segment>,
    damaged: &'a mut BTreeSet<u64>,
    live: Live,
    /// Damaged messages of which only the sequence is known.
    unknown: Vec<u64>,
}

impl Loader<'_> {
    /// Returns the damaged messages of which only the sequence is known.
    fn load(
        mut self,
        fs: &dyn FileSystem,
        dir: &Path,
        segment: &ManifestSegment,
        last_seq: u64,
        distrust: bool,
    ) -> Result<Vec<u64>, Error> {
        let path = dir.join(segment.name.segment_file());
        let (file, file_len) = match fs.open(&path, OpenMode::Read) {
            Ok(file) => {
                let len = file.len()?;
                (Some(file), len)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, 0),
            Err(error) => return Err(error.into()),
        };
        if segment.is_finished && !distrust {
            let sidecar = Sidecar::read(fs, dir, segment.name);
            let decoded = sidecar
                .as_ref()
                .and_then(|s| s.decode(segment.name, segment.size_bytes));
            if let Some((names, records)) = decoded {
                self.block().data.has_sidecar = true;
                self.place_known(&names, &records, file_len);
                self.place_missing_below(u64::MAX, 0);
                return Ok(self.unknown);
            }
        }
        let mut bytes = vec![0; file_len.min(u64::from(segment.size_bytes)) as usize];
        if let Some(file) = file {
            read_exact_at(&*file, &mut bytes, 0)?;
        }
        self.place_scanned(&bytes, segment, last_seq);
        Ok(self.unknown)
    }

    fn block(&mut self) -> &mut Block<Segment> {
        self.index.blocks.back_mut().expect("pushed before loading")
    }

    fn place_known(&mut self, names: &[&[u8]], records: &[SidecarRecord], file_len: u64) {
        let mut ids = vec![UNKNOWN_SUBJECT; names.len()];
        self.block().entries.reserve_exact(records.len());
        for record in records {
            let (seq, size_bytes) = (record.seq, record.size_bytes);
            self.place_missing_below(seq, 0);
            match record.subject {
                Some(place) if self.live.take(seq) => {
                    if ids[place] == UNKNOWN_SUBJECT {
                        ids[place] = self.index.subjects.intern(names[place]);
                    }
                    self.index.append_to(seq, ids[place], size_bytes);
                    if u64::from(self.block().end_offset) > file_len {
                        self.damaged.insert(seq);
                    }
                }
                _ => {
                    // A live message whose subject the sidecar does not have would be a
                    // contradiction; it counts as damaged rather than as gone.
                    match self.live.take(seq) {
                        true => self.place_unknown(seq, size_bytes),
                        false => self.index.append_dead(seq, size_bytes),
                    }
                }
            }
        }
    }

    fn place_scanned(&mut self, bytes: &[u8], segment: &ManifestSegment, last_seq: u64) {
        let base_seq = segment.name.base_seq;
        let seq_max = last_seq.min(base_seq.saturating_add(u64::from(u32::MAX) - 1));
        for record in scan(bytes, base_seq..=seq_max) {
            let gap = record.offset as u32 - self.block().end_offset;
            if !self.place_gap(record.seq, gap) {
                // Nothing belongs between this record and the one before, so one of them lies.
                self.live.take(record.seq);
                self.place_unknown(record.seq, gap + record.size as u32);
            } else if self.live.take(record.seq) {
                self.index
                    .append(record.seq, record.subject, record.size as u32);
            } else {
                self.index.append_dead(record.seq, record.size as u32);
            }
        }
        let gap = segment.size_bytes - self.block().end_offset;
        let has_room = self.place_gap(u64::MAX, gap);
        assert!(
            has_room,
            "there is always a sequence behind the last record"
        );
    }

    /// Accounts for bytes that are no record: they were the live messages not found below `seq`,
    /// or else an erased one. False if there is no sequence to give them to.
    fn place_gap(&mut self, seq: u64, gap_bytes: u32) -> bool {
        if self.place_missing_below(seq, gap_bytes) || gap_bytes == 0 {
            return true;
        }
        let block = self.block();
        let between = if block.entries.is_empty() {
            block.base_seq
        } else {
            block.last_seq() + 1
        };
        let fits = between < seq && between - block.base_seq <= u64::from(u32::MAX);
        if fits {
            self.index.append_dead(between, gap_bytes);
        }
        fits
    }

    /// Adds the live messages below `seq` that were not found, the first of them with the bytes in
    /// their place. True if there was one.
    fn place_missing_below(&mut self, seq: u64, gap_bytes: u32) -> bool {
        let mut size_bytes = gap_bytes;
        let mut any = false;
        while let Some(missing) = self.live.next_below(seq) {
            self.place_unknown(missing, size_bytes);
            (size_bytes, any) = (0, true);
        }
        any
    }

    fn place_unknown(&mut self, seq: u64, size_bytes: u32) {
        self.index.append_unknown(seq, size_bytes);
        self.damaged.insert(seq);
        self.unknown.push(seq);
    }
}

/// The sequences expected in a segment, taken from the front.
struct Live {
    runs: Vec<Range<u64>>,
    at: usize,
}

impl Live {
    fn new(runs: Vec<Range<u64>>) -> Self {
        Live { runs, at: 0 }
    }

    fn front(&mut self) -> Option<&mut Range<u64>> {
        while self.runs.get(self.at).is_some_and(|run| run.is_empty()) {
            self.at += 1;
        }
        self.runs.get_mut(self.at)
    }

    /// Takes the next expected sequence if it is below `seq`.
    fn next_below(&mut self, seq: u64) -> Option<u64> {
        self.front().filter(|run| run.start < seq)?.next()
    }

    /// Takes `seq` if it is the next one expected.
    fn take(&mut self, seq: u64) -> bool {
        self.front()
            .filter(|run| run.start == seq)
            .and_then(|run| run.next())
            .is_some()
    }
}
