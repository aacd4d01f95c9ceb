//! The live half of a consumer: decides on the leader what is sent to whom and when.
//!
//! A [`Delivery`] owns a working copy of the replicated [`State`]. Inputs (pull requests,
//! acknowledgements, interest, new messages, time) change it; outputs are [`Action`]s, carried out
//! at once, and [`Progress`], which the engine proposes to the stream's log. What the log does not
//! accept is not lost but delivered again by the next leader.
//!
//! Call [`Delivery::run`] after inputs and whenever [`Delivery::next_deadline`] has passed.

mod acks;
mod choice;
mod pace;
mod priority;
mod pulls;
mod push;
mod redelivery;
mod upkeep;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use messages::{Error, StoredMessage};

use super::ack::{AckPrefix, AckToken};
use super::action::Action;
use super::config::{AckPolicy, ConsumerConfig};
use super::info::LiveInfo;
use super::progress::{Fact, MAX_FACTS, Progress};
use super::source::MessageSource;
use super::state::State;
use super::status;

use choice::{Candidate, MAX_RUN_SKIPS, Wait};
use pace::Pace;
use priority::Load;
use pulls::{Offer, Pulls, Receiver};
use push::Push;
use redelivery::Redelivery;

/// Most messages sent by one call of [`Delivery::run`].
pub const MAX_RUN_MESSAGES: usize = 256;

/// What a delivery is made of.
pub struct Setup<'a> {
    pub stream: &'a str,
    pub consumer: &'a str,
    pub config: Arc<ConsumerConfig>,
    /// The replicated state, with everything committed applied.
    pub state: State,
    /// Largest message of the stream, which a rate limit has to let through at once.
    pub max_message_bytes: u64,
}

/// Whether [`Delivery::run`] has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call it again soon: its share of work was used up.
    More,
    /// Nothing to do before the next input or deadline.
    Idle,
}

/// Why a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    ConsumerDeleted,
    LeadershipChange,
    ServerShutdown,
}

/// Who receives.
enum Mode {
    Pull(Pulls),
    Push(Push),
}

/// The live delivery of one consumer, on the leader of its stream.
pub struct Delivery {
    config: Arc<ConsumerConfig>,
    ack_prefix: AckPrefix,
    state: State,
    progress: Progress,
    /// New messages are looked for from here.
    next_seq: u64,
    /// Newest messages of their subjects that come before everything else.
    skip_list: VecDeque<u64>,
    /// Matching messages not yet delivered.
    num_pending: u64,
    /// `num_pending` takes account of the stream up to here.
    counted_to: u64,
    redelivery: Redelivery,
    mode: Mode,
    pace: Pace,
    /// Counts towards the next sampled acknowledgement.
    sample_credit: u32,
    last_delivered_ns: Option<i64>,
    last_acked_ns: Option<i64>,
    /// When a client last used the consumer.
    last_used_ns: i64,
    /// Reused by `record`.
    done: Vec<u64>,
}

impl Delivery {
    pub fn new(setup: Setup<'_>, source: &dyn MessageSource, now_ns: i64) -> Delivery {
        let Setup {
            stream,
            consumer,
            config,
            state,
            max_message_bytes,
        } = setup;
        let mode = if config.is_push() {
            Mode::Push(Push::new(stream, consumer, &config, now_ns))
        } else {
            Mode::Pull(Pulls::default())
        };
        let mut delivery = Delivery {
            ack_prefix: AckPrefix::new(stream, consumer),
            progress: Progress::default(),
            next_seq: state.next_seq(),
            skip_list: VecDeque::new(),
            num_pending: 0,
            counted_to: 0,
            redelivery: Redelivery::new(&config, &state),
            mode,
            pace: Pace::new(&config, max_message_bytes, source.last_seq()),
            sample_credit: 0,
            last_delivered_ns: None,
            last_acked_ns: None,
            last_used_ns: now_ns,
            done: Vec::new(),
            config,
            state,
        };
        delivery.recount(source);
        delivery
    }

    pub fn config(&self) -> &Arc<ConsumerConfig> {
        &self.config
    }

    /// The working copy: the replicated state plus the progress not committed yet.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The constant part of the ack subjects of [`Action::Deliver`].
    pub fn ack_prefix(&self) -> &AckPrefix {
        &self.ack_prefix
    }

    /// What happened since the last call. The engine must get it into the stream's log, in the
    /// order of the calls, or drop this delivery. Call until it returns `None`.
    pub fn take_progress(&mut self) -> Option<Progress> {
        (!self.progress.is_empty()).then(|| self.progress.take(MAX_FACTS))
    }

    /// Tells a push consumer whether somebody listens on its deliver subject.
    pub fn set_push_interest(&mut self, now_ns: i64, interest: bool) {
        if let Mode::Push(push) = &mut self.mode
            && push.set_active(now_ns, interest)
        {
            self.last_used_ns = now_ns;
        }
    }

    /// Tells that nobody listens on the reply subject of a pull request any more.
    pub fn interest_lost(&mut self, reply: &[u8]) {
        if let Mode::Pull(pulls) = &mut self.mode {
            pulls.remove(reply);
        }
    }

    /// Tells that a message of [`Action::Deliver`] reached nobody. It will be sent again.
    pub fn undelivered(&mut self, now_ns: i64, to: &[u8], stream_seq: u64) {
        self.set_push_interest(now_ns, false);
        self.interest_lost(to);
        if self.state.pending().contains_key(&stream_seq) {
            self.record(Fact::Undelivered { stream_seq });
            self.redelivery.queue(stream_seq);
        }
    }

    /// A client's reply to a flow control request, by the subject it was sent to. Where such replies
    /// acknowledge, its headers say up to which message.
    pub fn flow_control_reply(&mut self, now_ns: i64, subject: &[u8], headers: &[u8]) {
        let Mode::Push(push) = &mut self.mode else {
            return;
        };
        let is_expected = push.flow_control_reply(subject);
        if !is_expected || self.config.ack_policy != AckPolicy::FlowControl {
            return;
        }
        let stream_seq = status::last_stream_seq(headers).min(self.next_seq - 1);
        if stream_seq > self.state.ack_floor().stream_seq {
            self.last_acked_ns = Some(now_ns);
            self.record(Fact::AckedThrough { stream_seq });
        }
    }

    /// A pull request, its payload as the client sent it.
    pub fn pull(
        &mut self,
        now_ns: i64,
        payload: &[u8],
        reply: Bytes,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) {
        let available = self.num_pending + self.redelivery.queued() as u64;
        match &mut self.mode {
            Mode::Push(_) => {
                let headers = status::line(status::PUSH_BASED);
                out.push(Action::Status {
                    to: reply,
                    reply: Bytes::new(),
                    headers,
                });
            }
            Mode::Pull(pulls) => {
                self.last_used_ns = now_ns;
                let arrival = pulls::Arrival {
                    payload,
                    reply,
                    available,
                };
                pulls.arrive(now_ns, arrival, &self.config, source, out);
            }
        }
    }

    /// Sends what can be sent now, at most [`MAX_RUN_MESSAGES`], and does all that is due.
    ///
    /// On an error nothing is lost; call it again once the store can be read.
    pub fn run(
        &mut self,
        now_ns: i64,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) -> Result<Step, Error> {
        self.follow_first_seq(source);
        let rest = self.expire_acks(now_ns, out);
        self.keep_time(now_ns, source, out);
        let mut skips = MAX_RUN_SKIPS;
        for _ in 0..MAX_RUN_MESSAGES {
            if let Err(wait) = self.send_one(now_ns, source, &mut skips, out)? {
                if wait == Wait::Input
                    && let Mode::Pull(pulls) = &mut self.mode
                    && pulls.end_of_stream(out)
                {
                    self.last_used_ns = now_ns;
                }
                return Ok(if wait == Wait::Turn { Step::More } else { rest });
            }
        }
        Ok(Step::More)
    }

    /// When [`run`](Delivery::run) has to be called even without an input, nanoseconds since 1970.
    pub fn next_deadline(&self) -> Option<i64> {
        let receiver = match &self.mode {
            Mode::Pull(pulls) => pulls.next_deadline(),
            Mode::Push(push) => push.next_deadline(),
        };
        let pause = self
            .config
            .pause_until
            .map(|until| until.0)
            .filter(|_| self.is_wanted());
        let pause = pause.filter(|&until_ns| until_ns > self.pace.seen_ns());
        [
            receiver,
            self.redelivery.next_deadline(),
            self.pace.next_deadline(),
            pause,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Since when nobody uses the consumer, nanoseconds since 1970; `None` while it is in use.
    /// The engine deletes it [`expires_after_ns`](ConsumerConfig::expires_after_ns) later.
    pub fn inactive_since(&mut self, source: &dyn MessageSource) -> Option<i64> {
        match &mut self.mode {
            Mode::Push(push) if push.is_active() => None,
            Mode::Push(_) => Some(self.last_used_ns),
            Mode::Pull(pulls) => {
                pulls.remove_uninterested(source);
                // A client may be busy with a message until its ack wait ends.
                let waits = self.state.pending().values().map(|pending| {
                    let wait_ns = self.config.ack_wait_of_ns(pending.deliveries);
                    pending.time_ns.saturating_add(wait_ns)
                });
                pulls
                    .is_empty()
                    .then(|| waits.fold(self.last_used_ns, i64::max))
            }
        }
    }

    /// Says goodbye to waiting clients. The delivery is of no use afterwards.
    pub fn end(&mut self, end: End, out: &mut Vec<Action>) {
        if let Mode::Pull(pulls) = &mut self.mode {
            pulls.end(end, out);
        }
    }

    /// What `CONSUMER.INFO` shows besides the state.
    pub fn live_info(&self) -> LiveInfo {
        LiveInfo {
            num_waiting: match &self.mode {
                Mode::Pull(pulls) => pulls.len() as u64,
                Mode::Push(_) => 0,
            },
            num_pending: self.num_pending,
            push_bound: matches!(&self.mode, Mode::Push(push) if push.is_active()),
            last_delivered_ns: self.last_delivered_ns,
            last_acked_ns: self.last_acked_ns,
            pinned: self.pinned(),
        }
    }

    /// Lets another client of the priority group be served; false if there is no such group.
    pub fn unpin(&mut self, group: &str, out: &mut Vec<Action>) -> bool {
        if !self.config.priority_groups.iter().any(|ours| ours == group) {
            return false;
        }
        if let Mode::Pull(pulls) = &mut self.mode {
            pulls.pinning.end("admin", &self.config, out);
        }
        true
    }

    fn pinned(&self) -> Option<(String, i64)> {
        let Mode::Pull(pulls) = &self.mode else {
            return None;
        };
        let pin = pulls.pinning.pin()?;
        Some((String::from_utf8_lossy(&pin.id).into_owned(), pin.since_ns))
    }

    /// Whether a receiver waits for messages.
    fn is_wanted(&self) -> bool {
        match &self.mode {
            Mode::Pull(pulls) => !pulls.is_empty(),
            Mode::Push(push) => push.is_open(),
        }
    }

    /// Expiries and heartbeats of receivers.
    fn keep_time(&mut self, now_ns: i64, source: &dyn MessageSource, out: &mut Vec<Action>) {
        self.pace.see(now_ns);
        let last = (self.state.delivered().consumer_seq, self.next_seq - 1);
        let is_stalled = self.is_stalled() && self.redelivery.queued() == 0;
        match &mut self.mode {
            Mode::Pull(pulls) => {
                pulls.pinning.expire(now_ns, &self.config, out);
                if let Some(used_ns) = pulls.keep_time(now_ns, last, is_stalled, source, out) {
                    self.last_used_ns = self.last_used_ns.max(used_ns);
                }
            }
            Mode::Push(push) => {
                let is_unacknowledged = !self.state.pending().is_empty();
                push.keep_time(now_ns, last, is_unacknowledged, out);
            }
        }
    }

    /// Sends one message, or tells why none can be sent.
    fn send_one(
        &mut self,
        now_ns: i64,
        source: &dyn MessageSource,
        skips: &mut usize,
        out: &mut Vec<Action>,
    ) -> Result<Result<(), Wait>, Error> {
        if !self.is_wanted() || self.config.is_paused(now_ns) {
            return Ok(Err(Wait::Input));
        }
        let candidate = match self.next_candidate(source, skips, out)? {
            Ok(candidate) => candidate,
            Err(wait) => return Ok(Err(wait)),
        };
        let is_new = candidate.deliveries == 1;
        let ack = AckToken {
            deliveries: u64::from(candidate.deliveries),
            stream_seq: candidate.message.seq,
            consumer_seq: self.state.delivered().consumer_seq + 1,
            time_ns: candidate.message.time_ns,
            num_pending: self.num_pending.saturating_sub(u64::from(is_new)),
        };
        let size = self.size_of(&candidate.message, &ack);
        if !self.pace.allows(now_ns, &candidate.message, is_new, size) {
            return Ok(Err(Wait::Time));
        }
        let receiver = match &mut self.mode {
            Mode::Push(push) => Some(Receiver {
                to: push.deliver_subject(),
                pin_id: None,
            }),
            Mode::Pull(pulls) => {
                let offer = Offer {
                    now_ns,
                    size,
                    load: Load {
                        num_pending: self.num_pending,
                        num_ack_pending: self.state.pending().len() as u64,
                    },
                    seed: self.ack_prefix.as_bytes(),
                    config: &self.config,
                };
                pulls.receiver(&offer, source, out)
            }
        };
        let Some(Receiver { to, pin_id }) = receiver else {
            return Ok(Err(Wait::Input));
        };
        self.pace.sent(now_ns, &candidate.message, is_new, size);
        self.commit(now_ns, &candidate);
        let Candidate { message, .. } = candidate;
        out.push(Action::Deliver {
            to,
            message,
            ack,
            headers_only: self.config.headers_only,
            pin_id,
        });
        match &mut self.mode {
            Mode::Pull(pulls) => {
                self.last_used_ns = now_ns;
                pulls.delivered(now_ns, out);
            }
            Mode::Push(push) => {
                let pending = self.state.pending().len() as i64;
                let is_last = pending >= self.config.max_ack_pending;
                push.delivered(now_ns, size, is_last, out);
            }
        }
        Ok(Ok(()))
    }

    /// What counts as the size of a message towards byte limits and windows.
    fn size_of(&self, message: &StoredMessage, ack: &AckToken) -> u64 {
        let body = if self.config.headers_only {
            status::headers_only_length(&message.headers, message.payload.len())
        } else {
            message.headers.len() + message.payload.len()
        };
        (message.subject.len() + self.ack_prefix.length(ack) + body) as u64
    }

    /// Makes the delivery a fact.
    fn commit(&mut self, now_ns: i64, candidate: &Candidate) {
        let stream_seq = candidate.message.seq;
        let consumer_seq = self.state.delivered().consumer_seq + 1;
        let deliveries = candidate.deliveries;
        self.last_delivered_ns = Some(now_ns);
        if deliveries == 1 {
            self.pass(stream_seq);
            self.record(Fact::Delivered {
                stream_seq,
                consumer_seq,
                count: 1,
                time_ns: now_ns,
            });
        } else {
            self.redelivery.take(stream_seq);
            let time_ns = now_ns;
            self.record(Fact::Redelivered {
                stream_seq,
                consumer_seq,
                deliveries,
                time_ns,
            });
        }
        // Whoever acknowledges by flow control resets the consumer instead of waiting for messages again.
        let is_repeated = matches!(self.config.ack_policy, AckPolicy::Explicit | AckPolicy::All);
        if is_repeated {
            let wait_ns = self.config.ack_wait_of_ns(deliveries);
            self.redelivery
                .schedule(stream_seq, now_ns.saturating_add(wait_ns));
            self.redelivery.tidy(&self.config, &self.state);
        }
    }

    /// Queues messages whose ack wait is over for redelivery.
    fn expire_acks(&mut self, now_ns: i64, out: &mut Vec<Action>) -> Step {
        let (expired, step) = self.redelivery.expired(now_ns, &self.config, &self.state);
        for stream_seq in expired {
            let deliveries = self
                .state
                .pending()
                .get(&stream_seq)
                .map_or(0, |p| p.deliveries);
            if self.is_exhausted(deliveries) {
                self.exhaust(stream_seq, deliveries, out);
            } else {
                self.redelivery.queue(stream_seq);
            }
        }
        step
    }

    /// Applies a fact to the working copy and keeps it for the log.
    fn record(&mut self, fact: Fact) {
        self.state
            .apply_fact(&fact, self.config.ack_policy, &mut self.done);
        self.done.clear();
        self.progress.push(fact);
    }
}

#[cfg(test)]
mod tests;
