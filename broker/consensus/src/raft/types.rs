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

use crate::in_flight::Permit;
use crate::{Machine, NodeId};

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
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
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

/// Travels with a proposal: gives its place in the queue back when it is applied or lost, and hands
/// the command back when it was refused. Boxed, because openraft keeps a ring of 8192 slots for
/// them in each group.
pub(crate) struct Ticket<T> {
    proposal: Box<Proposal>,
    answer: PhantomData<fn(T)>,
}

/// A command on its way.
pub(crate) struct Proposal {
    /// Its place in the queue.
    pub permit: Permit,
    /// The command itself, shared with the log entry.
    pub command: Bytes,
    /// Who wants it back if it is refused.
    pub machine: Arc<dyn Machine>,
}

impl<T> Ticket<T> {
    pub(crate) fn new(proposal: Proposal) -> Self {
        Self {
            proposal: Box::new(proposal),
            answer: PhantomData,
        }
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Ticket<T> {
    fn on_complete(self, result: T) {
        let result = &result as &dyn Any;
        let Proposal {
            permit,
            command,
            machine,
        } = *self.proposal;
        drop(permit);
        // Another error means that the entry was in the log, and then its fate is unknown.
        if let Some(Err(ClientWriteError::ForwardToLeader(_))) =
            result.downcast_ref::<WriteResult>()
        {
            machine.refused(command);
        }
    }
}

impl From<u64> for NodeId {
    fn from(id: u64) -> Self {
        Self(id)
    }
}
