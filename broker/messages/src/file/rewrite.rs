//! Giving back the room of removed messages, and mending damaged segments.
//!
//! Segments that are mostly dead are copied together into new ones, a bounded amount at a time. A
//! repaired message reaches the disk the same way.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use storage::fs::OpenMode;

use crate::Error;
use crate::index::{Block, Index, Located, Position};

use super::segment::{Segment, SegmentName, means_missing};
use super::{FileRecords, record};

/// Bytes copied per checkpoint, so that a checkpoint stays short. One segment may exceed it.
const REWRITE_BYTES_MAX: u64 = 16 << 20;

/// A finished segment smaller than this part of the usual size joins its neighbours.
const SMALL_DIVISOR: u32 = 4;

impl FileRecords {
    /// Rewrites what is worth it. Failing is no harm: the old segments stay.
    pub(super) fn rewrite_segments(&mut self, index: &mut Index<Segment>) {
        let mut budget_bytes = REWRITE_BYTES_MAX;
        let mut at = 0;
        while at < index.blocks.len() && budget_bytes > 0 {
            if let Some(run) = self.run_worth_rewriting(index, at) {
                let live_bytes = index
                    .blocks
                    .range(run.clone())
                    .map(|b| u64::from(b.live_bytes));
                budget_bytes = budget_bytes.saturating_sub(live_bytes.sum());
                if let Err(error) = self.rewrite(index, run) {
                    let dir = self.dir.display();
                    tracing::warn!(%error, %dir, "cannot rewrite segments now");
                    return;
                }
            }
            at += 1;
        }
    }

    /// The neighbouring blocks from `at` on that should become one.
    fn run_worth_rewriting(&self, index: &Index<Segment>, at: usize) -> Option<Range<usize>> {
        let base_seq = index.blocks[at].base_seq;
        let mut room_bytes = u64::from(self.options.segment_size_bytes);
        let mut is_needed = false;
        let mut end = at;
        for block in index.blocks.range(at..) {
            let needs = self.needs_rewrite(block);
            let is_small = block.end_offset < self.options.segment_size_bytes / SMALL_DIVISOR;
            let is_near = block.last_seq() - base_seq <= u64::from(u32::MAX);
            let is_first_or_fits = end == at || u64::from(block.live_bytes) <= room_bytes;
            let joins = block.data.is_finished && (needs || is_small) && is_near;
            if !joins || !is_first_or_fits {
                break;
            }
            room_bytes = room_bytes.saturating_sub(u64::from(block.live_bytes));
            is_needed |= needs;
            end += 1;
        }
        (is_needed || end > at + 1).then_some(at..end)
    }

    fn needs_rewrite(&self, block: &Block<Segment>) -> bool {
        let is_sparse = block.live_bytes < block.end_offset / 2;
        let seqs = block.base_seq..=block.last_seq();
        is_sparse || self.repaired.range(seqs).next().is_some()
    }

    fn rewrite(&mut self, index: &mut Index<Segment>, run: Range<usize>) -> Result<(), Error> {
        let (mut block, bytes) = self.copy_live(index, run.clone())?;
        let name = SegmentName::of(&block);
        let path = self.dir.join(name.segment_file());
        if let Err(error) = self.create_file(&path, &bytes) {
            // The name is taken by nothing that counts, so what remains of it may stay as well.
            let _ = self.fs.remove_file(&path);
            return Err(error.into());
        }
        self.names_changed = true;
        block.data.written = block.end_offset;
        block.shrink();
        for old in index.blocks.range(run.clone()) {
            self.repaired
                .retain(|seq, _| !(old.base_seq..=old.last_seq()).contains(seq));
            self.reader.get_mut().forget(old.id);
            self.replaced
                .push((self.generation + 1, SegmentName::of(old)));
        }
        index.replace_blocks(run, block);
        Ok(())
    }

    fn create_file(&self, path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.fs.open(path, OpenMode::Write)?;
        file.set_len(0)?;
        file.write_all_at(bytes, 0)
    }

    /// A block with what is live in a run of blocks, and its bytes.
    fn copy_live(
        &self,
        index: &mut Index<Segment>,
        run: Range<usize>,
    ) -> Result<(Block<Segment>, Vec<u8>), Error> {
        let data = Segment {
            is_created: true,
            is_finished: true,
            ..Segment::default()
        };
        let base_seq = index.blocks[run.start].base_seq;
        let mut block = Block::new(index.take_block_id(), base_seq, data);
        let mut bytes = Vec::new();
        for old in run {
            let source = &index.blocks[old];
            for (at, entry) in source
                .entries
                .iter()
                .enumerate()
                .filter(|(_, e)| e.is_live())
            {
                let (seq, at) = (
                    source.seq_of(at),
                    Position {
                        block: old,
                        entry: at,
                    },
                );
                let record = self.record_to_copy(source, index.located(seq, at))?;
                block.adopt(seq, *entry, record.len() as u32);
                bytes.extend_from_slice(&record);
            }
        }
        Ok((block, bytes))
    }

    /// The bytes of a live record. Damaged ones are copied as they are, or as zeros where there is
    /// nothing, and stay damaged.
    fn record_to_copy(&self, block: &Block<Segment>, found: Located) -> Result<Bytes, Error> {
        if let Some(repaired) = self.repaired.get(&found.seq) {
            return Ok(repaired.clone());
        }
        let bytes = match self.raw_record(block, found) {
            Err(Error::Io(error)) if means_missing(&error) => {
                Bytes::from(vec![0; found.size_bytes as usize])
            }
            bytes => bytes?,
        };
        if !record::is_intact(&bytes) {
            self.damaged.lock().insert(found.seq);
        }
        Ok(bytes)
    }
}
