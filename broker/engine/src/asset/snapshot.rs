//! Brings a far-behind replica up to date without stopping the stream.
//!
//! The reader copies messages while commands go on being applied, and takes the exact state at the
//! end: which messages are alive, the machine's state, and the index it stands at. What was removed
//! in between is removed at the receiver then, and commands up to that index, which the log sends
//! again, are skipped by it. So the picture may be later than the position consensus gave it, never
//! in between two commands.
//!
//! The stream of chunks is a sequence of records `length: u32 LE, tag: u8, body`, cut anywhere.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use consensus::{MachineError, SNAPSHOT_CHUNK_MAX_BYTES, SnapshotReader, SnapshotWriter};
use jetstream::StreamMachine;
use jetstream::codec::{Damaged, Reader as Fields, Writer as FieldWriter};
use messages::{Erase, MemoryStore, MessageStore, ReadLimits, StoredMessage};

use super::places::Sealed;
use super::{Asset, State};

const MESSAGE: u8 = 1;
const DELETED: u8 = 2;
const STATE: u8 = 3;

/// Longest record of a snapshot, in bytes: the largest message, or the machine's state.
const RECORD_BYTES_MAX: usize = 1 << 30;
const FIELD_BYTES_MAX: usize = messages::MESSAGE_SIZE_BYTES_MAX as usize;
/// Messages read under one lock.
const BATCH: ReadLimits = ReadLimits {
    messages_max: 4096,
    bytes_max: SNAPSHOT_CHUNK_MAX_BYTES / 2,
};

/// Reads a replica from front to back.
pub struct Reader {
    asset: Arc<Asset>,
    next_seq: u64,
    out: BytesMut,
    complete: bool,
}

impl Reader {
    pub fn new(asset: Arc<Asset>) -> Self {
        Reader {
            asset,
            next_seq: 0,
            out: BytesMut::new(),
            complete: false,
        }
    }

    fn read_more(&mut self) -> Result<(), MachineError> {
        let asset = self.asset.clone();
        let state = asset.state.read();
        let store = state.machine.store();
        let batch = store
            .read_batch(self.next_seq, BATCH)
            .map_err(MachineError::new)?;
        for message in &batch {
            self.next_seq = message.seq + 1;
            put_message(&mut self.out, message);
        }
        if self.next_seq > store.state().last_seq || batch.is_empty() {
            for range in store.deleted() {
                put_deleted(&mut self.out, &range);
            }
            put_state(&mut self.out, &state);
            self.complete = true;
        }
        Ok(())
    }
}

impl SnapshotReader for Reader {
    fn next_chunk(&mut self) -> Result<Option<Bytes>, MachineError> {
        while self.out.is_empty() && !self.complete {
            self.read_more()?;
        }
        if self.out.is_empty() {
            return Ok(None);
        }
        let length = self.out.len().min(SNAPSHOT_CHUNK_MAX_BYTES);
        Ok(Some(self.out.split_to(length).freeze()))
    }
}

/// Builds the received replica beside the one in force.
pub struct Writer {
    asset: Arc<Asset>,
    generation: u64,
    store: Box<dyn MessageStore>,
    input: BytesMut,
    end: Option<End>,
    /// All of it, durable, waiting to be put in force.
    machine: Option<StreamMachine>,
}

struct End {
    first_seq: u64,
    last_seq: u64,
    machine: Bytes,
}

impl Writer {
    pub fn new(asset: Arc<Asset>) -> Result<Self, MachineError> {
        let assignment = asset.assignment.read().clone();
        let (generation, store) = asset
            .places
            .next_store(&asset.env, &assignment)
            .map_err(MachineError::new)?;
        Ok(Writer {
            asset,
            generation,
            store,
            input: BytesMut::new(),
            end: None,
            machine: None,
        })
    }

    /// Makes the received messages durable with the seal, and a machine of them.
    fn build(&mut self, seal: Bytes) -> Result<StreamMachine, MachineError> {
        let Some(end) = &self.end else {
            return Err(MachineError::new("snapshot ended before its state"));
        };
        self.store.compact(end.first_seq).map_err(failed)?;
        self.store.skip_to(end.last_seq + 1);
        let sealed = Sealed {
            consensus: seal,
            machine: end.machine.clone(),
        };
        self.store.checkpoint(&sealed.encode()).map_err(failed)?;
        let store = std::mem::replace(&mut self.store, Box::new(MemoryStore::new()));
        StreamMachine::decode_state(sealed.machine, store).map_err(MachineError::new)
    }

    fn record(&mut self, tag: u8, body: Bytes) -> Result<(), MachineError> {
        let mut fields = Fields::new(body);
        match tag {
            MESSAGE => {
                let message = read_message(&mut fields).map_err(MachineError::new)?;
                let StoredMessage {
                    seq,
                    time_ns,
                    subject,
                    headers,
                    payload,
                } = message;
                self.store
                    .append(seq, time_ns, &subject, &headers, &payload)
                    .map_err(MachineError::new)
            }
            DELETED => {
                let range = read_deleted(&mut fields).map_err(MachineError::new)?;
                self.remove(range)
            }
            STATE => {
                self.end = Some(read_end(&mut fields).map_err(MachineError::new)?);
                Ok(())
            }
            _ => Err(MachineError::new("snapshot has an unknown record")),
        }
    }

    fn remove(&mut self, range: RangeInclusive<u64>) -> Result<(), MachineError> {
        let filters = messages::Filters::everything();
        let mut seq = *range.start();
        while let Some(found) = self.store.next_matching(&filters, seq)
            && found <= *range.end()
        {
            self.store
                .remove(found, Erase::No)
                .map_err(MachineError::new)?;
            seq = found + 1;
        }
        Ok(())
    }
}

impl SnapshotWriter for Writer {
    fn chunk(&mut self, chunk: Bytes) -> Result<(), MachineError> {
        self.input.extend_from_slice(&chunk);
        while let Some(head) = self.input.first_chunk::<4>() {
            let length = u32::from_le_bytes(*head) as usize;
            if length == 0 || length > RECORD_BYTES_MAX {
                return Err(MachineError::new(
                    "snapshot has a record of impossible length",
                ));
            }
            if self.input.len() < 4 + length {
                break;
            }
            self.input.advance(4);
            let mut record = self.input.split_to(length).freeze();
            let tag = record.get_u8();
            self.record(tag, record)?;
        }
        Ok(())
    }

    fn finish(&mut self, seal: Bytes) -> Result<(), MachineError> {
        let machine = match self.machine.take() {
            Some(machine) => machine,
            None => self.build(seal)?,
        };
        // The old store's files go away with the switch: the lock keeps readers out meanwhile.
        let mut state = self.asset.state.write();
        let places = &self.asset.places;
        if let Err(error) = places.switch_to(&*self.asset.env.fs, self.generation) {
            self.machine = Some(machine);
            return Err(failed(error));
        }
        *state = State {
            machine,
            failed: None,
        };
        Ok(())
    }
}

/// A full device has room again some day.
fn failed(error: impl Into<messages::Error>) -> MachineError {
    match error.into() {
        error @ messages::Error::Full => MachineError::passing(error),
        error => MachineError::new(error),
    }
}

fn put_record(out: &mut BytesMut, tag: u8, body: &[u8]) {
    out.put_u32_le(1 + body.len() as u32);
    out.put_u8(tag);
    out.put_slice(body);
}

fn put_message(out: &mut BytesMut, message: &StoredMessage) {
    let size = message.subject.len() + message.headers.len() + message.payload.len();
    let mut body = FieldWriter::with_capacity(size + 48);
    body.u64(message.seq);
    body.i64(message.time_ns);
    body.bytes(&message.subject);
    body.bytes(&message.headers);
    body.bytes(&message.payload);
    put_record(out, MESSAGE, &body.finish());
}

fn read_message(fields: &mut Fields) -> Result<StoredMessage, Damaged> {
    Ok(StoredMessage {
        seq: fields.u64("sequence")?,
        time_ns: fields.i64("time")?,
        subject: fields.bytes(FIELD_BYTES_MAX, "subject")?,
        headers: fields.bytes(FIELD_BYTES_MAX, "headers")?,
        payload: fields.bytes(FIELD_BYTES_MAX, "payload")?,
    })
}

fn put_deleted(out: &mut BytesMut, range: &RangeInclusive<u64>) {
    let mut body = FieldWriter::with_capacity(20);
    body.u64(*range.start());
    body.u64(*range.end());
    put_record(out, DELETED, &body.finish());
}

fn read_deleted(fields: &mut Fields) -> Result<RangeInclusive<u64>, Damaged> {
    Ok(fields.u64("first deleted")?..=fields.u64("last deleted")?)
}

fn put_state(out: &mut BytesMut, state: &State) {
    let held = state.machine.store().state();
    let machine = state.machine.encode_state();
    let mut body = FieldWriter::with_capacity(machine.len() + 48);
    body.u64(held.first_seq);
    body.u64(held.last_seq);
    body.bytes(&machine);
    put_record(out, STATE, &body.finish());
}

fn read_end(fields: &mut Fields) -> Result<End, Damaged> {
    Ok(End {
        first_seq: fields.u64("first sequence")?,
        last_seq: fields.u64("last sequence")?,
        machine: fields.bytes(RECORD_BYTES_MAX, "machine state")?,
    })
}
