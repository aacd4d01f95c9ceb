//! Volumes that grow, and those that nobody needs any more. Pure.

use std::collections::BTreeMap;

use api::cluster::Retention;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::build::Sizes;
use super::validate::ValidCluster;
use super::{names, quantity};

/// What to do about claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Claims, and what they should ask for.
    pub grow: Vec<(String, String)>,
    /// Claims of servers that left, whose data are elsewhere.
    pub delete: Vec<String>,
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

fn requested(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    let resources = claim.spec.as_ref()?.resources.as_ref()?;
    resources.requests.as_ref()?.get("storage")
}

/// What a bound claim has.
fn capacity(claim: &PersistentVolumeClaim) -> Option<&Quantity> {
    claim.status.as_ref()?.capacity.as_ref()?.get("storage")
}
