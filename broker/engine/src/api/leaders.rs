//! Leadership: who leads, and who leads next.

use std::sync::Arc;

use consensus::{ChangeError, Group, NodeId};
use jetstream::ApiError;
use jetstream::api::{ApiRequest, ClusterInfo, PeerInfo, SUCCESS, StepDownRequest, Verb};
use jetstream::config::Placement;
use jetstream::timestamp::Timestamp;

use super::{Job, Outcome, desired, optional};
use crate::asset::Asset;
use crate::engine::Engine;
use crate::placement::tags_match;

/// The servers behind a stream; `None` on a server that stands alone.
pub fn cluster_info(engine: &Engine, asset: &Asset) -> Option<ClusterInfo> {
    let name = engine.env().options.cluster.clone()?;
    let assignment = asset.assignment.read().clone();
    let leader = asset.leader();
    let known = asset.group().map(Group::replicas).unwrap_or_default();
    // A replica that does not vote yet has everything, but nothing can rely on it.
    let members = asset.group().map(Group::members).unwrap_or_default();
    let others = assignment.holders().filter(|node| Some(*node) != leader);
    let replicas = others.map(|node| {
        let status = known.iter().find(|replica| replica.node == node);
        let votes = members.voters.contains(&node);
        PeerInfo {
            name: engine.server_name(node),
            current: votes && status.is_some_and(|status| status.current),
            offline: !engine.env().peers.is_online(node),
            active_ns: status
                .and_then(|status| status.last_seen_ns)
                .and_then(|ns| i64::try_from(ns).ok())
                .unwrap_or(0),
            lag: status.map_or(0, |status| status.lag),
            peer: node.to_string(),
        }
    });
    Some(ClusterInfo {
        name,
        raft_group: format!("S-{:x}", assignment.group),
        leader: leader
            .map(|node| engine.server_name(node))
            .unwrap_or_default(),
        leader_since: asset.live().map(|live| Timestamp(live.since_ns)),
        system_account: !engine.system_account().is_empty(),
        traffic_account: engine.system_account().to_owned(),
        replicas: replicas.collect(),
        desired: desired::describe(engine, &assignment, &members),
    })
}

pub async fn step_down(
    engine: &Engine,
    asset: &Arc<Asset>,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Outcome {
    let Some(group) = asset.group().filter(|_| engine.env().is_clustered()) else {
        return ApiError::CLUSTER_REQUIRED.into();
    };
    let body: StepDownRequest = match optional(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let target = match target(engine, body.placement, group) {
        Ok(target) => target,
        Err(error) => return error.into(),
    };
    hand_over(group, target, request.verb).await
}

pub async fn meta_step_down(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let Some(group) = engine
        .meta()
        .group()
        .filter(|_| engine.env().is_clustered())
    else {
        return ApiError::CLUSTER_REQUIRED.into();
    };
    let body: StepDownRequest = match optional(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let target = match target(engine, body.placement, &group) {
        Ok(target) => target,
        Err(error) => return error.into(),
    };
    hand_over(&group, target, Verb::MetaLeaderStepDown).await
}

async fn hand_over(group: &Group, target: Option<NodeId>, verb: Verb) -> Outcome {
    match group.transfer_leader(target).await {
        // A group of one has nobody to hand over to and stays as it is, as clients expect.
        Ok(_) | Err(ChangeError::NoTarget) => Outcome::respond(verb, &SUCCESS),
        Err(error) => ApiError::raft_general(error).into(),
    }
}

/// Who is to lead next; `None` if there is nobody else.
fn target(
    engine: &Engine,
    placement: Option<Placement>,
    group: &Group,
) -> Result<Option<NodeId>, ApiError> {
    let placement = placement.unwrap_or_default();
    if placement == Placement::default() {
        return Ok(crate::engine::successor(engine, group, |_| true));
    }
    let here = engine.env().options.cluster.as_deref().unwrap_or_default();
    let elsewhere = !placement.cluster.is_empty() && placement.cluster != here;
    let suits = |node: NodeId| {
        engine.meta().read(|meta| {
            let Some(server) = meta.servers().get(&node) else {
                return false;
            };
            let named = placement.preferred.is_empty() || placement.preferred == server.name;
            named && tags_match(&server.tags, &placement.tags)
        })
    };
    let preferred = &placement.preferred;
    if !preferred.is_empty()
        && engine
            .meta()
            .read(|meta| meta.server_named(preferred).is_none())
    {
        let text = format!("preferred server {preferred:?} not known");
        return Err(ApiError::cluster_no_peers(text));
    }
    match crate::engine::successor(engine, group, suits).filter(|_| !elsewhere) {
        Some(node) => Ok(Some(node)),
        None => Err(ApiError::cluster_no_peers("no replacement peer connected")),
    }
}
