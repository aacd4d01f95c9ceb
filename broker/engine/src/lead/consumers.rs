//! The live deliveries of a led stream's consumers.

mod actions;
mod requests;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jetstream::command::ConsumerProgress;
use jetstream::consumer::delivery::Step;
use jetstream::consumer::source::StoreSource;
use jetstream::consumer::{Action, Delivery, End, Setup, validate_reset};
use jetstream::{ApiError, StreamMachine};
use messages::Filters;

use super::LiveEvent;
use super::interest::InterestWatch;
use crate::asset::Asset;
use crate::bus::Outgoing;

/// How often a leader looks whether somebody still listens, in nanoseconds.
const INTEREST_CHECK_NS: i64 = 250_000_000;
/// How often a leader looks for consumers that nobody uses, in nanoseconds.
const INACTIVITY_CHECK_NS: i64 = 1_000_000_000;
/// Pause before a message that could not be read is tried again, in nanoseconds.
const READ_RETRY_NS: i64 = 100_000_000;
/// Deliveries that run in one round.
const MAX_RUNS_PER_ROUND: usize = 256;

/// All deliveries of the stream, and which of them have something to do.
#[derive(Default)]
pub struct Consumers {
    by_name: BTreeMap<String, Consumer>,
    ready: BTreeSet<String>,
    /// Consumers that may have progress to be collected.
    touched: BTreeSet<String>,
    deadlines: BTreeSet<(i64, String)>,
    /// Confirmations of acknowledgements and resets, due when the progress collected with them is committed.
    confirmations: Vec<Outgoing>,
    next_interest_check_ns: i64,
    next_inactivity_check_ns: i64,
    config_changed: bool,
    /// Outcomes of copying, for whoever copies.
    copied: Vec<(String, Option<ApiError>)>,
}

struct Consumer {
    delivery: Delivery,
    filters: Filters,
    deadline_ns: Option<i64>,
    /// Watches the deliver subject of a push consumer.
    interest: Option<InterestWatch>,
}

/// Progress for the log, and whom to tell once it is in there.
#[derive(Default)]
pub struct Collected {
    pub progress: Vec<ConsumerProgress>,
    pub confirmations: Vec<Outgoing>,
}

impl Collected {
    pub fn is_empty(&self) -> bool {
        self.progress.is_empty() && self.confirmations.is_empty()
    }
}

impl Consumers {
    /// Begins with the consumers the stream has.
    pub fn load(&mut self, asset: &Asset) {
        let names: Vec<String> =
            asset.read(|machine| machine.consumers().keys().cloned().collect());
        for name in names {
            self.open(asset, &name);
        }
    }

    pub fn delivery(&self, name: &str) -> Option<&Delivery> {
        self.by_name.get(name).map(|consumer| &consumer.delivery)
    }

    /// Whether the stream's configuration changed since the last call.
    pub fn take_config_change(&mut self) -> bool {
        std::mem::take(&mut self.config_changed)
    }

    /// What came of stretches of sources since the last call.
    pub fn take_copied(&mut self) -> Vec<(String, Option<ApiError>)> {
        std::mem::take(&mut self.copied)
    }

    /// Brings the deliveries up to date with what the log changed.
    pub fn follow(&mut self, asset: &Asset, events: Vec<LiveEvent>) {
        let mut out = Vec::new();
        let mut grown: Option<(u64, u64)> = None;
        for event in events {
            match event {
                LiveEvent::NewMessages {
                    first_seq,
                    last_seq,
                } => {
                    let first = grown.map_or(first_seq, |(first, _)| first);
                    grown = Some((first, last_seq));
                }
                LiveEvent::Removed(range) => {
                    self.grow(asset, grown.take());
                    self.removed(asset, range, &mut out);
                }
                LiveEvent::ConsumerChanged(name) => self.open(asset, &name),
                LiveEvent::ConsumerDeleted(name) => self.close(asset, &name, &mut out),
                LiveEvent::ConfigUpdated => self.config_changed = true,
                LiveEvent::Copied { source, stalled } => self.copied.push((source, stalled)),
                LiveEvent::InterestChanged(name) => {
                    self.check_push_interest(asset, &name, asset.env.now_ns());
                }
            }
        }
        self.grow(asset, grown);
        if !out.is_empty() {
            asset.env.bus.publish(&asset.account(), &out);
        }
    }

    fn open(&mut self, asset: &Asset, name: &str) {
        let now_ns = asset.env.now_ns();
        asset.read(|machine| {
            let Some(replicated) = machine.consumers().get(name) else {
                return;
            };
            let config = Arc::new(replicated.config.clone());
            let filters = replicated.filters.clone();
            let max_message_bytes = max_message_bytes(machine);
            let interest = |subject: &[u8]| has_interest(asset, subject);
            let source = StoreSource {
                store: machine.store(),
                filters: &filters,
                interest: &interest,
            };
            if let Some(existing) = self.by_name.get_mut(name) {
                existing
                    .delivery
                    .update_config(config, max_message_bytes, &source);
                existing.filters = filters;
            } else {
                let setup = Setup {
                    stream: &machine.config().name,
                    consumer: name,
                    config,
                    state: replicated.state.clone(),
                    max_message_bytes,
                };
                let delivery = Delivery::new(setup, &source, now_ns);
                let consumer = Consumer {
                    delivery,
                    filters,
                    deadline_ns: None,
                    interest: None,
                };
                self.by_name.insert(name.to_owned(), consumer);
            }
        });
        self.watch_push_interest(asset, name);
        self.check_push_interest(asset, name, now_ns);
        self.ready.insert(name.to_owned());
    }

    fn close(&mut self, asset: &Asset, name: &str, out: &mut Vec<Outgoing>) {
        self.ready.remove(name);
        if let Some(mut consumer) = self.by_name.remove(name) {
            if let Some(due_ns) = consumer.deadline_ns {
                self.deadlines.remove(&(due_ns, name.to_owned()));
            }
            let mut actions = Vec::new();
            consumer.delivery.end(End::ConsumerDeleted, &mut actions);
            actions::perform(
                asset,
                &consumer.delivery,
                name,
                actions,
                out,
                &mut self.confirmations,
            );
        }
    }

    fn grow(&mut self, asset: &Asset, grown: Option<(u64, u64)>) {
        let Some((first_seq, last_seq)) = grown else {
            return;
        };
        asset.read(|machine| {
            // The stream may have grown further since: counting goes to its end, once.
            let end_seq = machine.store().state().last_seq.max(last_seq);
            for (name, consumer) in &mut self.by_name {
                let delivery = &consumer.delivery;
                let news = delivery.counted_to() + 1;
                let first_seq = first_seq.max(news).max(delivery.state().next_seq());
                let matching = if first_seq > end_seq {
                    0
                } else if consumer.filters.is_everything() {
                    end_seq + 1 - first_seq
                } else {
                    machine.store().count_matching(&consumer.filters, first_seq)
                };
                consumer.delivery.new_messages(end_seq, matching);
                if matching > 0 {
                    self.ready.insert(name.clone());
                }
            }
        });
    }

    fn removed(
        &mut self,
        asset: &Asset,
        range: std::ops::RangeInclusive<u64>,
        out: &mut Vec<Outgoing>,
    ) {
        let names: Vec<String> = self.by_name.keys().cloned().collect();
        for name in names {
            let mut actions = Vec::new();
            let is_affected = self.with_source(asset, &name, |consumer, source| {
                let seen = consumer.delivery.state();
                let is_behind = *range.end() >= seen.next_seq();
                let is_pending = seen.pending().range(range.clone()).next().is_some();
                if !is_behind && !is_pending {
                    return false;
                }
                if range.start() == range.end() && consumer.filters.is_everything() {
                    consumer
                        .delivery
                        .message_removed(*range.start(), &mut actions);
                } else if let Err(error) = consumer.delivery.stream_purged(source, &mut actions) {
                    tracing::warn!(%error, "consumer could not follow a purge");
                }
                true
            });
            self.perform(asset, &name, actions, out);
            if is_affected == Some(true) {
                // It may have counted messages whose arrival it has not heard of yet and will not take for news.
                self.ready.insert(name);
            }
        }
    }

    /// Starts a consumer again at `seq`, or after its ack floor if that is 0. Returns where it
    /// starts; `None` if there is no such consumer. Say so to the client with
    /// [`Consumers::confirm`].
    pub fn reset(&mut self, asset: &Asset, name: &str, seq: u64) -> Option<Result<u64, ApiError>> {
        let start = self.with_source(asset, name, |consumer, source| {
            let delivery = &mut consumer.delivery;
            let start = validate_reset(delivery.config(), delivery.state(), seq, source)?;
            delivery.reset(start, source);
            Ok(start)
        });
        self.ready.insert(name.to_owned());
        start
    }

    /// Lets another client of a priority group be served. `None` if there is no such consumer,
    /// false if it has no such group.
    pub fn unpin(
        &mut self,
        asset: &Asset,
        name: &str,
        group: &str,
        out: &mut Vec<Outgoing>,
    ) -> Option<bool> {
        let consumer = self.by_name.get_mut(name)?;
        let mut actions = Vec::new();
        let is_known = consumer.delivery.unpin(group, &mut actions);
        self.perform(asset, name, actions, out);
        self.ready.insert(name.to_owned());
        Some(is_known)
    }

    /// Sends a message once all that happened so far is committed.
    pub fn confirm(&mut self, message: Outgoing) {
        self.confirmations.push(message);
    }

    /// Runs the deliveries that have something to do; true if some have more.
    pub fn run(&mut self, asset: &Asset, out: &mut Vec<Outgoing>) -> bool {
        let now_ns = asset.env.now_ns();
        self.check_time(asset, now_ns);
        for _ in 0..MAX_RUNS_PER_ROUND {
            let Some(name) = self.ready.pop_first() else {
                return false;
            };
            self.run_one(asset, &name, now_ns, out);
        }
        !self.ready.is_empty()
    }

    fn run_one(&mut self, asset: &Asset, name: &str, now_ns: i64, out: &mut Vec<Outgoing>) {
        let mut actions = Vec::new();
        let mut again = false;
        let outcome = self.with_source(asset, name, |consumer, source| {
            consumer.delivery.run(now_ns, source, &mut actions)
        });
        let mut retry_ns = None;
        match outcome {
            Some(Ok(Step::More)) => again = true,
            Some(Err(error)) => {
                if let messages::Error::Damaged { seq } = error {
                    crate::repair::request(asset, seq);
                }
                retry_ns = Some(now_ns + READ_RETRY_NS);
            }
            Some(Ok(Step::Idle)) | None => {}
        }
        self.perform(asset, name, actions, out);
        let Some(consumer) = self.by_name.get_mut(name) else {
            return;
        };
        let due_ns = retry_ns.or_else(|| consumer.delivery.next_deadline());
        if due_ns != consumer.deadline_ns {
            if let Some(old_ns) = consumer.deadline_ns {
                self.deadlines.remove(&(old_ns, name.to_owned()));
            }
            if let Some(due_ns) = due_ns {
                self.deadlines.insert((due_ns, name.to_owned()));
            }
            consumer.deadline_ns = due_ns;
        }
        if again {
            self.ready.insert(name.to_owned());
        }
    }

    /// Moves progress out, for one command.
    pub fn collect(&mut self, into: &mut Collected) {
        while let Some(name) = self.touched.pop_first() {
            let Some(consumer) = self.by_name.get_mut(&name) else {
                continue;
            };
            while let Some(progress) = consumer.delivery.take_progress() {
                into.progress.push(ConsumerProgress {
                    consumer: name.clone(),
                    progress,
                });
            }
        }
        into.confirmations.append(&mut self.confirmations);
    }

    /// When there is work even if nothing arrives.
    pub fn next_deadline(&self) -> Option<i64> {
        if self.by_name.is_empty() {
            return None;
        }
        let first = self.deadlines.first().map(|(due_ns, _)| *due_ns);
        let checks = self
            .next_interest_check_ns
            .min(self.next_inactivity_check_ns);
        Some(first.map_or(checks, |first| first.min(checks)))
    }

    /// Says goodbye to waiting clients.
    pub fn end(&mut self, why: End, out: &mut Vec<Outgoing>) {
        for consumer in self.by_name.values_mut() {
            let mut actions = Vec::new();
            consumer.delivery.end(why, &mut actions);
            for action in actions {
                if let Action::Status { to, headers, .. } = action {
                    out.push(Outgoing {
                        headers,
                        ..Outgoing::new(to, "")
                    });
                }
            }
        }
        self.by_name.clear();
    }

    fn with_source<T>(
        &mut self,
        asset: &Asset,
        name: &str,
        work: impl FnOnce(&mut Consumer, &StoreSource<'_>) -> T,
    ) -> Option<T> {
        let consumer = self.by_name.get_mut(name)?;
        if !self.touched.contains(name) {
            self.touched.insert(name.to_owned());
        }
        let filters = consumer.filters.clone();
        let interest = |subject: &[u8]| has_interest(asset, subject);
        Some(asset.read(|machine| {
            let source = StoreSource {
                store: machine.store(),
                filters: &filters,
                interest: &interest,
            };
            work(consumer, &source)
        }))
    }

    fn perform(
        &mut self,
        asset: &Asset,
        name: &str,
        actions: Vec<Action>,
        out: &mut Vec<Outgoing>,
    ) {
        if let Some(consumer) = self.by_name.get(name) {
            actions::perform(
                asset,
                &consumer.delivery,
                name,
                actions,
                out,
                &mut self.confirmations,
            );
        }
    }
}

fn has_interest(asset: &Asset, subject: &[u8]) -> bool {
    let account = asset.account();
    std::str::from_utf8(subject).is_ok_and(|subject| asset.env.bus.has_interest(&account, subject))
}

fn max_message_bytes(machine: &StreamMachine) -> u64 {
    u64::try_from(machine.config().max_msg_size).unwrap_or(0)
}
