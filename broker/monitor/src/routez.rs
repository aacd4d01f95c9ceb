//! `routez`: the routes to the other servers of the cluster.

use hub::RouteSnapshot;
use jetstream::timestamp::Timestamp;
use serde::Serialize;

use crate::options::RoutezOptions;
use crate::{Sources, text};

#[derive(Debug, Serialize)]
pub struct Routez {
    pub server_id: String,
    pub server_name: String,
    pub now: Timestamp,
    pub num_routes: usize,
    pub routes: Vec<RouteInfo>,
}

#[derive(Debug, Serialize)]
pub struct RouteInfo {
    pub rid: u64,
    pub remote_id: String,
    pub remote_name: String,
    pub did_solicit: bool,
    pub is_configured: bool,
    pub ip: String,
    pub port: u16,
    pub start: Timestamp,
    pub last_activity: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<String>,
    pub uptime: String,
    pub idle: String,
    pub pending_size: usize,
    pub in_msgs: u64,
    pub out_msgs: u64,
    pub in_bytes: u64,
    pub out_bytes: u64,
    pub subscriptions: usize,
    pub compression: &'static str,
}

/// The routes. Subscriptions of other servers are counted, not listed: this server keeps them per
/// account, not per route.
pub fn routez(sources: &Sources, _options: &RoutezOptions) -> Routez {
    let server = &sources.hub.options().server;
    let routes: Vec<_> = sources
        .hub
        .route_snapshots()
        .into_iter()
        .map(info)
        .collect();
    Routez {
        server_id: server.server_id.clone(),
        server_name: server.server_name.clone(),
        now: text::now(),
        num_routes: routes.len(),
        routes,
    }
}

fn info(route: RouteSnapshot) -> RouteInfo {
    RouteInfo {
        rid: route.rid,
        remote_id: route.remote_id,
        remote_name: route.remote_name,
        did_solicit: route.did_solicit,
        is_configured: route.is_configured,
        ip: route.peer.ip().to_canonical().to_string(),
        port: route.peer.port(),
        start: text::timestamp(route.start),
        last_activity: text::timestamp(route.last_activity),
        rtt: route.rtt.map(text::precise),
        uptime: text::lasted(route.uptime),
        idle: text::lasted(route.idle),
        pending_size: route.pending_bytes,
        in_msgs: route.in_messages,
        out_msgs: route.out_messages,
        in_bytes: route.in_bytes,
        out_bytes: route.out_bytes,
        subscriptions: route.subscriptions,
        compression: "off",
    }
}
