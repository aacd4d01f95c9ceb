//! A stream's state outside its message store, as bytes for checkpoints and snapshots.

use std::collections::BTreeMap;

use bytes::Bytes;
use messages::MessageStore;

use super::StreamMachine;
use super::consumers::Consumer;
use super::dedupe::Dedupe;
use super::expiry::Ttls;
use super::restore::Restoration;
use super::schedules::Schedules;
use crate::codec::{Damaged, Reader, Writer};
use crate::command::encoding::{read_json, write_json};
use crate::consumer::State;

/// First byte of an encoded state.
const VERSION: u8 = 4;
/// The first version, which knew no sources.
const VERSION_WITHOUT_SOURCES: u8 = 1;
/// The last version that knew no schedules.
const VERSION_WITHOUT_SCHEDULES: u8 = 2;
/// The last version that knew no backups.
const VERSION_WITHOUT_RESTORATION: u8 = 3;
/// Most consumers in an encoded state.
const MAX_CONSUMERS: usize = 1024 * 1024;
/// Largest encoded state of one consumer, bytes.
const MAX_CONSUMER_BYTES: usize = 1024 * 1024 * 1024;
/// Longest message id or consumer name, bytes.
const MAX_NAME_BYTES: usize = 64 * 1024;

impl StreamMachine {
    /// Everything but the messages: configuration, duplicate window, times to live, consumers.
    pub fn encode_state(&self) -> Bytes {
        let mut out = Writer::with_capacity(4096);
        out.u8(VERSION);
        write_json(&mut out, &self.config);
        out.i64(self.created_ns);
        out.i64(self.now_ns);
        out.u64(self.applied_index);
        out.bytes(&self.last_msg_id);
        self.dedupe.encode(&mut out);
        self.ttls.encode(&mut out);
        out.u64(self.aged_below);
        out.u64(self.consumers.len() as u64);
        for (name, consumer) in &self.consumers {
            out.str(name);
            write_json(&mut out, &consumer.config);
            out.i64(consumer.created_ns);
            out.bytes(&consumer.state.encode());
        }
        self.encode_positions(&mut out);
        self.schedules.encode(&mut out);
        self.encode_restoration(&mut out);
        out.finish()
    }

    /// The machine that [`encode_state`](StreamMachine::encode_state) described. `store` must hold
    /// the messages of the same moment.
    ///
    /// # Errors
    /// The input is damaged, or written by a version this one does not know.
    pub fn decode_state(
        input: Bytes,
        store: Box<dyn MessageStore>,
    ) -> Result<StreamMachine, Damaged> {
        let mut input = Reader::new(input);
        let version = input.u8("stream state version")?;
        if !(VERSION_WITHOUT_SOURCES..=VERSION).contains(&version) {
            return Err(Damaged {
                what: "stream state version",
                offset: 0,
            });
        }
        let mut machine = StreamMachine {
            config: read_json(&mut input)?,
            created_ns: input.i64("creation time")?,
            store,
            now_ns: input.i64("stream time")?,
            applied_index: input.u64("applied index")?,
            last_msg_id: input.bytes(MAX_NAME_BYTES, "last message id")?.to_vec(),
            dedupe: Dedupe::decode(&mut input)?,
            ttls: Ttls::decode(&mut input)?,
            aged_below: input.u64("age limit position")?,
            consumers: read_consumers(&mut input)?,
            copied: match version {
                VERSION_WITHOUT_SOURCES => BTreeMap::new(),
                _ => super::copy::decode_positions(&mut input)?,
            },
            schedules: match version {
                ..=VERSION_WITHOUT_SCHEDULES => Schedules::default(),
                _ => Schedules::decode(&mut input)?,
            },
            restoration: match version {
                ..=VERSION_WITHOUT_RESTORATION => Restoration::Complete,
                _ => super::restore::decode_restoration(&mut input)?,
            },
            transform: None,
            republish: None,
        };
        input.finish("end of stream state")?;
        machine.prepare_transforms();
        Ok(machine)
    }
}

fn read_consumers(input: &mut Reader) -> Result<BTreeMap<String, Consumer>, Damaged> {
    let mut consumers = BTreeMap::new();
    for _ in 0..input.count(MAX_CONSUMERS, "consumer count")? {
        let name = input.string(MAX_NAME_BYTES, "consumer name")?;
        let config = read_json(input)?;
        let created_ns = input.i64("consumer creation time")?;
        let state = State::decode(input.bytes(MAX_CONSUMER_BYTES, "consumer state")?)?;
        consumers.insert(name, Consumer::new(config, created_ns, state));
    }
    Ok(consumers)
}
