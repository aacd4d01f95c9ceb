//! The handle of one group.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::{ChangeError, GroupId, NodeId, ProposeError, Role};

/// One group on this server: cheap to clone, usable from any task.
#[derive(Clone)]
pub struct Group {
    id: GroupId,
}

/// The replicas of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// The replicas whose majority commits.
    pub voters: BTreeSet<NodeId>,
    /// Replicas that only follow, e.g. while they catch up.
    pub learners: BTreeSet<NodeId>,
}

/// What the leader knows about another replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The replica.
    pub node: NodeId,
    /// It has every entry that the leader has, and was heard of lately.
    pub current: bool,
    /// Entries it still misses.
    pub lag: u64,
    /// Time since its last answer, in nanoseconds; `None` if it never answered this leader.
    pub last_seen_ns: Option<u64>,
}

impl Group {
    /// Which group this is.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Hands a command over, to be applied on every replica.
    ///
    /// Returns at once; commands of one caller keep their order. `Ok` means the command is on its
    /// way: it is applied once committed, refused ([`Machine::refused`](crate::Machine::refused)),
    /// or its fate is unknown because the role of this replica changed.
    pub fn propose(&self, _command: Bytes) -> Result<(), ProposeError> {
        Err(ProposeError::Closed)
    }

    /// The role last reported to the machine.
    pub fn role(&self) -> Role {
        Role::Follower { leader: None }
    }

    /// Who leads, if known. Known before the role is: a new leader first applies what is left of
    /// earlier terms.
    pub fn leader(&self) -> Option<NodeId> {
        None
    }

    /// The latest term seen.
    pub fn term(&self) -> u64 {
        0
    }

    /// The members in force on this replica.
    pub fn members(&self) -> Members {
        Members::default()
    }

    /// The other replicas, in the order of their ids; empty unless this replica leads.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        Vec::new()
    }

    /// Index of the last applied entry; 0 if there is none.
    pub fn applied_index(&self) -> u64 {
        0
    }

    /// Entries of the local log that are not applied yet.
    pub fn commit_lag(&self) -> u64 {
        0
    }

    /// Hands the leadership to `to`, or to the most advanced voter. Returns the new leader.
    pub async fn transfer_leader(&self, _to: Option<NodeId>) -> Result<NodeId, ChangeError> {
        Err(ChangeError::Closed)
    }

    /// Makes `voters` the members: adds new ones as learners, waits until they have caught up, then
    /// changes the majority in one joint step. Leaders only. May leave the leader outside, which
    /// then hands over and stops taking proposals.
    pub async fn change_members(&self, _voters: BTreeSet<NodeId>) -> Result<(), ChangeError> {
        Err(ChangeError::Closed)
    }

    /// Has the machine write a checkpoint, then drops the log that it covers.
    pub async fn checkpoint(&self) -> Result<(), ChangeError> {
        Err(ChangeError::Closed)
    }

    /// Hands over the leadership if this replica has it, then stops. Data stay.
    pub async fn shutdown(&self) {}

    /// Stops and deletes the group's log; the machine's own data are the caller's to delete.
    pub async fn remove(&self) -> Result<(), ChangeError> {
        Err(ChangeError::Closed)
    }
}
