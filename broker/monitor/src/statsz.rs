//! `statsz` and the object by which servers name themselves in system messages.

use std::collections::BTreeMap;

use jetstream::timestamp::Timestamp;
use serde::Serialize;

use crate::accountz::DataStats;
use crate::jsz::{self, JetStreamVarz};
use crate::varz::ClientTraffic;
use crate::{Sources, process, text};

/// Bit of [`ServerInfo::flags`]: JetStream runs.
const FLAG_JETSTREAM: u64 = 1;

/// The sender of a system message.
#[derive(Clone, Debug, Serialize)]
pub struct ServerInfo {
    pub name: String,
    pub host: String,
    pub id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    pub ver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feature_flags: BTreeMap<String, bool>,
    pub jetstream: bool,
    pub flags: u64,
    /// Number of this message among those of the server.
    pub seq: u64,
    pub time: Timestamp,
}

/// This server as the sender of its next system message.
pub fn server_info(sources: &Sources) -> ServerInfo {
    let options = sources.hub.options();
    let server = &options.server;
    let facts = sources.facts();
    let jetstream = sources.engine.is_some();
    ServerInfo {
        name: server.server_name.clone(),
        host: server.host.clone(),
        id: server.server_id.clone(),
        cluster: options
            .cluster
            .as_ref()
            .map_or(String::new(), |cluster| cluster.name.clone()),
        domain: server.domain.clone().unwrap_or_default(),
        ver: server.version.clone(),
        tags: facts.tags.clone(),
        metadata: facts.metadata.clone(),
        feature_flags: facts.feature_flags.clone(),
        jetstream,
        flags: if jetstream { FLAG_JETSTREAM } else { 0 },
        seq: sources.next_sequence(),
        time: text::now(),
    }
}

#[derive(Debug, Serialize)]
pub struct ServerStats {
    pub start: Timestamp,
    pub mem: u64,
    pub cores: usize,
    pub cpu: f64,
    pub connections: usize,
    pub total_connections: u64,
    pub active_accounts: usize,
    pub subscriptions: usize,
    pub sent: DataStats,
    pub sent_to_clients: DataStats,
    pub received: DataStats,
    pub received_from_clients: DataStats,
    pub slow_consumers: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub stale_connections: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteStat>,
    pub active_servers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamVarz>,
    pub gomaxprocs: usize,
}

#[derive(Debug, Serialize)]
pub struct RouteStat {
    pub rid: u64,
    pub name: String,
    pub sent: DataStats,
    pub received: DataStats,
    pub pending: usize,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The server in few numbers.
pub fn statsz(sources: &Sources) -> ServerStats {
    let hub = &sources.hub;
    let totals = hub.totals();
    let clients = ClientTraffic::new(sources);
    let routes: Vec<RouteStat> = hub
        .route_snapshots()
        .into_iter()
        .map(|route| RouteStat {
            rid: route.rid,
            name: route.remote_name,
            sent: DataStats::new(route.out_messages, route.out_bytes),
            received: DataStats::new(route.in_messages, route.in_bytes),
            pending: route.pending_bytes,
        })
        .collect();
    let accounts = hub.account_snapshots();
    let active = accounts.iter().filter(|account| account.subscriptions > 0);
    let cores = process::cores();
    ServerStats {
        start: text::timestamp(hub.started()),
        mem: process::memory_bytes(),
        cores,
        cpu: sources.cpu.percent(),
        connections: totals.connections,
        total_connections: totals.total_connections,
        active_accounts: active.count(),
        subscriptions: totals.subscriptions,
        sent: DataStats::new(totals.out_messages, totals.out_bytes),
        sent_to_clients: DataStats::new(clients.out_messages, clients.out_bytes),
        received: DataStats::new(totals.in_messages, totals.in_bytes),
        received_from_clients: DataStats::new(clients.in_messages, clients.in_bytes),
        slow_consumers: totals.slow_consumers,
        stale_connections: totals.stale_connections,
        active_servers: hub.route_peers().len() + 1,
        routes,
        jetstream: sources
            .engine
            .as_ref()
            .map(|_| jsz::jetstream_varz(sources, false)),
        gomaxprocs: cores,
    }
}
