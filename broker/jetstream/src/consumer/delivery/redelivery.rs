//! Which pending messages are to be sent again, and when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::consumer::config::{AckPolicy, ConsumerConfig};
use crate::consumer::state::{Pending, State};

use super::Step;

/// Most deadlines looked at in one go.
const MAX_EXPIRED: usize = 4096;
/// Outdated entries that are always tolerated.
const SLACK: usize = 64;

/// Deadlines of pending messages, and the queue of those that are due.
///
/// Neither the deadlines nor the queue is searched when a message is acknowledged: entries that do
/// not agree with the state are outdated, and are dropped when met or when they are too many.
#[derive(Debug, Default)]
pub(super) struct Redelivery {
    deadlines: BinaryHeap<Reverse<(i64, u64)>>,
    /// Tickets and stream sequences in the order of redelivery.
    queue: VecDeque<(u64, u64)>,
    /// The ticket with which each stream sequence is queued.
    tickets: BTreeMap<u64, u64>,
    last_ticket: u64,
}

fn deadline_ns(config: &ConsumerConfig, pending: &Pending) -> i64 {
    pending
        .time_ns
        .saturating_add(config.ack_wait_of_ns(pending.deliveries))
}

impl Redelivery {
    pub(super) fn new(config: &ConsumerConfig, state: &State) -> Redelivery {
        let mut redelivery = Redelivery::default();
        redelivery.reschedule(config, state);
        redelivery
    }

    /// Computes all deadlines anew, and forgets what is not pending any more.
    pub(super) fn reschedule(&mut self, config: &ConsumerConfig, state: &State) {
        self.tickets
            .retain(|stream_seq, _| state.pending().contains_key(stream_seq));
        if config.ack_policy == AckPolicy::FlowControl {
            // There is no time after which a message is sent again.
            return self.deadlines.clear();
        }
        let unqueued = state
            .pending()
            .iter()
            .filter(|(seq, _)| !self.tickets.contains_key(seq));
        let entries = unqueued.map(|(&seq, pending)| Reverse((deadline_ns(config, pending), seq)));
        self.deadlines = entries.collect();
    }

    /// Notes that a delivery is to be acknowledged until `deadline_ns`.
    pub(super) fn schedule(&mut self, stream_seq: u64, deadline_ns: i64) {
        self.deadlines.push(Reverse((deadline_ns, stream_seq)));
    }

    /// Drops outdated deadlines: those that come first, and all if they outnumber the others.
    pub(super) fn tidy(&mut self, config: &ConsumerConfig, state: &State) {
        while let Some(&Reverse(entry)) = self.deadlines.peek() {
            if self.is_current(entry, config, state) {
                break;
            }
            self.deadlines.pop();
        }
        if self.deadlines.len() > 2 * state.pending().len() + SLACK {
            self.reschedule(config, state);
        }
        if self.queue.len() > 2 * self.tickets.len() + SLACK {
            let tickets = &self.tickets;
            self.queue
                .retain(|(ticket, seq)| tickets.get(seq) == Some(ticket));
        }
    }

    /// Puts a message at the end of the queue, unless it is queued already.
    pub(super) fn queue(&mut self, stream_seq: u64) {
        if !self.tickets.contains_key(&stream_seq) {
            self.last_ticket += 1;
            self.tickets.insert(stream_seq, self.last_ticket);
            self.queue.push_back((self.last_ticket, stream_seq));
        }
    }

    /// The message to be sent again next.
    pub(super) fn front(&mut self) -> Option<u64> {
        while let Some(&(ticket, stream_seq)) = self.queue.front() {
            if self.tickets.get(&stream_seq) == Some(&ticket) {
                return Some(stream_seq);
            }
            self.queue.pop_front();
        }
        None
    }

    /// Takes a message out of the queue.
    pub(super) fn take(&mut self, stream_seq: u64) {
        self.tickets.remove(&stream_seq);
    }

    /// Takes all messages up to `stream_seq` out of the queue.
    pub(super) fn take_through(&mut self, stream_seq: u64) {
        self.tickets = self.tickets.split_off(&(stream_seq + 1));
    }

    /// How many messages are queued.
    pub(super) fn queued(&self) -> usize {
        self.tickets.len()
    }

    /// Removes and returns the messages whose ack wait is over, in stream order.
    pub(super) fn expired(
        &mut self,
        now_ns: i64,
        config: &ConsumerConfig,
        state: &State,
    ) -> (Vec<u64>, Step) {
        let mut expired = Vec::new();
        let mut step = Step::Idle;
        for looked_at in 0.. {
            match self.deadlines.peek() {
                Some(&Reverse((deadline_ns, _))) if deadline_ns <= now_ns => {}
                _ => break,
            }
            if looked_at == MAX_EXPIRED {
                step = Step::More;
                break;
            }
            if let Some(Reverse(entry)) = self.deadlines.pop()
                && self.is_current(entry, config, state)
            {
                expired.push(entry.1);
            }
        }
        self.tidy(config, state);
        expired.sort_unstable();
        expired.dedup();
        (expired, step)
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.deadlines
            .peek()
            .map(|&Reverse((deadline_ns, _))| deadline_ns)
    }

    fn is_current(&self, entry: (i64, u64), config: &ConsumerConfig, state: &State) -> bool {
        let (at_ns, stream_seq) = entry;
        match state.pending().get(&stream_seq) {
            Some(pending) if deadline_ns(config, pending) == at_ns => {
                !self.tickets.contains_key(&stream_seq)
            }
            _ => false,
        }
    }
}
