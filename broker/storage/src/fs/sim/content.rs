//! The bytes of one simulated file, with what a crash would undo.

use std::collections::BTreeMap;
use std::io;

use super::Rng;

/// What a disk writes in one piece.
pub(super) const BLOCK: u64 = 512;

type Block = [u8; BLOCK as usize];

/// Sparse: a block that is absent is all zeros.
#[derive(Default)]
pub(super) struct Content {
    len: u64,
    blocks: BTreeMap<u64, Block>,
    durable_len: u64,
    /// The durable content of every block changed since the last sync.
    undo: BTreeMap<u64, Block>,
    /// As `undo`, but of blocks a failed sync gave up: only writing them again saves them.
    lost: BTreeMap<u64, Block>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let n = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for piece in pieces(offset, n) {
            let target = &mut buf[piece.start..piece.start + piece.len];
            match self.blocks.get(&piece.block) {
                Some(block) => target.copy_from_slice(&block[piece.within..][..piece.len]),
                None => target.fill(0),
            }
        }
        n
    }

    pub(super) fn write_at(&mut self, buf: &[u8], offset: u64) {
        for piece in pieces(offset, buf.len()) {
            let block = self.block_for_write(piece.block);
            block[piece.within..][..piece.len].copy_from_slice(&buf[piece.start..][..piece.len]);
        }
        self.len = self.len.max(offset + buf.len() as u64);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.clear_from(len);
        }
        self.len = len;
    }

    pub(super) fn sync(&mut self) {
        self.undo.clear();
        self.durable_len = self.len;
    }

    /// The kernel drops the dirty mark of pages it could not write, so they stay at risk.
    pub(super) fn fail_sync(&mut self) {
        for (block, old) in std::mem::take(&mut self.undo) {
            self.lost.entry(block).or_insert(old);
        }
    }

    /// Every change at risk survives or not, block by block.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        if self.len != self.durable_len && rng.coin() {
            self.len = self.durable_len;
        }
        let undo = std::mem::take(&mut self.undo);
        let lost = std::mem::take(&mut self.lost);
        for (block, old) in undo.into_iter().chain(lost) {
            if rng.coin() {
                self.blocks.insert(block, old);
            }
        }
        let len = self.len;
        self.clear_from(len);
        self.sync();
    }

    pub(super) fn flip_bit(&mut self, offset: u64, bit: u8) -> io::Result<()> {
        if offset >= self.len || bit > 7 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (block, within) = (offset / BLOCK, (offset % BLOCK) as usize);
        self.blocks.entry(block).or_insert([0; BLOCK as usize])[within] ^= 1 << bit;
        for old in [self.undo.get_mut(&block), self.lost.get_mut(&block)]
            .into_iter()
            .flatten()
        {
            old[within] ^= 1 << bit;
        }
        Ok(())
    }

    fn block_for_write(&mut self, block: u64) -> &mut Block {
        let current = self.blocks.entry(block).or_insert([0; BLOCK as usize]);
        // Written again, a block that was given up has another chance.
        let durable = self.lost.remove(&block).unwrap_or(*current);
        self.undo.entry(block).or_insert(durable);
        current
    }

    /// Zeros everything from `len` on.
    fn clear_from(&mut self, len: u64) {
        let within = (len % BLOCK) as usize;
        let mut first_whole = len / BLOCK;
        if within > 0 {
            if self.blocks.contains_key(&first_whole) {
                self.block_for_write(first_whole)[within..].fill(0);
            }
            first_whole += 1;
        }
        for (block, old) in self.blocks.split_off(&first_whole) {
            let durable = self.lost.remove(&block).unwrap_or(old);
            self.undo.entry(block).or_insert(durable);
        }
    }
}

/// The part of a read or write that falls into one block.
struct Piece {
    block: u64,
    /// First byte within the block.
    within: usize,
    /// First byte within the caller's buffer.
    start: usize,
    len: usize,
}

fn pieces(offset: u64, total: usize) -> impl Iterator<Item = Piece> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == total {
            return None;
        }
        let at = offset + start as u64;
        let within = (at % BLOCK) as usize;
        let len = (BLOCK as usize - within).min(total - start);
        let piece = Piece {
            block: at / BLOCK,
            within,
            start,
            len,
        };
        start += len;
        Some(piece)
    })
}
