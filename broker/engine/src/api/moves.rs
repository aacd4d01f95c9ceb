//! Requests that move a stream's replicas to other servers.
//!
//! The meta leader answers them: it decides where replicas belong. The stream's own leader then
//! brings the group in line, see `crate::engine`.

use consensus::NodeId;
use jetstream::ApiError;
use jetstream::api::{ApiRequest, PeerRequest, SUCCESS, StreamMoveRequest, Verb};

use super::{Job, Outcome, optional, placing, streams};
use crate::asset::Asset;
use crate::engine::Engine;
use crate::meta::{Assignment, MetaCommand, Origin};

/// Takes a server out of one stream and puts another in its place. Removing and evacuating are the
/// same here: the replica goes once the stream has another.
pub fn remove_peer(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    let stream = match stream_to_change(engine, &job.account, request.stream) {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let peer = match named_peer(job) {
        Ok(body) => body.peer,
        Err(error) => return error.into(),
    };
    let Some(stream) = stream else {
        return ApiError::STREAM_NOT_FOUND.into();
    };
    let Some(leaving) = holder(engine, &stream, &peer) else {
        return ApiError::CLUSTER_PEER_NOT_MEMBER.into();
    };
    match without(engine, &stream, leaving) {
        Ok(moved) => propose(engine, moved, request.verb),
        Err(_) => ApiError::PEER_REMAP.into(),
    }
}

/// Consumers live on the servers of their stream and cannot leave one of them alone.
pub fn remove_consumer_peer(
    engine: &Engine,
    asset: &Asset,
    job: &Job,
    request: &ApiRequest<'_>,
) -> Outcome {
    let peer = match named_peer(job) {
        Ok(body) => body.peer,
        Err(error) => return error.into(),
    };
    if !asset.read(|machine| machine.consumers().contains_key(request.consumer)) {
        return ApiError::CONSUMER_NOT_FOUND.into();
    }
    match holder(engine, &asset.assignment.read(), &peer) {
        None => ApiError::CLUSTER_PEER_NOT_MEMBER.into(),
        Some(_) => ApiError::PEER_REMAP.into(),
    }
}

/// Moves one replica of a stream off a server, or all that lack the tags; for the system account.
pub fn move_stream(engine: &Engine, job: &Job, request: &ApiRequest<'_>) -> Outcome {
    let stream = match stream_to_change(engine, request.rest, request.stream) {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let body: StreamMoveRequest = match optional(&job.payload) {
        Ok(body) => body,
        Err(error) => return error.into(),
    };
    let Some(stream) = stream else {
        return ApiError::STREAM_NOT_FOUND.into();
    };
    match moved(engine, &stream, &body) {
        Ok(moved) => streams::propose(
            engine,
            MetaCommand::UpdateStream {
                stream: Box::new(moved),
                reply: Some(job.reply_to()),
            },
        ),
        Err(error) => error.into(),
    }
}

fn moved(
    engine: &Engine,
    stream: &Assignment,
    body: &StreamMoveRequest,
) -> Result<Assignment, ApiError> {
    let mut wanted = stream.config.clone();
    let placement = wanted.placement.get_or_insert_default();
    placement.tags.extend(body.tags.iter().cloned());
    if !body.cluster.is_empty() {
        placement.cluster.clone_from(&body.cluster);
    }
    let leaving = match body.server.as_str() {
        "" => None,
        name => {
            let node = engine.meta().read(|meta| meta.server_named(name));
            let node = node.ok_or(ApiError::CLUSTER_SERVER_NOT_MEMBER)?;
            if !stream.replicas.contains(&node) {
                return Err(ApiError::CLUSTER_PEER_NOT_MEMBER);
            }
            Some(node)
        }
    };
    let replicas = if body.tags.is_empty() {
        // Somebody has to go: the one named, or the last, which is rarely the leader.
        let leaving = leaving.or(stream.replicas.last().copied());
        let staying = others(stream, leaving);
        placing::place_without(engine, &wanted, &staying, leaving)?
    } else {
        placing::place_without(engine, &wanted, &others(stream, leaving), leaving)?
    };
    if stream.moving.is_some() {
        return Err(ApiError::STREAM_MOVE_IN_PROGRESS);
    }
    Ok(stream
        .clone()
        .moved_to(replicas, engine.env().now_ns(), Some(Origin::of(stream))))
}

/// Takes a move back that is under way. `account` is that of the stream.
pub async fn cancel_move(engine: &Engine, account: &str, request: &ApiRequest<'_>) -> Outcome {
    let stream = match stream_to_change(engine, account, request.stream) {
        Ok(stream) => stream,
        Err(outcome) => return outcome,
    };
    let Some(mut stream) = stream else {
        return ApiError::STREAM_NOT_FOUND.into();
    };
    let origin = stream
        .moving
        .as_ref()
        .and_then(|moving| moving.origin.clone());
    let Some(origin) = origin else {
        return ApiError::STREAM_RECONFIGURE_NOT_IN_PROGRESS.into();
    };
    stream.config.num_replicas = origin.num_replicas;
    stream.config.placement = origin.placement;
    stream.replicas = origin.replicas;
    let command = MetaCommand::UpdateStream {
        stream: Box::new(stream),
        reply: None,
    };
    if engine.meta().propose(&command).is_err() {
        return ApiError::CLUSTER_NOT_AVAIL.into();
    }
    streams::gathered_info(engine, account, request.stream, request.verb).await
}

/// The same stream on other servers than `leaving`, which may have left the cluster.
pub fn without(
    engine: &Engine,
    stream: &Assignment,
    leaving: NodeId,
) -> Result<Assignment, ApiError> {
    let staying = others(stream, Some(leaving));
    let replicas = placing::place_without(engine, &stream.config, &staying, Some(leaving))?;
    let now_ns = engine.env().now_ns();
    Ok(stream.clone().moved_to(replicas, now_ns, None))
}

fn others(stream: &Assignment, leaving: Option<NodeId>) -> Vec<NodeId> {
    let replicas = stream.replicas.iter().copied();
    replicas.filter(|node| Some(*node) != leaving).collect()
}

/// `Err` if another server answers, or this is no cluster.
fn stream_to_change(
    engine: &Engine,
    account: &str,
    name: &str,
) -> Result<Option<Assignment>, Outcome> {
    if !engine.env().is_clustered() {
        return Err(ApiError::CLUSTER_REQUIRED.into());
    }
    if !engine.meta().is_leader() {
        return Err(Outcome::Silent);
    }
    Ok(engine
        .meta()
        .read(|meta| meta.stream(account, name).cloned()))
}

/// The body of a request that has to name a server.
pub fn named_peer(job: &Job) -> Result<PeerRequest, ApiError> {
    if jetstream::json::says_nothing(&job.payload) {
        return Err(ApiError::BAD_REQUEST);
    }
    let body: PeerRequest = jetstream::json::parse(&job.payload)?;
    if body.peer.is_empty() && body.peer_id.is_empty() {
        return Err(ApiError::BAD_REQUEST);
    }
    Ok(body)
}

/// The server of this name or id, if it holds the stream.
fn holder(engine: &Engine, stream: &Assignment, peer: &str) -> Option<NodeId> {
    stream
        .holders()
        .find(|node| engine.server_name(*node) == peer || node.to_string() == peer)
}

fn propose(engine: &Engine, stream: Assignment, verb: Verb) -> Outcome {
    let command = MetaCommand::UpdateStream {
        stream: Box::new(stream),
        reply: None,
    };
    match engine.meta().propose(&command) {
        Ok(()) => Outcome::respond(verb, &SUCCESS),
        Err(_) => ApiError::CLUSTER_NOT_AVAIL.into(),
    }
}
