//! Finds servers for a stream, from what the meta group knows of them.

use consensus::NodeId;
use jetstream::config::Storage;
use jetstream::{ApiError, StreamConfig};

use crate::engine::Engine;
use crate::placement::{Candidate, Wanted, place as choose};

/// The servers for a stream's replicas; those in `keep` stay if they still fit.
pub fn place(
    engine: &Engine,
    config: &StreamConfig,
    keep: &[NodeId],
) -> Result<Vec<NodeId>, ApiError> {
    place_among(engine, config, keep, |_| true)
}

/// The same, on other servers than `leaving`.
pub fn place_without(
    engine: &Engine,
    config: &StreamConfig,
    keep: &[NodeId],
    leaving: NodeId,
) -> Result<Vec<NodeId>, ApiError> {
    place_among(engine, config, keep, |node| node != leaving)
}

fn place_among(
    engine: &Engine,
    config: &StreamConfig,
    keep: &[NodeId],
    eligible: impl Fn(NodeId) -> bool,
) -> Result<Vec<NodeId>, ApiError> {
    let env = engine.env();
    if !env.is_clustered() {
        return Ok(vec![env.node()]);
    }
    let placement = config.placement.clone().unwrap_or_default();
    let here = env.options.cluster.as_deref().unwrap_or_default();
    if !placement.cluster.is_empty() && placement.cluster != here {
        return Err(ApiError::cluster_no_peers(
            "no suitable peers for placement",
        ));
    }
    let wanted = Wanted {
        replicas: usize::try_from(config.num_replicas).unwrap_or(1).max(1),
        tags: &placement.tags,
        bytes: u64::try_from(config.max_bytes).unwrap_or(0),
        unique_tag: env.options.unique_tag.as_deref(),
        keep,
    };
    let mut candidates = candidates(engine, config.storage, &config.name);
    candidates.retain(|candidate| eligible(candidate.node));
    choose(&candidates, &wanted).map_err(ApiError::cluster_no_peers)
}

/// All servers with what is promised on them, leaving out the stream that is being placed.
fn candidates(engine: &Engine, storage: Storage, placed: &str) -> Vec<Candidate> {
    let peers = &engine.env().peers;
    engine.meta().read(|meta| {
        let servers = meta.servers().iter().map(|(node, facts)| {
            let held = meta
                .streams()
                .filter(|stream| stream.replicas.contains(node));
            let mut promised = 0;
            let mut replicas = 0;
            for stream in held {
                replicas += 1;
                if stream.config.storage == storage && stream.config.name != placed {
                    promised += u64::try_from(stream.config.max_bytes).unwrap_or(0);
                }
            }
            let offered = match storage {
                Storage::File => facts.max_file_bytes,
                Storage::Memory => facts.max_memory_bytes,
            };
            Candidate {
                node: *node,
                name: facts.name.clone(),
                tags: facts.tags.clone(),
                online: peers.is_online(*node),
                replicas,
                free_bytes: offered.saturating_sub(promised),
            }
        });
        servers.collect()
    })
}
