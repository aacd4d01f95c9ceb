//! What a leader has for the log, in order.

use std::collections::VecDeque;

use bytes::Bytes;
use consensus::ProposeError;
use jetstream::command::{Action, ConsumerProgress};
use jetstream::staging::{Abandoned, Outcome, Staging, is_batched};
use jetstream::{ApiError, Publish};

use super::consumers::Collected;
use crate::asset::Asset;
use crate::bus::Outgoing;
use crate::inbox::{PublishBatch, Unanswered};
use crate::proposals::Waiter;

/// Progress of consumers kept while the log is busy, in commands.
const MAX_WAITING_PROGRESS: usize = 1024;

/// What a round found out and the log has not taken yet.
#[derive(Default)]
pub struct Outbox {
    /// The leadership it is for.
    role_count: u64,
    publishes: VecDeque<Proposal>,
    /// Atomic batches that are not complete.
    staging: Staging,
    pub progress: Collected,
    waiting: VecDeque<(Vec<ConsumerProgress>, Vec<Outgoing>)>,
}

/// Messages for one command.
enum Proposal {
    /// Each is judged on its own.
    Each(PublishBatch),
    /// All are stored, or none.
    Together {
        id: String,
        messages: Vec<Publish>,
        reply: Option<Bytes>,
    },
}

impl Proposal {
    fn replies(&self) -> Vec<Option<Bytes>> {
        match self {
            Proposal::Each(batch) => batch.replies.clone(),
            Proposal::Together { reply, .. } => vec![reply.clone()],
        }
    }

    fn unanswered(&self) -> Unanswered {
        match self {
            Proposal::Each(batch) => batch.unanswered.clone(),
            Proposal::Together { .. } => Unanswered::default(),
        }
    }

    /// Refuses what the account has no room for; whether that is everything.
    fn has_no_room(&mut self, asset: &Asset) -> bool {
        let share = asset.share();
        if share.room.left().is_none() || share.fits(self.bytes(asset)) {
            return false;
        }
        let Proposal::Each(batch) = self else {
            refuse(asset, self, ApiError::ACCOUNT_RESOURCES_EXCEEDED);
            return true;
        };
        let (messages, replies) = (&mut batch.publishes, &mut batch.replies);
        let mut bytes = 0;
        let mut refused = Vec::new();
        let all = messages.drain(..).zip(replies.drain(..));
        let (kept, their_replies) = all
            .filter_map(|(message, reply)| {
                let more = size(asset, std::slice::from_ref(&message));
                if share.fits(bytes + more) {
                    bytes += more;
                    return Some((message, reply));
                }
                let error = ApiError::ACCOUNT_RESOURCES_EXCEEDED;
                refused.extend(reply.map(|reply| refusal(asset, reply, error)));
                None
            })
            .unzip();
        (*messages, *replies) = (kept, their_replies);
        let is_empty = messages.is_empty();
        asset.env.bus.publish(&asset.account(), &refused);
        is_empty
    }

    /// What all of it adds to the stream's bytes.
    fn bytes(&self, asset: &Asset) -> u64 {
        let messages = match self {
            Proposal::Each(batch) => &batch.publishes,
            Proposal::Together { messages, .. } => messages,
        };
        size(asset, messages)
    }

    fn action(&self) -> Action {
        match self {
            Proposal::Each(batch) => Action::PublishBatch(batch.publishes.clone()),
            Proposal::Together { id, messages, .. } => Action::AtomicBatch {
                id: id.clone(),
                messages: messages.clone(),
            },
        }
    }
}

impl Outbox {
    /// For the leadership that has this number, see [`Asset::propose_as`].
    pub fn new(role_count: u64) -> Self {
        Outbox {
            role_count,
            ..Outbox::default()
        }
    }

    pub fn is_blocked(&self) -> bool {
        !self.publishes.is_empty() || !self.waiting.is_empty()
    }

    pub fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING_PROGRESS
    }

    /// When there is work even if nothing arrives.
    pub fn next_deadline(&self) -> Option<i64> {
        self.staging.next_deadline()
    }

    /// Hands over what waits, oldest first, until the log is busy.
    pub fn flush(&mut self, asset: &Asset) {
        let collected = std::mem::take(&mut self.progress);
        if !collected.is_empty() {
            self.waiting
                .push_back((collected.progress, collected.confirmations));
        }
        while let Some((progress, confirmations)) = self.waiting.pop_front() {
            let waiter =
                (!confirmations.is_empty()).then(|| Waiter::Confirmations(confirmations.clone()));
            let action = Action::ConsumerProgress(progress.clone());
            if is_busy(asset.propose_as(self.role_count, action, waiter)) {
                self.waiting.push_front((progress, confirmations));
                return;
            }
        }
        self.propose(asset);
    }

    /// Takes publishes, which go to the log at once if it is not busy.
    pub fn publish(&mut self, asset: &Asset, batch: PublishBatch) {
        if asset.read(|machine| machine.config().allow_atomic) {
            self.stage(asset, batch);
        } else {
            self.staging.clear();
            self.publishes.push_back(Proposal::Each(batch));
        }
        self.propose(asset);
    }

    /// Leaves what the log did not take to the leader that follows.
    pub fn leave_over(self, asset: &Asset) {
        for proposal in self.publishes {
            leave(asset, proposal);
        }
    }

    /// Gives up atomic batches that nobody completes.
    pub fn expire_batches(&mut self, asset: &Asset) {
        let now_ns = asset.env.now_ns();
        if self
            .staging
            .next_deadline()
            .is_some_and(|due| due <= now_ns)
        {
            let abandoned = self.staging.expire(now_ns).into_iter();
            let events: Vec<Outgoing> = abandoned.map(|batch| event(asset, batch)).collect();
            asset.env.bus.publish(&asset.account(), &events);
        }
    }

    /// Sets the messages of atomic batches aside until their batch is complete.
    fn stage(&mut self, asset: &Asset, batch: PublishBatch) {
        let now_ns = asset.env.now_ns();
        let unanswered = batch.unanswered;
        let next = || PublishBatch {
            unanswered: unanswered.clone(),
            ..PublishBatch::default()
        };
        let mut each = next();
        let mut out = Vec::new();
        for (message, reply) in batch.publishes.into_iter().zip(batch.replies) {
            if !is_batched(&message) {
                each.publishes.push(message);
                each.replies.push(reply);
                continue;
            }
            match self.staging.accept(now_ns, message) {
                Outcome::Staged => out.extend(reply.map(|reply| Outgoing::new(reply, ""))),
                Outcome::Refused { error, abandoned } => {
                    out.extend(reply.map(|reply| refusal(asset, reply, error)));
                    out.extend(abandoned.map(|batch| event(asset, batch)));
                }
                Outcome::Committed { id, messages } => {
                    self.add_each(std::mem::replace(&mut each, next()));
                    self.publishes.push_back(Proposal::Together {
                        id,
                        messages,
                        reply,
                    });
                }
            }
        }
        self.add_each(each);
        if !out.is_empty() {
            asset.env.bus.publish(&asset.account(), &out);
        }
    }

    fn add_each(&mut self, each: PublishBatch) {
        if !each.publishes.is_empty() {
            self.publishes.push_back(Proposal::Each(each));
        }
    }

    fn propose(&mut self, asset: &Asset) {
        while let Some(mut proposal) = self.publishes.pop_front() {
            if proposal.has_no_room(asset) {
                continue;
            }
            if asset.is_full() {
                refuse(asset, &proposal, ApiError::STORAGE_RESOURCES_EXCEEDED);
                continue;
            }
            let waiter = Waiter::Publishers(proposal.replies(), proposal.unanswered());
            match asset.propose_as(self.role_count, proposal.action(), Some(waiter)) {
                Err(ProposeError::Busy) => return self.publishes.push_front(proposal),
                Err(ProposeError::Full) => {
                    refuse(asset, &proposal, ApiError::STORAGE_RESOURCES_EXCEEDED);
                }
                Err(ProposeError::NotLeader { .. }) => leave(asset, proposal),
                // Of a group that is closed nothing is acknowledged and the publisher tries again.
                _ => {}
            }
        }
    }
}

fn is_busy(outcome: Result<(), ProposeError>) -> bool {
    matches!(outcome, Err(ProposeError::Busy | ProposeError::Full))
}

/// Atomic batches end with the leadership under which they were sent: their clients send them again.
fn leave(asset: &Asset, proposal: Proposal) {
    if let Proposal::Each(batch) = proposal {
        asset.strays.push(batch);
    }
}

/// What messages add to the stream's bytes.
fn size(asset: &Asset, messages: &[Publish]) -> u64 {
    asset.read(|machine| {
        let store = machine.store();
        let sizes = messages.iter().map(|message| {
            let (subject, headers, payload) =
                (&message.subject, &message.headers, &message.payload);
            store.message_size(subject.len(), headers.len(), payload.len())
        });
        sizes.sum()
    })
}

/// Tells publishers why nothing was stored. Nothing else changes: the next publish is tried anew.
fn refuse(asset: &Asset, proposal: &Proposal, error: ApiError) {
    let replies = proposal.replies().into_iter().flatten();
    let out: Vec<Outgoing> = replies
        .map(|reply| refusal(asset, reply, error.clone()))
        .collect();
    asset.env.bus.publish(&asset.account(), &out);
}

fn refusal(asset: &Asset, reply: Bytes, error: ApiError) -> Outgoing {
    let mut text = Vec::new();
    asset.acks.write(&Err(error), &mut text);
    Outgoing::new(reply, text)
}

fn event(asset: &Asset, batch: Abandoned) -> Outgoing {
    crate::advisory::batch_abandoned(asset, batch)
}
