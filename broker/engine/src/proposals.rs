//! Commands this server proposed and is waiting for: who gets the outcome.

use std::collections::HashMap;

use bytes::Bytes;
use jetstream::stream::Answer;
use jetstream::{ApiError, ProposalId};
use tokio::sync::oneshot;

use crate::bus::Outgoing;
use crate::inbox::Unanswered;

/// Who waits for a command to be applied.
#[derive(Debug)]
pub enum Waiter {
    /// Publishers, by position in the batch; `None` where no acknowledgement was asked for.
    Publishers(Vec<Option<Bytes>>, Unanswered),
    /// What clients are told then: their consumer acknowledgement counts, their consumer is reset.
    Confirmations(Vec<Outgoing>),
    /// An API request.
    Request(oneshot::Sender<Result<Answer, ApiError>>),
}

/// The table of waiters of one group on one server. Its size is bounded by the group's limit of
/// commands in flight.
#[derive(Debug)]
pub struct Proposals {
    origin: u64,
    last: u64,
    waiting: HashMap<u64, Waiter>,
}

impl Proposals {
    /// `origin` must differ between servers and between two starts of one server, so that a
    /// command from before a restart is never taken for one of now.
    pub fn new(origin: u64) -> Self {
        Proposals {
            origin,
            last: 0,
            waiting: HashMap::new(),
        }
    }

    pub fn register(&mut self, waiter: Waiter) -> ProposalId {
        self.last += 1;
        self.waiting.insert(self.last, waiter);
        ProposalId {
            origin: self.origin,
            number: self.last,
        }
    }

    /// The waiter of an applied or refused command, if it was proposed here.
    pub fn take(&mut self, id: ProposalId) -> Option<Waiter> {
        if id.origin != self.origin {
            return None;
        }
        self.waiting.remove(&id.number)
    }

    /// Forgets all waiters: nothing that is still to be applied was proposed by them.
    pub fn forget_all(&mut self) {
        self.waiting.clear();
    }

    /// Forgets all waiters but publishers: the leadership ended, and what becomes of their commands
    /// is unknown. Publishers are still told if theirs are applied.
    pub fn keep_publishers(&mut self) {
        let is_publisher = |waiter: &Waiter| matches!(waiter, Waiter::Publishers(..));
        self.waiting.retain(|_, waiter| is_publisher(waiter));
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_reaches_its_own_waiter_once() {
        let mut proposals = Proposals::new(7);
        let id = proposals.register(Waiter::Confirmations(vec![]));
        let stranger = ProposalId {
            origin: 8,
            number: id.number,
        };
        assert!(proposals.take(stranger).is_none());
        assert!(proposals.take(id).is_some());
        assert!(proposals.take(id).is_none());
    }

    #[test]
    fn publishers_wait_on_when_the_leadership_ends() {
        let mut proposals = Proposals::new(7);
        let publishers = proposals.register(Waiter::Publishers(vec![None], Unanswered::default()));
        let other = proposals.register(Waiter::Confirmations(vec![]));
        proposals.keep_publishers();
        assert!(proposals.take(other).is_none());
        assert!(proposals.take(publishers).is_some());
        assert!(proposals.is_empty());
    }
}
