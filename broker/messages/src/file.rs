//! Messages in segment files.
//!
//! A block of the index is a segment file. New records collect in the [`Tail`] and reach the file
//! in large writes, never synced; [`checkpoint`] makes them durable and writes a manifest, and
//! [`open`] returns to what the manifest says. A segment is only ever extended, so whatever was
//! written after the last checkpoint lies behind what the manifest names and is ignored.
//!
//! ```text
//! manifest.0, manifest.1          the last two checkpoints, in turns
//! <first seq>-<block id>.seg      records, one behind the other
//! <first seq>-<block id>.idx      the index of a finished segment, to not read it when opening
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use storage::fs::{File, FileSystem, OpenMode};

use crate::index::{Block, Index, Located};
use crate::store::{NewMessage, Records, Store, Totals};
use crate::{Erase, Error, StoredMessage};

use reader::Reader;
use segment::{Segment, SegmentName};
use tail::Tail;

mod checkpoint;
mod codec;
mod live_runs;
mod manifest;
mod open;
mod reader;
mod record;
mod rewrite;
mod scan;
mod segment;
mod sidecar;
mod tail;

#[cfg(test)]
mod tests;

/// A store in a directory of its own.
pub type FileStore = Store<FileRecords>;

/// Sizes of a [`FileStore`]. They may differ from one opening to the next.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    /// A segment that reaches this size is finished and another one begun. At most 1 GiB.
    pub segment_size_bytes: u32,
    /// How much collects in memory before it is written to a segment.
    pub write_size_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions {
            segment_size_bytes: 8 << 20,
            write_size_bytes: 256 << 10,
        }
    }
}

/// The messages of a [`FileStore`].
pub struct FileRecords {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    options: FileOptions,
    /// The end of the last block, not written yet.
    tail: Tail,
    /// The file of the last block, while there is something to write.
    writer: Option<(u64, Arc<dyn File>)>,
    /// The last attempt to write failed; the tail has what it had.
    is_full: bool,
    /// No attempt to write again before the tail is this large.
    retry_at_bytes: usize,
    /// A sync failed. What the kernel kept is unknown, so nothing can be made durable any more.
    sync_failed: bool,
    reader: Mutex<Reader>,
    damaged: Mutex<BTreeSet<u64>>,
    /// What the damaged messages of unknown size take together, by segment, so that
    /// [`State::bytes`](crate::State::bytes) comes out right when they are repaired or removed. The
    /// first one has the whole, the others nothing.
    assumed_bytes: BTreeMap<u64, u64>,
    /// Good records for damaged ones, until their segment is rewritten.
    repaired: BTreeMap<u64, Bytes>,
    erasures: Vec<Erasure>,
    generation: u64,
    seal: Option<Bytes>,
    /// Segments without messages, to be deleted once no manifest names them.
    emptied: Vec<SegmentName>,
    /// Segments replaced by a rewrite, to be deleted a checkpoint later still, because the manifest
    /// before the last one names them and may be needed. With the generation that replaced them.
    replaced: Vec<(u64, SegmentName)>,
    /// Files were created since the directory was last synced.
    names_changed: bool,
}

/// A record to be overwritten with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Erasure {
    segment: SegmentName,
    offset: u32,
    size_bytes: u32,
}

impl FileRecords {
    fn new(fs: Arc<dyn FileSystem>, dir: PathBuf, options: FileOptions) -> Self {
        FileRecords {
            fs,
            dir,
            options,
            tail: Tail::default(),
            writer: None,
            is_full: false,
            retry_at_bytes: options.write_size_bytes,
            sync_failed: false,
            reader: Mutex::default(),
            damaged: Mutex::default(),
            assumed_bytes: BTreeMap::new(),
            repaired: BTreeMap::new(),
            erasures: Vec::new(),
            generation: 0,
            seal: None,
            emptied: Vec::new(),
            replaced: Vec::new(),
            names_changed: false,
        }
    }

    /// Writes the tail to the last block's file. On failure the tail stays.
    fn flush(&mut self, block: &mut Block<Segment>) -> Result<(), Error> {
        if self.tail.is_empty() {
            return Ok(());
        }
        let written = self.write_tail(block);
        self.is_full = written.is_err();
        if written.is_err() {
            self.retry_at_bytes = self.tail.len_bytes() + self.options.write_size_bytes;
        }
        written
    }

    fn write_tail(&mut self, block: &mut Block<Segment>) -> Result<(), Error> {
        assert_eq!(
            block.data.written + self.tail.len_bytes() as u32,
            block.end_offset
        );
        let bytes = self.tail.concatenated();
        self.writer(block)?
            .write_all_at(&bytes, u64::from(block.data.written))?;
        // Readers are often close behind the writer.
        self.reader
            .get_mut()
            .remember(block.id, block.data.written, bytes);
        block.data.written = block.end_offset;
        block.data.is_synced = false;
        self.tail.clear(block.entries.len());
        self.retry_at_bytes = self.options.write_size_bytes;
        Ok(())
    }

    fn writer(&mut self, block: &mut Block<Segment>) -> Result<Arc<dyn File>, Error> {
        match &self.writer {
            Some((id, file)) if *id == block.id => Ok(file.clone()),
            _ => {
                let path = self.dir.join(SegmentName::of(block).segment_file());
                let file = self.fs.open(&path, OpenMode::Write)?;
                if !block.data.is_created {
                    // A file of an abandoned future may have had this name.
                    file.set_len(0)?;
                    block.data.is_created = true;
                    self.names_changed = true;
                }
                self.writer = Some((block.id, file.clone()));
                Ok(file)
            }
        }
    }

    fn is_in_tail(&self, block: &Block<Segment>, found: Located) -> bool {
        block.data.written < block.end_offset && self.tail.has(found.at.entry)
    }

    /// The bytes of a record as they lie in the file or the tail, unchecked.
    fn raw_record(&self, block: &Block<Segment>, found: Located) -> Result<Bytes, Error> {
        if self.is_in_tail(block, found) {
            return Ok(self.tail.record(found.at.entry));
        }
        let open = || {
            let path = self.dir.join(SegmentName::of(block).segment_file());
            self.fs.open(&path, OpenMode::Read)
        };
        let range = found.offset..found.offset + found.size_bytes;
        Ok(self
            .reader
            .lock()
            .read(block.id, range, block.data.written, open)?)
    }
}

impl Records for FileRecords {
    type Data = Segment;

    /// As nats-server accounts for a file store, which is also what a record takes here.
    fn message_size(&self, subject_len: usize, headers_len: usize, payload_len: usize) -> u64 {
        record::size_bytes(subject_len, headers_len, payload_len)
    }

    fn new_data(&mut self) -> Segment {
        self.tail.clear(0);
        Segment::default()
    }

    fn is_complete(&self, block: &Block<Segment>) -> bool {
        let is_large = block.end_offset >= self.options.segment_size_bytes;
        let may_write = !self.is_full || self.tail.len_bytes() >= self.retry_at_bytes;
        block.data.is_finished || (is_large && may_write)
    }

    fn finish(&mut self, block: &mut Block<Segment>) -> Result<(), Error> {
        self.flush(block)?;
        block.data.is_finished = true;
        Ok(())
    }

    fn write(&mut self, block: &mut Block<Segment>, message: NewMessage<'_>) {
        self.tail.push(message);
        if self.tail.len_bytes() >= self.retry_at_bytes {
            // The tail keeps what cannot be written, and `is_full` tells.
            if let Err(error) = self.flush(block) {
                tracing::warn!(%error, dir = %self.dir.display(), "cannot write messages");
            }
        }
    }

    fn read(&self, block: &Block<Segment>, found: Located) -> Result<StoredMessage, Error> {
        let seq = found.seq;
        if let Some(repaired) = self.repaired.get(&seq) {
            return record::decode(repaired, seq).ok_or(Error::Damaged { seq });
        }
        let in_tail = self.is_in_tail(block, found);
        if !in_tail && self.damaged.lock().contains(&seq) {
            return Err(Error::Damaged { seq });
        }
        let bytes = match self.raw_record(block, found) {
            Err(Error::Io(error)) if segment::means_missing(&error) => Bytes::new(),
            bytes => bytes?,
        };
        let is_intact = in_tail || record::is_intact(&bytes);
        match record::decode(&bytes, seq).filter(|_| is_intact) {
            Some(message) => Ok(message),
            None => {
                tracing::error!(seq, dir = %self.dir.display(), "message is damaged on disk");
                self.damaged.lock().insert(seq);
                Err(Error::Damaged { seq })
            }
        }
    }

    fn accounted_size(&self, found: Located) -> u64 {
        let repaired = self
            .repaired
            .get(&found.seq)
            .map(|record| record.len() as u64);
        let assumed = || self.assumed_bytes.get(&found.seq).copied();
        repaired
            .or_else(assumed)
            .unwrap_or(u64::from(found.size_bytes))
    }

    fn forget(&mut self, block: &mut Block<Segment>, found: Located, erase: Erase) {
        block.data.live_runs = None;
        self.damaged.get_mut().remove(&found.seq);
        self.repaired.remove(&found.seq);
        self.assumed_bytes.remove(&found.seq);
        if erase == Erase::No {
            return;
        }
        if self.is_in_tail(block, found) {
            self.tail.erase(found.at.entry);
        } else {
            self.reader.get_mut().forget(block.id);
            let (segment, offset) = (SegmentName::of(block), found.offset);
            self.erasures.push(Erasure {
                segment,
                offset,
                size_bytes: found.size_bytes,
            });
        }
    }

    fn drop_block(&mut self, block: Block<Segment>) {
        let seqs = block.base_seq..=block.last_seq();
        self.damaged.get_mut().retain(|seq| !seqs.contains(seq));
        self.repaired.retain(|seq, _| !seqs.contains(seq));
        self.assumed_bytes.retain(|seq, _| !seqs.contains(seq));
        self.reader.get_mut().forget(block.id);
        if self.writer.as_ref().is_some_and(|(id, _)| *id == block.id) {
            self.writer = None;
        }
        if block.data.written < block.end_offset {
            self.tail.clear(0);
            self.is_full = false;
            self.retry_at_bytes = self.options.write_size_bytes;
        }
        if block.data.is_created {
            self.emptied.push(SegmentName::of(&block));
        }
    }

    fn checkpoint(
        &mut self,
        index: &mut Index<Segment>,
        totals: Totals,
        seal: &[u8],
    ) -> Result<(), Error> {
        let done = self.make_durable(index, totals, seal);
        match &done {
            Ok(()) => self.is_full = false,
            Err(Error::Full) => self.is_full = true,
            Err(_) => {}
        }
        done
    }

    fn relax(&mut self) {
        self.reader.get_mut().relax();
        if self.tail.is_empty() {
            self.writer = None;
            self.tail.shrink();
        }
    }

    fn seal(&self) -> Option<Bytes> {
        self.seal.clone()
    }

    fn is_full(&self) -> bool {
        self.is_full
    }

    fn damaged(&self) -> Vec<u64> {
        self.damaged.lock().iter().copied().collect()
    }

    fn repair(&mut self, found: Located, message: &StoredMessage) -> Result<(), Error> {
        let StoredMessage {
            seq,
            time_ns,
            subject,
            headers,
            payload,
        } = message;
        let (seq, time_ns) = (*seq, *time_ns);
        let record = record::encode(NewMessage {
            seq,
            time_ns,
            subject,
            headers,
            payload,
        });
        self.damaged.get_mut().remove(&found.seq);
        self.assumed_bytes.remove(&found.seq);
        self.repaired.insert(found.seq, record);
        Ok(())
    }
}
