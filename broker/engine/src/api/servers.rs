//! Requests of the system account about whole servers and accounts.

use consensus::{ChangeError, NodeId};
use jetstream::ApiError;
use jetstream::api::{ApiRequest, EvacuateRequest, Initiated, PeerRequest, SUCCESS, Verb};

use super::{Job, Outcome, moves};
use crate::engine::Engine;
use crate::meta::MetaCommand;
use crate::planner::Planner;

/// Takes a server that is gone for good out of the cluster.
pub async fn remove(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let named = moves::named_peer(job).and_then(|body| member(engine, &body));
    let node = match named {
        Ok(node) => node,
        Err(error) => return error.into(),
    };
    if engine.meta().group().is_none() {
        return ApiError::CLUSTER_REQUIRED.into();
    }
    if node == engine.env().node() {
        // Who leads cannot remove itself; whoever asks again reaches the next leader.
        crate::engine::hand_over_meta(engine).await;
        return ApiError::CLUSTER_NOT_AVAIL.into();
    }
    let changed = engine.meta().change_members(|voters| {
        voters.remove(&node);
    });
    match changed.await {
        Ok(()) => {}
        Err(ChangeError::InProgress) => {
            return ApiError::CLUSTER_SERVER_MEMBER_CHANGE_INFLIGHT.into();
        }
        Err(error) => return ApiError::raft_general(error).into(),
    }
    crate::engine::replace_everywhere(engine, node, None);
    let name = engine.server_name(node);
    match engine.meta().propose(&MetaCommand::RemoveServer { node }) {
        Ok(()) => {
            crate::advisory::server_removed(engine, name, node);
            Outcome::respond(Verb::ServerRemove, &SUCCESS)
        }
        Err(_) => ApiError::CLUSTER_NOT_AVAIL.into(),
    }
}

/// Has every replica and leadership leave a server, which then gets no new ones until it starts
/// again or the evacuation is cancelled. Refused when the others cannot hold all of it.
pub fn evacuate(engine: &Engine, job: &Job) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    if !engine.env().is_clustered() {
        return ApiError::CLUSTER_REQUIRED.into();
    }
    if jetstream::json::says_nothing(&job.payload) {
        return ApiError::BAD_REQUEST.into();
    }
    let body: EvacuateRequest = match jetstream::json::parse(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let peer = PeerRequest {
        peer: body.peer,
        peer_id: body.peer_id,
    };
    if peer.peer.is_empty() && peer.peer_id.is_empty() {
        return ApiError::BAD_REQUEST.into();
    }
    let node = match member(engine, &peer) {
        Ok(node) => node,
        Err(error) => return error.into(),
    };
    if !body.cancel
        && let Err(error) = check_evacuation(engine, node)
    {
        return error.into();
    }
    let command = MetaCommand::SetEvacuating {
        node,
        evacuating: !body.cancel,
    };
    match engine.meta().propose(&command) {
        Ok(()) => Outcome::respond(Verb::ServerEvacuate, &SUCCESS),
        Err(_) => ApiError::CLUSTER_NOT_AVAIL.into(),
    }
}

/// Whether the other servers can hold everything that this one holds.
fn check_evacuation(engine: &Engine, node: NodeId) -> Result<(), ApiError> {
    let name = engine.server_name(node);
    let mut planner = Planner::new(engine);
    planner.exclude(node);
    let others = planner.servers();
    if others == 0 {
        let text = format!("server {name:?} is the only one that could hold anything");
        return Err(ApiError::cluster_no_peers(text));
    }
    let held: Vec<_> = engine.meta().read(|meta| {
        let held = meta
            .streams()
            .filter(|stream| stream.replicas.contains(&node));
        held.cloned().collect()
    });
    for stream in held {
        let staying: Vec<NodeId> = stream
            .replicas
            .iter()
            .copied()
            .filter(|replica| *replica != node)
            .collect();
        planner.place(&stream.config, &staying).map_err(|refusal| {
            let (account, stream) = (&stream.account, &stream.config.name);
            ApiError::cluster_no_peers(format!(
                "stream '{account} > {stream}' cannot leave server {name:?}: {refusal}"
            ))
        })?;
    }
    Ok(())
}

/// Deletes all streams of an account.
pub fn purge_account(engine: &Engine, request: &ApiRequest<'_>) -> Outcome {
    if !engine.meta().is_leader() {
        return Outcome::Silent;
    }
    let account = request.rest;
    let names: Vec<String> = engine.meta().read(|meta| {
        let streams = meta.streams_of(account);
        streams.map(|stream| stream.config.name.clone()).collect()
    });
    for name in names {
        let command = MetaCommand::RemoveStream {
            account: account.to_owned(),
            name,
            reply: None,
        };
        if engine.meta().propose(&command).is_err() {
            return ApiError::CLUSTER_NOT_AVAIL.into();
        }
    }
    Outcome::respond(Verb::AccountPurge, &Initiated { initiated: true })
}

/// The server that a request names; its id counts more than its name.
fn member(engine: &Engine, body: &PeerRequest) -> Result<NodeId, ApiError> {
    let node = engine.meta().read(|meta| match body.peer_id.as_str() {
        "" => meta.server_named(&body.peer),
        id => {
            let mut servers = meta.servers().keys().copied();
            servers.find(|node| node.to_string() == id)
        }
    });
    node.ok_or(ApiError::CLUSTER_SERVER_NOT_MEMBER)
}
