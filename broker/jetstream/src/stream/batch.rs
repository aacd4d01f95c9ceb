//! Atomic batches: all messages are stored, or none.

use super::StreamMachine;
use super::ahead::Ahead;
use super::effect::{Changes, Effect, PubAck, StoredBatch};
use super::publish::{Accepted, Origin, Refusal};
use crate::command::Publish;
use crate::error::ApiError;

impl StreamMachine {
    /// Stores a complete batch. It has one outcome, that of its commit.
    pub(super) fn publish_atomically(
        &mut self,
        id: &str,
        messages: &[Publish],
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        let outcome = match self.judge_batch(messages) {
            Ok(accepted) => Ok(self.store_batch(id, accepted, changes, effects)?),
            Err(Refusal::Rule(error)) => Err(error),
            Err(Refusal::Store(error)) => return Err(error),
        };
        effects.push(Effect::Published {
            position: 0,
            outcome,
        });
        Ok(())
    }

    fn judge_batch<'a>(&self, messages: &'a [Publish]) -> Result<Vec<Accepted<'a>>, Refusal> {
        if !self.config.allow_atomic {
            return Err(ApiError::ATOMIC_PUBLISH_DISABLED.into());
        }
        let mut ahead = Ahead::of_batch();
        let mut batch = Vec::with_capacity(messages.len());
        for message in messages {
            let Ok(mut accepted) = self.judge(message, Origin::Client, &ahead)? else {
                return Err(ApiError::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into());
            };
            ahead.add(&accepted.subject, accepted.size);
            if let Some(counter) = accepted.counter.take() {
                ahead.add_counter(&accepted.subject, counter);
            }
            if let Some(id) = accepted.msg_id.clone() {
                ahead.add_id(id);
            }
            batch.push(accepted);
        }
        Ok(batch)
    }

    fn store_batch(
        &mut self,
        id: &str,
        batch: Vec<Accepted<'_>>,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<PubAck, messages::Error> {
        let count = batch.len() as u64;
        let mut last = PubAck::default();
        for accepted in batch {
            last = self.store_accepted(accepted, changes, effects)?;
        }
        last.value = None;
        let id = id.to_owned();
        last.batch = Some(Box::new(StoredBatch { id, count }));
        Ok(last)
    }
}
