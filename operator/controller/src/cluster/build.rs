//! The objects that make up a cluster. Pure: the same input gives the same objects.

mod config;
mod disruption_budget;
mod metadata;
mod network_policy;
mod service_account;
mod services;
mod stateful_set;

#[cfg(test)]
pub mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::names;
use super::validate::{ValidCluster, ValidPool};

/// Everything that a cluster consists of. What is `None` must not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    pub service_account: ServiceAccount,
    pub config: Secret,
    pub certificates: Option<Secret>,
    pub client_service: Service,
    pub servers_service: Service,
    pub disruption_budget: Option<PodDisruptionBudget>,
    pub network_policy: Option<NetworkPolicy>,
    pub stateful_sets: Vec<StatefulSet>,
}

/// Servers that each pool has for now, by the pool's name. While a cluster grows or shrinks these
/// are not those that the resource says.
pub type Sizes = BTreeMap<String, u16>;

/// What is built, and the hash of each server's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    pub objects: Objects,
    pub config_hashes: BTreeMap<String, String>,
}

/// Builds a cluster. A cluster that hibernates has its configuration and no pods.
pub fn build(cluster: &ValidCluster, sizes: &Sizes) -> Built {
    let config = config::render(cluster, sizes);
    let stateful_sets = cluster
        .pools
        .iter()
        .map(|pool| stateful_set::stateful_set(cluster, pool, size(sizes, pool)));
    let budget = &cluster.spec.pod_disruption_budget;
    let policy = &cluster.spec.network_policy;
    Built {
        objects: Objects {
            service_account: service_account::service_account(cluster),
            config: config::secret(cluster, &config),
            certificates: config::certificates(cluster),
            client_service: services::client(cluster),
            servers_service: services::servers(cluster),
            disruption_budget: budget
                .enabled
                .then(|| disruption_budget::disruption_budget(cluster)),
            network_policy: policy
                .enabled
                .then(|| network_policy::network_policy(cluster)),
            stateful_sets: stateful_sets.collect(),
        },
        config_hashes: config
            .into_iter()
            .map(|(server, config)| (server, config.hash))
            .collect(),
    }
}

/// Servers of a pool for now.
fn size(sizes: &Sizes, pool: &ValidPool) -> u16 {
    sizes.get(&pool.name).copied().unwrap_or(pool.replicas)
}

/// The servers of a cluster, with their pools.
pub fn servers<'a>(cluster: &'a ValidCluster, sizes: &Sizes) -> Vec<(&'a ValidPool, String)> {
    let pools = cluster.pools.iter();
    pools
        .flat_map(|pool| {
            let ordinals = 0..size(sizes, pool);
            ordinals.map(move |ordinal| (pool, names::server(&pool.stateful_set, ordinal)))
        })
        .collect()
}
