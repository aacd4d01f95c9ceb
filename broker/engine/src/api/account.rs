//! What an account uses and may use.

use std::time::Duration;

use jetstream::api::account::{AccountInfo, AccountLimits, ApiStats, Tier};
use jetstream::api::{API_LEVEL, Verb};
use jetstream::config::{Limits, Storage};
use jetstream::{ApiError, StreamConfig};

use super::{Job, Outcome};
use crate::engine::Engine;
use crate::peer::{Question, Usage};

/// How long other servers are waited for.
const GATHER_TIMEOUT: Duration = Duration::from_secs(1);

pub async fn info(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let Some(limits) = engine.account_limits(&job.account) else {
        return ApiError::NOT_ENABLED_FOR_ACCOUNT.into();
    };
    let usage = usage(engine, &job.account).await;
    let (total, errors) = engine.api_counts();
    let reserved = reserved(engine, &job.account, None);
    let streams = engine
        .meta()
        .read(|meta| meta.streams_of(&job.account).count());
    let info = AccountInfo {
        total: Tier {
            memory: usage.memory_bytes,
            storage: usage.file_bytes,
            reserved_memory: reserved.memory_bytes,
            reserved_storage: reserved.file_bytes,
            streams,
            consumers: usage.consumers as usize,
            limits,
        },
        domain: engine.env().options.domain.clone(),
        api: ApiStats {
            level: API_LEVEL,
            total,
            errors,
            inflight: 0,
        },
        ..AccountInfo::default()
    };
    Outcome::respond(Verb::AccountInfo, &info)
}

/// What an account uses in the whole cluster.
async fn usage(engine: &Engine, account: &str) -> Usage {
    let mut usage = engine.local_usage(account);
    let here = engine.env().node();
    let nodes: Vec<_> = engine
        .meta()
        .read(|meta| meta.servers().keys().copied().collect());
    let question = Question::Usage {
        account: account.to_owned(),
    }
    .encode();
    let peers = &engine.env().peers;
    for node in nodes
        .into_iter()
        .filter(|node| *node != here && peers.is_online(*node))
    {
        if let Some(answer) = peers.call(node, question.clone(), GATHER_TIMEOUT).await
            && let Ok(theirs) = serde_json::from_slice::<Usage>(&answer)
        {
            usage += theirs;
        }
    }
    usage
}

/// Bytes promised to the account's streams by their `max_bytes`, but for the stream `except`.
fn reserved(engine: &Engine, account: &str, except: Option<&str>) -> Usage {
    let mut usage = Usage::default();
    engine.meta().read(|meta| {
        for stream in meta.streams_of(account) {
            if Some(stream.config.name.as_str()) == except {
                continue;
            }
            let bytes = reservation(&stream.config);
            match stream.config.storage {
                Storage::File => usage.file_bytes += bytes,
                Storage::Memory => usage.memory_bytes += bytes,
            }
            usage.streams += 1;
        }
    });
    usage
}

fn reservation(config: &StreamConfig) -> u64 {
    let replicas = u64::try_from(config.num_replicas).unwrap_or(1).max(1);
    u64::try_from(config.max_bytes).unwrap_or(0) * replicas
}

/// Whether the account may have this stream, new or in place of `old`.
pub fn check_room_for_stream(
    engine: &Engine,
    account: &str,
    config: &StreamConfig,
    old: Option<&StreamConfig>,
) -> Result<(), ApiError> {
    let limits = limits_of(engine, account);
    let others = reserved(engine, account, Some(&config.name));
    if old.is_none() && exceeds(others.streams + 1, limits.max_streams) {
        return Err(ApiError::MAXIMUM_STREAMS_LIMIT);
    }
    let wanted = reservation(config);
    if wanted <= old.map_or(0, reservation) {
        return Ok(());
    }
    let (others, limit, server_limit, full) = match config.storage {
        Storage::File => (
            others.file_bytes,
            limits.max_storage,
            engine.env().options.max_file_bytes,
            ApiError::STORAGE_RESOURCES_EXCEEDED,
        ),
        Storage::Memory => (
            others.memory_bytes,
            limits.max_memory,
            engine.env().options.max_memory_bytes,
            ApiError::MEMORY_RESOURCES_EXCEEDED,
        ),
    };
    if exceeds(others.saturating_add(wanted), limit) {
        return Err(full);
    }
    let alone = !engine.env().is_clustered();
    if alone && others.saturating_add(wanted) > server_limit {
        return Err(full);
    }
    Ok(())
}

fn exceeds(value: u64, limit: i64) -> bool {
    u64::try_from(limit).is_ok_and(|limit| value > limit)
}

/// The limits of an account; none if it has none or is not known.
pub fn limits_of(engine: &Engine, account: &str) -> AccountLimits {
    engine.account_limits(account).unwrap_or_default()
}

/// The limits that a stream's configuration is checked against.
pub fn config_limits(engine: &Engine, account: &str) -> Limits {
    let limits = limits_of(engine, account);
    Limits {
        max_bytes_required: limits.max_bytes_required,
        memory_max_stream_bytes: limits.memory_max_stream_bytes.max(0),
        store_max_stream_bytes: limits.storage_max_stream_bytes.max(0),
        ..Limits::default()
    }
}
