//! Places several streams one after the other, counting what was placed before.

use std::collections::{BTreeMap, BTreeSet};

use consensus::NodeId;
use jetstream::StreamConfig;
use jetstream::config::Storage;

use crate::Engine;
use crate::meta::{Assignment, MetaState};
use crate::placement::{Candidate, Refusal, Wanted, place, tags_match, unique_value};

/// The servers, as they would be once everything that was placed is there.
pub struct Planner {
    candidates: BTreeMap<NodeId, Candidate>,
    free_memory_bytes: BTreeMap<NodeId, u64>,
    cluster: String,
    unique_tag: Option<String>,
}

impl Planner {
    pub fn new(engine: &Engine) -> Planner {
        let env = engine.env();
        let (candidates, free_memory_bytes) = engine
            .meta()
            .read(|meta| candidates(meta, |node| env.peers.is_online(node)));
        Planner {
            candidates,
            free_memory_bytes,
            cluster: env.options.cluster.clone().unwrap_or_default(),
            unique_tag: env.options.unique_tag.clone(),
        }
    }

    /// Leaves a server out.
    pub fn exclude(&mut self, node: NodeId) {
        self.candidates.remove(&node);
    }

    /// How many servers may get replicas.
    pub fn servers(&self) -> usize {
        let open = self.candidates.values();
        open.filter(|candidate| !candidate.evacuating).count()
    }

    /// Picks servers for a stream's replicas; those in `keep` stay if they still fit, and are known
    /// to hold it already.
    pub fn place(
        &mut self,
        config: &StreamConfig,
        keep: &[NodeId],
    ) -> Result<Vec<NodeId>, Refusal> {
        let placement = config.placement.clone().unwrap_or_default();
        if !placement.cluster.is_empty() && placement.cluster != self.cluster {
            return Err(Refusal::Cluster);
        }
        let bytes = u64::try_from(config.max_bytes).unwrap_or(0);
        let wanted = Wanted {
            replicas: wanted_replicas(config),
            tags: &placement.tags,
            bytes,
            unique_tag: self.unique_tag.as_deref(),
            keep,
        };
        let candidates: Vec<Candidate> = self
            .candidates
            .values()
            .map(|candidate| Candidate {
                free_bytes: match config.storage {
                    Storage::File => candidate.free_bytes,
                    Storage::Memory => self.free_memory(candidate.node),
                },
                ..candidate.clone()
            })
            .collect();
        let chosen = place(&candidates, &wanted)?;
        for node in chosen.iter().filter(|node| !keep.contains(node)) {
            let Some(candidate) = self.candidates.get_mut(node) else {
                continue;
            };
            candidate.replicas += 1;
            match config.storage {
                Storage::File => {
                    candidate.free_bytes = candidate.free_bytes.saturating_sub(bytes);
                }
                Storage::Memory => {
                    let free = self.free_memory_bytes.entry(*node).or_default();
                    *free = free.saturating_sub(bytes);
                }
            }
        }
        Ok(chosen)
    }

    fn free_memory(&self, node: NodeId) -> u64 {
        self.free_memory_bytes.get(&node).copied().unwrap_or(0)
    }
}

/// Those of a stream's replicas that are where they may be.
pub fn fitting(meta: &MetaState, unique_tag: Option<&str>, stream: &Assignment) -> Vec<NodeId> {
    let placement = stream.config.placement.as_ref();
    let tags = placement.map_or(&[][..], |placement| &placement.tags);
    let mut used = BTreeSet::new();
    let replicas = stream.replicas.iter().copied();
    replicas
        .filter(|node| {
            let Some(server) = meta.servers().get(node) else {
                return false;
            };
            !meta.is_evacuating(*node)
                && tags_match(&server.tags, tags)
                && unique_tag.is_none_or(|prefix| {
                    unique_value(&server.tags, prefix).is_some_and(|value| used.insert(value))
                })
        })
        .collect()
}

/// How many replicas a stream asks for.
pub fn wanted_replicas(config: &StreamConfig) -> usize {
    usize::try_from(config.num_replicas).unwrap_or(1).max(1)
}

/// All servers with what is promised on them: their free file storage is in the candidates, their
/// free memory beside.
fn candidates(
    meta: &MetaState,
    is_online: impl Fn(NodeId) -> bool,
) -> (BTreeMap<NodeId, Candidate>, BTreeMap<NodeId, u64>) {
    let mut candidates = BTreeMap::new();
    let mut memory = BTreeMap::new();
    for (node, facts) in meta.servers() {
        memory.insert(*node, facts.max_memory_bytes);
        candidates.insert(
            *node,
            Candidate {
                node: *node,
                name: facts.name.clone(),
                tags: facts.tags.clone(),
                online: is_online(*node),
                evacuating: meta.is_evacuating(*node),
                replicas: 0,
                free_bytes: facts.max_file_bytes,
            },
        );
    }
    for stream in meta.streams() {
        let bytes = u64::try_from(stream.config.max_bytes).unwrap_or(0);
        for node in stream.holders() {
            let Some(candidate) = candidates.get_mut(&node) else {
                continue;
            };
            candidate.replicas += 1;
            match stream.config.storage {
                Storage::File => candidate.free_bytes = candidate.free_bytes.saturating_sub(bytes),
                Storage::Memory => {
                    let free = memory.entry(node).or_default();
                    *free = free.saturating_sub(bytes);
                }
            }
        }
    }
    (candidates, memory)
}

#[cfg(test)]
mod tests {
    use jetstream::config::Placement;

    use super::*;
    use crate::meta::{MetaCommand, ServerFacts};

    fn cluster(servers: &[(u64, &str)]) -> MetaState {
        let mut meta = MetaState::default();
        for (node, tag) in servers {
            let facts = ServerFacts {
                name: format!("n{node}"),
                tags: vec![(*tag).to_owned()],
                max_file_bytes: 100,
                max_memory_bytes: 10,
                start: 1,
            };
            let node = NodeId(*node);
            meta.apply(MetaCommand::PutServer { node, facts });
        }
        meta
    }

    fn stream(replicas: &[u64], tags: &[&str]) -> Assignment {
        Assignment {
            account: "A".into(),
            config: StreamConfig {
                name: "S".into(),
                max_bytes: 30,
                num_replicas: replicas.len() as i64,
                placement: Some(Placement {
                    tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                    ..Placement::default()
                }),
                ..StreamConfig::default()
            },
            group: 0,
            replicas: replicas.iter().copied().map(NodeId).collect(),
            founders: Vec::new(),
            created_ns: 0,
            moving: None,
            is_restored: false,
        }
    }

    fn planner(meta: &MetaState) -> Planner {
        let (candidates, free_memory_bytes) = candidates(meta, |_| true);
        Planner {
            candidates,
            free_memory_bytes,
            cluster: "C".into(),
            unique_tag: None,
        }
    }

    #[test]
    fn replicas_fit_where_the_tags_are_and_nothing_is_emptied() {
        let mut meta = cluster(&[(1, "az:a"), (2, "az:b"), (3, "az:b")]);
        let fit = |meta: &MetaState, unique: Option<&str>, stream: &Assignment| {
            let fitting = fitting(meta, unique, stream);
            fitting.iter().map(|node| node.0).collect::<Vec<_>>()
        };
        assert_eq!(fit(&meta, None, &stream(&[1, 2, 4], &[])), [1, 2]);
        assert_eq!(fit(&meta, None, &stream(&[1, 2, 3], &["az:b"])), [2, 3]);
        assert_eq!(fit(&meta, None, &stream(&[1, 2, 3], &["!az:b"])), [1]);
        assert_eq!(fit(&meta, Some("az:"), &stream(&[1, 2, 3], &[])), [1, 2]);
        meta.apply(MetaCommand::SetEvacuating {
            node: NodeId(2),
            evacuating: true,
        });
        assert_eq!(fit(&meta, None, &stream(&[1, 2, 3], &[])), [1, 3]);
    }

    #[test]
    fn what_was_placed_before_counts() {
        let meta = cluster(&[(1, ""), (2, "")]);
        let mut planner = planner(&meta);
        let mut chosen = Vec::new();
        for _ in 0..6 {
            let placed = planner.place(&stream(&[9], &[]).config, &[]);
            chosen.push(placed.expect("there is room")[0].0);
        }
        assert_eq!(chosen, [1, 2, 1, 2, 1, 2]);
        let full = planner.place(&stream(&[9], &[]).config, &[]);
        assert_eq!(full, Err(Refusal::Storage));
        let elsewhere = StreamConfig {
            placement: Some(Placement {
                cluster: "D".into(),
                ..Placement::default()
            }),
            ..StreamConfig::default()
        };
        assert_eq!(planner.place(&elsewhere, &[]), Err(Refusal::Cluster));
    }
}
