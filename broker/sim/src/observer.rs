//! Looks into the replicas while they run: what each has applied is committed, so no two may ever
//! differ in it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use consensus::NodeId;
use consensus::formation::Identity;
use engine::{Asset, Engine};
use messages::{ReadLimits, StoredMessage};
use parking_lot::Mutex;
use storage::fs::read_file;

use crate::broker::ACCOUNT;
use crate::trace::Trace;
use crate::workload::{CONSUMER, EVENTS, STREAMS};

const IDENTITY_BYTES_MAX: u64 = 1 << 20;
const EVERYTHING: ReadLimits = ReadLimits {
    messages_max: 1 << 20,
    bytes_max: 1 << 30,
};

/// A stream as one replica has it.
#[derive(Debug, Clone, Default)]
pub struct StreamView {
    pub messages: BTreeMap<u64, StoredMessage>,
    pub first_seq: u64,
    pub last_seq: u64,
    pub consumer: Option<ConsumerView>,
    pub applied_index: u64,
    pub failure: Option<String>,
}

/// The consumer's replicated state.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerView {
    pub ack_floor: u64,
    pub delivered: u64,
    /// Stream sequences delivered and not acknowledged.
    pub pending: Vec<u64>,
}

/// What was seen of all replicas over time.
#[derive(Debug, Clone, Default)]
pub struct Sightings {
    /// The first digest seen of each message, by stream and sequence.
    digests: BTreeMap<(&'static str, u64), u64>,
    /// The first ack floor seen at each applied index.
    pub floors: BTreeMap<u64, u64>,
    /// The clusters that brokers were of, as their disks say.
    pub clusters: BTreeSet<(NodeId, u64)>,
    /// Differences, in a person's words.
    pub conflicts: Vec<String>,
}

/// A handle: clones mean the same observer.
#[derive(Clone, Default)]
pub struct Observer(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    sightings: Sightings,
    /// What was looked at of each replica: start of the broker, stream, next sequence.
    looked: BTreeMap<(NodeId, u64, &'static str), u64>,
}

impl Observer {
    /// Compares what is new on one broker with what was seen before.
    pub fn look(&self, engine: &Engine, trace: &Trace) {
        let seen = &mut *self.0.lock();
        let (node, life) = (engine.env().node(), engine.env().options.start_id);
        for stream in STREAMS {
            let Some(asset) = engine.asset(ACCOUNT, stream) else {
                continue;
            };
            let next = seen.looked.entry((node, life, stream)).or_insert(0);
            let messages = read(&asset, *next);
            for message in messages {
                *next = message.seq + 1;
                let digest = digest(&message);
                let first = *seen
                    .sightings
                    .digests
                    .entry((stream, message.seq))
                    .or_insert(digest);
                if first != digest {
                    let conflict = format!(
                        "broker {} has another message {} in {stream} than was seen before",
                        node.0, message.seq
                    );
                    trace.say(conflict.clone());
                    seen.sightings.conflicts.push(conflict);
                }
            }
            if stream == EVENTS {
                note_floor(&mut seen.sightings, node, &asset);
            }
        }
    }

    /// Notes which cluster a broker is of.
    pub fn look_at_identity(&self, engine: &Engine) {
        let env = engine.env();
        let file = env.options.store_dir.join("identity");
        let stored = read_file(&*env.fs, &file, IDENTITY_BYTES_MAX).ok();
        let identity = stored.and_then(|bytes| Identity::decode(&bytes));
        if let Some(membership) = identity.and_then(|identity| identity.cluster) {
            let cluster = (env.node(), membership.cluster.0);
            self.0.lock().sightings.clusters.insert(cluster);
        }
    }

    pub fn sightings(&self) -> Sightings {
        self.0.lock().sightings.clone()
    }
}

fn note_floor(sightings: &mut Sightings, node: NodeId, asset: &Asset) {
    let view = asset.read(|machine| {
        let consumer = machine.consumers().get(CONSUMER)?;
        let floor = consumer.state.ack_floor().stream_seq;
        Some((machine.applied_index(), floor))
    });
    let Some((index, floor)) = view else { return };
    let first = *sightings.floors.entry(index).or_insert(floor);
    if first != floor {
        sightings.conflicts.push(format!(
            "broker {} has ack floor {floor} at index {index}, where {first} was seen before",
            node.0
        ));
    }
}

/// All that one replica has of a stream.
pub fn view(asset: &Asset) -> StreamView {
    let mut view = asset.read(|machine| {
        let state = machine.store().state();
        let consumer = machine
            .consumers()
            .get(CONSUMER)
            .map(|consumer| ConsumerView {
                ack_floor: consumer.state.ack_floor().stream_seq,
                delivered: consumer.state.delivered().stream_seq,
                pending: consumer.state.pending().keys().copied().collect(),
            });
        StreamView {
            first_seq: state.first_seq,
            last_seq: state.last_seq,
            applied_index: machine.applied_index(),
            consumer,
            ..StreamView::default()
        }
    });
    view.failure = asset.failure();
    let messages = read(asset, 0).into_iter();
    view.messages = messages.map(|message| (message.seq, message)).collect();
    view
}

fn read(asset: &Asset, from_seq: u64) -> Vec<StoredMessage> {
    let batch = asset.read(|machine| machine.store().read_batch(from_seq, EVERYTHING));
    // What cannot be read yet is looked at next time; in the end it shows as missing.
    batch.unwrap_or_default()
}

fn digest(message: &StoredMessage) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.time_ns.hash(&mut hasher);
    message.subject.hash(&mut hasher);
    message.headers.hash(&mut hasher);
    message.payload.hash(&mut hasher);
    hasher.finish()
}
