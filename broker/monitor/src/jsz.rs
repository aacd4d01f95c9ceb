//! `jsz`: JetStream on this server.

mod account;

use std::sync::Arc;

use engine::{Asset, Engine};
use jetstream::api::{API_LEVEL, PeerInfo};
use jetstream::config::Storage;
use jetstream::timestamp::Timestamp;
use serde::Serialize;

use crate::options::{JszOptions, window};
use crate::query::BadRequest;
use crate::sources::JetStreamFacts;
use crate::{Sources, text};

pub use account::{AccountDetail, RaftGroupDetail, StreamDetail};

#[derive(Debug, Serialize)]
pub struct JsInfo {
    #[serde(flatten)]
    pub stats: JetStreamStats,
    pub server_id: String,
    pub now: Timestamp,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    pub config: JetStreamConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JetStreamLimits>,
    pub streams: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub streams_leader: usize,
    pub consumers: usize,
    #[serde(skip_serializing_if = "is_zero")]
    pub consumers_leader: usize,
    pub messages: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_cluster: Option<MetaClusterInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account_details: Vec<AccountDetail>,
    /// Accounts with JetStream.
    pub total: usize,
    /// Replicas and leaderships leave this server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub evacuating: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct JetStreamStats {
    /// Bytes of messages in memory on this server.
    pub memory: u64,
    /// Bytes of messages in files on this server.
    pub storage: u64,
    pub reserved_memory: u64,
    pub reserved_storage: u64,
    pub accounts: usize,
    /// Groups of more than one replica that this server takes part in.
    pub ha_assets: usize,
    pub api: ApiStats,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ApiStats {
    pub level: u32,
    pub total: u64,
    pub errors: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct JetStreamConfig {
    pub max_memory: u64,
    pub max_storage: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub store_dir: String,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero_i64")]
    pub sync_interval: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sync_always: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unique_tag: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct JetStreamLimits {
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub default_max_consumers: u64,
}

/// The meta group.
#[derive(Clone, Debug, Serialize)]
pub struct MetaClusterInfo {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub leader: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<PeerInfo>,
    pub cluster_size: usize,
    pub quorum_needed: usize,
    pub pending: u64,
    pub pending_requests: u64,
    pub pending_infos: u64,
    /// Servers that replicas and leaderships leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evacuating: Vec<String>,
    /// Never there: the meta group's checkpoints are not counted.
    pub snapshot: Option<serde_json::Value>,
}

/// What `varz` and `statsz` say about JetStream; empty without it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JetStreamVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<JetStreamConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<JetStreamStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<MetaClusterInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JetStreamLimits>,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn is_zero_i64(value: &i64) -> bool {
    *value == 0
}

fn is_zero_u64(value: &u64) -> bool {
    *value == 0
}

/// Whether this server is one of those the request is for.
pub fn is_asked(sources: &Sources, options: &JszOptions) -> bool {
    let leads = |engine: &Engine| engine.meta().is_leader();
    !options.leader_only || sources.engine.as_ref().is_some_and(leads)
}

pub fn jsz(sources: &Sources, options: &JszOptions) -> Result<JsInfo, BadRequest> {
    if !is_asked(sources, options) {
        return Err(BadRequest::new("filtered response: not leader"));
    }
    let mut info = JsInfo {
        stats: stats(sources),
        server_id: sources.hub.options().server.server_id.clone(),
        now: text::now(),
        disabled: sources.engine.is_none(),
        config: config(sources, true),
        limits: limits(sources),
        streams: 0,
        streams_leader: 0,
        consumers: 0,
        consumers_leader: 0,
        messages: 0,
        bytes: 0,
        meta_cluster: None,
        account_details: Vec::new(),
        total: 0,
        evacuating: false,
    };
    let Some(engine) = &sources.engine else {
        return Ok(info);
    };
    let assets = engine.assets();
    count(&mut info, &assets);
    info.meta_cluster = meta_cluster(engine);
    info.total = info.stats.accounts;
    info.evacuating = engine.is_evacuating();
    if options.accounts || options.streams || options.consumer || !options.account.is_empty() {
        info.account_details = account_details(engine, &assets, options);
    }
    Ok(info)
}

fn count(info: &mut JsInfo, assets: &[Arc<Asset>]) {
    info.streams = assets.len();
    for asset in assets {
        let (state, consumers) =
            asset.read(|machine| (machine.store().state(), machine.consumers().len()));
        info.consumers += consumers;
        info.messages += state.messages;
        info.bytes += state.bytes;
        if asset.is_leader() {
            info.streams_leader += 1;
            info.consumers_leader += consumers;
        }
    }
}

fn account_details(
    engine: &Engine,
    assets: &[Arc<Asset>],
    options: &JszOptions,
) -> Vec<AccountDetail> {
    let mut names = engine.account_names();
    if !options.account.is_empty() {
        names.retain(|name| *name == options.account);
    }
    let (offset, limit) = window(options.offset, options.limit);
    let page = names.iter().skip(offset).take(limit);
    page.map(|name| account::detail(engine, assets, name, options))
        .collect()
}

/// One account's part of JetStream on this server.
pub fn account_detail(
    sources: &Sources,
    name: &str,
    options: &JszOptions,
) -> Result<AccountDetail, BadRequest> {
    let engine = sources.engine.as_ref();
    let known = engine.filter(|engine| engine.account_limits(name).is_some());
    let Some(engine) = known else {
        return Err(BadRequest::new(format!(
            "account {name:?} not found or without JetStream"
        )));
    };
    Ok(account::detail(engine, &engine.assets(), name, options))
}

/// What other pages say about JetStream. The directory is only told to who asks this server itself.
pub(crate) fn jetstream_varz(sources: &Sources, with_directory: bool) -> JetStreamVarz {
    let Some(engine) = &sources.engine else {
        return JetStreamVarz::default();
    };
    JetStreamVarz {
        config: Some(config(sources, with_directory)),
        stats: Some(stats(sources)),
        meta: meta_cluster(engine),
        limits: limits(sources),
    }
}

fn config(sources: &Sources, with_directory: bool) -> JetStreamConfig {
    let facts = sources.facts();
    let Some(facts) = &facts.jetstream else {
        return JetStreamConfig::default();
    };
    let JetStreamFacts {
        store_dir,
        sync_interval,
        ..
    } = facts;
    JetStreamConfig {
        max_memory: facts.max_memory_bytes,
        max_storage: facts.max_store_bytes,
        store_dir: if with_directory {
            store_dir.clone()
        } else {
            String::new()
        },
        sync_interval: text::nanos(*sync_interval),
        sync_always: sync_interval.is_zero(),
        domain: facts.domain.clone(),
        unique_tag: facts.unique_tag.clone(),
        strict: facts.strict,
    }
}

fn limits(sources: &Sources) -> Option<JetStreamLimits> {
    let facts = sources.facts();
    let default_max_consumers = facts.jetstream.as_ref()?.default_max_consumers;
    Some(JetStreamLimits {
        default_max_consumers,
    })
}

fn stats(sources: &Sources) -> JetStreamStats {
    let Some(engine) = &sources.engine else {
        return JetStreamStats::default();
    };
    let assets = engine.assets();
    let (memory, storage) = stored_bytes(assets.iter());
    let (reserved_memory, reserved_storage) = engine.reserved_bytes();
    let replicated = assets
        .iter()
        .filter(|asset| asset.assignment.read().replicas.len() > 1);
    let (total, errors) = engine.api_counts();
    JetStreamStats {
        memory,
        storage,
        reserved_memory,
        reserved_storage,
        accounts: engine.account_names().len(),
        ha_assets: replicated.count() + usize::from(engine.env().is_clustered()),
        api: ApiStats {
            level: API_LEVEL,
            total,
            errors,
        },
    }
}

/// Bytes in memory and in files.
fn stored_bytes<'a>(assets: impl Iterator<Item = &'a Arc<Asset>>) -> (u64, u64) {
    let mut stored = (0, 0);
    for asset in assets {
        asset.read(|machine| {
            let bytes = machine.store().state().bytes;
            match machine.config().storage {
                Storage::Memory => stored.0 += bytes,
                Storage::File => stored.1 += bytes,
            }
        });
    }
    stored
}

fn meta_cluster(engine: &Engine) -> Option<MetaClusterInfo> {
    let meta = engine.meta_cluster()?;
    Some(MetaClusterInfo {
        name: meta.name,
        leader: meta.leader,
        peer: meta.leader_peer,
        replicas: meta.replicas,
        cluster_size: meta.size,
        quorum_needed: meta.size / 2 + 1,
        pending: meta.pending,
        pending_requests: 0,
        pending_infos: 0,
        evacuating: meta.evacuating,
        snapshot: None,
    })
}
