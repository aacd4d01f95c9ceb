//! All groups of one server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use storage::wal::Loss;

use crate::group::Driver;
use crate::local::Local;
use crate::raft::{self, Replica};
use crate::reachable::Reachable;
use crate::{BoxFuture, Group, GroupId, Machine, NodeId, OpenError, Options, StorageError};

/// The groups of one server: cheap to clone. Must be used inside a tokio runtime.
#[derive(Clone)]
pub struct Consensus {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    options: Options,
    groups: Mutex<BTreeMap<GroupId, Slot>>,
    reachable: Reachable,
}

enum Slot {
    Opening,
    Open(Group),
}

/// How a replica of a replicated group begins when its log is empty. With a log it goes on from
/// there, whatever is said here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// As one of these first members. Every member must be given the same set.
    Founding(BTreeSet<NodeId>),
    /// As a replica that the leader of an existing group adds by
    /// [`Group::change_members`](crate::Group::change_members).
    Join,
    /// As a replica whose log is damaged, once the leader has released it by
    /// [`Group::release`](crate::Group::release), which must have been asked for after this server
    /// started. Its log is dropped, the machine goes on from its checkpoint, and the leader adds it
    /// as with `Join`.
    Rejoin(Release),
}

/// A leader's word that a replica is no member any more, nor needed for anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The term in which this was committed.
    pub term: u64,
    /// The leader of that term.
    pub leader: NodeId,
}

impl Consensus {
    /// No groups yet.
    pub fn new(options: Options) -> Self {
        let groups = Mutex::new(BTreeMap::new());
        Self {
            shared: Arc::new(Shared {
                options,
                groups,
                reachable: Reachable::default(),
            }),
        }
    }

    /// This server.
    pub fn node(&self) -> NodeId {
        self.shared.options.node
    }

    /// Opens a group that lives on this server alone: its commands commit when they are durable
    /// here. Returns when everything in the log has been applied again.
    ///
    /// A machine may come from a replicated group (its seal tells) and go on here under a new group
    /// id, after a checkpoint there.
    pub async fn local(
        &self,
        group: GroupId,
        machine: Arc<dyn Machine>,
    ) -> Result<Group, OpenError> {
        let opening = self.shared.begin(group)?;
        match self.shared.options.wal.loss(group) {
            Loss::Nothing => {}
            Loss::Possible => tracing::error!(
                %group,
                "the damage to the write-ahead log may have taken the latest entries of this group"
            ),
            Loss::Certain => return Err(OpenError::Damaged(group)),
        }
        let local = Local::open(&self.shared.options, group, machine).await?;
        Ok(opening.finish(Driver::Local(local)))
    }

    /// Opens this server's replica of a replicated group. Returns when the replica takes part;
    /// what was known to be committed before a restart has then been applied again.
    ///
    /// Fails with [`OpenError::Damaged`], and without having said anything to anybody, when damage
    /// may have taken entries or votes of the replica and others count on them; see
    /// [`Start::Rejoin`]. The machine may then be used for another try.
    ///
    /// A machine may come from a local group (its seal tells) and go on here under a new group id,
    /// after a checkpoint there: found the group with this server alone, take a checkpoint once it
    /// leads, then add the others by [`Group::change_members`]; they get a snapshot.
    pub async fn replicated(
        &self,
        group: GroupId,
        start: Start,
        machine: Arc<dyn Machine>,
    ) -> Result<Group, OpenError> {
        let opening = self.shared.begin(group)?;
        let shared = &self.shared;
        let replica =
            Replica::open(&shared.options, &shared.reachable, group, start, machine).await?;
        Ok(opening.finish(Driver::Replicated(replica)))
    }

    /// Says whether a server is worth handing leaderships to: not when it is gone, nor when it said
    /// that it is about to stop. All are until told otherwise.
    pub fn set_reachable(&self, node: NodeId, is_reachable: bool) {
        self.shared.reachable.set(node, is_reachable);
    }

    /// The open group of this id.
    pub fn group(&self, group: GroupId) -> Option<Group> {
        match self.shared.groups.lock().get(&group) {
            Some(Slot::Open(group)) => Some(group.clone()),
            _ => None,
        }
    }

    /// All open groups, in the order of their ids.
    pub fn groups(&self) -> Vec<Group> {
        let groups = self.shared.groups.lock();
        let open = groups.values().filter_map(|slot| match slot {
            Slot::Open(group) => Some(group.clone()),
            Slot::Opening => None,
        });
        open.collect()
    }

    /// Answers a request that another server sent with [`Transport::call`](crate::Transport::call).
    /// Never fails: what cannot be understood or served is answered so.
    ///
    /// The request is in the group's queue when this returns; the future only waits for the answer.
    /// Call it in the order in which the requests of a connection came in, or pipelined entries
    /// arrive out of order and have to be sent again.
    pub fn handle(&self, _from: NodeId, request: Bytes) -> BoxFuture<'static, Bytes> {
        let size = request.len();
        let answer = match raft::request_group(request) {
            Err(answer) => answer,
            Ok((group, request)) => match self.group(group).map(|group| group.driver) {
                Some(Driver::Replicated(replica)) => return replica.answer(request, size),
                Some(Driver::Local(_)) | None => raft::refuse_unknown(),
            },
        };
        Box::pin(std::future::ready(answer))
    }

    /// Has other members elected in the groups that `lost` led, without waiting for its lease to end.
    /// To be called on each server when a majority of them agrees that `lost` is gone; whoever is
    /// wrong about that costs a group a change of its leader, never an entry.
    pub fn take_over_from(&self, lost: NodeId) {
        for group in self.groups() {
            if let Driver::Replicated(replica) = group.driver
                && replica.leader() == Some(lost)
            {
                tokio::spawn(replica.take_over_from(lost));
            }
        }
    }

    /// Deletes the log of a group that is not open here.
    pub fn remove(&self, group: GroupId) -> Result<(), OpenError> {
        if self.shared.groups.lock().contains_key(&group) {
            return Err(OpenError::AlreadyOpen(group));
        }
        Ok(self.shared.remove(group)?)
    }

    /// Hands over every leadership, then stops all groups.
    pub async fn shutdown(&self) {
        let groups = self.groups();
        join_all(groups.iter().map(Group::shutdown)).await;
    }

    /// Stops all groups at once, without handing over, as if the server had died.
    pub async fn halt(&self) {
        let groups = self.groups();
        join_all(groups.iter().map(Group::halt)).await;
    }
}

impl Shared {
    /// Reserves the id of a group; given back unless the opening succeeds.
    fn begin(self: &Arc<Self>, group: GroupId) -> Result<Opening, OpenError> {
        let mut groups = self.groups.lock();
        if groups.contains_key(&group) {
            return Err(OpenError::AlreadyOpen(group));
        }
        groups.insert(group, Slot::Opening);
        Ok(Opening {
            home: self.clone(),
            group,
            open: false,
        })
    }

    pub(crate) fn close(&self, group: GroupId) {
        self.groups.lock().remove(&group);
    }

    pub(crate) fn remove(&self, group: GroupId) -> Result<(), StorageError> {
        self.options
            .wal
            .remove(group)
            .map_err(|error| StorageError::Log {
                group,
                reason: error.to_string(),
            })
    }
}

/// A group on the way to be open.
struct Opening {
    home: Arc<Shared>,
    group: GroupId,
    open: bool,
}

impl Opening {
    fn finish(mut self, driver: Driver) -> Group {
        let group = Group {
            id: self.group,
            driver,
            home: Arc::downgrade(&self.home),
        };
        self.home
            .groups
            .lock()
            .insert(self.group, Slot::Open(group.clone()));
        self.open = true;
        group
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.open {
            self.home.close(self.group);
        }
    }
}
