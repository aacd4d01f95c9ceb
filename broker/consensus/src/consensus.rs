//! All groups of one server.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::{BoxFuture, Group, GroupId, Machine, NodeId, OpenError, Options, StorageError};

/// The groups of one server: cheap to clone. Must be used inside a tokio runtime.
#[derive(Clone)]
pub struct Consensus {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
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
}

impl Consensus {
    /// No groups yet.
    pub fn new(options: Options) -> Self {
        Self {
            shared: Arc::new(Shared { options }),
        }
    }

    /// This server.
    pub fn node(&self) -> NodeId {
        self.shared.options.node
    }

    /// Opens a group that lives on this server alone: its commands commit when they are durable
    /// here. Returns when everything in the log has been applied again.
    pub async fn local(
        &self,
        group: GroupId,
        _machine: Arc<dyn Machine>,
    ) -> Result<Group, OpenError> {
        Err(OpenError::AlreadyOpen(group))
    }

    /// Opens this server's replica of a replicated group. Returns when the replica takes part;
    /// what was committed before a restart has then been applied again.
    pub async fn replicated(
        &self,
        group: GroupId,
        _start: Start,
        _machine: Arc<dyn Machine>,
    ) -> Result<Group, OpenError> {
        Err(OpenError::AlreadyOpen(group))
    }

    /// The open group of this id.
    pub fn group(&self, _group: GroupId) -> Option<Group> {
        None
    }

    /// All open groups, in the order of their ids.
    pub fn groups(&self) -> Vec<Group> {
        Vec::new()
    }

    /// Answers a request that another server sent with [`Transport::call`](crate::Transport::call).
    /// Never fails: what cannot be understood or served is answered so.
    pub fn handle(&self, _from: NodeId, _request: Bytes) -> BoxFuture<'static, Bytes> {
        Box::pin(async { Bytes::new() })
    }

    /// Deletes the log of a group that is not open here.
    pub fn remove(&self, _group: GroupId) -> Result<(), StorageError> {
        Ok(())
    }

    /// Hands over every leadership, then stops all groups.
    pub async fn shutdown(&self) {}
}
