//! What has to be looked at now and then: the log's size, and groups that differ from what is
//! assigned.

use std::sync::Arc;
use std::time::Duration;

use consensus::GroupId;

use super::stalls::Stalls;
use super::usage::Watch;
use super::{Engine, changes};
use crate::asset::Asset;
use crate::meta::META_GROUP;

const LOG_CHECK: Duration = Duration::from_millis(250);
/// A group of this server alone writes a checkpoint when its log has more bytes than this: so a restart has
/// no more to apply again, however much the stream holds. A replicated group keeps its log while there is
/// room, for replicas that were away.
const LOCAL_LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Log checks between two looks at the groups' members.
const CHECKS_PER_CONFORMING: u32 = 8;
/// Log checks between two attempts to write what a full device had no room for.
const CHECKS_PER_RETRY: u32 = 4;

pub(super) async fn run(engine: Engine) {
    let mut usage = Watch::default();
    let mut stalls = Stalls::default();
    let mut checks = 0u32;
    let mut ticks = tokio::time::interval(LOG_CHECK);
    loop {
        ticks.tick().await;
        relieve_log(&engine).await;
        usage.look(&engine);
        checks = checks.wrapping_add(1);
        if checks.is_multiple_of(CHECKS_PER_CONFORMING) {
            conform(&engine);
        }
        if checks.is_multiple_of(CHECKS_PER_RETRY) {
            stalls.look(&engine);
            retry_full(&engine).await;
        }
    }
}

/// Has the groups that keep the oldest log segments in use write a checkpoint, and those of this server
/// alone whose log is long.
async fn relieve_log(engine: &Engine) {
    let wal = &engine.env().wal;
    for group in wal.groups_to_checkpoint() {
        if group == META_GROUP {
            if let Some(meta) = engine.meta().group()
                && let Err(error) = meta.checkpoint().await
            {
                tracing::warn!(%error, "checkpoint of the meta group failed");
            }
        } else if let Some(asset) = owner(engine, group) {
            asset.checkpoint().await;
        }
    }
    for group in wal.groups_above(LOCAL_LOG_BYTES_MAX) {
        if let Some(asset) = owner(engine, group)
            && asset.group().is_some_and(|group| !group.is_replicated())
        {
            asset.checkpoint().await;
        }
    }
}

fn owner(engine: &Engine, group: GroupId) -> Option<Arc<Asset>> {
    let mut assets = engine.assets().into_iter();
    assets.find(|asset| asset.assignment.read().group_id() == group)
}

/// Tries to write what is left in stores that had no room. They would not try by themselves:
/// publishes are refused for their sake, so nothing new comes that would have to be written.
async fn retry_full(engine: &Engine) {
    for asset in engine.assets() {
        if asset.read(|machine| machine.store().is_full()) {
            asset.checkpoint().await;
        }
    }
}

/// Tries again what a change of leader or a missing server kept from being done.
fn conform(engine: &Engine) {
    for asset in engine.assets() {
        if asset.is_leader() && !changes::conforms(&asset) {
            let leading = engine.clone();
            engine.spawn(async move { changes::conform(&leading, &asset).await });
        }
    }
}
