//! What servers say about themselves on a route, and what clients are told about the cluster.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::ServerInfo;

use crate::{
    batch,
    hub::{Hub, Phase},
    info::Door,
};

/// The key in INFO under which servers of this kind say more than the protocol has keys for.
const OWN_KEY: &str = "weir";
/// Peers one INFO may name. A full mesh is not meant for more.
const PEERS_MAX: usize = 1000;

/// What is known about another server.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerInfo {
    pub server_id: String,
    pub server_name: String,
    pub cluster: String,
    /// `host:port` of its cluster port; empty when it said nothing usable.
    pub address: String,
    /// `host:port` list for clients.
    pub connect_urls: Vec<String>,
    /// `host:port` list for WebSocket clients.
    pub ws_connect_urls: Vec<String>,
    /// The other servers it has routes to.
    pub peers: Vec<Known>,
    pub extra: Value,
    pub tls_required: bool,
}

/// A server some other server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub id: String,
    pub address: String,
}

/// The part of INFO only servers of this kind understand.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    address: String,
    peers: Vec<Known>,
    extra: Value,
}

impl PeerInfo {
    fn urls(&self, door: Door) -> &[String] {
        match door {
            Door::Clients => &self.connect_urls,
            Door::WebSockets => &self.ws_connect_urls,
        }
    }

    /// Reads an INFO line. `seen_at` is where its connection comes from, for servers that listen
    /// on all addresses and do not know which one is reachable.
    pub fn parse(json: &[u8], seen_at: SocketAddr) -> Result<PeerInfo, serde_json::Error> {
        let info = ServerInfo::parse(json)?;
        let value: Value = serde_json::from_slice(json)?;
        let own = value.get(OWN_KEY).cloned().unwrap_or_default();
        let mut own: Own = serde_json::from_value(own).unwrap_or_default();
        own.peers.truncate(PEERS_MAX);
        let address = match own.address {
            address if address.is_empty() => reachable(&info.host, info.port, seen_at.ip()),
            address => address,
        };
        Ok(PeerInfo {
            server_id: info.server_id,
            server_name: info.server_name,
            cluster: info.cluster,
            address,
            connect_urls: info.connect_urls,
            ws_connect_urls: info.ws_connect_urls,
            peers: own.peers,
            extra: own.extra,
            tls_required: info.tls_required,
        })
    }
}

/// Where a server that listens on `host` can be reached, given where it was seen.
fn reachable(host: &str, port: u16, seen_at: IpAddr) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => join(&seen_at.to_string(), port),
        Err(_) if host.is_empty() => join(&seen_at.to_string(), port),
        _ => join(host, port),
    }
}

/// `host:port`, with the brackets IPv6 needs.
pub(super) fn join(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

impl Hub {
    /// The JSON of the INFO line for other servers.
    pub(super) fn route_info(&self) -> Vec<u8> {
        let mut info = self.base_info();
        let mut own = Own {
            extra: self.routes.extra.lock().clone(),
            ..Own::default()
        };
        if let Some(cluster) = self.routes.options() {
            info.cluster = cluster.name.clone();
            info.host = cluster.host.clone();
            info.auth_required = cluster.user.is_some();
            info.tls_required = cluster.tls.is_some();
            own.address = cluster.advertise.clone().unwrap_or_default();
        }
        info.port = self.routes.port.load(Ordering::Relaxed) as u16;
        info.ldm = self.phase() >= Phase::LameDuck;
        if !info.ldm {
            info.connect_urls = self.own_client_urls();
            info.ws_connect_urls = self.own_websocket_urls();
        }
        own.peers = self.known_peers();
        let mut value = serde_json::to_value(&info).unwrap_or_default();
        if let (Value::Object(map), Ok(own)) = (&mut value, serde_json::to_value(&own)) {
            map.insert(OWN_KEY.to_owned(), own);
        }
        value.to_string().into_bytes()
    }

    fn known_peers(&self) -> Vec<Known> {
        let table = self.routes.table.lock();
        let named = table
            .peers
            .values()
            .filter(|peer| !peer.info.address.is_empty());
        named
            .map(|peer| Known {
                id: peer.info.server_id.clone(),
                address: peer.info.address.clone(),
            })
            .collect()
    }

    /// Sends the present INFO to every server.
    pub(crate) fn announce_to_routes(self: &Arc<Self>) {
        let routes = self.routes.connections();
        if routes.is_empty() {
            return;
        }
        let json = self.route_info();
        batch::run(|| {
            for route in &routes {
                route.send(json.len(), |out| info_line(out, &json));
            }
        });
    }

    /// Where clients find the servers of this cluster. Empty without a cluster.
    pub fn client_urls(&self) -> Vec<String> {
        self.connect_urls(Door::Clients)
    }

    /// Where clients that speak WebSocket find the servers of this cluster.
    pub fn websocket_urls(&self) -> Vec<String> {
        self.connect_urls(Door::WebSockets)
    }

    /// Where clients of one kind find the servers of this cluster.
    pub(crate) fn connect_urls(&self, door: Door) -> Vec<String> {
        if !self.routes.is_clustered() || self.advertised.load().nothing {
            return Vec::new();
        }
        let mut urls = BTreeSet::new();
        let leaving = self.phase() >= Phase::LameDuck;
        let own = match door {
            _ if leaving => Vec::new(),
            Door::Clients => self.own_client_urls(),
            Door::WebSockets => self.own_websocket_urls(),
        };
        let table = self.routes.table.lock();
        urls.extend(
            table
                .peers
                .values()
                .flat_map(|peer| peer.info.urls(door).iter().cloned()),
        );
        let others = urls
            .into_iter()
            .filter(|url| !own.contains(url))
            .collect::<Vec<_>>();
        own.iter().cloned().chain(others).collect()
    }

    fn own_client_urls(&self) -> Vec<String> {
        let server = &self.options().server;
        let advertised = self.advertised.load();
        self.advertised(
            advertised.address.as_deref(),
            &server.host,
            &self.client_port,
        )
    }

    /// Where a listener of this server can be reached.
    pub(crate) fn advertised(
        &self,
        advertise: Option<&str>,
        host: &str,
        port: &AtomicU64,
    ) -> Vec<String> {
        let port = port.load(Ordering::Relaxed) as u16;
        if self.advertised.load().nothing {
            return Vec::new();
        }
        if let Some(advertise) = advertise {
            let has_port = advertise.rsplit_once(':').is_some_and(|(host, port)| {
                port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
            });
            return vec![if has_port {
                advertise.to_owned()
            } else {
                join(advertise, port)
            }];
        }
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => own_addresses()
                .iter()
                .map(|ip| join(&ip.to_string(), port))
                .collect(),
            _ => vec![join(host, port)],
        }
    }
}

/// The addresses of this host at which others may reach it.
fn own_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "addresses of this host are not known, clients are not told them");
        Vec::new()
    });
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .filter(|interface| interface.is_oper_up())
        .map(|interface| interface.ip())
        .filter(is_reachable)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether an address means this host to others, too.
fn is_reachable(ip: &IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_link_local)
}

pub(super) fn info_line(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"INFO ");
    out.extend_from_slice(json);
    out.extend_from_slice(b" \r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_where_it_was_seen() {
        let seen = "10.1.2.3:5555".parse::<SocketAddr>().unwrap().ip();
        assert_eq!(reachable("0.0.0.0", 6222, seen), "10.1.2.3:6222");
        assert_eq!(
            reachable("::", 6222, "fd00::1".parse().unwrap()),
            "[fd00::1]:6222"
        );
        assert_eq!(reachable("a.example", 6222, seen), "a.example:6222");
    }

    #[test]
    fn addresses_only_this_host_understands_are_kept_back() {
        let told = |ip: &str| is_reachable(&ip.parse().unwrap());
        assert!(told("10.1.2.3") && told("fd00::1") && told("2001:db8::1"));
        assert!(!told("127.0.0.1") && !told("::1") && !told("169.254.1.1") && !told("fe80::1"));
        assert!(own_addresses().iter().all(is_reachable));
    }
}
