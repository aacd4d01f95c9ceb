//! Messages in memory.

use bytes::{Bytes, BytesMut};

use crate::index::{Block, Index, Located};
use crate::store::{NewMessage, Records, Store, Totals};
use crate::{Erase, Error, StoredMessage};

/// A store that lives as long as the process.
pub type MemoryStore = Store<MemoryRecords>;

/// Messages per block. Blocks that are mostly dead shrink, so this bounds the work of that.
const BLOCK_MESSAGES_MAX: usize = 4096;

/// A block with fewer entries is not worth shrinking.
const SHRINK_ENTRIES_MIN: usize = 64;

/// The messages of a [`MemoryStore`].
#[derive(Default)]
pub struct MemoryRecords {
    seal: Option<Bytes>,
}

/// One message: subject, headers and payload in one allocation.
pub struct Record {
    time_ns: i64,
    subject_len: u16,
    headers_len: u32,
    bytes: Bytes,
}

impl MemoryStore {
    pub fn new() -> Self {
        Store::with_index(Index::new(), MemoryRecords::default(), Totals::default())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl Record {
    fn new(message: NewMessage<'_>) -> Self {
        let NewMessage {
            subject,
            headers,
            payload,
            ..
        } = message;
        let mut bytes = BytesMut::with_capacity(subject.len() + headers.len() + payload.len());
        bytes.extend_from_slice(subject);
        bytes.extend_from_slice(headers);
        bytes.extend_from_slice(payload);
        Record {
            time_ns: message.time_ns,
            subject_len: subject.len() as u16,
            headers_len: headers.len() as u32,
            bytes: bytes.freeze(),
        }
    }

    fn message(&self, seq: u64) -> StoredMessage {
        let headers_at = usize::from(self.subject_len);
        let payload_at = headers_at + self.headers_len as usize;
        StoredMessage {
            seq,
            time_ns: self.time_ns,
            subject: self.bytes.slice(..headers_at),
            headers: self.bytes.slice(headers_at..payload_at),
            payload: self.bytes.slice(payload_at..),
        }
    }
}

impl Records for MemoryRecords {
    /// A record per entry, `None` where the entry is dead.
    type Data = Vec<Option<Record>>;

    /// As nats-server accounts for a memory store: sequence and time beside the bytes.
    fn message_size(&self, subject_len: usize, headers_len: usize, payload_len: usize) -> u64 {
        (subject_len + headers_len + payload_len + 16) as u64
    }

    fn new_data(&mut self) -> Self::Data {
        Vec::new()
    }

    fn is_complete(&self, block: &Block<Self::Data>) -> bool {
        block.entries.len() >= BLOCK_MESSAGES_MAX
    }

    fn finish(&mut self, block: &mut Block<Self::Data>) -> Result<(), Error> {
        block.data.shrink_to_fit();
        Ok(())
    }

    fn write(&mut self, block: &mut Block<Self::Data>, message: NewMessage<'_>) {
        block.data.push(Some(Record::new(message)));
    }

    fn read(&self, block: &Block<Self::Data>, found: Located) -> Result<StoredMessage, Error> {
        let record = block.data[found.at.entry].as_ref();
        Ok(record
            .expect("a live entry has its record")
            .message(found.seq))
    }

    fn forget(&mut self, block: &mut Block<Self::Data>, found: Located, _: Erase) {
        block.data[found.at.entry] = None;
        let entries = block.entries.len();
        if entries >= SHRINK_ENTRIES_MIN && (block.live as usize) < entries / 2 && block.live > 0 {
            block.drop_dead();
            block.data.retain(|record| record.is_some());
            block.data.shrink_to_fit();
        }
    }

    fn drop_block(&mut self, _: Block<Self::Data>) {}

    fn checkpoint(
        &mut self,
        _: &mut Index<Self::Data>,
        _: Totals,
        seal: &[u8],
    ) -> Result<(), Error> {
        self.seal = Some(Bytes::copy_from_slice(seal));
        Ok(())
    }

    fn seal(&self) -> Option<Bytes> {
        self.seal.clone()
    }

    fn repair(&mut self, found: Located, _: &StoredMessage) -> Result<(), Error> {
        Err(Error::NotDamaged { seq: found.seq })
    }
}
