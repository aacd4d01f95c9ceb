//! One stream as a deterministic state machine.
//!
//! Every replica applies the same commands in the same order, so every rule that decides whether
//! a message is stored is judged here, at apply, with the time the command carries.
//!
//! - [`StreamMachine`] holds the configuration, the messages, and the consumers' replicated state.
//! - `publish.rs` judges one message, `batch.rs` an atomic batch, `counter.rs` counts, `copy.rs`
//!   takes what mirrors and sources bring, `restore.rs` what a backup brings, `limits.rs` and `expiry.rs` remove what is too much or too
//!   old, `manage.rs` changes the stream, `consumers.rs` its consumers.
//! - `encoding.rs` is the state outside the message store as bytes, for checkpoints and snapshots.

mod ahead;
mod batch;
mod consumers;
mod copy;
mod counter;
mod dedupe;
mod effect;
mod encoding;
mod expiry;
mod headers;
mod limits;
mod manage;
mod publish;
mod republish;
mod restore;
mod schedules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use messages::MessageStore;
use subject::Transform;

use crate::command::{Action, Command};
use crate::config::StreamConfig;

pub use consumers::Consumer;
pub use copy::Position;
pub use effect::{Answer, Effect, PubAck, StoredBatch};
pub use publish::MAX_HEADER_BYTES;
pub use restore::Restoration;

use dedupe::Dedupe;
use effect::Changes;
use expiry::Ttls;
use schedules::Schedules;

/// A stream: configuration, messages, consumers, and the rules that change them.
pub struct StreamMachine {
    config: StreamConfig,
    created_ns: i64,
    store: Box<dyn MessageStore>,
    consumers: BTreeMap<String, Consumer>,
    dedupe: Dedupe,
    ttls: Ttls,
    /// The age limit has been applied to all messages below this sequence.
    aged_below: u64,
    /// Message id of the newest message, empty if it had none.
    last_msg_id: Vec<u8>,
    /// The highest command time so far: clocks of different leaders may disagree, the stream's
    /// time never goes back.
    now_ns: i64,
    applied_index: u64,
    /// How far each source has been copied, by its key.
    copied: BTreeMap<String, Position>,
    schedules: Schedules,
    restoration: Restoration,
    transform: Option<Transform>,
    republish: Option<Transform>,
}

impl StreamMachine {
    /// A new stream with an empty store. `config` must have passed validation.
    pub fn new(
        config: StreamConfig,
        created_ns: i64,
        mut store: Box<dyn MessageStore>,
    ) -> StreamMachine {
        if config.first_seq > 1 {
            store.skip_to(config.first_seq);
        }
        let mut machine = StreamMachine {
            config,
            created_ns,
            store,
            consumers: BTreeMap::new(),
            dedupe: Dedupe::default(),
            ttls: Ttls::default(),
            aged_below: 0,
            last_msg_id: Vec::new(),
            now_ns: created_ns,
            applied_index: 0,
            copied: BTreeMap::new(),
            schedules: Schedules::default(),
            restoration: Restoration::Complete,
            transform: None,
            republish: None,
        };
        machine.prepare_transforms();
        machine
    }

    /// Applies one committed command and appends its consequences to `effects`.
    ///
    /// # Errors
    /// The message store failed on this server. The command may be half applied, so the machine
    /// must not be used any more: reopen it at its last checkpoint, or from another replica.
    pub fn apply(
        &mut self,
        index: u64,
        command: &Command,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        self.applied_index = index;
        self.now_ns = self.now_ns.max(command.time_ns);
        let mut changes = Changes::default();
        if self.is_complete() {
            self.expire(&mut changes)?;
            self.run_schedules(&mut changes, effects)?;
        }
        match &command.action {
            Action::PublishBatch(messages) => {
                self.publish_batch(messages, &mut changes, effects)?
            }
            Action::AtomicBatch { id, messages } => {
                self.publish_atomically(id, messages, &mut changes, effects)?
            }
            Action::Copy(copied) => self.copy(copied, &mut changes, effects)?,
            Action::ConsumerProgress(progress) => self.consumer_progress(progress, &mut changes)?,
            Action::Tick => {}
            action => {
                let outcome = self.manage(action, &mut changes, effects)?;
                effects.push(Effect::Answered(outcome));
            }
        }
        changes.report(effects);
        Ok(())
    }

    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// When the stream was created, nanoseconds since 1970.
    pub fn created_ns(&self) -> i64 {
        self.created_ns
    }

    /// Tells this stream from others that had its name before.
    pub fn identity(&self) -> String {
        let unique = format!("{} {}", self.config.name, self.created_ns);
        crate::config::source::short_hash(unique.as_bytes())
    }

    /// The stream's messages, for reading.
    pub fn store(&self) -> &dyn MessageStore {
        &*self.store
    }

    /// The stream's messages, for checkpoints and repairs only: changes to them are for commands.
    pub fn store_mut(&mut self) -> &mut dyn MessageStore {
        &mut *self.store
    }

    /// The replicated state of the consumers, by name.
    pub fn consumers(&self) -> &BTreeMap<String, Consumer> {
        &self.consumers
    }

    /// The consumers that the API shows: those with which other streams copy this one are not
    /// among them.
    pub fn public_consumers(&self) -> impl Iterator<Item = (&String, &Consumer)> {
        let all = self.consumers.iter();
        all.filter(|(_, consumer)| !consumer.config.direct)
    }

    /// Index of the last command applied, 0 if there was none.
    pub fn applied_index(&self) -> u64 {
        self.applied_index
    }

    /// The time of the stream: the highest time of a command so far.
    pub fn now_ns(&self) -> i64 {
        self.now_ns
    }

    fn prepare_transforms(&mut self) {
        let config = &self.config;
        // Validation made both possible, and an impossible one would rewrite nothing.
        self.transform = config
            .subject_transform
            .as_ref()
            .and_then(|rewrite| Transform::new(&rewrite.src, &rewrite.dest).ok());
        self.republish = config
            .republish
            .as_ref()
            .and_then(|republish| Transform::new(&republish.src, &republish.dest).ok());
    }
}

impl std::fmt::Debug for StreamMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamMachine")
            .field("name", &self.config.name)
            .field("state", &self.store.state())
            .field("consumers", &self.consumers.len())
            .field("applied_index", &self.applied_index)
            .finish_non_exhaustive()
    }
}
