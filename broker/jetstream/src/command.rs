//! What a stream's log contains: commands in a compact binary form.
//!
//! Publishes are encoded field by field, and decoding them copies nothing: subjects, headers and
//! payloads are slices of the log entry. Rare commands carry their configuration as JSON.

pub(crate) mod encoding;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::config::StreamConfig;
use crate::consumer::{ConsumerConfig, Progress, State};

/// Most messages in one publish command.
pub const MAX_BATCH_MESSAGES: usize = 512;
/// Bytes after which a proposer stops adding messages to a publish command.
pub const MAX_BATCH_BYTES: usize = 512 * 1024;

/// Most messages in one atomic batch.
pub const MAX_ATOMIC_MESSAGES: usize = 1000;

/// Names one proposal, so that the server that made it can answer its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProposalId {
    /// The server that proposed.
    pub origin: u64,
    /// Unique on that server while it runs.
    pub number: u64,
}

/// One entry of a stream's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The proposer's clock, nanoseconds since 1970. All time rules of the machine use it.
    pub time_ns: i64,
    /// Who waits for the outcome; `None` if nobody does.
    pub proposal: Option<ProposalId>,
    /// What to do.
    pub action: Action,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Messages to store, each judged on its own, in order.
    PublishBatch(Vec<Publish>),
    /// Messages to store all together, or none of them.
    AtomicBatch {
        /// The id its publisher chose.
        id: String,
        messages: Vec<Publish>,
    },
    /// Messages that the leader read from the stream's mirror or from one of its sources.
    Copy(Copied),
    /// Remove one message.
    DeleteMsg { seq: u64, no_erase: bool },
    /// Remove messages.
    Purge(Purge),
    /// Replace the stream's configuration; it was validated by the proposer.
    UpdateConfig(Box<StreamConfig>),
    /// Add a consumer; its configuration was validated and completed by the proposer.
    CreateConsumer {
        name: String,
        config: Box<ConsumerConfig>,
    },
    /// Replace the configuration of a consumer.
    UpdateConsumer {
        name: String,
        config: Box<ConsumerConfig>,
    },
    /// Remove a consumer.
    DeleteConsumer { name: String },
    /// The next part of the backup that the stream is made of.
    Restore(Restore),
    /// Deliveries and acknowledgements, one entry per consumer that progressed.
    ConsumerProgress(Vec<ConsumerProgress>),
    /// Nothing but the time: lets messages expire on an idle stream.
    Tick,
}

/// One message to publish. `headers` is the whole header block, empty if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publish {
    pub subject: Bytes,
    pub headers: Bytes,
    pub payload: Bytes,
}

/// A stretch of the messages of a mirror's or source's origin, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The key of the source, see [`StreamSource::key`](crate::config::StreamSource::key).
    pub source: String,
    /// Which stream of that name it is, as the origin says; empty if it does not.
    pub identity: String,
    /// The stretch begins after this sequence of the origin.
    pub after: u64,
    /// The stretch ends with this sequence of the origin.
    pub up_to: u64,
    pub messages: Vec<CopiedMessage>,
}

/// One message of an origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopiedMessage {
    /// Its sequence there.
    pub seq: u64,
    /// When it was stored there, nanoseconds since 1970.
    pub time_ns: i64,
    /// The message as it is to be stored here.
    pub message: Publish,
}

/// A part of a backup. They come in this order, consumers and messages any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restore {
    /// What follows makes up the stream, which begins with this sequence.
    Begin { first_seq: u64 },
    /// A consumer with what it has delivered.
    Consumer {
        name: String,
        config: Box<ConsumerConfig>,
        state: State,
    },
    /// Messages in the order of their sequences.
    Messages(Vec<CopiedMessage>),
    /// The rest will not come: the stream can only be deleted.
    Abandon,
    /// That was all; the stream's last sequence may be behind its last message.
    End { last_seq: u64 },
}

/// Which messages a purge removes. `upto_seq` and `keep` exclude each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purge {
    /// Only subjects that match; empty for all.
    pub filter: Bytes,
    /// Keep this sequence and all above it; 0 for no bound.
    pub upto_seq: u64,
    /// Keep this many of the newest messages.
    pub keep: u64,
}

/// What happened to one consumer since its last progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerProgress {
    /// Name of the consumer.
    pub consumer: String,
    pub progress: Progress,
}
