//! Where everything that is shown comes from.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use engine::Engine;
use hub::Hub;
use parking_lot::{Mutex, RwLock};
use storage::wal::Wal;

use crate::process::CpuMeter;

/// The parts of a running server, and the facts about it that only its configuration knows.
pub struct Sources {
    pub hub: Arc<Hub>,
    /// `None` without JetStream.
    pub engine: Option<Engine>,
    pub wal: Option<Wal>,
    /// Why the server as a whole cannot serve, if it cannot.
    healthy: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    facts: RwLock<Arc<ServerFacts>>,
    /// Requests by path.
    requests: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) cpu: CpuMeter,
    sequence: AtomicU64,
}

/// What the configuration says and monitoring repeats. Identity, ports and limits of clients come
/// from the hub.
#[derive(Clone, Debug)]
pub struct ServerFacts {
    /// Version of this program, for `weir_build_info`.
    pub product_version: String,
    pub auth_required: bool,
    pub tls_required: bool,
    pub tls_verify: bool,
    pub tls_timeout: Duration,
    /// When the client certificate of the server expires.
    pub tls_cert_not_after: Option<SystemTime>,
    pub http_host: String,
    /// 0 = not served.
    pub http_port: u16,
    pub https_port: u16,
    /// Put before every path, such as `/nats`; empty for none.
    pub http_base_path: String,
    pub config_load_time: SystemTime,
    /// `sha256:…` of the configuration file's contents, empty without a file.
    pub config_digest: String,
    pub feature_flags: BTreeMap<String, bool>,
    pub tags: Vec<String>,
    /// The WebSocket listener as `varz` shows it; empty if there is none.
    pub websocket: serde_json::Map<String, serde_json::Value>,
    pub metadata: BTreeMap<String, String>,
    pub trusted_operators_jwt: Vec<String>,
    /// Claims of those tokens, as JSON.
    pub trusted_operators_claim: Vec<serde_json::Value>,
    /// Routes that the configuration names, `host:port`.
    pub cluster_urls: Vec<String>,
    pub jetstream: Option<JetStreamFacts>,
}

impl Default for ServerFacts {
    fn default() -> ServerFacts {
        ServerFacts {
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            auth_required: false,
            tls_required: false,
            tls_verify: false,
            tls_timeout: Duration::from_secs(2),
            tls_cert_not_after: None,
            http_host: "0.0.0.0".to_owned(),
            http_port: 0,
            https_port: 0,
            http_base_path: String::new(),
            config_load_time: SystemTime::now(),
            config_digest: String::new(),
            feature_flags: BTreeMap::new(),
            tags: Vec::new(),
            websocket: serde_json::Map::new(),
            metadata: BTreeMap::new(),
            trusted_operators_jwt: Vec::new(),
            trusted_operators_claim: Vec::new(),
            cluster_urls: Vec::new(),
            jetstream: None,
        }
    }
}

/// The `jetstream` block of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamFacts {
    pub store_dir: String,
    pub max_memory_bytes: u64,
    pub max_store_bytes: u64,
    /// How long a write may stay unsynced; zero when every write is synced before it is confirmed.
    pub sync_interval: Duration,
    /// Unknown fields of requests are refused.
    pub strict: bool,
    pub domain: String,
    pub unique_tag: String,
    pub default_max_consumers: u64,
}

impl Sources {
    pub fn new(
        hub: Arc<Hub>,
        engine: Option<Engine>,
        wal: Option<Wal>,
        facts: ServerFacts,
        healthy: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Arc<Sources> {
        Arc::new(Sources {
            hub,
            engine,
            wal,
            healthy: Box::new(healthy),
            facts: RwLock::new(Arc::new(facts)),
            requests: Mutex::default(),
            cpu: CpuMeter::new(),
            sequence: AtomicU64::new(0),
        })
    }

    pub fn facts(&self) -> Arc<ServerFacts> {
        self.facts.read().clone()
    }

    /// Replaces the facts after the configuration was read again.
    pub fn set_facts(&self, facts: ServerFacts) {
        *self.facts.write() = Arc::new(facts);
    }

    /// Whether the server can serve, apart from JetStream.
    pub fn check(&self) -> Result<(), String> {
        (self.healthy)()
    }

    /// Numbers the messages that this server sends about itself, from 1.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn count_request(&self, path: &'static str) {
        *self.requests.lock().entry(path).or_default() += 1;
    }

    pub(crate) fn request_counts(&self) -> BTreeMap<&'static str, u64> {
        self.requests.lock().clone()
    }
}
