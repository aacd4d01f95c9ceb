//! The handle of one group.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::consensus::Shared;
use crate::local::Local;
use crate::raft::Replica;
use crate::{ChangeError, GroupId, NodeId, ProposeError, Release, Role};

/// One group on this server: cheap to clone, usable from any task.
#[derive(Clone)]
pub struct Group {
    pub(crate) id: GroupId,
    pub(crate) driver: Driver,
    pub(crate) home: Weak<Shared>,
}

/// Who drives the machine.
#[derive(Clone)]
pub(crate) enum Driver {
    Local(Arc<Local>),
    Replicated(Arc<Replica>),
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

/// How many replicas would carry a group if one of them were gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// Voters besides that one that were heard of lately and have nearly everything.
    pub current: usize,
    /// Voters that commits need.
    pub needed: usize,
}

impl Support {
    /// Whether the group goes on without it.
    pub fn holds(&self) -> bool {
        self.current >= self.needed
    }
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
    pub fn propose(&self, command: Bytes) -> Result<(), ProposeError> {
        match &self.driver {
            Driver::Local(local) => local.propose(command),
            Driver::Replicated(replica) => replica.propose(command),
        }
    }

    /// The role last reported to the machine.
    pub fn role(&self) -> Role {
        match &self.driver {
            Driver::Local(local) => local.role(),
            Driver::Replicated(replica) => replica.role(),
        }
    }

    /// Who leads, if known. Known before the role is: a new leader first applies what is left of
    /// earlier terms.
    pub fn leader(&self) -> Option<NodeId> {
        match &self.driver {
            Driver::Local(local) => Some(local.node()),
            Driver::Replicated(replica) => replica.leader(),
        }
    }

    /// The latest term seen.
    pub fn term(&self) -> u64 {
        match &self.driver {
            Driver::Local(local) => local.term(),
            Driver::Replicated(replica) => replica.term(),
        }
    }

    /// The members in force on this replica.
    pub fn members(&self) -> Members {
        match &self.driver {
            Driver::Local(local) => Members {
                voters: [local.node()].into(),
                learners: BTreeSet::new(),
            },
            Driver::Replicated(replica) => replica.members(),
        }
    }

    /// The other replicas, in the order of their ids; empty unless this replica leads.
    pub fn replicas(&self) -> Vec<ReplicaStatus> {
        match &self.driver {
            Driver::Local(_) => Vec::new(),
            Driver::Replicated(replica) => replica.replicas(),
        }
    }

    /// Who would carry the group without `node`; while its members change, the weaker of the old and
    /// the new ones. `None` unless this replica leads.
    pub fn support_without(&self, node: NodeId) -> Option<Support> {
        match &self.driver {
            Driver::Local(local) => Some(Support {
                current: usize::from(local.node() != node),
                needed: 1,
            }),
            Driver::Replicated(replica) => replica.support_without(node),
        }
    }

    /// Whether a majority answered lately, without which nothing is committed. `None` unless this
    /// replica leads.
    pub fn hears_majority(&self) -> Option<bool> {
        match &self.driver {
            Driver::Local(_) => Some(true),
            Driver::Replicated(replica) => replica.hears_majority(),
        }
    }

    /// Index of the last applied entry; 0 if there is none.
    pub fn applied_index(&self) -> u64 {
        match &self.driver {
            Driver::Local(local) => local.applied_index(),
            Driver::Replicated(replica) => replica.applied_index(),
        }
    }

    /// Entries of the local log that are not applied yet.
    pub fn commit_lag(&self) -> u64 {
        match &self.driver {
            Driver::Local(local) => local.commit_lag(),
            Driver::Replicated(replica) => replica.commit_lag(),
        }
    }

    /// Hands the leadership to `to`, or to the most advanced voter. Returns the new leader.
    /// From the call on commands are refused; a transfer that fails ends in an election.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<NodeId, ChangeError> {
        match &self.driver {
            Driver::Local(_) => Err(ChangeError::NoTarget),
            Driver::Replicated(replica) => replica.transfer_leader(to).await,
        }
    }

    /// Makes `voters` the members: adds new ones as learners, waits until they have caught up, then
    /// changes the majority in one joint step. Leaders only. May leave the leader outside, which
    /// then hands over and stops taking proposals. A change that timed out may be asked for again;
    /// one that is asked for during another one is refused ([`ChangeError::InProgress`]).
    pub async fn change_members(&self, voters: BTreeSet<NodeId>) -> Result<(), ChangeError> {
        match &self.driver {
            Driver::Local(_) => Err(ChangeError::Members(
                "a local group lives on one server".to_owned(),
            )),
            Driver::Replicated(replica) => replica.change_members(voters).await,
        }
    }

    /// Takes a replica out of the group that asked for it because its log is damaged. Leaders only.
    /// Returns when this is committed by a majority of the others' and the former members: nothing
    /// that the replica may have forgotten is then needed any more. The caller adds it again by
    /// [`Group::change_members`].
    pub async fn release(&self, node: NodeId) -> Result<Release, ChangeError> {
        match &self.driver {
            Driver::Local(_) => Err(ChangeError::Members(
                "a local group lives on one server".to_owned(),
            )),
            Driver::Replicated(replica) => replica.release(node).await,
        }
    }

    /// Whether other servers may have replicas of it.
    pub fn is_replicated(&self) -> bool {
        matches!(self.driver, Driver::Replicated(_))
    }

    /// Whether the group has stopped here: it was shut down, or its log or machine failed.
    pub fn is_stopped(&self) -> bool {
        match &self.driver {
            Driver::Local(local) => local.is_stopped(),
            Driver::Replicated(replica) => replica.is_stopped(),
        }
    }

    /// Has the machine write a checkpoint, then drops the log that it covers. A replica that was
    /// out of touch meanwhile gets a snapshot when it is back.
    pub async fn checkpoint(&self) -> Result<(), ChangeError> {
        match &self.driver {
            Driver::Local(local) => local.checkpoint().await,
            Driver::Replicated(replica) => replica.checkpoint().await,
        }
    }

    /// Hands over the leadership if this replica has it, then stops. Data stay.
    pub async fn shutdown(&self) {
        match &self.driver {
            Driver::Local(local) => local.shutdown().await,
            Driver::Replicated(replica) => replica.shutdown().await,
        }
        self.leave_home();
    }

    /// Stops at once, without handing over, as if the server had died.
    pub async fn halt(&self) {
        match &self.driver {
            Driver::Local(local) => local.shutdown().await,
            Driver::Replicated(replica) => replica.halt().await,
        }
        self.leave_home();
    }

    /// Stops and deletes the group's log; the machine's own data are the caller's to delete.
    pub async fn remove(&self) -> Result<(), ChangeError> {
        self.halt().await;
        match self.home.upgrade() {
            Some(home) => Ok(home.remove(self.id)?),
            None => Err(ChangeError::Closed),
        }
    }

    fn leave_home(&self) {
        if let Some(home) = self.home.upgrade() {
            home.close(self.id);
        }
    }
}
