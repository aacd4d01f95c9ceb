//! Keeps replicas and leaderships where they may be: off servers that are evacuated, and on those
//! that carry the tags which streams ask for.

use std::time::Duration;

use consensus::{ChangeError, Group, NodeId};
use tokio::time::MissedTickBehavior;

use super::{Engine, balance};
use crate::meta::{Assignment, MetaCommand, MetaState};
use crate::planner::{Planner, fitting, wanted_replicas};

/// Streams that move at the same time for the sake of a server's state; the others wait.
const MOVES_AT_ONCE: usize = 32;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks between two attempts to spread leaderships.
const LOOKS_PER_SPREADING: u32 = 5;

pub(super) async fn run(engine: Engine) {
    if !engine.env().is_clustered() {
        return;
    }
    let mut looks = 0u32;
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        keep_placed(&engine);
        if engine.is_evacuating() {
            engine.hand_over().await;
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS_PER_SPREADING) {
            balance::spread_leaderships(&engine).await;
        }
    }
}

/// On the meta leader: begins to move streams that are not where they may be.
fn keep_placed(engine: &Engine) {
    if !engine.meta().is_leader() {
        return;
    }
    let unique_tag = engine.env().options.unique_tag.as_deref();
    let (moving, misplaced) = engine.meta().read(|meta| {
        let moving = meta.streams().filter(|stream| stream.moving.is_some());
        let at_rest = meta.streams().filter(|stream| stream.moving.is_none());
        let misplaced = at_rest.filter_map(|stream| {
            let keep = fitting(meta, unique_tag, stream);
            is_misplaced(meta, stream, &keep).then(|| (stream.clone(), keep))
        });
        (moving.count(), misplaced.collect::<Vec<_>>())
    });
    if !misplaced.is_empty() {
        begin_moves(engine, misplaced, MOVES_AT_ONCE.saturating_sub(moving));
    }
}

/// Whether a server that holds the stream should not, or one is missing. A stream whose only
/// replica was lost has nothing to be moved.
fn is_misplaced(meta: &MetaState, stream: &Assignment, keep: &[NodeId]) -> bool {
    let is_there = |node: &NodeId| meta.servers().contains_key(node);
    keep.len() < wanted_replicas(&stream.config) && stream.replicas.iter().any(is_there)
}

/// Begins as many moves as there is room for. A stream for which there is no server stays where it
/// is; its info says what it waits for.
fn begin_moves(engine: &Engine, streams: Vec<(Assignment, Vec<NodeId>)>, room: usize) {
    let mut planner = Planner::new(engine);
    let now_ns = engine.env().now_ns();
    let planned = streams.into_iter().filter_map(|(stream, keep)| {
        let replicas = planner.place(&stream.config, &keep).ok()?;
        Some(stream.moved_to(replicas, now_ns, None))
    });
    for stream in planned.take(room) {
        let (account, name) = stream.key();
        tracing::info!(account, stream = name, "moving a stream to where it may be");
        let command = MetaCommand::UpdateStream {
            stream: Box::new(stream),
            reply: None,
        };
        if engine.meta().propose(&command).is_err() {
            return;
        }
    }
}

/// Hands the meta group over, if this server leads it.
pub async fn hand_over_meta(engine: &Engine) {
    if engine.meta().is_leader()
        && let Some(group) = engine.meta().group()
    {
        hand_over(engine, &group).await;
    }
}

/// Hands a group over to one of the replicas that can take it; which one differs by group, so that
/// many leaderships spread over several servers.
pub(super) async fn hand_over(engine: &Engine, group: &Group) {
    let Some(target) = successor(engine, group, |_| true) else {
        return;
    };
    match group.transfer_leader(Some(target)).await {
        // The others stop, too.
        Ok(_) | Err(ChangeError::NoTarget) => {}
        Err(error) => tracing::warn!(group = %group.id(), %error, "leadership not handed over"),
    }
}

/// A replica that may lead next: current, connected, voting, not evacuated, and `accepted`.
pub fn successor(
    engine: &Engine,
    group: &Group,
    accepted: impl Fn(NodeId) -> bool,
) -> Option<NodeId> {
    let voters = group.members().voters;
    let mut able: Vec<_> = group
        .replicas()
        .into_iter()
        .filter(|replica| voters.contains(&replica.node) && accepted(replica.node))
        .filter(|replica| engine.is_online(replica.node) && replica.last_seen_ns.is_some())
        .collect();
    let is_evacuating = |node| engine.meta().read(|meta| meta.is_evacuating(node));
    able.retain(|replica| !is_evacuating(replica.node));
    if able.iter().any(|replica| replica.current) {
        able.retain(|replica| replica.current);
    }
    let turn = usize::try_from(group.id().0).unwrap_or(0);
    let count = able.len();
    able.get(turn.checked_rem(count)?)
        .map(|replica| replica.node)
}
