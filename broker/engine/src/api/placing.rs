//! Finds servers for a stream, from what the meta group knows of them.

use consensus::NodeId;
use jetstream::{ApiError, StreamConfig};

use crate::engine::Engine;
use crate::meta::Assignment;
use crate::planner::Planner;

/// A new stream on the servers that suit it; a proposal for [`crate::meta::MetaCommand::AddStream`].
pub fn assign(
    engine: &Engine,
    account: &str,
    config: StreamConfig,
) -> Result<Assignment, ApiError> {
    let replicas = place(engine, &config, &[])?;
    Ok(Assignment {
        account: account.to_string(),
        config,
        group: 0,
        founders: replicas.clone(),
        replicas,
        created_ns: engine.env().now_ns(),
        moving: None,
        is_restored: false,
    })
}

/// The servers for a stream's replicas; those in `keep` stay if they still fit.
pub fn place(
    engine: &Engine,
    config: &StreamConfig,
    keep: &[NodeId],
) -> Result<Vec<NodeId>, ApiError> {
    place_without(engine, config, keep, None)
}

/// The same, on other servers than `leaving`.
pub fn place_without(
    engine: &Engine,
    config: &StreamConfig,
    keep: &[NodeId],
    leaving: Option<NodeId>,
) -> Result<Vec<NodeId>, ApiError> {
    let env = engine.env();
    if !env.is_clustered() {
        return Ok(vec![env.node()]);
    }
    let mut planner = Planner::new(engine);
    if let Some(leaving) = leaving {
        planner.exclude(leaving);
    }
    let placed = planner.place(config, keep);
    placed.map_err(ApiError::cluster_no_peers)
}
