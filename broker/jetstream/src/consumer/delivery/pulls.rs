//! Pull requests that wait for messages.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::consumer::action::Action;
use crate::consumer::config::{ConsumerConfig, PriorityPolicy};
use crate::consumer::request::PullRequest;
use crate::consumer::source::MessageSource;
use crate::consumer::status;
use crate::duration;

use super::End;
use super::priority::{self, Load, Pinning, Terms};

/// A full queue is searched for requests without interest at most this often.
const SWEEP_INTERVAL_NS: i64 = 1_000_000_000;

#[derive(Debug)]
struct Waiting {
    reply: Bytes,
    /// Messages still to be sent.
    batch: u64,
    /// Messages sent.
    delivered: u64,
    /// Bytes still to be sent, if the request limits them.
    bytes: Option<u64>,
    expires_ns: Option<i64>,
    no_wait: bool,
    idle_heartbeat_ns: i64,
    heartbeat_due_ns: Option<i64>,
    terms: Terms,
}

/// A pull request that has just come in.
pub(super) struct Arrival<'a> {
    pub(super) payload: &'a [u8],
    pub(super) reply: Bytes,
    /// How many messages could be delivered.
    pub(super) available: u64,
}

/// Requests in the order in which they are served: one message each, then the next.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    waiting: VecDeque<Waiting>,
    /// How many of them do not wait at the end of the stream.
    no_wait: usize,
    /// Nothing is due before this time.
    deadline_ns: Option<i64>,
    swept_ns: i64,
    pub(super) pinning: Pinning,
}

/// Where a message goes.
pub(super) struct Receiver {
    pub(super) to: Bytes,
    pub(super) pin_id: Option<Bytes>,
}

/// What a message is offered with.
pub(super) struct Offer<'a> {
    pub(super) now_ns: i64,
    pub(super) size: u64,
    pub(super) load: Load,
    /// Tells the consumer from others in the ids of pins.
    pub(super) seed: &'a [u8],
    pub(super) config: &'a ConsumerConfig,
}

fn send(to: Bytes, headers: Bytes, out: &mut Vec<Action>) {
    out.push(Action::Status {
        to,
        reply: Bytes::new(),
        headers,
    });
}

impl Waiting {
    fn send(self, status: &str, out: &mut Vec<Action>) {
        let headers = status::with_pending(status, self.batch, self.bytes.unwrap_or(0));
        send(self.reply, headers, out);
    }

    fn is_expired(&self, now_ns: i64) -> bool {
        self.expires_ns
            .is_some_and(|expires_ns| expires_ns <= now_ns)
    }

    fn deadline_ns(&self) -> Option<i64> {
        [self.expires_ns, self.heartbeat_due_ns]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Pulls {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        [self.deadline_ns, self.pinning.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes a request into the queue, or answers it at once.
    pub(super) fn arrive(
        &mut self,
        now_ns: i64,
        arrival: Arrival<'_>,
        config: &ConsumerConfig,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) {
        let Arrival {
            payload,
            reply,
            available,
        } = arrival;
        let request = match PullRequest::parse(payload) {
            Ok(request) => request,
            Err(error) => {
                return send(
                    reply,
                    status::line(&format!("400 Bad Request - {error}")),
                    out,
                );
            }
        };
        if let Some(refusal) = exceeded(&request, config) {
            return send(reply, status::line(&refusal), out);
        }
        if let Some(refusal) = priority::refusal(&request, config) {
            return send(reply, status::line(refusal), out);
        }
        if !request.id.is_empty() {
            if !self.pinning.is(&request.id) {
                return send(reply, status::line(status::PIN_ID_MISMATCH), out);
            }
            self.pinning.refresh(now_ns, config);
        }
        let most = usize::try_from(config.max_waiting).unwrap_or(0);
        if self.len() >= most && now_ns.saturating_sub(self.swept_ns) > SWEEP_INTERVAL_NS {
            self.swept_ns = now_ns;
            self.expire(now_ns, out);
            self.remove_uninterested(source);
        }
        if request.no_wait {
            if available == 0 && request.expires_ns == 0 {
                return send(reply, status::line(status::NO_MESSAGES), out);
            }
            if available > 0 {
                self.expire(now_ns, out);
                self.remove_uninterested(source);
                let asked: u64 = self.waiting.iter().map(|waiting| waiting.batch).sum();
                if available < asked {
                    return send(reply, status::line(status::REQUESTS_PENDING), out);
                }
            }
        }
        if self.len() < most {
            let terms = Terms::of(&request, config);
            self.add(now_ns, request, terms, reply);
        } else if request.idle_heartbeat_ns == 0 {
            // A client with heartbeats notices that they are missing. Answering it would make it
            // ask again at once.
            send(reply, status::line(status::EXCEEDED_MAX_WAITING), out);
        }
    }

    fn add(&mut self, now_ns: i64, request: PullRequest, terms: Terms, reply: Bytes) {
        let after = |wait_ns: i64| (wait_ns > 0).then(|| now_ns.saturating_add(wait_ns));
        let waiting = Waiting {
            reply,
            batch: request.batch,
            delivered: 0,
            bytes: (request.max_bytes > 0).then_some(request.max_bytes),
            expires_ns: after(request.expires_ns),
            no_wait: request.no_wait,
            idle_heartbeat_ns: request.idle_heartbeat_ns,
            heartbeat_due_ns: after(request.idle_heartbeat_ns),
            terms,
        };
        self.no_wait += usize::from(waiting.no_wait);
        self.deadline_ns = [self.deadline_ns, waiting.deadline_ns()]
            .into_iter()
            .flatten()
            .min();
        self.enqueue(waiting);
    }

    /// Puts a request behind all that come before it by priority.
    fn enqueue(&mut self, waiting: Waiting) {
        let priority = waiting.terms.priority;
        let index = self
            .waiting
            .iter()
            .rposition(|other| other.terms.priority <= priority)
            .map_or(0, |last| last + 1);
        self.waiting.insert(index, waiting);
    }

    /// Puts the first request that may be served at the front. False if there is none.
    fn bring_forward(&mut self, offer: &Offer<'_>, out: &mut Vec<Action>) -> bool {
        let index = match offer.config.priority_policy {
            PriorityPolicy::None | PriorityPolicy::Prioritized => return !self.waiting.is_empty(),
            PriorityPolicy::Overflow => self
                .waiting
                .iter()
                .position(|waiting| waiting.terms.are_met(offer.load)),
            PriorityPolicy::PinnedClient => self.pinned_request(offer, out),
        };
        let served = index.and_then(|index| self.waiting.remove(index));
        let is_served = served.is_some();
        self.waiting.extend(served);
        if is_served {
            self.waiting.rotate_right(1);
        }
        is_served
    }

    /// The first request of the pinned client. If no client is pinned the first that waits is.
    fn pinned_request(&mut self, offer: &Offer<'_>, out: &mut Vec<Action>) -> Option<usize> {
        if self.pinning.pin().is_none() {
            self.waiting.front()?;
            let (now_ns, config) = (offer.now_ns, offer.config);
            // Requests of a client that was pinned before are answered, so that it asks anew.
            self.remove_if(
                |waiting| !waiting.terms.pin_id.is_empty(),
                |waiting| send(waiting.reply, status::line(status::WRONG_PIN_ID), out),
            );
            let first = self.waiting.front_mut()?;
            self.pinning.begin(now_ns, offer.seed, config, out);
            let pin = self.pinning.pin()?;
            first.terms.pin_id = String::from_utf8_lossy(&pin.id).into_owned();
            return Some(0);
        }
        let pinning = &self.pinning;
        self.waiting
            .iter()
            .position(|waiting| pinning.is(&waiting.terms.pin_id))
    }

    /// Finds the request that a message of `size` bytes goes to, and puts it at the front.
    pub(super) fn receiver(
        &mut self,
        offer: &Offer<'_>,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) -> Option<Receiver> {
        let (now_ns, size) = (offer.now_ns, offer.size);
        loop {
            if !self.bring_forward(offer, out) {
                return None;
            }
            let front = self.waiting.front_mut()?;
            let fits = front.bytes.is_none_or(|bytes| size <= bytes);
            if front.is_expired(now_ns) {
                self.pop()?.send(status::REQUEST_TIMEOUT, out);
            } else if !source.has_interest(&front.reply) {
                self.pop()?;
            } else if fits {
                if let Some(bytes) = &mut front.bytes {
                    *bytes -= size;
                    if *bytes == 0 {
                        front.batch = 1;
                    }
                }
                let to = front.reply.clone();
                self.pinning.refresh(now_ns, offer.config);
                let pin_id = self.pinning.pin().map(|pin| pin.id.clone());
                return Some(Receiver { to, pin_id });
            } else {
                self.pop()?.send(status::SIZE_EXCEEDS_MAX_BYTES, out);
            }
        }
    }

    /// A message was sent to the request at the front.
    pub(super) fn delivered(&mut self, now_ns: i64, out: &mut Vec<Action>) {
        let Some(front) = self.waiting.front_mut() else {
            return;
        };
        front.batch = front.batch.saturating_sub(1);
        front.delivered += 1;
        if front.batch > 0 {
            if front.idle_heartbeat_ns > 0 {
                front.heartbeat_due_ns = Some(now_ns.saturating_add(front.idle_heartbeat_ns));
            }
            if let Some(front) = self.waiting.pop_front() {
                self.enqueue(front);
            }
        } else if let Some(front) = self.pop()
            && front.bytes.is_some_and(|bytes| bytes > 0)
        {
            front.send(status::BATCH_COMPLETED, out);
        }
    }

    /// Ends the requests that do not wait, now that there is nothing to deliver. True if there
    /// were any.
    pub(super) fn end_of_stream(&mut self, out: &mut Vec<Action>) -> bool {
        if self.no_wait == 0 {
            return false;
        }
        let ends = |waiting: &Waiting| {
            waiting.no_wait && (waiting.expires_ns.is_none() || waiting.delivered > 0)
        };
        self.remove_if(ends, |waiting| {
            send(waiting.reply, status::line(status::NO_MESSAGES), out)
        })
    }

    /// Expires requests and sends heartbeats. Returns when a request expired last. While the
    /// consumer is stalled, requests that do not wait end when they would be sent a heartbeat.
    pub(super) fn keep_time(
        &mut self,
        now_ns: i64,
        last: (u64, u64),
        is_stalled: bool,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) -> Option<i64> {
        if self
            .deadline_ns
            .is_none_or(|deadline_ns| now_ns < deadline_ns)
        {
            return None;
        }
        let expired_ns = self.expire(now_ns, out);
        if is_stalled {
            self.end_of_stream(out);
        }
        self.remove_uninterested(source);
        for waiting in &mut self.waiting {
            if waiting
                .heartbeat_due_ns
                .is_some_and(|due_ns| due_ns <= now_ns)
            {
                let headers = status::idle_heartbeat(last.0, last.1, None);
                send(waiting.reply.clone(), headers, out);
                waiting.heartbeat_due_ns = Some(now_ns.saturating_add(waiting.idle_heartbeat_ns));
            }
        }
        self.deadline_ns = self.waiting.iter().filter_map(Waiting::deadline_ns).min();
        expired_ns
    }

    fn expire(&mut self, now_ns: i64, out: &mut Vec<Action>) -> Option<i64> {
        let mut last_ns = None;
        self.remove_if(
            |waiting| waiting.is_expired(now_ns),
            |waiting| {
                last_ns = last_ns.max(waiting.expires_ns);
                waiting.send(status::REQUEST_TIMEOUT, out);
            },
        );
        last_ns
    }

    pub(super) fn remove(&mut self, reply: &[u8]) {
        self.remove_if(|waiting| waiting.reply == reply, drop);
    }

    pub(super) fn remove_uninterested(&mut self, source: &dyn MessageSource) {
        self.remove_if(|waiting| !source.has_interest(&waiting.reply), drop);
    }

    pub(super) fn end(&mut self, end: End, out: &mut Vec<Action>) {
        self.remove_if(
            |_| true,
            |waiting| match end {
                End::ConsumerDeleted => {
                    send(waiting.reply, status::line(status::CONSUMER_DELETED), out);
                }
                End::LeadershipChange => {
                    send(waiting.reply, status::line(status::LEADERSHIP_CHANGE), out);
                }
                End::ServerShutdown => waiting.send(status::SERVER_SHUTDOWN, out),
            },
        );
        self.deadline_ns = None;
    }

    fn pop(&mut self) -> Option<Waiting> {
        let front = self.waiting.pop_front()?;
        self.no_wait -= usize::from(front.no_wait);
        if self.waiting.is_empty() {
            self.deadline_ns = None;
        }
        Some(front)
    }

    /// Removes the requests for which `is_over` holds, in order. True if there were any.
    fn remove_if(
        &mut self,
        is_over: impl Fn(&Waiting) -> bool,
        mut bury: impl FnMut(Waiting),
    ) -> bool {
        if !self.waiting.iter().any(&is_over) {
            return false;
        }
        let (over, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(is_over);
        self.waiting = rest;
        self.no_wait = self
            .waiting
            .iter()
            .filter(|waiting| waiting.no_wait)
            .count();
        over.into_iter().for_each(&mut bury);
        true
    }
}

/// The status of a request that asks for more than the configuration allows.
fn exceeded(request: &PullRequest, config: &ConsumerConfig) -> Option<String> {
    let over = |asked: u64, limit: i64| limit > 0 && asked > limit.unsigned_abs();
    if over(request.batch, config.max_batch) {
        return Some(format!(
            "409 Exceeded MaxRequestBatch of {}",
            config.max_batch
        ));
    }
    if config.max_expires_ns > 0 && request.expires_ns > config.max_expires_ns {
        let limit = duration::go_text(config.max_expires_ns);
        return Some(format!("409 Exceeded MaxRequestExpires of {limit}"));
    }
    if over(request.max_bytes, config.max_bytes) {
        return Some(format!(
            "409 Exceeded MaxRequestMaxBytes of {}",
            config.max_bytes
        ));
    }
    None
}
