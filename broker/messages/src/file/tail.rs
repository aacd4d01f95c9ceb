//! The records at the end of the last block that are not written yet.

use bytes::{Bytes, BytesMut};

use crate::store::NewMessage;

use super::record;

/// Room for the records to come grows from the first size to the second while messages arrive, so
/// that an idle stream holds little.
const CHUNK_SIZE_BYTES_MIN: usize = 1 << 10;
const CHUNK_SIZE_BYTES_MAX: usize = 64 << 10;

/// Records in memory, each a slice of a shared chunk, so that reading one copies nothing.
#[derive(Default)]
pub(super) struct Tail {
    records: Vec<Bytes>,
    /// The entry of the first record in the last block.
    first_entry: usize,
    len_bytes: usize,
    /// The rest of the current chunk; always empty, only its capacity matters.
    chunk: BytesMut,
    chunk_size_bytes: usize,
}

impl Tail {
    pub(super) fn push(&mut self, message: NewMessage<'_>) {
        let (subject, headers) = (message.subject.len(), message.headers.len());
        let size_bytes = record::size_bytes(subject, headers, message.payload.len()) as usize;
        if self.chunk.capacity() < size_bytes {
            let next = self
                .chunk_size_bytes
                .clamp(CHUNK_SIZE_BYTES_MIN, CHUNK_SIZE_BYTES_MAX);
            self.chunk = BytesMut::with_capacity(next.max(size_bytes));
            self.chunk_size_bytes = next * 2;
        }
        record::encode_to(message, &mut self.chunk);
        self.records.push(self.chunk.split().freeze());
        self.len_bytes += size_bytes;
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// Whether the record of an entry of the last block is here.
    pub(super) fn has(&self, entry: usize) -> bool {
        entry >= self.first_entry
    }

    /// The record of an entry of the last block.
    pub(super) fn record(&self, entry: usize) -> Bytes {
        self.records[entry - self.first_entry].clone()
    }

    /// Makes sure that a record is never written.
    pub(super) fn erase(&mut self, entry: usize) {
        let record = &mut self.records[entry - self.first_entry];
        *record = Bytes::from(vec![0; record.len()]);
    }

    /// All records as they will be in the file.
    pub(super) fn concatenated(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.len_bytes);
        self.records
            .iter()
            .for_each(|record| bytes.extend_from_slice(record));
        Bytes::from(bytes)
    }

    /// Forgets the records; the next one belongs to `next_entry`.
    pub(super) fn clear(&mut self, next_entry: usize) {
        self.records.clear();
        self.len_bytes = 0;
        self.first_entry = next_entry;
    }

    /// Gives memory back while nothing is happening.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            self.records = Vec::new();
            self.chunk = BytesMut::new();
            self.chunk_size_bytes = 0;
        }
    }
}
