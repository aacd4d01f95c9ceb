//! What openraft is told about our types.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use openraft::entry::{RaftEntry, RaftPayload};
use openraft::errors::ClientWriteError;
use openraft::raft::responder::Responder;
use openraft::rt::deterministic_rng::DeterministicRng;
use openraft::{EntryPayload, OptionalSend, RaftTypeConfig, TokioRuntime};

use super::continuity::Proposal;
use crate::NodeId;

/// The types of all our groups. The random generator is task-local and seeded, so a group draws
/// the same election timeouts in every run of a simulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

pub(crate) type Runtime = DeterministicRng<TokioRuntime>;
pub(crate) type LeaderId = openraft::vote::leader_id_std::LeaderId<u64, NodeId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Payload = EntryPayload<Command, NodeId, ()>;
pub(crate) type Membership = openraft::Membership<NodeId, ()>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;
pub(crate) type WriteResult = openraft::raft::ClientWriteResult<Types>;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = ();
    type NodeId = NodeId;
    type Node = ();
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Ticket<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// A command of the machine, opaque to everything here.
#[derive(Clone)]
pub(crate) struct Command {
    pub bytes: Bytes,
    /// Present until it is in the log of the replica that proposed it.
    pub proposal: Option<Arc<Proposal>>,
}

impl Command {
    /// As read from a log.
    pub(crate) fn stored(bytes: Bytes) -> Self {
        let proposal = None;
        Self { bytes, proposal }
    }
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A log entry, with its stored form if it has one already: an entry that came over the network is
/// written as it came, and one read from the log is sent as it is.
#[derive(Clone)]
pub(crate) struct Entry {
    pub log_id: LogId,
    pub payload: Payload,
    pub record: Option<Bytes>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.log_id == other.log_id && self.payload == other.payload
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log_id, self.payload)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl RaftEntry for Entry {
    type CommittedLeaderId = openraft::type_config::alias::CommittedLeaderIdOf<Types>;
    type Payload = Payload;

    fn new(log_id: LogId, payload: Payload) -> Self {
        Self {
            log_id,
            payload,
            record: None,
        }
    }

    fn log_id_parts(&self) -> (&Self::CommittedLeaderId, u64) {
        (&self.log_id.leader_id, self.log_id.index)
    }

    fn set_log_id(&mut self, new: LogId) {
        self.log_id = new;
        self.record = None;
    }

    fn get_membership(&self) -> Option<Membership> {
        self.payload.get_membership()
    }
}

/// Travels with a proposal and hears what became of it. Only a pointer, because openraft keeps a ring
/// of 8192 slots for them in each group.
pub(crate) struct Ticket<T> {
    proposal: Arc<Proposal>,
    answer: PhantomData<fn(T)>,
}

impl<T> Ticket<T> {
    pub(crate) fn new(proposal: Arc<Proposal>) -> Self {
        Self {
            proposal,
            answer: PhantomData,
        }
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Ticket<T> {
    fn on_complete(self, result: T) {
        let result = &result as &dyn Any;
        match result.downcast_ref::<WriteResult>() {
            Some(Err(ClientWriteError::ForwardToLeader(_))) => self.proposal.refuse(),
            Some(Ok(_)) => self.proposal.complete(),
            // The entry was in the log, and its fate is unknown.
            _ => {}
        }
    }
}

impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}
