//! What applying a command asks the outside world to do.

use std::ops::RangeInclusive;

use bytes::Bytes;
use serde::Serialize;

use crate::command::ProposalId;
use crate::error::ApiError;

/// One consequence of a command, in the order things happened.
///
/// Every replica produces the same effects. Those that talk to clients
/// ([`Effect::Published`], [`Effect::Answered`], [`Effect::Republish`]) are carried out only by
/// the server that proposed, or leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The outcome of message `position` of a publish batch.
    Published { position: usize, outcome: Result<PubAck, ApiError> },
    /// The outcome of any other command with a proposal id.
    Answered(Result<Answer, ApiError>),
    /// Messages were stored; consumers may have something to deliver.
    NewMessages { first_seq: u64, last_seq: u64 },
    /// Messages are gone; live delivery must forget them.
    Removed(RangeInclusive<u64>),
    /// A stored message is to be published again under another subject, headers complete.
    Republish { subject: Bytes, headers: Bytes, payload: Bytes },
    /// A consumer exists since this command.
    ConsumerCreated { name: String },
    /// A consumer's configuration changed.
    ConsumerUpdated { name: String },
    /// A consumer is gone.
    ConsumerDeleted { name: String },
    /// The stream's configuration changed.
    ConfigUpdated,
    /// A stored message is damaged on this server; it must be fetched from another replica.
    Damaged { seq: u64 },
}

/// The answer to a command that is not a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message is gone.
    MsgDeleted,
    /// So many messages are gone.
    Purged { purged: u64 },
    /// The configuration of the stream changed; read it from the machine.
    ConfigUpdated,
    /// The consumer exists; `created` is false if an equal one existed before.
    ConsumerCreated { name: String, created: bool },
    /// The consumer is gone.
    ConsumerDeleted,
    /// The progress of consumers is recorded.
    Progressed,
    /// The tick is over.
    Ticked,
}

/// Confirms that a message is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PubAck {
    /// Name of the stream.
    pub stream: String,
    /// JetStream domain, empty if the server has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Sequence of the stored message, or of the earlier copy.
    pub seq: u64,
    /// The message id was seen within the duplicate window.
    pub duplicate: bool,
}
