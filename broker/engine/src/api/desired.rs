//! What a stream's info says about a change of servers.

use std::collections::BTreeSet;

use consensus::{Members, NodeId};
use jetstream::api::{DesiredCluster, DesiredOrigin, DesiredPeer, DesiredStatus};
use jetstream::timestamp::Timestamp;

use crate::engine::Engine;
use crate::meta::Assignment;
use crate::planner::{Planner, fitting, wanted_replicas};

/// Where the stream is to be and what that waits for; `None` if it is where it belongs.
pub fn describe(engine: &Engine, stream: &Assignment, members: &Members) -> Option<DesiredCluster> {
    let name = engine.env().options.cluster.clone().unwrap_or_default();
    let Some(moving) = &stream.moving else {
        return waiting(engine, stream).map(|status| DesiredCluster {
            name,
            status: Some(status),
            ..DesiredCluster::default()
        });
    };
    let peers = stream.replicas.iter().map(|node| DesiredPeer {
        name: engine.server_name(*node),
        offline: !engine.is_online(*node),
        peer: node.to_string(),
    });
    Some(DesiredCluster {
        created: Timestamp(moving.begun_ns),
        name,
        replicas: peers.collect(),
        origin: moving.origin.as_ref().map(|origin| DesiredOrigin {
            replicas: origin.num_replicas,
            placement: origin.placement.clone(),
        }),
        status: Some(progress(engine, stream, members)),
    })
}

/// Why a stream stays where it should not be, if it does.
fn waiting(engine: &Engine, stream: &Assignment) -> Option<DesiredStatus> {
    let unique_tag = engine.env().options.unique_tag.as_deref();
    let keep = engine.meta().read(|meta| fitting(meta, unique_tag, stream));
    if keep.len() >= wanted_replicas(&stream.config) {
        return None;
    }
    let refusal = Planner::new(engine).place(&stream.config, &keep).err();
    Some(DesiredStatus {
        description: "waiting for servers that may hold the stream".to_owned(),
        kind: "blocked",
        err: refusal
            .map(|refusal| refusal.to_string())
            .unwrap_or_default(),
    })
}

fn progress(engine: &Engine, stream: &Assignment, members: &Members) -> DesiredStatus {
    let wanted: BTreeSet<NodeId> = stream.replicas.iter().copied().collect();
    let names = |nodes: &mut dyn Iterator<Item = NodeId>| {
        let names: Vec<String> = nodes.map(|node| engine.server_name(node)).collect();
        names.join(", ")
    };
    let is_learning = wanted.iter().any(|node| members.learners.contains(node));
    let missing = || {
        wanted
            .iter()
            .copied()
            .filter(|node| !members.voters.contains(node))
    };
    let surplus = || {
        members
            .voters
            .iter()
            .copied()
            .filter(|node| !wanted.contains(node))
    };
    let (kind, description) = if is_learning {
        (
            "catchup",
            "waiting for desired peers to catch up".to_owned(),
        )
    } else if missing().next().is_some() {
        (
            "membership",
            format!("adding peer {}", names(&mut missing())),
        )
    } else if surplus().next().is_some() {
        (
            "membership",
            format!("removing peer {}", names(&mut surplus())),
        )
    } else {
        (
            "meta",
            "recording the end of the move with the meta leader".to_owned(),
        )
    };
    DesiredStatus {
        description,
        kind,
        err: String::new(),
    }
}
