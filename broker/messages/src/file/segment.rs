//! A segment file, as the store knows it beside its index.

use std::io;

use crate::index::Block;

/// The file of a block.
#[derive(Debug, Default)]
pub struct Segment {
    /// How much of the block is in the file.
    pub(super) written: u32,
    pub(super) is_created: bool,
    pub(super) is_synced: bool,
    /// Takes no more records.
    pub(super) is_finished: bool,
    pub(super) has_sidecar: bool,
    /// The encoded live runs of a finished block, until a message is removed.
    pub(super) live_runs: Option<Vec<u8>>,
}

/// What tells the files of one block from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) base_seq: u64,
    pub(super) block_id: u64,
}

impl SegmentName {
    pub(super) fn of<D>(block: &Block<D>) -> Self {
        SegmentName {
            base_seq: block.base_seq,
            block_id: block.id,
        }
    }

    pub(super) fn segment_file(self) -> String {
        format!("{:020}-{:08x}.seg", self.base_seq, self.block_id)
    }

    pub(super) fn sidecar_file(self) -> String {
        format!("{:020}-{:08x}.idx", self.base_seq, self.block_id)
    }
}

/// Whether an error of reading says that the bytes are not there, rather than that the device did
/// not answer.
pub(super) fn means_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
    )
}
