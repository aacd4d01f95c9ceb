//! A server that died is noticed by its broken connections long before its leases end. When most
//! servers miss it, the groups that it led elect other leaders at once.

use std::time::Duration;

use consensus::NodeId;
use tokio::task::JoinSet;

use super::Engine;
use crate::peer::Question;

/// Time for the others to notice, too, before each time they are asked.
const SETTLE: Duration = Duration::from_millis(60);
/// How often the others are asked. Later the elections have begun by themselves.
const ATTEMPTS: usize = 5;
const ASK_TIMEOUT: Duration = Duration::from_millis(250);

/// The connection to a server broke.
pub(super) async fn server_lost(engine: Engine, lost: NodeId) {
    for _ in 0..ATTEMPTS {
        tokio::time::sleep(SETTLE).await;
        if engine.is_online(lost) {
            return;
        }
        if is_missed_by_most(&engine, lost).await {
            tracing::info!(
                server = engine.server_name(lost),
                "server lost, others lead now"
            );
            engine.env().consensus.take_over_from(lost);
            return;
        }
    }
}

async fn is_missed_by_most(engine: &Engine, lost: NodeId) -> bool {
    let here = engine.env().node();
    let Some(group) = engine.meta().group() else {
        return false;
    };
    let servers = group.members().voters;
    if !servers.contains(&lost) || !servers.contains(&here) {
        return false;
    }
    let question = Question::Misses { node: lost }.encode();
    let peers = &engine.env().peers;
    let mut calls = JoinSet::new();
    for server in servers
        .iter()
        .filter(|server| **server != here && **server != lost)
    {
        if peers.is_online(*server) {
            calls.spawn(peers.call(*server, question.clone(), ASK_TIMEOUT));
        }
    }
    let mut missed = 1;
    while let Some(answered) = calls.join_next().await {
        if let Ok(Some(answer)) = answered
            && serde_json::from_slice::<bool>(&answer).unwrap_or(false)
        {
            missed += 1;
        }
    }
    missed * 2 > servers.len()
}
