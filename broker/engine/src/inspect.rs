//! What monitoring asks JetStream about.

use consensus::{Group, NodeId, ReplicaStatus};
use jetstream::api::{ClusterInfo, PeerInfo, stream::StreamInfo};
use jetstream::consumer::ConsumerInfo;

use crate::Engine;
use crate::api;
use crate::asset::Asset;

/// The meta group as this server sees it.
#[derive(Debug, Clone)]
pub struct MetaCluster {
    pub name: String,
    /// Name of the leading server, empty while there is none.
    pub leader: String,
    /// The leader's id, empty while there is none.
    pub leader_peer: String,
    /// The other servers; empty unless this server leads.
    pub replicas: Vec<PeerInfo>,
    /// Servers that take part in it.
    pub size: usize,
    /// Committed entries that are not applied here yet.
    pub pending: u64,
    /// Names of servers that are being emptied.
    pub evacuating: Vec<String>,
}

/// What one consumer has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerNumbers {
    pub name: String,
    /// Messages not delivered yet.
    pub num_pending: u64,
    /// Messages delivered and not acknowledged.
    pub num_ack_pending: u64,
    /// Of those, the ones delivered more than once.
    pub num_redelivered: u64,
    /// Pull requests that wait for messages.
    pub num_waiting: u64,
}

impl Engine {
    /// Everything the API tells about a stream, as this replica knows it.
    pub fn stream_info(&self, asset: &Asset) -> StreamInfo {
        api::stream_info(self, asset)
    }

    /// Everything the API tells about a consumer, as this replica knows it. What waits and what is
    /// bound only the leader knows.
    pub fn consumer_info(&self, asset: &Asset, name: &str) -> Option<ConsumerInfo<ClusterInfo>> {
        api::consumer_info(self, asset, name)
    }

    /// What the consumers of a stream have to do; empty unless this server leads the stream. Much
    /// cheaper than their infos.
    pub fn consumer_numbers(&self, asset: &Asset) -> Vec<ConsumerNumbers> {
        let Some(live) = asset.live() else {
            return Vec::new();
        };
        let mut numbers: Vec<_> = asset.read(|machine| {
            let consumers = machine.consumers().iter();
            consumers
                .map(|(name, consumer)| ConsumerNumbers {
                    name: name.clone(),
                    num_pending: 0,
                    num_ack_pending: consumer.state.pending().len() as u64,
                    num_redelivered: consumer.state.redelivered() as u64,
                    num_waiting: 0,
                })
                .collect()
        });
        live.with_consumers(asset, |consumers| {
            for numbers in &mut numbers {
                if let Some(delivery) = consumers.delivery(&numbers.name) {
                    let live = delivery.live_info();
                    numbers.num_pending = live.num_pending;
                    numbers.num_waiting = live.num_waiting;
                }
            }
        });
        numbers
    }

    /// Bytes that the `max_bytes` of this server's replicas promise: in memory, in files.
    pub fn reserved_bytes(&self) -> (u64, u64) {
        let mut reserved = (0, 0);
        for asset in self.assets() {
            let config = &asset.assignment.read().config;
            let bytes = u64::try_from(config.max_bytes).unwrap_or(0);
            match config.storage {
                jetstream::config::Storage::Memory => reserved.0 += bytes,
                jetstream::config::Storage::File => reserved.1 += bytes,
            }
        }
        reserved
    }

    /// `None` on a server that stands alone.
    pub fn meta_cluster(&self) -> Option<MetaCluster> {
        let name = self.env().options.cluster.clone()?;
        let group = self.meta().group();
        let leader = self.shared.meta_leader();
        let replicas = match self.meta().is_leader() {
            true => group.as_ref().map(Group::replicas).unwrap_or_default(),
            false => Vec::new(),
        };
        let servers = self.meta().read(|meta| meta.servers().len());
        Some(MetaCluster {
            name,
            leader: leader.map_or(String::new(), |node| self.server_name(node)),
            leader_peer: leader.map_or(String::new(), |node| node.to_string()),
            replicas: replicas
                .iter()
                .map(|status| self.peer_info(status))
                .collect(),
            size: group
                .as_ref()
                .map_or(servers, |group| group.members().voters.len()),
            pending: group.as_ref().map_or(0, Group::commit_lag),
            evacuating: self
                .meta()
                .read(|meta| meta.evacuating().clone())
                .into_iter()
                .map(|node| self.server_name(node))
                .collect(),
        })
    }

    /// Whether this server is being emptied.
    pub fn is_evacuating(&self) -> bool {
        let here = self.env().node();
        self.meta().read(|meta| meta.is_evacuating(here))
    }

    /// Whether a replica that does not lead itself can hear the leader that it knows.
    pub fn hears(&self, leader: NodeId) -> bool {
        self.shared.hears(leader)
    }

    /// Whether a route to the server is up.
    pub fn is_online(&self, node: NodeId) -> bool {
        self.env().peers.is_online(node)
    }

    fn peer_info(&self, status: &ReplicaStatus) -> PeerInfo {
        PeerInfo {
            name: self.server_name(status.node),
            current: status.current,
            offline: !self.is_online(status.node),
            active_ns: status
                .last_seen_ns
                .and_then(|ns| i64::try_from(ns).ok())
                .unwrap_or(0),
            lag: status.lag,
            peer: status.node.to_string(),
        }
    }
}
