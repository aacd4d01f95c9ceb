//! What servers ask each other about JetStream, beside consensus.

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus::NodeId;
use serde::{Deserialize, Serialize};

use crate::allowance::TierUsage;
use crate::forward::Forwarded;
use crate::meta::ServerFacts;

/// A question to another server, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// A message of the founding of a cluster.
    Formation { message: Vec<u8> },
    /// To the meta leader: this is what I am.
    Facts { node: NodeId, facts: ServerFacts },
    /// The infos of those of an account's streams that the asked server leads; all if `names` is
    /// empty.
    StreamInfos { account: String, names: Vec<String> },
    /// What an account uses on the asked server, counting what it leads.
    Usage { account: String },
    /// Whether the asked server has lost the connection to a server, as a boolean.
    Misses { node: NodeId },
    /// To the meta leader: how far its log goes, as a number; null if it cannot be sure to lead.
    MetaIndex,
    /// What the asked server knows about the groups that a server takes part in.
    Reliance { node: NodeId },
    /// To the meta leader: the members of the stream's group are those assigned to it.
    Moved {
        account: String,
        name: String,
        group: u64,
        replicas: Vec<NodeId>,
    },
    /// To the meta leader: the backup that the stream was to be made of will not come.
    RestoreFailed {
        account: String,
        name: String,
        group: u64,
    },
    /// To the leader of a stream: publishes that a former leader could not store.
    Publish {
        group: u64,
        messages: Vec<Forwarded>,
    },
    /// What every account uses on the asking server, counting what it leads.
    AllUsage {
        accounts: BTreeMap<String, TierUsage>,
    },
    /// The asking server is about to stop: nobody should hand leaderships over to it.
    Leaving,
    /// To the leader of a group: take the replica of the asking server out of it, whose log or files
    /// are damaged.
    Release { group: u64 },
    /// A stored message, to repair a damaged copy.
    Message { group: u64, seq: u64 },
}

impl Question {
    pub fn encode(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn decode(question: &[u8]) -> Option<Question> {
        serde_json::from_slice(question).ok()
    }
}

/// A stored message on its way to a server whose copy is damaged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageCopy {
    pub seq: u64,
    pub time_ns: i64,
    pub subject: Vec<u8>,
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

/// What one account uses on one server, and how often it asked that server.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct AccountReport {
    pub usage: TierUsage,
    /// Requests of the API, and those of them that were refused.
    pub api_total: u64,
    pub api_errors: u64,
}

/// Storage and asset counts of one account on one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub memory_bytes: u64,
    pub file_bytes: u64,
    pub streams: u64,
    pub consumers: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.memory_bytes += other.memory_bytes;
        self.file_bytes += other.file_bytes;
        self.streams += other.streams;
        self.consumers += other.consumers;
    }
}
