//! How many servers each pool has now, on the way to what the resource says. Pure.
//!
//! New servers are added at once, with empty volumes: one that left long ago must not come back with
//! what it held then, for the others have removed it. A server leaves alone, the last of its pool first, and only when
//! nothing relies on it any more.

use std::collections::BTreeMap;

use api::cluster::ScaleDownPolicy;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

use super::build::Sizes;
use super::dereference::Found;
use super::names;
use super::observe::Observed;
use super::validate::{ValidCluster, ValidPool};

#[cfg(test)]
mod tests;

/// On StatefulSets: how many servers there are, also while none of them runs.
pub const SERVERS_ANNOTATION: &str = "weir.dev/servers";

/// What there is, and what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub sizes: Sizes,
    pub next: Next,
    /// Servers that left, and that the brokers still count on.
    pub forget: Vec<String>,
    /// Servers that must not be evacuated any more.
    pub keep: Vec<String>,
    /// Claims of servers that left, whose names are needed again.
    pub clear: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    /// Servers are being added.
    Growing,
    /// Have this server's replicas moved to others.
    Evacuate {
        server: String,
    },
    /// It goes on by itself: the server, and what it waits for.
    Wait {
        server: String,
        why: String,
    },
    /// The server stays, and why.
    Refused {
        server: String,
        why: String,
    },
}

pub fn plan(cluster: &ValidCluster, found: &Found, observed: &Observed) -> Plan {
    let mut clear = Vec::new();
    let mut sizes = Sizes::new();
    let mut leaving = None;
    let mut grows = false;
    for pool in &cluster.pools {
        let has = servers_of(pool, &found.stateful_sets);
        grows |= has.is_some_and(|has| pool.replicas > has);
        let size = has.unwrap_or(pool.replicas).max(pool.replicas);
        let old = old_claims(pool, has.unwrap_or(size), found);
        if !old.is_empty() {
            let left = old.iter().filter(|server| has_left(server, observed));
            clear.extend(left.map(|server| names::claim(server)));
            sizes.insert(pool.name.clone(), has.unwrap_or(size));
            continue;
        }
        if size > pool.replicas && leaving.is_none() {
            leaving = Some((pool, size));
        }
        sizes.insert(pool.name.clone(), size);
    }
    let total: u16 = sizes.values().sum();
    let next = match leaving {
        // Their data stay on their volumes, and nobody could take them over.
        _ if cluster.spec.hibernated => Next::Nothing,
        None if grows => Next::Growing,
        None => Next::Nothing,
        Some((pool, size)) => {
            let last = size.saturating_sub(1);
            let server = names::server(&pool.stateful_set, last);
            let step = leave(cluster, &server, total, observed);
            if step.is_none() {
                sizes.insert(pool.name.clone(), last);
            }
            step.unwrap_or(Next::Wait {
                server,
                why: "it is stopped".to_owned(),
            })
        }
    };
    let leaving = match &next {
        Next::Evacuate { server } | Next::Wait { server, .. } => Some(server.clone()),
        _ => None,
    };
    Plan {
        forget: forgotten(cluster, &sizes, observed),
        keep: kept(observed, leaving.as_deref()),
        clear,
        sizes,
        next,
    }
}

/// What keeps a server from leaving; `None` if nothing does.
fn leave(cluster: &ValidCluster, server: &str, total: u16, observed: &Observed) -> Option<Next> {
    let server = server.to_owned();
    if total < 2 {
        let why =
            "it is the last one; to stop it and keep its data, set hibernated: true".to_owned();
        return Some(Next::Refused { server, why });
    }
    // It never joined, or was removed: nothing is on it that the others know of. Brokers that can not say
    // so would call every server a stranger.
    let can_tell = observed.meta_leader.is_some() && !observed.reliance.is_empty();
    if can_tell && observed.strangers.contains(&server) {
        return None;
    }
    let Some(reliance) = observed.reliance.get(&server) else {
        let why = "no server says what it holds".to_owned();
        return Some(Next::Wait { server, why });
    };
    if reliance.replicas == 0 && reliance.leaders == 0 {
        if reliance.safe {
            return None;
        }
        let why = "the others have no quorum without it".to_owned();
        return Some(Next::Wait { server, why });
    }
    if cluster.spec.scale_down.policy == ScaleDownPolicy::Refuse && reliance.replicas > 0 {
        let why =
            "it holds replicas of streams; move them, or set scaleDown.policy: Evacuate".to_owned();
        return Some(Next::Refused { server, why });
    }
    if !reliance.evacuating {
        return Some(Next::Evacuate { server });
    }
    let why = "its streams move to other servers".to_owned();
    Some(Next::Wait { server, why })
}

/// Servers that a pool has, running or not.
fn servers_of(pool: &ValidPool, stateful_sets: &BTreeMap<String, StatefulSet>) -> Option<u16> {
    let set = stateful_sets.get(&pool.stateful_set)?;
    let noted = set.annotations().get(SERVERS_ANNOTATION);
    let noted = noted.and_then(|noted| noted.parse().ok());
    let running = set.spec.as_ref().and_then(|spec| spec.replicas);
    noted.or_else(|| running.and_then(|running| running.try_into().ok()))
}

/// Servers to be added whose claims are still there from before they left.
fn old_claims(pool: &ValidPool, has: u16, found: &Found) -> Vec<String> {
    let added = (has..pool.replicas).map(|ordinal| names::server(&pool.stateful_set, ordinal));
    added
        .filter(|server| found.claims.contains_key(&names::claim(server)))
        .collect()
}

/// Whether the brokers say that they count on the server no longer.
fn has_left(server: &str, observed: &Observed) -> bool {
    observed.meta_leader.is_some()
        && !observed.reliance.contains_key(server)
        && !observed.offline.iter().any(|offline| offline == server)
}

/// Servers of this cluster that are away for good and still counted.
fn forgotten(cluster: &ValidCluster, sizes: &Sizes, observed: &Observed) -> Vec<String> {
    let away = observed.offline.iter();
    away.filter(|server| {
        cluster.pools.iter().any(|pool| {
            let size = sizes.get(&pool.name).copied().unwrap_or_default();
            names::ordinal(&pool.stateful_set, server).is_some_and(|ordinal| ordinal >= size)
        })
    })
    .cloned()
    .collect()
}

/// Servers whose evacuation is wanted no longer.
fn kept(observed: &Observed, leaving: Option<&str>) -> Vec<String> {
    let evacuating = observed
        .reliance
        .iter()
        .filter(|(_, reliance)| reliance.evacuating)
        .map(|(server, _)| server.clone());
    evacuating
        .filter(|server| Some(server.as_str()) != leaving)
        .collect()
}
