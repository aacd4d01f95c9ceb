//! Which message is sent next.

use messages::{Error, StoredMessage};

use crate::consumer::action::{Action, Advisory};
use crate::consumer::progress::Fact;
use crate::consumer::source::MessageSource;

use super::Delivery;

/// Most messages that one call of [`Delivery::run`] finds to be gone or exhausted.
pub(super) const MAX_RUN_SKIPS: usize = 1024;
/// A stretch of messages that do not match is reported to the log from this length on.
const SKIP_REPORT_DISTANCE: u64 = 1024;

/// Why nothing can be sent now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// For messages, or for somebody to send them to.
    Input,
    /// For acknowledgements: too many messages lack one.
    Acks,
    /// For a time to pass.
    Time,
    /// For the next call: this one has done its share of work.
    Turn,
}

/// A message to send.
pub(super) struct Candidate {
    pub(super) message: StoredMessage,
    /// How often it will have been delivered then.
    pub(super) deliveries: u32,
}

impl Delivery {
    /// The message to send next: one to be sent again, or else a new one.
    pub(super) fn next_candidate(
        &mut self,
        source: &dyn MessageSource,
        skips: &mut usize,
        out: &mut Vec<Action>,
    ) -> Result<Result<Candidate, Wait>, Error> {
        while let Some(stream_seq) = self.redelivery.front() {
            let pending = self.state.pending().get(&stream_seq);
            let deliveries = pending.map_or(0, |pending| pending.deliveries);
            if deliveries > 0 && self.is_exhausted(deliveries) {
                self.exhaust(stream_seq, deliveries, out);
            } else if let Some(message) = source.get(stream_seq)?.filter(|_| deliveries > 0) {
                return Ok(Ok(Candidate {
                    message,
                    deliveries: deliveries + 1,
                }));
            } else {
                self.forget(stream_seq, out);
            }
            self.redelivery.take(stream_seq);
            if !spend(skips) {
                return Ok(Err(Wait::Turn));
            }
        }
        if self.is_stalled() {
            return Ok(Err(Wait::Acks));
        }
        while let Some(stream_seq) = self.next_new(source) {
            if let Some(message) = source.get(stream_seq)? {
                return Ok(Ok(Candidate {
                    message,
                    deliveries: 1,
                }));
            }
            self.pass(stream_seq);
            if !spend(skips) {
                return Ok(Err(Wait::Turn));
            }
        }
        self.reach_end(source);
        Ok(Err(Wait::Input))
    }

    pub(super) fn next_new(&mut self, source: &dyn MessageSource) -> Option<u64> {
        if let Some(&stream_seq) = self.skip_list.front() {
            return Some(stream_seq);
        }
        let until = self.state.last_per_subject_until();
        source.next_matching(self.next_seq.max(until + 1))
    }

    /// The next new message moves past `stream_seq`, which was delivered or is gone.
    pub(super) fn pass(&mut self, stream_seq: u64) {
        if self.skip_list.front() == Some(&stream_seq) {
            self.skip_list.pop_front();
        }
        self.next_seq = stream_seq + 1;
        if stream_seq <= self.counted_to {
            self.num_pending = self.num_pending.saturating_sub(1);
        }
    }

    /// Nothing matches up to the end of the stream.
    pub(super) fn reach_end(&mut self, source: &dyn MessageSource) {
        let last_seq = source.last_seq();
        self.num_pending = 0;
        self.counted_to = self.counted_to.max(last_seq);
        self.next_seq = self.next_seq.max(last_seq + 1);
        if self.next_seq - self.state.next_seq() >= SKIP_REPORT_DISTANCE {
            self.record(Fact::Skipped {
                stream_seq: self.next_seq - 1,
            });
        }
    }

    /// Whether too many messages are unacknowledged to send new ones.
    pub(super) fn is_stalled(&self) -> bool {
        let limit = self.config.max_ack_pending;
        limit > 0 && self.state.pending().len() as u64 >= limit.unsigned_abs()
    }

    /// Whether a message delivered this often may not be delivered again.
    pub(super) fn is_exhausted(&self, deliveries: u32) -> bool {
        let limit = self.config.max_deliver;
        limit > 0 && u64::from(deliveries) >= limit.unsigned_abs()
    }

    pub(super) fn exhaust(&mut self, stream_seq: u64, deliveries: u32, out: &mut Vec<Action>) {
        self.record(Fact::Exhausted { stream_seq });
        let deliveries = u64::from(deliveries);
        out.push(Action::Advisory(Advisory::MaxDeliveries {
            stream_seq,
            deliveries,
        }));
    }
}

/// Uses up one of a number of skips; false if that was the last.
fn spend(skips: &mut usize) -> bool {
    *skips = skips.saturating_sub(1);
    *skips > 0
}
