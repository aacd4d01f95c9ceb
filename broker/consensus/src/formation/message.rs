//! What servers tell each other, and keep, while a cluster forms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// A cluster, from the moment it is founded: drawn by the initiator, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a server must find again after a restart; written whole, atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// This store; drawn at random when the store was created.
    pub node: NodeId,
    /// The cluster this store belongs to.
    pub cluster: Option<Membership>,
    /// The one attempt that may found a cluster with this server.
    pub grant: Option<Grant>,
    /// The last attempt that this server began itself.
    pub attempt: u64,
}

/// Membership in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its first members. The present ones are in its meta group.
    pub founders: BTreeSet<NodeId>,
}

/// An attempt to found a cluster: who, for how many-eth time, with whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The server that wants to found it.
    pub initiator: NodeId,
    /// Its name, so that a successor with an empty store can release the grant.
    pub initiator_name: String,
    /// The initiator's count of attempts.
    pub attempt: u64,
    /// Exactly the first members.
    pub founders: BTreeSet<NodeId>,
}

/// A message between two connected servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Who I am; sent on connecting, on each change and with each tick while fresh.
    Hello(Hello),
    /// Initiator to founders: grant me this attempt.
    Ask(Grant),
    /// Founder to initiator: granted, and durable.
    Granted {
        /// The attempt.
        attempt: u64,
    },
    /// Founder to initiator: another attempt or a cluster has my grant.
    Denied {
        /// The attempt.
        attempt: u64,
    },
    /// Initiator to founders: I gave this attempt up for good.
    Released {
        /// The attempt.
        attempt: u64,
    },
    /// Fresh server to a member: let me in.
    Join,
    /// Member to a fresh server: you are in.
    Welcome(Membership),
    /// Member to a fresh server: you may not join.
    Refused(Refusal),
}

/// Introduction of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Configured name.
    pub name: String,
    /// How many servers it expects, itself included.
    pub expected: usize,
    /// The cluster it belongs to.
    pub cluster: Option<Membership>,
    /// Its grant.
    pub grant: Option<Grant>,
}

/// Why a server may not be part of this cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Two running servers have one name.
    #[error(
        "server name {name:?} is already used by a running server; give each server its own name"
    )]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The stores are of different clusters.
    #[error(
        "server {name:?} has a store of cluster {theirs}, this one is of cluster {ours}; \
         empty the store of the server that is to change sides"
    )]
    OtherCluster {
        /// The other server.
        name: String,
        /// Cluster of this store.
        ours: ClusterId,
        /// Cluster of the other store.
        theirs: ClusterId,
    },
}

/// The servers a cluster knows: name to node.
pub type Roster = BTreeMap<String, NodeId>;

impl Message {
    /// For the wire.
    pub fn encode(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    /// From the wire; `None` if it is no message.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl Identity {
    /// Of a store that was just created.
    pub fn fresh(node: NodeId) -> Self {
        Self {
            node,
            cluster: None,
            grant: None,
            attempt: 0,
        }
    }

    /// For the disk.
    pub fn encode(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    /// From the disk; `None` if it is no identity.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
