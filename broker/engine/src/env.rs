//! What every part of the engine is given from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{BoxFuture, Consensus, NodeId};
use storage::fs::FileSystem;
use storage::wal::Wal;

use crate::bus::Bus;
use crate::clock::SteadyClock;
use crate::random::Random;

/// Facts about this server that do not change while it runs.
#[derive(Debug, Clone)]
pub struct Options {
    pub server_name: String,
    /// Public server key, `N…`.
    pub server_id: String,
    /// The cluster's name; `None` on a server that stands alone.
    pub cluster: Option<String>,
    /// JetStream domain, empty if there is none.
    pub domain: String,
    pub tags: Vec<String>,
    /// Tag prefix that the replicas of a stream may not share.
    pub unique_tag: Option<String>,
    /// Directory of this server's streams.
    pub store_dir: PathBuf,
    pub max_file_bytes: u64,
    pub max_memory_bytes: u64,
    /// Distinguishes this start of the server from earlier ones.
    pub start_id: u64,
}

/// Questions between servers, beside consensus.
pub trait PeerCalls: Send + Sync {
    fn call(
        &self,
        to: NodeId,
        request: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Option<Bytes>>;
    /// Whether the server is connected now. This server always is.
    fn is_online(&self, node: NodeId) -> bool;
}

/// The outside world.
pub struct Env {
    pub options: Options,
    pub bus: Arc<dyn Bus>,
    pub clock: SteadyClock,
    pub fs: Arc<dyn FileSystem>,
    pub wal: Wal,
    pub consensus: Consensus,
    pub peers: Arc<dyn PeerCalls>,
    /// For names and ids.
    pub random: Random,
}

impl Env {
    pub fn now_ns(&self) -> i64 {
        self.clock.now_ns()
    }

    pub fn node(&self) -> NodeId {
        self.consensus.node()
    }

    pub fn is_clustered(&self) -> bool {
        self.options.cluster.is_some()
    }
}
