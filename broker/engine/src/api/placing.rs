//! Finds servers for a stream, from what the meta group knows of them.

use consensus::NodeId;
use jetstream::{ApiError, StreamConfig};

use crate::engine::Engine;
use crate::planner::Planner;

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
