//! Clusters of brokers.
//!
//! One reconciliation goes through steps that are kept apart:
//!
//! 1. `dereference`: what the Cluster points to, and what there is of it;
//! 2. `validate`: what it wants, completely decided; pure;
//! 3. `observe`: what the brokers say;
//! 4. `scale`, `build`: how many servers there are now, and all objects; pure;
//! 5. `apply`: makes the Kubernetes API hold them;
//! 6. `fleet`, `config_sync`, `roll`, `volumes`: what running servers need next; pure; `act` does it;
//! 7. `status`: conditions out of all that.

mod act;
mod apply;
mod build;
mod certificates;
mod conditions;
mod config_sync;
mod dereference;
mod fleet;
mod guard;
mod maintenance;
pub(crate) mod names;
mod observe;
mod pages;
mod quantity;
mod roll;
mod scale;
mod status;
mod validate;
mod volumes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api::cluster::{Cluster, UpdateStrategy};
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};

use crate::context::{Context, Scope};
use crate::drive::drive;
use crate::explain::chain;
use crate::stop::Stop;

use act::Acts;
use config_sync::Sync;
use dereference::Found;
use fleet::{PodState, Server};
use observe::Observed;
use roll::{Decision, Rules};
use scale::{Next, Plan};
use status::Situation;
use validate::ValidCluster;

/// While something changes, brokers are asked this often: they do not tell by themselves.
const WORKING: Duration = Duration::from_secs(3);
/// Otherwise this often, for what nobody tells: labels of nodes, certificates, the brokers' health.
const SETTLED: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Dereference(#[from] dereference::Error),
    #[error("applying")]
    Apply(#[from] apply::Error),
    #[error("acting")]
    Act(#[from] act::Error),
    #[error("protection from deletion")]
    Guard(#[source] kube::Error),
    #[error("status")]
    Status(#[source] kube::Error),
}

/// The controllers of Clusters, one for each scope.
pub fn controllers(context: &Arc<Context>, stop: &Stop) -> Vec<BoxFuture<'static, ()>> {
    let scopes = context.scopes();
    let controllers = scopes.iter().map(|scope| {
        let driven = drive(
            controller(scope),
            Arc::clone(context),
            stop.clone(),
            reconcile,
        );
        Box::pin(driven) as BoxFuture<'static, ()>
    });
    controllers.collect()
}

fn controller(scope: &Scope) -> Controller<Cluster> {
    let ours = || watcher::Config::default().labels(names::CLUSTER_LABEL);
    Controller::new(scope.api::<Cluster>(), watcher::Config::default())
        .owns(scope.api::<StatefulSet>(), ours())
        .owns(scope.api::<Service>(), ours())
        .owns(scope.api::<Secret>(), ours())
        .owns(scope.api::<ServiceAccount>(), ours())
        .owns(scope.api::<PodDisruptionBudget>(), ours())
        .owns(scope.api::<NetworkPolicy>(), ours())
        .watches(scope.api::<Pod>(), ours(), |pod| {
            let cluster = pod.labels().get(names::CLUSTER_LABEL)?;
            Some(ObjectRef::new(cluster).within(&pod.namespace()?))
        })
}

async fn reconcile(cluster: Arc<Cluster>, context: Arc<Context>) -> Result<Action, Error> {
    let now = conditions::whole_seconds(context.environment.now());
    let outcome = look_after(&cluster, &context, now).await;
    if let Err(error) = &outcome {
        let failing = status::failing(&cluster, &chain(error), now);
        // The API server may be what is away: the error itself is told in the log.
        report(&cluster, &context, failing).await.ok();
    }
    outcome
}

async fn look_after(cluster: &Cluster, context: &Context, now: Timestamp) -> Result<Action, Error> {
    guard::guard(cluster, context).await.map_err(Error::Guard)?;
    if cluster.metadata.deletion_timestamp.is_some() {
        // What it owns is deleted by Kubernetes.
        return Ok(Action::await_change());
    }
    if cluster.spec.paused {
        let paused = status::paused(cluster, now);
        report(cluster, context, paused).await?;
        return Ok(Action::await_change());
    }
    let found = dereference::dereference(cluster, context).await?;
    let valid = match validate::validate(cluster, &found, &context.broker_image) {
        Ok(valid) => valid,
        Err(invalid) => {
            let stalled = status::stalled(cluster, invalid.reason(), &invalid.to_string(), now);
            report(cluster, context, stalled).await?;
            // A Secret that is missing may come without a sign.
            return Ok(Action::requeue(SETTLED));
        }
    };
    let pass = Pass {
        cluster,
        context,
        found,
        valid,
        now,
    };
    pass.run().await
}

/// One reconciliation of a cluster that is in order as far as its specification goes.
struct Pass<'a> {
    cluster: &'a Cluster,
    context: &'a Context,
    found: Found,
    valid: ValidCluster,
    now: Timestamp,
}

impl Pass<'_> {
    async fn run(&self) -> Result<Action, Error> {
        let valid = &self.valid;
        let observed = observe::observe(&self.found.pods).await;
        let mut plan = scale::plan(valid, &self.found, &observed);
        let built = build::build(valid, &plan.sizes);
        let applied = match apply::apply(&self.context.client, valid, built.objects).await {
            Ok(applied) => applied,
            Err(error @ apply::Error::Taken { .. }) => {
                let text = error.to_string();
                let stalled = status::stalled(self.cluster, "NameTaken", &text, self.now);
                report(self.cluster, self.context, stalled).await?;
                return Ok(Action::requeue(SETTLED));
            }
            Err(error) => return Err(error.into()),
        };
        let servers = match valid.spec.hibernated {
            true => Vec::new(),
            false => fleet::assess(
                valid,
                &plan.sizes,
                &self.found,
                &applied.stateful_sets,
                &observed,
                &built.config_hashes,
            ),
        };
        let acts = Acts::new(self.context, self.cluster, valid, &self.found.roots);
        acts.resize(&mut plan).await?;
        let unreloaded = self
            .sync_configs(&acts, &servers, &built.config_hashes)
            .await?;
        let waiting = waiting(&servers, &unreloaded);
        let roll = self.roll(&acts, &servers, &unreloaded, &plan).await?;
        let counted = |server: &str| is_counted(server, &observed, &self.found);
        let claims = &self.found.claims;
        let changes = volumes::changes(valid, &plan.sizes, claims, counted);
        acts.delete_claims(&plan.clear).await?;
        acts.own_claims(&changes.owners).await?;
        acts.delete_claims(&changes.delete).await?;
        let not_growing = acts.grow_claims(&changes.grow).await?;
        let situation = Situation {
            valid,
            servers: &servers,
            has_pods: !self.found.pods.is_empty(),
            plan: &plan,
            roll: &roll,
            waiting,
            observed: &observed,
            growing: &changes.growing,
            not_growing,
            config_hash: config_hash(&built.config_hashes),
        };
        let status = status::compute(self.cluster, &situation, self.now);
        let is_settled = status
            .conditions
            .iter()
            .any(|condition| condition.type_ == api::status::READY && condition.status == "True");
        report(self.cluster, self.context, status).await?;
        let is_idle = valid.spec.hibernated || matches!(roll, Decision::Later { .. });
        let wait = match is_settled || is_idle {
            true => SETTLED,
            false => WORKING,
        };
        Ok(Action::requeue(wait))
    }

    /// Has servers read their configuration; those that can not without a restart.
    async fn sync_configs(
        &self,
        acts: &Acts<'_>,
        servers: &[Server],
        hashes: &std::collections::BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, Error> {
        let mut unreloaded = BTreeSet::new();
        for server in servers {
            let hash = hashes.get(&server.name).map(String::as_str);
            let hash = hash.unwrap_or_default();
            match config_sync::sync(server, self.now) {
                Sync::Nothing => {}
                Sync::UpdateFiles => {
                    acts.update_files(server, hash, self.now).await?;
                }
                Sync::Reload { id } => {
                    if !acts.reload(server, &id, hash).await? {
                        unreloaded.insert(server.name.clone());
                    }
                }
                Sync::Restart => {
                    unreloaded.insert(server.name.clone());
                }
            }
        }
        Ok(unreloaded)
    }

    async fn roll(
        &self,
        acts: &Acts<'_>,
        servers: &[Server],
        unreloaded: &BTreeSet<String>,
        plan: &Plan,
    ) -> Result<Decision, Error> {
        let update = &self.valid.spec.update;
        let rules = Rules {
            require_quorum: update.require_quorum,
        };
        let decision = roll::decide(servers, unreloaded, rules);
        let Decision::Restart { server } = &decision else {
            return Ok(decision);
        };
        if update.strategy == UpdateStrategy::Manual {
            return Ok(decision);
        }
        if let Next::Evacuate { server } | Next::Wait { server, .. } = &plan.next {
            return Ok(Decision::Wait {
                server: server.clone(),
                why: "it leaves the cluster first".to_owned(),
            });
        }
        let Some(server) = servers.iter().find(|found| found.name == *server) else {
            return Ok(decision);
        };
        let is_time = maintenance::is_open(&self.valid.windows, self.now);
        if !is_time && server.pod != PodState::Down {
            let server = server.name.clone();
            return Ok(Decision::Later { server });
        }
        acts.restart(server).await?;
        Ok(decision)
    }
}

fn waiting(servers: &[Server], unreloaded: &BTreeSet<String>) -> Vec<String> {
    let waiting = servers
        .iter()
        .filter(|server| server.outdated || unreloaded.contains(&server.name));
    waiting.map(|server| server.name.clone()).collect()
}

/// Whether the volume of a server that left may still be needed: as long as its pod exists, and as long
/// as the brokers do not say that they count on it no longer.
fn is_counted(server: &str, observed: &Observed, found: &Found) -> bool {
    let is_away = observed.offline.iter().any(|offline| offline == server);
    let is_known = observed.meta_leader.is_some();
    is_away
        || !is_known
        || found.pods.contains_key(server)
        || observed.reliance.contains_key(server)
}

/// One hash for the configurations of all servers.
fn config_hash(hashes: &std::collections::BTreeMap<String, String>) -> Option<String> {
    (!hashes.is_empty()).then(|| apply::hash(hashes))
}

async fn report(
    cluster: &Cluster,
    context: &Context,
    status: api::ClusterStatus,
) -> Result<(), Error> {
    status::report(cluster, context, status)
        .await
        .map_err(Error::Status)
}
