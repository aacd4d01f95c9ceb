//! What a server decides once for all its groups.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage::wal::Wal;

use crate::Transport;

/// A server of the cluster, as the groups know it. Never reused: a server that lost its store
/// comes back under a new id.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Everything [`Consensus`](crate::Consensus) needs from outside.
#[derive(Clone)]
pub struct Options {
    /// This server.
    pub node: NodeId,
    /// The one log of this server; somebody else drives its writer.
    pub wal: Wal,
    /// The way to the peers.
    pub transport: Arc<dyn Transport>,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// Bounds of queues and messages.
    pub limits: Limits,
    /// Where long machine calls run.
    pub blocking: Blocking,
    /// Seed of all randomness (election timeouts, tick phases); must differ between servers.
    pub seed: u64,
}

/// Heartbeats and elections, in milliseconds.
///
/// A follower stands for election when it heard nothing for `election_max_ms` (the lease it grants
/// its leader) plus a random time between `election_min_ms` and `election_max_ms`. So after a
/// leader is killed a new one is elected between `max + min` and `2 * max` later: 1.9 s to 2.4 s
/// by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats of a leader to each follower.
    pub heartbeat_ms: u64,
    /// Shortest random part of the election timeout; must exceed two heartbeats and a quarter.
    pub election_min_ms: u64,
    /// Longest random part of the election timeout, and the lease of a leader.
    pub election_max_ms: u64,
    /// How long one chunk of a snapshot may take to be sent and stored. After this time the sender
    /// also asks again whether the snapshot has been installed.
    pub snapshot_chunk_timeout_ms: u64,
    /// How long a snapshot may take to be installed at the receiver after the last chunk.
    pub snapshot_install_timeout_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_ms: 250,
            election_min_ms: 700,
            election_max_ms: 1200,
            snapshot_chunk_timeout_ms: 10_000,
            snapshot_install_timeout_ms: 60_000,
        }
    }
}

impl Timing {
    /// The longest time from the death of a leader to the election of the next, without the
    /// network's share.
    pub fn failover_max(&self) -> Duration {
        Duration::from_millis(2 * self.election_max_ms)
    }
}

/// Bounds of queues and messages, each per group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Commands proposed and not yet applied; above it `propose` answers `Busy`.
    pub in_flight_count_max: usize,
    /// The same in bytes. One command alone is always let in.
    pub in_flight_bytes_max: usize,
    /// Longest command, in bytes. A little less than half a segment of the write-ahead log, which
    /// takes nothing longer.
    pub command_bytes_max: usize,
    /// Size at which a message of log entries to a follower is closed, in bytes.
    pub append_bytes_max: usize,
    /// Messages of log entries on the way to one follower at a time.
    pub append_window: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_count_max: 4096,
            in_flight_bytes_max: 64 * 1024 * 1024,
            command_bytes_max: 30 * 1024 * 1024,
            append_bytes_max: 1024 * 1024,
            append_window: 8,
        }
    }
}

/// Where the machine calls that may take long run: checkpoint, snapshot chunks, install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// On the task that drives the group: simulations and tests, where there is one thread.
    Inline,
    /// On tokio's pool of blocking threads.
    Threads,
}
