//! What a Cluster wants, completely decided. Pure.

use std::collections::{BTreeMap, BTreeSet};

use api::cluster::{Cluster, ClusterSpec, Resources, Storage};
use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use reconcile::Bootstrap;

use super::certificates::{self, Certificates, Listener};
use super::dereference::Found;
use super::maintenance::Window;
use super::{names, quantity};

/// More replicas than this in one cluster are a mistake.
const MAX_SERVERS: u16 = 64;

/// The single input of what is built.
#[derive(Clone, Debug)]
pub struct ValidCluster {
    pub name: String,
    pub namespace: String,
    pub owner: OwnerReference,
    pub image: String,
    pub pools: Vec<ValidPool>,
    pub bootstrap: Bootstrap,
    pub certificates: Certificates,
    /// When servers may be restarted; always if there are none.
    pub windows: Vec<Window>,
    /// StatefulSets of pools that are gone, without servers.
    pub leftover: Vec<String>,
    /// What is said about all servers alike.
    pub spec: ClusterSpec,
    /// Labels of each server's node.
    pub node_labels: BTreeMap<String, BTreeMap<String, String>>,
}

/// Servers that are alike.
#[derive(Clone, Debug)]
pub struct ValidPool {
    pub name: String,
    pub stateful_set: String,
    /// As many as the resource says.
    pub replicas: u16,
    pub tags: Vec<String>,
    pub node_selector: BTreeMap<String, String>,
    pub tolerations: Vec<Toleration>,
    pub resources: ResourceRequirements,
    pub storage: Storage,
    /// The size in the template of claims, which can not change once the StatefulSet exists.
    pub template_size: String,
}

/// Why nothing can be done until a person changes something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error(
        "Secret {name} does not exist; create it with tls.crt, tls.key and ca.crt, or remove {field}"
    )]
    NoSecret { name: String, field: &'static str },
    #[error("Secret {name} has no {key}, which {field} needs; add it")]
    NoEntry {
        name: String,
        key: &'static str,
        field: &'static str,
    },
    #[error("Secret {name}, which {field} names: {why}; renew it")]
    NoCertificate {
        name: String,
        field: &'static str,
        why: String,
    },
    #[error("{field} {value:?} is not an amount; write one such as 500m, 2 or 1Gi")]
    NoAmount { field: String, value: String },
    #[error("the cluster would have {0} servers; {MAX_SERVERS} are the most")]
    TooMany(u16),
    #[error(
        "update.maintenanceWindows: {0} is no window; write a start such as 22:30 and a duration of at most 24h"
    )]
    NoWindow(String),
    #[error("two pools are called {0}; give each a name of its own")]
    SamePool(String),
    #[error(
        "StatefulSet {0} still has servers, and no pool is theirs; add the pool again with replicas: 0, and remove it when they are gone"
    )]
    PoolInUse(String),
}

impl Invalid {
    /// For conditions and Events.
    pub fn reason(&self) -> &'static str {
        match self {
            Invalid::NoSecret { .. } => "SecretNotFound",
            Invalid::NoEntry { .. } => "SecretIncomplete",
            Invalid::NoCertificate { .. } => "CertificateUnusable",
            Invalid::NoAmount { .. }
            | Invalid::NoWindow(_)
            | Invalid::TooMany(_)
            | Invalid::SamePool(_) => "InvalidSpec",
            Invalid::PoolInUse(_) => "PoolInUse",
        }
    }
}

/// # Errors
/// What a person has to change.
pub fn validate(
    cluster: &Cluster,
    found: &Found,
    default_image: &str,
) -> Result<ValidCluster, Invalid> {
    let spec = &cluster.spec;
    let name = cluster.name_any();
    let pools = pools(spec, &name, found)?;
    Ok(ValidCluster {
        namespace: cluster.namespace().unwrap_or_default(),
        owner: cluster.controller_owner_ref(&()).unwrap_or_default(),
        image: spec
            .image
            .clone()
            .unwrap_or_else(|| default_image.to_owned()),
        leftover: leftover(&pools, found)?,
        pools,
        bootstrap: found.bootstrap.clone(),
        certificates: certificates::choose(spec, &found.tls, &found.kept_tls)?,
        windows: windows(spec)?,
        spec: spec.clone(),
        node_labels: found.labels_by_server(),
        name,
    })
}

fn windows(spec: &ClusterSpec) -> Result<Vec<Window>, Invalid> {
    let said = spec.update.maintenance_windows.iter();
    said.map(|said| {
        let window = Window::new(said);
        window.ok_or_else(|| Invalid::NoWindow(format!("{} for {}", said.start, said.duration)))
    })
    .collect()
}

fn pools(spec: &ClusterSpec, cluster: &str, found: &Found) -> Result<Vec<ValidPool>, Invalid> {
    let base = spec.resources.clone().unwrap_or_default();
    let mut pools = vec![ValidPool {
        name: names::DEFAULT_POOL.to_owned(),
        stateful_set: cluster.to_owned(),
        replicas: spec.replicas,
        tags: Vec::new(),
        node_selector: spec.node_selector.clone(),
        tolerations: spec.tolerations.clone(),
        resources: requirements(&base)?,
        template_size: template_size(found, cluster, &spec.storage),
        storage: spec.storage.clone(),
    }];
    let mut seen = BTreeSet::from([names::DEFAULT_POOL]);
    for pool in &spec.pools {
        if !seen.insert(&pool.name) {
            return Err(Invalid::SamePool(pool.name.clone()));
        }
        let stateful_set = names::stateful_set(cluster, &pool.name);
        let storage = pool.storage.clone().unwrap_or_else(|| spec.storage.clone());
        pools.push(ValidPool {
            name: pool.name.clone(),
            replicas: pool.replicas,
            tags: pool.tags.clone(),
            node_selector: pool
                .node_selector
                .clone()
                .unwrap_or_else(|| spec.node_selector.clone()),
            tolerations: pool
                .tolerations
                .clone()
                .unwrap_or_else(|| spec.tolerations.clone()),
            resources: requirements(pool.resources.as_ref().unwrap_or(&base))?,
            template_size: template_size(found, &stateful_set, &storage),
            storage,
            stateful_set,
        });
    }
    let servers: u16 = pools.iter().map(|pool| pool.replicas).sum();
    if servers > MAX_SERVERS {
        return Err(Invalid::TooMany(servers));
    }
    Ok(pools)
}

fn leftover(pools: &[ValidPool], found: &Found) -> Result<Vec<String>, Invalid> {
    let wanted: Vec<&str> = pools
        .iter()
        .map(|pool| pool.stateful_set.as_str())
        .collect();
    let mut empty = Vec::new();
    for (name, has_servers) in found.leftover(&wanted) {
        if has_servers {
            return Err(Invalid::PoolInUse(name.to_owned()));
        }
        empty.push(name.to_owned());
    }
    Ok(empty)
}

fn template_size(found: &Found, stateful_set: &str, storage: &Storage) -> String {
    found
        .template_size(stateful_set)
        .unwrap_or_else(|| storage.size.to_string())
}

fn requirements(resources: &Resources) -> Result<ResourceRequirements, Invalid> {
    Ok(ResourceRequirements {
        requests: amounts("resources.requests", &resources.requests)?,
        limits: amounts("resources.limits", &resources.limits)?,
        ..ResourceRequirements::default()
    })
}

fn amounts(
    field: &str,
    amounts: &BTreeMap<String, IntOrString>,
) -> Result<Option<BTreeMap<String, Quantity>>, Invalid> {
    let mut checked = BTreeMap::new();
    for (name, amount) in amounts {
        let text = match amount {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        if quantity::parse(&text).is_none() {
            return Err(Invalid::NoAmount {
                field: format!("{field}.{name}"),
                value: text,
            });
        }
        checked.insert(name.clone(), Quantity(text));
    }
    Ok((!checked.is_empty()).then_some(checked))
}

impl ValidCluster {
    /// A server's tags: those of all servers, of its pool, and from its node's labels.
    pub fn tags(&self, pool: &ValidPool, server: &str) -> Vec<String> {
        let said = self.spec.server_tags.clone().unwrap_or_default();
        let labels = self.node_labels.get(server);
        let of_node = said.from_node_labels.iter().filter_map(|(tag, label)| {
            let value = labels?.get(label).filter(|value| !value.is_empty())?;
            Some(format!("{tag}:{value}"))
        });
        let all = said.fixed.iter().chain(&pool.tags).cloned().chain(of_node);
        let mut tags: Vec<String> = Vec::new();
        for tag in all {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }

    /// Where clients inside Kubernetes connect.
    pub fn client_url(&self) -> String {
        let scheme = match self.certificates.of(Listener::Client) {
            Some(_) => "tls",
            None => "nats",
        };
        let (name, namespace) = (&self.name, &self.namespace);
        format!("{scheme}://{name}.{namespace}.svc:{}", names::CLIENT_PORT)
    }

    /// Where clients that speak WebSocket connect, if they may.
    pub fn websocket_url(&self) -> Option<String> {
        self.spec.listeners.websocket.as_ref()?;
        let scheme = match self.certificates.of(Listener::WebSocket) {
            Some(_) => "wss",
            None => "ws",
        };
        let (name, namespace) = (&self.name, &self.namespace);
        Some(format!(
            "{scheme}://{name}.{namespace}.svc:{}",
            names::WEBSOCKET_PORT
        ))
    }
}
