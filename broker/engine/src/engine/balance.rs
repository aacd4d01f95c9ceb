//! Spreads leaderships over the servers: without it they pile up on those that restarted first.
//!
//! Each server looks at the groups it takes part in and hands over what it leads beyond the others,
//! a few at a time. Small differences stay, so that nobody's choice of a leader is taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use consensus::{Group, NodeId};

use super::{Engine, placed};
use crate::asset::Asset;

/// How many more leaderships than another a server may have, at least and in parts of its own.
const SURPLUS_MIN: usize = 2;
const SURPLUS_PARTS: usize = 8;
/// Leaderships handed over in one go.
const HAND_OVERS_MAX: usize = 16;

/// Hands over some of what this server leads beyond others.
pub(super) async fn spread_leaderships(engine: &Engine) {
    if !engine.env().is_clustered() || engine.is_evacuating() {
        return;
    }
    let here = engine.env().node();
    let assets = engine.assets();
    let mut led: BTreeMap<NodeId, usize> = engine
        .meta()
        .read(|meta| meta.servers().keys().map(|node| (*node, 0)).collect());
    for asset in &assets {
        if let Some(leader) = asset.leader() {
            *led.entry(leader).or_default() += 1;
        }
    }
    let mut handed_over = 0;
    for asset in assets.iter().filter(|asset| is_at_rest(asset)) {
        let Some(group) = asset.group() else { continue };
        let Some(next) = relieved_by(engine, group, here, &led) else {
            continue;
        };
        if group.transfer_leader(Some(next)).await.is_ok() {
            *led.entry(here).or_default() -= 1;
            *led.entry(next).or_default() += 1;
        }
        handed_over += 1;
        if handed_over == HAND_OVERS_MAX {
            return;
        }
    }
}

fn is_at_rest(asset: &Arc<Asset>) -> bool {
    asset.is_leader() && asset.assignment.read().moving.is_none()
}

/// The replica with the fewest leaderships, if this server has too many more.
fn relieved_by(
    engine: &Engine,
    group: &Group,
    here: NodeId,
    led: &BTreeMap<NodeId, usize>,
) -> Option<NodeId> {
    let count = |node: &NodeId| led.get(node).copied().unwrap_or(0);
    let fewest = group
        .replicas()
        .into_iter()
        .filter(|replica| replica.current)
        .map(|replica| replica.node)
        .min_by_key(count)?;
    if !has_surplus(count(&here), count(&fewest)) {
        return None;
    }
    placed::successor(engine, group, |node| node == fewest)
}

fn has_surplus(own: usize, theirs: usize) -> bool {
    own > theirs + SURPLUS_MIN.max(own / SURPLUS_PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_difference_is_no_surplus() {
        assert!(!has_surplus(2, 0));
        assert!(has_surplus(3, 0));
        assert!(!has_surplus(100, 90));
        assert!(has_surplus(100, 80));
    }
}
