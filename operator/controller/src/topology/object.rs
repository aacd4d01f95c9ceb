//! One object: its servers, the steps, and what is written about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Account, Kind, Resource, ResourceId};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use reconcile::{Entry, KeyStore, Obstacle, Outcome, Status, held_up};
use serde_json::{Value, json};

use super::Topology;
use super::kinds::Topological;
use super::sites::{ClusterSite, ExternalSite};
use super::writing::{self, FINALIZER};
use crate::context::MANAGER;
use crate::secrets::{Secrets, is_missing};

/// How often servers are compared with resources although nothing happened.
const RESYNC: Duration = Duration::from_secs(60);
/// So many objects of a kind are compared in a second at most: with thousands of them it takes longer until
/// each has its turn, and those that changed do not wait behind them.
const RESYNCS_A_SECOND: u32 = 20;
/// Users whose credentials expire soon are looked at this often at most.
const RESYNC_MIN: Duration = Duration::from_secs(5);

/// Why an object is to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is not understood: {0}; correct it, or delete it")]
    NotUnderstood(String),
    #[error("{0}")]
    NotYet(String),
    #[error("Kubernetes API server: {0}")]
    Kubernetes(#[from] kube::Error),
}

/// Where a resource is brought.
enum Site {
    Cluster(Arc<ClusterSite>),
    External(Arc<ExternalSite>),
}

/// Brings one object to its servers.
pub async fn reconcile<K: Topological>(
    topology: Arc<Topology>,
    object: Arc<DeserializeGuard<K>>,
) -> Result<Action, Error> {
    let object = match &object.0 {
        Ok(object) => object.clone(),
        Err(invalid) => return Err(Error::NotUnderstood(invalid.error.clone())),
    };
    topology.world.ready().await;
    let namespace = object.meta().namespace.clone().unwrap_or_default();
    let api: Api<K> = Api::namespaced(topology.context.client.clone(), &namespace);
    let reconciliation = Reconciliation {
        topology: &topology,
        api,
        resource: object.clone().into_resource(),
        object,
    };
    match reconciliation.run().await {
        // It was deleted meanwhile.
        Err(Error::Kubernetes(error)) if is_missing(&error) => Ok(Action::await_change()),
        outcome => outcome,
    }
}

struct Reconciliation<'a, K> {
    topology: &'a Topology,
    api: Api<K>,
    object: K,
    resource: Resource,
}

impl<K: Topological> Reconciliation<'_, K> {
    async fn run(&self) -> Result<Action, Error> {
        if self.resource.is_deleted() {
            return self.clean_up().await;
        }
        let is_wanted = writing::needs_cleanup(&self.resource);
        if let Some(finalizers) = writing::finalizers(&self.resource, is_wanted) {
            self.set_finalizers(&finalizers).await?;
        }
        let outcome = self.outcome().await?;
        self.report(&outcome).await?;
        match &outcome.error {
            Some(error) if outcome.retry => Err(Error::NotYet(error.clone())),
            _ => Ok(Action::requeue(self.look_again(&outcome))),
        }
    }

    async fn clean_up(&self) -> Result<Action, Error> {
        let Some(finalizers) = writing::finalizers(&self.resource, false) else {
            return Ok(Action::await_change());
        };
        // A policy that changed after the deletion is a way out.
        let outcome = if writing::needs_cleanup(&self.resource) {
            self.outcome().await?
        } else {
            held_up(
                &self.resource,
                Obstacle::Gone,
                &self.topology.context.environment,
            )
        };
        self.report(&outcome).await?;
        if outcome.is_gone {
            self.set_finalizers(&finalizers).await?;
            self.topology.written.lock().remove(&self.resource.id());
            return Ok(Action::await_change());
        }
        let error = outcome.error.clone().unwrap_or_default();
        Err(Error::NotYet(format!(
            "{error}; the deletion waits for it, unless deletionPolicy becomes Retain or the finalizer {FINALIZER} is removed"
        )))
    }

    async fn outcome(&self) -> Result<Outcome, Error> {
        let outcome = match self.site().await? {
            Ok(Site::Cluster(site)) => {
                let outcome = site
                    .reconciler
                    .reconcile_one(&self.topology.world, &self.resource)
                    .await;
                self.complete_secret(&site, &outcome).await?;
                outcome
            }
            Ok(Site::External(site)) => {
                site.external
                    .reconcile_one(&self.topology.world, &self.resource)
                    .await
            }
            Err(obstacle) => {
                if obstacle == Obstacle::Gone {
                    self.forget_keys().await?;
                }
                held_up(&self.resource, obstacle, &self.topology.context.environment)
            }
        };
        Ok(outcome)
    }

    /// The servers a resource belongs to, or why there are none.
    async fn site(&self) -> Result<Result<Site, Obstacle>, Error> {
        let topology = self.topology;
        let owner = topology.owner().await?;
        if let (None, Some(connection)) = self.resource.target() {
            let site = topology
                .sites
                .external(&self.resource, connection, owner)
                .await;
            return Ok(site.map(Site::External));
        }
        topology
            .sites
            .keep(|namespace, name| topology.world.has_cluster(namespace, name));
        let is_deleted = self.resource.is_deleted();
        let Some(account) = topology.world.account_of(&self.resource) else {
            return Ok(Err(self.no_account(is_deleted)));
        };
        let cluster = match topology.world.cluster_of(&account) {
            Ok(cluster) if cluster.is_deleted && is_deleted => return Ok(Err(Obstacle::Gone)),
            Ok(cluster) => cluster,
            // Nothing may be held up by brokers that are gone for good.
            Err(_) if is_deleted => return Ok(Err(Obstacle::Gone)),
            Err(error) => {
                return Ok(Err(Obstacle::Stalled {
                    reason: "ReferenceNotUsable",
                    message: error.to_string(),
                }));
            }
        };
        if is_deleted && self.resource.kind() == Kind::Account {
            let leaving = topology.world.leaving(&self.resource.id());
            if leaving > 0 {
                let message = format!("{leaving} resources of the account are being deleted first");
                return Ok(Err(retrying("StillUsed", message)));
            }
        }
        if self.resource.kind() > Kind::User && !is_deleted && !is_known(&account) {
            let message = "the account is not known to the brokers yet".to_owned();
            return Ok(Err(retrying("AccountNotReady", message)));
        }
        let site = topology.sites.cluster(&cluster, owner).await;
        Ok(site.map(Site::Cluster))
    }

    fn no_account(&self, is_deleted: bool) -> Obstacle {
        if is_deleted {
            return Obstacle::Gone;
        }
        let namespace = self.resource.id().namespace;
        let message = match self.resource.target().0 {
            Some(points) => {
                let id = reconcile::account_id(&namespace, points);
                format!("{id} does not exist; create it or correct the reference")
            }
            None => "neither accountRef nor connection is set; set one of them".to_owned(),
        };
        Obstacle::Stalled {
            reason: "ReferenceNotUsable",
            message,
        }
    }

    /// Clients find in a user's Secret where to connect, too.
    async fn complete_secret(&self, site: &ClusterSite, outcome: &Outcome) -> Result<(), Error> {
        if self.resource.kind() != Kind::User || !outcome.is_synced() || outcome.is_gone {
            return Ok(());
        }
        let ResourceId {
            namespace, name, ..
        } = self.resource.id();
        let owner = self.object.owner_ref(&());
        site.secrets
            .complete(&namespace, &name, &site.surroundings, owner)
            .await?;
        Ok(())
    }

    /// Removes keys that nothing accepts any more.
    async fn forget_keys(&self) -> Result<(), Error> {
        let ResourceId {
            kind,
            namespace,
            name,
        } = self.resource.id();
        let entry = match kind {
            Kind::User => Entry::UserCreds { namespace, name },
            Kind::Account => Entry::AccountSeed { namespace, name },
            _ => return Ok(()),
        };
        let secrets = Secrets::new(self.topology.context.client.clone(), "", "");
        let removed = secrets.remove(&entry).await;
        removed.map_err(|error| Error::NotYet(error.to_string()))
    }

    /// Writes status and event, if there is something new to say.
    async fn report(&self, outcome: &Outcome) -> Result<(), Error> {
        let id = self.resource.id();
        let event = writing::event(self.resource.sync_status(), outcome);
        if !outcome.is_gone {
            let old = serde_json::to_value(&self.object).unwrap_or_default();
            let new = serde_json::to_value(&outcome.status).unwrap_or_default();
            let written = self.topology.written.lock().get(&id).map(Instant::elapsed);
            if !writing::is_news(&old["status"], &new, written) {
                return Ok(());
            }
            self.write_status(&id, &new).await?;
            self.topology.written.lock().insert(id, Instant::now());
        }
        if let Some((type_, reason, note)) = event {
            let about = self.object.object_ref(&());
            self.topology
                .context
                .event(&about, type_, &reason, &note)
                .await;
        }
        Ok(())
    }

    async fn write_status(&self, id: &ResourceId, status: &Value) -> kube::Result<()> {
        let patch = json!({
            "apiVersion": api::API_VERSION,
            "kind": K::KIND.as_str(),
            "metadata": { "name": id.name, "namespace": id.namespace },
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        self.api
            .patch_status(&id.name, &params, &Patch::Apply(patch))
            .await
            .map(drop)
    }

    /// Fails if somebody else changed the object meanwhile: the next look sees that.
    async fn set_finalizers(&self, finalizers: &[String]) -> kube::Result<()> {
        let metadata = self.object.meta();
        let patch = json!({
            "metadata": {
                "finalizers": finalizers,
                "resourceVersion": metadata.resource_version,
            },
        });
        let name = metadata.name.as_deref().unwrap_or_default();
        self.api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
    }

    /// Before credentials must be renewed, and otherwise now and then.
    fn look_again(&self, outcome: &Outcome) -> Duration {
        let expires = match &outcome.status {
            Status::User(user) => user.expires_at.as_ref(),
            _ => None,
        };
        let Some(expires) = expires else {
            let objects = self.topology.world.count(K::KIND);
            let turn = Duration::from_secs(1) / RESYNCS_A_SECOND;
            return RESYNC.max(turn.saturating_mul(u32::try_from(objects).unwrap_or(u32::MAX)));
        };
        let now: Timestamp = self.topology.context.environment.now();
        let left_s = expires.0.as_second().saturating_sub(now.as_second());
        let part = Duration::from_secs(u64::try_from(left_s / 10).unwrap_or_default());
        part.clamp(RESYNC_MIN, RESYNC)
    }
}

/// Whether the brokers have heard of an account: until then they let nobody of it in.
fn is_known(account: &Account) -> bool {
    let status = account.status.as_ref();
    status.is_some_and(|status| status.public_key.is_some())
}

fn retrying(reason: &'static str, message: String) -> Obstacle {
    Obstacle::Retrying { reason, message }
}
