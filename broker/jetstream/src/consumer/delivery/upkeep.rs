//! How a delivery keeps up with changes of the stream and of its configuration.

use std::sync::Arc;

use messages::Error;

use crate::consumer::action::{Action, Advisory};
use crate::consumer::config::ConsumerConfig;
use crate::consumer::progress::Fact;
use crate::consumer::source::MessageSource;

use super::redelivery::Redelivery;
use super::{Delivery, Mode};

/// The reason of [`Advisory::Terminated`] when the stream removed the message.
const REASON_REMOVED: &str = "Unacknowledged message was deleted";

impl Delivery {
    /// The stream is taken account of up to here: later messages are news.
    pub fn counted_to(&self) -> u64 {
        self.counted_to
    }

    /// Tells that the stream grew to `last_seq`, and how many of the new messages match. Call it
    /// before [`run`](Delivery::run) sees them.
    pub fn new_messages(&mut self, last_seq: u64, matching: u64) {
        if last_seq > self.counted_to {
            self.counted_to = last_seq;
            self.num_pending += matching;
        }
    }

    /// Tells that a matching message left the stream, other than by this consumer's ack.
    pub fn message_removed(&mut self, stream_seq: u64, out: &mut Vec<Action>) {
        if stream_seq >= self.next_seq && stream_seq <= self.counted_to {
            self.num_pending = self.num_pending.saturating_sub(1);
        }
        self.forget(stream_seq, out);
    }

    /// Tells that many messages left the stream.
    pub fn stream_purged(
        &mut self,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) -> Result<(), Error> {
        self.follow_first_seq(source);
        let unacknowledged: Vec<u64> = self
            .state
            .pending()
            .keys()
            .chain(self.state.exhausted().keys())
            .copied()
            .collect();
        for stream_seq in unacknowledged {
            if source.get(stream_seq)?.is_none() {
                self.forget(stream_seq, out);
            }
        }
        self.recount(source);
        Ok(())
    }

    /// Starts again at `next_seq`, as if the consumer had just been created there.
    pub fn reset(&mut self, next_seq: u64, source: &dyn MessageSource) {
        self.record(Fact::Reset {
            stream_seq: next_seq.saturating_sub(1),
        });
        self.next_seq = self.state.next_seq();
        self.redelivery = Redelivery::new(&self.config, &self.state);
        if let Mode::Push(push) = &mut self.mode {
            push.restart();
        }
        self.last_delivered_ns = None;
        self.last_acked_ns = None;
        self.recount(source);
    }

    /// Takes a new configuration. The source is bound to its filters already.
    pub fn update_config(
        &mut self,
        config: Arc<ConsumerConfig>,
        max_message_bytes: u64,
        source: &dyn MessageSource,
    ) {
        self.redelivery.reschedule(&config, &self.state);
        self.pace.update(&config, max_message_bytes);
        match &mut self.mode {
            Mode::Push(push) => push.set_deliver_subject(&config),
            // Whoever was pinned by the old rules asks again by the new ones.
            Mode::Pull(pulls) if config.priority_policy != self.config.priority_policy => {
                pulls.pinning = Default::default();
            }
            Mode::Pull(_) => {}
        }
        self.config = config;
        self.recount(source);
    }

    /// Forgets what the stream has removed at its start.
    pub(super) fn follow_first_seq(&mut self, source: &dyn MessageSource) {
        let first_seq = source.first_seq();
        let oldest_pending = self.state.pending().keys().next();
        let oldest_exhausted = self.state.exhausted().keys().next();
        if [oldest_pending, oldest_exhausted]
            .into_iter()
            .flatten()
            .any(|&seq| seq < first_seq)
        {
            self.record(Fact::Purged { first_seq });
            self.redelivery.reschedule(&self.config, &self.state);
            self.next_seq = self.next_seq.max(self.state.next_seq());
        }
    }

    /// Computes anew what is left to deliver.
    pub(super) fn recount(&mut self, source: &dyn MessageSource) {
        let until = self.state.last_per_subject_until();
        self.skip_list.clear();
        if self.next_seq <= until {
            let mut newest = source.last_per_subject(until);
            newest.retain(|&seq| seq >= self.next_seq);
            self.skip_list = newest.into();
        }
        self.counted_to = source.last_seq();
        let later = source.count_matching(self.next_seq.max(until + 1));
        self.num_pending = self.skip_list.len() as u64 + later;
    }

    /// Ends the wait for the ack of a message that left the stream.
    pub(super) fn forget(&mut self, stream_seq: u64, out: &mut Vec<Action>) {
        if let Some(pending) = self.state.pending().get(&stream_seq).copied() {
            out.push(Action::Advisory(Advisory::Terminated {
                stream_seq,
                consumer_seq: pending.consumer_seq,
                deliveries: u64::from(pending.deliveries),
                reason: REASON_REMOVED.to_owned(),
            }));
        } else if !self.state.exhausted().contains_key(&stream_seq) {
            return;
        }
        self.redelivery.take(stream_seq);
        self.record(Fact::Acked {
            stream_seq,
            count: 1,
        });
    }
}
