//! What applying a command asks the outside world to do.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::error::ApiError;

/// One consequence of a command.
///
/// Every replica produces the same effects. Those that talk to clients ([`Effect::Published`],
/// [`Effect::Answered`]) are for the server that made the proposal; [`Effect::Republish`] is for
/// the leader.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The outcome of message `position` of a publish batch.
    Published {
        position: usize,
        outcome: Result<PubAck, ApiError>,
    },
    /// Messages of a source or mirror were taken as far as the stream allows.
    Copied {
        /// The key of the source, see [`crate::config::StreamSource::key`].
        source: String,
        /// Why the next message can not be taken now. It was not passed over.
        stalled: Option<ApiError>,
    },
    /// The outcome of a command that manages the stream or its consumers.
    Answered(Result<Answer, ApiError>),
    /// Messages were stored; consumers may have something to deliver.
    NewMessages { first_seq: u64, last_seq: u64 },
    /// All messages that are gone lie in this range; others in it may still exist.
    Removed(RangeInclusive<u64>),
    /// A stored message is to be published under another subject. The headers are complete.
    Republish {
        subject: Bytes,
        headers: Bytes,
        payload: Bytes,
    },
    /// A consumer exists since this command.
    ConsumerCreated { name: String },
    /// A consumer's configuration changed.
    ConsumerUpdated { name: String },
    /// A consumer is gone.
    ConsumerDeleted { name: String },
    /// The stream's configuration changed.
    ConfigUpdated,
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
    ConsumerCreated { created: bool },
    /// The consumer's configuration changed; read it from the machine.
    ConsumerUpdated,
    /// The consumer is gone.
    ConsumerDeleted,
    /// The part of the backup is in the stream.
    Restored,
}

/// Confirms that a message, or all messages of an atomic batch, are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PubAck {
    /// Sequence of the stored message, of the last one of a batch, or of the earlier copy.
    pub seq: u64,
    /// The message id was seen within the duplicate window.
    pub duplicate: bool,
    /// The counter after the message, on a stream of counters.
    pub value: Option<Box<str>>,
    /// The batch that was stored.
    pub batch: Option<Box<StoredBatch>>,
}

/// A batch of messages that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredBatch {
    /// The id its publisher chose.
    pub id: String,
    /// How many messages it had.
    pub count: u64,
}

/// What a command did to the messages, collected over the whole command.
#[derive(Debug, Default)]
pub(super) struct Changes {
    stored: Option<(u64, u64)>,
    removed: Option<(u64, u64)>,
}

impl Changes {
    pub(super) fn stored(&mut self, seq: u64) {
        extend(&mut self.stored, seq, seq);
    }

    /// Messages between these two sequences were removed.
    pub(super) fn removed(&mut self, first_seq: u64, last_seq: u64) {
        extend(&mut self.removed, first_seq, last_seq);
    }

    pub(super) fn report(self, effects: &mut Vec<Effect>) {
        if let Some((first, last)) = self.removed {
            effects.push(Effect::Removed(first..=last));
        }
        if let Some((first_seq, last_seq)) = self.stored {
            effects.push(Effect::NewMessages {
                first_seq,
                last_seq,
            });
        }
    }
}

fn extend(range: &mut Option<(u64, u64)>, first: u64, last: u64) {
    *range = match *range {
        Some((from, to)) => Some((from.min(first), to.max(last))),
        None => Some((first, last)),
    };
}
