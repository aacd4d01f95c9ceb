//! Accounts, what they share, and what they may use.

use std::time::Duration;

use super::{Permissions, User};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    pub name: String,
    /// A public account key.
    pub nkey: Option<String>,
    pub users: Vec<User>,
    pub default_permissions: Option<Permissions>,
    /// Absent if the account may not use JetStream.
    pub jetstream: Option<AccountJetStream>,
    pub limits: AccountLimits,
    pub exports: Vec<Export>,
    pub imports: Vec<Import>,
    pub mappings: Vec<Mapping>,
    pub message_trace: Option<MessageTrace>,
}

/// No limit where a field is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountLimits {
    pub max_connections: Option<u64>,
    pub max_subscriptions: Option<u64>,
    pub max_payload_bytes: Option<u64>,
    pub max_leafnodes: Option<u64>,
}

/// No limit where a field is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountJetStream {
    pub max_memory_bytes: Option<u64>,
    pub max_store_bytes: Option<u64>,
    pub max_streams: Option<u64>,
    pub max_consumers: Option<u64>,
    pub max_ack_pending: Option<u64>,
    pub memory_max_stream_bytes: Option<u64>,
    pub store_max_stream_bytes: Option<u64>,
    /// Streams must set a size limit.
    pub max_bytes_required: bool,
    pub cluster_traffic: ClusterTraffic,
}

/// The account that carries the traffic between replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClusterTraffic {
    #[default]
    System,
    Owner,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterestKind {
    Stream,
    Service,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    pub kind: InterestKind,
    pub subject: String,
    /// Accounts that may import; any if absent.
    pub accounts: Option<Vec<String>>,
    pub response_type: ResponseType,
    /// How long a service may take to answer; two minutes if absent.
    pub response_threshold: Option<Duration>,
    pub latency: Option<Latency>,
    /// Which token of the subject holds the importing account, counted from one.
    pub account_token_position: Option<u32>,
    pub allow_trace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseType {
    #[default]
    Single,
    Stream,
    Chunked,
}

/// Where the latency of a service is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latency {
    pub sampling: Sampling,
    pub subject: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    Percent(u8),
    /// Requests that carry a trace header.
    Headers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub kind: InterestKind,
    pub account: String,
    pub subject: String,
    pub prefix: Option<String>,
    pub to: Option<String>,
    /// Tell the exporting account who asks.
    pub share: bool,
    pub allow_trace: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub source: String,
    pub destinations: Vec<MapDestination>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDestination {
    pub subject: String,
    pub weight_percent: u8,
    pub cluster: Option<String>,
}

/// Where traces of messages that ask for one are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTrace {
    pub destination: String,
    pub sampling_percent: u8,
}
