//! Volumes that grow, and those that nobody needs any more. Pure.

use std::collections::BTreeMap;

use api::cluster::Retention;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::build::Sizes;
use super::validate::ValidCluster;
use super::{names, quantity};

/// What to do about claims.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Claims, and what they should ask for.
    pub grow: Vec<(String, String)>,
    /// Claims of servers that left, whose data are elsewhere.
    pub delete: Vec<String>,
    /// Claims with other owners than they should have, and those: with one of them being the Cluster, they are
    /// deleted with it.
    pub owners: Vec<(String, Vec<OwnerReference>)>,
    /// Claims that asked for more and have not got it yet.
    pub growing: Vec<String>,
}

/// `counted` says whether the brokers still count on a server.
pub fn changes(
    cluster: &ValidCluster,
    sizes: &Sizes,
    claims: &BTreeMap<String, PersistentVolumeClaim>,
    counted: impl Fn(&str) -> bool,
) -> Changes {
    let mut changes = Changes::default();
    for (name, claim) in claims {
        let Some(server) = name
            .strip_prefix(names::DATA_VOLUME)
            .and_then(|name| name.strip_prefix('-'))
        else {
            continue;
        };
        let found = cluster.pools.iter().find_map(|pool| {
            let ordinal = names::ordinal(&pool.stateful_set, server)?;
            Some((pool, ordinal))
        });
        let Some((pool, ordinal)) = found else {
            continue;
        };
        let is_bound = pool.storage.retention.when_deleted == Retention::Delete;
        let owners = claim.metadata.owner_references.as_deref();
        if let Some(owners) = other_owners(&cluster.owner, owners.unwrap_or_default(), is_bound) {
            changes.owners.push((name.clone(), owners));
        }
        if ordinal >= sizes.get(&pool.name).copied().unwrap_or_default() {
            let deletes = pool.storage.retention.when_scaled == Retention::Delete;
            if deletes && claim.metadata.deletion_timestamp.is_none() && !counted(server) {
                changes.delete.push(name.clone());
            }
            continue;
        }
        let wanted = pool.storage.size;
        let asked = requested(claim).and_then(|amount| quantity::parse(&amount.0));
        if asked.is_some_and(|asked| asked < wanted.bytes() as f64) {
            changes.grow.push((name.clone(), wanted.to_string()));
            continue;
        }
        // A claim that has no volume yet gets one of the right size.
        let has = capacity(claim).and_then(|amount| quantity::parse(&amount.0));
        if asked.zip(has).is_some_and(|(asked, has)| asked > has) {
            changes.growing.push(name.clone());
        }
    }
    changes
}

/// With the Cluster among them, or without it; `None` if that is so.
fn other_owners(
    cluster: &OwnerReference,
    found: &[OwnerReference],
    is_bound: bool,
) -> Option<Vec<OwnerReference>> {
    let is_cluster = |owner: &OwnerReference| owner.uid == cluster.uid;
    if found.iter().any(is_cluster) == is_bound {
        return None;
    }
    let others = found.iter().filter(|owner| !is_cluster(owner)).cloned();
    // Without controlling them: the StatefulSet would leave claims alone that something else controls.
    let owner = is_bound.then(|| OwnerReference {
        controller: None,
        block_owner_deletion: None,
        ..cluster.clone()
    });
    Some(others.chain(owner).collect())
}

fn requested(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources.requests.as_ref()?.get("storage")
}

/// What a bound claim has.
fn capacity(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.status.as_ref()?.capacity.as_ref()?.get("storage")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_go_with_the_cluster_only_if_they_should() {
        let owner = |uid: &str| OwnerReference {
            uid: uid.to_owned(),
            ..OwnerReference::default()
        };
        let (cluster, set) = (owner("cluster"), owner("set"));
        let bound = [set.clone(), cluster.clone()];
        let unbound = std::slice::from_ref(&set);
        assert_eq!(other_owners(&cluster, unbound, true), Some(bound.to_vec()));
        assert_eq!(other_owners(&cluster, &bound, true), None);
        assert_eq!(
            other_owners(&cluster, &bound, false),
            Some(vec![set.clone()])
        );
        assert_eq!(other_owners(&cluster, unbound, false), None);
    }
}
