//! The stream's consumers: their replicated state, and the messages nobody needs any more.

use bytes::Bytes;
use messages::{Erase, Filters};

use super::StreamMachine;
use super::effect::{Answer, Changes, Effect};
use super::manage::Outcome;
use crate::command::ConsumerProgress;
use crate::config::Retention;
use crate::consumer::source::StoreSource;
use crate::consumer::{ConsumerConfig, State};
use crate::error::ApiError;

/// A consumer as every replica knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumer {
    pub config: ConsumerConfig,
    /// When it was created, nanoseconds since 1970.
    pub created_ns: i64,
    pub state: State,
    /// The subjects it wants.
    pub filters: Filters,
}

impl Consumer {
    pub(super) fn new(config: ConsumerConfig, created_ns: i64, state: State) -> Consumer {
        let filters = filters_of(&config);
        Consumer {
            config,
            created_ns,
            state,
            filters,
        }
    }
}

fn filters_of(config: &ConsumerConfig) -> Filters {
    Filters::new(
        config
            .filters()
            .map(|filter| Bytes::copy_from_slice(filter.as_bytes())),
    )
}

impl StreamMachine {
    pub(super) fn create_consumer(
        &mut self,
        name: &str,
        config: &ConsumerConfig,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, messages::Error> {
        if let Some(existing) = self.consumers.get(name) {
            return Ok(match existing.config == *config {
                true => Ok(Answer::ConsumerCreated { created: false }),
                false => Err(ApiError::CONSUMER_ALREADY_EXISTS),
            });
        }
        let limit = usize::try_from(self.config.max_consumers).unwrap_or(usize::MAX);
        if limit > 0 && !config.direct && self.public_consumers().count() >= limit {
            return Ok(Err(ApiError::MAXIMUM_CONSUMERS_LIMIT));
        }
        let filters = filters_of(config);
        let source = StoreSource {
            store: &*self.store,
            filters: &filters,
            interest: &|_| false,
        };
        let state = State::start(config, &source)?;
        let consumer = Consumer {
            config: config.clone(),
            created_ns: self.now_ns,
            state,
            filters,
        };
        self.consumers.insert(name.to_owned(), consumer);
        effects.push(Effect::ConsumerCreated {
            name: name.to_owned(),
        });
        Ok(Ok(Answer::ConsumerCreated { created: true }))
    }

    pub(super) fn update_consumer(
        &mut self,
        name: &str,
        config: &ConsumerConfig,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, messages::Error> {
        let Some(consumer) = self.consumers.get_mut(name) else {
            return Ok(Err(ApiError::CONSUMER_DOES_NOT_EXIST));
        };
        let filters = filters_of(config);
        let filters_changed = filters != consumer.filters;
        consumer.config = config.clone();
        consumer.filters = filters;
        if filters_changed {
            self.remove_unwanted(changes)?;
        }
        effects.push(Effect::ConsumerUpdated {
            name: name.to_owned(),
        });
        Ok(Ok(Answer::ConsumerUpdated))
    }

    pub(super) fn delete_consumer(
        &mut self,
        name: &str,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<Outcome, messages::Error> {
        if self.consumers.remove(name).is_none() {
            return Ok(Err(ApiError::CONSUMER_NOT_FOUND));
        }
        self.remove_unwanted(changes)?;
        effects.push(Effect::ConsumerDeleted {
            name: name.to_owned(),
        });
        Ok(Ok(Answer::ConsumerDeleted))
    }

    /// Records what consumers did, and removes messages they are the last to be done with.
    /// Progress of a consumer that was deleted meanwhile is void.
    pub(super) fn consumer_progress(
        &mut self,
        progress: &[ConsumerProgress],
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        let mut done = Vec::new();
        for ConsumerProgress { consumer, progress } in progress {
            let Some(consumer) = self.consumers.get_mut(consumer) else {
                continue;
            };
            consumer
                .state
                .apply(progress, consumer.config.ack_policy, &mut done);
            for seq in done.drain(..) {
                self.remove_if_done(seq, changes)?;
            }
        }
        Ok(())
    }

    fn remove_if_done(&mut self, seq: u64, changes: &mut Changes) -> Result<(), messages::Error> {
        let done = match self.config.retention {
            Retention::Limits => false,
            Retention::WorkQueue => true,
            Retention::Interest => !self.is_wanted(seq),
        };
        if done && self.store.remove(seq, Erase::No)? {
            changes.removed(seq, seq);
        }
        Ok(())
    }

    /// Whether a consumer has not finished with a message that exists. The positions are looked at
    /// first, since they are cheaper than the filters.
    fn is_wanted(&self, seq: u64) -> bool {
        self.consumers.values().any(|consumer| {
            consumer.state.needs(seq)
                && self.store.next_matching(&consumer.filters, seq) == Some(seq)
        })
    }

    /// On a stream with interest retention, removes all messages no consumer needs.
    pub(super) fn remove_unwanted(&mut self, changes: &mut Changes) -> Result<(), messages::Error> {
        if self.config.retention != Retention::Interest {
            return Ok(());
        }
        let everything = Filters::everything();
        let mut next = self.store.next_matching(&everything, 0);
        while let Some(seq) = next {
            self.remove_if_done(seq, changes)?;
            next = self.store.next_matching(&everything, seq + 1);
        }
        Ok(())
    }
}
