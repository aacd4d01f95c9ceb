//! The part of `jsz` about one account, its streams and their consumers.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Asset, Engine};
use jetstream::StreamConfig;
use jetstream::api::ClusterInfo;
use jetstream::api::stream::StreamState;
use jetstream::consumer::ConsumerInfo;
use jetstream::timestamp::Timestamp;
use serde::Serialize;

use super::{ApiStats, JetStreamStats, stored_bytes};
use crate::options::JszOptions;

#[derive(Debug, Serialize)]
pub struct AccountDetail {
    pub name: String,
    pub id: String,
    #[serde(flatten)]
    pub stats: JetStreamStats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stream_detail: Vec<StreamDetail>,
}

#[derive(Debug, Serialize)]
pub struct StreamDetail {
    pub name: String,
    pub created: Timestamp,
    pub cluster: ClusterInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<StreamConfig>,
    pub state: StreamState,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumer_detail: Vec<ConsumerInfo<ClusterInfo>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stream_raft_group: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumer_raft_groups: Vec<RaftGroupDetail>,
}

/// Which group replicates a consumer: its stream's.
#[derive(Debug, Serialize)]
pub struct RaftGroupDetail {
    pub name: String,
    pub raft_group: String,
}

pub(super) fn detail(
    engine: &Engine,
    assets: &[Arc<Asset>],
    name: &str,
    options: &JszOptions,
) -> AccountDetail {
    let own: Vec<_> = assets
        .iter()
        .filter(|asset| asset.account() == name)
        .collect();
    let (memory, storage) = stored_bytes(own.iter().copied());
    let limits = engine.account_limits(name).unwrap_or_default();
    let stream_detail = match options.streams || options.consumer {
        true => {
            let shown = own
                .iter()
                .filter(|asset| asset.is_leader() || !options.stream_leader_only);
            shown.map(|asset| stream(engine, asset, options)).collect()
        }
        false => Vec::new(),
    };
    AccountDetail {
        name: name.to_owned(),
        id: name.to_owned(),
        stats: JetStreamStats {
            memory,
            storage,
            // "No limit" is -1, which nats-server shows without its sign.
            reserved_memory: limits.max_memory as u64,
            reserved_storage: limits.max_storage as u64,
            accounts: 0,
            ha_assets: 0,
            api: ApiStats::default(),
        },
        stream_detail,
    }
}

fn stream(engine: &Engine, asset: &Asset, options: &JszOptions) -> StreamDetail {
    let mut info = engine.stream_info(asset);
    forget_version(&mut info.config.metadata);
    let alone = || ClusterInfo {
        leader: engine.env().options.server_name.clone(),
        ..ClusterInfo::default()
    };
    let cluster = info.cluster.unwrap_or_else(alone);
    let names: Vec<String> = match options.consumer || options.raft {
        true => asset.read(|machine| machine.consumers().keys().cloned().collect()),
        false => Vec::new(),
    };
    let mut consumer_detail = Vec::new();
    if options.consumer {
        let infos = names
            .iter()
            .filter_map(|name| engine.consumer_info(asset, name));
        consumer_detail.extend(infos.map(|mut info| {
            info.config = info.config.filter(|_| options.config);
            if let Some(config) = &mut info.config {
                forget_version(&mut config.metadata);
            }
            info
        }));
    }
    let group = match options.raft {
        true => cluster.raft_group.clone(),
        false => String::new(),
    };
    let consumer_raft_groups = match group.is_empty() {
        true => Vec::new(),
        false => names
            .into_iter()
            .map(|name| RaftGroupDetail {
                name,
                raft_group: group.clone(),
            })
            .collect(),
    };
    StreamDetail {
        name: info.config.name.clone(),
        created: info.created,
        cluster,
        config: Some(info.config).filter(|_| options.config),
        state: info.state,
        consumer_detail,
        stream_raft_group: group,
        consumer_raft_groups,
    }
}

/// Takes out what the API adds to show which server answers: this page shows what is stored.
fn forget_version(metadata: &mut BTreeMap<String, String>) {
    for key in ["_nats.level", "_nats.ver"] {
        metadata.remove(key);
    }
}
