//! What an account uses and may use.

use std::time::Duration;

use jetstream::api::account::{AccountInfo, AccountLimits, ApiStats, Tier};
use jetstream::api::{API_LEVEL, Verb};
use jetstream::config::{Limits, Storage};
use jetstream::{ApiError, StreamConfig};

use super::{Job, Outcome};
use crate::allowance::{Allowance, TierUsage, add, max_bytes, replicas_of, total};
use crate::engine::Engine;
use crate::peer::{AccountReport, Question, Usage};

/// How long other servers are waited for.
const GATHER_TIMEOUT: Duration = Duration::from_secs(1);

pub async fn info(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let Some(allowance) = engine.allowance(&job.account) else {
        return ApiError::NOT_ENABLED_FOR_ACCOUNT.into();
    };
    let AccountReport {
        usage,
        api_total,
        api_errors,
    } = report(engine, &job.account).await;
    let all = |_: u64| true;
    let mut info = AccountInfo {
        total: tier(engine, job, &usage, all),
        domain: engine.env().options.domain.clone(),
        api: ApiStats {
            level: API_LEVEL,
            total: api_total,
            errors: api_errors,
            inflight: 0,
        },
        ..AccountInfo::default()
    };
    match &allowance {
        Allowance::Flat(limits) => info.total.limits = limits.clone(),
        Allowance::Tiered(tiers) => {
            info.total.limits = NO_LIMITS_AT_ALL;
            let shown = tiers.iter().map(|(replicas, limits)| {
                let mut tier = tier(engine, job, &usage, |of| of == *replicas);
                tier.limits = limits.clone();
                (format!("R{replicas}"), tier)
            });
            info.tiers = shown.collect();
        }
    }
    Outcome::respond(Verb::AccountInfo, &info)
}

/// What an account with tiers is shown in place of limits for all its streams.
const NO_LIMITS_AT_ALL: AccountLimits = AccountLimits {
    max_memory: 0,
    max_storage: 0,
    max_streams: 0,
    max_consumers: 0,
    max_ack_pending: 0,
    memory_max_stream_bytes: 0,
    storage_max_stream_bytes: 0,
    max_bytes_required: false,
};

/// What the streams of some numbers of replicas use.
fn tier(engine: &Engine, job: &Job, usage: &TierUsage, is_meant: impl Fn(u64) -> bool) -> Tier {
    let mut used = usage.clone();
    used.retain(|replicas, _| is_meant(*replicas));
    let used = total(&used);
    let reserved = reserved(engine, &job.account, None, max_bytes, is_meant);
    Tier {
        memory: used.memory_bytes,
        storage: used.file_bytes,
        reserved_memory: reserved.memory_bytes,
        reserved_storage: reserved.file_bytes,
        streams: reserved.streams as usize,
        consumers: used.consumers as usize,
        limits: AccountLimits::default(),
    }
}

/// What an account uses and has asked for in the whole cluster.
async fn report(engine: &Engine, account: &str) -> AccountReport {
    let mut report = engine.account_report(account);
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
            && let Ok(theirs) = serde_json::from_slice::<AccountReport>(&answer)
        {
            add(&mut report.usage, &theirs.usage);
            report.api_total += theirs.api_total;
            report.api_errors += theirs.api_errors;
        }
    }
    report
}

/// Number of the account's streams of some numbers of replicas, and the bytes promised to them, but for
/// the stream `except`.
fn reserved(
    engine: &Engine,
    account: &str,
    except: Option<&str>,
    promised: impl Fn(&StreamConfig) -> u64,
    is_meant: impl Fn(u64) -> bool,
) -> Usage {
    let mut usage = Usage::default();
    engine.meta().read(|meta| {
        for stream in meta.streams_of(account) {
            let is_excepted = Some(stream.config.name.as_str()) == except;
            if is_excepted || !is_meant(replicas_of(&stream.config)) {
                continue;
            }
            let bytes = promised(&stream.config);
            match stream.config.storage {
                Storage::File => usage.file_bytes += bytes,
                Storage::Memory => usage.memory_bytes += bytes,
            }
            usage.streams += 1;
        }
    });
    usage
}

/// Whether the account may have any streams of this one's number of replicas.
pub fn check_tier(engine: &Engine, account: &str, config: &StreamConfig) -> Result<(), ApiError> {
    match allowance_of(engine, account).of(replicas_of(config)) {
        Some(_) => Ok(()),
        None => Err(ApiError::NO_LIMITS),
    }
}

/// Whether the account may have this stream, new or in place of `old`.
pub fn check_room_for_stream(
    engine: &Engine,
    account: &str,
    config: &StreamConfig,
    old: Option<&StreamConfig>,
) -> Result<(), ApiError> {
    let allowance = allowance_of(engine, account);
    let replicas = replicas_of(config);
    let limits = allowance.of(replicas).ok_or(ApiError::NO_LIMITS)?;
    let is_meant = |of| allowance.counts_together(of, replicas);
    let promised = |config: &StreamConfig| allowance.reservation(config);
    let others = reserved(engine, account, Some(&config.name), promised, is_meant);
    // A stream that changes its tier is not counted as a new one there.
    if old.is_none() && exceeds(others.streams + 1, limits.max_streams) {
        return Err(ApiError::MAXIMUM_STREAMS_LIMIT);
    }
    let old = old.filter(|old| is_meant(replicas_of(old)));
    if limits.max_consumers > 0 && config.max_consumers > limits.max_consumers {
        return Err(ApiError::MAXIMUM_CONSUMERS_LIMIT);
    }
    let wanted = allowance.reservation(config);
    if wanted <= old.map_or(0, |old| allowance.reservation(old)) {
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

/// What an account may use; everything if it is not known.
fn allowance_of(engine: &Engine, account: &str) -> Allowance {
    let unlimited = || Allowance::Flat(AccountLimits::default());
    engine.allowance(account).unwrap_or_else(unlimited)
}

/// The limits of an account for streams of this number of replicas; none if it is not known.
pub fn limits_of(engine: &Engine, account: &str, replicas: u64) -> AccountLimits {
    let allowance = allowance_of(engine, account);
    allowance.of(replicas).cloned().unwrap_or_default()
}

/// The limits that a stream's configuration is checked against.
pub fn config_limits(engine: &Engine, account: &str, replicas: u64) -> Limits {
    let limits = limits_of(engine, account, replicas);
    Limits {
        max_bytes_required: limits.max_bytes_required,
        memory_max_stream_bytes: limits.memory_max_stream_bytes.max(0),
        store_max_stream_bytes: limits.storage_max_stream_bytes.max(0),
        ..Limits::default()
    }
}
