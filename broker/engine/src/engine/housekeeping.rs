//! What has to be looked at now and then: the log's size, and groups that differ from what is
//! assigned.

use std::time::Duration;

use super::stalls::Stalls;
use super::usage::Watch;
use super::{Engine, changes};
use crate::meta::META_GROUP;

const LOG_CHECK: Duration = Duration::from_millis(250);
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

/// Has the groups that keep the oldest log segments in use write a checkpoint.
async fn relieve_log(engine: &Engine) {
    for group in engine.env().wal.groups_to_checkpoint() {
        if group == META_GROUP {
            if let Some(meta) = engine.meta().group()
                && let Err(error) = meta.checkpoint().await
            {
                tracing::warn!(%error, "checkpoint of the meta group failed");
            }
            continue;
        }
        let owner = engine
            .assets()
            .into_iter()
            .find(|asset| asset.assignment.read().group_id() == group);
        if let Some(asset) = owner {
            asset.checkpoint().await;
        }
    }
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
