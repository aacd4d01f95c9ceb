//! Reads a stream from front to back into the bytes of a backup, while the stream goes on.

use std::sync::Arc;

use backup::BackupWriter;
use bytes::Bytes;
use jetstream::snapshot::{Contents, message_entry};
use messages::ReadLimits;

use crate::asset::Asset;

/// Messages read under one lock.
const BATCH: ReadLimits = ReadLimits {
    messages_max: 512,
    bytes_max: 256 * 1024,
};

pub struct Pages {
    asset: Arc<Asset>,
    contents: Contents,
    writer: BackupWriter,
    next_seq: u64,
    is_complete: bool,
}

impl Pages {
    pub fn new(asset: Arc<Asset>, contents: Contents) -> Self {
        Pages {
            next_seq: contents.state.first_seq,
            asset,
            contents,
            writer: BackupWriter::default(),
            is_complete: false,
        }
    }

    /// The next `bytes` bytes; fewer only at the end. What was removed since the backup began is not in it,
    /// nor what came later.
    pub fn next(&mut self, bytes: usize) -> Result<Bytes, messages::Error> {
        while self.writer.ready_bytes() < bytes && !self.is_complete {
            match self.contents.next_file() {
                Some(file) => self.writer.add(&file),
                None => self.add_messages()?,
            }
        }
        Ok(self.writer.take(bytes))
    }

    fn add_messages(&mut self) -> Result<(), messages::Error> {
        let from_seq = self.next_seq;
        let batch = self
            .asset
            .read(|machine| machine.store().read_batch(from_seq, BATCH))?;
        let last_seq = self.contents.state.last_seq;
        let is_last = batch.last().is_none_or(|message| message.seq >= last_seq);
        for message in batch {
            if message.seq <= last_seq {
                self.next_seq = message.seq + 1;
                self.writer.add(&message_entry(message));
            }
        }
        if is_last {
            self.writer.finish();
            self.is_complete = true;
        }
        Ok(())
    }
}
