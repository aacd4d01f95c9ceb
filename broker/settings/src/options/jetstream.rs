//! JetStream on this server.

use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct JetStream {
    pub enabled: bool,
    /// Refuse requests with unknown fields.
    pub strict: bool,
    /// A `jetstream` folder under it holds the data. A temporary folder if absent.
    pub store_dir: Option<PathBuf>,
    /// Three quarters of the memory if absent.
    pub max_memory_bytes: Option<u64>,
    /// Three quarters of the free disk if absent.
    pub max_store_bytes: Option<u64>,
    pub sync_interval: SyncInterval,
    pub domain: Option<String>,
    pub unique_tag: Option<String>,
    pub encryption_key: Option<String>,
    pub previous_encryption_key: Option<String>,
    pub cipher: Option<Cipher>,
    pub extension_hint: Option<String>,
    pub limits: JetStreamLimits,
    pub max_outstanding_catchup_bytes: u64,
    /// Bytes and messages of a stream that may wait to be stored.
    pub max_buffered_bytes: u64,
    pub max_buffered_messages: u64,
    /// API requests that may wait.
    pub request_queue_limit: u64,
    /// API information requests that may wait; the same as `request_queue_limit` if absent.
    pub info_queue_limit: Option<u64>,
    pub meta_compact: Option<u64>,
    pub meta_compact_bytes: Option<u64>,
    pub meta_compact_sync: bool,
    pub max_concurrent_io: u32,
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            enabled: false,
            strict: true,
            store_dir: None,
            max_memory_bytes: None,
            max_store_bytes: None,
            sync_interval: SyncInterval::default(),
            domain: None,
            unique_tag: None,
            encryption_key: None,
            previous_encryption_key: None,
            cipher: None,
            extension_hint: None,
            limits: JetStreamLimits::default(),
            max_outstanding_catchup_bytes: 64 * 1024 * 1024,
            max_buffered_bytes: 128 * 1024 * 1024,
            max_buffered_messages: 100_000,
            request_queue_limit: 10_000,
            info_queue_limit: None,
            meta_compact: None,
            meta_compact_bytes: None,
            meta_compact_sync: false,
            max_concurrent_io: 4096,
        }
    }
}

impl JetStream {
    /// The folder the data lies in.
    pub fn data_dir(&self, temporary_dir: &Path) -> PathBuf {
        match &self.store_dir {
            Some(dir) => dir.join("jetstream"),
            None => temporary_dir.join("nats").join("jetstream"),
        }
    }
}

/// When data is made durable, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncInterval {
    /// The file says nothing.
    #[default]
    Unset,
    /// Before every acknowledgement.
    Always,
    Every(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    ChaCha,
    Aes,
}

/// Ceilings for assets of this server; no ceiling where a field is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JetStreamLimits {
    pub max_ack_pending: Option<u64>,
    pub max_ha_assets: Option<u64>,
    pub max_request_batch: Option<u64>,
    pub duplicate_window: Option<Duration>,
    /// Consumers of a stream that sets no limit itself.
    pub default_max_consumers: Option<u64>,
    pub batch: BatchLimits,
}

impl Default for JetStreamLimits {
    fn default() -> Self {
        Self {
            max_ack_pending: None,
            max_ha_assets: None,
            max_request_batch: None,
            duplicate_window: None,
            default_max_consumers: Some(1000),
            batch: BatchLimits::default(),
        }
    }
}

/// Limits of atomic and fast batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchLimits {
    pub max_inflight_per_stream: u64,
    pub max_inflight_total: u64,
    pub max_messages: u64,
    pub timeout: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            max_inflight_per_stream: 50,
            max_inflight_total: 1000,
            max_messages: 1000,
            timeout: Duration::from_secs(10),
        }
    }
}
