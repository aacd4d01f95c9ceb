//! Accounts, users, streams, buckets, object stores and consumers: the kinds that end up on brokers.
//!
//! Each kind has a controller. All go through the same steps, those of `reconcile`, one object at a time:
//! `object` finds the servers (`world`, `clusters`, `sites`), takes the steps, and writes what came of
//! it (`writing`).

mod clusters;
mod kinds;
mod object;
mod sites;
#[cfg(test)]
mod tests;
mod triggers;
mod world;
mod writing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use api::{Account, Consumer, KVBucket, ObjectStore, ResourceId, Stream, User};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::DynamicObject;
use kube::core::DeserializeGuard;
use kube::runtime::reflector;
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use reconcile::OwnerId;
use tokio::sync::{OnceCell, broadcast};

use crate::context::Context;
use crate::drive::drive;
use crate::stop::Stop;
use clusters::ClusterView;
use kinds::Topological;
use sites::Sites;
use triggers::Interest;
use world::{Guarded, World};

/// Its id tells this Kubernetes cluster from others.
const IDENTIFYING_NAMESPACE: &str = "kube-system";
/// Changes of Clusters that wait to be noticed. Who misses some looks at everything anyway.
const CLUSTER_CHANGES: usize = 16;

/// What the controllers of all kinds share.
pub struct Topology {
    context: Arc<Context>,
    world: World,
    sites: Sites,
    /// The mark of this installation, once it is known.
    owner: OnceCell<OwnerId>,
    /// When statuses were written last. As large as the number of objects.
    written: Mutex<HashMap<ResourceId, Instant>>,
}

impl Topology {
    fn new(context: Arc<Context>, world: World) -> Topology {
        Topology {
            sites: Sites::new(context.client.clone(), context.environment.clone()),
            context,
            world,
            owner: OnceCell::new(),
            written: Mutex::new(HashMap::new()),
        }
    }

    /// The mark that tells what belongs to this installation.
    async fn owner(&self) -> kube::Result<&OwnerId> {
        let found = async || match &self.context.installation {
            Some(name) => Ok(OwnerId::new(name)),
            None => {
                let namespaces: Api<Namespace> = Api::all(self.context.client.clone());
                let found = namespaces.get(IDENTIFYING_NAMESPACE).await?;
                Ok(OwnerId::new(&found.uid().unwrap_or_default()))
            }
        };
        self.owner.get_or_try_init(found).await
    }
}

/// The controllers of all kinds. Each runs until told to stop.
pub fn controllers(context: &Arc<Context>, stop: &Stop) -> Vec<BoxFuture<'static, ()>> {
    let accounts = controllers_of::<Account>(context);
    let users = controllers_of::<User>(context);
    let streams = controllers_of::<Stream>(context);
    let kv_buckets = controllers_of::<KVBucket>(context);
    let object_stores = controllers_of::<ObjectStore>(context);
    let consumers = controllers_of::<Consumer>(context);
    let (changes, _) = broadcast::channel(CLUSTER_CHANGES);
    let (clusters, watching) = watch_clusters(context, stop, &changes);
    let world = World {
        accounts: stores(&accounts),
        users: stores(&users),
        streams: stores(&streams),
        kv_buckets: stores(&kv_buckets),
        object_stores: stores(&object_stores),
        consumers: stores(&consumers),
        clusters,
    };
    let topology = Arc::new(Topology::new(Arc::clone(context), world));
    let run = Run {
        context,
        topology: &topology,
        stop,
        changes: &changes,
    };
    let mut all = watching;
    all.extend(run.all(accounts, |controller, _| controller));
    all.extend(run.all(users, |controller, run| run.on_accounts(controller)));
    all.extend(run.all(streams, |controller, run| run.on_accounts(controller)));
    all.extend(run.all(kv_buckets, |controller, run| run.on_accounts(controller)));
    all.extend(run.all(object_stores, |controller, run| run.on_accounts(controller)));
    all.extend(run.all(consumers, |controller, run| {
        run.on_streams(run.on_accounts(controller))
    }));
    all
}

type Controllers<K> = Vec<Controller<DeserializeGuard<K>>>;

fn controllers_of<K: Topological>(context: &Context) -> Controllers<K> {
    let apis = context.watched::<DeserializeGuard<K>>();
    apis.into_iter()
        .map(|api| Controller::new(api, watcher::Config::default()))
        .collect()
}

fn stores<K: Topological>(controllers: &Controllers<K>) -> Vec<Guarded<K>> {
    controllers.iter().map(Controller::store).collect()
}

/// Keeps the Clusters that are watched, and says when one changes in a way that matters to others.
fn watch_clusters(
    context: &Arc<Context>,
    stop: &Stop,
    changes: &broadcast::Sender<()>,
) -> (
    Vec<reflector::Store<DynamicObject>>,
    Vec<BoxFuture<'static, ()>>,
) {
    let resource = ClusterView::resource();
    let watch = |api: Api<DynamicObject>| {
        let writer = reflector::store::Writer::new(resource.clone());
        let store = writer.as_reader();
        let (changes, stop) = (changes.clone(), stop.clone());
        let interest = Interest::default();
        let watching = watcher(api, watcher::Config::default())
            .default_backoff()
            .reflect(writer)
            .touched_objects()
            .take_until(stop.wait())
            .for_each(move |found| {
                match found {
                    Ok(cluster) if interest.is_new(&cluster, clusters::interest(&cluster)) => {
                        // Without controllers nobody needs to know.
                        changes.send(()).ok();
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "watch of clusters failed and is tried again")
                    }
                }
                std::future::ready(())
            });
        (store, watching.boxed())
    };
    context.watched_as(&resource).into_iter().map(watch).unzip()
}

/// What starting controllers needs.
struct Run<'a> {
    context: &'a Arc<Context>,
    topology: &'a Arc<Topology>,
    stop: &'a Stop,
    changes: &'a broadcast::Sender<()>,
}

impl Run<'_> {
    fn all<K: Topological>(
        &self,
        controllers: Controllers<K>,
        extend: impl Fn(Controller<DeserializeGuard<K>>, &Self) -> Controller<DeserializeGuard<K>>,
    ) -> Vec<BoxFuture<'static, ()>> {
        let run = |controller| {
            let controller = extend(controller, self)
                .reconcile_all_on(triggers::changes(self.changes.subscribe()));
            let topology = Arc::clone(self.topology);
            let reconcile = move |object: Arc<DeserializeGuard<K>>, _: Arc<Context>| {
                object::reconcile(Arc::clone(&topology), object)
            };
            drive(
                controller,
                Arc::clone(self.context),
                self.stop.clone(),
                reconcile,
            )
            .boxed()
        };
        controllers.into_iter().map(run).collect()
    }

    /// Objects are looked at when their account changes.
    fn on_accounts<K: Topological>(
        &self,
        mut controller: Controller<DeserializeGuard<K>>,
    ) -> Controller<DeserializeGuard<K>> {
        for api in self.context.watched::<DeserializeGuard<Account>>() {
            let mapper = triggers::of_account(controller.store());
            controller = controller.watches(api, watcher::Config::default(), mapper);
        }
        controller
    }

    /// Consumers are looked at when their stream changes.
    fn on_streams(
        &self,
        mut controller: Controller<DeserializeGuard<Consumer>>,
    ) -> Controller<DeserializeGuard<Consumer>> {
        for api in self.context.watched::<DeserializeGuard<Stream>>() {
            let mapper = triggers::of_stream(controller.store());
            controller = controller.watches(api, watcher::Config::default(), mapper);
        }
        controller
    }
}
