//! Reading segment files, with a little memory of what was read.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use storage::fs::{File, read_exact_at};

/// One chunk per sequential reader that is not close to the writer.
const CHUNKS_MAX: usize = 8;
const HANDLES_MAX: usize = 2;

/// A sequential reader gets chunks that grow from the first size to the second.
const CHUNK_SIZE_BYTES_MIN: u32 = 16 << 10;
const CHUNK_SIZE_BYTES_MAX: u32 = 256 << 10;

/// Reading this close behind an earlier chunk counts as sequential, because filters skip.
const SKIP_BYTES_MAX: u32 = 64 << 10;

/// The chunks and files in use.
#[derive(Default)]
pub(super) struct Reader {
    chunks: VecDeque<Chunk>,
    handles: VecDeque<(u64, Arc<dyn File>)>,
    was_used: bool,
}

struct Chunk {
    block_id: u64,
    start: u32,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u32 {
        self.start + self.bytes.len() as u32
    }

    fn slice(&self, block_id: u64, range: &Range<u32>) -> Option<Bytes> {
        let holds = self.block_id == block_id && self.start <= range.start;
        let from = range.start.checked_sub(self.start)? as usize;
        let to = range.end.checked_sub(self.start)? as usize;
        (holds && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

impl Reader {
    /// The bytes in a range of a block's file, of which `written` bytes are valid.
    pub(super) fn read(
        &mut self,
        block_id: u64,
        range: Range<u32>,
        written: u32,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
    ) -> io::Result<Bytes> {
        self.was_used = true;
        if let Some(found) = self
            .chunks
            .iter()
            .find_map(|chunk| chunk.slice(block_id, &range))
        {
            return Ok(found);
        }
        let end = self
            .read_ahead(block_id, &range)
            .clamp(range.end, written.max(range.end));
        let file = self.file(block_id, open)?;
        let bytes = match read_range(&*file, range.start..end) {
            // A file that ends early still has the records before its end.
            Err(_) if end > range.end => read_range(&*file, range.clone())?,
            bytes => bytes?,
        };
        self.remember(block_id, range.start, bytes);
        let chunk = self.chunks.back().expect("just remembered");
        Ok(chunk
            .slice(block_id, &range)
            .expect("the chunk starts with it"))
    }

    /// Where a chunk for this range should end. Takes away the chunk that this one continues.
    fn read_ahead(&mut self, block_id: u64, range: &Range<u32>) -> u32 {
        let continues = |chunk: &Chunk| {
            let skipped = range.start.checked_sub(chunk.end());
            chunk.block_id == block_id && skipped.is_some_and(|skipped| skipped <= SKIP_BYTES_MAX)
        };
        let before = match self.chunks.iter().position(continues) {
            Some(at) => self
                .chunks
                .remove(at)
                .map_or(0, |chunk| chunk.bytes.len() as u32),
            None if range.start == 0 => CHUNK_SIZE_BYTES_MAX,
            None => return range.end,
        };
        let size = before
            .saturating_mul(4)
            .clamp(CHUNK_SIZE_BYTES_MIN, CHUNK_SIZE_BYTES_MAX);
        range.start.saturating_add(size)
    }

    fn file(
        &mut self,
        block_id: u64,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
    ) -> io::Result<Arc<dyn File>> {
        if let Some((_, file)) = self.handles.iter().find(|(id, _)| *id == block_id) {
            return Ok(file.clone());
        }
        let file = open()?;
        if self.handles.len() == HANDLES_MAX {
            self.handles.pop_front();
        }
        self.handles.push_back((block_id, file.clone()));
        Ok(file)
    }

    /// Keeps bytes that were just read or written.
    pub(super) fn remember(&mut self, block_id: u64, start: u32, bytes: Bytes) {
        if self.chunks.len() == CHUNKS_MAX {
            self.chunks.pop_front();
        }
        self.chunks.push_back(Chunk {
            block_id,
            start,
            bytes,
        });
    }

    /// Lets go of a block whose file changes or goes away.
    pub(super) fn forget(&mut self, block_id: u64) {
        self.chunks.retain(|chunk| chunk.block_id != block_id);
        self.handles.retain(|(id, _)| *id != block_id);
    }

    /// Lets go of everything if nothing was read since the last call.
    pub(super) fn relax(&mut self) {
        if !std::mem::take(&mut self.was_used) {
            *self = Reader::default();
        }
    }
}

fn read_range(file: &dyn File, range: Range<u32>) -> io::Result<Bytes> {
    let mut bytes = vec![0; range.len()];
    read_exact_at(file, &mut bytes, u64::from(range.start))?;
    Ok(Bytes::from(bytes))
}
