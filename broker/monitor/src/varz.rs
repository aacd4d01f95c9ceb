//! `varz`: the server as a whole.

use std::collections::BTreeMap;

use hub::RouteSnapshot;
use jetstream::timestamp::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::jsz::{self, JetStreamVarz};
use crate::{Sources, process, text};

#[derive(Debug, Serialize)]
pub struct Varz {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    pub proto: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_commit: Option<String>,
    pub go: String,
    pub host: String,
    pub port: u16,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auth_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    pub max_connections: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_subscriptions: usize,
    pub ping_interval: i64,
    pub ping_max: u32,
    pub http_host: String,
    pub http_port: u16,
    pub http_base_path: String,
    pub https_port: u16,
    /// Seconds.
    pub auth_timeout: f64,
    pub max_control_line: usize,
    pub max_payload: usize,
    pub max_pending: usize,
    pub cluster: ClusterVarz,
    pub gateway: Map<String, Value>,
    pub leaf: Map<String, Value>,
    pub mqtt: Map<String, Value>,
    pub websocket: Map<String, Value>,
    pub jetstream: JetStreamVarz,
    /// Seconds.
    pub tls_timeout: f64,
    pub write_deadline: i64,
    pub start: Timestamp,
    pub now: Timestamp,
    pub uptime: String,
    /// Resident memory in bytes.
    pub mem: u64,
    pub cores: usize,
    pub gomaxprocs: usize,
    /// Percent of one processor.
    pub cpu: f64,
    pub connections: usize,
    pub total_connections: u64,
    pub routes: usize,
    pub remotes: usize,
    pub leafnodes: usize,
    pub in_msgs: u64,
    pub in_bytes: u64,
    pub in_client_msgs: u64,
    pub in_client_bytes: u64,
    pub out_msgs: u64,
    pub out_bytes: u64,
    pub out_client_msgs: u64,
    pub out_client_bytes: u64,
    pub slow_consumers: u64,
    pub stale_connections: u64,
    /// Panics that were survived.
    #[serde(skip_serializing_if = "is_none_u64")]
    pub panics: u64,
    pub stalled_clients: u64,
    pub subscriptions: usize,
    pub http_req_stats: BTreeMap<&'static str, u64>,
    pub config_load_time: Timestamp,
    pub config_digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_flags: BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_operators_jwt: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_operators_claim: Vec<Value>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system_account: String,
    pub slow_consumer_stats: ByKind,
    pub stale_connection_stats: ByKind,
    pub disk_io_wait_stats: DiskIoWaitStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert_not_after: Option<Timestamp>,
}

#[derive(Debug, Default, Serialize)]
pub struct ClusterVarz {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub cluster_port: usize,
    #[serde(skip_serializing_if = "is_none_f64")]
    pub auth_timeout: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "is_none_f64")]
    pub tls_timeout: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub pool_size: usize,
}

/// A count for each kind of connection.
#[derive(Debug, Default, Serialize)]
pub struct ByKind {
    pub clients: u64,
    pub routes: u64,
    pub gateways: u64,
    pub leafs: u64,
}

/// How often writers queue for the disk. This server has one writer, so nobody queues.
#[derive(Debug, Default, Serialize)]
pub struct DiskIoWaitStats {
    pub waiters: u64,
    pub waits: u64,
    pub wait_time: u64,
    pub max_wait_time: u64,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn is_none_u64(value: &u64) -> bool {
    *value == 0
}

fn is_none_f64(value: &f64) -> bool {
    *value == 0.0
}

/// Messages and bytes of clients alone.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ClientTraffic {
    pub in_messages: u64,
    pub in_bytes: u64,
    pub out_messages: u64,
    pub out_bytes: u64,
}

impl ClientTraffic {
    /// Everything but what the present routes moved.
    pub fn new(sources: &Sources) -> ClientTraffic {
        let totals = sources.hub.totals();
        let routes = sources.hub.route_snapshots();
        let without = |all: u64, of_route: fn(&RouteSnapshot) -> u64| {
            all.saturating_sub(routes.iter().map(of_route).sum())
        };
        ClientTraffic {
            in_messages: without(totals.in_messages, |route| route.in_messages),
            in_bytes: without(totals.in_bytes, |route| route.in_bytes),
            out_messages: without(totals.out_messages, |route| route.out_messages),
            out_bytes: without(totals.out_bytes, |route| route.out_bytes),
        }
    }
}

pub fn varz(sources: &Sources) -> Varz {
    let hub = &sources.hub;
    let server = hub.options().server.clone();
    let limits = hub.limits().clone();
    let facts = sources.facts();
    let totals = hub.totals();
    let clients = ClientTraffic::new(sources);
    let cores = process::cores();
    let cluster = cluster(sources);
    Varz {
        server_id: server.server_id,
        server_name: server.server_name,
        version: server.version,
        proto: 1,
        git_commit: server.git_commit,
        go: server.go,
        host: server.host,
        port: server.port,
        auth_required: facts.auth_required,
        tls_required: facts.tls_required,
        tls_verify: facts.tls_verify,
        connect_urls: hub.client_urls(),
        ws_connect_urls: hub.websocket_urls(),
        max_connections: limits.max_connections,
        max_subscriptions: limits.max_subscriptions,
        ping_interval: text::nanos(limits.ping_interval),
        ping_max: limits.ping_max,
        http_host: facts.http_host.clone(),
        http_port: facts.http_port,
        http_base_path: facts.http_base_path.clone(),
        https_port: facts.https_port,
        auth_timeout: limits.auth_timeout.as_secs_f64(),
        max_control_line: limits.max_control_line,
        max_payload: limits.max_payload,
        max_pending: limits.max_pending,
        remotes: cluster.urls.len(),
        cluster,
        gateway: Map::new(),
        leaf: Map::new(),
        mqtt: Map::new(),
        websocket: facts.websocket.clone(),
        jetstream: jsz::jetstream_varz(sources, true),
        tls_timeout: facts.tls_timeout.as_secs_f64(),
        write_deadline: text::nanos(limits.write_deadline),
        start: text::timestamp(hub.started()),
        now: text::now(),
        uptime: text::lasted(hub.started().elapsed().unwrap_or_default()),
        mem: process::memory_bytes(),
        cores,
        gomaxprocs: cores,
        cpu: sources.cpu.percent(),
        connections: totals.connections,
        total_connections: totals.total_connections,
        routes: totals.routes,
        leafnodes: 0,
        in_msgs: totals.in_messages,
        in_bytes: totals.in_bytes,
        in_client_msgs: clients.in_messages,
        in_client_bytes: clients.in_bytes,
        out_msgs: totals.out_messages,
        out_bytes: totals.out_bytes,
        out_client_msgs: clients.out_messages,
        out_client_bytes: clients.out_bytes,
        slow_consumers: totals.slow_consumers,
        stale_connections: totals.stale_connections,
        panics: totals.panics,
        stalled_clients: 0,
        subscriptions: totals.subscriptions,
        http_req_stats: sources.request_counts(),
        config_load_time: text::timestamp(facts.config_load_time),
        config_digest: facts.config_digest.clone(),
        tags: facts.tags.clone(),
        metadata: facts.metadata.clone(),
        feature_flags: facts.feature_flags.clone(),
        trusted_operators_jwt: facts.trusted_operators_jwt.clone(),
        trusted_operators_claim: facts.trusted_operators_claim.clone(),
        system_account: hub.options().system_account.clone(),
        slow_consumer_stats: ByKind {
            clients: totals.slow_consumers,
            ..ByKind::default()
        },
        stale_connection_stats: ByKind {
            clients: totals.stale_connections,
            ..ByKind::default()
        },
        disk_io_wait_stats: DiskIoWaitStats::default(),
        tls_cert_not_after: facts.tls_cert_not_after.map(text::timestamp),
    }
}

fn cluster(sources: &Sources) -> ClusterVarz {
    let Some(cluster) = sources.hub.cluster() else {
        return ClusterVarz::default();
    };
    ClusterVarz {
        name: cluster.name.clone(),
        addr: cluster.host.clone(),
        cluster_port: usize::from(cluster.port),
        auth_timeout: cluster.auth_timeout.as_secs_f64(),
        urls: sources.facts().cluster_urls.clone(),
        tls_timeout: cluster
            .tls
            .as_ref()
            .map_or(2.0, |tls| tls.timeout.as_secs_f64()),
        tls_required: cluster.tls.is_some(),
        pool_size: 1,
    }
}
