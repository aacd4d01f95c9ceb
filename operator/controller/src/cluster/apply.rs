//! Makes the Kubernetes API hold what was built.
//!
//! Server-side apply under one name. What is there already, and was applied as it is now, is not
//! written again.

mod difference;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::build::Objects;
use super::names;
use super::validate::ValidCluster;
use crate::context::MANAGER;

use difference::APPLIED_ANNOTATION;
pub use difference::hash;

/// What the API server answered about objects that others act on.
pub struct Applied {
    pub stateful_sets: Vec<StatefulSet>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{kind} {name}")]
    Request {
        kind: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(
        "{kind} {name} exists and belongs to something else; rename this Cluster or its pool, or remove that object"
    )]
    Taken { kind: String, name: String },
}

/// Applies all objects. StatefulSets come last, so that pods never start without what they mount, and
/// the configuration comes before them for the same reason.
pub async fn apply(
    client: &Client,
    cluster: &ValidCluster,
    objects: Objects,
) -> Result<Applied, Error> {
    // Without `..`: a kind that is not applied does not compile.
    let Objects {
        service_account,
        config,
        certificates,
        client_service,
        servers_service,
        disruption_budget,
        network_policy,
        stateful_sets,
    } = objects;
    let to = Target { client, cluster };
    to.hold::<ServiceAccount>(service_account).await?;
    // Before the configuration, whose hash tells servers that there are new ones.
    match certificates {
        Some(certificates) => drop(to.hold(certificates).await?),
        None => {
            let name = names::certificates_secret(&cluster.name);
            to.remove::<Secret>(&name).await?;
        }
    }
    to.hold::<Secret>(config).await?;
    to.hold::<Service>(client_service).await?;
    to.hold::<Service>(servers_service).await?;
    match disruption_budget {
        Some(budget) => drop(to.hold(budget).await?),
        None => to.remove::<PodDisruptionBudget>(&cluster.name).await?,
    }
    match network_policy {
        Some(policy) => drop(to.hold(policy).await?),
        None => to.remove::<NetworkPolicy>(&cluster.name).await?,
    }
    for name in &cluster.leftover {
        to.remove::<StatefulSet>(name).await?;
    }
    let mut applied = Vec::new();
    for stateful_set in stateful_sets {
        applied.push(to.hold(stateful_set).await?);
    }
    Ok(Applied {
        stateful_sets: applied,
    })
}

struct Target<'a> {
    client: &'a Client,
    cluster: &'a ValidCluster,
}

impl Target<'_> {
    /// Creates the object, or corrects what differs.
    async fn hold<K>(&self, mut wanted: K) -> Result<K, Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Serialize + DeserializeOwned + std::fmt::Debug,
    {
        let api = self.api::<K>();
        let name = wanted.name_any();
        let failed = |source| Error::request::<K>(&name, source);
        let hash = difference::hash(&wanted);
        wanted
            .annotations_mut()
            .insert(APPLIED_ANNOTATION.to_owned(), hash);
        let found = api.get_opt(&name).await.map_err(failed)?;
        if let Some(found) = &found {
            if !self.owns(found) {
                return Err(Error::Taken {
                    kind: K::kind(&()).into_owned(),
                    name,
                });
            }
            if !difference::is_missing_something(&wanted, found) {
                return Ok(found.clone());
            }
            tracing::info!(kind = %K::kind(&()), name, "correcting");
        }
        let params = PatchParams::apply(MANAGER).force();
        match api.patch(&name, &params, &Patch::Apply(&wanted)).await {
            // What somebody added to a list, such as a port, stays with server-side apply and may not go
            // together with what is wanted. A merge replaces whole lists.
            Err(kube::Error::Api(status)) if status.is_invalid() && found.is_some() => {
                let params = PatchParams {
                    field_manager: Some(MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                api.patch(&name, &params, &Patch::Merge(&wanted)).await
            }
            outcome => outcome,
        }
        .map_err(failed)
    }

    /// Removes an object that must not exist, if it is the cluster's.
    async fn remove<K>(&self, name: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api = self.api::<K>();
        let failed = |source| Error::request::<K>(name, source);
        let Some(found) = api.get_opt(name).await.map_err(failed)? else {
            return Ok(());
        };
        if !self.owns(&found) {
            return Ok(());
        }
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            outcome => outcome.map(drop).map_err(failed),
        }
    }

    /// Whether an object that exists is this cluster's. One without an owner is taken over: its owner
    /// was deleted and left it behind.
    fn owns<K: Resource>(&self, found: &K) -> bool {
        let owners = found.meta().owner_references.iter().flatten();
        let mut controllers = owners.filter(|owner| owner.controller == Some(true));
        match controllers.next() {
            Some(owner) => owner.uid == self.cluster.owner.uid,
            None => {
                let labels = found.meta().labels.as_ref();
                labels.and_then(|labels| labels.get(names::CLUSTER_LABEL))
                    == Some(&self.cluster.name)
            }
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.cluster.namespace)
    }
}

impl Error {
    fn request<K: Resource<DynamicType = ()>>(name: &str, source: kube::Error) -> Error {
        Error::Request {
            kind: K::kind(&()).into_owned(),
            name: name.to_owned(),
            source: Box::new(source),
        }
    }
}
