//! Making a store durable.
//!
//! First the segments, then the manifest that names them; only then may go what the manifest does
//! not name any more. A crash in between leaves the previous manifest with all it names.

use std::sync::Arc;

use bytes::Bytes;
use storage::fs::{File, OpenMode};

use crate::Error;
use crate::index::{Block, Index};
use crate::store::{Records, Totals};

use super::manifest::{Manifest, ManifestSegment};
use super::segment::{Segment, SegmentName, means_missing};
use super::{Erasure, FileRecords, live_runs, sidecar};

impl FileRecords {
    pub(super) fn make_durable(
        &mut self,
        index: &mut Index<Segment>,
        totals: Totals,
        seal: &[u8],
    ) -> Result<(), Error> {
        if self.sync_failed {
            return Err(Error::SyncFailed);
        }
        self.finish_if_repaired(index)?;
        self.rewrite_segments(index);
        if let Some(block) = index.blocks.back_mut() {
            self.flush(block)?;
        }
        self.sync_segments(index)?;
        let manifest = self.manifest(index, totals, seal);
        manifest.write(&*self.fs, &self.dir)?;
        self.generation = manifest.generation;
        self.seal = Some(Bytes::from(manifest.seal));
        self.tidy_up(index);
        Ok(())
    }

    /// Only finished segments are rewritten, so one with a repaired message has to be.
    fn finish_if_repaired(&mut self, index: &mut Index<Segment>) -> Result<(), Error> {
        let Some(block) = index.blocks.back_mut() else {
            return Ok(());
        };
        if self.repaired.range(block.base_seq..).next().is_some() {
            self.flush(block)?;
            block.data.is_finished = true;
        }
        Ok(())
    }

    fn sync_segments(&mut self, index: &mut Index<Segment>) -> Result<(), Error> {
        for block in index
            .blocks
            .iter_mut()
            .filter(|b| b.data.is_created && !b.data.is_synced)
        {
            let file = self.open_to_sync(block)?;
            if let Err(error) = file.sync_data() {
                let dir = self.dir.display();
                tracing::error!(%error, %dir, "cannot sync a segment; its content is unknown now");
                self.sync_failed = true;
                return Err(Error::SyncFailed);
            }
            block.data.is_synced = true;
        }
        if self.names_changed {
            self.fs.sync_dir(&self.dir)?;
            self.names_changed = false;
        }
        Ok(())
    }

    fn open_to_sync(&self, block: &Block<Segment>) -> Result<Arc<dyn File>, Error> {
        match &self.writer {
            Some((id, file)) if *id == block.id => Ok(file.clone()),
            _ => {
                let path = self.dir.join(SegmentName::of(block).segment_file());
                Ok(self.fs.open(&path, OpenMode::Write)?)
            }
        }
    }

    fn manifest(&self, index: &mut Index<Segment>, totals: Totals, seal: &[u8]) -> Manifest {
        let live_bytes = (0..index.blocks.len()).map(|at| self.live_bytes(index, at));
        let live_bytes: Vec<u64> = live_bytes.collect();
        let blocks = index.blocks.iter_mut().zip(live_bytes);
        let segments = blocks.map(|(block, live_bytes)| ManifestSegment {
            name: SegmentName::of(block),
            size_bytes: block.data.written,
            is_finished: block.data.is_finished,
            live_bytes,
            live_runs: live_runs_of(block),
        });
        Manifest {
            generation: self.generation + 1,
            seal: seal.to_vec(),
            segments: segments.collect(),
            last_seq: index.last_seq,
            last_time_ns: totals.last_time_ns,
            bytes: totals.bytes,
            next_block_id: index.next_block_id,
            damaged: self.damaged.lock().iter().copied().collect(),
            erasures: self.erasures.clone(),
        }
    }

    /// Accounted size of the live messages of a block.
    fn live_bytes(&self, index: &Index<Segment>, at: usize) -> u64 {
        let block = &index.blocks[at];
        let seqs = block.base_seq..=block.last_seq();
        let assumed = self.assumed_bytes.range(seqs.clone()).map(|(seq, _)| *seq);
        let special = assumed.chain(self.repaired.range(seqs).map(|(seq, _)| *seq));
        let special = special.filter_map(|seq| index.locate(seq));
        special.fold(u64::from(block.live_bytes), |sum, found| {
            sum + self.accounted_size(found) - u64::from(found.size_bytes)
        })
    }

    /// What is left to do once the manifest is durable. None of it has to succeed.
    fn tidy_up(&mut self, index: &mut Index<Segment>) {
        self.remove_files();
        self.erase(index);
        self.write_sidecars(index);
        self.relax();
    }

    fn remove_files(&mut self) {
        let generation = self.generation;
        let is_due = |(since, _): &mut (u64, SegmentName)| *since < generation;
        let replaced = self.replaced.extract_if(.., is_due).map(|(_, name)| name);
        for name in self.emptied.drain(..).chain(replaced) {
            for file in [name.segment_file(), name.sidecar_file()] {
                match self.fs.remove_file(&self.dir.join(&file)) {
                    Err(error) if !means_missing(&error) => {
                        // The next opening removes what no manifest names.
                        tracing::warn!(%error, file, "cannot remove a segment file");
                    }
                    _ => {}
                }
            }
        }
    }

    fn erase(&mut self, index: &mut Index<Segment>) {
        let erasures = std::mem::take(&mut self.erasures);
        for erasure in erasures {
            let name = erasure.segment;
            let mut blocks = index.blocks.iter_mut();
            // A segment that was dropped or rewritten in the meantime took its records along.
            let Some(block) = blocks.find(|block| SegmentName::of(block) == name) else {
                continue;
            };
            match self.overwrite(erasure) {
                Ok(()) => block.data.is_synced = false,
                Err(error) => {
                    tracing::warn!(%error, "cannot erase a removed message now");
                    self.erasures.push(erasure);
                }
            }
        }
    }

    fn overwrite(&self, erasure: Erasure) -> Result<(), Error> {
        let path = self.dir.join(erasure.segment.segment_file());
        let file = self.fs.open(&path, OpenMode::Write)?;
        file.write_all_at(
            &vec![0; erasure.size_bytes as usize],
            u64::from(erasure.offset),
        )?;
        Ok(())
    }

    fn write_sidecars(&mut self, index: &mut Index<Segment>) {
        let subjects = &index.subjects;
        let missing =
            |block: &&mut Block<Segment>| block.data.is_finished && !block.data.has_sidecar;
        for block in index.blocks.iter_mut().filter(missing) {
            match sidecar::write(&*self.fs, &self.dir, block, subjects) {
                Ok(written) => block.data.has_sidecar = written,
                Err(error) => {
                    tracing::warn!(%error, "cannot write a segment index now");
                    return;
                }
            }
        }
    }
}

/// The live runs of a block, kept for the next checkpoint if it will not grow.
fn live_runs_of(block: &mut Block<Segment>) -> Vec<u8> {
    if let Some(runs) = &block.data.live_runs {
        return runs.clone();
    }
    let runs = live_runs::encode(block);
    block.data.live_runs = block.data.is_finished.then(|| runs.clone());
    runs
}
