//! Commands that change the stream itself.

use messages::{Erase, Filters};

use super::StreamMachine;
use super::effect::{Answer, Changes, Effect};
use crate::command::{Action, Purge};
use crate::config::{Retention, StreamConfig};
use crate::consumer::{Fact, Progress};
use crate::error::ApiError;

/// The answer of a command by the rules.
pub(super) type Outcome = Result<Answer, ApiError>;

impl StreamMachine {
    /// Carries out a command that has an answer.
    pub(super) fn manage(
        &mut self,
        action: &Action,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, messages::Error> {
        match action {
            Action::DeleteMsg { seq, no_erase } => self.delete_msg(*seq, *no_erase, changes),
            Action::Purge(purge) => self.purge(purge, changes),
            Action::UpdateConfig(config) => self.update_config(config, changes, effects),
            Action::CreateConsumer { name, config } => self.create_consumer(name, config, effects),
            Action::UpdateConsumer { name, config } => {
                self.update_consumer(name, config, changes, effects)
            }
            Action::DeleteConsumer { name } => self.delete_consumer(name, changes, effects),
            Action::Restore(part) => self.restore(part, changes),
            Action::PublishBatch(_)
            | Action::AtomicBatch { .. }
            | Action::Copy(_)
            | Action::ConsumerProgress(_)
            | Action::Tick => {
                unreachable!("apply carries these out itself")
            }
        }
    }

    fn delete_msg(
        &mut self,
        seq: u64,
        no_erase: bool,
        changes: &mut Changes,
    ) -> Result<Outcome, messages::Error> {
        if self.config.sealed {
            return Ok(Err(ApiError::STREAM_SEALED));
        }
        if self.config.deny_delete {
            return Ok(Err(ApiError::stream_msg_delete_failed(
                "message delete not permitted",
            )));
        }
        let erase = if no_erase { Erase::No } else { Erase::Yes };
        if self.store.remove(seq, erase)? {
            changes.removed(seq, seq);
            return Ok(Ok(Answer::MsgDeleted));
        }
        // Clients tell these apart: never used yet, gone from the middle, gone from the beginning.
        let state = self.store.state();
        Ok(Err(if seq > state.last_seq {
            ApiError::stream_msg_delete_failed("stream store EOF")
        } else if seq < state.first_seq || seq == 0 {
            ApiError::stream_msg_delete_failed("no message found")
        } else {
            ApiError::sequence_not_found(seq)
        }))
    }

    fn purge(&mut self, purge: &Purge, changes: &mut Changes) -> Result<Outcome, messages::Error> {
        if self.config.sealed {
            return Ok(Err(ApiError::STREAM_SEALED));
        }
        if self.config.deny_purge {
            return Ok(Err(ApiError::stream_purge_failed(
                "stream purge not permitted",
            )));
        }
        let everything = purge.filter.is_empty();
        if !everything && !subject::is_valid_subscribe(&purge.filter) {
            return Ok(Ok(Answer::Purged { purged: 0 }));
        }
        let before = self.store.state();
        let purged = self.store.purge(&messages::Purge {
            filters: match everything {
                true => Filters::everything(),
                false => Filters::one(purge.filter.clone()),
            },
            before_seq: if purge.upto_seq > 0 {
                purge.upto_seq
            } else {
                u64::MAX
            },
            keep: purge.keep,
        })?;
        if purged > 0 {
            changes.removed(before.first_seq, before.last_seq);
        }
        if everything {
            self.consumers_forget_purged();
        }
        Ok(Ok(Answer::Purged { purged }))
    }

    /// Tells all consumers where the stream begins after a purge.
    fn consumers_forget_purged(&mut self) {
        let first_seq = self.store.state().first_seq;
        let mut progress = Progress::default();
        progress.push(Fact::Purged { first_seq });
        let mut done = Vec::new();
        for consumer in self.consumers.values_mut() {
            consumer
                .state
                .apply(&progress, consumer.config.ack_policy, &mut done);
            done.clear();
        }
    }

    fn update_config(
        &mut self,
        config: &StreamConfig,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, messages::Error> {
        let retention = self.config.retention;
        self.config = config.clone();
        self.prepare_transforms();
        self.forget_old_sources();
        self.aged_below = 0;
        self.trim_everything(changes)?;
        self.expire(changes)?;
        if retention != self.config.retention && self.config.retention == Retention::Interest {
            self.remove_unwanted(changes)?;
        }
        effects.push(Effect::ConfigUpdated);
        Ok(Ok(Answer::ConfigUpdated))
    }
}
