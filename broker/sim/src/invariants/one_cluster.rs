//! Servers that are to be one cluster never become two.

use std::collections::BTreeSet;

use super::Evidence;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let seen = &evidence.sightings.clusters;
    let clusters: BTreeSet<u64> = seen.iter().map(|(_, cluster)| *cluster).collect();
    match clusters.len() {
        1 => Vec::new(),
        0 => vec!["no broker is of a cluster".to_owned()],
        _ => vec![format!("brokers were seen in several clusters: {seen:?}")],
    }
}
