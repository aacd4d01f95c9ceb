//! Notices streams that cannot go on and servers that have no room, and tells of them now and then.

use std::collections::BTreeMap;

use consensus::NodeId;

use super::Engine;
use crate::advisory;

/// Time between two reports of a stream that stays without a quorum.
const REPORT_AGAIN_NS: i64 = 10_000_000_000;

/// What was told, and when.
#[derive(Default)]
pub(super) struct Stalls {
    /// Streams without a quorum, by group.
    lost: BTreeMap<u64, i64>,
    is_full: bool,
}

impl Stalls {
    pub(super) fn look(&mut self, engine: &Engine) {
        self.look_for_quorums(engine);
        self.look_for_room(engine);
    }

    fn look_for_quorums(&mut self, engine: &Engine) {
        let (here, now_ns) = (engine.env().node(), engine.env().now_ns());
        let mut stalled = BTreeMap::new();
        for asset in engine.assets() {
            let (group, replicas) = {
                let assignment = asset.assignment.read();
                (assignment.group, assignment.replicas.clone())
            };
            let online: Vec<NodeId> = replicas
                .iter()
                .copied()
                .filter(|node| engine.is_online(*node))
                .collect();
            if !has_lost_quorum(replicas.len(), &online, here) {
                continue;
            }
            let told_ns = self.lost.get(&group).copied();
            let is_due = told_ns.is_none_or(|told_ns| now_ns - told_ns >= REPORT_AGAIN_NS);
            if is_due {
                let (account, stream) = asset.key();
                tracing::warn!(account, stream, "stream has no quorum and is stalled");
                advisory::quorum_lost(engine, &asset);
            }
            stalled.insert(group, told_ns.filter(|_| !is_due).unwrap_or(now_ns));
        }
        self.lost = stalled;
    }

    fn look_for_room(&mut self, engine: &Engine) {
        let full = engine.assets().into_iter().find(|asset| asset.is_full());
        let is_full = full.is_some() || engine.env().wal.is_full();
        if is_full && !self.is_full {
            let stream = full.map(|asset| asset.key().1);
            advisory::out_of_storage(engine, stream.unwrap_or_default());
        }
        self.is_full = is_full;
    }
}

/// Whether too few of a stream's servers are there, and this is the one of them that tells so.
fn has_lost_quorum(replicas: usize, online: &[NodeId], here: NodeId) -> bool {
    let needed = replicas / 2 + 1;
    online.len() < needed && online.iter().min() == Some(&here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_those_that_are_left_tells_that_they_are_too_few() {
        let nodes = |numbers: &[u64]| numbers.iter().copied().map(NodeId).collect::<Vec<_>>();
        for (replicas, online, here, expected) in [
            (3, &[1, 2][..], 1, false),
            (3, &[2], 2, true),
            (5, &[2, 4], 2, true),
            (5, &[2, 4], 4, false),
            (2, &[1], 1, true),
            (1, &[1], 1, false),
            (3, &[], 1, false),
        ] {
            let lost = has_lost_quorum(replicas, &nodes(online), NodeId(here));
            assert_eq!(lost, expected, "{replicas} {online:?} {here}");
        }
    }
}
