//! The replicated half of a consumer: what was delivered and what is still unacknowledged.

mod encoding;

use std::collections::BTreeMap;

use super::config::AckPolicy;
use super::progress::{Fact, MAX_SEQ, Progress};

/// Most exhausted messages a consumer remembers; beyond it the oldest are forgotten.
pub const MAX_EXHAUSTED: usize = 65_536;

/// A position: how many deliveries, and which message of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequencePair {
    /// Counts deliveries, redeliveries included.
    pub consumer_seq: u64,
    /// The message's sequence in the stream.
    pub stream_seq: u64,
}

/// A delivered message that is not acknowledged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Consumer sequence of its first delivery.
    pub consumer_seq: u64,
    /// When its ack wait began, nanoseconds since 1970.
    pub time_ns: i64,
    /// How often it was delivered.
    pub deliveries: u32,
}

/// Everything about a consumer that survives a change of leader.
///
/// Changes only by [`apply`](State::apply), which is deterministic. An idle consumer takes about
/// a hundred bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    delivered: SequencePair,
    ack_floor: SequencePair,
    /// There is nothing to deliver at or below this stream sequence.
    passed: u64,
    /// Up to here only the newest message of each subject is delivered.
    last_per_subject_until: u64,
    pending: BTreeMap<u64, Pending>,
    /// Messages that reached `max_deliver` without an ack, with their deliveries.
    exhausted: BTreeMap<u64, u32>,
}

/// What a backup says of a consumer.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The last delivery; nothing at or below its message is left to deliver for the first time.
    pub delivered: SequencePair,
    pub ack_floor: SequencePair,
    /// See [`State::last_per_subject_until`].
    pub last_per_subject_until: u64,
    pub pending: BTreeMap<u64, Pending>,
    /// See [`State::exhausted`].
    pub exhausted: BTreeMap<u64, u32>,
}

impl State {
    /// The state of a new consumer whose first message is `next_seq` or later.
    pub fn starting_at(next_seq: u64) -> State {
        let mut state = State::default();
        state.restart_after(next_seq.saturating_sub(1));
        state
    }

    /// The state of a new consumer that gets the newest message of each subject up to
    /// `until_seq`, the last sequence of the stream, and then everything.
    pub fn starting_with_last_per_subject(first_seq: u64, until_seq: u64) -> State {
        State {
            last_per_subject_until: until_seq,
            ..State::starting_at(first_seq)
        }
    }

    /// The state that a backup describes; `None` if its sequences are impossible.
    pub fn restored(backup: Restored) -> Option<State> {
        let Restored {
            delivered,
            ack_floor,
            last_per_subject_until,
            mut pending,
            mut exhausted,
        } = backup;
        let highest = [
            delivered.consumer_seq,
            delivered.stream_seq,
            last_per_subject_until,
        ];
        if highest.into_iter().any(|seq| seq > MAX_SEQ) {
            return None;
        }
        // What was never delivered is not delivered again but for the first time.
        pending.retain(|seq, _| *seq > 0 && *seq <= delivered.stream_seq);
        exhausted.retain(|seq, _| *seq > 0 && *seq <= delivered.stream_seq);
        while exhausted.len() > MAX_EXHAUSTED {
            exhausted.pop_first();
        }
        for pending in pending.values_mut() {
            pending.consumer_seq = pending.consumer_seq.min(delivered.consumer_seq);
        }
        Some(State {
            delivered,
            ack_floor: SequencePair {
                consumer_seq: ack_floor.consumer_seq.min(delivered.consumer_seq),
                stream_seq: ack_floor.stream_seq.min(delivered.stream_seq),
            },
            passed: delivered.stream_seq,
            last_per_subject_until,
            pending,
            exhausted,
        })
    }

    /// The last delivery.
    pub fn delivered(&self) -> SequencePair {
        self.delivered
    }

    /// Everything up to here is acknowledged.
    pub fn ack_floor(&self) -> SequencePair {
        self.ack_floor
    }

    /// Where the next new message is looked for.
    pub fn next_seq(&self) -> u64 {
        self.delivered.stream_seq.max(self.passed) + 1
    }

    /// Up to here only the newest message of each subject is delivered; 0 if that never applied.
    pub fn last_per_subject_until(&self) -> u64 {
        self.last_per_subject_until
    }

    pub fn pending(&self) -> &BTreeMap<u64, Pending> {
        &self.pending
    }

    /// Messages that reached `max_deliver` without an ack, with their deliveries.
    pub fn exhausted(&self) -> &BTreeMap<u64, u32> {
        &self.exhausted
    }

    /// How many messages were delivered more than once and are not acknowledged.
    pub fn redelivered(&self) -> usize {
        let pending = self
            .pending
            .values()
            .filter(|pending| pending.deliveries > 1)
            .count();
        pending + self.exhausted.len()
    }

    /// Whether the consumer, given that the message matches its filters, is not done with it.
    pub fn needs(&self, stream_seq: u64) -> bool {
        stream_seq >= self.next_seq()
            || self.pending.contains_key(&stream_seq)
            || self.exhausted.contains_key(&stream_seq)
    }

    /// Applies committed facts. Appends to `done` each message that this consumer is finished
    /// with, so that streams with interest or work queue retention can remove it.
    pub fn apply(&mut self, progress: &Progress, policy: AckPolicy, done: &mut Vec<u64>) {
        for fact in progress.facts() {
            self.apply_fact(fact, policy, done);
        }
    }

    pub(super) fn apply_fact(&mut self, fact: &Fact, policy: AckPolicy, done: &mut Vec<u64>) {
        match *fact {
            Fact::Delivered {
                stream_seq,
                consumer_seq,
                count,
                time_ns,
            } => {
                for offset in 0..count {
                    let at = SequencePair {
                        consumer_seq: consumer_seq + offset,
                        stream_seq: stream_seq + offset,
                    };
                    self.deliver(at, time_ns, policy, done);
                }
            }
            Fact::Redelivered {
                stream_seq,
                consumer_seq,
                deliveries,
                time_ns,
            } => {
                self.delivered.consumer_seq = self.delivered.consumer_seq.max(consumer_seq);
                if let Some(pending) = self.pending.get_mut(&stream_seq) {
                    pending.deliveries = deliveries;
                    pending.time_ns = time_ns;
                }
            }
            Fact::Acked { stream_seq, count } => {
                for seq in stream_seq..stream_seq + count {
                    self.ack(seq, done);
                }
            }
            Fact::AckedThrough { stream_seq } => self.ack_through(stream_seq, done),
            Fact::Rescheduled {
                stream_seq,
                time_ns,
            } => {
                if let Some(pending) = self.pending.get_mut(&stream_seq) {
                    pending.time_ns = time_ns;
                }
            }
            Fact::Undelivered { stream_seq } => {
                if let Some(pending) = self.pending.get_mut(&stream_seq) {
                    pending.deliveries = (pending.deliveries - 1).max(1);
                }
            }
            Fact::Exhausted { stream_seq } => self.exhaust(stream_seq),
            Fact::Skipped { stream_seq } => self.passed = self.passed.max(stream_seq),
            Fact::Purged { first_seq } => self.purge(first_seq),
            Fact::Reset { stream_seq } => {
                if policy == AckPolicy::FlowControl {
                    // Whoever starts there has stored what came before, and may not have said so.
                    self.ack_through(stream_seq, done);
                }
                self.restart_after(stream_seq);
            }
        }
    }

    fn deliver(&mut self, at: SequencePair, time_ns: i64, policy: AckPolicy, done: &mut Vec<u64>) {
        self.delivered.consumer_seq = self.delivered.consumer_seq.max(at.consumer_seq);
        if at.stream_seq <= self.delivered.stream_seq {
            return;
        }
        self.delivered.stream_seq = at.stream_seq;
        if policy == AckPolicy::None {
            self.ack_floor = self.delivered;
            done.push(at.stream_seq);
        } else {
            let pending = Pending {
                consumer_seq: at.consumer_seq,
                time_ns,
                deliveries: 1,
            };
            self.pending.insert(at.stream_seq, pending);
        }
    }

    fn ack(&mut self, stream_seq: u64, done: &mut Vec<u64>) {
        if let Some(pending) = self.pending.remove(&stream_seq) {
            self.raise_floor(pending.consumer_seq);
            done.push(stream_seq);
        } else if self.exhausted.remove(&stream_seq).is_some() {
            done.push(stream_seq);
        }
    }

    fn ack_through(&mut self, stream_seq: u64, done: &mut Vec<u64>) {
        let stream_seq = stream_seq.min(self.delivered.stream_seq);
        if stream_seq <= self.ack_floor.stream_seq {
            return;
        }
        let above = self.pending.split_off(&(stream_seq + 1));
        done.extend(std::mem::replace(&mut self.pending, above).into_keys());
        let above = self.exhausted.split_off(&(stream_seq + 1));
        done.extend(std::mem::replace(&mut self.exhausted, above).into_keys());
        self.ack_floor.stream_seq = stream_seq;
        self.ack_floor.consumer_seq = self.consumer_floor();
    }

    fn exhaust(&mut self, stream_seq: u64) {
        let Some(pending) = self.pending.remove(&stream_seq) else {
            return;
        };
        self.exhausted.insert(stream_seq, pending.deliveries);
        if self.exhausted.len() > MAX_EXHAUSTED {
            self.exhausted.pop_first();
        }
        self.raise_floor(pending.consumer_seq);
    }

    fn purge(&mut self, first_seq: u64) {
        let gone = first_seq.saturating_sub(1);
        self.passed = self.passed.max(gone);
        self.pending = self.pending.split_off(&first_seq);
        self.exhausted = self.exhausted.split_off(&first_seq);
        if self.pending.is_empty() {
            self.delivered.stream_seq = self.delivered.stream_seq.max(gone);
            self.ack_floor = self.delivered;
        } else if gone > self.ack_floor.stream_seq {
            self.ack_floor = SequencePair {
                consumer_seq: self.consumer_floor(),
                stream_seq: gone,
            };
        }
    }

    fn restart_after(&mut self, stream_seq: u64) {
        let start = SequencePair {
            consumer_seq: 0,
            stream_seq,
        };
        *self = State {
            delivered: start,
            ack_floor: start,
            passed: stream_seq,
            ..State::default()
        };
    }

    /// Moves the ack floor up after the pending message with `consumer_seq` was removed, if that
    /// message was the one that held the floor down.
    fn raise_floor(&mut self, consumer_seq: u64) {
        match self.pending.first_key_value() {
            None => self.ack_floor = self.delivered,
            Some((&next_seq, next)) if consumer_seq == self.ack_floor.consumer_seq + 1 => {
                let up_to = SequencePair {
                    consumer_seq: next.consumer_seq.saturating_sub(1),
                    stream_seq: next_seq - 1,
                };
                self.ack_floor.consumer_seq = self.ack_floor.consumer_seq.max(up_to.consumer_seq);
                self.ack_floor.stream_seq = self.ack_floor.stream_seq.max(up_to.stream_seq);
            }
            Some(_) => {}
        }
    }

    /// The consumer sequence below the first pending message; never lower than before.
    fn consumer_floor(&self) -> u64 {
        let below = match self.pending.first_key_value() {
            Some((_, next)) => next.consumer_seq.saturating_sub(1),
            None => self.delivered.consumer_seq,
        };
        below.max(self.ack_floor.consumer_seq)
    }
}

#[cfg(test)]
mod tests;
