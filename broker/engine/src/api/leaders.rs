//! Leadership and membership: who leads, step down, and remove.

use std::collections::BTreeSet;
use std::sync::Arc;

use consensus::{ChangeError, Group, NodeId};
use jetstream::ApiError;
use jetstream::api::{
    ApiRequest, ClusterInfo, PeerInfo, PeerRequest, SUCCESS, StepDownRequest, Verb,
};
use jetstream::config::Placement;
use jetstream::timestamp::Timestamp;

use super::{Job, Outcome, optional, placing};
use crate::asset::Asset;
use crate::engine::Engine;
use crate::meta::{Assignment, MetaCommand};

/// The servers behind a stream; `None` on a server that stands alone.
pub fn cluster_info(engine: &Engine, asset: &Asset) -> Option<ClusterInfo> {
    let name = engine.env().options.cluster.clone()?;
    let assignment = asset.assignment.read().clone();
    let leader = asset.leader();
    let known = asset.group().map(Group::replicas).unwrap_or_default();
    // A replica that does not vote yet has everything, but nothing can rely on it.
    let voters = asset.group().map(|group| group.members().voters);
    let is_settled = voters.is_some_and(|voters| {
        voters.len() == assignment.replicas.len()
            && assignment.replicas.iter().all(|node| voters.contains(node))
    });
    let others = assignment
        .replicas
        .iter()
        .filter(|node| Some(**node) != leader);
    let replicas = others.map(|node| {
        let status = known.iter().find(|replica| replica.node == *node);
        PeerInfo {
            name: engine.server_name(*node),
            current: is_settled && status.is_some_and(|status| status.current),
            offline: !engine.env().peers.is_online(*node),
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
    let target = match target(engine, body.placement, &group.members().voters) {
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
    let target = match target(engine, body.placement, &group.members().voters) {
        Ok(target) => target,
        Err(error) => return error.into(),
    };
    hand_over(group, target, Verb::MetaLeaderStepDown).await
}

async fn hand_over(group: &Group, target: Option<NodeId>, verb: Verb) -> Outcome {
    match group.transfer_leader(target).await {
        // A group of one has nobody to hand over to and stays as it is, as clients expect.
        Ok(_) | Err(ChangeError::NoTarget) => Outcome::respond(verb, &SUCCESS),
        Err(error) => ApiError::raft_general(error).into(),
    }
}

fn target(
    engine: &Engine,
    placement: Option<Placement>,
    voters: &BTreeSet<NodeId>,
) -> Result<Option<NodeId>, ApiError> {
    let Some(placement) = placement else {
        return Ok(None);
    };
    let here = engine.env().node();
    let wanted = voters
        .iter()
        .copied()
        .filter(|node| *node != here)
        .find(|node| {
            engine.meta().read(|meta| {
                let Some(server) = meta.servers().get(node) else {
                    return false;
                };
                let named = placement.preferred.is_empty() || placement.preferred == server.name;
                named && placement.tags.iter().all(|tag| server.tags.contains(tag))
            })
        });
    match wanted {
        Some(node) => Ok(Some(node)),
        None => Err(ApiError::cluster_no_peers("no replacement peer connected")),
    }
}

/// Takes a server out of one stream and puts another in its place.
pub async fn remove_peer(
    engine: &Engine,
    asset: &Arc<Asset>,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Outcome {
    if !engine.env().is_clustered() {
        return ApiError::CLUSTER_REQUIRED.into();
    }
    let body: PeerRequest = match jetstream::json::parse(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let assignment = asset.assignment.read().clone();
    let leaving = assignment
        .replicas
        .iter()
        .copied()
        .find(|node| engine.server_name(*node) == body.peer || node.to_string() == body.peer);
    let Some(leaving) = leaving else {
        return ApiError::CLUSTER_PEER_NOT_MEMBER.into();
    };
    match replaced(engine, &assignment, leaving) {
        Ok(stream) => {
            let command = MetaCommand::UpdateStream {
                stream: Box::new(stream),
                reply: None,
            };
            match engine.meta().propose(&command) {
                Ok(()) => Outcome::respond(request.verb, &SUCCESS),
                Err(_) => ApiError::CLUSTER_NOT_AVAIL.into(),
            }
        }
        Err(error) => error.into(),
    }
}

fn replaced(
    engine: &Engine,
    assignment: &Assignment,
    leaving: NodeId,
) -> Result<Assignment, ApiError> {
    let staying: Vec<NodeId> = assignment
        .replicas
        .iter()
        .copied()
        .filter(|node| *node != leaving)
        .collect();
    let replicas = placing::place_without(engine, &assignment.config, &staying, leaving)?;
    Ok(Assignment {
        replicas,
        ..assignment.clone()
    })
}

/// Takes a server that is gone for good out of the cluster.
pub async fn remove_server(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let body: PeerRequest = match jetstream::json::parse(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let node = engine.meta().read(|meta| {
        let by_id = meta
            .servers()
            .keys()
            .copied()
            .find(|node| node.to_string() == body.peer_id);
        by_id.or_else(|| meta.server_named(&body.peer))
    });
    let Some(node) = node else {
        return ApiError::CLUSTER_SERVER_NOT_MEMBER.into();
    };
    let Some(group) = engine.meta().group() else {
        return ApiError::CLUSTER_REQUIRED.into();
    };
    let mut voters = group.members().voters;
    voters.remove(&node);
    if let Err(error) = group.change_members(voters).await {
        return ApiError::raft_general(error).into();
    }
    crate::engine::replace_everywhere(engine, node, None);
    match engine.meta().propose(&MetaCommand::RemoveServer { node }) {
        Ok(()) => Outcome::respond(Verb::ServerRemove, &SUCCESS),
        Err(_) => ApiError::CLUSTER_NOT_AVAIL.into(),
    }
}
